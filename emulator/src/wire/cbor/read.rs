//! The reader: borrows definite strings from the body, joins chunked ones, skips tags.
//!
//! Nothing is allocated for a length before its bytes are there, and what nests too deep is refused, so
//! that no body can exhaust memory or stack.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{DEPTH_MAX, Error};

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// How deep members are looked for that are given twice: as deep as any request nests.
const REWRITTEN: u8 = 4;

const BREAK: u8 = 0xff;
const NULL: u8 = 0xf6;
const UNDEFINED: u8 = 0xf7;

/// A body on its way to being read.
pub(super) struct Decoder<'de> {
    rest: &'de [u8],
    /// How many more levels it may nest.
    depth: u8,
}

/// How long something is; none if a break ends it.
type Length = Option<u64>;

/// What stands at the front of the body, with its tags skipped.
enum Item<'de> {
    Unsigned(u64),
    /// -1 minus this.
    Negative(u64),
    Bytes(Cow<'de, [u8]>),
    Text(Cow<'de, str>),
    Array(Length),
    Map(Length),
    Bool(bool),
    Null,
    Float(f64),
    Break,
}

pub(super) fn is_map(body: &[u8]) -> bool {
    let mut decoder = Decoder::new(body);
    starts_map(body) && decoder.skip().is_ok() && decoder.finish().is_ok()
}

pub(super) fn starts_map(body: &[u8]) -> bool {
    let mut decoder = Decoder::new(body);
    decoder.skip_tags().is_ok() && decoder.rest.first().is_some_and(|byte| byte >> 5 == MAP)
}

/// The same body with only the last of members that a structure has twice. None if it is malformed.
pub(crate) fn without_duplicates(body: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new(body);
    let mut out = Vec::with_capacity(body.len());
    decoder.rewrite(&mut out, REWRITTEN).ok()?;
    decoder.finish().ok()?;
    Some(out)
}

impl<'de> Decoder<'de> {
    pub(super) fn new(body: &'de [u8]) -> Self {
        Self {
            rest: body,
            depth: DEPTH_MAX,
        }
    }

    /// Refuses what follows the one value of a body.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::Malformed)
        }
    }

    fn take(&mut self, length: u64) -> Result<&'de [u8], Error> {
        let length = usize::try_from(length).map_err(|_| Error::Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self.rest.split_first().ok_or(Error::Malformed)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, bytes: u64) -> Result<u64, Error> {
        let bytes = self.take(bytes)?;
        Ok(bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// The argument that goes with an initial byte; none if it says "indefinite".
    fn argument(&mut self, info: u8) -> Result<Length, Error> {
        match info {
            0..24 => Ok(Some(u64::from(info))),
            24..28 => self.number(1 << (info - 24)).map(Some),
            31 => Ok(None),
            _ => Err(Error::Malformed),
        }
    }

    fn definite(&mut self, info: u8) -> Result<u64, Error> {
        self.argument(info)?.ok_or(Error::Malformed)
    }

    fn skip_tags(&mut self) -> Result<(), Error> {
        while let Some(byte) = self.rest.first().filter(|byte| **byte >> 5 == TAG) {
            let info = byte & 0x1f;
            self.byte()?;
            self.definite(info)?;
        }
        Ok(())
    }

    fn item(&mut self) -> Result<Item<'de>, Error> {
        self.skip_tags()?;
        let byte = self.byte()?;
        let (major, info) = (byte >> 5, byte & 0x1f);
        Ok(match major {
            UNSIGNED => Item::Unsigned(self.definite(info)?),
            NEGATIVE => Item::Negative(self.definite(info)?),
            BYTES => Item::Bytes(self.string(BYTES, info)?),
            TEXT => Item::Text(utf8(self.string(TEXT, info)?)?),
            ARRAY => Item::Array(self.argument(info)?),
            MAP => Item::Map(self.argument(info)?),
            _ => self.simple(info)?,
        })
    }

    /// A string in one piece, or in chunks of its own kind.
    fn string(&mut self, major: u8, info: u8) -> Result<Cow<'de, [u8]>, Error> {
        if let Some(length) = self.argument(info)? {
            return self.take(length).map(Cow::Borrowed);
        }
        let mut whole = Vec::new();
        loop {
            let byte = self.byte()?;
            if byte == BREAK {
                return Ok(Cow::Owned(whole));
            }
            if byte >> 5 != major {
                return Err(Error::Malformed);
            }
            let length = self.definite(byte & 0x1f)?;
            whole.extend_from_slice(self.take(length)?);
        }
    }

    fn simple(&mut self, info: u8) -> Result<Item<'de>, Error> {
        Ok(match info {
            20 => Item::Bool(false),
            21 => Item::Bool(true),
            22 | 23 => Item::Null,
            24 => match self.byte()? {
                value @ 32.. => Item::Unsigned(u64::from(value)),
                _ => return Err(Error::Malformed),
            },
            25 => Item::Float(half(self.number(2)?)),
            26 => {
                let bits = u32::try_from(self.number(4)?).map_err(|_| Error::Malformed)?;
                Item::Float(f64::from(f32::from_bits(bits)))
            }
            27 => Item::Float(f64::from_bits(self.number(8)?)),
            31 => Item::Break,
            // A value that nobody has given a meaning to is a number, as the service's reader has it.
            0..20 => Item::Unsigned(u64::from(info)),
            _ => return Err(Error::Malformed),
        })
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.depth = self.depth.checked_sub(1).ok_or(Error::Malformed)?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth += 1;
    }

    /// Whether a list or map of so many left goes on; takes its break.
    fn goes_on(&mut self, left: &mut Length) -> Result<bool, Error> {
        match left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if *self.rest.first().ok_or(Error::Malformed)? == BREAK => {
                self.byte()?;
                *left = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Passes over one value.
    fn skip(&mut self) -> Result<(), Error> {
        let (mut left, parts) = match self.item()? {
            Item::Array(length) => (length, 1),
            Item::Map(length) => (length, 2),
            Item::Break => return Err(Error::Malformed),
            Item::Unsigned(_) | Item::Negative(_) | Item::Bytes(_) | Item::Text(_) => return Ok(()),
            Item::Bool(_) | Item::Null | Item::Float(_) => return Ok(()),
        };
        self.enter()?;
        while self.goes_on(&mut left)? {
            for _ in 0..parts {
                self.skip()?;
            }
        }
        self.leave();
        Ok(())
    }

    /// The bytes of one value.
    fn span(&mut self) -> Result<&'de [u8], Error> {
        let before = self.rest;
        self.skip()?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    /// Copies one value, with only the last of equal keys in its maps down to some level.
    fn rewrite(&mut self, out: &mut Vec<u8>, levels: u8) -> Result<(), Error> {
        let (before, depth) = (self.rest, self.depth);
        let item = self.item()?;
        match (item, levels.checked_sub(1)) {
            (Item::Map(left), Some(levels)) => self.rewrite_map(left, out, levels),
            (Item::Array(mut left), Some(levels)) => {
                self.enter()?;
                out.push(super::write::ARRAY);
                while self.goes_on(&mut left)? {
                    self.rewrite(out, levels)?;
                }
                self.leave();
                out.push(BREAK);
                Ok(())
            }
            _ => {
                let mut whole = Self {
                    rest: before,
                    depth,
                };
                out.extend_from_slice(whole.span()?);
                self.rest = whole.rest;
                Ok(())
            }
        }
    }

    fn rewrite_map(
        &mut self,
        mut left: Length,
        out: &mut Vec<u8>,
        levels: u8,
    ) -> Result<(), Error> {
        self.enter()?;
        let mut members: Vec<(&[u8], &[u8])> = Vec::new();
        let mut places = BTreeMap::new();
        while self.goes_on(&mut left)? {
            let (key, value) = (self.span()?, self.span()?);
            let key_text = Decoder::new(key).key()?;
            let place = *places.entry(key_text).or_insert(members.len());
            match members.get_mut(place) {
                Some(member) => member.1 = value,
                None => members.push((key, value)),
            }
        }
        out.push(super::write::MAP);
        for (key, value) in members {
            out.extend_from_slice(key);
            let mut value = Decoder {
                rest: value,
                depth: self.depth,
            };
            value.rewrite(out, levels)?;
        }
        self.leave();
        out.push(BREAK);
        Ok(())
    }

    /// A key of a map: a text, or a number that stands for its digits.
    fn key(&mut self) -> Result<Cow<'de, str>, Error> {
        match self.item()? {
            Item::Text(text) => Ok(text),
            Item::Unsigned(number) => Ok(Cow::Owned(number.to_string())),
            Item::Negative(number) => Ok(Cow::Owned((-1 - i128::from(number)).to_string())),
            Item::Bytes(_) | Item::Array(_) | Item::Map(_) => Err(Error::Malformed),
            Item::Bool(_) | Item::Null | Item::Float(_) | Item::Break => Err(Error::Malformed),
        }
    }

    /// Hands a list or a map to a visitor, and sees to it that all of it is read.
    fn inside<T>(
        &mut self,
        left: Length,
        visit: impl FnOnce(Inside<'_, 'de>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.enter()?;
        let mut left = left;
        let value = visit(Inside {
            decoder: self,
            left: &mut left,
        })?;
        if left != Some(0) {
            return Err(Error::Malformed);
        }
        self.leave();
        Ok(value)
    }
}

fn utf8(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Error> {
    Ok(match bytes {
        Cow::Borrowed(bytes) => {
            Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| Error::Malformed)?)
        }
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_| Error::Malformed)?),
    })
}

/// A float of 16 bits: sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u64) -> f64 {
    let (exponent, fraction) = (bits >> 10 & 0x1f, bits & 0x3ff);
    let size = match (exponent, fraction) {
        (0, _) => fraction as f64 * 2_f64.powi(-24),
        (31, 0) => f64::INFINITY,
        (31, _) => f64::NAN,
        _ => {
            // The same number with the wider exponent and fraction of 64 bits.
            f64::from_bits((exponent + 1023 - 15) << 52 | fraction << 42)
        }
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.item()? {
            Item::Unsigned(number) => visitor.visit_u64(number),
            Item::Negative(number) => {
                visitor.visit_i64(i64::try_from(number).map_or(i64::MIN, |number| -1 - number))
            }
            Item::Bytes(Cow::Borrowed(bytes)) => visitor.visit_borrowed_bytes(bytes),
            Item::Bytes(Cow::Owned(bytes)) => visitor.visit_byte_buf(bytes),
            Item::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Item::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Item::Array(length) => self.inside(length, |list| visitor.visit_seq(list)),
            Item::Map(length) => self.inside(length, |map| visitor.visit_map(map)),
            Item::Bool(truth) => visitor.visit_bool(truth),
            Item::Null => visitor.visit_unit(),
            Item::Float(number) => visitor.visit_f64(number),
            Item::Break => Err(Error::Malformed),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip_tags()?;
        if let Some(&(NULL | UNDEFINED)) = self.rest.first() {
            self.byte()?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The inside of a list or of a map.
struct Inside<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: &'a mut Length,
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.decoder.goes_on(self.left)? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.decoder).map(Some)
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.decoder.goes_on(self.left)? {
            return Ok(None);
        }
        match self.decoder.key()? {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Cow::Owned(key) => seed.deserialize(StringDeserializer::new(key)),
        }
        .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.decoder)
    }
}
