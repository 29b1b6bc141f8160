//! The naive interpreter's values, and their JSON.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::decimal::Decimal;

pub(super) type Item = BTreeMap<String, Value>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(Decimal),
    Bytes(Vec<u8>),
    Flag(bool),
    Nothing,
    Texts(BTreeSet<String>),
    Numbers(BTreeSet<Decimal>),
    ManyBytes(BTreeSet<Vec<u8>>),
    List(Vec<Self>),
    Map(Item),
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "S",
            Self::Number(_) => "N",
            Self::Bytes(_) => "B",
            Self::Flag(_) => "BOOL",
            Self::Nothing => "NULL",
            Self::Texts(_) => "SS",
            Self::Numbers(_) => "NS",
            Self::ManyBytes(_) => "BS",
            Self::List(_) => "L",
            Self::Map(_) => "M",
        }
    }

    /// Texts, numbers and bytes have an order, each among themselves.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(one), Self::Text(two)) => Some(one.as_bytes().cmp(two.as_bytes())),
            (Self::Number(one), Self::Number(two)) => Some(one.cmp(two)),
            (Self::Bytes(one), Self::Bytes(two)) => Some(one.cmp(two)),
            _ => None,
        }
    }

    pub(super) fn json(&self) -> Json {
        let inner = match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(spelled(number)),
            Self::Bytes(bytes) => json!(base64(bytes)),
            Self::Flag(flag) => json!(flag),
            Self::Nothing => json!(true),
            Self::Texts(set) => json!(set),
            Self::Numbers(set) => set.iter().map(spelled).collect(),
            Self::ManyBytes(set) => set.iter().map(base64).collect(),
            Self::List(list) => list.iter().map(Self::json).collect(),
            Self::Map(map) => item_json(map),
        };
        json!({ self.kind(): inner })
    }

    /// What a reply holds. Numbers must be written as the service writes them.
    pub(super) fn from_json(json: &Json) -> Self {
        let members = json.as_object().expect("a value is an object");
        assert_eq!(members.len(), 1, "a value has one type: {json}");
        let (kind, inner) = members.iter().next().expect("one");
        let text = |json: &Json| json.as_str().expect("a text").to_owned();
        let all = |json: &Json| json.as_array().expect("an array").clone();
        match kind.as_str() {
            "S" => Self::Text(text(inner)),
            "N" => Self::Number(number(inner)),
            "B" => Self::Bytes(bytes(inner)),
            "BOOL" => Self::Flag(inner.as_bool().expect("a flag")),
            "NULL" => Self::Nothing,
            "SS" => Self::Texts(all(inner).iter().map(text).collect()),
            "NS" => Self::Numbers(all(inner).iter().map(number).collect()),
            "BS" => Self::ManyBytes(all(inner).iter().map(bytes).collect()),
            "L" => Self::List(all(inner).iter().map(Self::from_json).collect()),
            "M" => Self::Map(item_from_json(inner)),
            other => panic!("no type is called {other}"),
        }
    }
}

pub(super) fn item_json(item: &Item) -> Json {
    let members: Map<_, _> = item
        .iter()
        .map(|(name, value)| (name.clone(), value.json()))
        .collect();
    members.into()
}

pub(super) fn item_from_json(json: &Json) -> Item {
    let members = json.as_object().expect("an item is an object").iter();
    members
        .map(|(name, value)| (name.clone(), Value::from_json(value)))
        .collect()
}

/// A number as this client writes it: now so, now so.
fn spelled(number: &Decimal) -> String {
    let plain = number.plain();
    if plain.len().is_multiple_of(3) {
        number.scientific()
    } else {
        plain
    }
}

fn number(json: &Json) -> Decimal {
    let text = json.as_str().expect("a number is a text");
    let number = Decimal::read(text).expect("a number");
    assert_eq!(text, number.plain(), "a number in the service's form");
    number
}

fn base64(bytes: &Vec<u8>) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

fn bytes(json: &Json) -> Vec<u8> {
    let text = json.as_str().expect("bytes are a text");
    let bytes = base64_simd::STANDARD.decode_to_vec(text);
    bytes.expect("base64")
}
