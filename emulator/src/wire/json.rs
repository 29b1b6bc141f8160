//! JSON as the service reads and writes it. Called only by [`super::codec`].

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::refusal::{Kind, Refusal};

use super::codec::Failure;

/// Reads a request from its body.
pub(super) fn from_slice<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    let Some(text) = object(body) else {
        return Err(Refusal::bare(Kind::Serialization).into());
    };
    serde_json::from_str(text).map_err(|error| {
        // What is no JSON at all is refused without a word, wherever a type was wrong before.
        if !error.is_data() || !is_object(body) {
            return Refusal::bare(Kind::Serialization).into();
        }
        let text = error.to_string();
        // All texts but this one are ours: see `super::field`.
        if text.starts_with("duplicate field `") {
            return Failure::Duplicate;
        }
        let text = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(text, _)| text);
        Refusal::new(Kind::Serialization, text).into()
    })
}

/// Writes a reply.
pub(super) fn to_vec(shape: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(shape).expect("replies have string keys and go to memory")
}

/// Whether the body is a JSON object, whatever is in it.
pub(super) fn is_object(body: &[u8]) -> bool {
    object(body).is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// The text of a body that starts like an object: a structure would also be read from a list, so that
/// lists are kept out here. Checked once and whole, as nobody looks into what is passed over.
fn object(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let starts_object = body.trim_ascii_start().first() == Some(&b'{');
    starts_object.then_some(text)
}

/// The same body with only the last of members that an object has twice. None if it is malformed.
pub(super) fn without_duplicates(body: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    serde_json::to_vec(&value).ok()
}
