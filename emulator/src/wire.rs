//! Bytes in, bytes out: the fields of requests, their constraints, the shapes of replies, and HTTP.
//!
//! Everything about JSON and CBOR stands below here; the engine knows nothing of them.

pub(crate) mod answer;
pub(crate) mod arn;
mod base64;
pub(crate) mod body;
pub(crate) mod cbor;
pub(crate) mod check;
pub(crate) mod codec;
pub(crate) mod event_stream;
pub(crate) mod events;
pub(crate) mod field;
mod json;
pub(crate) mod records;
pub(crate) mod shape;
