//! Requests of the query protocol: a form whose names are paths, such as
//! `MetricData.member.1.Dimensions.member.2.Name`, read with serde as JSON and CBOR are.
//!
//! Texts become what the reader asks for. Only [`super::input`] reads them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::field::{DOUBLE, INSTANT, parse_instant};

/// How deep a path goes at most; those of the service go nine deep.
const DEPTH_MAX: usize = 16;

/// A parameter, or what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Text(String),
    Below(BTreeMap<String, Self>),
}

/// Why a form cannot be read, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl serde::de::Error for Unreadable {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

/// The parameters of a form.
pub(super) fn parse(body: &[u8]) -> Result<BTreeMap<String, Node>, Unreadable> {
    let mut all = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        let path: Vec<&str> = name.split('.').collect();
        if path.len() > DEPTH_MAX {
            let text = format!("the parameter {name} has more than {DEPTH_MAX} parts");
            return Err(Unreadable(text));
        }
        if !put(&mut all, &path, value.into_owned()) {
            let text = format!("the parameter {name} is both a value and a structure");
            return Err(Unreadable(text));
        }
    }
    Ok(all)
}

/// Puts a value where its path leads; false if that is not possible. The last of equal ones counts.
fn put(all: &mut BTreeMap<String, Node>, path: &[&str], value: String) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    if rest.is_empty() {
        let known = all.insert((*first).to_owned(), Node::Text(value));
        return !matches!(known, Some(Node::Below(_)));
    }
    let node = all.entry((*first).to_owned());
    match node.or_insert_with(|| Node::Below(BTreeMap::new())) {
        Node::Below(below) => put(below, rest, value),
        Node::Text(_) => false,
    }
}

impl Node {
    fn text(self) -> Result<String, Unreadable> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Below(_) => Err(Unreadable(
                "a value was expected, and a structure found".to_owned(),
            )),
        }
    }

    /// The members of a list: what is below `member`, in the order of its numbers.
    fn members(self) -> Result<Vec<Self>, Unreadable> {
        let mut below = match self {
            // As clients write an empty list.
            Self::Text(text) if text.is_empty() => return Ok(Vec::new()),
            Self::Text(_) => return Err(Unreadable("a list was expected".to_owned())),
            Self::Below(below) => below,
        };
        let members = match below.remove("member") {
            Some(Self::Below(members)) if below.is_empty() => members,
            Some(Self::Text(text)) if below.is_empty() && text.is_empty() => BTreeMap::new(),
            _ => return Err(Unreadable("a list has members and no more".to_owned())),
        };
        let mut numbered = BTreeMap::new();
        for (number, member) in members {
            let place: u32 = number
                .parse()
                .map_err(|_| Unreadable(format!("{number} is no number of a member")))?;
            numbered.insert(place, member);
        }
        Ok(numbered.into_values().collect())
    }
}

/// Texts that become numbers or truth.
macro_rules! parsed {
    ($($method:ident => $visit:ident: $type:ty),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
            let text = self.text()?;
            match text.trim().parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Unreadable(format!("{text:?} is no {}", stringify!($type)))),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Node {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self {
            Self::Text(text) => visitor.visit_string(text),
            Self::Below(below) => visitor.visit_map(MapDeserializer::new(below.into_iter())),
        }
    }

    parsed! {
        deserialize_bool => visit_bool: bool,
        deserialize_i8 => visit_i64: i64,
        deserialize_i16 => visit_i64: i64,
        deserialize_i32 => visit_i64: i64,
        deserialize_i64 => visit_i64: i64,
        deserialize_u8 => visit_u64: u64,
        deserialize_u16 => visit_u64: u64,
        deserialize_u32 => visit_u64: u64,
        deserialize_u64 => visit_u64: u64,
        deserialize_f32 => visit_f64: f64,
        deserialize_f64 => visit_f64: f64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_seq(SeqDeserializer::new(self.members()?.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        match self {
            Self::Below(below) => visitor.visit_map(MapDeserializer::new(below.into_iter())),
            Self::Text(text) => Err(Unreadable(format!("{text:?} is no structure"))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        let number = match name {
            INSTANT => {
                let text = self.text()?;
                let seconds = parse_instant(&text);
                // The one text that the service itself says here.
                seconds.ok_or_else(|| Unreadable("timestamp must follow ISO8601".to_owned()))?
            }
            DOUBLE => {
                let text = self.text()?;
                let number = text.trim().parse::<f64>();
                number.map_err(|_| Unreadable(format!("{text:?} is no number")))?
            }
            _ => return visitor.visit_newtype_struct(self),
        };
        let number: serde::de::value::F64Deserializer<Unreadable> = number.into_deserializer();
        visitor.visit_newtype_struct(number)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map enum
        identifier
    }
}

impl IntoDeserializer<'_, Unreadable> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::cloudwatch::field::{Double, Instant};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Request {
        name: Option<String>,
        when: Option<Instant>,
        value: Option<Double>,
        period: Option<i64>,
        is: Option<bool>,
        list: Option<Vec<Member>>,
        numbers: Option<Vec<Double>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Member {
        name: String,
    }

    fn read(form: &str) -> Result<Request, String> {
        let parsed = parse(form.as_bytes()).and_then(|all| Request::deserialize(Node::Below(all)));
        parsed.map_err(|error| error.0)
    }

    #[test]
    fn paths_become_structures_and_lists_in_the_order_of_their_numbers() {
        let form = "Action=X&Name=a%20b%2B&When=1970-01-01T00%3A01%3A00Z&Value=-1.5e3&Period=60&Is=true\
                    &List.member.10.Name=ten&List.member.2.Name=two&Numbers=";
        let expected = Request {
            name: Some("a b+".to_owned()),
            when: Some(Instant(60.0)),
            value: Some(Double(-1500.0)),
            period: Some(60),
            is: Some(true),
            list: Some(
                ["two", "ten"]
                    .map(|name| Member {
                        name: name.to_owned(),
                    })
                    .into(),
            ),
            numbers: Some(Vec::new()),
        };
        assert_eq!(read(form), Ok(expected));
        assert_eq!(read(""), Ok(Request::default()));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let deep = format!("{}x=1", "a.".repeat(DEPTH_MAX));
        for (form, expected) in [
            ("When=yesterday", "timestamp must follow ISO8601"),
            ("Value=much", "\"much\" is no number"),
            ("Period=1.5", "\"1.5\" is no i64"),
            ("Is=maybe", "\"maybe\" is no bool"),
            ("Name.x=1", "invalid type: map, expected a string"),
            ("List=x", "a list was expected"),
            ("List.x.1.Name=a", "a list has members and no more"),
            ("List.member.x.Name=a", "x is no number of a member"),
            ("List.member.1=a", "\"a\" is no structure"),
            ("Value.x=1", "a value was expected, and a structure found"),
            (
                "A=1&A.b=2",
                "the parameter A.b is both a value and a structure",
            ),
            (
                "A.b=2&A=1",
                "the parameter A is both a value and a structure",
            ),
            (
                &deep,
                &format!("the parameter {}x has more than 16 parts", "a.".repeat(16)),
            ),
        ] {
            assert_eq!(read(form), Err(expected.to_owned()), "{form}");
        }
    }
}
