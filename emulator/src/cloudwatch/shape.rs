//! Replies, before it is known in which protocol they go out.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::clock::Moment;
use crate::wire::cbor::TIME;

/// A part of a reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Text(String),
    Number(f64),
    /// In seconds.
    Time(u64),
    List(Vec<Self>),
    /// Members by names that stand in the service's model.
    Structure(Vec<(&'static str, Self)>),
    /// Values by names that the caller has given.
    Map(Vec<(String, Self)>),
}

impl Shape {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// As JSON and CBOR have it.
impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_f64(*number),
            // Both have numbers of seconds, CBOR under the tag of a time.
            Self::Time(second) => serializer.serialize_newtype_struct(TIME, &(*second as f64)),
            Self::List(members) => serializer.collect_seq(members),
            Self::Structure(members) => {
                let mut structure = serializer.serialize_struct("", members.len())?;
                for (name, member) in members {
                    structure.serialize_field(name, member)?;
                }
                structure.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (name, value) in entries {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl Shape {
    /// Appends it as XML: a list's members are `member`, and a map's entries have a `key` and a `value`.
    pub(super) fn write_xml(&self, out: &mut String) {
        match self {
            Self::Text(text) => escape(out, text),
            // With a fraction or an exponent, as the service has it.
            Self::Number(number) => out.push_str(&format!("{number:?}")),
            Self::Time(second) => {
                let text = Moment(second.saturating_mul(1000)).to_rfc3339();
                out.push_str(&text.replace(".000Z", "Z"));
            }
            Self::List(members) => {
                for member in members {
                    element(out, "member", |out| member.write_xml(out));
                }
            }
            Self::Structure(members) => {
                for (name, member) in members {
                    element(out, name, |out| member.write_xml(out));
                }
            }
            Self::Map(entries) => {
                for (name, value) in entries {
                    element(out, "entry", |out| {
                        element(out, "key", |out| escape(out, name));
                        element(out, "value", |out| value.write_xml(out));
                    });
                }
            }
        }
    }
}

pub(super) fn element(out: &mut String, name: &str, inside: impl FnOnce(&mut String)) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    inside(out);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// Appends a text as it stands between two tags. What XML cannot say becomes a question mark.
pub(super) fn escape(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would make it a line feed.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' | ' '.. => out.push(if is_xml(char) { char } else { '?' }),
            _ => out.push('?'),
        }
    }
}

fn is_xml(char: char) -> bool {
    !matches!(char, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cbor;

    fn reply() -> Shape {
        Shape::Structure(vec![
            ("Label", Shape::text("a<b & \"c\"\u{1}")),
            (
                "Times",
                Shape::List(vec![Shape::Time(60), Shape::Time(1_700_000_000)]),
            ),
            ("None", Shape::List(Vec::new())),
            (
                "Map",
                Shape::Map(vec![("p99".to_owned(), Shape::Number(1.0))]),
            ),
        ])
    }

    #[test]
    fn the_three_protocols_say_the_same() {
        let mut xml = String::new();
        reply().write_xml(&mut xml);
        let expected = "<Label>a&lt;b &amp; &quot;c&quot;?</Label>\
                        <Times><member>1970-01-01T00:01:00Z</member>\
                        <member>2023-11-14T22:13:20Z</member></Times><None></None>\
                        <Map><entry><key>p99</key><value>1.0</value></entry></Map>";
        assert_eq!(xml, expected);
        let json = serde_json::to_string(&reply()).unwrap();
        let expected = r#"{"Label":"a<b & \"c\"\u0001","Times":[60.0,1700000000.0],"None":[],"Map":{"p99":1.0}}"#;
        assert_eq!(json, expected);
        let bytes = cbor::to_vec(&Shape::List(vec![Shape::Time(60)]));
        let expected = [0x9f, 0xc1, 0xfb, 0x40, 0x4e, 0, 0, 0, 0, 0, 0, 0xff];
        assert_eq!(bytes, expected);
    }
}
