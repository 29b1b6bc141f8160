//! Requests about tables, right and wrong.

use serde_json::{Value, json};

use super::requests::Step;
use super::tables::Shape;
use crate::dice::Dice;
use crate::features::Features;

pub(crate) fn step(dice: &mut Dice, shape: &Shape, features: Features) -> Step {
    let table = if dice.percent(70) {
        shape.name.as_str()
    } else {
        "elsewhere"
    };
    let absent = json!({"TableName": "elsewhere"});
    match dice.below(12) {
        0 | 1 => Step::new("DescribeTable", json!({"TableName": table})),
        2 => Step::new("DescribeTable", name(dice)),
        3 => Step::new("DeleteTable", absent),
        4 => Step::new("DeleteTable", name(dice)),
        5 => Step::new("ListTables", list(dice)),
        6 => Step::new("CreateTable", shape.creation(dice)),
        7 | 8 if features.indexes => Step::new("UpdateTable", change(dice, table)),
        _ => Step::new("CreateTable", wrong(dice, shape)),
    }
}

fn name(dice: &mut Dice) -> Value {
    let names = [
        json!({}),
        json!({"TableName": "ab"}),
        json!({"TableName": "a b c"}),
        json!({"TableName": 3}),
        json!({"TableName": ""}),
        json!({"TableName": "x".repeat(256)}),
    ];
    dice.pick(&names).clone()
}

fn list(dice: &mut Dice) -> Value {
    let lists = [
        json!({}),
        json!({"Limit": 1}),
        json!({"Limit": 100}),
        json!({"Limit": 0}),
        json!({"Limit": 101}),
        json!({"ExclusiveStartTableName": "aaa"}),
        json!({"ExclusiveStartTableName": "zzz"}),
        json!({"ExclusiveStartTableName": "a"}),
        json!({"ExclusiveStartTableName": "a!c"}),
    ];
    dice.pick(&lists).clone()
}

/// A change of a table that is refused, so that the table stays as it is.
fn change(dice: &mut Dice, table: &str) -> Value {
    let units = json!({"ReadCapacityUnits": 1, "WriteCapacityUnits": 1});
    let index = json!({
        "IndexName": "by-g1",
        "KeySchema": [{"AttributeName": "absent", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    });
    let changes = [
        json!({}),
        json!({"ProvisionedThroughput": {}}),
        json!({"ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}}),
        json!({"BillingMode": "FREE"}),
        json!({"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": units}),
        json!({"GlobalSecondaryIndexUpdates": []}),
        json!({"GlobalSecondaryIndexUpdates": [{}]}),
        json!({"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "nowhere"}}]}),
        json!({"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "nowhere", "ProvisionedThroughput": units}}]}),
        json!({"GlobalSecondaryIndexUpdates": [{"Create": index}]}),
    ];
    let mut body = dice.pick(&changes).clone();
    // moto takes this one, and its table would be another from then on.
    let is_taken = body["BillingMode"] == "PAY_PER_REQUEST";
    body["TableName"] = json!(if is_taken { "elsewhere" } else { table });
    body
}

/// A creation with one thing wrong.
fn wrong(dice: &mut Dice, shape: &Shape) -> Value {
    let mut body = shape.creation(dice);
    body["TableName"] = json!("another");
    let hash = |name: &str| json!({"AttributeName": name, "KeyType": "HASH"});
    let range = |name: &str| json!({"AttributeName": name, "KeyType": "RANGE"});
    let units = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 5});
    let changes = [
        ("TableName", Value::Null),
        ("TableName", json!("ab")),
        ("TableName", json!("a/b/c")),
        ("KeySchema", Value::Null),
        ("KeySchema", json!([])),
        ("KeySchema", json!([hash("pk"), hash("pk")])),
        ("KeySchema", json!([range("pk")])),
        ("KeySchema", json!([hash("pk"), range("pk")])),
        ("KeySchema", json!([hash("missing")])),
        ("KeySchema", json!([range("sk"), hash("pk")])),
        ("KeySchema", json!([hash("pk"), range("sk"), range("num")])),
        (
            "KeySchema",
            json!([{"AttributeName": "pk", "KeyType": "FOO"}]),
        ),
        ("KeySchema", json!([{"KeyType": "HASH"}])),
        ("AttributeDefinitions", Value::Null),
        ("AttributeDefinitions", json!([])),
        (
            "AttributeDefinitions",
            json!([{"AttributeName": "pk", "AttributeType": "SS"}]),
        ),
        (
            "AttributeDefinitions",
            json!([{"AttributeName": "other", "AttributeType": "S"}]),
        ),
        ("BillingMode", json!("FREE")),
        ("BillingMode", json!("PROVISIONED")),
        ("ProvisionedThroughput", units),
        (
            "ProvisionedThroughput",
            json!({"ReadCapacityUnits": 0, "WriteCapacityUnits": 5}),
        ),
        ("ProvisionedThroughput", json!({"ReadCapacityUnits": 5})),
        ("LocalSecondaryIndexes", json!([])),
        ("GlobalSecondaryIndexes", json!([])),
        (
            "GlobalSecondaryIndexes",
            json!([{"IndexName": "by-x", "KeySchema": [hash("pk")], "Projection": {}}]),
        ),
        (
            "GlobalSecondaryIndexes",
            json!([{"IndexName": "x", "KeySchema": [hash("pk")], "Projection": {"ProjectionType": "ALL"}}]),
        ),
        (
            "GlobalSecondaryIndexes",
            json!([{"IndexName": "by-x", "KeySchema": [hash("none")], "Projection": {"ProjectionType": "ALL"}}]),
        ),
    ];
    let (name, value) = dice.pick(&changes).clone();
    match (value, body.as_object_mut()) {
        (Value::Null, Some(body)) => drop(body.remove(name)),
        (value, _) => body[name] = value,
    }
    body
}
