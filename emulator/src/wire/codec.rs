//! The caller's encoding: requests are read in it, and it is answered in it.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::refusal::{Kind, Refusal};

use super::{answer, cbor, json};

/// The encodings that operations are called in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/x-amz-cbor-1.1`.
    Cbor,
}

/// A request's body, with room for a copy in which no member stands twice.
#[derive(Debug)]
pub(crate) struct Document {
    bytes: Bytes,
    single: OnceLock<Vec<u8>>,
}

/// Why a body could not be read.
#[derive(Debug)]
pub(super) enum Failure {
    /// A structure has a member twice.
    Duplicate,
    Refused(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Bytes> for Document {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            single: OnceLock::new(),
        }
    }
}

impl Wire {
    /// The encoding that a content type without its parameters names.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        match content_type {
            "application/x-amz-json-1.1" => Some(Self::Json),
            "application/x-amz-cbor-1.1" => Some(Self::Cbor),
            _ => None,
        }
    }

    /// The type of a body in this encoding.
    pub(crate) fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => answer::JSON_1_1,
            Self::Cbor => answer::CBOR_1_1,
        }
    }

    /// Reads a request. Of members that are given twice the last counts.
    pub(crate) fn read<'a, T: Deserialize<'a>>(self, document: &'a Document) -> Result<T, Refusal> {
        match self.parse(&document.bytes) {
            Ok(request) => Ok(request),
            Err(Failure::Refused(refusal)) => Err(refusal),
            // Nobody's client does this, so that it may cost a copy.
            Err(Failure::Duplicate) => {
                let single = document
                    .single
                    .get_or_init(|| self.without_duplicates(&document.bytes));
                self.parse(single).map_err(|failure| match failure {
                    Failure::Refused(refusal) => refusal,
                    Failure::Duplicate => Refusal::bare(Kind::Serialization),
                })
            }
        }
    }

    /// Writes a reply.
    pub(crate) fn write(self, shape: &impl Serialize) -> Vec<u8> {
        match self {
            Self::Json => json::to_vec(shape),
            Self::Cbor => cbor::to_vec(shape),
        }
    }

    /// Whether the body is what a structure is written as, whatever is in it.
    pub(crate) fn is_structure(self, body: &[u8]) -> bool {
        match self {
            Self::Json => json::is_object(body),
            Self::Cbor => cbor::is_map(body),
        }
    }

    fn parse<'a, T: Deserialize<'a>>(self, body: &'a [u8]) -> Result<T, Failure> {
        match self {
            Self::Json => json::from_slice(body),
            Self::Cbor => cbor::from_slice(body).map_err(|error| match error {
                _ if !cbor::is_map(body) => Refusal::bare(Kind::Serialization).into(),
                cbor::Error::Malformed => Refusal::bare(Kind::Serialization).into(),
                cbor::Error::Type(text) => Refusal::new(Kind::Serialization, text).into(),
                cbor::Error::Duplicate => Failure::Duplicate,
            }),
        }
    }

    /// Empty where the body cannot be read, which is then refused like any other.
    fn without_duplicates(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Json => json::without_duplicates(body),
            Self::Cbor => cbor::without_duplicates(body),
        }
        .unwrap_or_default()
    }
}
