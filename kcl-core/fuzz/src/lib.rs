//! What the fuzz targets do with the bytes they are given. The crate's tests run the same over the corpus:
//! `kcl-core/tests/corpus.rs`.

mod aggregates;

pub use aggregates::run as aggregates;
