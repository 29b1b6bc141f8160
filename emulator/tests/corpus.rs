//! The fuzz targets over their corpus, as ordinary tests: what once broke, or might, stays mended.
//! `emulator/fuzz/run` looks for more.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

#[path = "../fuzz/src"]
mod targets {
    pub(crate) mod authorization;
    pub(crate) mod cbor;
    pub(crate) mod expressions;
    mod frame;
    pub(crate) mod frames;
    pub(crate) mod http;
    pub(crate) mod json;
    mod rig;
    pub(crate) mod tokens;
}

use std::path::Path;

use proptest::prelude::*;

/// Hands every file of a target's corpus to it, and bytes that are none of it: all prefixes of each.
fn run(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut count = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let data = std::fs::read(file.unwrap().path()).unwrap();
        target(&data);
        for end in (0..data.len()).step_by(data.len() / 8 + 1) {
            target(&data[..end]);
        }
        count += 1;
    }
    assert!(count >= 5, "the corpus of {name} has but {count} files");
}

#[test]
fn requests_in_json_are_answered_whatever_they_are() {
    run("json", targets::json::run);
}

#[test]
fn requests_in_cbor_are_answered_whatever_they_are() {
    run("cbor", targets::cbor::run);
}

#[test]
fn whole_requests_are_answered_whatever_they_are() {
    run("http", targets::http::run);
}

#[test]
fn what_subscriptions_tell_is_what_was_put() {
    run("frames", targets::frames::run);
}

#[test]
fn no_authorization_is_believed_that_is_not_signed() {
    run("authorization", targets::authorization::run);
}

#[test]
fn no_token_is_taken_that_was_not_handed_out() {
    run("tokens", targets::tokens::run);
}

#[test]
fn expressions_mean_what_a_naive_interpreter_says() {
    run("expressions", targets::expressions::run);
}

proptest! {
    /// Choices that nobody made before: `PROPTEST_CASES` sets how many.
    #[test]
    fn expressions_of_any_bytes_mean_what_a_naive_interpreter_says(
        data in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        targets::expressions::run(&data);
    }
}
