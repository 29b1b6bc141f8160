//! What the requests with tags share: their constraints, in the service's words, and the reply's shape.
//! The rules that tags obey once they are read stand in [`crate::engine::tags`].

use serde::Serialize;

use crate::wire::check::Checks;
use crate::wire::field::{List, Map, Text, text};

/// One tag in a reply.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> From<(&'a String, &'a String)> for Tag<'a> {
    fn from((key, value): (&'a String, &'a String)) -> Self {
        Self { key, value }
    }
}

/// Tags to add must be there, and well formed.
pub(super) fn check_required(checks: &mut Checks, tags: &Option<Map<'_>>) {
    if let Some(tags) = checks.required(&"tags", tags.as_ref()) {
        checks.tags(&"tags", tags);
    }
}

/// Keys to remove must be there, and well formed.
pub(super) fn check_required_keys(checks: &mut Checks, keys: &Option<List<Text<'_>>>) {
    if let Some(keys) = checks.required(&"tagKeys", keys.as_ref()) {
        checks.tag_keys(&"tagKeys", keys);
    }
}

/// The tags of a request as the engine takes them. An absent value is an empty one.
pub(super) fn owned(tags: &Option<Map<'_>>) -> Vec<(String, String)> {
    let pairs = tags.iter().flat_map(|Map(tags)| tags);
    pairs
        .map(|(key, value)| {
            let value = text(value).unwrap_or_default();
            (key.to_string(), value.to_owned())
        })
        .collect()
}

/// The keys of a request.
pub(super) fn keys<'a>(keys: &'a Option<List<Text<'_>>>) -> Vec<&'a str> {
    let keys = keys.iter().flat_map(|List(keys)| keys);
    keys.filter_map(text).collect()
}
