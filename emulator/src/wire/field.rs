//! The types of request members, and what the service says when a member has another type.
//!
//! Unknown members are ignored and `null` is absent; everything else that does not fit is a
//! `SerializationException` in the service's words. Text is borrowed from the request where it can be.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::clock::Moment;
use crate::refusal::{Kind, Refusal};

const LIST: &str = "Start of list found where not expected";
const MAP: &str = "Start of structure or map found where not expected.";
const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";
const STRING: &str = "class java.lang.String";
const BOOLEAN: &str = "class java.lang.Boolean";

/// Reads a request from its JSON body.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    // A structure would also be read from a list, so lists are kept out here.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::bare(Kind::Serialization));
    }
    serde_json::from_slice(body).map_err(|error| {
        // What is no JSON at all is refused without a word, wherever a type was wrong before.
        if !error.is_data() || !is_object(body) {
            return Refusal::bare(Kind::Serialization);
        }
        let text = error.to_string();
        let text = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(text, _)| text);
        Refusal::new(Kind::Serialization, text)
    })
}

/// Whether the body is a JSON object, whatever is in it.
pub(crate) fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
        && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// A string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// Bytes, still in the base64 of the request.
#[derive(Clone, Debug)]
pub(crate) struct Blob<'a>(pub(crate) Cow<'a, str>);

/// An integer of 32 bits: fractions are cut, what is too large is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Int(pub(crate) i32);

/// Truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

/// An instant: seconds, with milliseconds as their fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Moment);

/// A structure, which must not be given as a list.
#[derive(Clone, Debug)]
pub(crate) struct Shape<T>(pub(crate) T);

/// A list. An absent member is kept, as its place counts in messages.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<Option<T>>);

/// A map from strings to strings.
#[derive(Clone, Debug)]
pub(crate) struct Map<'a>(pub(crate) Vec<(Cow<'a, str>, Option<Text<'a>>)>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text of an optional member.
pub(crate) fn text<'a>(member: &'a Option<Text<'_>>) -> Option<&'a str> {
    member.as_ref().map(Text::as_str)
}

/// What a visitor does with the JSON types that it does not take.
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

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(TextVisitor("an String"))
            .map(Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(TextVisitor("a Blob"))
            .map(Self)
    }
}

struct TextVisitor(&'static str);

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
    refuse!(
        bool,
        self,
        format_args!("{BOOLEAN} can not be converted to {}", self.0)
    );
    refuse!(
        number,
        self,
        format_args!("{NUMBER} can not be converted to {}", self.0)
    );
    refuse!(list);
    refuse!(map);
    refuse!(expecting);
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntVisitor;
        impl<'de> Visitor<'de> for IntVisitor {
            type Value = Int;
            fn visit_i64<E: Error>(self, number: i64) -> Result<Int, E> {
                Ok(Int(i32::try_from(number).unwrap_or(if number < 0 {
                    i32::MIN
                } else {
                    i32::MAX
                })))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Int, E> {
                Ok(Int(i32::try_from(number).unwrap_or(i32::MAX)))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Int, E> {
                // `as` saturates, as the service does.
                Ok(Int(number as i32))
            }
            refuse!(
                bool,
                self,
                format_args!("{BOOLEAN} can not be converted to an Integer")
            );
            refuse!(
                string,
                self,
                format_args!("{STRING} can not be converted to an Integer")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(IntVisitor)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl<'de> Visitor<'de> for FlagVisitor {
            type Value = Flag;
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Flag, E> {
                Ok(Flag(truth))
            }
            refuse!(
                number,
                self,
                format_args!("{NUMBER} can not be converted to an Boolean")
            );
            refuse!(
                string,
                self,
                format_args!("{STRING} can not be converted to an Boolean")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(FlagVisitor)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl<'de> Visitor<'de> for TimeVisitor {
            type Value = Time;
            fn visit_i64<E: Error>(self, seconds: i64) -> Result<Time, E> {
                self.visit_u64(u64::try_from(seconds).unwrap_or_default())
            }
            fn visit_u64<E: Error>(self, seconds: u64) -> Result<Time, E> {
                Ok(Time(Moment(seconds.saturating_mul(1000))))
            }
            fn visit_f64<E: Error>(self, seconds: f64) -> Result<Time, E> {
                Ok(Time(Moment::from_seconds(seconds)))
            }
            refuse!(
                bool,
                self,
                format_args!("{BOOLEAN} can not be converted to milliseconds since epoch")
            );
            refuse!(
                string,
                self,
                format_args!("{STRING} can not be converted to milliseconds since epoch")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(TimeVisitor)
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
                    members.push(member);
                }
                Ok(List(members))
            }
            refuse!(bool, self, "Expected list or null");
            refuse!(number, self, "Expected list or null");
            refuse!(string, self, "Expected list or null");
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
                let mut entries = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Map(entries))
            }
            refuse!(bool, self, "Expected map or null");
            refuse!(number, self, "Expected map or null");
            refuse!(string, self, "Expected map or null");
            refuse!(list);
            refuse!(expecting);
        }
        deserializer.deserialize_any(MapVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
        #[serde(borrow)]
        data: Option<Blob<'a>>,
        limit: Option<Int>,
        flag: Option<Flag>,
        time: Option<Time>,
        #[serde(borrow)]
        shape: Option<Shape<Inner<'a>>>,
        #[serde(borrow)]
        list: Option<List<Text<'a>>>,
        #[serde(borrow)]
        map: Option<Map<'a>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inner<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
    }

    fn refused(body: &str) -> Option<String> {
        let refusal = read::<Request<'_>>(body.as_bytes()).expect_err(body);
        assert_eq!(refusal.kind, Kind::Serialization, "{body}");
        refusal.message
    }

    #[test]
    fn members_are_read_and_the_rest_is_ignored() {
        let body = br#"{"Name":"a","Data":"YQ==","Limit":2.9,"Flag":true,"Time":1.5,"Else":[{}],
            "Shape":{"Name":"b"},"List":["c",null],"Map":{"k":"v"}}"#;
        let request: Request<'_> = read(body).unwrap();
        assert_eq!(text(&request.name), Some("a"));
        assert_eq!(request.data.unwrap().0, "YQ==");
        assert_eq!(request.limit, Some(Int(2)));
        assert_eq!(request.flag, Some(Flag(true)));
        assert_eq!(request.time, Some(Time(Moment(1500))));
        assert_eq!(text(&request.shape.unwrap().0.name), Some("b"));
        assert_eq!(request.list.unwrap().0.len(), 2);
        assert_eq!(request.map.unwrap().0[0].0, "k");
    }

    #[test]
    fn null_is_absent_and_large_numbers_are_the_largest() {
        let request: Request<'_> = read(br#"{"Name":null,"Limit":99999999999}"#).unwrap();
        assert_eq!((request.name, request.limit), (None, Some(Int(i32::MAX))));
    }

    #[test]
    fn what_is_no_object_is_refused_without_a_word() {
        for body in [
            "",
            "[]",
            "5",
            "{",
            "nul",
            "{\"Name\":5,",
            "{\"Limit\":\"x\"",
            "[{}]",
        ] {
            assert_eq!(refused(body), None, "{body}");
        }
    }

    #[test]
    fn a_wrong_type_is_refused_in_the_services_words() {
        let number =
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
        let boolean = "class java.lang.Boolean can not be converted to";
        for (body, text) in [
            (r#"{"Name":5}"#, format!("{number} an String")),
            (r#"{"Name":true}"#, format!("{boolean} an String")),
            (r#"{"Name":[]}"#, LIST.to_owned()),
            (r#"{"Name":{}}"#, MAP.to_owned()),
            (r#"{"Data":5.5}"#, format!("{number} a Blob")),
            (
                r#"{"Limit":"5"}"#,
                "class java.lang.String can not be converted to an Integer".into(),
            ),
            (r#"{"Limit":true}"#, format!("{boolean} an Integer")),
            (r#"{"Flag":5}"#, format!("{number} an Boolean")),
            (
                r#"{"Time":"now"}"#,
                "class java.lang.String can not be converted to milliseconds since epoch".into(),
            ),
            (r#"{"Shape":[]}"#, LIST.to_owned()),
            (r#"{"Shape":"a"}"#, "Expected null".to_owned()),
            (r#"{"Shape":{"Name":5}}"#, format!("{number} an String")),
            (r#"{"List":"a"}"#, "Expected list or null".to_owned()),
            (r#"{"List":{}}"#, MAP.to_owned()),
            (r#"{"Map":5}"#, "Expected map or null".to_owned()),
            (r#"{"Map":[]}"#, LIST.to_owned()),
        ] {
            assert_eq!(refused(body), Some(text), "{body}");
        }
    }
}
