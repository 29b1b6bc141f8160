//! Texts and blobs.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::refusal::Refusal;
use crate::wire::base64;

use super::{BOOLEAN, BYTES, LIST, MAP, NUMBER, refuse};

/// A string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// Bytes, as the request has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blob<'a> {
    /// JSON's; decoded only where it goes to.
    Base64(Cow<'a, str>),
    /// CBOR's.
    Bytes(Cow<'a, [u8]>),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text of an optional member.
pub(crate) fn text<'a>(member: &'a Option<Text<'_>>) -> Option<&'a str> {
    member.as_ref().map(Text::as_str)
}

impl Blob<'_> {
    /// How many bytes there are. Right for every blob that [`Self::append_to`] takes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Base64(text) => base64::decoded_len(text),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Appends the bytes to `out`; refuses what is no base64.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match self {
            Self::Base64(text) => base64::decode(text, out),
            Self::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                self.visit_string(text.to_owned())
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
            refuse!(
                bool,
                self,
                format_args!("{BOOLEAN} can not be converted to an String")
            );
            refuse!(
                number,
                self,
                format_args!("{NUMBER} can not be converted to an String")
            );
            refuse!(
                bytes,
                self,
                format_args!("{BYTES} can not be converted to an String")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl<'de> Visitor<'de> for BlobVisitor {
            type Value = Blob<'de>;
            // A text is base64 in both encodings: nobody's CBOR has one here.
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Blob<'de>, E> {
                Ok(Blob::Base64(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Blob<'de>, E> {
                self.visit_string(text.to_owned())
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Blob<'de>, E> {
                Ok(Blob::Base64(Cow::Owned(text)))
            }
            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Blob<'de>, E> {
                Ok(Blob::Bytes(Cow::Borrowed(bytes)))
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob<'de>, E> {
                self.visit_byte_buf(bytes.to_owned())
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Blob<'de>, E> {
                Ok(Blob::Bytes(Cow::Owned(bytes)))
            }
            refuse!(
                bool,
                self,
                format_args!("{BOOLEAN} can not be converted to a Blob")
            );
            refuse!(
                number,
                self,
                format_args!("{NUMBER} can not be converted to a Blob")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(BlobVisitor)
    }
}
