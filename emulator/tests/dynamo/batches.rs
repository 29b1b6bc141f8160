//! BatchGetItem and BatchWriteItem.

use serde_json::{Value, json};

use crate::harness::Tables;

fn put(key: &str) -> Value {
    json!({"PutRequest": {"Item": {"k": {"S": key}, "v": {"S": "x"}}}})
}

#[test]
fn a_batch_writes_and_reads_rows_of_several_tables() {
    let tables = Tables::with_table();
    tables.create("Other", &[("k", "S"), ("r", "N")]);
    let written = tables.ok(
        "BatchWriteItem",
        json!({"RequestItems": {
            "Tab": [put("a"), put("b")],
            "Other": [{"PutRequest": {"Item": {"k": {"S": "a"}, "r": {"N": "1"}}}}],
        }}),
    );
    assert_eq!(written, json!({"UnprocessedItems": {}}));
    tables.ok(
        "BatchWriteItem",
        json!({"RequestItems": {"Tab": [{"DeleteRequest": {"Key": {"k": {"S": "a"}}}}]}}),
    );
    let read = tables.ok(
        "BatchGetItem",
        json!({
            "RequestItems": {
                "Tab": {
                    "Keys": [{"k": {"S": "a"}}, {"k": {"S": "b"}}],
                    "ProjectionExpression": "#v", "ExpressionAttributeNames": {"#v": "v"},
                    "ConsistentRead": true,
                },
                "Other": {"Keys": [{"k": {"S": "a"}, "r": {"N": "1.0"}}]},
            },
            "ReturnConsumedCapacity": "TOTAL",
        }),
    );
    assert_eq!(
        read,
        json!({
            "Responses": {
                "Tab": [{"v": {"S": "x"}}],
                "Other": [{"k": {"S": "a"}, "r": {"N": "1"}}],
            },
            "UnprocessedKeys": {},
            "ConsumedCapacity": [
                {"TableName": "Other", "CapacityUnits": 0.5},
                {"TableName": "Tab", "CapacityUnits": 2.0},
            ],
        })
    );
}

#[test]
fn a_table_of_which_nothing_is_found_has_an_empty_list() {
    let tables = Tables::with_table();
    let read = json!({"RequestItems": {"Tab": {"Keys": [{"k": {"S": "none"}}]}}});
    assert_eq!(
        tables.ok("BatchGetItem", read),
        json!({"Responses": {"Tab": []}, "UnprocessedKeys": {}})
    );
}

#[test]
fn keys_beyond_the_size_of_a_reply_are_given_back_to_be_asked_for_again() {
    let tables = Tables::with_table();
    let large = "x".repeat(390 * 1024);
    for number in 0..50 {
        tables.put(json!({"k": {"S": format!("{number:02}")}, "v": {"S": large}}));
    }
    let keys: Vec<_> = (0..50)
        .map(|number| json!({"k": {"S": format!("{number:02}")}}))
        .collect();
    let mut asked = json!({"Tab": {"Keys": keys, "ConsistentRead": true}});
    let (mut found, mut calls) = (0, 0);
    loop {
        let reply = tables.ok("BatchGetItem", json!({"RequestItems": asked}));
        found += reply["Responses"]["Tab"].as_array().unwrap().len();
        calls += 1;
        asked = reply["UnprocessedKeys"].clone();
        if asked == json!({}) {
            break;
        }
        assert_eq!(asked["Tab"]["ConsistentRead"], true);
    }
    assert_eq!((found, calls), (50, 2), "16 MB a reply");
}

#[test]
fn wrong_batches_are_refused_before_anything_is_written() {
    let tables = Tables::with_table();
    let key = json!({"k": {"S": "a"}});
    let many: Vec<_> = (0..26).map(|number| put(&number.to_string())).collect();
    for (operation, body, refusal) in [
        (
            "BatchWriteItem",
            json!({"RequestItems": {"Tab": [put("a"), put("a")]}}),
            "ValidationException: Provided list of item keys contains duplicates",
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {"Tab": {"Keys": [key, key]}}}),
            "ValidationException: Provided list of item keys contains duplicates",
        ),
        (
            "BatchWriteItem",
            json!({"RequestItems": {"Tab": many}}),
            "ValidationException: 1 validation error detected: Value '[26 elements]' at \
             'requestItems.Tab.member' failed to satisfy constraint: Member must have length \
             less than or equal to 25",
        ),
        (
            "BatchWriteItem",
            json!({"RequestItems": {"Tab": [put("a")], "None": [put("a")]}}),
            "ResourceNotFoundException: Requested resource not found",
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {"Tab": {"Keys": [{"x": {"S": "a"}}]}}}),
            "ValidationException: The provided key element does not match the schema",
        ),
    ] {
        assert_eq!(tables.refused(operation, body), refusal);
    }
    assert_eq!(tables.get("a"), Value::Null);
}
