//! What other emulators get wrong, each with a test that would notice.
//!
//! | trap | test |
//! |---|---|
//! | `LATEST` of an empty shard, then a put | here |
//! | an iterator used twice | here, `reads::a_record_reads_back_as_it_was_put`, the model |
//! | put and read within one second | here |
//! | a clock that steps back | here; the log's `arrival_never_goes_back` |
//! | `AT` the shard's start number, nothing there | here; `reads::numbers_between_records_are_positions_too` |
//! | `AT_TIMESTAMP` in CBOR | `cbor::times_are_milliseconds_both_ways`, the model |
//! | PutRecords with one bad entry | `puts::one_bad_record_refuses_the_whole_batch` |
//! | the split key at start + 1 and at the end | here |
//! | a merge in reverse | here |
//! | a drained parent when both children exist | here |
//! | a subscription to a stream that is UPDATING | `fan_out::an_updating_stream_serves_and_its_reshard_comes_by_itself` |
//! | a second subscriber at 4.9 s and at 5.1 s | `fan_out::a_second_subscription_is_refused_for_five_seconds_and_then_takes_over` |
//! | a subscription of a client that is dead | `fan_out::a_subscription_whose_reader_is_gone_is_gone` |
//! | the second page of ListShards | `shards::pages_go_on_where_they_stopped_with_the_same_filter`, the model |
//! | DescribeStream with ExclusiveStartShardId | `streams::a_description_is_paged_by_a_hundred`, the model |
//! | an old iterator after deletion and re-creation | here |
//! | retention trims under an open iterator | here |
//! | a page of 10 MiB | here; `reads::a_page_ends_at_its_limit_or_ten_mebibytes_and_says_how_far_behind_it_is` |
//! | a restart while UPDATING, a kill while appending | nothing is kept on disk |

use std::time::Duration;

use base64_simd::STANDARD;
use kinesis_emulator::Delays;
use serde_json::{Value, json};

use crate::caller::{Caller, data, ids, shard};

fn next(page: &Value) -> &str {
    page["NextShardIterator"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn latest_of_an_empty_shard_sees_the_first_record() {
    let caller = Caller::with_stream(1).await;
    let latest = caller.iterator("0", "LATEST", json!({})).await;
    let empty = caller.records(&latest).await;
    assert!(data(&empty).is_empty());
    assert_ne!(next(&empty), latest);
    caller.put("k", "first").await;
    assert_eq!(data(&caller.records(&latest).await), ["first"]);
    assert_eq!(data(&caller.records(next(&empty)).await), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn an_iterator_may_be_used_again_and_finds_the_same_and_what_came_since() {
    let caller = Caller::with_stream(1).await;
    caller.put("k", "a").await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let first = caller.records(&iterator).await;
    assert_eq!(data(&first), ["a"]);
    caller.put("k", "b").await;
    assert_eq!(data(&caller.records(&iterator).await), ["a", "b"]);
    assert_eq!(data(&caller.records(next(&first)).await), ["b"]);
    assert_eq!(data(&caller.records(next(&first)).await), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn puts_and_reads_in_one_second_and_over_its_end_lose_nothing() {
    let caller = Caller::with_stream(1).await;
    let mut iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let (mut sent, mut seen) = (Vec::new(), Vec::new());
    caller.advance(Duration::from_millis(990));
    for number in 0..40 {
        // Reads before and after each put, on both sides of the turn of the second.
        for _ in 0..2 {
            let page = caller.records(&iterator).await;
            seen.extend(data(&page));
            next(&page).clone_into(&mut iterator);
        }
        sent.push(number.to_string());
        caller.put("k", &number.to_string()).await;
        caller.advance(Duration::from_millis(number % 2));
    }
    seen.extend(data(&caller.records(&iterator).await));
    assert_eq!(seen, sent);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_slowed_frozen_and_set_never_takes_arrivals_back() {
    let caller = Caller::with_stream(1).await;
    let clock = caller.service.clock();
    for rate in [1.0, 0.0, 1000.0, 0.0, 0.5, 1.0] {
        clock.set_rate(rate);
        caller.put("k", "x").await;
        tokio::time::advance(Duration::from_millis(30)).await;
        caller.put("k", "x").await;
        caller.advance(Duration::from_millis(7));
    }
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let page = caller.records(&iterator).await;
    let records = page["Records"].as_array().unwrap();
    assert_eq!(records.len(), 12);
    for pair in records.windows(2) {
        let times = [0, 1].map(|place: usize| pair[place]["ApproximateArrivalTimestamp"].as_f64());
        assert!(times[0] <= times[1], "{times:?}");
        let numbers = [0, 1].map(|place: usize| pair[place]["SequenceNumber"].as_str());
        assert!(numbers[0] < numbers[1], "{numbers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_start_number_of_an_empty_shard_is_a_position() {
    let caller = Caller::with_stream(1).await;
    let shards = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let start = &shards["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"];
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        let more = json!({"StartingSequenceNumber": start});
        let iterator = caller.iterator("0", kind, more).await;
        caller.put("k", kind).await;
        let found = data(&caller.records(&iterator).await);
        assert_eq!(found.last().map(String::as_str), Some(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn split_keys_at_the_ends_of_a_range_are_refused_and_those_beside_them_are_not() {
    let caller = Caller::with_stream(2).await;
    let half = 1_u128 << 127;
    let split = |index: u32, key: u128| {
        json!({"StreamName": "s", "ShardToSplit": shard(index),
            "NewStartingHashKey": key.to_string()})
    };
    for key in [half, half + 1, u128::MAX] {
        let (kind, _) = caller.refused("SplitShard", split(1, key)).await;
        assert_eq!(kind, "InvalidArgumentException", "{key}");
    }
    caller.ok("SplitShard", split(1, half + 2)).await;
    caller.ok("SplitShard", split(3, u128::MAX - 1)).await;
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let range = |place: usize| listed["Shards"][place]["HashKeyRange"].clone();
    let expected = |start: u128, end: u128| json!({"StartingHashKey": start.to_string(), "EndingHashKey": end.to_string()});
    assert_eq!(range(2), expected(half, half + 1));
    assert_eq!(range(5), expected(u128::MAX - 1, u128::MAX));
}

#[tokio::test(start_paused = true)]
async fn a_merge_in_reverse_is_refused_and_changes_nothing() {
    let caller = Caller::with_stream(2).await;
    let merge = |first: u32, second: u32| {
        json!({"StreamName": "s", "ShardToMerge": shard(first),
            "AdjacentShardToMerge": shard(second)})
    };
    for (first, second) in [(1, 0), (0, 0)] {
        let (kind, text) = caller.refused("MergeShards", merge(first, second)).await;
        assert_eq!(kind, "InvalidArgumentException");
        assert!(text.contains("are not an adjacent pair"), "{text}");
    }
    caller.ok("MergeShards", merge(0, 1)).await;
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    assert_eq!(ids(&listed), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn both_parents_of_a_merge_end_with_their_child_even_when_that_has_split_again() {
    let caller = Caller::with_stream(2).await;
    let [lower, upper] = [0, u128::MAX].map(|hash| hash.to_string());
    for (hash, text) in [(&lower, "low"), (&upper, "high")] {
        let data = STANDARD.encode_to_string(text);
        let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": data,
            "ExplicitHashKey": hash});
        caller.ok("PutRecord", body).await;
    }
    let merge = json!({"StreamName": "s", "ShardToMerge": "0", "AdjacentShardToMerge": "1"});
    caller.ok("MergeShards", merge).await;
    let split = json!({"StreamName": "s", "ShardToSplit": "2", "NewStartingHashKey": "5000"});
    caller.ok("SplitShard", split).await;
    for (parent, text) in [("0", "low"), ("1", "high")] {
        let iterator = caller.iterator(parent, "TRIM_HORIZON", json!({})).await;
        let page = caller.records(&iterator).await;
        assert_eq!(data(&page), [text]);
        let end = caller.records(next(&page)).await;
        assert_eq!(end.get("NextShardIterator"), None);
        let children = end["ChildShards"].as_array().unwrap();
        assert_eq!(children.len(), 1);
        assert_eq!(children[0]["ShardId"], shard(2));
        assert_eq!(children[0]["ParentShards"], json!([shard(0), shard(1)]));
    }
    let iterator = caller.iterator("2", "TRIM_HORIZON", json!({})).await;
    let end = caller.records(&iterator).await;
    assert_eq!(end["ChildShards"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_old_iterator_finds_nothing_of_a_new_stream_of_its_name() {
    let caller = Caller::with_delays(Delays::default());
    let name = json!({"StreamName": "s"});
    let create = json!({"StreamName": "s", "ShardCount": 1});
    caller.ok("CreateStream", create.clone()).await;
    let old = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    caller.ok("DeleteStream", name.clone()).await;
    caller.ok("CreateStream", create).await;
    caller.put("k", "new").await;
    let (kind, _) = caller
        .refused("GetRecords", json!({"ShardIterator": old}))
        .await;
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(
        caller.data_from("0", "TRIM_HORIZON", json!({})).await,
        ["new"]
    );
}

#[tokio::test(start_paused = true)]
async fn retention_that_trims_under_an_open_iterator_moves_it_to_the_horizon() {
    let caller = Caller::with_stream(1).await;
    for text in ["a", "b", "c"] {
        caller.put("k", text).await;
        caller.advance(Duration::from_secs(60));
    }
    // "a" was put a day, less two minutes and 55 seconds, before.
    caller.advance(Duration::from_secs(24 * 3600 - 180 - 5));
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let body = json!({"ShardIterator": iterator, "Limit": 1});
    let first = caller.ok("GetRecords", body).await;
    assert_eq!(data(&first), ["a"]);
    caller.advance(Duration::from_secs(6));
    assert_eq!(data(&caller.records(&iterator).await), ["b", "c"]);
    caller.advance(Duration::from_secs(60));
    assert_eq!(data(&caller.records(next(&first)).await), ["c"]);
    caller.advance(Duration::from_secs(60));
    let empty = caller.records(next(&first)).await;
    assert_eq!(
        (data(&empty).len(), &empty["MillisBehindLatest"]),
        (0, &json!(0))
    );
    caller.put("k", "d").await;
    assert_eq!(data(&caller.records(next(&empty)).await), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_exactly_ten_mebibytes_is_whole_and_one_byte_more_is_another_page() {
    let caller = Caller::with_stream(1).await;
    let put = async |bytes: usize| {
        let data = STANDARD.encode_to_string(vec![7; bytes]);
        let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": data});
        caller.ok("PutRecord", body).await;
    };
    for _ in 0..10 {
        put((1 << 20) - 1).await;
    }
    put(0).await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let page = caller.records(&iterator).await;
    assert_eq!(page["Records"].as_array().unwrap().len(), 10);
    let rest = caller.records(next(&page)).await;
    assert_eq!(rest["Records"].as_array().unwrap().len(), 1);
}
