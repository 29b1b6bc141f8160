//! What a subscription tells: the bytes become records, are put, and must come back out of the frames,
//! in both encodings. The first byte says where records end and in which encoding they are told.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64_simd::STANDARD;
use bytes::Bytes;
use ciborium::Value;
use http_body::Body as _;
use serde_json::json;

use super::frame::{self, Frame};
use super::rig::{CBOR, JSON, STREAM_ARN, call, empty, request, runtime, serve};

/// Records of one run.
const RECORDS_MAX: usize = 50;

pub(crate) fn run(data: &[u8]) {
    // The reader must bear any bytes, so that its judgement of ours is worth something.
    let _ = frame::read(data);
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let records: Vec<_> = rest
        .split(|byte| byte == choice)
        .take(RECORDS_MAX)
        .map(|part| {
            let (key, data) = part.split_at(part.len().min(usize::from(choice & 7)));
            let key: String = String::from_utf8_lossy(key).into_owned();
            (
                if key.is_empty() { "k".to_owned() } else { key },
                data.to_vec(),
            )
        })
        .collect();
    let kind = if choice & 8 == 0 { JSON } else { CBOR };
    let frames = told(kind, &records);
    let found: Vec<_> = frames
        .iter()
        .flat_map(|frame| payload(kind, frame))
        .collect();
    assert_eq!(found, records);
}

/// Puts the records and subscribes to all of them; the frames that come without waiting.
fn told(kind: &str, records: &[(String, Vec<u8>)]) -> Vec<Frame> {
    let service = empty();
    let accepted = |operation: &str, body: serde_json::Value| {
        let answer = call(&service, JSON, operation, Bytes::from(body.to_string()));
        assert_eq!(answer.status, 200, "{operation}: {:?}", answer.body);
    };
    accepted("CreateStream", json!({"StreamName": "s", "ShardCount": 1}));
    accepted(
        "RegisterStreamConsumer",
        json!({"StreamARN": STREAM_ARN, "ConsumerName": "c"}),
    );
    let entries: Vec<_> = records
        .iter()
        .map(|(key, data)| json!({"PartitionKey": key, "Data": STANDARD.encode_to_string(data)}))
        .collect();
    accepted("PutRecords", json!({"StreamName": "s", "Records": entries}));
    let consumer = format!("{STREAM_ARN}/consumer/c:1700000000");
    let body = if kind == JSON {
        let position = json!({"Type": "TRIM_HORIZON"});
        json!({"ConsumerARN": consumer, "ShardId": "0", "StartingPosition": position})
            .to_string()
            .into_bytes()
    } else {
        let text = |text: &str| Value::Text(text.to_owned());
        let position = Value::Map(vec![(text("Type"), text("TRIM_HORIZON"))]);
        let body = Value::Map(vec![
            (text("ConsumerARN"), text(&consumer)),
            (text("ShardId"), text("0")),
            (text("StartingPosition"), position),
        ]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&body, &mut bytes).expect("this goes to memory");
        bytes
    };
    let answer = serve(
        &service,
        request(kind, "SubscribeToShard", Bytes::from(body)),
    );
    assert_eq!(answer.status(), 200);
    let mut body = pin!(answer.into_body());
    let mut context = Context::from_waker(Waker::noop());
    let _in = runtime().enter();
    let mut frames = Vec::new();
    while let Poll::Ready(Some(Ok(chunk))) = body.as_mut().poll_frame(&mut context) {
        let chunk = chunk.into_data().expect("a subscription has no trailers");
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (frame, after) = frame::read(rest).expect("a sound frame");
            frames.push(frame);
            rest = after;
        }
    }
    assert_eq!(frames[0].header(":event-type"), Some("initial-response"));
    frames
}

/// Keys and data of a frame's records.
fn payload(kind: &str, frame: &Frame) -> Vec<(String, Vec<u8>)> {
    assert_eq!(frame.header(":message-type"), Some("event"));
    let is_initial = frame.header(":event-type") == Some("initial-response");
    if kind == JSON {
        assert_eq!(frame.header(":content-type"), Some("application/json"));
        let payload: serde_json::Value =
            serde_json::from_slice(&frame.payload).expect("a payload is JSON");
        let Some(records) = payload["Records"].as_array() else {
            assert!(is_initial);
            return Vec::new();
        };
        assert!(payload["ContinuationSequenceNumber"].is_string());
        let record = |record: &serde_json::Value| {
            let data = record["Data"].as_str().expect("a record has data");
            let data = STANDARD.decode_to_vec(data).expect("data is base64");
            (
                record["PartitionKey"]
                    .as_str()
                    .expect("a record has a key")
                    .to_owned(),
                data,
            )
        };
        records.iter().map(record).collect()
    } else {
        assert_eq!(frame.header(":content-type"), Some(CBOR));
        let payload: Value = ciborium::from_reader(&frame.payload[..]).expect("a payload is CBOR");
        let Some(records) = member(&payload, "Records") else {
            assert!(is_initial);
            return Vec::new();
        };
        assert!(member(&payload, "ContinuationSequenceNumber").is_some_and(Value::is_text));
        let record = |record: &Value| {
            let data = member(record, "Data")
                .and_then(Value::as_bytes)
                .expect("a record has data");
            let key = member(record, "PartitionKey").and_then(Value::as_text);
            (key.expect("a record has a key").to_owned(), data.clone())
        };
        records
            .as_array()
            .expect("records are a list")
            .iter()
            .map(record)
            .collect()
    }
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut found = value
        .as_map()?
        .iter()
        .filter(|(key, _)| key.as_text() == Some(name));
    found.next().map(|(_, value)| value)
}
