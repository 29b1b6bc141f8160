//! SplitShard and MergeShards: lineage, numbers, and what is refused.

use serde_json::{Value, json};

use crate::caller::{Caller, data, shard};

fn split(index: u32, key: u128) -> Value {
    let key = key.to_string();
    json!({"StreamName": "s", "ShardToSplit": shard(index), "NewStartingHashKey": key})
}

fn merge(lower: u32, upper: u32) -> Value {
    let (lower, upper) = (shard(lower), shard(upper));
    json!({"StreamName": "s", "ShardToMerge": lower, "AdjacentShardToMerge": upper})
}

#[tokio::test(start_paused = true)]
async fn lineage_is_written_on_every_child() {
    let caller = Caller::with_stream(2).await;
    let quarter = 1_u128 << 126;
    caller.ok("SplitShard", split(0, quarter)).await;
    caller.ok("MergeShards", merge(3, 1)).await;
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let lineage: Vec<_> = listed["Shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| {
            let range = &shard["HashKeyRange"];
            (
                shard["ParentShardId"].as_str().map(str::to_owned),
                shard["AdjacentParentShardId"].as_str().map(str::to_owned),
                range["StartingHashKey"].as_str().unwrap().to_owned(),
                shard["SequenceNumberRange"]
                    .get("EndingSequenceNumber")
                    .is_some(),
            )
        })
        .collect();
    let half = quarter * 2;
    assert_eq!(
        lineage,
        [
            (None, None, "0".to_owned(), true),
            (None, None, half.to_string(), true),
            (Some(shard(0)), None, "0".to_owned(), false),
            (Some(shard(0)), None, quarter.to_string(), true),
            (Some(shard(3)), Some(shard(1)), quarter.to_string(), false),
        ]
    );
    let iterator = caller.iterator("1", "LATEST", json!({})).await;
    let end = caller.records(&iterator).await;
    assert_eq!(
        end["ChildShards"][0]["ParentShards"],
        json!([shard(3), shard(1)])
    );
}

#[tokio::test(start_paused = true)]
async fn numbers_rise_from_parent_to_child_while_time_stands_still() {
    let caller = Caller::with_stream(1).await;
    let mut numbers = Vec::new();
    let put = async || {
        caller.put("a", "x").await["SequenceNumber"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    numbers.push(put().await);
    for (operation, body) in [
        ("SplitShard", split(0, 1 << 127)),
        ("MergeShards", merge(1, 2)),
        ("SplitShard", split(3, 1 << 127)),
    ] {
        caller.ok(operation, body).await;
        numbers.push(put().await);
    }
    assert_eq!(numbers.len(), 4);
    for pair in numbers.windows(2) {
        assert!(pair[0] < pair[1], "{numbers:?}");
    }
    for index in [0, 1, 3, 4] {
        let iterator = caller
            .iterator(&shard(index), "TRIM_HORIZON", json!({}))
            .await;
        assert_eq!(data(&caller.records(&iterator).await), ["x"], "{index}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_split_or_merged_is_refused() {
    let caller = Caller::with_stream(3).await;
    caller.ok("SplitShard", split(0, 1000)).await;
    let closed = "Shard shardId-000000000000 in stream s under account 000000000000 has already been \
                  merged or split, and thus is not eligible for merging or splitting.";
    let key = |key: u128| {
        format!(
            "NewStartingHashKey {key} used in SplitShard() on shard shardId-000000000003 in stream s \
             under account 000000000000 is not both greater than one plus the shard's StartingHashKey \
             0 and less than the shard's EndingHashKey 999."
        )
    };
    let not_adjacent = |lower: u32, upper: u32| {
        format!(
            "Shards {} and {} in stream s under account 000000000000 are not an adjacent pair of \
             shards eligible for merging",
            shard(lower),
            shard(upper)
        )
    };
    let invalid = "InvalidArgumentException";
    for (operation, body, kind, text) in [
        ("SplitShard", split(0, 500), invalid, closed.to_owned()),
        ("SplitShard", split(3, 0), invalid, key(0)),
        ("SplitShard", split(3, 1), invalid, key(1)),
        ("SplitShard", split(3, 999), invalid, key(999)),
        (
            "SplitShard",
            split(9, 5),
            "ResourceNotFoundException",
            "Could not find shard shardId-000000000009 in stream s under account 000000000000."
                .to_owned(),
        ),
        ("MergeShards", merge(0, 1), invalid, closed.to_owned()),
        ("MergeShards", merge(2, 1), invalid, not_adjacent(2, 1)),
        ("MergeShards", merge(1, 1), invalid, not_adjacent(1, 1)),
        ("MergeShards", merge(3, 1), invalid, not_adjacent(3, 1)),
    ] {
        let refusal = caller.refused(operation, body.clone()).await;
        assert_eq!(refusal, (kind.to_owned(), text), "{operation} {body}");
    }
    caller.ok("SplitShard", split(3, 2)).await;
    caller.ok("CreateStream", json!({"StreamName": "d"})).await;
    let mut on_demand = split(0, 1000);
    on_demand["StreamName"] = json!("d");
    assert_eq!(
        caller.refused("SplitShard", on_demand).await,
        (
            "ValidationException".to_owned(),
            "Request is invalid. Stream d under account 000000000000 is in On-Demand mode."
                .to_owned()
        )
    );
}
