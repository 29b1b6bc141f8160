//! Attribute values and items: their types, order, size and JSON.
//!
//! Reading is in two steps, as the service does it: a wrong JSON type fails the whole request at
//! once ([`Loaded`] does not deserialise), a wrong value is remembered and reported only when
//! its turn comes in the order of checks. The logic only ever sees checked values.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::number::Number;

mod load;

pub(crate) use load::{Loaded, LoadedItem};

/// What a row holds: values by attribute name. Short texts stand in the row itself, so that a copy of a
/// row is cheap: every update makes one.
pub type Item = BTreeMap<CompactString, AttributeValue>;

/// One value, as the service types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    S(CompactString),
    /// A number.
    N(Number),
    /// Bytes.
    B(Vec<u8>),
    /// True or false.
    Bool(bool),
    /// Known to be nothing.
    Null,
    /// A set of texts, never empty.
    Ss(BTreeSet<String>),
    /// A set of numbers, never empty.
    Ns(BTreeSet<Number>),
    /// A set of byte strings, never empty.
    Bs(BTreeSet<Vec<u8>>),
    /// A list.
    L(Vec<Self>),
    /// A map.
    M(Item),
}

impl AttributeValue {
    /// The type's name on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::Ss(_) => "SS",
            Self::Ns(_) => "NS",
            Self::Bs(_) => "BS",
            Self::L(_) => "L",
            Self::M(_) => "M",
        }
    }

    /// The text, if it is one.
    pub fn as_s(&self) -> Option<&str> {
        if let Self::S(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The number, if it is one.
    pub fn as_n(&self) -> Option<Number> {
        if let Self::N(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// Order between two values of one type that has an order; nothing across types.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::S(a), Self::S(b)) => Some(a.cmp(b)),
            (Self::N(a), Self::N(b)) => Some(a.cmp(b)),
            (Self::B(a), Self::B(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// How many bytes the service counts for it.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number.size(),
            Self::B(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::Ss(set) => set.iter().map(String::len).sum(),
            Self::Ns(set) => set.iter().map(Number::size).sum(),
            Self::Bs(set) => set.iter().map(Vec::len).sum(),
            Self::L(list) => 3 + list.iter().map(|value| 1 + value.size()).sum::<usize>(),
            Self::M(map) => 3 + map.len() + item_size(map),
        }
    }
}

/// How many bytes the service counts for an item.
pub(crate) fn item_size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value.size())
        .sum()
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(1))?;
        let name = self.type_name();
        match self {
            Self::S(text) => map.serialize_entry(name, text)?,
            Self::N(number) => map.serialize_entry(name, &Shown(number))?,
            Self::B(bytes) => map.serialize_entry(name, &Base64(bytes))?,
            Self::Bool(value) => map.serialize_entry(name, value)?,
            Self::Null => map.serialize_entry(name, &true)?,
            Self::Ss(set) => map.serialize_entry(name, set)?,
            Self::Ns(set) => map.serialize_entry(name, &Each(set, Number::to_string))?,
            Self::Bs(set) => map.serialize_entry(name, &Each(set, |bytes| base64(bytes)))?,
            Self::L(list) => map.serialize_entry(name, list)?,
            Self::M(item) => map.serialize_entry(name, item)?,
        }
        map.end()
    }
}

/// A number as the text it is sent as.
struct Shown<'a>(&'a Number);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self.0)
    }
}

/// Bytes as the text they are sent as.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&base64(self.0))
    }
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// A set whose members are sent as texts.
struct Each<'a, T>(&'a BTreeSet<T>, fn(&T) -> String);

impl<T> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.0.iter().map(self.1))
    }
}
