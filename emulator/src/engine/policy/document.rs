//! A policy's JSON as a tree, in which no member stands twice: of two denials under one name, the usual
//! reader would silently drop the first.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Any JSON.
#[derive(Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As its digits.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not valid JSON: {error}"))
}

impl Json {
    /// One text, or a list of texts.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::List(list) => list.iter().map(Self::text).collect(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Map(_) => None,
        }
    }

    /// One scalar, or a list of scalars, as text.
    pub(super) fn scalars(&self) -> Option<Vec<String>> {
        match self {
            Self::List(list) => list.iter().map(Self::scalar).collect(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Map(_) => {
                Some(vec![self.scalar()?])
            }
        }
    }

    /// Whether some text below has such a part.
    pub(super) fn mentions(&self, part: &str) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
            Self::Text(text) => text.contains(part),
            Self::List(list) => list.iter().any(|member| member.mentions(part)),
            Self::Map(members) => members.iter().any(|(_, member)| member.mentions(part)),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    fn scalar(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text.clone()),
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = list.next_element()? {
            members.push(member);
        }
        Ok(Json::List(members))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((key, value)) = map.next_entry()? {
            if members.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format_args!(
                    "the member {key} stands twice"
                )));
            }
            members.push((key, value));
        }
        Ok(Json::Map(members))
    }
}
