//! SubscribeToShard: where a subscription starts and may start at all, and that what it names to go on
//! from is where it stood.

use std::time::Duration;

use kinesis_emulator::Delays;
use serde_json::{Value, json};

use crate::caller::{Caller, data, shard};
use crate::events::{after, at, horizon, latest};

/// Subscribes as a fresh consumer, so that nobody sits there, and gets what is told at once.
async fn told_at(caller: &Caller, position: Value) -> Vec<String> {
    let consumer = caller.consumer("fresh").await;
    let mut events = caller.subscribe(&consumer, &shard(0), position).await;
    let (records, _) = events.drain().await;
    caller
        .ok("DeregisterStreamConsumer", json!({"ConsumerARN": consumer}))
        .await;
    data(&json!({"Records": records}))
}

#[tokio::test(start_paused = true)]
async fn every_starting_position_starts_where_it_says() {
    let caller = Caller::with_stream(1).await;
    caller.put("k", "a").await;
    caller.advance(Duration::from_secs(10));
    let second = caller.put("k", "b").await["SequenceNumber"].clone();
    caller.advance(Duration::from_secs(10));
    caller.put("k", "c").await;
    let start = crate::caller::START;
    for (position, expected) in [
        (horizon(), "abc"),
        (latest(), ""),
        (at(&second), "bc"),
        (after(&second), "c"),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": start}), "abc"),
        (
            json!({"Type": "AT_TIMESTAMP", "Timestamp": start as f64 + 9.999}),
            "bc",
        ),
        (
            json!({"Type": "AT_TIMESTAMP", "Timestamp": start + 20}),
            "c",
        ),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": 0}), "abc"),
    ] {
        assert_eq!(
            told_at(&caller, position.clone()).await.concat(),
            expected,
            "{position}"
        );
    }
}

/// A request, the error it gets, and a part of its text.
type Bad = (Value, &'static str, &'static str);

fn typed(kind: &str) -> Value {
    json!({"Type": kind})
}

fn with_number(kind: &str, number: &str) -> Value {
    json!({"Type": kind, "SequenceNumber": number})
}

fn malformed(consumer: &str) -> Vec<Bad> {
    vec![
        (json!({}), "ValidationException", "3 validation errors"),
        (
            json!([consumer, shard(0), {}]),
            "ValidationException",
            "'startingPosition.type'",
        ),
        (
            json!([consumer, shard(0), typed("NOW")]),
            "ValidationException",
            "enum value set",
        ),
        (
            json!([consumer, "a b", latest()]),
            "ValidationException",
            "'shardId'",
        ),
        (
            json!(["app", shard(0), latest()]),
            "ValidationException",
            "'consumerARN'",
        ),
        (
            json!([consumer, shard(0), with_number("AT_SEQUENCE_NUMBER", "01")]),
            "ValidationException",
            "'startingPosition.sequenceNumber'",
        ),
    ]
}

fn meaningless(consumer: &str, put: &str) -> Vec<Bad> {
    let not_there = consumer.replace("/c:", "/d:");
    let future = json!({"Type": "AT_TIMESTAMP", "Timestamp": crate::caller::START + 60});
    vec![
        (
            json!([not_there, shard(0), latest()]),
            "ResourceNotFoundException",
            "Consumer d, account",
        ),
        (
            json!([consumer, "shard", latest()]),
            "ResourceNotFoundException",
            "Could not find shard shard in stream s",
        ),
        (
            json!([consumer, shard(7), latest()]),
            "ResourceNotFoundException",
            "Shard shardId-000000000007 in stream s under account 000000000000 does not exist",
        ),
        (
            json!([consumer, shard(0), typed("AT_SEQUENCE_NUMBER")]),
            "InvalidArgumentException",
            "Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber.",
        ),
        (
            json!([consumer, shard(0), with_number("LATEST", put)]),
            "InvalidArgumentException",
            "Request specified LATEST and also a StartingSequenceNumber.",
        ),
        (
            json!([
                consumer,
                shard(0),
                with_number("AFTER_SEQUENCE_NUMBER", "5")
            ]),
            "InvalidArgumentException",
            "StartingSequenceNumber 5 used in SubscribeToShard on shard shardId-000000000000",
        ),
        (
            json!([consumer, shard(0), typed("AT_TIMESTAMP")]),
            "InvalidArgumentException",
            "Must specify timestampInMillis",
        ),
        (
            json!([consumer, shard(0), future]),
            "InvalidArgumentException",
            "cannot be greater",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_subscribed_to_is_refused_before_any_frame() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let put = caller.put("k", "a").await["SequenceNumber"].clone();
    caller
        .ok("CreateStream", json!({"StreamName": "t", "ShardCount": 1}))
        .await;
    let put = put.as_str().unwrap();
    let bad = malformed(&consumer)
        .into_iter()
        .chain(meaningless(&consumer, put));
    for (body, expected, part) in bad {
        let body = match body.as_array() {
            Some(parts) => json!({
                "ConsumerARN": parts[0], "ShardId": parts[1], "StartingPosition": parts[2],
            }),
            None => body,
        };
        let (kind, text) = caller.refused("SubscribeToShard", body.clone()).await;
        assert_eq!(kind, expected, "{body}: {text}");
        assert!(text.contains(part), "{body}: {text}");
    }
    // None of them took the seat.
    caller.subscribe(&consumer, &shard(0), latest()).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_served_only_while_it_is_active() {
    let second = Duration::from_secs(1);
    let delays = Delays {
        register: second,
        deregister: second,
        ..Delays::default()
    };
    let caller = Caller::with_delays(delays);
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    let consumer = caller.consumer("c").await;
    let body = json!({"ConsumerARN": consumer, "ShardId": shard(0), "StartingPosition": latest()});
    let (kind, text) = caller.refused("SubscribeToShard", body.clone()).await;
    assert_eq!(kind, "ResourceInUseException");
    let start = crate::caller::START;
    let expected = format!(
        "Consumer c with creation timestamp {start} under stream: s , account 000000000000 is not in \
         ACTIVE status."
    );
    assert_eq!(text, expected);
    caller.advance(second);
    caller.subscribe(&consumer, &shard(0), latest()).await;
    caller
        .ok("DeregisterStreamConsumer", json!({"ConsumerARN": consumer}))
        .await;
    let (kind, _) = caller.refused("SubscribeToShard", body).await;
    assert_eq!(kind, "ResourceInUseException");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeats_number_goes_on_exactly_where_the_subscription_stood() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let mut events = caller.subscribe(&consumer, &shard(0), latest()).await;
    let mut beats: Vec<(Value, usize)> = Vec::new();
    let mut texts = Vec::new();
    // Heartbeats before any record, right behind one in the same second, and long after it.
    for round in 0..6 {
        let beat = events.event().await;
        assert_eq!(beat["Records"], json!([]));
        beats.push((beat["ContinuationSequenceNumber"].clone(), texts.len()));
        for _ in 0..round % 3 {
            let text = format!("{}", texts.len());
            caller.put("k", &text).await;
            let event = events.event().await;
            assert_eq!(data(&event), [text.as_str()]);
            texts.push(text);
            if round > 3 {
                // As close behind the record as a heartbeat ever comes.
                let again = events.event().await;
                beats.push((again["ContinuationSequenceNumber"].clone(), texts.len()));
            }
        }
    }
    caller.put("k", "last").await;
    texts.push("last".to_owned());
    assert!(beats.len() > 6);
    for (number, told) in beats {
        for position in [at(&number), after(&number)] {
            let expected = texts[told..].to_vec();
            assert_eq!(
                told_at(&caller, position.clone()).await,
                expected,
                "{position}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeats_number_lies_between_two_records_of_one_second() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    // The clock of the service stands, so that all of it falls into one second.
    let mut events = caller.subscribe(&consumer, &shard(0), horizon()).await;
    caller.advance(Duration::from_millis(5_300));
    caller.put("k", "first").await;
    let first = events.event().await;
    assert_eq!(data(&first), ["first"]);
    caller.advance(Duration::from_millis(4_500));
    let beat = events.ready().await.unwrap().event();
    let number = beat["ContinuationSequenceNumber"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(number.as_str() > first["ContinuationSequenceNumber"].as_str().unwrap());
    let second = caller.put("k", "second").await;
    assert!(number.as_str() < second["SequenceNumber"].as_str().unwrap());
    assert_eq!(told_at(&caller, at(&json!(number))).await, ["second"]);
    assert_eq!(told_at(&caller, after(&json!(number))).await, ["second"]);
}

#[tokio::test(start_paused = true)]
async fn trimmed_records_are_passed_over() {
    let caller = Caller::with_stream(1).await;
    let first = caller.put("k", "trimmed").await["SequenceNumber"].clone();
    caller.advance(Duration::from_secs(24 * 3600 + 1));
    caller.put("k", "kept").await;
    for position in [horizon(), at(&first), after(&first)] {
        assert_eq!(told_at(&caller, position).await, ["kept"]);
    }
}
