//! 6.8, which records a function wants: each line of a table is a case of its own.

use kcl_core::lambda::filter::{FilterCriteria, PATTERN_CHARS_MAX, PATTERNS_MAX};
use kcl_core::{ErrorKind, Record, SequenceNumber};

use crate::suite::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    let operators = OPERATORS.into_iter().map(|(rows, pattern, good, bad)| {
        Case::new(rows, &format!("what {pattern} matches"), async move || {
            for data in good {
                assert!(matches(pattern, data), "should match {data}");
            }
            for data in bad {
                assert!(!matches(pattern, data), "should not match {data}");
            }
        })
    });
    let refused = REFUSALS.into_iter().map(|(rows, pattern, what)| {
        Case::new(rows, &format!("{pattern} is refused"), async move || {
            let error = FilterCriteria::new([pattern]).expect_err(pattern);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(what), "{error}");
        })
    });
    let others = [
        case!(
            ["6.8 not JSON"],
            what_is_not_json_is_dropped_if_the_pattern_asks_about_it
        ),
        case!(["6.8 only data", "6.8 not JSON"], metadata_is_an_extension),
        case!(["6.1 FilterCriteria"], one_pattern_of_several_is_enough),
        case!(["6.8 refused"], what_is_nested_too_deep_is_refused),
        case!(
            ["6.1 FilterCriteria", "6.8 refused"],
            patterns_are_ten_of_4096_characters_at_most
        ),
        case!(["6.8 texts"], texts_are_not_normalised),
    ];
    operators.chain(refused).chain(others).collect()
}

const PATTERN: &[&str] = &["6.8 pattern", "6.8 fields"];
const TEXTS: &[&str] = &["6.8 operators", "6.8 texts", "6.8 fields"];
const NUMBERS: &[&str] = &["6.8 operators", "6.8 numbers"];
const VALUES: &[&str] = &["6.8 operators", "6.8 fields"];
const OF_MAPPINGS: &[&str] = &["6.8 operators"];
const BUS: &[&str] = &["6.8 of event buses"];
const DATA: &[&str] = &["6.8 only data"];
const REFUSED: &[&str] = &["6.8 refused"];

fn matches(pattern: &str, data: &str) -> bool {
    let criteria = FilterCriteria::new([format!(r#"{{"data": {pattern}}}"#)]);
    criteria.unwrap().matches_data(data.as_bytes())
}

/// Rows, a pattern of the payload, payloads that it matches, and payloads that it does not.
type Operator = (
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const OPERATORS: [Operator; 22] = [
    (
        TEXTS,
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
        TEXTS,
        r#"{"a": [""]}"#,
        &[r#"{"a": ""}"#],
        &[r#"{"a": " "}"#, r#"{"a": null}"#, "{}"],
    ),
    (
        NUMBERS,
        r#"{"a": [300]}"#,
        &[r#"{"a": 300}"#],
        &[r#"{"a": 300.0}"#, r#"{"a": 3.0e2}"#, r#"{"a": "300"}"#],
    ),
    (
        VALUES,
        r#"{"a": [true]}"#,
        &[r#"{"a": true}"#],
        &[r#"{"a": false}"#, r#"{"a": "true"}"#],
    ),
    (
        VALUES,
        r#"{"a": [null]}"#,
        &[r#"{"a": null}"#],
        &["{}", r#"{"a": "null"}"#, r#"{"a": 0}"#],
    ),
    (
        PATTERN,
        r#"{"a": ["x", 1]}"#,
        &[r#"{"a": "x"}"#, r#"{"a": 1}"#],
        &[r#"{"a": 2}"#],
    ),
    (
        PATTERN,
        r#"{"a": ["x"], "b": ["y"]}"#,
        &[r#"{"a": "x", "b": "y"}"#],
        &[r#"{"a": "x"}"#, r#"{"a": "x", "b": "x"}"#],
    ),
    (
        PATTERN,
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
        OF_MAPPINGS,
        r#"{"a": [{"prefix": "us-"}]}"#,
        &[r#"{"a": "us-east-1"}"#, r#"{"a": "us-"}"#],
        &[r#"{"a": "US-east"}"#, r#"{"a": "us"}"#, r#"{"a": 1}"#, "{}"],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"suffix": ".png"}]}"#,
        &[r#"{"a": "x.png"}"#],
        &[r#"{"a": "x.PNG"}"#, r#"{"a": ".png "}"#],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"equals-ignore-case": "AliCe"}]}"#,
        &[r#"{"a": "alice"}"#, r#"{"a": "ALICE"}"#],
        &[r#"{"a": "alic"}"#, r#"{"a": null}"#],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"anything-but": "x"}]}"#,
        &[r#"{"a": "y"}"#, r#"{"a": 1}"#, r#"{"a": null}"#],
        &[r#"{"a": "x"}"#, "{}"],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"anything-but": ["x", 1]}]}"#,
        &[r#"{"a": "y"}"#, r#"{"a": 2}"#],
        &[r#"{"a": "x"}"#, r#"{"a": 1}"#, "{}"],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"exists": true}]}"#,
        &[r#"{"a": 1}"#, r#"{"a": null}"#, r#"{"a": [0]}"#],
        &["{}", r#"{"a": {"b": 1}}"#, r#"{"a": []}"#],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"exists": false}]}"#,
        &["{}", r#"{"a": {"b": 1}}"#, "1", "[]"],
        &[r#"{"a": 1}"#, r#"{"a": null}"#],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": {"b": [{"exists": false}]}}"#,
        &["{}", r#"{"a": 1}"#, r#"{"a": {"c": 1}}"#],
        &[r#"{"a": {"b": 1}}"#],
    ),
    (
        NUMBERS,
        r#"{"a": [{"numeric": ["=", 300]}]}"#,
        &[r#"{"a": 300}"#, r#"{"a": 300.0}"#, r#"{"a": 3.0e2}"#],
        &[r#"{"a": 301}"#, r#"{"a": "300"}"#, "{}"],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"numeric": [">", 0, "<=", 5]}]}"#,
        &[r#"{"a": 0.1}"#, r#"{"a": 5}"#],
        &[r#"{"a": 0}"#, r#"{"a": 5.1}"#],
    ),
    (
        OF_MAPPINGS,
        r#"{"a": [{"numeric": ["<", 0]}, {"numeric": [">=", 9]}]}"#,
        &[r#"{"a": -1}"#, r#"{"a": 9}"#],
        &[r#"{"a": 0}"#],
    ),
    (
        OF_MAPPINGS,
        r#"{"$or": [{"a": ["x"]}, {"b": [{"numeric": [">", 1]}]}]}"#,
        &[r#"{"a": "x"}"#, r#"{"b": 2}"#],
        &[r#"{"a": "y", "b": 1}"#, "{}"],
    ),
    (
        OF_MAPPINGS,
        r#"{"c": [1], "$or": [{"a": ["x"]}, {"b": ["y"]}]}"#,
        &[r#"{"c": 1, "b": "y"}"#],
        &[r#"{"c": 2, "b": "y"}"#, r#"{"c": 1}"#],
    ),
    (
        OF_MAPPINGS,
        r#"{"p": {"$or": [{"a": ["x"]}, {"b": ["y"]}]}}"#,
        &[r#"{"p": {"b": "y"}}"#],
        &[r#"{"b": "y"}"#, r#"{"p": {}}"#],
    ),
];

async fn what_is_not_json_is_dropped_if_the_pattern_asks_about_it() {
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

async fn metadata_is_an_extension() {
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

/// And none at all lets everything through.
async fn one_pattern_of_several_is_enough() {
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

/// One letter with its accent, and the same as a letter and an accent.
async fn texts_are_not_normalised() {
    let (one, two) = ("\u{e9}", "e\u{301}");
    let pattern = format!(r#"{{"a": ["{one}"]}}"#);
    assert!(matches(&pattern, &format!(r#"{{"a": "{one}"}}"#)));
    assert!(!matches(&pattern, &format!(r#"{{"a": "{two}"}}"#)));
}

/// Rows, patterns that are none, and a word of what is said of them.
const REFUSALS: [(&[&str], &str, &str); 29] = [
    (REFUSED, "not JSON", "not JSON"),
    (REFUSED, "[]", "not an object"),
    (REFUSED, "{}", "no condition"),
    (REFUSED, r#"{"data": {}}"#, "no condition"),
    (DATA, r#"{"data": ["text"]}"#, "payloads are JSON"),
    (REFUSED, r#"{"data": "text"}"#, "must be a list"),
    (
        DATA,
        r#"{"$or": [{"data": ["x"]}, {"data": {"a": [1]}}]}"#,
        "payloads are JSON",
    ),
    (DATA, r#"{"eventName": ["x"]}"#, "may about data"),
    (REFUSED, r#"{"data": {"a": "x"}}"#, "data.a must be a list"),
    (REFUSED, r#"{"data": {"a": []}}"#, "empty list"),
    (REFUSED, r#"{"data": {"a": [["x"]]}}"#, "list in a list"),
    (REFUSED, r#"{"data": {"a": [1], "a": [2]}}"#, "twice"),
    (REFUSED, r#"{"data": {"a": [{}]}}"#, "exactly one operator"),
    (
        REFUSED,
        r#"{"data": {"a": [{"prefix": "x", "suffix": "y"}]}}"#,
        "exactly one operator",
    ),
    (BUS, r#"{"data": {"a": [{"wildcard": "x*"}]}}"#, "wildcard"),
    (BUS, r#"{"data": {"a": [{"cidr": "10.0.0.0/8"}]}}"#, "cidr"),
    (
        REFUSED,
        r#"{"data": {"a": [{"prefix": 1}]}}"#,
        "takes a text",
    ),
    (
        BUS,
        r#"{"data": {"a": [{"prefix": {"equals-ignore-case": "x"}}]}}"#,
        "takes a text",
    ),
    (
        BUS,
        r#"{"data": {"a": [{"anything-but": {"prefix": "x"}}]}}"#,
        "takes a value",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"anything-but": []}]}}"#,
        "takes a value",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"exists": 1}]}}"#,
        "true or false",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"numeric": []}]}}"#,
        "one comparison",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"numeric": [">"]}]}}"#,
        "one comparison",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"numeric": ["!", 1]}]}}"#,
        "one comparison",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"numeric": [">", "1"]}]}}"#,
        "one comparison",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"numeric": [">", 1, ">=", 2]}]}}"#,
        "one comparison",
    ),
    (
        REFUSED,
        r#"{"data": {"a": [{"numeric": [">", 1, "<", 2, "=", 3]}]}}"#,
        "one comparison",
    ),
    (REFUSED, r#"{"data": {"$or": [{"a": [1]}]}}"#, "two objects"),
    (
        REFUSED,
        r#"{"data": {"$or": [{"a": [1]}, {}]}}"#,
        "no condition",
    ),
];

async fn what_is_nested_too_deep_is_refused() {
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
}

async fn patterns_are_ten_of_4096_characters_at_most() {
    let one = r#"{"data": {"a": [1]}}"#;
    assert!(FilterCriteria::new([one; PATTERNS_MAX]).is_ok());
    let empty = r#"{"data": {"a": [""]}}"#.len();
    let of = |chars: usize| format!(r#"{{"data": {{"a": ["{}"]}}}}"#, "x".repeat(chars - empty));
    assert!(FilterCriteria::new([of(PATTERN_CHARS_MAX)]).is_ok());
    assert_eq!((PATTERN_CHARS_MAX, PATTERNS_MAX), (4_096, 10));
    let long = of(PATTERN_CHARS_MAX + 1);
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
