//! `docs/settings.md` lists what there is to set.

use std::collections::BTreeSet;

use kcl_lease::{Balance, LeaseSettings};

#[test]
fn every_setting_is_documented_and_no_other() {
    let page = include_str!("../../docs/settings.md");
    let (_, section) = page.split_once("## kcl-lease: `LeaseSettings`").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    let defaults = serde_json::to_value(LeaseSettings::default()).unwrap();
    let named: BTreeSet<&str> = defaults
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(documented, named);
    let balance = defaults["balance"].as_str().unwrap();
    assert!(section.contains(&format!("`balance` | `{balance}`")));
}

#[test]
fn what_is_not_given_is_as_by_default() {
    let given: LeaseSettings =
        serde_json::from_str(r#"{"balance": "count", "capacity": 2}"#).unwrap();
    let expected = LeaseSettings {
        balance: Balance::Count,
        capacity: 2.0,
        ..LeaseSettings::default()
    };
    assert_eq!(given, expected);
}
