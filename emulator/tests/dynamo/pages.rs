//! Scans: pages, segments, selections.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::Tables;

fn filled(count: usize) -> Tables {
    let tables = Tables::with_table();
    for index in 0..count {
        tables.put(json!({"k": {"S": format!("key-{index}")}, "n": {"N": index.to_string()}}));
    }
    tables
}

/// Follows the pages to their end; the keys in the order in which they came.
fn all(tables: &Tables, body: &Value) -> Vec<String> {
    let mut body = body.clone();
    let mut keys = Vec::new();
    loop {
        let page = tables.ok("Scan", body.clone());
        let items = page["Items"].as_array().unwrap();
        assert_eq!(page["Count"], items.len());
        keys.extend(
            items
                .iter()
                .map(|item| item["k"]["S"].as_str().unwrap().to_owned()),
        );
        match page.get("LastEvaluatedKey") {
            None => return keys,
            Some(last) => body["ExclusiveStartKey"] = last.clone(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn pages_of_any_size_show_every_row_once(
        count in 0_usize..60, limit in 1_usize..20, segments in 1_usize..9
    ) {
        let tables = filled(count);
        let whole = all(&tables, &json!({"TableName": "Tab"}));
        prop_assert_eq!(whole.len(), count);
        prop_assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), count);
        let paged = all(&tables, &json!({"TableName": "Tab", "Limit": limit}));
        prop_assert_eq!(&paged, &whole);
        let mut parts = Vec::new();
        for segment in 0..segments {
            parts.extend(all(&tables, &json!({
                "TableName": "Tab", "Limit": limit, "Segment": segment, "TotalSegments": segments,
            })));
        }
        prop_assert_eq!(&parts, &whole);
    }
}

#[test]
fn segments_share_the_rows_evenly() {
    let tables = filled(400);
    for segment in 0..4 {
        let body = json!({"TableName": "Tab", "Segment": segment, "TotalSegments": 4});
        let count = all(&tables, &body).len();
        assert!((60..=140).contains(&count), "{count}");
    }
}

#[test]
fn the_largest_number_of_segments_covers_the_table() {
    let tables = filled(3);
    let scan = |segment: u64| {
        let body = json!({"TableName": "Tab", "Segment": segment, "TotalSegments": 1_000_000});
        all(&tables, &body)
    };
    let bare = tables.dynamo.items(&tables.scope, "Tab").unwrap();
    assert_eq!(bare.len(), 3);
    assert_eq!((scan(0).len(), scan(999_999).len()), (0, 0));
}

#[test]
fn a_page_counts_what_it_examined() {
    let tables = filled(10);
    let page = tables.ok(
        "Scan",
        json!({
            "TableName": "Tab", "Limit": 10, "FilterExpression": "n < :n",
            "ExpressionAttributeValues": {":n": {"N": "3"}},
        }),
    );
    assert_eq!(
        (&page["Count"], &page["ScannedCount"]),
        (&json!(3), &json!(10))
    );
    // At the limit there is a key although nothing follows; behind it the page is empty.
    let last = page["LastEvaluatedKey"].clone();
    let rest = tables.ok(
        "Scan",
        json!({"TableName": "Tab", "ExclusiveStartKey": last}),
    );
    assert_eq!(rest, json!({"Items": [], "Count": 0, "ScannedCount": 0}));
    let count = tables.ok("Scan", json!({"TableName": "Tab", "Select": "COUNT"}));
    assert_eq!(count, json!({"Count": 10, "ScannedCount": 10}));
}

#[test]
fn a_page_ends_at_one_megabyte() {
    let tables = Tables::with_table();
    for index in 0..7 {
        tables.put(json!({"k": {"S": index.to_string()}, "v": {"S": "x".repeat(300_000)}}));
    }
    let page = tables.ok("Scan", json!({"TableName": "Tab"}));
    assert_eq!(page["Count"], 4);
    let last = &page["Items"][3]["k"];
    assert_eq!(page["LastEvaluatedKey"], json!({"k": last}));
    assert_eq!(all(&tables, &json!({"TableName": "Tab"})).len(), 7);
}

#[test]
fn a_key_to_go_on_from_need_not_exist() {
    let tables = filled(5);
    let whole = all(&tables, &json!({"TableName": "Tab"}));
    let start = json!({"k": {"S": whole[1]}});
    tables.ok("DeleteItem", json!({"TableName": "Tab", "Key": start}));
    let body = json!({"TableName": "Tab", "ExclusiveStartKey": start});
    assert_eq!(all(&tables, &body), whole[2..]);
}

#[test]
fn wrong_scans_are_refused() {
    let tables = filled(20);
    let preface = "The provided starting key is invalid: ";
    let elsewhere = (0..20)
        .map(|index| format!("key-{index}"))
        .find(|key| {
            let segment = json!({"TableName": "Tab", "Segment": 0, "TotalSegments": 2});
            !all(&tables, &segment).contains(key)
        })
        .unwrap();
    for (changes, refusal) in [
        (
            json!({"Segment": 0}),
            "The TotalSegments parameter is required but was not present in the request when \
             Segment parameter is present"
                .to_owned(),
        ),
        (
            json!({"TotalSegments": 2}),
            "The Segment parameter is required but was not present in the request when \
             parameter TotalSegments is present"
                .to_owned(),
        ),
        (
            json!({"Segment": 3, "TotalSegments": 2}),
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: \
             Segment: 3 is not less than TotalSegments: 2"
                .to_owned(),
        ),
        (
            json!({"Segment": -1, "TotalSegments": 1_000_001, "Limit": 0}),
            "3 validation errors detected: Value '0' at 'limit' failed to satisfy constraint: \
             Member must have value greater than or equal to 1; Value '1000001' at \
             'totalSegments' failed to satisfy constraint: Member must have value less than or \
             equal to 1000000; Value '-1' at 'segment' failed to satisfy constraint: Member \
             must have value greater than or equal to 0"
                .to_owned(),
        ),
        (
            json!({"ExclusiveStartKey": {"x": {"S": "a"}}}),
            format!("{preface}The provided key element does not match the schema"),
        ),
        (
            json!({"ExclusiveStartKey": {"k": {}}}),
            format!(
                "{preface}Supplied AttributeValue is empty, must contain exactly one of the \
                 supported datatypes"
            ),
        ),
        (
            json!({
                "ExclusiveStartKey": {"k": {"S": elsewhere}}, "Segment": 0, "TotalSegments": 2,
            }),
            format!(
                "{preface}Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct \
                 Segment. TotalSegments: 2 Segment: 0"
            ),
        ),
        (
            json!({"IndexName": "whatever"}),
            "The table does not have the specified index: whatever".to_owned(),
        ),
    ] {
        let mut body = json!({"TableName": "Tab"});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        assert_eq!(
            tables.refused("Scan", body),
            format!("ValidationException: {refusal}")
        );
    }
}
