//! Many callers at once.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use kinesis_emulator::{Service, Settings};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::Tables;

const THREADS: u64 = 16;
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

/// What a request to the whole service is answered: whether it was refused, and the body.
fn serve(runtime: &Runtime, service: &Service, operation: &str, body: &Value) -> (bool, Value) {
    let request = Request::post("/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let (head, body) = runtime.block_on(service.serve(request)).into_parts();
    let body = serde_json::from_slice(&body.try_into_bytes().unwrap()).unwrap();
    (head.status != 200, body)
}

#[test]
fn increments_through_the_whole_service_lose_nothing() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let own = runtime();
    let service = {
        let _in = own.enter();
        Service::new(Settings::default())
    };
    let table = json!({
        "TableName": "Tab", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    });
    let (refused, answer) = serve(&own, &service, "CreateTable", &table);
    assert!(!refused, "{answer}");
    let update = |key: &str, change: &str, condition: Option<&str>, values: Value| {
        let mut body = json!({
            "TableName": "Tab", "Key": {"k": {"S": key}}, "UpdateExpression": change,
            "ExpressionAttributeValues": values, "ReturnValues": "ALL_NEW",
        });
        if let Some(condition) = condition {
            body["ConditionExpression"] = json!(condition);
            body["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
        }
        body
    };
    let zero = update(
        "by-condition",
        "SET n = :n",
        None,
        json!({":n": {"N": "0"}}),
    );
    serve(&own, &service, "UpdateItem", &zero);
    let attempts = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = runtime();
                let (mut seen, mut done) = (0, 0);
                while done < EACH {
                    attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let values = json!({
                        ":next": {"N": (seen + 1).to_string()}, ":seen": {"N": seen.to_string()},
                    });
                    let body = update("by-condition", "SET n = :next", Some("n = :seen"), values);
                    let (refused, answer) = serve(&runtime, &service, "UpdateItem", &body);
                    if refused {
                        seen = counter(&answer["Item"]);
                    } else {
                        seen += 1;
                        done += 1;
                    }
                    let body = update("by-adding", "ADD n :one", None, json!({":one": {"N": "1"}}));
                    let (refused, answer) = serve(&runtime, &service, "UpdateItem", &body);
                    assert!(!refused, "{answer}");
                }
            });
        }
    });
    let read = |key: &str| {
        let body = json!({"TableName": "Tab", "Key": {"k": {"S": key}}});
        counter(&serve(&own, &service, "GetItem", &body).1["Item"])
    };
    assert_eq!(read("by-condition"), THREADS * EACH);
    assert_eq!(read("by-adding"), attempts.into_inner());
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
