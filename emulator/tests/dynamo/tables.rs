//! What can be changed about a table: billing, protection, expiry, tags, backups.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::harness::Tables;

fn update(rest: Value) -> Value {
    let mut body = json!({"TableName": "Tab"});
    for (name, value) in rest.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn described(tables: &Tables) -> Value {
    tables.ok("DescribeTable", json!({"TableName": "Tab"}))["Table"].clone()
}

#[test]
fn a_table_changes_how_it_is_paid_for() {
    let tables = Tables::with_table();
    let throughput = json!({"ReadCapacityUnits": 7, "WriteCapacityUnits": 5});
    tables.ok(
        "UpdateTable",
        update(json!({"BillingMode": "PROVISIONED", "ProvisionedThroughput": throughput})),
    );
    let table = described(&tables);
    assert_eq!(table["ProvisionedThroughput"]["ReadCapacityUnits"], 7);
    assert_eq!(table["BillingModeSummary"]["BillingMode"], "PROVISIONED");
    assert!(
        tables
            .refused(
                "UpdateTable",
                update(json!({"ProvisionedThroughput": throughput}))
            )
            .starts_with(
                "ValidationException: The provisioned throughput for the table will not change."
            )
    );
    tables.ok(
        "UpdateTable",
        update(json!({"BillingMode": "PAY_PER_REQUEST"})),
    );
    let table = described(&tables);
    assert_eq!(
        table["BillingModeSummary"]["BillingMode"],
        "PAY_PER_REQUEST"
    );
    assert_eq!(
        tables.refused("UpdateTable", update(json!({"BillingMode": "PROVISIONED"}))),
        "ValidationException: One or more parameter values were invalid: ReadCapacityUnits and \
         WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
    );
    assert_eq!(
        tables.refused("UpdateTable", update(json!({}))),
        "ValidationException: At least one of ProvisionedThroughput, BillingMode, \
         UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates \
         is required"
    );
}

#[test]
fn a_protected_table_is_not_deleted() {
    let tables = Tables::with_table();
    tables.ok(
        "UpdateTable",
        update(json!({"DeletionProtectionEnabled": true})),
    );
    assert_eq!(described(&tables)["DeletionProtectionEnabled"], true);
    assert_eq!(
        tables.refused("DeleteTable", update(json!({}))),
        "ValidationException: Resource cannot be deleted as it is currently protected against \
         deletion. Disable deletion protection first."
    );
    tables.ok(
        "UpdateTable",
        update(json!({"DeletionProtectionEnabled": false})),
    );
    tables.ok("DeleteTable", update(json!({})));
}

#[test]
fn rows_expire_with_the_first_call_after_their_time() {
    let tables = Tables::with_table();
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
    let call = |now: SystemTime, operation: &str, body: Value| -> Value {
        let body = serde_json::to_vec(&body).unwrap();
        let reply = tables.dynamo.call(&tables.scope, now, operation, &body);
        serde_json::from_slice(&reply.unwrap()).unwrap()
    };
    for (key, end) in [
        ("soon", json!({"N": "1700000100"})),
        ("later", json!({"N": "1700000200.5"})),
        ("text", json!({"S": "1700000100"})),
        ("long ago", json!({"N": "1000000000"})),
        ("moved", json!({"N": "1700000100"})),
    ] {
        tables.put(json!({"k": {"S": key}, "end": end}));
    }
    let specification = json!({"Enabled": true, "AttributeName": "end"});
    assert_eq!(
        tables.ok(
            "UpdateTimeToLive",
            update(json!({"TimeToLiveSpecification": specification}))
        ),
        json!({"TimeToLiveSpecification": specification})
    );
    assert_eq!(
        tables.refused(
            "UpdateTimeToLive",
            update(json!({"TimeToLiveSpecification": specification}))
        ),
        "ValidationException: TimeToLive is already enabled"
    );
    assert_eq!(
        tables.ok("DescribeTimeToLive", update(json!({}))),
        json!({"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "end"}})
    );
    tables.put(json!({"k": {"S": "moved"}, "end": {"N": "1700000300"}}));
    let left = |seconds: u64| -> Vec<String> {
        let reply = call(at(seconds), "Scan", update(json!({})));
        let items = reply["Items"].as_array().unwrap();
        let mut keys: Vec<_> = items
            .iter()
            .map(|item| item["k"]["S"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(
        left(100),
        ["later", "long ago", "moved", "soon", "text"],
        "not over yet"
    );
    assert_eq!(left(101), ["later", "long ago", "moved", "text"]);
    assert_eq!(left(201), ["long ago", "moved", "text"]);
    assert_eq!(
        left(10_000),
        ["long ago", "text"],
        "more than five years back is a mistake"
    );
}

#[test]
fn a_table_has_tags() {
    let tables = Tables::with_table();
    let arn = described(&tables)["TableArn"].clone();
    let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
    tables.ok(
        "TagResource",
        json!({"ResourceArn": arn, "Tags": [tag("team", "a"), tag("env", "test")]}),
    );
    tables.ok(
        "TagResource",
        json!({"ResourceArn": arn, "Tags": [tag("team", "b")]}),
    );
    tables.ok(
        "UntagResource",
        json!({"ResourceArn": arn, "TagKeys": ["env", "none"]}),
    );
    assert_eq!(
        tables.ok("ListTagsOfResource", json!({"ResourceArn": arn})),
        json!({"Tags": [tag("team", "b")]})
    );
    let nowhere = "arn:aws:dynamodb:us-east-1:000000000000:table/None";
    assert_eq!(
        tables.refused("ListTagsOfResource", json!({"ResourceArn": nowhere})),
        format!(
            "ResourceNotFoundException: Requested resource not found: ResourceArn: {nowhere} not \
             found"
        )
    );
}

#[test]
fn backups_of_a_table_are_switched_on_and_off() {
    let tables = Tables::with_table();
    let disabled = json!({"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
    }});
    assert_eq!(
        tables.ok("DescribeContinuousBackups", update(json!({}))),
        disabled
    );
    let specification = json!({"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 7});
    let reply = tables.ok(
        "UpdateContinuousBackups",
        update(json!({"PointInTimeRecoverySpecification": specification})),
    );
    let recovery = &reply["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    assert_eq!(recovery["PointInTimeRecoveryStatus"], "ENABLED");
    assert_eq!(recovery["RecoveryPeriodInDays"], 7);
    assert_eq!(recovery["EarliestRestorableDateTime"], 1_700_000_000.5);
    assert_eq!(
        tables.refused("DescribeContinuousBackups", json!({"TableName": "None"})),
        "TableNotFoundException: Table not found: None"
    );
}

#[test]
fn limits_and_endpoints_are_told() {
    let tables = Tables::new();
    let limits = tables.ok("DescribeLimits", json!({}));
    assert_eq!(limits["TableMaxWriteCapacityUnits"], 40_000);
    assert_eq!(
        tables.ok("DescribeEndpoints", json!({})),
        json!({"Endpoints": [
            {"Address": "dynamodb.us-east-1.amazonaws.com", "CachePeriodInMinutes": 1440},
        ]})
    );
}
