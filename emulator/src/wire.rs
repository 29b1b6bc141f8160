//! Bytes in, bytes out: the fields of requests, their constraints, the shapes of replies, and HTTP.
//!
//! Everything about JSON stands below here; the engine knows nothing of it.

pub(crate) mod answer;
pub(crate) mod blob;
pub(crate) mod body;
pub(crate) mod check;
pub(crate) mod codec;
pub(crate) mod field;
pub(crate) mod records;
pub(crate) mod shape;
