//! Streams: made, described, listed, deleted, and the states between.

use std::time::Duration;

use kinesis_emulator::Delays;
use serde_json::{Value, json};

use crate::caller::{Caller, START, ids};

fn name() -> Value {
    json!({"StreamName": "s"})
}

#[tokio::test(start_paused = true)]
async fn a_new_stream_is_described_as_the_service_does() {
    let caller = Caller::with_stream(2).await;
    let described = caller.ok("DescribeStream", name()).await;
    let half = 1_u128 << 127;
    let range = |start: u128, end: u128| json!({"StartingHashKey": start.to_string(), "EndingHashKey": end.to_string()});
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    assert_eq!(
        described,
        json!({"StreamDescription": {
            "StreamName": "s",
            "StreamARN": arn,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "Shards": [
                {
                    "ShardId": "shardId-000000000000",
                    "HashKeyRange": range(0, half - 1),
                    "SequenceNumberRange": {"StartingSequenceNumber":
                        "49646437577108476416916876405825929425585429676275269634"},
                },
                {
                    "ShardId": "shardId-000000000001",
                    "HashKeyRange": range(half, u128::MAX),
                    "SequenceNumberRange": {"StartingSequenceNumber":
                        "49646437577130777162115407028967465143858078037781250066"},
                },
            ],
            "HasMoreShards": false,
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": START as f64,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        }})
    );
    let by_arn = caller
        .ok("DescribeStreamSummary", json!({"StreamARN": arn}))
        .await;
    assert_eq!(
        by_arn,
        json!({"StreamDescriptionSummary": {
            "StreamName": "s",
            "StreamARN": arn,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": START as f64,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
            "OpenShardCount": 2,
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": 1024,
        }})
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_shard_count_is_on_demand_with_four() {
    let caller = Caller::new();
    for (name, body) in [
        ("a", json!({"StreamName": "a"})),
        (
            "b",
            json!({"StreamName": "b", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        ),
    ] {
        caller.ok("CreateStream", body).await;
        let found = caller
            .ok("DescribeStreamSummary", json!({"StreamName": name}))
            .await;
        let found = &found["StreamDescriptionSummary"];
        assert_eq!(found["OpenShardCount"], 4);
        assert_eq!(found["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_to_create_are_checked() {
    let caller = Caller::with_stream(1).await;
    let exists = "Stream s under account 000000000000 already exists.";
    let mode = "Value 'FAST' at 'streamModeDetails.streamMode' failed to satisfy constraint: Member \
                must satisfy enum value set: [PROVISIONED, ON_DEMAND]";
    for (body, kind, text) in [
        (json!({"StreamName": "s", "ShardCount": 1}), "ResourceInUseException", exists.to_owned()),
        (
            json!({}),
            "ValidationException",
            "1 validation error detected: Value null at 'streamName' failed to satisfy constraint: \
             Member must not be null"
                .to_owned(),
        ),
        (
            json!({"StreamName": "a b", "ShardCount": 0}),
            "ValidationException",
            "2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at \
             'shardCount' failed to satisfy constraint: Member must have value greater than or equal \
             to 1"
                .to_owned(),
        ),
        (
            json!({"StreamName": "x", "StreamModeDetails": {"StreamMode": "FAST"}}),
            "ValidationException",
            format!("1 validation error detected: {mode}"),
        ),
        (
            json!({"StreamName": "x", "ShardCount": 1,
                "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
            "ValidationException",
            "ShardCount is not expected when StreamMode=ON_DEMAND".to_owned(),
        ),
        (
            json!({"StreamName": "x", "ShardCount": 20_000}),
            "LimitExceededException",
            "This request would exceed the shard limit for the account 000000000000 in us-east-1. \
             Current shard count for the account: 1. Limit: 20000. Number of additional shards that \
             would have resulted from this request: 20000. Refer to the AWS Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current \
             limits and how to request higher limits."
                .to_owned(),
        ),
        (
            json!({"StreamName": "x", "ShardCount": "1"}),
            "SerializationException",
            "class java.lang.String can not be converted to an Integer".to_owned(),
        ),
    ] {
        assert_eq!(caller.refused("CreateStream", body).await, (kind.to_owned(), text));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_named_by_name_or_arn_or_both_if_they_agree() {
    let caller = Caller::with_stream(1).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    caller
        .ok(
            "DescribeStream",
            json!({"StreamName": "s", "StreamARN": arn}),
        )
        .await;
    let invalid = |text: &str| ("InvalidArgumentException".to_owned(), text.to_owned());
    assert_eq!(
        caller
            .refused(
                "DescribeStream",
                json!({"StreamName": "t", "StreamARN": arn})
            )
            .await,
        invalid("StreamARN and StreamName do not name the same stream.")
    );
    assert_eq!(
        caller.refused("DescribeStream", json!({})).await,
        invalid("Either StreamARN or StreamName should be provided.")
    );
    let (kind, text) = caller
        .refused("DescribeStream", json!({"StreamARN": "arn"}))
        .await;
    assert_eq!(kind, "ValidationException");
    assert!(text.contains("Value 'arn' at 'streamARN' failed"), "{text}");
    assert_eq!(
        caller
            .refused("DescribeStream", json!({"StreamName": "t"}))
            .await,
        (
            "ResourceNotFoundException".to_owned(),
            "Stream t under account 000000000000 not found.".to_owned()
        )
    );
}

#[tokio::test(start_paused = true)]
async fn states_pass_on_the_virtual_clock() {
    let second = Duration::from_secs(1);
    let delays = Delays {
        create: second,
        delete: second,
        reshard: second,
        ..Delays::default()
    };
    let caller = Caller::with_delays(delays);
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    let status = async || {
        let reply = caller.ok("DescribeStream", name()).await;
        let stream = &reply["StreamDescription"];
        let shards = stream["Shards"].as_array().unwrap().len();
        (stream["StreamStatus"].as_str().unwrap().to_owned(), shards)
    };
    assert_eq!(status().await, ("CREATING".to_owned(), 0));
    let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    assert_eq!(
        caller.refused("PutRecord", record.clone()).await.0,
        "ResourceNotFoundException"
    );
    let split = json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": "1000"});
    assert_eq!(
        caller.refused("SplitShard", split.clone()).await,
        (
            "ResourceInUseException".to_owned(),
            "Stream s under account 000000000000 not ACTIVE, instead in state CREATING".to_owned()
        )
    );
    caller.advance(Duration::from_millis(999));
    assert_eq!(status().await.0, "CREATING");
    caller.advance(Duration::from_millis(1));
    assert_eq!(status().await, ("ACTIVE".to_owned(), 1));
    caller.ok("SplitShard", split.clone()).await;
    assert_eq!(status().await, ("UPDATING".to_owned(), 1));
    // Writes go to the old shard until the flip.
    let placed = caller.ok("PutRecord", record.clone()).await;
    assert_eq!(placed["ShardId"], "shardId-000000000000");
    assert_eq!(
        caller.refused("SplitShard", split).await.0,
        "ResourceInUseException"
    );
    // Seen only much later, the flip still happened when it was due.
    caller.advance(Duration::from_secs(600));
    assert_eq!(status().await, ("ACTIVE".to_owned(), 3));
    let end = caller.ok("ListShards", name()).await;
    let flip = START + 2;
    let ending = end["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"]
        .as_str()
        .unwrap();
    let number = u128::from_str_radix(&hex_tail(ending), 16).unwrap();
    assert_eq!((number >> 36) & 0xf_ffff_ffff, u128::from(flip));
    caller.ok("DeleteStream", name()).await;
    assert_eq!(status().await.0, "DELETING");
    caller.ok("DeleteStream", name()).await;
    caller.ok("PutRecord", record).await;
    let again = json!({"StreamName": "s", "ShardCount": 1});
    assert_eq!(
        caller.refused("CreateStream", again.clone()).await.0,
        "ResourceInUseException"
    );
    caller.advance(second);
    assert_eq!(
        caller.refused("DescribeStream", name()).await.0,
        "ResourceNotFoundException"
    );
    caller.ok("CreateStream", again).await;
}

/// The low 128 bits of a decimal number, in hex.
fn hex_tail(decimal: &str) -> String {
    let mut low = 0_u128;
    for digit in decimal.bytes() {
        low = low.wrapping_mul(10).wrapping_add(u128::from(digit - b'0'));
    }
    format!("{low:x}")
}

#[tokio::test(start_paused = true)]
async fn streams_are_listed_by_name_in_pages() {
    let caller = Caller::new();
    for name in ["c", "a", "e", "b", "d"] {
        caller
            .ok("CreateStream", json!({"StreamName": name, "ShardCount": 1}))
            .await;
    }
    let first = caller.ok("ListStreams", json!({"Limit": 2})).await;
    assert_eq!(first["StreamNames"], json!(["a", "b"]));
    assert_eq!(first["HasMoreStreams"], true);
    assert_eq!(first["StreamSummaries"][1]["StreamName"], "b");
    let token = &first["NextToken"];
    let second = caller.ok("ListStreams", json!({"NextToken": token})).await;
    assert_eq!(second["StreamNames"], json!(["c", "d", "e"]));
    assert_eq!(
        (&second["HasMoreStreams"], second.get("NextToken")),
        (&json!(false), None)
    );
    let after = caller
        .ok("ListStreams", json!({"ExclusiveStartStreamName": "cc"}))
        .await;
    assert_eq!(after["StreamNames"], json!(["d", "e"]));
    caller.advance(Duration::from_millis(300_001));
    let (kind, _) = caller
        .refused("ListStreams", json!({"NextToken": token}))
        .await;
    assert_eq!(kind, "ExpiredNextTokenException");
}

#[tokio::test(start_paused = true)]
async fn a_description_is_paged_by_a_hundred() {
    let caller = Caller::with_stream(230).await;
    let mut seen = Vec::new();
    let mut body = name();
    loop {
        let page = caller.ok("DescribeStream", body.clone()).await["StreamDescription"].take();
        let part = ids(&page);
        assert!(part.len() <= 100);
        seen.extend(part);
        if page["HasMoreShards"] == false {
            break;
        }
        body["ExclusiveStartShardId"] = json!(format!("shardId-{:012}", seen.last().unwrap()));
    }
    assert_eq!(seen, (0..230).collect::<Vec<_>>());
}
