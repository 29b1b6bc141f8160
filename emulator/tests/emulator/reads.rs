//! Iterators and GetRecords: positions, pages, ends, expiry.

use std::time::Duration;

use base64_simd::STANDARD;
use serde_json::{Value, json};

use crate::caller::{Caller, START, data, shard};

#[tokio::test(start_paused = true)]
async fn a_record_reads_back_as_it_was_put() {
    let caller = Caller::with_stream(1).await;
    caller.advance(Duration::from_millis(1_042));
    let placed = caller.put("key", "hello").await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let mut reply = caller.records(&iterator).await;
    let next = reply
        .as_object_mut()
        .unwrap()
        .remove("NextShardIterator")
        .unwrap();
    assert_ne!(next.as_str().unwrap(), iterator);
    assert_eq!(
        reply,
        json!({
            "Records": [{
                "SequenceNumber": placed["SequenceNumber"],
                "ApproximateArrivalTimestamp": START as f64 + 1.042,
                "Data": STANDARD.encode_to_string("hello"),
                "PartitionKey": "key",
            }],
            "MillisBehindLatest": 0,
        })
    );
    // The iterator may be used again, and the next one goes on after it.
    assert_eq!(data(&caller.records(&iterator).await), ["hello"]);
    assert!(data(&caller.records(next.as_str().unwrap()).await).is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_position_starts_where_it_says() {
    let caller = Caller::with_stream(1).await;
    let mut numbers = Vec::new();
    for text in ["a", "b", "c"] {
        caller.advance(Duration::from_millis(500));
        numbers.push(caller.put("k", text).await["SequenceNumber"].clone());
    }
    let latest = caller.iterator("0", "LATEST", json!({})).await;
    let number = |place: usize| json!({"StartingSequenceNumber": numbers[place]});
    let time = |millis: u64| json!({"Timestamp": START as f64 + millis as f64 / 1000.0});
    for (kind, more, expected) in [
        ("TRIM_HORIZON", json!({}), vec!["a", "b", "c"]),
        ("AT_SEQUENCE_NUMBER", number(1), vec!["b", "c"]),
        ("AFTER_SEQUENCE_NUMBER", number(1), vec!["c"]),
        ("AFTER_SEQUENCE_NUMBER", number(2), vec![]),
        ("AT_TIMESTAMP", time(0), vec!["a", "b", "c"]),
        ("AT_TIMESTAMP", time(1000), vec!["b", "c"]),
        ("AT_TIMESTAMP", time(1001), vec!["c"]),
        ("AT_TIMESTAMP", json!({"Timestamp": 1}), vec!["a", "b", "c"]),
        ("LATEST", json!({}), vec![]),
    ] {
        assert_eq!(
            caller.data_from("0", kind, more.clone()).await,
            expected,
            "{kind} {more}"
        );
    }
    // LATEST was resolved when it was issued.
    caller.put("k", "d").await;
    assert_eq!(data(&caller.records(&latest).await), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn numbers_between_records_are_positions_too() {
    let caller = Caller::with_stream(1).await;
    let shards = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let start = &shards["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"];
    for text in ["a", "b"] {
        caller.put("k", text).await;
    }
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        let more = json!({"StartingSequenceNumber": start});
        assert_eq!(
            caller.data_from("0", kind, more).await,
            ["a", "b"],
            "{kind}"
        );
        // The first record's counter with a later second: after it, before the second record.
        let between = "49646437577108476416916876405827138351405044649047359490";
        let more = json!({"StartingSequenceNumber": between});
        assert_eq!(caller.data_from("0", kind, more).await, ["b"], "{kind}");
        // The second record's counter with an earlier second: between the two as well.
        let between = "49646437577108476416916876405828347277224658865905205250";
        let more = json!({"StartingSequenceNumber": between});
        assert_eq!(caller.data_from("0", kind, more).await, ["b"], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "a table of requests and refusals")]
async fn requests_for_an_iterator_are_checked() {
    let caller = Caller::with_stream(2).await;
    let of_one = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let of_one = &of_one["Shards"][1]["SequenceNumberRange"]["StartingSequenceNumber"];
    let other_stream = "49610756384790827419890419256598154521041216084895596546";
    let either = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
                  StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. \
                  Request specified";
    let used = |number: &str, why: &str| {
        format!(
            "StartingSequenceNumber {number} used in GetShardIterator on shard \
             shardId-000000000000 in stream s under account 000000000000 is invalid{why}."
        )
    };
    for (shard, kind, more, error, text) in [
        (
            "7",
            "LATEST",
            json!({}),
            "ResourceNotFoundException",
            "Shard shardId-000000000007 in stream s under account 000000000000 does not exist"
                .to_owned(),
        ),
        (
            "shard-x",
            "LATEST",
            json!({}),
            "ResourceNotFoundException",
            "Could not find shard shard-x in stream s under account 000000000000.".to_owned(),
        ),
        (
            "0",
            "AT_SEQUENCE_NUMBER",
            json!({}),
            "InvalidArgumentException",
            format!("{either} AT_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        ),
        (
            "0",
            "LATEST",
            json!({"StartingSequenceNumber": of_one}),
            "InvalidArgumentException",
            format!("{either} LATEST and also a StartingSequenceNumber."),
        ),
        (
            "0",
            "AT_SEQUENCE_NUMBER",
            json!({"StartingSequenceNumber": "123"}),
            "InvalidArgumentException",
            used("123", ""),
        ),
        (
            "0",
            "AT_SEQUENCE_NUMBER",
            json!({"StartingSequenceNumber": other_stream}),
            "InvalidArgumentException",
            used(other_stream, " because it did not come from this stream"),
        ),
        (
            "0",
            "AT_SEQUENCE_NUMBER",
            json!({"StartingSequenceNumber": of_one}),
            "InvalidArgumentException",
            "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in \
             a call to a shard with shardId-000000000000"
                .to_owned(),
        ),
        (
            "0",
            "AT_TIMESTAMP",
            json!({}),
            "InvalidArgumentException",
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current \
             request has no timestamp parameter."
                .to_owned(),
        ),
        (
            "0",
            "AT_TIMESTAMP",
            json!({"Timestamp": START + 1}),
            "InvalidArgumentException",
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
             timestampInMillis: 1700000001000, currentTimestampInMillis: 1700000000000"
                .to_owned(),
        ),
    ] {
        let mut body = json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refusal = caller.refused("GetShardIterator", body.clone()).await;
        assert_eq!(refusal, (error.to_owned(), text), "{body}");
    }
    let missing = json!({"StreamName": "t", "ShardId": "0", "ShardIteratorType": "LATEST"});
    let (_, text) = caller.refused("GetShardIterator", missing).await;
    let expected =
        "Shard shardId-000000000000 in stream t under account 000000000000 does not exist";
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn iterators_live_five_minutes_and_end_with_their_stream() {
    let caller = Caller::with_stream(1).await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    caller.advance(Duration::from_millis(300_000));
    let next = caller.records(&iterator).await["NextShardIterator"].clone();
    caller.advance(Duration::from_millis(1));
    assert_eq!(
        caller.refused("GetRecords", json!({"ShardIterator": iterator})).await,
        (
            "ExpiredIteratorException".to_owned(),
            "Iterator expired. The iterator was created at time Tue Nov 14 22:13:20 UTC 2023 while \
             right now it is Tue Nov 14 22:18:20 UTC 2023 which is further in the future than the \
             tolerated delay of 300000 milliseconds."
                .to_owned()
        )
    );
    caller.records(next.as_str().unwrap()).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/other";
    let body = json!({"ShardIterator": next, "StreamARN": arn});
    assert_eq!(
        caller.refused("GetRecords", body).await.0,
        "InvalidArgumentException"
    );
    caller.ok("DeleteStream", json!({"StreamName": "s"})).await;
    let gone = "Shard shardId-000000000000 in stream s under account 000000000000 does not exist";
    let refusal = ("ResourceNotFoundException".to_owned(), gone.to_owned());
    assert_eq!(
        caller
            .refused("GetRecords", json!({"ShardIterator": next}))
            .await,
        refusal
    );
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    assert_eq!(
        caller
            .refused("GetRecords", json!({"ShardIterator": next}))
            .await,
        refusal
    );
    let invalid = (
        "InvalidArgumentException".to_owned(),
        "Invalid ShardIterator.".to_owned(),
    );
    assert_eq!(
        caller
            .refused("GetRecords", json!({"ShardIterator": "AAAA"}))
            .await,
        invalid
    );
    for limit in [0, 10_001] {
        let body = json!({"ShardIterator": next, "Limit": limit});
        assert_eq!(
            caller.refused("GetRecords", body).await.0,
            "ValidationException"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_at_its_limit_or_ten_mebibytes_and_says_how_far_behind_it_is() {
    let caller = Caller::with_stream(1).await;
    let data = STANDARD.encode_to_string(vec![1; (1 << 20) - 1]);
    for _ in 0..12 {
        caller.advance(Duration::from_secs(1));
        let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": data});
        caller.ok("PutRecord", body).await;
    }
    caller.advance(Duration::from_secs(10));
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let page = caller.records(&iterator).await;
    assert_eq!(page["Records"].as_array().unwrap().len(), 10);
    assert_eq!(page["MillisBehindLatest"], 12_000);
    let rest = caller
        .records(page["NextShardIterator"].as_str().unwrap())
        .await;
    assert_eq!(rest["Records"].as_array().unwrap().len(), 2);
    assert_eq!(rest["MillisBehindLatest"], 0);
    let three = caller
        .ok("GetRecords", json!({"ShardIterator": iterator, "Limit": 3}))
        .await;
    assert_eq!(three["Records"].as_array().unwrap().len(), 3);
    assert_eq!(three["MillisBehindLatest"], 19_000);
}

#[tokio::test(start_paused = true)]
async fn no_page_has_more_than_ten_thousand_records() {
    let caller = Caller::with_stream(1).await;
    let records = vec![json!({"PartitionKey": "k", "Data": ""}); 500];
    for _ in 0..21 {
        caller
            .ok("PutRecords", json!({"StreamName": "s", "Records": records}))
            .await;
    }
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let page = caller.records(&iterator).await;
    assert_eq!(page["Records"].as_array().unwrap().len(), 10_000);
    let rest = caller
        .records(page["NextShardIterator"].as_str().unwrap())
        .await;
    assert_eq!(rest["Records"].as_array().unwrap().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn records_are_readable_for_a_day_to_the_millisecond() {
    let caller = Caller::with_stream(1).await;
    let first = caller.put("k", "a").await["SequenceNumber"].clone();
    caller.advance(Duration::from_millis(1));
    caller.put("k", "b").await;
    caller.advance(Duration::from_millis(24 * 3_600_000 - 1));
    assert_eq!(
        caller.data_from("0", "TRIM_HORIZON", json!({})).await,
        ["a", "b"]
    );
    caller.advance(Duration::from_millis(1));
    assert_eq!(
        caller.data_from("0", "TRIM_HORIZON", json!({})).await,
        ["b"]
    );
    // A position behind the horizon silently moves to it.
    let more = json!({"StartingSequenceNumber": first});
    assert_eq!(
        caller.data_from("0", "AT_SEQUENCE_NUMBER", more).await,
        ["b"]
    );
    caller.advance(Duration::from_secs(1));
    let nothing: Vec<String> = Vec::new();
    assert_eq!(
        caller.data_from("0", "TRIM_HORIZON", json!({})).await,
        nothing
    );
    caller.put("k", "c").await;
    assert_eq!(
        caller.data_from("0", "TRIM_HORIZON", json!({})).await,
        ["c"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_ends_once_it_is_read_with_its_children_and_no_iterator() {
    let caller = Caller::with_stream(1).await;
    caller.put("k", "last").await;
    let latest = caller.iterator("0", "LATEST", json!({})).await;
    let half = (1_u128 << 127).to_string();
    let body = json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": half});
    caller.ok("SplitShard", body).await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let page = caller.records(&iterator).await;
    assert_eq!(data(&page), ["last"]);
    assert_eq!(page.get("ChildShards"), None);
    let children = |start: u128, end: u128, index: u32| {
        json!({
            "ShardId": shard(index),
            "ParentShards": [shard(0)],
            "HashKeyRange": {"StartingHashKey": start.to_string(), "EndingHashKey": end.to_string()},
        })
    };
    let expected = json!({
        "Records": [],
        "MillisBehindLatest": 0,
        "ChildShards": [children(0, (1 << 127) - 1, 1), children(1 << 127, u128::MAX, 2)],
    });
    let next = page["NextShardIterator"].as_str().unwrap();
    assert_eq!(caller.records(next).await, expected);
    assert_eq!(caller.records(&latest).await, expected);
    let on_closed = caller.iterator("0", "LATEST", json!({})).await;
    assert_eq!(caller.records(&on_closed).await, expected);
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let end = &listed["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"];
    let at_end = json!({"StartingSequenceNumber": end});
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        let iterator = caller.iterator("0", kind, at_end.clone()).await;
        assert_eq!(caller.records(&iterator).await, expected, "{kind}");
    }
    assert_ne!(end, &Value::Null);
}
