//! Structures, lists and maps. Lists and maps keep no more members than any request may have, so that a
//! request of millions of empty ones takes no memory to speak of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{LIST, MAP, Text, refuse, text};

/// More members than these are read, and forgotten. Far above any list or map that passes.
const KEPT_MAX: usize = 2_000;

/// A structure, which must not be given as a list.
#[derive(Clone, Debug)]
pub(crate) struct Shape<T>(pub(crate) T);

/// A list. An absent member is kept, as its place counts in messages.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<Option<T>>);

/// A map from strings to strings. Of entries with the same key the last counts.
#[derive(Clone, Debug)]
pub(crate) struct Map<'a>(pub(crate) Vec<(Cow<'a, str>, Option<Text<'a>>)>);

/// As the service prints a list: `[a, b]`.
impl fmt::Display for List<Text<'_>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (place, member) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{}", text(member).unwrap_or("null"))?;
        }
        f.write_str("]")
    }
}

/// As the service prints a map: `{k=v, l=w}`.
impl fmt::Display for Map<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (key, value)) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{key}={}", text(value).unwrap_or("null"))?;
        }
        f.write_str("}")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shape<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ShapeVisitor<T> {
            type Value = Shape<T>;
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Shape)
            }
            refuse!(bool, self, "Expected null");
            refuse!(number, self, "Expected null");
            refuse!(string, self, "Expected null");
            refuse!(bytes, self, "Expected null");
            refuse!(list);
            refuse!(expecting);
        }
        deserializer.deserialize_any(ShapeVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = list.next_element()? {
                    if members.len() < KEPT_MAX {
                        members.push(member);
                    }
                }
                Ok(List(members))
            }
            refuse!(bool, self, "Expected list or null");
            refuse!(number, self, "Expected list or null");
            refuse!(string, self, "Expected list or null");
            refuse!(bytes, self, "Expected list or null");
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Map<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = Map<'de>;
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(Cow<'de, str>, Option<Text<'de>>)> = Vec::new();
                let mut places = BTreeMap::new();
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, _>()? {
                    if let Some(place) = places.get(&key) {
                        let entry: &mut (_, _) = &mut entries[*place];
                        entry.1 = value;
                    } else if entries.len() < KEPT_MAX {
                        places.insert(key.clone(), entries.len());
                        entries.push((key, value));
                    }
                }
                Ok(Map(entries))
            }
            refuse!(bool, self, "Expected map or null");
            refuse!(number, self, "Expected map or null");
            refuse!(string, self, "Expected map or null");
            refuse!(bytes, self, "Expected map or null");
            refuse!(list);
            refuse!(expecting);
        }
        deserializer.deserialize_any(MapVisitor)
    }
}
