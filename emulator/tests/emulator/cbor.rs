//! The service in CBOR, judged by another implementation of it.

use bytes::Bytes;
use ciborium::{Value, cbor};
use http_body_util::Full;
use serde_json::json;

use crate::caller::{Caller, START};

const CBOR: &str = "application/x-amz-cbor-1.1";

/// Sends bytes; the status, the content type and the answer's bytes.
async fn raw(caller: &Caller, operation: &str, body: Vec<u8>) -> (u16, String, Bytes) {
    let request = http::Request::post("/")
        .header("content-type", format!("{CBOR}; charset=utf-8"))
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let answer = caller.service.serve(request).await;
    let status = answer.status().as_u16();
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (status, kind, answer.into_body().into_bytes())
}

async fn send(caller: &Caller, operation: &str, body: Value) -> (u16, Value) {
    let mut bytes = Vec::new();
    ciborium::into_writer(&body, &mut bytes).unwrap();
    let (status, kind, body) = raw(caller, operation, bytes).await;
    assert_eq!(kind, CBOR);
    let value = if body.is_empty() {
        Value::Null
    } else {
        ciborium::from_reader(&body[..]).unwrap()
    };
    (status, value)
}

async fn ok(caller: &Caller, operation: &str, body: Value) -> Value {
    let (status, reply) = send(caller, operation, body).await;
    assert_eq!(status, 200, "{operation}: {reply:?}");
    reply
}

/// A member, however deep: `"Records.0.Data"`.
fn member<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| {
        if let Some(list) = value.as_array() {
            return list.get(name.parse::<usize>().unwrap());
        }
        let found = value.as_map()?.iter();
        let mut found = found.filter(|(key, _)| key.as_text() == Some(name));
        found.next().map(|(_, value)| value)
    })
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    member(value, path)
        .and_then(Value::as_text)
        .unwrap_or_else(|| panic!("{path}: {value:?}"))
}

fn time(millis: u64) -> Value {
    Value::Tag(1, Box::new(Value::from(millis)))
}

fn blob(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

#[tokio::test(start_paused = true)]
async fn records_go_in_and_come_out_as_byte_strings() {
    let caller = Caller::new();
    let create = cbor!({"StreamName" => "s", "ShardCount" => 1}).unwrap();
    assert_eq!(ok(&caller, "CreateStream", create).await, Value::Null);
    let data: Vec<u8> = (0..=255).collect();
    let put = cbor!({"StreamName" => "s", "PartitionKey" => "k\"é", "Data" => blob(&data)});
    let place = ok(&caller, "PutRecord", put.unwrap()).await;
    assert_eq!(text(&place, "ShardId"), "shardId-000000000000");
    let large = vec![7; 300_000];
    let batch = cbor!({"StreamName" => "s", "Records" => [
        {"PartitionKey" => "a", "Data" => blob(&large)},
        {"PartitionKey" => "b", "Data" => blob(b"")},
    ]});
    let places = ok(&caller, "PutRecords", batch.unwrap()).await;
    assert_eq!(member(&places, "FailedRecordCount"), Some(&Value::from(0)));
    assert!(text(&place, "SequenceNumber") < text(&places, "Records.0.SequenceNumber"));
    assert_eq!(text(&places, "Records.1.ShardId"), "shardId-000000000000");
    let ask = cbor!({"StreamName" => "s", "ShardId" => "0", "ShardIteratorType" => "TRIM_HORIZON"});
    let iterator = ok(&caller, "GetShardIterator", ask.unwrap()).await;
    let read = cbor!({"ShardIterator" => text(&iterator, "ShardIterator")}).unwrap();
    let reply = ok(&caller, "GetRecords", read).await;
    for (place, (key, data)) in [("k\"é", &data[..]), ("a", &large), ("b", b"")]
        .iter()
        .enumerate()
    {
        assert_eq!(text(&reply, &format!("Records.{place}.PartitionKey")), *key);
        let found = member(&reply, &format!("Records.{place}.Data"));
        assert_eq!(found, Some(&blob(data)));
        let arrival = member(
            &reply,
            &format!("Records.{place}.ApproximateArrivalTimestamp"),
        );
        assert_eq!(arrival, Some(&time(START * 1000)));
    }
    assert_eq!(
        text(&reply, "Records.0.SequenceNumber"),
        text(&place, "SequenceNumber")
    );
    assert_eq!(member(&reply, "MillisBehindLatest"), Some(&Value::from(0)));
    assert!(!text(&reply, "NextShardIterator").is_empty());
    // What CBOR has written, JSON reads.
    let data = base64_simd::STANDARD.encode_to_string(&data);
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    assert_eq!(caller.records(&iterator).await["Records"][0]["Data"], data);
}

#[tokio::test(start_paused = true)]
async fn times_are_milliseconds_both_ways() {
    let caller = Caller::with_stream(1).await;
    for data in ["a", "b", "c"] {
        caller.put("k", data).await;
        caller.advance(std::time::Duration::from_millis(1));
    }
    let millis = START * 1000 + 1;
    for at in [
        time(millis),
        Value::from(millis),
        Value::Float(millis as f64),
    ] {
        let ask = cbor!({"StreamName" => "s", "ShardId" => "0",
            "ShardIteratorType" => "AT_TIMESTAMP", "Timestamp" => at});
        let iterator = ok(&caller, "GetShardIterator", ask.unwrap()).await;
        let read = cbor!({"ShardIterator" => text(&iterator, "ShardIterator")}).unwrap();
        let reply = ok(&caller, "GetRecords", read).await;
        assert_eq!(member(&reply, "Records.0.Data"), Some(&blob(b"b")));
        let arrival = member(&reply, "Records.0.ApproximateArrivalTimestamp");
        assert_eq!(arrival, Some(&time(millis)));
    }
    let name = cbor!({"StreamName" => "s"}).unwrap();
    let reply = ok(&caller, "DescribeStreamSummary", name).await;
    let made = member(&reply, "StreamDescriptionSummary.StreamCreationTimestamp");
    assert_eq!(made, Some(&time(START * 1000)));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_names_its_children() {
    let caller = Caller::with_stream(1).await;
    let middle = 1_u128 << 127;
    let split = cbor!({"StreamName" => "s", "ShardToSplit" => "shardId-000000000000",
        "NewStartingHashKey" => middle.to_string()});
    assert_eq!(ok(&caller, "SplitShard", split.unwrap()).await, Value::Null);
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let read = cbor!({"ShardIterator" => iterator}).unwrap();
    let reply = ok(&caller, "GetRecords", read).await;
    assert_eq!(member(&reply, "NextShardIterator"), None);
    assert_eq!(
        text(&reply, "ChildShards.1.ShardId"),
        "shardId-000000000002"
    );
    assert_eq!(
        text(&reply, "ChildShards.1.ParentShards.0"),
        "shardId-000000000000"
    );
    assert_eq!(
        text(&reply, "ChildShards.1.HashKeyRange.StartingHashKey"),
        middle.to_string()
    );
}

#[tokio::test(start_paused = true)]
async fn errors_are_maps_of_texts() {
    let caller = Caller::new();
    let (status, error) = send(
        &caller,
        "DescribeStream",
        cbor!({"StreamName" => "x"}).unwrap(),
    )
    .await;
    assert_eq!(status, 400);
    assert_eq!(text(&error, "__type"), "ResourceNotFoundException");
    assert_eq!(
        text(&error, "message"),
        "Stream x under account 000000000000 not found."
    );
    let (_, error) = send(
        &caller,
        "DescribeStream",
        cbor!({"StreamName" => 5}).unwrap(),
    )
    .await;
    assert_eq!(text(&error, "__type"), "SerializationException");
    assert_eq!(
        text(&error, "Message"),
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an \
         String"
    );
    let (_, error) = send(
        &caller,
        "DescribeStream",
        cbor!({"StreamName" => ""}).unwrap(),
    )
    .await;
    assert_eq!(text(&error, "__type"), "ValidationException");
    let (_, error) = send(&caller, "Describe", cbor!({}).unwrap()).await;
    assert_eq!(
        error,
        cbor!({"__type" => "UnknownOperationException"}).unwrap()
    );
    let bare = cbor!({"__type" => "SerializationException"}).unwrap();
    for body in [cbor!([]).unwrap(), cbor!("a").unwrap(), Value::Null] {
        assert_eq!(
            send(&caller, "ListStreams", body.clone()).await,
            (400, bare.clone())
        );
        assert_eq!(send(&caller, "Describe", body).await, (400, bare.clone()));
    }
    for body in [&b"{}"[..], b"\xa1", b"\xbf", b""] {
        let (status, _, answer) = raw(&caller, "ListStreams", body.to_vec()).await;
        let answer: Value = ciborium::from_reader(&answer[..]).unwrap();
        assert_eq!((status, &answer), (400, &bare), "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_given_twice_count_once() {
    let caller = Caller::new();
    for name in ["a", "b"] {
        let create = cbor!({"StreamName" => name, "ShardCount" => 1}).unwrap();
        ok(&caller, "CreateStream", create).await;
    }
    let twice = Value::Map(vec![
        ("StreamName".into(), "a".into()),
        ("StreamName".into(), "b".into()),
    ]);
    let reply = ok(&caller, "DescribeStreamSummary", twice).await;
    assert_eq!(text(&reply, "StreamDescriptionSummary.StreamName"), "b");
    let (_, reply) = caller
        .raw(
            "DescribeStreamSummary",
            r#"{"StreamName":"a","StreamName":"b"}"#,
        )
        .await;
    assert!(reply.contains(r#""StreamName":"b""#), "{reply}");
}
