//! `docs/settings.md` says what the code does.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::BTreeMap;

use kcl_efo::FanOutSettings;
use serde_json::Value;

/// Every setting with its default as a person would write it.
fn defaults() -> BTreeMap<String, String> {
    let settings = serde_json::to_value(FanOutSettings::default()).unwrap();
    let mut defaults = BTreeMap::new();
    for (group, settings) in settings.as_object().unwrap() {
        for (name, value) in settings.as_object().unwrap() {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_) => value.to_string(),
            };
            defaults.insert(format!("fan_out.{group}.{name}"), value);
        }
    }
    defaults
}

/// The rows of the table under the heading of `kcl-efo`.
fn documented() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut sections = text.split("\n## ");
    let section = sections
        .find(|section| section.starts_with("kcl-efo"))
        .unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|row| {
        let mut cells = row.split('|').skip(1);
        (cell(cells.next().unwrap()), cell(cells.next().unwrap()))
    })
    .collect()
}

#[test]
fn every_setting_is_documented_with_its_default() {
    assert_eq!(
        documented(),
        defaults(),
        "left: docs/settings.md, right: the code"
    );
}
