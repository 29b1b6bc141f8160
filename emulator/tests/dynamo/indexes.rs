//! Secondary indexes: made with a table or later, followed by every write, read in pages.

use serde_json::{Value, json};

use crate::harness::Tables;

const BY_OWNER: &str = "LeaseOwnerToLeaseKeyIndex";

fn add_index() -> Value {
    json!({
        "TableName": "Tab",
        "AttributeDefinitions": [
            {"AttributeName": "owner", "AttributeType": "S"},
            {"AttributeName": "k", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": BY_OWNER,
            "KeySchema": [
                {"AttributeName": "owner", "KeyType": "HASH"},
                {"AttributeName": "k", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }}],
    })
}

fn owned_by(owner: &str, rest: Value) -> Value {
    let mut body = json!({
        "TableName": "Tab", "IndexName": BY_OWNER,
        "KeyConditionExpression": "#o = :o",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":o": {"S": owner}},
    });
    for (name, value) in rest.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn keys(reply: &Value) -> Vec<&str> {
    let items = reply["Items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["k"]["S"].as_str().unwrap())
        .collect()
}

#[test]
fn an_index_that_comes_later_has_what_is_there_and_follows() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "1"}, "owner": {"S": "a"}, "more": {"S": "x"}}));
    tables.put(json!({"k": {"S": "2"}, "owner": {"N": "7"}}));
    tables.put(json!({"k": {"S": "3"}}));
    let updated = tables.ok("UpdateTable", add_index());
    let table = &updated["TableDescription"];
    assert_eq!(table["TableStatus"], "UPDATING");
    assert_eq!(
        table["GlobalSecondaryIndexes"][0]["IndexStatus"],
        "CREATING"
    );
    assert_eq!(table["GlobalSecondaryIndexes"][0]["Backfilling"], true);
    let table = tables.ok("DescribeTable", json!({"TableName": "Tab"}))["Table"].clone();
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(
        table["GlobalSecondaryIndexes"],
        json!([{
            "IndexName": BY_OWNER,
            "KeySchema": [
                {"AttributeName": "owner", "KeyType": "HASH"},
                {"AttributeName": "k", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            "IndexStatus": "ACTIVE",
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0,
            },
            "IndexSizeBytes": 8,
            "ItemCount": 1,
            "IndexArn": format!(
                "arn:aws:dynamodb:us-east-1:000000000000:table/Tab/index/{BY_OWNER}"
            ),
        }])
    );
    // Rows that the index cannot take were left out; from now on they are refused.
    assert_eq!(
        tables.ok("Query", owned_by("a", json!({})))["Items"],
        json!([{"k": {"S": "1"}, "owner": {"S": "a"}}])
    );
    assert_eq!(
        tables.refused(
            "PutItem",
            json!({
                "TableName": "Tab", "Item": {"k": {"S": "4"}, "owner": {"N": "1"}},
            })
        ),
        format!(
            "ValidationException: One or more parameter values were invalid: Type mismatch for \
             Index Key owner Expected: S Actual: N IndexName: {BY_OWNER}"
        )
    );
    // Entries come, move and go with their rows.
    tables.put(json!({"k": {"S": "3"}, "owner": {"S": "a"}}));
    assert_eq!(
        keys(&tables.ok("Query", owned_by("a", json!({})))),
        ["1", "3"]
    );
    tables.ok(
        "UpdateItem",
        json!({
            "TableName": "Tab", "Key": {"k": {"S": "1"}},
            "UpdateExpression": "SET #o = :b",
            "ExpressionAttributeNames": {"#o": "owner"},
            "ExpressionAttributeValues": {":b": {"S": "b"}},
        }),
    );
    assert_eq!(keys(&tables.ok("Query", owned_by("a", json!({})))), ["3"]);
    assert_eq!(keys(&tables.ok("Query", owned_by("b", json!({})))), ["1"]);
    tables.ok(
        "DeleteItem",
        json!({"TableName": "Tab", "Key": {"k": {"S": "1"}}}),
    );
    assert_eq!(
        keys(&tables.ok("Query", owned_by("b", json!({})))),
        Vec::<&str>::new()
    );
}

#[test]
fn an_index_is_read_in_pages_forwards_and_backwards() {
    let tables = Tables::with_table();
    tables.ok("UpdateTable", add_index());
    for number in 0..5 {
        tables.put(json!({"k": {"S": number.to_string()}, "owner": {"S": "a"}}));
    }
    for forward in [true, false] {
        let mut found = Vec::new();
        let mut start = Value::Null;
        loop {
            let reply = tables.ok(
                "Query",
                owned_by(
                    "a",
                    json!({
                        "Limit": 2, "ScanIndexForward": forward, "ExclusiveStartKey": start,
                    }),
                ),
            );
            found.extend(keys(&reply).into_iter().map(str::to_owned));
            let Some(last) = reply.get("LastEvaluatedKey") else {
                break;
            };
            assert_eq!(
                last["owner"],
                json!({"S": "a"}),
                "index keys and table keys"
            );
            start = last.clone();
        }
        let mut due: Vec<_> = (0..5).map(|number| number.to_string()).collect();
        if !forward {
            due.reverse();
        }
        assert_eq!(found, due);
    }
    let mut scanned = Vec::new();
    for segment in 0..3 {
        let reply = tables.ok(
            "Scan",
            json!({
                "TableName": "Tab", "IndexName": BY_OWNER, "Segment": segment, "TotalSegments": 3,
            }),
        );
        scanned.extend(keys(&reply).into_iter().map(str::to_owned));
    }
    assert_eq!(
        scanned,
        ["0", "1", "2", "3", "4"],
        "one partition, so one segment"
    );
}

/// Many entries of one index key, told apart by the table's key alone.
#[test]
fn entries_of_one_index_key_are_paged_by_the_rows_own_key() {
    let tables = Tables::new();
    tables.ok(
        "CreateTable",
        json!({
            "TableName": "Tab", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "k", "AttributeType": "S"},
                {"AttributeName": "g", "AttributeType": "N"},
            ],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-group",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]},
            }],
        }),
    );
    for number in 0..20 {
        tables.put(json!({
            "k": {"S": format!("{number:02}")}, "g": {"N": "1"}, "x": {"N": "1"}, "y": {"N": "2"},
        }));
    }
    let mut found = Vec::new();
    let mut start = Value::Null;
    loop {
        let reply = tables.ok("Query", json!({
            "TableName": "Tab", "IndexName": "by-group", "Limit": 3, "ExclusiveStartKey": start,
            "KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"N": "1.0"}},
        }));
        for item in reply["Items"].as_array().unwrap() {
            assert!(item.get("y").is_none(), "not projected: {item}");
            found.push(item["k"]["S"].as_str().unwrap().to_owned());
        }
        match reply.get("LastEvaluatedKey") {
            None => break,
            Some(last) => start = last.clone(),
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 20);
}

#[test]
fn a_global_index_shows_what_it_projects_and_nothing_else() {
    let tables = Tables::with_table();
    tables.ok("UpdateTable", add_index());
    tables.put(json!({"k": {"S": "1"}, "owner": {"S": "a"}, "x": {"S": "y"}}));
    let invalid = "ValidationException: One or more parameter values were invalid: ";
    for (rest, refusal) in [
        (
            json!({"Select": "ALL_ATTRIBUTES"}),
            format!(
                "{invalid}Select type ALL_ATTRIBUTES is not supported for global secondary index \
                 {BY_OWNER} because its projection type is not ALL"
            ),
        ),
        (
            json!({"ProjectionExpression": "x"}),
            format!("{invalid}Global secondary index {BY_OWNER} does not project [x]"),
        ),
        (
            json!({"ConsistentRead": true}),
            "ValidationException: Consistent reads are not supported on global secondary indexes"
                .to_owned(),
        ),
        (
            json!({"IndexName": "another"}),
            "ValidationException: The table does not have the specified index: another".to_owned(),
        ),
    ] {
        assert_eq!(tables.refused("Query", owned_by("a", rest)), refusal);
    }
}

#[test]
fn a_local_index_orders_a_partition_otherwise_and_looks_up_the_rest() {
    let tables = Tables::new();
    tables.ok("CreateTable", json!({
        "TableName": "Tab", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "k", "AttributeType": "S"},
            {"AttributeName": "r", "AttributeType": "N"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
        "KeySchema": [
            {"AttributeName": "k", "KeyType": "HASH"}, {"AttributeName": "r", "KeyType": "RANGE"},
        ],
        "LocalSecondaryIndexes": [{
            "IndexName": "by-time",
            "KeySchema": [
                {"AttributeName": "k", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
    }));
    for (row, at) in [(1, 30), (2, 10), (3, 20)] {
        let put = tables.ok(
            "PutItem",
            json!({
                "TableName": "Tab", "ReturnItemCollectionMetrics": "SIZE",
                "Item": {
                    "k": {"S": "a"}, "r": {"N": row.to_string()}, "at": {"N": at.to_string()},
                    "x": {"S": "more"},
                },
            }),
        );
        assert_eq!(
            put["ItemCollectionMetrics"],
            json!({"ItemCollectionKey": {"k": {"S": "a"}}, "SizeEstimateRangeGB": [0.0, 1.0]})
        );
    }
    let query = |rest: Value| {
        let mut body = json!({
            "TableName": "Tab", "IndexName": "by-time", "ConsistentRead": true,
            "KeyConditionExpression": "k = :k AND #at > :at",
            "ExpressionAttributeNames": {"#at": "at"},
            "ExpressionAttributeValues": {":k": {"S": "a"}, ":at": {"N": "10"}},
        });
        for (name, value) in rest.as_object().unwrap() {
            body[name] = value.clone();
        }
        tables.ok("Query", body)
    };
    let rows = |reply: &Value| -> Vec<String> {
        let items = reply["Items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["r"]["N"].as_str().unwrap().to_owned())
            .collect()
    };
    let reply = query(json!({}));
    assert_eq!(rows(&reply), ["3", "1"]);
    assert!(reply["Items"][0].get("x").is_none());
    let reply = query(json!({"Select": "ALL_ATTRIBUTES", "ReturnConsumedCapacity": "INDEXES"}));
    assert_eq!(reply["Items"][0]["x"], json!({"S": "more"}));
    assert_eq!(
        reply["ConsumedCapacity"],
        json!({
            "TableName": "Tab", "CapacityUnits": 3.0, "Table": {"CapacityUnits": 2.0},
            "LocalSecondaryIndexes": {"by-time": {"CapacityUnits": 1.0}},
        })
    );
}

#[test]
fn writes_pay_for_the_indexes_they_touch() {
    let tables = Tables::with_table();
    tables.ok("UpdateTable", add_index());
    let spent = |operation: &str, mut body: Value| {
        body["TableName"] = json!("Tab");
        body["ReturnConsumedCapacity"] = json!("INDEXES");
        let capacity = tables.ok(operation, body)["ConsumedCapacity"].clone();
        let index = &capacity["GlobalSecondaryIndexes"][BY_OWNER]["CapacityUnits"];
        (
            capacity["Table"]["CapacityUnits"].as_f64().unwrap(),
            index.as_f64().unwrap_or_default(),
        )
    };
    let put = |owner: Value, more: &str| {
        let mut item = json!({"k": {"S": "1"}, "more": {"S": more}});
        if !owner.is_null() {
            item["owner"] = owner;
        }
        spent("PutItem", json!({"Item": item}))
    };
    assert_eq!(put(Value::Null, "x"), (1.0, 0.0), "not in the index");
    assert_eq!(put(json!({"S": "a"}), "x"), (1.0, 1.0), "an entry comes");
    assert_eq!(
        put(json!({"S": "a"}), "y"),
        (1.0, 0.0),
        "nothing projected changes"
    );
    assert_eq!(
        put(json!({"S": "b"}), &"y".repeat(3000)),
        (3.0, 2.0),
        "an entry moves"
    );
    let key = json!({"Key": {"k": {"S": "1"}}});
    assert_eq!(spent("DeleteItem", key), (3.0, 1.0), "an entry goes");
}

#[test]
fn indexes_are_defined_whole_or_refused() {
    let tables = Tables::with_table();
    tables.ok("UpdateTable", add_index());
    assert_eq!(
        tables.refused("UpdateTable", add_index()),
        "ValidationException: Attempting to create an index which already exists"
    );
    let delete = |name: &str| {
        json!({
            "TableName": "Tab",
            "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}],
        })
    };
    assert_eq!(
        tables.refused("UpdateTable", delete("nobody")),
        "ResourceNotFoundException: Requested resource not found: Index: nobody of table: Tab \
         not found"
    );
    let deleted = tables.ok("UpdateTable", delete(BY_OWNER));
    let indexes = &deleted["TableDescription"]["GlobalSecondaryIndexes"];
    assert_eq!(indexes[0]["IndexStatus"], "DELETING");
    let table = tables.ok("DescribeTable", json!({"TableName": "Tab"}))["Table"].clone();
    assert_eq!(table.get("GlobalSecondaryIndexes"), None);
    assert_eq!(
        table["AttributeDefinitions"],
        json!([{"AttributeName": "k", "AttributeType": "S"}]),
        "what only the index needed is gone with it"
    );
    tables.ok("UpdateTable", add_index());
    let mut undefined = add_index();
    undefined["AttributeDefinitions"] = json!([]);
    undefined["GlobalSecondaryIndexUpdates"][0]["Create"]["IndexName"] = json!("other");
    undefined["GlobalSecondaryIndexUpdates"][0]["Create"]["KeySchema"][0]["AttributeName"] =
        json!("nowhere");
    assert!(
        tables
            .refused("UpdateTable", undefined)
            .contains("Some index key attributes are not defined in AttributeDefinitions")
    );
}

#[test]
fn no_path_leads_into_the_key_of_an_index() {
    let tables = Tables::with_table();
    tables.ok("UpdateTable", add_index());
    let names = json!({"#o": "owner"});
    let expected = "Key attributes must be scalars; list random access '[]' and map lookup '.' are \
                    not allowed: IndexKey: owner";
    for (operation, mut body) in [
        ("GetItem", json!({"ProjectionExpression": "#o.nick"})),
        ("UpdateItem", json!({"UpdateExpression": "REMOVE #o.nick"})),
    ] {
        body["TableName"] = json!("Tab");
        body["Key"] = json!({"k": {"S": "row"}});
        body["ExpressionAttributeNames"] = names.clone();
        let refusal = tables.call(operation, &body).unwrap_err();
        assert_eq!(refusal.message(), expected, "{operation}");
    }
    let body = json!({
        "TableName": "Tab",
        "FilterExpression": "attribute_exists(#o[0])",
        "ExpressionAttributeNames": names,
    });
    assert_eq!(tables.call("Scan", &body).unwrap_err().message(), expected);
}

#[test]
fn an_index_update_that_does_nothing_is_refused() {
    let tables = Tables::with_table();
    let body = json!({"TableName": "Tab", "GlobalSecondaryIndexUpdates": [{}]});
    assert_eq!(
        tables.call("UpdateTable", &body).unwrap_err().message(),
        "One or more parameter values were invalid: One of GlobalSecondaryIndexUpdate.Update, \
         GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null"
    );
}
