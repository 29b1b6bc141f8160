//! Tables come, are described, and go.

use serde_json::{Value, json};

use crate::harness::Tables;

fn definition(name: &str) -> Value {
    json!({
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "Tags": [],
    })
}

fn with(mut body: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn a_table_is_described_from_its_creation_to_its_end() {
    let tables = Tables::new();
    let created = tables.ok("CreateTable", definition("leases"));
    let mut table = created["TableDescription"].clone();
    assert_eq!(table["TableStatus"], "CREATING");
    let id = table["TableId"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 36);
    table["TableStatus"] = json!("ACTIVE");
    assert_eq!(
        table,
        json!({
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "TableName": "leases",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "TableStatus": "ACTIVE",
            "CreationDateTime": 1_700_000_000.5,
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0,
            },
            "TableSizeBytes": 0,
            "ItemCount": 0,
            "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/leases",
            "TableId": id,
            "BillingModeSummary": {
                "BillingMode": "PAY_PER_REQUEST",
                "LastUpdateToPayPerRequestDateTime": 1_700_000_000.5,
            },
            "DeletionProtectionEnabled": false,
        })
    );
    assert_eq!(
        tables.ok("DescribeTable", json!({"TableName": "leases"})),
        json!({"Table": table})
    );
    let arn = json!({"TableName": "arn:aws:dynamodb:us-east-1:000000000000:table/leases"});
    assert_eq!(tables.ok("DescribeTable", arn), json!({"Table": table}));
    assert_eq!(
        tables.refused("CreateTable", definition("leases")),
        "ResourceInUseException: Table already exists: leases"
    );
    let deleted = tables.ok("DeleteTable", json!({"TableName": "leases"}));
    assert_eq!(deleted["TableDescription"]["TableStatus"], "DELETING");
    for operation in ["DescribeTable", "DeleteTable"] {
        assert_eq!(
            tables.refused(operation, json!({"TableName": "leases"})),
            "ResourceNotFoundException: Requested resource not found: Table: leases not found"
        );
    }
    let item = json!({"TableName": "leases", "Key": {"k": {"S": "a"}}});
    assert_eq!(
        tables.refused("GetItem", item),
        "ResourceNotFoundException: Requested resource not found"
    );
}
