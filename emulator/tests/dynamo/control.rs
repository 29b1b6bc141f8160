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

#[test]
fn a_provisioned_table_has_no_billing_summary() {
    let tables = Tables::new();
    let body = with(
        definition("leases"),
        json!({
            "BillingMode": null,
            "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 5},
            "AttributeDefinitions": [
                {"AttributeName": "r", "AttributeType": "N"},
                {"AttributeName": "k", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "k", "KeyType": "HASH"},
                {"AttributeName": "r", "KeyType": "RANGE"},
            ],
        }),
    );
    tables.ok("CreateTable", body);
    let table = tables.ok("DescribeTable", json!({"TableName": "leases"}))["Table"].clone();
    assert_eq!(table.get("BillingModeSummary"), None);
    assert_eq!(table["ProvisionedThroughput"]["ReadCapacityUnits"], 10);
    assert_eq!(table["ProvisionedThroughput"]["WriteCapacityUnits"], 5);
    assert_eq!(
        table["KeySchema"],
        json!([
            {"AttributeName": "k", "KeyType": "HASH"},
            {"AttributeName": "r", "KeyType": "RANGE"},
        ])
    );
}

#[test]
fn wrong_definitions_are_refused() {
    let tables = Tables::new();
    let hash = |name: &str| json!({"AttributeName": name, "KeyType": "HASH"});
    let range = |name: &str| json!({"AttributeName": name, "KeyType": "RANGE"});
    let string = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let throughput = json!({"ReadCapacityUnits": 1, "WriteCapacityUnits": 1});
    let invalid = "One or more parameter values were invalid: ";
    for (changes, refusal) in [
        (
            json!({"BillingMode": null}),
            format!(
                "{invalid}ReadCapacityUnits and WriteCapacityUnits must both be specified when \
                 BillingMode is PROVISIONED"
            ),
        ),
        (
            json!({"ProvisionedThroughput": throughput}),
            format!(
                "{invalid}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified \
                 when BillingMode is PAY_PER_REQUEST"
            ),
        ),
        (
            json!({"AttributeDefinitions": [string("k"), string("x")]}),
            format!(
                "{invalid}Number of attributes in KeySchema does not exactly match number of \
                 attributes defined in AttributeDefinitions"
            ),
        ),
        (
            json!({"AttributeDefinitions": [string("x")]}),
            format!(
                "{invalid}Some index key attributes are not defined in AttributeDefinitions. \
                 Keys: [k], AttributeDefinitions: [x]"
            ),
        ),
        (
            json!({"KeySchema": [range("k")]}),
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type".to_owned(),
        ),
        (
            json!({
                "KeySchema": [hash("k"), hash("x")],
                "AttributeDefinitions": [string("k"), string("x")],
            }),
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type".to_owned(),
        ),
        (
            json!({
                "KeySchema": [hash("k"), range("k")],
                "AttributeDefinitions": [string("k"), string("x")],
            }),
            "Both the Hash Key and the Range Key element in the KeySchema have the same name"
                .to_owned(),
        ),
        (
            json!({"KeySchema": [hash("k"), range("x")]}),
            "Invalid KeySchema: Some index key attribute have no definition".to_owned(),
        ),
        (
            json!({"KeySchema": null, "BillingMode": "free"}),
            "2 validation errors detected: Value 'free' at 'billingMode' failed to satisfy \
             constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]; \
             Value null at 'keySchema' failed to satisfy constraint: Member must not be null"
                .to_owned(),
        ),
        (
            json!({"AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "BOOL"}]}),
            "1 validation error detected: Value 'BOOL' at \
             'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member \
             must satisfy enum value set: [B, N, S]"
                .to_owned(),
        ),
    ] {
        assert_eq!(
            tables.refused("CreateTable", with(definition("leases"), changes.clone())),
            format!("ValidationException: {refusal}"),
            "{changes}"
        );
    }
    assert_eq!(
        tables.ok("ListTables", json!({})),
        json!({"TableNames": []})
    );
}

#[test]
fn a_protected_table_stays() {
    let tables = Tables::new();
    let body = with(
        definition("leases"),
        json!({"DeletionProtectionEnabled": true}),
    );
    tables.ok("CreateTable", body);
    assert_eq!(
        tables.refused("DeleteTable", json!({"TableName": "leases"})),
        "ValidationException: Resource cannot be deleted as it is currently protected against \
         deletion. Disable deletion protection first."
    );
    let table = tables.ok("DescribeTable", json!({"TableName": "leases"}));
    assert_eq!(table["Table"]["DeletionProtectionEnabled"], true);
}

#[test]
fn tables_are_listed_in_order_and_in_pages() {
    let tables = Tables::new();
    for name in ["ccc", "aaa", "eee", "bbb", "ddd"] {
        tables.ok("CreateTable", definition(name));
    }
    tables.ok("DeleteTable", json!({"TableName": "ddd"}));
    assert_eq!(
        tables.ok("ListTables", json!({"Limit": 2})),
        json!({"TableNames": ["aaa", "bbb"], "LastEvaluatedTableName": "bbb"})
    );
    assert_eq!(
        tables.ok(
            "ListTables",
            json!({"Limit": 2, "ExclusiveStartTableName": "bbb"})
        ),
        json!({"TableNames": ["ccc", "eee"]})
    );
    assert_eq!(
        tables.refused("ListTables", json!({"Limit": 101})),
        "ValidationException: 1 validation error detected: Value '101' at 'limit' failed to \
         satisfy constraint: Member must have value less than or equal to 100"
    );
}

#[test]
fn a_table_created_again_is_empty() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "a"}}));
    let table = tables.ok("DescribeTable", json!({"TableName": "Tab"}));
    assert_eq!(table["Table"]["ItemCount"], 1);
    assert_eq!(table["Table"]["TableSizeBytes"], 2);
    tables.ok("DeleteTable", json!({"TableName": "Tab"}));
    tables.create("Tab", &[("k", "S")]);
    assert_eq!(tables.get("a"), Value::Null);
}
