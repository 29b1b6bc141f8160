//! Limits: what is refused for its speed, in whose words, and that it has no effect. Time is virtual.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use base64_simd::STANDARD;
use kinesis_emulator::{Clock, Limits, Service, Settings};
use serde_json::{Value, json};

use crate::caller::{Caller, START, data, shard};

const MIB: usize = 1 << 20;
const ACCOUNT: &str = "000000000000";

async fn caller(limits: Limits, shards: u32) -> Caller {
    let settings = Settings {
        clock: Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START)),
        limits,
        seed: Some(1),
        ..Settings::default()
    };
    let caller = Caller {
        service: Service::new(settings),
    };
    caller
        .ok(
            "CreateStream",
            json!({"StreamName": "s", "ShardCount": shards}),
        )
        .await;
    caller
}

/// A record for a shard of two, with data and key of `size` bytes together.
fn record(data: &str, upper: bool) -> Value {
    let key = if upper { u128::MAX } else { 0 };
    json!({"PartitionKey": "k", "ExplicitHashKey": key.to_string(),
        "Data": STANDARD.encode_to_string(data)})
}

fn batch(records: &[Value]) -> Value {
    json!({"StreamName": "s", "Records": records})
}

fn exceeded(index: u32) -> (String, String) {
    let id = shard(index);
    (
        "ProvisionedThroughputExceededException".to_owned(),
        format!("Rate exceeded for shard {id} in stream s under account {ACCOUNT}."),
    )
}

async fn put(caller: &Caller, record: &Value) -> Result<(), (String, String)> {
    let mut body = record.clone();
    body["StreamName"] = json!("s");
    let (status, text) = caller.raw("PutRecord", &body.to_string()).await;
    if status == 200 {
        return Ok(());
    }
    let refusal: Value = serde_json::from_str(&text).unwrap();
    let text = |name: &str| refusal[name].as_str().unwrap().to_owned();
    Err((text("__type"), text("message")))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_records_a_second_fit_and_the_next_one_fails_until_time_has_passed() {
    let caller = caller(Limits::Enforce, 2).await;
    let records: Vec<_> = (0..500).map(|_| record("", false)).collect();
    for _ in 0..2 {
        let reply = caller.ok("PutRecords", batch(&records)).await;
        assert_eq!(reply["FailedRecordCount"], 0);
    }
    assert_eq!(put(&caller, &record("", false)).await, Err(exceeded(0)));
    // The other shard has its own thousand.
    assert_eq!(put(&caller, &record("", true)).await, Ok(()));
    caller.advance(Duration::from_millis(10));
    for _ in 0..10 {
        assert_eq!(put(&caller, &record("", false)).await, Ok(()));
    }
    assert_eq!(put(&caller, &record("", false)).await, Err(exceeded(0)));
    caller.advance(Duration::from_secs(60));
    for _ in 0..2 {
        let reply = caller.ok("PutRecords", batch(&records)).await;
        assert_eq!(reply["FailedRecordCount"], 0);
    }
    assert_eq!(put(&caller, &record("", false)).await, Err(exceeded(0)));
}

#[tokio::test(start_paused = true)]
async fn a_mebibyte_a_second_fits_with_its_keys_and_one_more_byte_fails() {
    let caller = caller(Limits::Enforce, 2).await;
    let half = "x".repeat(MIB / 2 - 1);
    for _ in 0..2 {
        assert_eq!(put(&caller, &record(&half, false)).await, Ok(()));
    }
    assert_eq!(put(&caller, &record("", false)).await, Err(exceeded(0)));
    caller.advance(Duration::from_millis(500));
    assert_eq!(put(&caller, &record(&half, false)).await, Ok(()));
    assert_eq!(put(&caller, &record("", false)).await, Err(exceeded(0)));
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_has_no_room_for_fails_in_its_place_and_retrying_it_loses_nothing() {
    let caller = caller(Limits::Enforce, 2).await;
    // 3,000 records for the first shard among some for the second: takes three seconds.
    let mut left: Vec<Value> = (0..3300)
        .map(|place| record(&place.to_string(), place % 11 == 0))
        .collect();
    let (mut seconds, mut acknowledged) = (0, BTreeMap::new());
    while !left.is_empty() {
        let mut failed = Vec::new();
        for part in left.chunks(500) {
            let reply = caller.ok("PutRecords", batch(part)).await;
            let outcomes = reply["Records"].as_array().unwrap();
            assert_eq!(outcomes.len(), part.len());
            let before = failed.len();
            for (record, outcome) in part.iter().zip(outcomes) {
                if let Some(code) = outcome.get("ErrorCode") {
                    assert_eq!(*code, exceeded(0).0);
                    assert_eq!(outcome["ErrorMessage"], exceeded(0).1);
                    assert_eq!(outcome.as_object().unwrap().len(), 2);
                    failed.push(record.clone());
                } else {
                    let number = outcome["SequenceNumber"].as_str().unwrap().to_owned();
                    let data = record["Data"].as_str().unwrap().to_owned();
                    assert_eq!(acknowledged.insert(number, data), None);
                }
            }
            assert_eq!(reply["FailedRecordCount"], failed.len() - before);
        }
        left = failed;
        if !left.is_empty() {
            seconds += 1;
            caller.advance(Duration::from_secs(1));
        }
    }
    assert_eq!(seconds, 2);
    let mut read = Vec::new();
    for index in 0..2 {
        caller.advance(Duration::from_secs(10));
        let iterator = caller
            .iterator(&shard(index), "TRIM_HORIZON", json!({}))
            .await;
        let reply = caller.records(&iterator).await;
        read.extend(data(&reply).into_iter().map(|n| n.parse::<u32>().unwrap()));
        for record in reply["Records"].as_array().unwrap() {
            let number = record["SequenceNumber"].as_str().unwrap();
            assert_eq!(acknowledged[number], record["Data"]);
        }
    }
    read.sort_unstable();
    assert_eq!(read, (0..3300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn five_reads_a_second_fit_on_each_shard_and_the_sixth_fails() {
    let caller = caller(Limits::Enforce, 2).await;
    let first = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let second = caller.iterator("1", "TRIM_HORIZON", json!({})).await;
    for _ in 0..5 {
        caller.records(&first).await;
    }
    let body = json!({"ShardIterator": first});
    let expected = (
        "ProvisionedThroughputExceededException".to_owned(),
        format!("Rate exceeded for Shard - {ACCOUNT}/s/{}", shard(0)),
    );
    assert_eq!(caller.refused("GetRecords", body.clone()).await, expected);
    caller.records(&second).await;
    caller.advance(Duration::from_millis(200));
    caller.ok("GetRecords", body.clone()).await;
    assert_eq!(caller.refused("GetRecords", body).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_read_of_ten_mebibytes_shuts_the_shard_for_five_seconds() {
    let caller = caller(Limits::Enforce, 1).await;
    let large = record(&"x".repeat(MIB - 1), false);
    for _ in 0..12 {
        assert_eq!(put(&caller, &large).await, Ok(()));
        caller.advance(Duration::from_secs(1));
    }
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let reply = caller.records(&iterator).await;
    assert_eq!(reply["Records"].as_array().unwrap().len(), 10);
    let next = json!({"ShardIterator": reply["NextShardIterator"]});
    caller.advance(Duration::from_millis(4999));
    let (kind, _) = caller.refused("GetRecords", next.clone()).await;
    assert_eq!(kind, "ProvisionedThroughputExceededException");
    caller.advance(Duration::from_millis(1));
    let rest = caller.ok("GetRecords", next.clone()).await;
    assert_eq!(rest["Records"].as_array().unwrap().len(), 2);
    // That were just the 2 MiB of its second; a third would be refused for a whole one.
    caller.refused("GetRecords", next.clone()).await;
    caller.advance(Duration::from_millis(1));
    caller.ok("GetRecords", next.clone()).await;
    caller.advance(Duration::from_millis(999));
    caller.refused("GetRecords", next.clone()).await;
    caller.advance(Duration::from_millis(1));
    caller.ok("GetRecords", next).await;
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_rate_of_their_operation_fail_in_the_services_words() {
    let name = json!({"StreamName": "s"});
    let iterator = json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON"});
    let stream = format!("Rate exceeded for stream s under account {ACCOUNT}.");
    let account = format!("Rate exceeded for account {ACCOUNT}.");
    let limit = "LimitExceededException";
    for (operation, body, rate, kind, text) in [
        ("DescribeStreamSummary", &name, 20, limit, &stream),
        ("DescribeStream", &name, 10, limit, &stream),
        ("ListShards", &name, 1000, limit, &stream),
        ("ListStreams", &json!({}), 5, limit, &account),
        (
            "GetShardIterator",
            &iterator,
            5,
            &exceeded(0).0,
            &exceeded(0).1,
        ),
    ] {
        let caller = caller(Limits::Enforce, 2).await;
        for _ in 0..rate {
            caller.ok(operation, body.clone()).await;
        }
        let (refused, message) = caller.refused(operation, body.clone()).await;
        assert_eq!((refused.as_str(), &message), (kind, text), "{operation}");
        caller.advance(Duration::from_millis(1000 / rate));
        caller.ok(operation, body.clone()).await;
        caller.refused(operation, body.clone()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_changes_nothing() {
    let caller = caller(Limits::Enforce, 1).await;
    for place in 0..4 {
        let body = json!({"StreamName": format!("t{place}"), "ShardCount": 1});
        caller.ok("CreateStream", body).await;
    }
    let body = json!({"StreamName": "t4", "ShardCount": 1});
    let (kind, text) = caller.refused("CreateStream", body.clone()).await;
    assert_eq!(kind, "LimitExceededException");
    assert_eq!(
        text,
        format!("Rate exceeded for stream t4 under account {ACCOUNT}.")
    );
    let missing = caller
        .refused("DescribeStream", json!({"StreamName": "t4"}))
        .await;
    assert_eq!(missing.0, "ResourceNotFoundException");
    // Refused calls do not put off the next one that is not.
    for _ in 0..10 {
        caller.refused("CreateStream", body.clone()).await;
    }
    caller.advance(Duration::from_millis(200));
    caller.ok("CreateStream", body).await;
}

#[tokio::test(start_paused = true)]
async fn without_limits_nothing_is_refused() {
    for limits in [Limits::Off, Limits::Observe] {
        let caller = caller(limits, 1).await;
        let records: Vec<_> = (0..500).map(|_| record("x", false)).collect();
        let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
        for _ in 0..10 {
            let reply = caller.ok("PutRecords", batch(&records)).await;
            assert_eq!(reply["FailedRecordCount"], 0);
            caller.records(&iterator).await;
            caller.ok("ListStreams", json!({})).await;
        }
    }
}
