//! What the fuzz targets do with the bytes they are given. The crate's tests run the same over the corpus:
//! `kcl-core/tests/corpus.rs`.

mod aggregates;

/// Aggregated records, and what is nearly that.
pub fn aggregates(data: &[u8]) {
    aggregates::run(data);
}
