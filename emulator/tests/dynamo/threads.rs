//! Many callers at once.

use serde_json::{Value, json};

use crate::harness::Tables;

const THREADS: u64 = 8;
const EACH: u64 = 500;

fn counter(row: &Value) -> u64 {
    row["n"]["N"].as_str().unwrap().parse().unwrap()
}

#[test]
fn conditional_increments_lose_nothing() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "row"}, "n": {"N": "0"}}));
    let refused: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| increment(&tables)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert_eq!(
        counter(&tables.get("row")),
        THREADS * EACH,
        "{refused} attempts lost their race"
    );
}

/// Adds one `EACH` times, each time on the value it saw; how often another was faster.
fn increment(tables: &Tables) -> u64 {
    let mut refused = 0;
    let mut seen = counter(&tables.get("row"));
    for _ in 0..EACH {
        loop {
            let body = json!({
                "TableName": "Tab",
                "Key": {"k": {"S": "row"}},
                "UpdateExpression": "SET n = :next",
                "ConditionExpression": "n = :seen",
                "ExpressionAttributeValues": {
                    ":next": {"N": (seen + 1).to_string()}, ":seen": {"N": seen.to_string()},
                },
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            });
            match tables.call("UpdateItem", &body) {
                Ok(_) => {
                    seen += 1;
                    break;
                }
                Err(refusal) => {
                    refused += 1;
                    let body: Value = serde_json::from_slice(&refusal.body()).unwrap();
                    seen = counter(&body["Item"]);
                }
            }
        }
    }
    refused
}

#[test]
fn one_of_many_creates_the_row() {
    let tables = Tables::with_table();
    for row in 0..50 {
        let created: usize = std::thread::scope(|scope| {
            let create = |owner: u64| {
                let body = json!({
                    "TableName": "Tab",
                    "Item": {"k": {"S": format!("row-{row}")}, "n": {"N": owner.to_string()}},
                    "ConditionExpression": "attribute_not_exists(k)",
                });
                usize::from(tables.call("PutItem", &body).is_ok())
            };
            let workers: Vec<_> = (0..THREADS)
                .map(|owner| scope.spawn(move || create(owner)))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(created, 1);
    }
}
