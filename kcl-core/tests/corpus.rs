//! The fuzz targets over their corpus, as ordinary tests: what once broke, or might, stays mended.
//! `kcl-core/fuzz/run` looks for more.

#[path = "../fuzz/src"]
mod targets {
    pub(crate) mod aggregates;
}

use std::path::Path;

use proptest::prelude::*;

/// Hands every file of a target's corpus to it, and bytes that are none of it: prefixes of each.
#[test]
fn aggregates_are_what_a_naive_reader_says() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/aggregates");
    let mut count = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let data = std::fs::read(file.unwrap().path()).unwrap();
        targets::aggregates::run(&data);
        for end in (0..data.len()).step_by(data.len() / 8 + 1) {
            targets::aggregates::run(&data[..end]);
        }
        count += 1;
    }
    assert!(count >= 20, "the corpus has but {count} files");
}

proptest! {
    /// Choices that nobody made before: `PROPTEST_CASES` sets how many.
    #[test]
    fn aggregates_of_any_bytes_are_what_a_naive_reader_says(
        data in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        targets::aggregates::run(&data);
    }
}
