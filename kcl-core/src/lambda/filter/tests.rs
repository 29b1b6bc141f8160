//! What no row of the service's tells: lists, fields that are there twice, depth. The rows are in `tests/lambda/filters.rs`.

use super::*;

fn matches(pattern: &str, data: &str) -> bool {
    let criteria = FilterCriteria::new([format!(r#"{{"data": {pattern}}}"#)]);
    criteria.unwrap().matches_data(data.as_bytes())
}

#[test]
fn a_list_matches_by_what_is_in_it() {
    assert!(matches(r#"{"a": ["x"]}"#, r#"{"a": ["y", ["x"]]}"#));
    assert!(!matches(r#"{"a": ["x"]}"#, r#"{"a": ["y"]}"#));
    let both = r#"{"l": {"a": [1], "b": [2]}}"#;
    assert!(matches(both, r#"{"l": [{"a": 1, "b": 2}, {}]}"#));
    assert!(
        !matches(both, r#"{"l": [{"a": 1}, {"b": 2}]}"#),
        "in one and the same object"
    );
    let deep = |depth| format!("{{\"a\": {}\"x\"{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(matches(r#"{"a": ["x"]}"#, &deep(16)));
    assert!(
        !matches(r#"{"a": ["x"]}"#, &deep(100_000)),
        "and no stack ends"
    );
}

#[test]
fn of_a_field_that_is_there_twice_the_last_counts() {
    assert!(matches(r#"{"a": [2]}"#, r#"{"a": 1, "a": 2}"#));
    assert!(!matches(r#"{"a": [1]}"#, r#"{"a": 1, "a": 2}"#));
}
