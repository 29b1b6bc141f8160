//! A subscription of a caller that speaks CBOR, judged by another implementation of it: the frames are
//! the same, their payloads are not.

use std::time::Duration;

use bytes::Bytes;
use ciborium::{Value, cbor};
use http_body_util::Full;

use crate::caller::{Caller, START, shard};
use crate::events::{Events, Frame};

const CBOR: &str = "application/x-amz-cbor-1.1";

async fn subscribe(caller: &Caller, consumer: &str) -> Events {
    let request = cbor!({
        "ConsumerARN" => consumer,
        "ShardId" => shard(0),
        "StartingPosition" => {"Type" => "TRIM_HORIZON"},
    });
    let mut body = Vec::new();
    ciborium::into_writer(&request.unwrap(), &mut body).unwrap();
    let request = http::Request::post("/")
        .header("content-type", CBOR)
        .header("x-amz-target", "Kinesis_20131202.SubscribeToShard")
        .body(Full::new(Bytes::from(body)));
    let answer = caller.service.serve(request.unwrap()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "application/vnd.amazon.eventstream"
    );
    Events::of(answer.into_body())
}

/// The payload's members.
fn members(frame: &Frame) -> Vec<(String, Value)> {
    assert_eq!(frame.header(":content-type"), Some(CBOR), "{frame:?}");
    let payload: Value = ciborium::from_reader(&frame.payload[..]).unwrap();
    let members = payload.into_map().unwrap().into_iter();
    members
        .map(|(name, value)| (name.into_text().unwrap(), value))
        .collect()
}

fn member<'a>(members: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    members
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_cbor_gets_payloads_in_cbor() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    caller.put("k", "data").await;
    let mut events = subscribe(&caller, &consumer).await;
    let first = events.ready().await.unwrap();
    assert_eq!(first.header(":event-type"), Some("initial-response"));
    assert_eq!(members(&first), []);
    let event = events.ready().await.unwrap();
    assert_eq!(event.header(":event-type"), Some("SubscribeToShardEvent"));
    let told = members(&event);
    let record = member(&told, "Records").unwrap().as_array().unwrap()[0].clone();
    let record = record.into_map().unwrap();
    let field = |name: &str| {
        let found = record
            .iter()
            .find(|(known, _)| known.as_text() == Some(name));
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(field("Data"), Some(Value::Bytes(b"data".to_vec())));
    let arrived = Value::Tag(1, Box::new((START * 1000).into()));
    assert_eq!(field("ApproximateArrivalTimestamp"), Some(arrived));
    assert_eq!(
        field("SequenceNumber").as_ref(),
        member(&told, "ContinuationSequenceNumber")
    );
    assert_eq!(member(&told, "MillisBehindLatest"), Some(&0.into()));
    assert_eq!(member(&told, "ChildShards"), None);
    caller.advance(Duration::from_millis(4_500));
    let beat = members(&events.ready().await.unwrap());
    assert_eq!(member(&beat, "Records"), Some(&Value::Array(Vec::new())));
    assert!(
        member(&beat, "ContinuationSequenceNumber")
            .unwrap()
            .is_text()
    );
    let middle = (1_u128 << 127).to_string();
    let split = serde_json::json!({
        "StreamName": "s", "ShardToSplit": shard(0), "NewStartingHashKey": middle,
    });
    caller.ok("SplitShard", split).await;
    let end = members(&events.ready().await.unwrap());
    assert_eq!(member(&end, "ContinuationSequenceNumber"), None);
    assert_eq!(
        member(&end, "ChildShards")
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert!(events.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_cbor_gets_exceptions_in_cbor() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let mut events = subscribe(&caller, &consumer).await;
    events.ready().await.unwrap();
    let body = serde_json::json!({"ConsumerARN": consumer});
    caller.ok("DeregisterStreamConsumer", body).await;
    let frame = events.ready().await.unwrap();
    assert_eq!(frame.header(":message-type"), Some("exception"));
    assert_eq!(
        frame.header(":exception-type"),
        Some("ResourceNotFoundException")
    );
    let text = "Consumer c, account 000000000000 not found.";
    assert_eq!(member(&members(&frame), "message"), Some(&text.into()));
    assert!(events.frame().await.is_none());
}
