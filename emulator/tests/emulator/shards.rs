//! ListShards: filters at instants around reshards, and pages.

use std::time::Duration;

use serde_json::{Value, json};

use crate::caller::{Caller, START, ids, shard};

async fn filtered(caller: &Caller, filter: Value) -> Vec<u32> {
    ids(&caller
        .ok(
            "ListShards",
            json!({"StreamName": "s", "ShardFilter": filter}),
        )
        .await)
}

/// One shard, split after ten seconds into 1 and 2, which merge after twenty into 3.
async fn grown() -> Caller {
    let caller = Caller::with_stream(1).await;
    caller.advance(Duration::from_secs(10));
    let half = (1_u128 << 127).to_string();
    let split = json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": half});
    caller.ok("SplitShard", split).await;
    caller.advance(Duration::from_secs(10));
    let merge = json!({"StreamName": "s", "ShardToMerge": "1", "AdjacentShardToMerge": "2"});
    caller.ok("MergeShards", merge).await;
    caller.advance(Duration::from_secs(10));
    caller
}

#[tokio::test(start_paused = true)]
async fn every_filter_shows_a_complete_set() {
    let caller = grown().await;
    let at = |kind: &str, millis: u64| json!({"Type": kind, "Timestamp": START as f64 + millis as f64 / 1000.0});
    for (filter, expected) in [
        (json!({"Type": "FROM_TRIM_HORIZON"}), vec![0, 1, 2, 3]),
        (json!({"Type": "AT_TRIM_HORIZON"}), vec![0]),
        (json!({"Type": "AT_LATEST"}), vec![3]),
        (
            json!({"Type": "AFTER_SHARD_ID", "ShardId": shard(1)}),
            vec![2, 3],
        ),
        // Before the stream was made is when it was made.
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": 1}), vec![0]),
        (at("AT_TIMESTAMP", 9_999), vec![0]),
        (at("AT_TIMESTAMP", 10_000), vec![0, 1, 2]),
        (at("AT_TIMESTAMP", 10_001), vec![1, 2]),
        (at("AT_TIMESTAMP", 20_000), vec![1, 2, 3]),
        (at("AT_TIMESTAMP", 20_001), vec![3]),
        (at("FROM_TIMESTAMP", 10_000), vec![0, 1, 2, 3]),
        (at("FROM_TIMESTAMP", 10_001), vec![1, 2, 3]),
        (at("FROM_TIMESTAMP", 20_001), vec![3]),
        (
            json!({"Type": "FROM_TIMESTAMP", "Timestamp": 1}),
            vec![0, 1, 2, 3],
        ),
    ] {
        assert_eq!(
            filtered(&caller, filter.clone()).await,
            expected,
            "{filter}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn closed_shards_vanish_when_their_records_would_have() {
    let caller = grown().await;
    let name = json!({"StreamName": "s"});
    caller.advance(Duration::from_secs(24 * 3600 - 20));
    assert_eq!(
        ids(&caller.ok("ListShards", name.clone()).await),
        [0, 1, 2, 3]
    );
    assert_eq!(
        filtered(&caller, json!({"Type": "AT_TRIM_HORIZON"})).await,
        [0, 1, 2]
    );
    caller.advance(Duration::from_millis(1));
    assert_eq!(ids(&caller.ok("ListShards", name.clone()).await), [1, 2, 3]);
    let parents = caller.ok("ListShards", name.clone()).await;
    assert_eq!(parents["Shards"][0]["ParentShardId"], shard(0));
    caller.advance(Duration::from_secs(10));
    assert_eq!(ids(&caller.ok("ListShards", name).await), [3]);
    let body = json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"});
    assert_eq!(
        caller.refused("GetShardIterator", body).await.0,
        "ResourceNotFoundException"
    );
}

#[tokio::test(start_paused = true)]
async fn pages_go_on_where_they_stopped_with_the_same_filter() {
    let caller = Caller::with_stream(25).await;
    let split = json!({"StreamName": "s", "ShardToSplit": "3",
        "NewStartingHashKey": (u128::MAX / 25 * 3 + 1_000_000).to_string()});
    caller.ok("SplitShard", split).await;
    let filter = json!({"Type": "AT_LATEST"});
    let first = json!({"StreamName": "s", "ShardFilter": filter, "MaxResults": 10});
    let mut page = caller.ok("ListShards", first).await;
    let mut seen = ids(&page);
    let token = page["NextToken"].clone();
    while let Some(token) = page.get("NextToken") {
        let more = json!({"NextToken": token, "MaxResults": 10});
        page = caller.ok("ListShards", more).await;
        seen.extend(ids(&page));
    }
    assert_eq!(
        seen,
        (0..27).filter(|index| *index != 3).collect::<Vec<_>>()
    );
    caller.advance(Duration::from_millis(300_000));
    caller.ok("ListShards", json!({"NextToken": token})).await;
    caller.advance(Duration::from_millis(1));
    let (kind, _) = caller
        .refused("ListShards", json!({"NextToken": token}))
        .await;
    assert_eq!(kind, "ExpiredNextTokenException");
}

#[tokio::test(start_paused = true)]
async fn requests_to_list_are_checked() {
    let caller = Caller::with_stream(2).await;
    let page = caller
        .ok("ListShards", json!({"StreamName": "s", "MaxResults": 1}))
        .await;
    let token = &page["NextToken"];
    for (body, text) in [
        (
            json!({}),
            "Either NextToken or StreamName should be provided.",
        ),
        (
            json!({"NextToken": token, "StreamName": "s"}),
            "NextToken and StreamName cannot be provided together.",
        ),
        (
            json!({"NextToken": token, "ShardFilter": {"Type": "AT_LATEST"}}),
            "NextToken and ShardFilter cannot be provided together.",
        ),
        (json!({"NextToken": "AAAA"}), "Invalid NextToken."),
        (
            json!({"StreamName": "s", "ShardFilter": {"Type": "AT_TIMESTAMP"}}),
            "Timestamp must be provided for ShardFilter type AT_TIMESTAMP.",
        ),
        (
            json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST", "ShardId": "0"}}),
            "ShardId cannot be provided for ShardFilter type AT_LATEST.",
        ),
    ] {
        let expected = ("InvalidArgumentException".to_owned(), text.to_owned());
        assert_eq!(
            caller.refused("ListShards", body.clone()).await,
            expected,
            "{body}"
        );
    }
    let wrong = json!({"StreamName": "s", "ShardFilter": {"Type": "NOW"}});
    let (kind, text) = caller.refused("ListShards", wrong).await;
    assert_eq!(kind, "ValidationException");
    assert!(text.contains("'shardFilter.type'"), "{text}");
    let other = json!({"StreamName": "s", "StreamCreationTimestamp": START + 5});
    assert_eq!(
        caller.refused("ListShards", other).await.0,
        "ResourceNotFoundException"
    );
    caller
        .ok(
            "ListShards",
            json!({"StreamName": "s", "StreamCreationTimestamp": START}),
        )
        .await;
}
