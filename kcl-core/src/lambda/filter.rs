//! Which records a function wants: filter criteria. Pure.
//!
//! A pattern is a JSON object as of EventBridge. It is applied to `{"data": ...}`, the payload of the record read as JSON.
//! A record that no pattern matches is dropped, as is one whose payload is not JSON while the pattern asks about it. What is
//! dropped counts as processed: it settles where it is, before batches are made.
//!
//! ```
//! use kcl_core::lambda::filter::FilterCriteria;
//!
//! # fn main() -> Result<(), kcl_core::Error> {
//! let criteria = FilterCriteria::new([r#"{"data": {"temperature": [{"numeric": [">", 30]}]}}"#])?;
//! assert!(criteria.matches_data(br#"{"temperature": 31.5, "place": "attic"}"#));
//! assert!(!criteria.matches_data(br#"{"temperature": 21}"#));
//! assert!(!criteria.matches_data(b"not JSON"));
//! # Ok(())
//! # }
//! ```
//!
//! | rule | matches |
//! |---|---|
//! | `"a"`, `""`, `true`, `null` | exactly that |
//! | `300` | the same digits: neither `300.0` nor `3e2` |
//! | `{"prefix": "a"}`, `{"suffix": "a"}` | a text that begins or ends so |
//! | `{"equals-ignore-case": "a"}` | a text that differs in upper and lower case at most |
//! | `{"anything-but": "a"}`, `{"anything-but": ["a", 1]}` | anything that is there and none of these |
//! | `{"exists": true}`, `{"exists": false}` | a value that is there, or is not; objects are not values |
//! | `{"numeric": [">", 0, "<=", 5]}` | a number, by value; also `=`, `<`, `>=`, and only one |
//! | `"$or": [{...}, {...}]` | what one of these matches |
//!
//! Rules in a list are alternatives, and so are the patterns; fields of an object must all match. A field that the pattern
//! names must be there, unless it says `exists: false`; others are not looked at. A list in the record matches if something in
//! it does. The nested forms of `anything-but`, and `wildcard`, are refused, as an event source mapping does.
//!
//! It is written here because there is no library for it to rely on: of two, one warns in its own words against relying on
//! it, and takes numbers by value; the other has no public source.

mod evaluate;
mod pattern;

use std::time::SystemTime;

use serde_json::value::RawValue;

use self::evaluate::Subject;
use self::pattern::Node;
use super::event::to_json;
use crate::error::{Error, ErrorKind};
use crate::model::Record;

/// Patterns in one set of criteria, at most: 10, which is the service's largest quota. Its default is 5.
pub const PATTERNS_MAX: usize = 10;
/// Characters in a pattern, at most.
pub const PATTERN_CHARS_MAX: usize = 4_096;

/// The patterns of a mapping.
#[derive(Clone, Debug)]
pub struct FilterCriteria {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    root: Node,
    /// Whether it asks about the payload.
    has_data: bool,
}

/// The fields beside `data` that the extension may ask about.
const METADATA: [&str; 4] = [
    "partitionKey",
    "sequenceNumber",
    "approximateArrivalTimestamp",
    "kinesisSchemaVersion",
];

impl FilterCriteria {
    /// Criteria of these patterns, which ask about `data` alone, as Lambda's now do.
    ///
    /// # Errors
    /// Of kind [`Invalid`](ErrorKind::Invalid) if there are too many, one is too long, or is no pattern: with the place
    /// and what is wrong there.
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, Error> {
        Self::read(patterns, &["data"])
    }

    /// As [`new`](Self::new), with patterns that may also ask about `partitionKey`, `sequenceNumber`,
    /// `approximateArrivalTimestamp` and `kinesisSchemaVersion`, beside `data`. Lambda's no longer do.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_metadata<P: AsRef<str>>(
        patterns: impl IntoIterator<Item = P>,
    ) -> Result<Self, Error> {
        let fields: Vec<_> = ["data"].into_iter().chain(METADATA).collect();
        Self::read(patterns, &fields)
    }

    fn read<P: AsRef<str>>(
        patterns: impl IntoIterator<Item = P>,
        fields: &[&str],
    ) -> Result<Self, Error> {
        let mut read = Vec::new();
        for (number, text) in (1..).zip(patterns) {
            let text = text.as_ref();
            let refuse = |why: String| refused(number, &why);
            if number > PATTERNS_MAX {
                return Err(refuse(format!(
                    "there are more than {PATTERNS_MAX} patterns"
                )));
            }
            if text.chars().count() > PATTERN_CHARS_MAX {
                return Err(refuse(format!(
                    "it has more than {PATTERN_CHARS_MAX} characters"
                )));
            }
            let root = Node::read(text).map_err(&refuse)?;
            if let Some(field) = root.fields().find(|field| !fields.contains(field)) {
                let fields = fields.join(", ");
                return Err(refuse(format!(
                    "it asks about {field:?}, and may about {fields}"
                )));
            }
            if root.field("data").any(Node::is_leaf) {
                return Err(refuse(
                    "\"data\" must be an object: payloads are JSON".to_owned(),
                ));
            }
            let has_data = root.field("data").next().is_some();
            read.push(Pattern { root, has_data });
        }
        Ok(Self { patterns: read })
    }

    /// Whether a record is wanted. Without patterns every one is.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.wants(&record.data, || Some(metadata(record)))
    }

    /// Whether a payload is wanted, with nothing known of its record.
    #[must_use]
    pub fn matches_data(&self, data: &[u8]) -> bool {
        self.wants(data, || None)
    }

    fn wants(
        &self,
        data: &[u8],
        metadata: impl FnOnce() -> Option<Vec<(&'static str, Box<RawValue>)>>,
    ) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let payload = serde_json::from_slice::<&RawValue>(data).ok();
        let knows_more = self
            .patterns
            .iter()
            .any(|pattern| pattern.root.fields().any(|field| field != "data"));
        let metadata = knows_more.then(metadata).flatten().unwrap_or_default();
        let others = metadata.iter().map(|(name, value)| (*name, value.as_ref()));
        let fields: Vec<_> = payload
            .map(|data| ("data", data))
            .into_iter()
            .chain(others)
            .collect();
        self.patterns
            .iter()
            .filter(|pattern| payload.is_some() || !pattern.has_data)
            .any(|pattern| pattern.root.matches(&Subject::Fields(&fields)))
    }
}

fn refused(number: usize, why: &str) -> Error {
    let message = format!("filter pattern {number} cannot be used: {why}");
    Error::new(ErrorKind::Invalid, message)
        .with_hint("a pattern looks like {\"data\": {\"status\": [\"new\", {\"prefix\": \"re\"}]}}")
}

fn metadata(record: &Record) -> Vec<(&'static str, Box<RawValue>)> {
    let arrival = record.approximate_arrival.unwrap_or(SystemTime::UNIX_EPOCH);
    let [key, number, time, version] = METADATA;
    let text = |text: &str| raw(&text);
    let fields = [
        (key, text(&record.partition_key)),
        (number, text(record.sequence_number.as_str())),
        (time, raw(&super::event::seconds(arrival))),
        (version, text("1.0")),
    ];
    let known = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    known.collect()
}

fn raw(value: &impl serde::Serialize) -> Option<Box<RawValue>> {
    serde_json::from_slice(&to_json(value)).ok()
}

#[cfg(test)]
mod tests;
