//! Table 6.8.

use super::*;
use crate::model::SequenceNumber;

fn matches(pattern: &str, data: &str) -> bool {
    let criteria = FilterCriteria::new([format!(r#"{{"data": {pattern}}}"#)]);
    criteria.unwrap().matches_data(data.as_bytes())
}

/// A pattern of the payload, payloads that it matches, and payloads that it does not.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// 6.8, operators.
const OPERATORS: [Case; 22] = [
    (
        r#"{"a": ["x"]}"#,
        &[
            r#"{"a": "x"}"#,
            r#"{"b": 1, "a": "x"}"#,
            r#"{"a": "\u0078"}"#,
        ],
        &[
            r#"{"a": "X"}"#,
            r#"{"a": "xx"}"#,
            r#"{"a": 1}"#,
            r#"{"b": "x"}"#,
            "{}",
            r#"{"a": {"x": "x"}}"#,
        ],
    ),
    (
        r#"{"a": [""]}"#,
        &[r#"{"a": ""}"#],
        &[r#"{"a": " "}"#, r#"{"a": null}"#, "{}"],
    ),
    (
        r#"{"a": [300]}"#,
        &[r#"{"a": 300}"#],
        &[r#"{"a": 300.0}"#, r#"{"a": 3.0e2}"#, r#"{"a": "300"}"#],
    ),
    (
        r#"{"a": [true]}"#,
        &[r#"{"a": true}"#],
        &[r#"{"a": false}"#, r#"{"a": "true"}"#],
    ),
    (
        r#"{"a": [null]}"#,
        &[r#"{"a": null}"#],
        &["{}", r#"{"a": "null"}"#, r#"{"a": 0}"#],
    ),
    (
        r#"{"a": ["x", 1]}"#,
        &[r#"{"a": "x"}"#, r#"{"a": 1}"#],
        &[r#"{"a": 2}"#],
    ),
    (
        r#"{"a": ["x"], "b": ["y"]}"#,
        &[r#"{"a": "x", "b": "y"}"#],
        &[r#"{"a": "x"}"#, r#"{"a": "x", "b": "x"}"#],
    ),
    (
        r#"{"a": {"b": ["x"]}}"#,
        &[r#"{"a": {"b": "x", "c": 1}}"#],
        &[
            r#"{"a": "x"}"#,
            r#"{"b": "x"}"#,
            r#"{"a": {}}"#,
            r#"{"a.b": "x"}"#,
        ],
    ),
    (
        r#"{"a": [{"prefix": "us-"}]}"#,
        &[r#"{"a": "us-east-1"}"#, r#"{"a": "us-"}"#],
        &[r#"{"a": "US-east"}"#, r#"{"a": "us"}"#, r#"{"a": 1}"#, "{}"],
    ),
    (
        r#"{"a": [{"suffix": ".png"}]}"#,
        &[r#"{"a": "x.png"}"#],
        &[r#"{"a": "x.PNG"}"#, r#"{"a": ".png "}"#],
    ),
    (
        r#"{"a": [{"equals-ignore-case": "AliCe"}]}"#,
        &[r#"{"a": "alice"}"#, r#"{"a": "ALICE"}"#],
        &[r#"{"a": "alic"}"#, r#"{"a": null}"#],
    ),
    (
        r#"{"a": [{"anything-but": "x"}]}"#,
        &[r#"{"a": "y"}"#, r#"{"a": 1}"#, r#"{"a": null}"#],
        &[r#"{"a": "x"}"#, "{}"],
    ),
    (
        r#"{"a": [{"anything-but": ["x", 1]}]}"#,
        &[r#"{"a": "y"}"#, r#"{"a": 2}"#],
        &[r#"{"a": "x"}"#, r#"{"a": 1}"#, "{}"],
    ),
    (
        r#"{"a": [{"exists": true}]}"#,
        &[r#"{"a": 1}"#, r#"{"a": null}"#, r#"{"a": [0]}"#],
        &["{}", r#"{"a": {"b": 1}}"#, r#"{"a": []}"#],
    ),
    (
        r#"{"a": [{"exists": false}]}"#,
        &["{}", r#"{"a": {"b": 1}}"#, "1", "[]"],
        &[r#"{"a": 1}"#, r#"{"a": null}"#],
    ),
    (
        r#"{"a": {"b": [{"exists": false}]}}"#,
        &["{}", r#"{"a": 1}"#, r#"{"a": {"c": 1}}"#],
        &[r#"{"a": {"b": 1}}"#],
    ),
    (
        r#"{"a": [{"numeric": ["=", 300]}]}"#,
        &[r#"{"a": 300}"#, r#"{"a": 300.0}"#, r#"{"a": 3.0e2}"#],
        &[r#"{"a": 301}"#, r#"{"a": "300"}"#, "{}"],
    ),
    (
        r#"{"a": [{"numeric": [">", 0, "<=", 5]}]}"#,
        &[r#"{"a": 0.1}"#, r#"{"a": 5}"#],
        &[r#"{"a": 0}"#, r#"{"a": 5.1}"#],
    ),
    (
        r#"{"a": [{"numeric": ["<", 0]}, {"numeric": [">=", 9]}]}"#,
        &[r#"{"a": -1}"#, r#"{"a": 9}"#],
        &[r#"{"a": 0}"#],
    ),
    (
        r#"{"$or": [{"a": ["x"]}, {"b": [{"numeric": [">", 1]}]}]}"#,
        &[r#"{"a": "x"}"#, r#"{"b": 2}"#],
        &[r#"{"a": "y", "b": 1}"#, "{}"],
    ),
    (
        r#"{"c": [1], "$or": [{"a": ["x"]}, {"b": ["y"]}]}"#,
        &[r#"{"c": 1, "b": "y"}"#],
        &[r#"{"c": 2, "b": "y"}"#, r#"{"c": 1}"#],
    ),
    (
        r#"{"p": {"$or": [{"a": ["x"]}, {"b": ["y"]}]}}"#,
        &[r#"{"p": {"b": "y"}}"#],
        &[r#"{"b": "y"}"#, r#"{"p": {}}"#],
    ),
];

#[test]
fn every_operator_matches_what_it_says() {
    for (pattern, good, bad) in OPERATORS {
        for data in good {
            assert!(matches(pattern, data), "6.8: {pattern} should match {data}");
        }
        for data in bad {
            assert!(
                !matches(pattern, data),
                "6.8: {pattern} should not match {data}"
            );
        }
    }
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

/// 6.8, drop rules.
#[test]
fn what_is_not_json_is_dropped_if_the_pattern_asks_about_it() {
    let asks = FilterCriteria::new([r#"{"data": {"a": [{"exists": false}]}}"#]).unwrap();
    for data in [&b"text"[..], b"", b"{", b"{} {}", b"\xff", br#"{"b": 01}"#] {
        assert!(!asks.matches_data(data), "{data:?}");
    }
    for data in [&b"{}"[..], b"1", b"\"text\"", b" {} \n"] {
        assert!(asks.matches_data(data), "{data:?} is JSON");
    }
}

fn record(key: &str, data: &'static str) -> Record {
    Record {
        sequence_number: SequenceNumber::new("10").unwrap(),
        subsequence_number: 0,
        partition_key: key.to_owned(),
        data: data.into(),
        approximate_arrival: None,
    }
}

/// 6.8: only `data`, and metadata as an extension.
#[test]
fn metadata_is_an_extension() {
    let pattern = r#"{"partitionKey": [{"prefix": "ann"}]}"#;
    assert_eq!(
        FilterCriteria::new([pattern]).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let criteria = FilterCriteria::with_metadata([pattern]).unwrap();
    assert!(
        criteria.matches(&record("anna", "not JSON")),
        "its payload is not asked about"
    );
    assert!(!criteria.matches(&record("bob", "{}")));
    let both = r#"{"partitionKey": ["ann"], "data": {"a": [1]}}"#;
    let criteria = FilterCriteria::with_metadata([both]).unwrap();
    assert!(criteria.matches(&record("ann", r#"{"a": 1}"#)));
    assert!(!criteria.matches(&record("ann", "not JSON")));
    assert!(!criteria.matches(&record("bob", r#"{"a": 1}"#)));
    let others = r#"{"sequenceNumber": ["10"], "kinesisSchemaVersion": ["1.0"], "approximateArrivalTimestamp": [{"numeric": ["=", 0]}]}"#;
    assert!(
        FilterCriteria::with_metadata([others])
            .unwrap()
            .matches(&record("k", ""))
    );
}

/// 6.1, FilterCriteria: ORed.
#[test]
fn one_pattern_of_several_is_enough() {
    let criteria =
        FilterCriteria::new([r#"{"data": {"a": [1]}}"#, r#"{"data": {"b": [2]}}"#]).unwrap();
    assert!(criteria.matches(&record("k", r#"{"b": 2}"#)));
    assert!(!criteria.matches(&record("k", r#"{"b": 1}"#)));
    let none: [&str; 0] = [];
    assert!(
        FilterCriteria::new(none)
            .unwrap()
            .matches(&record("k", "anything"))
    );
}

/// Patterns that are none, and a word of what is said of them.
const REFUSED: [(&str, &str); 29] = [
    ("not JSON", "not JSON"),
    ("[]", "not an object"),
    ("{}", "no condition"),
    (r#"{"data": {}}"#, "no condition"),
    (r#"{"data": ["text"]}"#, "payloads are JSON"),
    (r#"{"data": "text"}"#, "must be a list"),
    (
        r#"{"$or": [{"data": ["x"]}, {"data": {"a": [1]}}]}"#,
        "payloads are JSON",
    ),
    (r#"{"eventName": ["x"]}"#, "may about data"),
    (r#"{"data": {"a": "x"}}"#, "data.a must be a list"),
    (r#"{"data": {"a": []}}"#, "empty list"),
    (r#"{"data": {"a": [["x"]]}}"#, "list in a list"),
    (r#"{"data": {"a": [1], "a": [2]}}"#, "twice"),
    (r#"{"data": {"a": [{}]}}"#, "exactly one operator"),
    (
        r#"{"data": {"a": [{"prefix": "x", "suffix": "y"}]}}"#,
        "exactly one operator",
    ),
    (r#"{"data": {"a": [{"wildcard": "x*"}]}}"#, "wildcard"),
    (r#"{"data": {"a": [{"cidr": "10.0.0.0/8"}]}}"#, "cidr"),
    (r#"{"data": {"a": [{"prefix": 1}]}}"#, "takes a text"),
    (
        r#"{"data": {"a": [{"prefix": {"equals-ignore-case": "x"}}]}}"#,
        "takes a text",
    ),
    (
        r#"{"data": {"a": [{"anything-but": {"prefix": "x"}}]}}"#,
        "takes a value",
    ),
    (
        r#"{"data": {"a": [{"anything-but": []}]}}"#,
        "takes a value",
    ),
    (r#"{"data": {"a": [{"exists": 1}]}}"#, "true or false"),
    (r#"{"data": {"a": [{"numeric": []}]}}"#, "one comparison"),
    (r#"{"data": {"a": [{"numeric": [">"]}]}}"#, "one comparison"),
    (
        r#"{"data": {"a": [{"numeric": ["!", 1]}]}}"#,
        "one comparison",
    ),
    (
        r#"{"data": {"a": [{"numeric": [">", "1"]}]}}"#,
        "one comparison",
    ),
    (
        r#"{"data": {"a": [{"numeric": [">", 1, ">=", 2]}]}}"#,
        "one comparison",
    ),
    (
        r#"{"data": {"a": [{"numeric": [">", 1, "<", 2, "=", 3]}]}}"#,
        "one comparison",
    ),
    (r#"{"data": {"$or": [{"a": [1]}]}}"#, "two objects"),
    (r#"{"data": {"$or": [{"a": [1]}, {}]}}"#, "no condition"),
];

/// 6.1, 6.8: refused when the mapping is made, with what is wrong.
#[test]
fn what_is_no_pattern_is_refused() {
    for (pattern, what) in REFUSED {
        let error = FilterCriteria::new([pattern]).expect_err(pattern);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(what), "{pattern}: {error}");
    }
    let deep = format!(
        "{}[1]{}",
        r#"{"data": "#.to_owned() + &r#"{"a":"#.repeat(500),
        "}".repeat(501)
    );
    assert!(
        FilterCriteria::new([deep])
            .unwrap_err()
            .to_string()
            .contains("deeper")
    );
    let long = format!(
        r#"{{"data": {{"a": ["{}"]}}}}"#,
        "x".repeat(PATTERN_CHARS_MAX)
    );
    assert!(
        FilterCriteria::new([long])
            .unwrap_err()
            .to_string()
            .contains("4096")
    );
    let many = vec![r#"{"data": {"a": [1]}}"#; PATTERNS_MAX + 1];
    assert!(
        FilterCriteria::new(many)
            .unwrap_err()
            .to_string()
            .contains("more than 10")
    );
}
