//! The parameters from before expressions mean what they always meant.

use serde_json::{Value, json};

use crate::harness::Tables;

fn update(key: &str, rest: Value) -> Value {
    let mut body = json!({"TableName": "Tab", "Key": {"k": {"S": key}}});
    for (name, value) in rest.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The writes that the Java KCL sends for a lease, in the order of its life.
#[test]
fn a_lease_of_the_java_kcl_is_made_taken_renewed_checkpointed_and_evicted() {
    let tables = Tables::with_table();
    let create = json!({
        "TableName": "Tab",
        "Item": {"k": {"S": "shard"}, "leaseCounter": {"N": "0"}, "checkpoint": {"S": "TRIM_HORIZON"}},
        "Expected": {"k": {"Exists": false}},
    });
    assert_eq!(tables.ok("PutItem", create.clone()), json!({}));
    assert_eq!(
        tables.refused("PutItem", create),
        "ConditionalCheckFailedException: The conditional request failed"
    );
    // The leader assigns it.
    let assign = update(
        "shard",
        json!({
            "Expected": {
                "k": {"Exists": true, "Value": {"S": "shard"}},
                "leaseOwner": {"Exists": false},
                "checkpointOwner": {"Exists": false},
            },
            "AttributeUpdates": {
                "leaseOwner": {"Action": "PUT", "Value": {"S": "a"}},
                "checkpointOwner": {"Action": "DELETE"},
                "leaseCounter": {"Action": "ADD", "Value": {"N": "1"}},
                "ownerSwitchesSinceCheckpoint": {"Action": "ADD", "Value": {"N": "1"}},
            },
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }),
    );
    let assigned = json!({
        "k": {"S": "shard"}, "leaseCounter": {"N": "1"}, "leaseOwner": {"S": "a"},
        "checkpoint": {"S": "TRIM_HORIZON"}, "ownerSwitchesSinceCheckpoint": {"N": "1"},
    });
    assert_eq!(
        tables.ok("UpdateItem", assign.clone()),
        json!({"Attributes": assigned})
    );
    let refusal = tables.call("UpdateItem", &assign).unwrap_err();
    let body: Value = serde_json::from_slice(&refusal.body()).unwrap();
    assert_eq!(body["Item"], assigned, "the row that failed the condition");
    // Its owner renews and checkpoints.
    let renew = |seen: &str, next: &str| {
        update(
            "shard",
            json!({
                "Expected": {
                    "leaseCounter": {"Value": {"N": seen}},
                    "checkpointOwner": {"Exists": false},
                },
                "AttributeUpdates": {
                    "leaseCounter": {"Value": {"N": next}},
                    "throughputKBps": {"Action": "PUT", "Value": {"N": "1.0E-5"}},
                },
            }),
        )
    };
    tables.ok("UpdateItem", renew("1", "2"));
    assert_eq!(
        tables.refused("UpdateItem", renew("1", "2")),
        "ConditionalCheckFailedException: The conditional request failed"
    );
    let checkpoint = update(
        "shard",
        json!({
            "Expected": {"leaseCounter": {"Value": {"N": "2"}}},
            "AttributeUpdates": {
                "leaseCounter": {"Action": "PUT", "Value": {"N": "3"}},
                "checkpoint": {"Action": "PUT", "Value": {"S": "SHARD_END"}},
                "pendingCheckpoint": {"Action": "DELETE"},
                "childShardIds": {"Action": "PUT", "Value": {"SS": ["b", "c"]}},
                "ownerSwitchesSinceCheckpoint": {"Action": "PUT", "Value": {"N": "0"}},
            },
        }),
    );
    tables.ok("UpdateItem", checkpoint);
    assert_eq!(
        tables.get("shard"),
        json!({
            "k": {"S": "shard"}, "leaseCounter": {"N": "3"}, "leaseOwner": {"S": "a"},
            "checkpoint": {"S": "SHARD_END"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
            "throughputKBps": {"N": "0.00001"}, "childShardIds": {"SS": ["b", "c"]},
        })
    );
    // A lease that nobody made is not updated into being.
    assert_eq!(
        tables.refused(
            "UpdateItem",
            update(
                "other",
                json!({
                    "Expected": {"k": {"Exists": true, "Value": {"S": "other"}}},
                    "AttributeUpdates": {"a": {"Value": {"S": "x"}}},
                })
            )
        ),
        "ConditionalCheckFailedException: The conditional request failed"
    );
    assert_eq!(tables.get("other"), Value::Null);
}

#[test]
fn every_comparison_operator_is_asked_of_present_and_missing_attributes() {
    let tables = Tables::with_table();
    tables.put(json!({
        "k": {"S": "row"}, "n": {"N": "5"}, "s": {"S": "abc"},
        "set": {"SS": ["x", "y"]}, "list": {"L": [{"N": "1"}]},
    }));
    let holds = |expected: Value| {
        let body = update(
            "row",
            json!({"Expected": expected, "AttributeUpdates": {"seen": {"Value": {"BOOL": true}}}}),
        );
        tables.call("UpdateItem", &body).is_ok()
    };
    let n = |number: &str| json!([{"N": number}]);
    for (attribute, operator, values, due) in [
        ("n", "EQ", n("5.0"), true),
        ("n", "EQ", n("6"), false),
        ("gone", "EQ", n("5"), false),
        ("n", "NE", n("6"), true),
        ("gone", "NE", n("6"), true),
        ("n", "NE", json!([{"S": "5"}]), true),
        ("n", "LT", n("6"), true),
        ("n", "LT", n("5"), false),
        ("gone", "LT", n("6"), false),
        ("n", "LE", n("5"), true),
        ("n", "GT", n("4"), true),
        ("n", "GT", json!([{"S": "4"}]), false),
        ("n", "GE", n("5"), true),
        ("n", "BETWEEN", json!([{"N": "5"}, {"N": "7"}]), true),
        ("n", "BETWEEN", json!([{"N": "6"}, {"N": "7"}]), false),
        ("n", "IN", json!([{"N": "1"}, {"N": "5"}]), true),
        ("gone", "IN", json!([{"N": "1"}, {"N": "5"}]), false),
        ("s", "BEGINS_WITH", json!([{"S": "ab"}]), true),
        ("s", "BEGINS_WITH", json!([{"S": "bc"}]), false),
        ("s", "CONTAINS", json!([{"S": "bc"}]), true),
        ("set", "CONTAINS", json!([{"S": "x"}]), true),
        ("list", "CONTAINS", n("1"), true),
        ("set", "NOT_CONTAINS", json!([{"S": "z"}]), true),
        ("set", "NOT_CONTAINS", json!([{"S": "x"}]), false),
        ("gone", "NULL", json!([]), true),
        ("n", "NULL", json!([]), false),
        ("n", "NOT_NULL", json!([]), true),
        ("gone", "NOT_NULL", json!([]), false),
    ] {
        let clause = json!({"ComparisonOperator": operator, "AttributeValueList": values});
        assert_eq!(
            holds(json!({attribute: clause})),
            due,
            "{attribute} {operator} {values}"
        );
    }
}

#[test]
fn conditions_are_joined_by_and_unless_or_is_asked_for() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "row"}, "a": {"N": "1"}, "b": {"N": "2"}}));
    let body = |operator: Value| {
        update(
            "row",
            json!({
                "ConditionalOperator": operator,
                "Expected": {"a": {"Value": {"N": "1"}}, "b": {"Value": {"N": "9"}}},
                "AttributeUpdates": {"c": {"Value": {"N": "3"}}},
            }),
        )
    };
    for (operator, due) in [
        (json!(null), false),
        (json!("AND"), false),
        (json!("OR"), true),
    ] {
        let met = tables.call("UpdateItem", &body(operator.clone())).is_ok();
        assert_eq!(met, due, "{operator}");
    }
    let invalid = "ValidationException: One or more parameter values were invalid: ";
    for (rest, refusal) in [
        (
            json!({"ConditionalOperator": "OR"}),
            "ValidationException: ConditionalOperator cannot be used without Filter or Expected"
                .to_owned(),
        ),
        (
            json!({"ConditionalOperator": "OR", "Expected": {"a": {"Exists": false}}}),
            "ValidationException: ConditionalOperator can only be used when Filter or Expected \
             has two or more elements"
                .to_owned(),
        ),
        (
            json!({"Expected": {"a": {}}}),
            format!("{invalid}Value must be provided when Exists is null for Attribute: a"),
        ),
        (
            json!({"Expected": {"a": {"Exists": false, "Value": {"N": "1"}}}}),
            format!("{invalid}Value cannot be used when Exists is false for Attribute: a"),
        ),
        (
            json!({"Expected": {"a": {"ComparisonOperator": "EQ", "Exists": true}}}),
            format!(
                "{invalid}Exists and ComparisonOperator cannot be used together for Attribute: a"
            ),
        ),
        (
            json!({"Expected": {"a": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "1"}]}}}),
            format!("{invalid}Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
        ),
        (
            json!({"Expected": {"a": {"ComparisonOperator": "LT", "AttributeValueList": [{"SS": ["x"]}]}}}),
            format!("{invalid}ComparisonOperator LT is not valid for SS AttributeValue type"),
        ),
        (
            json!({"AttributeUpdates": {"a": {"Action": "PUT"}}}),
            format!("{invalid}Only DELETE action is allowed when no attribute value is specified"),
        ),
        (
            json!({"AttributeUpdates": {"a": {"Action": "ADD", "Value": {"S": "x"}}}}),
            format!("{invalid}ADD action is not supported for the type S"),
        ),
        (
            json!({"AttributeUpdates": {"a": {"Action": "DELETE", "Value": {"N": "1"}}}}),
            format!("{invalid}DELETE action with value is not supported for the type N"),
        ),
        (
            json!({"AttributeUpdates": {"a": {"Value": {"N": "1"}}}, "ConditionExpression": "attribute_exists(k)"}),
            "ValidationException: Can not use both expression and non-expression parameters in \
             the same request: Non-expression parameters: {AttributeUpdates} Expression \
             parameters: {ConditionExpression}"
                .to_owned(),
        ),
    ] {
        assert_eq!(tables.refused("UpdateItem", update("row", rest)), refusal);
    }
}

#[test]
fn updates_put_add_and_delete_whole_attributes() {
    let tables = Tables::with_table();
    let apply = |updates: Value| {
        tables.call(
            "UpdateItem",
            &update("row", json!({"AttributeUpdates": updates})),
        )
    };
    // There is nothing to delete from, and so nothing is made.
    apply(json!({"a": {"Action": "DELETE"}})).unwrap();
    assert_eq!(tables.get("row"), Value::Null);
    apply(json!({
        "n": {"Action": "ADD", "Value": {"N": "2"}},
        "set": {"Action": "ADD", "Value": {"SS": ["a", "b"]}},
        "list": {"Action": "ADD", "Value": {"L": [{"N": "1"}]}},
    }))
    .unwrap();
    apply(json!({
        "n": {"Action": "ADD", "Value": {"N": "-5"}},
        "set": {"Action": "DELETE", "Value": {"SS": ["a"]}},
        "list": {"Action": "ADD", "Value": {"L": [{"N": "2"}]}},
    }))
    .unwrap();
    assert_eq!(
        tables.get("row"),
        json!({
            "k": {"S": "row"}, "n": {"N": "-3"}, "set": {"SS": ["b"]},
            "list": {"L": [{"N": "1"}, {"N": "2"}]},
        })
    );
    let refusal = apply(json!({"n": {"Action": "ADD", "Value": {"SS": ["a"]}}})).unwrap_err();
    assert_eq!(refusal.message(), "Type mismatch for attribute to update");
    apply(
        json!({"set": {"Action": "DELETE", "Value": {"SS": ["b"]}}, "list": {"Action": "DELETE"}}),
    )
    .unwrap();
    assert_eq!(
        tables.get("row"),
        json!({"k": {"S": "row"}, "n": {"N": "-3"}})
    );
    let refusal = apply(json!({"k": {"Value": {"S": "x"}}})).unwrap_err();
    assert_eq!(
        refusal.message(),
        "One or more parameter values were invalid: Cannot update attribute k. This attribute is \
         part of the key"
    );
}

#[test]
fn queries_and_scans_take_conditions_and_attributes() {
    let tables = Tables::new();
    tables.create("Tab", &[("k", "S"), ("r", "N")]);
    for number in 0..6 {
        tables.put(json!({
            "k": {"S": "a"}, "r": {"N": number.to_string()},
            "even": {"BOOL": number % 2 == 0}, "x": {"S": "y"},
        }));
    }
    let reply = tables.ok(
        "Query",
        json!({
            "TableName": "Tab",
            "KeyConditions": {
                "k": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]},
                "r": {"ComparisonOperator": "GE", "AttributeValueList": [{"N": "2"}]},
            },
            "QueryFilter": {
                "even": {"ComparisonOperator": "EQ", "AttributeValueList": [{"BOOL": true}]},
            },
            "AttributesToGet": ["r", "none"],
        }),
    );
    assert_eq!(
        reply,
        json!({"Items": [{"r": {"N": "2"}}, {"r": {"N": "4"}}], "Count": 2, "ScannedCount": 4})
    );
    let reply = tables.ok(
        "Scan",
        json!({
            "TableName": "Tab",
            "ScanFilter": {"r": {"ComparisonOperator": "LT", "AttributeValueList": [{"N": "2"}]}},
            "AttributesToGet": ["r"],
        }),
    );
    assert_eq!(
        reply["Items"],
        json!([{"r": {"N": "0"}}, {"r": {"N": "1"}}])
    );
    assert_eq!(
        tables.ok(
            "GetItem",
            json!({
                "TableName": "Tab", "Key": {"k": {"S": "a"}, "r": {"N": "0"}},
                "AttributesToGet": ["x"],
            })
        ),
        json!({"Item": {"x": {"S": "y"}}})
    );
    assert_eq!(
        tables.refused("Query", json!({
            "TableName": "Tab",
            "KeyConditions": {"k": {"ComparisonOperator": "NE", "AttributeValueList": [{"S": "a"}]}},
        })),
        "ValidationException: Attempted conditional constraint is not an indexable operation"
    );
    assert_eq!(
        tables.refused(
            "Scan",
            json!({"TableName": "Tab", "AttributesToGet": ["a", "a"]})
        ),
        "ValidationException: One or more parameter values were invalid: Duplicate value in \
         attribute name: a"
    );
}

#[test]
fn what_only_expected_has_is_ignored_elsewhere() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "a"}, "n": {"N": "1"}}));
    let clause = json!({
        "ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1"}],
        "Exists": false, "Value": {"N": "2"},
    });
    let scan = json!({"TableName": "Tab", "ScanFilter": {"n": clause}});
    assert_eq!(tables.ok("Scan", scan)["Count"], 1);
    let clause = json!({
        "ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}], "Exists": true,
    });
    let query = json!({"TableName": "Tab", "KeyConditions": {"k": clause}});
    assert_eq!(tables.ok("Query", query)["Count"], 1);
}
