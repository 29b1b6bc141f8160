//! Faults: which call one strikes, what it does to it, and what it leaves alone.

use std::time::{Duration, UNIX_EPOCH};

use base64_simd::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use kinesis_emulator::{Action, Clock, EventException, Fault, Lost, Service, Settings};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::caller::{Caller, START, data, ids, shard};

fn put_body(place: u32) -> Value {
    let data = STANDARD.encode_to_string(place.to_string());
    json!({"StreamName": "s", "PartitionKey": "k", "Data": data})
}

/// Status and error type of a call, or `lost`.
async fn outcome(caller: &Caller, operation: &str, body: &Value) -> String {
    let request = http::Request::post("/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    told(caller.service.serve(request).await)
}

async fn table_outcome(caller: &Caller, operation: &str, body: &Value) -> String {
    let request = http::Request::post("/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    told(caller.service.serve(request).await)
}

fn told(answer: http::Response<kinesis_emulator::Body>) -> String {
    if answer.extensions().get::<Lost>().is_some() {
        return "lost".to_owned();
    }
    let status = answer.status();
    if status == 200 {
        return "ok".to_owned();
    }
    let body: Value = serde_json::from_slice(&answer.into_body().into_bytes()).unwrap();
    let kind = body["__type"].as_str().unwrap();
    let kind = kind.rsplit('#').next().unwrap();
    format!("{} {kind}", status.as_u16())
}

async fn puts(caller: &Caller, count: u32) -> Vec<String> {
    let mut outcomes = Vec::new();
    for place in 0..count {
        outcomes.push(outcome(caller, "PutRecord", &put_body(place)).await);
    }
    outcomes
}

/// The places that a fault has struck, counted from 1.
fn struck(outcomes: &[String]) -> Vec<usize> {
    let places = (1..).zip(outcomes);
    places
        .filter(|(_, outcome)| *outcome != "ok")
        .map(|(place, _)| place)
        .collect()
}

fn add(caller: &Caller, fault: Fault) -> u64 {
    caller.service.faults().add(fault).unwrap()
}

fn internal_error() -> Fault {
    Fault::new(Action::InternalError).on("PutRecord")
}

#[tokio::test(start_paused = true)]
async fn each_condition_strikes_what_it_says_and_nothing_else() {
    for (fault, expected) in [
        (internal_error(), vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (internal_error().nth(3), vec![3]),
        (internal_error().every(4), vec![4, 8]),
        (internal_error().times(2), vec![1, 2]),
        (internal_error().every(3).times(2), vec![3, 6]),
        (internal_error().probability(0.0), vec![]),
        (internal_error().stream("other"), vec![]),
        (internal_error().stream("s").nth(9), vec![9]),
        (internal_error().shard("shardId-000000000001"), vec![]),
        (internal_error().shard("0").nth(2), vec![2]),
        (Fault::new(Action::InternalError).on("GetRecords"), vec![]),
    ] {
        let caller = Caller::with_stream(1).await;
        let id = add(&caller, fault.clone());
        let outcomes = puts(&caller, 9).await;
        assert_eq!(struck(&outcomes), expected, "{fault:?}");
        let report = caller.service.faults().get(id).unwrap();
        assert_eq!(report.struck, expected.len() as u64, "{fault:?}");
        // What was struck is not there, and everything else is.
        let left: Vec<_> = (0..9)
            .filter(|place| !expected.contains(&(place + 1)))
            .map(|place| place.to_string())
            .collect();
        caller.service.faults().clear();
        let there = caller.data_from("0", "TRIM_HORIZON", json!({})).await;
        assert_eq!(there, left, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_lasts_as_long_as_the_clock_says_and_can_be_taken_back() {
    let caller = Caller::with_stream(1).await;
    let faults = caller.service.faults();
    let lasting = add(&caller, internal_error().lasting(Duration::from_secs(60)));
    assert_eq!(struck(&puts(&caller, 2).await), [1, 2]);
    caller.advance(Duration::from_millis(59_999));
    assert_eq!(struck(&puts(&caller, 1).await), [1]);
    caller.advance(Duration::from_millis(1));
    assert_eq!(struck(&puts(&caller, 2).await), [0_usize; 0]);
    let report = faults.get(lasting).unwrap();
    assert_eq!(
        (report.matched, report.struck, report.is_active),
        (3, 3, false)
    );
    let other = add(&caller, internal_error());
    assert_eq!(struck(&puts(&caller, 1).await), [1]);
    assert!(faults.remove(other) && !faults.remove(other));
    assert_eq!(struck(&puts(&caller, 2).await), [0_usize; 0]);
    let left: Vec<_> = faults.list().iter().map(|report| report.id).collect();
    assert_eq!(left, [lasting]);
}

#[tokio::test(start_paused = true)]
async fn chance_is_the_same_for_one_seed_and_another_for_another() {
    let run = async |seed| {
        let settings = Settings {
            clock: Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START)),
            seed: Some(seed),
            ..Settings::default()
        };
        let caller = Caller {
            service: Service::new(settings),
        };
        caller
            .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
            .await;
        add(&caller, internal_error().probability(0.3));
        struck(&puts(&caller, 200).await)
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    assert!((40..80).contains(&first.len()), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn every_error_comes_in_the_services_words() {
    let caller = Caller::with_stream(1).await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let get = json!({"ShardIterator": iterator});
    let expired = "Iterator expired. The iterator was created at time Tue Nov 14 22:08:19 UTC 2023 \
                   while right now it is Tue Nov 14 22:13:20 UTC 2023 which is further in the \
                   future than the tolerated delay of 300000 milliseconds.";
    let exceeded = format!(
        "Rate exceeded for shard {} in stream s under account 000000000000.",
        shard(0)
    );
    for (action, operation, body, status, kind, text) in [
        (
            Action::ThroughputExceeded,
            "PutRecord",
            &put_body(0),
            400,
            "ProvisionedThroughputExceededException",
            exceeded.as_str(),
        ),
        (
            Action::ExpiredIterator,
            "GetRecords",
            &get,
            400,
            "ExpiredIteratorException",
            expired,
        ),
        (
            Action::Throttle,
            "ListStreams",
            &json!({}),
            400,
            "ThrottlingException",
            "Rate exceeded",
        ),
        (
            Action::InternalError,
            "GetRecords",
            &get,
            500,
            "InternalFailure",
            "Internal Service Failure",
        ),
        (
            Action::Unavailable,
            "GetRecords",
            &get,
            503,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        ),
    ] {
        add(&caller, Fault::new(action).on(operation).times(1));
        let (answered, refusal) = caller.raw(operation, &body.to_string()).await;
        let refusal: Value = serde_json::from_str(&refusal).unwrap();
        assert_eq!(answered, status, "{kind}");
        assert_eq!(
            (&refusal["__type"], &refusal["message"]),
            (&json!(kind), &json!(text))
        );
        assert_eq!(outcome(&caller, operation, body).await, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_the_call_leaves_the_record_once_and_before_it_not_at_all() {
    for (action, expected) in [
        (Action::ResetAfter, vec!["0", "1", "2"]),
        (Action::ResetBefore, vec!["0", "2"]),
    ] {
        let caller = Caller::with_stream(1).await;
        add(&caller, Fault::new(action).on("PutRecord").nth(2));
        assert_eq!(puts(&caller, 3).await, ["ok", "lost", "ok"]);
        let there = caller.data_from("0", "TRIM_HORIZON", json!({})).await;
        assert_eq!(there, expected);
    }
}

#[tokio::test]
async fn on_a_socket_a_lost_answer_closes_the_connection() {
    let emulator = kinesis_emulator::Emulator::start().await.unwrap();
    let config = aws_sdk_kinesis::config::Builder::from(&emulator.sdk_config())
        .retry_config(aws_sdk_kinesis::config::retry::RetryConfig::disabled())
        .build();
    let client = aws_sdk_kinesis::Client::from_conf(config);
    client
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    let lost = Fault::new(Action::ResetAfter).on("PutRecord").nth(2);
    emulator.service().faults().add(lost).unwrap();
    let put = || {
        client
            .put_record()
            .stream_name("s")
            .partition_key("k")
            .data(b"x".to_vec().into())
            .send()
    };
    put().await.unwrap();
    let error = put().await.unwrap_err();
    assert!(error.as_service_error().is_none(), "{error:?}");
    put().await.unwrap();
    let iterator = client
        .get_shard_iterator()
        .stream_name("s")
        .shard_id("0")
        .shard_iterator_type("TRIM_HORIZON".into())
        .send()
        .await
        .unwrap();
    let read = client
        .get_records()
        .set_shard_iterator(iterator.shard_iterator)
        .send()
        .await
        .unwrap();
    assert_eq!(read.records.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn latency_passes_on_the_virtual_clock_before_the_call() {
    let caller = Caller::with_stream(1).await;
    let latency = Action::Latency(Duration::from_secs(3));
    add(&caller, Fault::new(latency.clone()).on("PutRecord").nth(1));
    // Two of them add up.
    add(&caller, Fault::new(latency).on("PutRecord").nth(1));
    let start = Instant::now();
    puts(&caller, 2).await;
    assert_eq!(start.elapsed(), Duration::from_secs(6));
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let reply = caller.records(&iterator).await;
    let arrival = reply["Records"][0]["ApproximateArrivalTimestamp"].as_f64();
    assert_eq!(arrival, Some((START + 6) as f64));
}

#[tokio::test(start_paused = true)]
async fn records_of_a_batch_fail_alone_and_their_retry_makes_it_whole() {
    let caller = Caller::with_stream(2).await;
    let fault = Fault::new(Action::RecordFailure).probability(0.4).times(30);
    let id = add(&caller, fault);
    let record = |place: u32| {
        let key = if place.is_multiple_of(2) {
            0
        } else {
            u128::MAX
        };
        json!({"PartitionKey": "k", "ExplicitHashKey": key.to_string(),
            "Data": STANDARD.encode_to_string(place.to_string())})
    };
    let mut left: Vec<_> = (0..100).map(record).collect();
    let (mut rounds, mut failures) = (0, 0);
    while !left.is_empty() {
        rounds += 1;
        let reply = caller
            .ok("PutRecords", json!({"StreamName": "s", "Records": left}))
            .await;
        let mut failed = Vec::new();
        for (record, outcome) in left.iter().zip(reply["Records"].as_array().unwrap()) {
            if outcome.get("ErrorCode").is_some() {
                let expected = json!({"ErrorCode": "InternalFailure",
                    "ErrorMessage": "Internal Service Failure"});
                assert_eq!(*outcome, expected);
                failed.push(record.clone());
            }
        }
        assert_eq!(reply["FailedRecordCount"], failed.len());
        failures += failed.len();
        left = failed;
    }
    assert!(rounds > 1);
    assert_eq!(failures, 30);
    assert_eq!(caller.service.faults().get(id).unwrap().struck, 30);
    let mut there = caller.data_from("0", "TRIM_HORIZON", json!({})).await;
    there.extend(caller.data_from("1", "TRIM_HORIZON", json!({})).await);
    let mut there: Vec<u32> = there.iter().map(|data| data.parse().unwrap()).collect();
    there.sort_unstable();
    assert_eq!(there, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_record_failure_of_one_shard_leaves_the_other_alone() {
    let caller = Caller::with_stream(2).await;
    add(&caller, Fault::new(Action::RecordFailure).shard(shard(1)));
    let record =
        |key: u128| json!({"PartitionKey": "k", "ExplicitHashKey": key.to_string(), "Data": ""});
    let records = json!([record(0), record(u128::MAX), record(1)]);
    let reply = caller
        .ok("PutRecords", json!({"StreamName": "s", "Records": records}))
        .await;
    assert_eq!(reply["FailedRecordCount"], 1);
    assert_eq!(reply["Records"][1]["ErrorCode"], "InternalFailure");
}

#[tokio::test(start_paused = true)]
async fn stale_listings_show_the_shards_as_they_were() {
    let caller = Caller::with_stream(1).await;
    caller.advance(Duration::from_secs(10));
    let half = (1_u128 << 127).to_string();
    let split = json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": half});
    caller.ok("SplitShard", split).await;
    caller.advance(Duration::from_secs(10));
    let merge = json!({"StreamName": "s", "ShardToMerge": "1", "AdjacentShardToMerge": "2"});
    caller.ok("MergeShards", merge).await;
    caller.advance(Duration::from_secs(10));
    let name = json!({"StreamName": "s"});
    let latest = json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}});
    for (action, all, open) in [
        (None, vec![0, 1, 2, 3], vec![3]),
        (Some(Action::StaleReshard), vec![0, 1, 2], vec![1, 2]),
        (
            Some(Action::StaleBy(Duration::from_secs(9))),
            vec![0, 1, 2, 3],
            vec![3],
        ),
        (
            Some(Action::StaleBy(Duration::from_secs(11))),
            vec![0, 1, 2],
            vec![1, 2],
        ),
        (
            Some(Action::StaleBy(Duration::from_secs(25))),
            vec![0],
            vec![0],
        ),
        (
            Some(Action::StaleBy(Duration::from_secs(1000))),
            vec![0],
            vec![0],
        ),
    ] {
        caller.service.faults().clear();
        if let Some(action) = &action {
            add(&caller, Fault::new(action.clone()));
        }
        let listed = caller.ok("ListShards", name.clone()).await;
        assert_eq!(ids(&listed), all, "{action:?}");
        let described = caller.ok("DescribeStream", name.clone()).await;
        assert_eq!(ids(&described["StreamDescription"]), all, "{action:?}");
        let now_open = caller.ok("ListShards", latest.clone()).await;
        assert_eq!(ids(&now_open), open, "{action:?}");
        let is_open = |shard: &&Value| {
            shard["SequenceNumberRange"]
                .get("EndingSequenceNumber")
                .is_none()
        };
        let shards = listed["Shards"].as_array().unwrap();
        assert_eq!(
            shards.iter().filter(is_open).count(),
            open.len(),
            "{action:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_dropped_cut_and_replaced_by_exceptions() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let position = || json!({"Type": "TRIM_HORIZON"});
    add(&caller, Fault::new(Action::DropEvent).consumer("c").nth(2));
    let mut events = caller.subscribe(&consumer, "0", position()).await;
    let mut told = Vec::new();
    for text in ["a", "b", "c"] {
        caller.put("k", text).await;
        if let Some(frame) = events.ready().await {
            told.extend(data(&frame.event()));
        }
    }
    assert_eq!(told, ["a", "c"]);
    drop(events);

    caller.advance(Duration::from_secs(10));
    caller.service.faults().clear();
    let exception = Action::EventException(EventException::ResourceInUse);
    add(&caller, Fault::new(exception).nth(2));
    let mut events = caller.subscribe(&consumer, "0", position()).await;
    assert_eq!(data(&events.event().await), ["a", "b", "c"]);
    caller.put("k", "d").await;
    let (kind, _) = events.frame().await.unwrap().exception();
    assert_eq!(kind, "ResourceInUseException");
    assert!(events.frame().await.is_none());

    caller.advance(Duration::from_secs(10));
    caller.service.faults().clear();
    let mut whole = caller.subscribe(&consumer, "0", position()).await;
    let whole = whole.frame().await.unwrap();
    caller.advance(Duration::from_secs(10));
    add(&caller, Fault::new(Action::TruncateEvent));
    let body = json!({"ConsumerARN": consumer, "ShardId": "0", "StartingPosition": position()});
    let answer = caller
        .service
        .serve(crate::events::subscribe_request(&body))
        .await;
    let mut body = answer.into_body();
    body.frame().await.unwrap().unwrap();
    let cut = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let length = u32::from_be_bytes(cut[..4].try_into().unwrap());
    assert!(cut.len() < usize::try_from(length).unwrap());
    assert!(cut.len() > whole.payload.len() / 2);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn tables_meet_faults_too() {
    let caller = Caller::new();
    let create = json!({"TableName": "table", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]});
    assert_eq!(table_outcome(&caller, "CreateTable", &create).await, "ok");
    let put = |key: &str| json!({"TableName": "table", "Item": {"k": {"S": key}}});
    for (action, expected, is_there) in [
        (
            Action::ThroughputExceeded,
            "400 ProvisionedThroughputExceededException",
            false,
        ),
        (Action::Throttle, "400 ThrottlingException", false),
        (Action::InternalError, "500 InternalServerError", false),
        (
            Action::Unavailable,
            "503 ServiceUnavailableException",
            false,
        ),
        (Action::ResetBefore, "lost", false),
        (Action::ResetAfter, "lost", true),
    ] {
        let key = action.name();
        add(
            &caller,
            Fault::new(action.clone()).on("PutItem").table("other"),
        );
        add(
            &caller,
            Fault::new(action).on("PutItem").table("table").times(1),
        );
        assert_eq!(table_outcome(&caller, "PutItem", &put(key)).await, expected);
        let items = caller
            .service
            .dynamo()
            .items(caller.service.scope(), "table");
        let found = items
            .unwrap()
            .iter()
            .any(|item| format!("{item:?}").contains(key));
        assert_eq!(found, is_there, "{key}");
    }
    let latency = Action::Latency(Duration::from_secs(2));
    add(&caller, Fault::new(latency).on("PutItem").times(1));
    let start = Instant::now();
    assert_eq!(table_outcome(&caller, "PutItem", &put("late")).await, "ok");
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    // A fault that names neither operation nor service is one of the streams.
    add(&caller, Fault::new(Action::InternalError));
    assert_eq!(table_outcome(&caller, "PutItem", &put("x")).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn faults_that_make_no_sense_are_refused() {
    let caller = Caller::new();
    for (fault, words) in [
        (internal_error().on("Putt"), "no operation Putt"),
        (
            Fault::new(Action::ExpiredIterator).on("PutRecord"),
            "does not strike PutRecord",
        ),
        (
            Fault::new(Action::RecordFailure).on("PutRecord"),
            "does not strike",
        ),
        (
            Fault::new(Action::DropEvent).on("GetRecords"),
            "does not strike",
        ),
        (internal_error().shard("shard-x"), "no id of a shard"),
        (internal_error().probability(1.5), "from 0 to 1"),
        (internal_error().probability(f64::NAN), "from 0 to 1"),
        (internal_error().nth(0), "nth counts from 1"),
        (internal_error().times(0), "times counts from 1"),
        (
            internal_error().api(kinesis_emulator::Api::DynamoDb),
            "another service",
        ),
    ] {
        let unfit = caller.service.faults().add(fault).unwrap_err().to_string();
        assert!(unfit.contains(words), "{unfit}");
    }
    assert!(caller.service.faults().list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn faults_are_added_listed_and_taken_back_over_http() {
    let caller = Caller::with_stream(1).await;
    let (status, first) = caller
        .control(
            "POST",
            "faults",
            r#"{"actionId": "aws:fis:inject-api-internal-error", "parameters":
                {"service": "kinesis", "operations": "PutRecord, PutRecords", "percentage": "100",
                 "duration": "PT5M"}, "stream": "s", "nth": 2}"#,
        )
        .await;
    let expected = json!({"id": 1, "action": "aws:fis:inject-api-internal-error",
        "service": "kinesis", "operations": ["PutRecord", "PutRecords"], "stream": "s", "nth": 2,
        "duration": "300000ms", "matched": 0, "struck": 0, "active": true});
    assert_eq!((status, &first), (201, &expected));
    let (_, second) = caller
        .control(
            "POST",
            "faults",
            r#"{"action": "emulator:latency", "latency": "200ms", "operations": ["GetRecords"],
                "probability": 0.5, "shard": "shardId-000000000000"}"#,
        )
        .await;
    assert_eq!(
        (&second["latency"], &second["probability"]),
        (&json!("200ms"), &json!(0.5))
    );
    assert_eq!(puts(&caller, 3).await, ["ok", "500 InternalFailure", "ok"]);
    let listed = caller.controlled("GET", "faults", Value::Null).await;
    assert_eq!(listed["faults"].as_array().unwrap().len(), 2);
    let first = caller.controlled("GET", "faults/1", Value::Null).await;
    assert_eq!(
        (&first["matched"], &first["struck"], &first["active"]),
        (&json!(2), &json!(1), &json!(false))
    );
    caller.controlled("DELETE", "faults/1", Value::Null).await;
    assert_eq!(caller.control("DELETE", "faults/1", "").await.0, 404);
    let left = caller.controlled("DELETE", "faults", Value::Null).await;
    assert_eq!(left, json!({"faults": []}));
    for action in [
        json!({"action": "aws:kinesis:stream-provisioned-throughput-exception"}),
        json!({"action": "aws:kinesis:inject-api-provisioned-throughput-exception"}),
        json!({"action": "aws:kinesis:stream-expired-iterator-exception"}),
        json!({"action": "aws:fis:inject-api-throttle-error", "service": "dynamodb"}),
        json!({"action": "aws:fis:inject-api-unavailable-error", "percentage": 25}),
        json!({"action": "emulator:connection-reset-before-apply"}),
        json!({"action": "emulator:connection-reset-after-apply", "every": 3}),
        json!({"action": "emulator:record-failure", "times": 2}),
        json!({"action": "emulator:stale-listing", "age": "PT1M"}),
        json!({"action": "emulator:stale-listing", "before": "last-reshard"}),
        json!({"action": "emulator:event-drop", "consumer": "c"}),
        json!({"action": "emulator:event-truncate"}),
        json!({"action": "emulator:event-exception", "exception": "ResourceNotFoundException"}),
    ] {
        let (status, answer) = caller.control("POST", "faults", &action.to_string()).await;
        assert_eq!(status, 201, "{action}: {answer}");
        // What is shown can be asked for again.
        let mut again = answer.clone();
        for name in ["id", "matched", "struck", "active"] {
            again.as_object_mut().unwrap().remove(name);
        }
        let (status, answer) = caller.control("POST", "faults", &again.to_string()).await;
        assert_eq!(status, 201, "{again}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_faults_over_http_say_what_is_wrong() {
    let caller = Caller::new();
    let internal = "aws:fis:inject-api-internal-error";
    for (body, words) in [
        (json!({}), "missing field `action`"),
        (json!({"action": "explode"}), "There are: aws:kinesis"),
        (
            json!({"action": internal, "what": 1}),
            "unknown field `what`",
        ),
        (
            json!({"action": internal, "percentage": "many"}),
            "percentage must be a number",
        ),
        (
            json!({"action": internal, "percentage": 150}),
            "from 0 to 1",
        ),
        (
            json!({"action": internal, "percentage": 10, "probability": 0.1}),
            "give one",
        ),
        (json!({"action": internal, "nth": 1.5}), "whole number"),
        (json!({"action": internal, "nth": 0}), "whole number"),
        (json!({"action": internal, "duration": "soon"}), "PT5M"),
        (
            json!({"action": internal, "service": "ec2"}),
            "kinesis, dynamodb or cloudwatch",
        ),
        (
            json!({"action": internal, "operations": "Put"}),
            "no operation Put",
        ),
        (
            json!({"action": internal, "latency": "1s"}),
            "belongs to emulator:latency",
        ),
        (json!({"action": "emulator:latency"}), "needs a latency"),
        (
            json!({"action": "emulator:stale-listing", "before": "noon"}),
            "last-reshard",
        ),
        (
            json!({"action": "emulator:event-exception", "exception": "X"}),
            "one of Internal",
        ),
        (
            json!({"action": internal, "parameters": 5}),
            "must be an object",
        ),
        (
            json!({"action": internal, "nth": 1, "parameters": {"nth": 2}}),
            "given twice",
        ),
        (json!([]), "invalid type"),
    ] {
        let (status, problem) = caller.control("POST", "faults", &body.to_string()).await;
        let text = problem["error"].as_str().unwrap();
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.contains(words), "{body}: {text}");
    }
    assert_eq!(caller.control("GET", "faults/x", "").await.0, 404);
    assert_eq!(caller.control("PUT", "faults", "").await.0, 405);
}
