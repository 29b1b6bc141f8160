//! The caller's encoding: requests are read in it, and it is answered in it.

use bytes::Bytes;
use http::header::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

use super::{answer, field};

/// The encodings that operations are called in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// `application/x-amz-json-1.1`.
    Json,
}

impl Wire {
    /// The type of a body in this encoding.
    pub(crate) fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => answer::JSON_1_1,
        }
    }

    /// Reads a request.
    pub(crate) fn read<'a, T: Deserialize<'a>>(self, body: &'a Bytes) -> Result<T, Refusal> {
        match self {
            Self::Json => field::read(body),
        }
    }

    /// Writes a reply.
    pub(crate) fn write(self, shape: &impl Serialize) -> Vec<u8> {
        match self {
            Self::Json => {
                serde_json::to_vec(shape).expect("replies have string keys and go to memory")
            }
        }
    }
}
