//! `docs/settings.md` says what the code does.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::BTreeMap;

use kcl_core::{PollSettings, Settings};
use serde_json::Value;

/// Every setting below `path`, with its default as a person would write it.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, into);
            }
        }
        Value::String(text) => drop(into.insert(path.to_owned(), text.clone())),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            drop(into.insert(path.to_owned(), other.to_string()))
        }
    }
}

/// The rows of the tables under headings that begin with `kcl-core`.
fn documented() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
    let text = std::fs::read_to_string(path).unwrap();
    let sections = text
        .split("\n## ")
        .filter(|section| section.starts_with("kcl-core"));
    let rows = sections
        .flat_map(str::lines)
        .filter(|line| line.starts_with("| `"));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|row| {
        let mut cells = row.split('|').skip(1);
        (cell(cells.next().unwrap()), cell(cells.next().unwrap()))
    })
    .collect()
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let mut defaults = BTreeMap::new();
    flatten(
        "",
        &serde_json::to_value(Settings::default()).unwrap(),
        &mut defaults,
    );
    flatten(
        "poll",
        &serde_json::to_value(PollSettings::default()).unwrap(),
        &mut defaults,
    );
    assert_eq!(
        documented(),
        defaults,
        "left: docs/settings.md, right: the code"
    );
}
