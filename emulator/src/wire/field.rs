//! The types of request members, and what the service says when a member has another type.
//!
//! Unknown members are ignored and `null` is absent; everything else that does not fit is a
//! `SerializationException` in the service's words. Text and bytes are borrowed from the request where
//! they can be. The same types are read from JSON and from CBOR.

mod compound;
mod scalar;
mod string;

pub(crate) use compound::{List, Map, Shape};
pub(crate) use scalar::{Flag, Int, Time};
pub(crate) use string::{Blob, Text, text};

const LIST: &str = "Start of list found where not expected";
const MAP: &str = "Start of structure or map found where not expected.";
const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";
const STRING: &str = "class java.lang.String";
const BOOLEAN: &str = "class java.lang.Boolean";
const BYTES: &str = "class java.nio.HeapByteBuffer";

/// What a visitor does with the types that it does not take.
macro_rules! refuse {
    (bool, $this:ident, $text:expr) => {
        fn visit_bool<E: Error>($this, _: bool) -> Result<Self::Value, E> {
            Err(E::custom($text))
        }
    };
    (number, $this:ident, $text:expr) => {
        fn visit_i64<E: Error>($this, _: i64) -> Result<Self::Value, E> {
            Err(E::custom($text))
        }
        fn visit_u64<E: Error>($this, _: u64) -> Result<Self::Value, E> {
            Err(E::custom($text))
        }
        fn visit_f64<E: Error>($this, _: f64) -> Result<Self::Value, E> {
            Err(E::custom($text))
        }
    };
    (string, $this:ident, $text:expr) => {
        fn visit_str<E: Error>($this, _: &str) -> Result<Self::Value, E> {
            Err(E::custom($text))
        }
    };
    (bytes, $this:ident, $text:expr) => {
        fn visit_bytes<E: Error>($this, _: &[u8]) -> Result<Self::Value, E> {
            Err(E::custom($text))
        }
    };
    (list) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(A::Error::custom(LIST))
        }
    };
    (map) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(A::Error::custom(MAP))
        }
    };
    (expecting) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a member of its type")
        }
    };
}
use refuse;

#[cfg(test)]
mod tests;
