//! What every request and reply has in common: texts borrowed from the body, base64, the limits
//! the service's model puts on parameters, consumed capacity.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::error::Category;

use super::refusal::Refusal;

/// A text, borrowed from the request's body where JSON allows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Scalar { kind: "String" }).map(Text)
    }
}

/// Bytes, sent as base64.
#[derive(Debug)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = input.deserialize_any(Scalar { kind: "ByteBuffer" })?;
        if text.len() % 4 != 0 {
            return Err(de::Error::custom(format_args!(
                "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
                text.len()
            )));
        }
        let bytes = base64_simd::STANDARD.decode_to_vec(text.as_bytes());
        bytes
            .map(Self)
            .map_err(|_| de::Error::custom("Invalid last non-pad Base64 character dectected"))
    }
}

/// A flag. QUIRK(dynamodb): some texts are flags too.
#[derive(Debug)]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(FlagVisitor).map(Self)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a boolean")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        match text.to_ascii_uppercase().as_str() {
            "TRUE" | "1" | "YES" => Ok(true),
            "FALSE" | "0" | "NO" => Ok(false),
            _ => Err(E::invalid_type(de::Unexpected::Str(text), &self)),
        }
    }
}

/// Takes a JSON string; says what else it found in the service's words.
struct Scalar {
    kind: &'static str,
}

impl Scalar {
    fn refuse<E: de::Error>(&self, found: &str) -> E {
        if self.kind == "ByteBuffer" {
            return E::custom("only base-64-encoded strings are convertible to bytes");
        }
        E::custom(format_args!("{found} cannot be converted to {}", self.kind))
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a {}", self.kind)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Err(self.refuse(if value { "TRUE_VALUE" } else { "FALSE_VALUE" }))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(self.refuse("NUMBER_VALUE"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(self.refuse("NUMBER_VALUE"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(self.refuse("DECIMAL_VALUE"))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        let package = if self.kind == "ByteBuffer" {
            "nio"
        } else {
            "lang"
        };
        Err(de::Error::custom(format_args!(
            "Unrecognized collection type class java.{package}.{}",
            self.kind
        )))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(de::Error::custom(
            "Start of structure or map found where not expected",
        ))
    }
}

/// Reads a request.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        // serde_json appends where it stood; the service does not say.
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text = text.strip_suffix(&place).unwrap_or(&text);
        let words = (error.classify() == Category::Data).then(|| wrong_type(text));
        Refusal::serialization(words.flatten().as_deref().unwrap_or(text))
    })
}

/// What the service says where JSON has another type than is due; nothing for what is not that. What
/// was found and what was due is known from the deserialiser's text alone: `invalid type: FOUND,
/// expected DUE`.
fn wrong_type(text: &str) -> Option<String> {
    let (found, due) = text
        .strip_prefix("invalid type: ")?
        .split_once(", expected ")?;
    let kind = found.split(' ').next().unwrap_or_default();
    let is_true = found.ends_with("`true`");
    let scalar = match due {
        "a boolean" => Some("Boolean"),
        "i64" => Some("Integer"),
        _ => None,
    };
    let is_list = due.contains("sequence");
    let is_map = due.starts_with("a map");
    Some(match (kind, scalar) {
        ("map", _) => "Start of structure or map found where not expected".to_owned(),
        ("sequence", Some(scalar)) => {
            format!("Unrecognized collection type class java.lang.{scalar}")
        }
        ("sequence", None) => "Unrecognized collection type".to_owned(),
        ("string", Some("Boolean")) => "Unexpected token received from parser".to_owned(),
        ("string", Some(scalar)) => format!("STRING_VALUE cannot be converted to {scalar}"),
        ("integer", Some(scalar)) => format!("NUMBER_VALUE cannot be converted to {scalar}"),
        ("floating", Some(scalar)) => format!("DECIMAL_VALUE cannot be converted to {scalar}"),
        ("boolean", Some(scalar)) => {
            let value = if is_true { "TRUE_VALUE" } else { "FALSE_VALUE" };
            format!("{value} cannot be converted to {scalar}")
        }
        _ if is_list || is_map => "Unexpected field type".to_owned(),
        _ => "Unexpected value type in payload".to_owned(),
    })
}

/// A parameter that takes one of a few names.
pub(crate) trait Choice: Sized + Copy + 'static {
    /// The names, in the order in which the service lists them when it refuses another.
    const ALL: &'static [(&'static str, Self)];
}

/// Collects what the service's model refuses, to report it all at once.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    broken: Vec<String>,
}

impl Constraints {
    /// Notes that `value` at `path` breaks a constraint.
    pub(crate) fn refuse(&mut self, value: Option<&dyn fmt::Display>, path: &str, what: &str) {
        // The service stops after ten.
        if self.broken.len() >= 10 {
            return;
        }
        let mut text = String::from("Value ");
        let written = match value {
            Some(value) => write!(text, "'{value}'"),
            None => write!(text, "null"),
        };
        written.expect("a String takes everything");
        text.push_str(&format!(
            " at '{path}' failed to satisfy constraint: {what}"
        ));
        self.broken.push(text);
    }

    /// The choice that `value` names, if it names one.
    pub(crate) fn choice<C: Choice>(&mut self, value: Option<&Text<'_>>, path: &str) -> Option<C> {
        self.choice_at(value, || path.to_owned())
    }

    /// As [`Constraints::choice`], for a path that is only put together where it has to be told.
    pub(crate) fn choice_at<C: Choice>(
        &mut self,
        value: Option<&Text<'_>>,
        path: impl FnOnce() -> String,
    ) -> Option<C> {
        let value = value?;
        let found = C::ALL.iter().find(|(name, _)| *name == &**value);
        if found.is_none() {
            let names: Vec<_> = C::ALL.iter().map(|(name, _)| *name).collect();
            let set = names.join(", ");
            self.refuse(
                Some(&&**value),
                &path(),
                &format!("Member must satisfy enum value set: [{set}]"),
            );
        }
        found.map(|(_, choice)| *choice)
    }

    /// Refuses numbers outside `from..=to`.
    pub(crate) fn range(&mut self, value: Option<i64>, path: &str, from: i64, to: i64) {
        let Some(value) = value else { return };
        if value < from {
            let what = format!("Member must have value greater than or equal to {from}");
            self.refuse(Some(&value), path, &what);
        } else if value > to {
            let what = format!("Member must have value less than or equal to {to}");
            self.refuse(Some(&value), path, &what);
        }
    }

    /// Refuses lengths outside `from..=to`.
    pub(crate) fn length(
        &mut self,
        shown: &dyn fmt::Display,
        length: usize,
        path: &str,
        (from, to): (usize, usize),
    ) {
        if length < from {
            let what = format!("Member must have length greater than or equal to {from}");
            self.refuse(Some(shown), path, &what);
        } else if length > to {
            let what = format!("Member must have length less than or equal to {to}");
            self.refuse(Some(shown), path, &what);
        }
    }

    /// Refuses names with other characters than the service's tables and indexes take.
    pub(crate) fn name(&mut self, name: &str, path: &str) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !name.bytes().all(fits) {
            let what = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
            self.refuse(Some(&name), path, what);
        }
    }

    /// Refuses the request if anything was noted.
    pub(crate) fn check(self) -> Result<(), Refusal> {
        if self.broken.is_empty() {
            return Ok(());
        }
        let count = self.broken.len();
        let plural = if count == 1 { "" } else { "s" };
        Err(Refusal::validation(format!(
            "{count} validation error{plural} detected: {}",
            self.broken.join("; ")
        )))
    }
}

/// Refuses a request without a parameter that it needs.
pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| {
        Refusal::validation(format!(
            "The parameter '{name}' is required but was not present in the request"
        ))
    })
}
