//! CBOR as the service's Java clients speak it: the same members as in JSON, blobs as byte strings, and
//! times as tag 1 with integer *milliseconds* (RFC 8949 says seconds there).
//!
//! Own reader and writer for serde, because the crates for it do not fit: one refuses tags, one copies
//! every string, one has a licence that we do not take. Called by [`super::codec`], for the replies
//! that are written by hand by [`super::records`], and by [`crate::cloudwatch`], whose times are in
//! seconds.

mod read;
pub(crate) mod write;

use std::fmt;

use serde::Deserialize;

pub(crate) use read::without_duplicates;
pub(crate) use write::to_vec;

use read::Decoder;

/// Lists and maps inside of each other, at most. The service's own requests nest three deep.
const DEPTH_MAX: u8 = 128;

/// The name by which a number asks to be written as a time.
pub(crate) const TIME: &str = "$time";

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// This is no CBOR, or it nests too deep, or something follows it.
    Malformed,
    /// A member has another type than it should; the service's words for that.
    Type(String),
    /// A structure has a member twice.
    Duplicate,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("malformed CBOR"),
            Self::Type(text) => f.write_str(text),
            Self::Duplicate => f.write_str("a member is given twice"),
        }
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Type(text.to_string())
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::Duplicate
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Type(text.to_string())
    }
}

/// Reads all of a body.
pub(crate) fn from_slice<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    // A structure would also be read from a list, so lists are kept out here.
    if !read::starts_map(body) {
        return Err(Error::Malformed);
    }
    let mut decoder = Decoder::new(body);
    let value = T::deserialize(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}

/// Whether the body is one map, whatever is in it.
pub(crate) fn is_map(body: &[u8]) -> bool {
    read::is_map(body)
}

#[cfg(test)]
mod tests;
