//! Tables behind the whole service: on its clock, with its delays, limits and faults.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::{Action, Api, Clock, Delays, Fault, Limits, Service, Settings};
use serde_json::{Value, json};

use crate::caller::START;

/// Calls tables of a service on a clock that only the test moves.
struct Tables {
    service: Service,
}

impl Tables {
    fn new(limits: Limits, delays: Delays) -> Self {
        let settings = Settings {
            clock: Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START)),
            limits,
            delays,
            seed: Some(1),
            ..Settings::default()
        };
        Self {
            service: Service::new(settings),
        }
    }

    async fn send(&self, target: &str, body: &Value) -> (u16, Value) {
        let request = http::Request::post("/")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let answer = self.service.serve(request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().into_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn ok(&self, operation: &str, body: Value) -> Value {
        let target = format!("DynamoDB_20120810.{operation}");
        let (status, reply) = self.send(&target, &body).await;
        assert_eq!(status, 200, "{operation} {body}: {reply}");
        reply
    }

    /// The error's name.
    async fn refused(&self, operation: &str, body: Value) -> String {
        let target = format!("DynamoDB_20120810.{operation}");
        let (status, reply) = self.send(&target, &body).await;
        assert_ne!(status, 200, "{operation} {body}: {reply}");
        let kind = reply["__type"].as_str().unwrap();
        kind.rsplit('#').next().unwrap().to_owned()
    }

    async fn create(&self, rest: Value) {
        let mut body = json!({
            "TableName": "Tab", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        });
        for (name, value) in rest.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.ok("CreateTable", body).await;
    }

    async fn put(&self, key: &str, value: u32) {
        let item = json!({"k": {"S": key}, "v": {"N": value.to_string()}, "all": {"S": "all"}});
        self.ok("PutItem", json!({"TableName": "Tab", "Item": item}))
            .await;
    }

    async fn get(&self, key: &str, consistent: bool) -> Value {
        let body = json!({
            "TableName": "Tab", "Key": {"k": {"S": key}}, "ConsistentRead": consistent,
        });
        self.ok("GetItem", body).await["Item"]["v"]["N"].clone()
    }

    fn advance(&self, seconds: u64) {
        self.service.clock().advance(Duration::from_secs(seconds));
    }
}

fn index_by_all() -> Value {
    json!({
        "TableName": "Tab",
        "AttributeDefinitions": [{"AttributeName": "all", "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": "by-all",
            "KeySchema": [{"AttributeName": "all", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }}],
    })
}

fn query_by_all() -> Value {
    json!({
        "TableName": "Tab", "IndexName": "by-all", "KeyConditionExpression": "#a = :a",
        "ExpressionAttributeNames": {"#a": "all"},
        "ExpressionAttributeValues": {":a": {"S": "all"}},
    })
}

#[tokio::test(start_paused = true)]
async fn tables_and_indexes_take_their_time_to_come_and_to_go() {
    let delays = Delays {
        create: Duration::from_secs(5),
        update: Duration::from_secs(2),
        delete: Duration::from_secs(3),
        ..Delays::default()
    };
    let tables = Tables::new(Limits::Off, delays);
    let state = async || {
        let table = tables
            .ok("DescribeTable", json!({"TableName": "Tab"}))
            .await["Table"]
            .clone();
        let index = table["GlobalSecondaryIndexes"][0]["IndexStatus"].clone();
        (table["TableStatus"].clone(), index)
    };
    tables.create(json!({})).await;
    assert_eq!(state().await, (json!("CREATING"), Value::Null));
    let item = json!({"TableName": "Tab", "Item": {"k": {"S": "a"}}});
    assert_eq!(
        tables.refused("PutItem", item).await,
        "ResourceNotFoundException"
    );
    assert_eq!(
        tables.refused("UpdateTable", index_by_all()).await,
        "ResourceInUseException"
    );
    tables.advance(5);
    tables.put("a", 1).await;
    tables.ok("UpdateTable", index_by_all()).await;
    assert_eq!(state().await, (json!("UPDATING"), json!("CREATING")));
    tables.put("b", 1).await;
    assert_eq!(
        tables.refused("Query", query_by_all()).await,
        "ValidationException"
    );
    tables.advance(2);
    assert_eq!(state().await, (json!("ACTIVE"), json!("CREATING")));
    let mut second = index_by_all();
    second["GlobalSecondaryIndexUpdates"][0]["Create"]["IndexName"] = json!("another");
    assert_eq!(
        tables.refused("UpdateTable", second).await,
        "LimitExceededException"
    );
    tables.advance(3);
    assert_eq!(state().await, (json!("ACTIVE"), json!("ACTIVE")));
    assert_eq!(tables.ok("Query", query_by_all()).await["Count"], 2);
    tables.ok("DeleteTable", json!({"TableName": "Tab"})).await;
    assert_eq!(state().await.0, json!("DELETING"));
    tables.advance(3);
    let gone = json!({"TableName": "Tab"});
    assert_eq!(
        tables.refused("DescribeTable", gone).await,
        "ResourceNotFoundException"
    );
}

#[tokio::test(start_paused = true)]
async fn provisioned_throughput_is_enforced_if_asked_for() {
    let provisioned = json!({
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
    });
    for limits in [Limits::Off, Limits::Observe] {
        let tables = Tables::new(limits, Delays::default());
        tables.create(provisioned.clone()).await;
        for number in 0..50 {
            tables.put("a", number).await;
        }
        let (enforced, exceeded) = observed(&tables).await;
        let due = if limits == Limits::Observe { 48.0 } else { 0.0 };
        assert_eq!((enforced, exceeded), (false, due), "{limits}");
    }
    let tables = Tables::new(Limits::Enforce, Delays::default());
    tables.create(provisioned).await;
    tables.put("a", 1).await;
    tables.put("b", 2).await;
    let item = json!({"TableName": "Tab", "Item": {"k": {"S": "c"}}});
    let (status, refusal) = tables.send("DynamoDB_20120810.PutItem", &item).await;
    assert_eq!(status, 400);
    assert_eq!(
        refusal,
        json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "The level of configured provisioned throughput for the table was exceeded. \
                        Consider increasing your provisioning level with the UpdateTable API.",
            "ThrottlingReasons": [{
                "reason": "TableWriteProvisionedThroughputExceeded",
                "resource": "arn:aws:dynamodb:us-east-1:000000000000:table/Tab",
            }],
        })
    );
    // Of a batch what is too much is given back; all of it is a refusal.
    let batch = json!({"RequestItems": {"Tab": [{"PutRequest": {"Item": {"k": {"S": "c"}}}}]}});
    let kind = tables.refused("BatchWriteItem", batch.clone()).await;
    assert_eq!(kind, "ProvisionedThroughputExceededException");
    let transaction = json!({"TransactItems": [{"Put": item}]});
    let kind = tables.refused("TransactWriteItems", transaction).await;
    assert_eq!(kind, "TransactionCanceledException");
    tables.advance(1);
    let mut larger = batch.clone();
    larger["RequestItems"]["Tab"] = json!([
        {"PutRequest": {"Item": {"k": {"S": "c"}}}}, {"PutRequest": {"Item": {"k": {"S": "d"}}}},
        {"PutRequest": {"Item": {"k": {"S": "e"}}}},
    ]);
    assert_eq!(
        tables.ok("BatchWriteItem", larger).await["UnprocessedItems"],
        json!({"Tab": [{"PutRequest": {"Item": {"k": {"S": "e"}}}}]})
    );
    // Reads have units of their own; half of one each without consistency.
    tables.get("a", false).await;
    tables.get("a", false).await;
    let read = json!({"TableName": "Tab", "Key": {"k": {"S": "a"}}});
    let kind = tables.refused("GetItem", read).await;
    assert_eq!(kind, "ProvisionedThroughputExceededException");
    assert_eq!(observed(&tables).await, (true, 5.0));
}

/// Whether what goes beyond the throughput of tables is refused, and how often that was.
async fn observed(tables: &Tables) -> (bool, f64) {
    let request = http::Request::get("/_emulator/metrics");
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let text = tables.service.serve(request).await.into_body().into_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let mut lines = text.lines();
    let line =
        lines.find(|line| line.starts_with("kinesis_emulator_table_throughput_exceeded_total{"));
    let Some(line) = line else {
        return (false, 0.0);
    };
    let count = line.rsplit(' ').next().unwrap().parse().unwrap();
    (line.contains("enforced=\"true\""), count)
}

#[tokio::test(start_paused = true)]
async fn a_fault_makes_reads_stale_that_may_be() {
    let tables = Tables::new(Limits::Off, Delays::default());
    tables.create(json!({})).await;
    tables.ok("UpdateTable", index_by_all()).await;
    tables.put("a", 1).await;
    tables.put("gone", 1).await;
    let fault = Fault::new(Action::StaleRead(Duration::from_secs(10)));
    let id = tables
        .service
        .faults()
        .add(fault.api(Api::DynamoDb))
        .unwrap();
    assert_eq!(
        tables.get("a", false).await,
        json!("1"),
        "nothing has changed since"
    );
    tables.advance(20);
    tables.put("a", 2).await;
    tables.put("new", 2).await;
    tables
        .ok(
            "DeleteItem",
            json!({"TableName": "Tab", "Key": {"k": {"S": "gone"}}}),
        )
        .await;
    tables.advance(5);
    tables.put("a", 3).await;
    tables.advance(4);
    // 9 s after the first writes nothing of them shows, but to who asks for consistency.
    let indexed = async || {
        let reply = tables.ok("Query", query_by_all()).await;
        let items = reply["Items"].as_array().unwrap().clone();
        let mut found: Vec<_> = items
            .iter()
            .map(|item| format!("{}={}", item["k"]["S"], item["v"]["N"]).replace('"', ""))
            .collect();
        found.sort();
        found
    };
    assert_eq!(tables.get("a", false).await, json!("1"));
    assert_eq!(tables.get("new", false).await, Value::Null);
    assert_eq!(tables.get("gone", false).await, json!("1"));
    assert_eq!(tables.get("a", true).await, json!("3"));
    assert_eq!(indexed().await, ["a=1", "gone=1"]);
    tables.advance(1);
    assert_eq!(tables.get("a", false).await, json!("2"), "10 s after");
    assert_eq!(indexed().await, ["a=2", "new=2"]);
    tables.service.faults().remove(id);
    assert_eq!(
        tables.get("a", false).await,
        json!("3"),
        "never by accident"
    );
    assert_eq!(indexed().await, ["a=3", "new=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_both_services_have_can_be_struck_for_one() {
    let tables = Tables::new(Limits::Off, Delays::default());
    tables.create(json!({})).await;
    let fault = Fault::new(Action::Throttle).on("TagResource");
    tables
        .service
        .faults()
        .add(fault.api(Api::DynamoDb))
        .unwrap();
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/Tab";
    let tag = json!({"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]});
    assert_eq!(
        tables.refused("TagResource", tag).await,
        "ThrottlingException"
    );
    let fault = Fault::new(Action::Throttle).on("PutItem").api(Api::Kinesis);
    assert!(tables.service.faults().add(fault).is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_built_is_an_operation_that_is_not_known() {
    let tables = Tables::new(Limits::Off, Delays::default());
    for target in [
        "DynamoDB_20120810.ExecuteStatement",
        "DynamoDBStreams_20120810.ListStreams",
    ] {
        let (status, refusal) = tables.send(target, &json!({})).await;
        assert_eq!(status, 400);
        let due = "com.amazon.coral.service#UnknownOperationException";
        assert_eq!(refusal["__type"], due, "{target}");
    }
}

/// A writer looks at its table's settings under the lock of the rows; whoever changes the settings must
/// not hold them while it waits for the rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn settings_change_while_rows_do_under_limits() {
    let tables = Arc::new(Tables::new(Limits::Observe, Delays::default()));
    tables.create(json!({})).await;
    let (mut writers, rounds) = (tokio::task::JoinSet::new(), 2000);
    for writer in 0..2 {
        let tables = Arc::clone(&tables);
        writers.spawn(async move {
            for round in 0..rounds {
                tables.put(&writer.to_string(), round).await;
            }
        });
    }
    let changing = Arc::clone(&tables);
    writers.spawn(async move {
        for round in 0..rounds {
            let specification = json!({"Enabled": round % 2 == 0, "AttributeName": "end"});
            let body = json!({"TableName": "Tab", "TimeToLiveSpecification": specification});
            changing.ok("UpdateTimeToLive", body).await;
            changing
                .ok("DescribeTable", json!({"TableName": "Tab"}))
                .await;
        }
    });
    let patience = Duration::from_secs(60);
    let all = tokio::time::timeout(patience, writers.join_all()).await;
    assert!(all.is_ok(), "they wait for each other");
}
