//! Reading values from JSON: straight into their final form, with the first fault kept.
//!
//! JSON of the wrong type is an error of the deserialiser and becomes a SerializationException;
//! everything else that is wrong with a value is kept as the service's text for later.

use std::collections::BTreeSet;
use std::fmt;

use compact_str::CompactString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{AttributeValue, Item};
use crate::dynamo::number::Number;
use crate::dynamo::wire::{Bytes, Flag, Text};

/// Deepest nesting of lists and maps in one attribute.
const LEVELS_MAX: usize = 32;

/// A value from a request, or what is wrong with it.
#[derive(Debug)]
pub(crate) struct Loaded(pub(crate) Result<AttributeValue, String>);

/// An item from a request, and what is wrong with its first wrong attribute.
#[derive(Debug, Default)]
pub(crate) struct LoadedItem {
    item: Item,
    fault: Option<String>,
}

impl LoadedItem {
    /// The item, if every value in it is right.
    pub(crate) fn checked(self) -> Result<Item, String> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.item.values().any(|value| too_deep(value, LEVELS_MAX)) => {
                Err("Nesting Levels have exceeded supported limits: \
                 Attributes in the item have nested levels beyond supported limit"
                    .to_owned())
            }
            None => Ok(self.item),
        }
    }
}

fn too_deep(value: &AttributeValue, levels: usize) -> bool {
    match value {
        AttributeValue::L(list) => {
            levels == 0 || list.iter().any(|value| too_deep(value, levels - 1))
        }
        AttributeValue::M(map) => {
            levels == 0 || map.values().any(|value| too_deep(value, levels - 1))
        }
        AttributeValue::S(_)
        | AttributeValue::N(_)
        | AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null
        | AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_) => false,
    }
}

impl<'de> Deserialize<'de> for LoadedItem {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = LoadedItem;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map of attribute values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LoadedItem, A::Error> {
        let mut loaded = LoadedItem::default();
        while let Some((name, value)) = map.next_entry::<CompactString, Option<Loaded>>()? {
            match value {
                Some(Loaded(Ok(value))) => {
                    loaded.item.insert(name, value);
                }
                Some(Loaded(Err(fault))) => {
                    loaded.fault.get_or_insert(fault);
                }
                None => {}
            }
        }
        Ok(loaded)
    }
}

impl<'de> Deserialize<'de> for Loaded {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Loaded;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loaded, A::Error> {
        let mut found: Option<AttributeValue> = None;
        let mut fault: Option<String> = None;
        let mut count = 0;
        while let Some(kind) = map.next_key::<Kind>()? {
            let value = match kind {
                Kind::S => map
                    .next_value::<Option<Text<'de>>>()?
                    .map(|text| Ok(AttributeValue::S(text.0.into()))),
                Kind::N => map
                    .next_value::<Option<Text<'de>>>()?
                    .map(|text| Number::parse(&text.0).map(AttributeValue::N)),
                Kind::B => map
                    .next_value::<Option<Bytes>>()?
                    .map(|bytes| Ok(AttributeValue::B(bytes.0))),
                Kind::Bool => map
                    .next_value::<Option<Flag>>()?
                    .map(|flag| Ok(AttributeValue::Bool(flag.0))),
                Kind::Null => map.next_value::<Option<Flag>>()?.map(|flag| null(flag.0)),
                Kind::Ss => map
                    .next_value::<Option<Vec<Text<'de>>>>()?
                    .map(|list| strings(&list)),
                Kind::Ns => map
                    .next_value::<Option<Vec<Text<'de>>>>()?
                    .map(|list| numbers(&list)),
                Kind::Bs => map.next_value::<Option<Vec<Bytes>>>()?.map(binaries),
                Kind::L => map.next_value::<Option<Vec<Loaded>>>()?.map(|list| {
                    let list: Result<_, _> = list.into_iter().map(|value| value.0).collect();
                    list.map(AttributeValue::L)
                }),
                Kind::M => map
                    .next_value::<Option<LoadedItem>>()?
                    .map(|map| map.fault.map_or(Ok(AttributeValue::M(map.item)), Err)),
                Kind::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                    None
                }
            };
            match value {
                None => continue,
                Some(Ok(value)) => found = Some(value),
                Some(Err(text)) => {
                    fault.get_or_insert(text);
                }
            }
            count += 1;
        }
        Ok(Loaded(match (fault, found) {
            (Some(fault), _) => Err(fault),
            (None, Some(_)) if count > 1 => Err("Supplied AttributeValue has more than one \
                 datatypes set, must contain exactly one of the supported datatypes"
                .to_owned()),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(
                "Supplied AttributeValue is empty, must contain exactly one of \
                 the supported datatypes"
                    .to_owned(),
            ),
        }))
    }
}

/// The member of an attribute value that says its type.
#[derive(serde::Deserialize)]
enum Kind {
    S,
    N,
    B,
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "NULL")]
    Null,
    #[serde(rename = "SS")]
    Ss,
    #[serde(rename = "NS")]
    Ns,
    #[serde(rename = "BS")]
    Bs,
    L,
    M,
    #[serde(other)]
    Unknown,
}

const INVALID: &str = "One or more parameter values were invalid: ";

fn null(value: bool) -> Result<AttributeValue, String> {
    if value {
        return Ok(AttributeValue::Null);
    }
    Err(format!(
        "{INVALID}Null attribute value types must have the value of true"
    ))
}

fn strings(list: &[Text<'_>]) -> Result<AttributeValue, String> {
    if list.is_empty() {
        return Err(format!("{INVALID}An string set  may not be empty"));
    }
    let set: BTreeSet<_> = list
        .iter()
        .map(|text| text.0.clone().into_owned())
        .collect();
    if set.len() < list.len() {
        let shown: Vec<_> = list.iter().map(|text| &*text.0).collect();
        let shown = shown.join(", ");
        return Err(format!(
            "{INVALID}Input collection [{shown}] contains duplicates."
        ));
    }
    Ok(AttributeValue::Ss(set))
}

fn numbers(list: &[Text<'_>]) -> Result<AttributeValue, String> {
    if list.is_empty() {
        return Err(format!("{INVALID}An number set  may not be empty"));
    }
    let set: BTreeSet<_> = list
        .iter()
        .map(|text| Number::parse(&text.0))
        .collect::<Result<_, _>>()?;
    if set.len() < list.len() {
        return Err("Input collection contains duplicates".to_owned());
    }
    Ok(AttributeValue::Ns(set))
}

fn binaries(list: Vec<Bytes>) -> Result<AttributeValue, String> {
    if list.is_empty() {
        return Err(format!("{INVALID}Binary sets should not be empty"));
    }
    let count = list.len();
    let shown: Vec<_> = list
        .iter()
        .map(|bytes| base64_simd::STANDARD.encode_to_string(&bytes.0))
        .collect();
    let set: BTreeSet<_> = list.into_iter().map(|bytes| bytes.0).collect();
    if set.len() < count {
        return Err(format!(
            "{INVALID}Input collection [{}]of type BS contains duplicates.",
            shown.join(", ")
        ));
    }
    Ok(AttributeValue::Bs(set))
}
