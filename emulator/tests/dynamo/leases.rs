//! The calls of a lease store.

use serde_json::{Value, json};

use crate::harness::Tables;

fn lease(key: &str, owner: &str, counter: u64) -> Value {
    json!({
        "k": {"S": key},
        "leaseOwner": {"S": owner},
        "leaseCounter": {"N": counter.to_string()},
        "checkpoint": {"S": "TRIM_HORIZON"},
    })
}

fn create(key: &str) -> Value {
    json!({
        "TableName": "Tab",
        "Item": lease(key, "a", 1),
        "ConditionExpression": "attribute_not_exists(k)",
    })
}

fn renew(key: &str, owner: &str, counter: u64) -> Value {
    json!({
        "TableName": "Tab",
        "Key": {"k": {"S": key}},
        "UpdateExpression": "SET leaseCounter = leaseCounter + :one, #c = :checkpoint",
        "ConditionExpression": "leaseOwner = :owner AND leaseCounter = :counter",
        "ExpressionAttributeNames": {"#c": "checkpoint"},
        "ExpressionAttributeValues": {
            ":one": {"N": "1"},
            ":checkpoint": {"S": "49"},
            ":owner": {"S": owner},
            ":counter": {"N": counter.to_string()},
        },
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    })
}

#[test]
fn a_lease_is_created_once() {
    let tables = Tables::with_table();
    assert_eq!(tables.ok("PutItem", create("s1")), json!({}));
    assert_eq!(
        tables.refused("PutItem", create("s1")),
        "ConditionalCheckFailedException: The conditional request failed"
    );
    assert_eq!(tables.get("s1"), lease("s1", "a", 1));
}

#[test]
fn a_renewal_moves_the_counter_and_returns_the_row() {
    let tables = Tables::with_table();
    tables.put(lease("s1", "a", 7));
    let reply = tables.ok("UpdateItem", renew("s1", "a", 7));
    let mut row = lease("s1", "a", 8);
    row["checkpoint"] = json!({"S": "49"});
    assert_eq!(reply, json!({"Attributes": row}));
    assert_eq!(tables.get("s1"), row);
}

#[test]
fn a_lost_lease_shows_who_has_it() {
    let tables = Tables::with_table();
    tables.put(lease("s1", "b", 9));
    let refusal = tables.call("UpdateItem", &renew("s1", "a", 7)).unwrap_err();
    assert_eq!(refusal.status, 400);
    assert_eq!(
        refusal.kind,
        "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
    );
    let body: Value = serde_json::from_slice(&refusal.body()).unwrap();
    assert_eq!(
        body,
        json!({
            "__type": refusal.kind,
            "message": "The conditional request failed",
            "Item": lease("s1", "b", 9),
        })
    );
    assert_eq!(tables.get("s1"), lease("s1", "b", 9));
}

#[test]
fn a_condition_on_no_row_fails_without_an_item() {
    let tables = Tables::with_table();
    let refusal = tables.call("UpdateItem", &renew("s1", "a", 7)).unwrap_err();
    let body: Value = serde_json::from_slice(&refusal.body()).unwrap();
    assert_eq!(body.get("Item"), None);
    assert_eq!(tables.get("s1"), Value::Null);
}

#[test]
fn a_lease_is_deleted_if_it_is_gone_or_as_it_was_seen() {
    let tables = Tables::with_table();
    tables.put(lease("s1", "a", 3));
    let delete = |counter: &str| {
        json!({
            "TableName": "Tab",
            "Key": {"k": {"S": "s1"}},
            "ConditionExpression": "attribute_not_exists(k) OR leaseCounter = :n",
            "ExpressionAttributeValues": {":n": {"N": counter}},
            "ReturnValues": "ALL_OLD",
        })
    };
    assert_eq!(
        tables.refused("DeleteItem", delete("2")),
        "ConditionalCheckFailedException: The conditional request failed"
    );
    assert_eq!(
        tables.ok("DeleteItem", delete("3.0")),
        json!({"Attributes": lease("s1", "a", 3)})
    );
    assert_eq!(tables.ok("DeleteItem", delete("3")), json!({}));
}
