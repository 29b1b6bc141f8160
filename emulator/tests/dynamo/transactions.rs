//! TransactWriteItems and TransactGetItems: all or nothing, once.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::harness::Tables;

fn put(table: &str, key: &str, rest: Value) -> Value {
    let mut put = json!({"TableName": table, "Item": {"k": {"S": key}}});
    for (name, value) in rest.as_object().unwrap() {
        put[name] = value.clone();
    }
    json!({"Put": put})
}

fn body_of(tables: &Tables, operation: &str, body: &Value) -> Value {
    let refusal = tables.call(operation, body).unwrap_err();
    assert_eq!(refusal.status, 400);
    serde_json::from_slice(&refusal.body()).unwrap()
}

/// The Java KCL moves its state from one table to another this way.
#[test]
fn a_row_moves_between_tables_or_stays() {
    let tables = Tables::with_table();
    tables.create("Old", &[("k", "S")]);
    tables.ok(
        "PutItem",
        json!({"TableName": "Old", "Item": {"k": {"S": "state"}}}),
    );
    let moving = json!({"TransactItems": [
        put("Tab", "state", json!({"ConditionExpression": "attribute_not_exists(k)"})),
        {"Delete": {"TableName": "Old", "Key": {"k": {"S": "state"}}}},
    ]});
    assert_eq!(tables.ok("TransactWriteItems", moving.clone()), json!({}));
    assert_eq!(tables.get("state"), json!({"k": {"S": "state"}}));
    let old = json!({"TableName": "Old", "Key": {"k": {"S": "state"}}});
    assert_eq!(tables.ok("GetItem", old), json!({}));
    let body = body_of(&tables, "TransactWriteItems", &moving);
    assert_eq!(
        body,
        json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific \
                        reasons [ConditionalCheckFailed, None]",
            "CancellationReasons": [
                {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"},
                {"Code": "None"},
            ],
        })
    );
}

#[test]
fn one_action_that_fails_leaves_every_row_as_it_was() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "a"}, "n": {"N": "1"}, "s": {"S": "text"}}));
    let body = body_of(
        &tables,
        "TransactWriteItems",
        &json!({"TransactItems": [
            put("Tab", "new", json!({})),
            {"Update": {
                "TableName": "Tab", "Key": {"k": {"S": "a"}},
                "UpdateExpression": "SET n = n + :one",
                "ConditionExpression": "n = :two",
                "ExpressionAttributeValues": {":one": {"N": "1"}, ":two": {"N": "2"}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }},
            {"ConditionCheck": {
                "TableName": "Tab", "Key": {"k": {"S": "b"}},
                "ConditionExpression": "attribute_exists(k)",
            }},
            {"Update": {
                "TableName": "Tab", "Key": {"k": {"S": "c"}},
                "UpdateExpression": "SET x = gone",
            }},
        ]}),
    );
    assert_eq!(
        body["CancellationReasons"],
        json!([
            {"Code": "None"},
            {
                "Code": "ConditionalCheckFailed", "Message": "The conditional request failed",
                "Item": {"k": {"S": "a"}, "n": {"N": "1"}, "s": {"S": "text"}},
            },
            {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"},
            {
                "Code": "ValidationError",
                "Message": "The provided expression refers to an attribute that does not exist in \
                            the item",
            },
        ])
    );
    assert_eq!(tables.get("new"), Value::Null);
    assert_eq!(tables.get("a")["n"], json!({"N": "1"}));
    assert_eq!(tables.get("c"), Value::Null);
}

#[test]
fn a_token_makes_a_transaction_happen_once() {
    let tables = Tables::with_table();
    let add = |token: &str, amount: &str| {
        json!({
            "ClientRequestToken": token,
            "TransactItems": [{"Update": {
                "TableName": "Tab", "Key": {"k": {"S": "a"}},
                "UpdateExpression": "ADD n :n",
                "ExpressionAttributeValues": {":n": {"N": amount}},
            }}],
        })
    };
    tables.ok("TransactWriteItems", add("one", "5"));
    tables.ok("TransactWriteItems", add("one", "5"));
    assert_eq!(tables.get("a")["n"], json!({"N": "5"}));
    assert_eq!(
        tables.refused("TransactWriteItems", add("one", "6")),
        "IdempotentParameterMismatchException: Request parameters do not match those of the \
         earlier request with the same client request token"
    );
    tables.ok("TransactWriteItems", add("two", "5"));
    assert_eq!(tables.get("a")["n"], json!({"N": "10"}));
}

#[test]
fn reads_of_a_transaction_keep_their_places() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "a"}, "n": {"N": "1"}, "m": {"N": "2"}}));
    let get = |key: &str| json!({"Get": {"TableName": "Tab", "Key": {"k": {"S": key}}}});
    let mut shown = get("a");
    shown["Get"]["ProjectionExpression"] = json!("m");
    assert_eq!(
        tables.ok(
            "TransactGetItems",
            json!({"TransactItems": [get("none"), shown], "ReturnConsumedCapacity": "TOTAL"})
        ),
        json!({
            "Responses": [{}, {"Item": {"m": {"N": "2"}}}],
            "ConsumedCapacity": [
                {"TableName": "Tab", "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0},
            ],
        })
    );
}

#[test]
fn wrong_transactions_are_refused() {
    let tables = Tables::with_table();
    let twice = json!({"TransactItems": [put("Tab", "a", json!({})), put("Tab", "a", json!({}))]});
    assert_eq!(
        tables.refused("TransactWriteItems", twice),
        "ValidationException: Transaction request cannot include multiple operations on one item"
    );
    let mut both = put("Tab", "a", json!({}));
    both["Delete"] = json!({"TableName": "Tab", "Key": {"k": {"S": "a"}}});
    assert_eq!(
        tables.refused("TransactWriteItems", json!({"TransactItems": [both]})),
        "ValidationException: TransactItems can only contain one of Check, Put, Update or Delete"
    );
    assert_eq!(
        tables.refused(
            "TransactWriteItems",
            json!({"TransactItems": [put("None", "a", json!({}))]})
        ),
        "ResourceNotFoundException: Requested resource not found"
    );
    assert_eq!(
        tables.refused("TransactWriteItems", json!({"TransactItems": []})),
        "ValidationException: 1 validation error detected: Value '[]' at \
         'transactItems' failed to satisfy constraint: Member must have length greater than or \
         equal to 1"
    );
}

/// Money that moves between accounts neither appears nor vanishes, whoever looks and whenever.
#[test]
fn transactions_of_many_threads_are_one_after_the_other() {
    const ACCOUNTS: usize = 6;
    let tables = Tables::with_table();
    for account in 0..ACCOUNTS {
        tables.put(json!({"k": {"S": account.to_string()}, "n": {"N": "100"}}));
    }
    let moved = AtomicU32::new(0);
    let transfer = |from: usize, to: usize| {
        let change = |account: usize, sign: &str, condition: Value| {
            json!({"Update": {
                "TableName": "Tab", "Key": {"k": {"S": account.to_string()}},
                "UpdateExpression": format!("SET n = n {sign} :one"),
                "ConditionExpression": condition,
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            }})
        };
        let body = json!({"TransactItems": [
            change(from, "-", json!("n >= :one")), change(to, "+", Value::Null),
        ]});
        if tables.call("TransactWriteItems", &body).is_ok() {
            moved.fetch_add(1, Ordering::Relaxed);
        }
    };
    let gets: Vec<_> = (0..ACCOUNTS)
        .map(|account| {
            json!({"Get": {"TableName": "Tab", "Key": {"k": {"S": account.to_string()}}}})
        })
        .collect();
    let sum = || -> u64 {
        let reply = tables.ok("TransactGetItems", json!({"TransactItems": gets}));
        let responses = reply["Responses"].as_array().unwrap();
        let numbers = responses
            .iter()
            .map(|row| row["Item"]["n"]["N"].as_str().unwrap());
        numbers.map(|number| number.parse::<u64>().unwrap()).sum()
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let transfer = &transfer;
            scope.spawn(move || {
                for round in 0..500 {
                    let from = (thread * 7 + round * 3) % ACCOUNTS;
                    transfer(from, (from + 1 + round % (ACCOUNTS - 1)) % ACCOUNTS);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..500 {
                assert_eq!(sum(), 600);
            }
        });
    });
    assert_eq!(sum(), 600);
    assert!(moved.load(Ordering::Relaxed) > 1000, "{moved:?} transfers");
}
