//! On-demand streams that split and merge their shards by the load they see.

use std::time::{Duration, UNIX_EPOCH};

use kinesis_emulator::{Clock, Service, Settings};
use serde_json::{Value, json};

use crate::caller::{Caller, START, data, ids, shard};

/// How long the streams here observe their load.
const WINDOW: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn on_demand() -> Caller {
    let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START));
    let caller = Caller {
        service: Service::new(Settings {
            clock,
            on_demand_window: WINDOW,
            ..Settings::default()
        }),
    };
    caller.ok("CreateStream", json!({"StreamName": "s"})).await;
    caller
}

async fn open(caller: &Caller) -> Vec<u32> {
    let body = json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}});
    ids(&caller.ok("ListShards", body).await)
}

/// Puts so many records of almost 64 KiB, spread over the hash space.
async fn load(caller: &Caller, count: u32) {
    let text = base64_simd::STANDARD.encode_to_string(vec![b'x'; (1 << 16) - 8]);
    for place in 0..count {
        let key = u128::MAX / u128::from(count) * u128::from(place);
        let body = json!({"StreamName": "s", "PartitionKey": "key", "Data": text,
            "ExplicitHashKey": key.to_string()});
        caller.ok("PutRecord", body).await;
    }
}

/// As many small records to one place, in batches.
async fn records(caller: &Caller, count: usize, hash: u128) {
    let record = json!({"PartitionKey": "k", "Data": "", "ExplicitHashKey": hash.to_string()});
    for _ in 0..count / 500 {
        let body = json!({"StreamName": "s", "Records": vec![&record; 500]});
        caller.ok("PutRecords", body).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_demand_splits_its_shards_when_load_comes_and_shows_the_lineage() {
    let caller = on_demand().await;
    assert_eq!(open(&caller).await, [0, 1, 2, 3]);
    let early = caller.put("a", "early").await["ShardId"].clone();
    // 3 MiB/s for a window: six shards are wanted, but none above half of what it takes.
    load(&caller, 48).await;
    caller.advance(WINDOW - Duration::from_millis(1));
    assert_eq!(open(&caller).await, [0, 1, 2, 3]);
    caller.advance(Duration::from_millis(1));
    let now = open(&caller).await;
    assert_eq!(now, [4, 5, 6, 7, 8, 9, 10, 11]);
    // What was split names its children to readers, as after a reshard by hand.
    for index in 0..4 {
        let mut iterator = caller.iterator(&shard(index), "LATEST", json!({})).await;
        let page = caller.records(&iterator).await;
        assert_eq!(page.get("NextShardIterator"), None);
        let children = page["ChildShards"].as_array().unwrap();
        assert_eq!(children.len(), 2);
        for child in children {
            assert_eq!(child["ParentShards"], json!([shard(index)]));
            let id = child["ShardId"].as_str().unwrap();
            iterator = caller.iterator(id, "TRIM_HORIZON", json!({})).await;
            assert_eq!(data(&caller.records(&iterator).await), [""; 0]);
        }
    }
    let iterator = caller
        .iterator(early.as_str().unwrap(), "TRIM_HORIZON", json!({}))
        .await;
    let page = caller
        .ok("GetRecords", json!({"ShardIterator": iterator, "Limit": 1}))
        .await;
    assert_eq!(data(&page), ["early"]);
    // Six are kept for as long as the peak counts.
    caller.advance(DAY);
    assert_eq!(open(&caller).await.len(), 6);
    caller.advance(29 * DAY);
    assert_eq!(open(&caller).await.len(), 6);
    caller.advance(DAY);
    let now = open(&caller).await;
    assert_eq!(now.len(), 4);
    assert!(now.iter().any(|index| *index > 7), "{now:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hot_shard_is_split_though_the_stream_has_room() {
    let caller = on_demand().await;
    // As much as one shard takes, all into the last one.
    records(&caller, 1000, 3 << 126).await;
    caller.advance(WINDOW);
    let body = json!({"StreamName": "s"});
    let listed = caller.ok("ListShards", body).await;
    let parents: Vec<_> = listed["Shards"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|shard| shard["ParentShardId"].as_str())
        .collect();
    assert_eq!(parents, [shard(3), shard(3)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_due_has_happened_when_it_was_due_however_late_one_looks() {
    let caller = on_demand().await;
    records(&caller, 1000, 0).await;
    caller.advance(Duration::from_secs(3600));
    caller.put("k", "late").await;
    let at = |seconds: u64| {
        let time = START + seconds;
        json!({"StreamName": "s", "ShardFilter": {"Type": "AT_TIMESTAMP", "Timestamp": time}})
    };
    assert_eq!(ids(&caller.ok("ListShards", at(0)).await), [0, 1, 2, 3]);
    assert_eq!(
        ids(&caller.ok("ListShards", at(1)).await),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(ids(&caller.ok("ListShards", at(2)).await), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn every_record_is_read_once_and_in_order_across_scaling() {
    let caller = on_demand().await;
    let key = |n: u32| (u128::from(n % 16) << 124).to_string();
    let mut sent = vec![Vec::new(); 16];
    for round in 0..4 {
        for n in 0..64 {
            let text = format!("{round}-{n}");
            let data = base64_simd::STANDARD.encode_to_string(&text);
            let body = json!({"StreamName": "s", "PartitionKey": (n % 16).to_string(),
                "Data": data, "ExplicitHashKey": key(n)});
            caller.ok("PutRecord", body).await;
            sent[usize::try_from(n % 16).unwrap()].push(text);
        }
        records(&caller, 1000, 0).await;
        records(&caller, 1000, u128::MAX).await;
        caller.advance(WINDOW);
    }
    let mut found = vec![Vec::new(); 16];
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let all = ids(&listed);
    assert!(all.len() > 8, "{all:?}");
    // Parents have lower ids than their children.
    for index in all {
        let mut next = Some(
            caller
                .iterator(&shard(index), "TRIM_HORIZON", json!({}))
                .await,
        );
        while let Some(iterator) = next {
            let page = caller.records(&iterator).await;
            let records = page["Records"].as_array().unwrap();
            for (record, text) in records.iter().zip(data(&page)) {
                if let Ok(n) = record["PartitionKey"].as_str().unwrap().parse::<usize>() {
                    found[n].push(text);
                }
            }
            let is_tip = records.is_empty();
            next = page["NextShardIterator"]
                .as_str()
                .map(str::to_owned)
                .filter(|_| !is_tip);
        }
    }
    assert_eq!(found, sent);
}

#[tokio::test(start_paused = true)]
async fn reshards_by_hand_are_refused_on_demand() {
    let caller = on_demand().await;
    let refused = (
        "ValidationException".to_owned(),
        "Request is invalid. Stream s under account 000000000000 is in On-Demand mode.".to_owned(),
    );
    let bodies: [(&str, Value); 3] = [
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": "1000"}),
        ),
        (
            "MergeShards",
            json!({"StreamName": "s", "ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
        ),
        (
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"}),
        ),
    ];
    for (operation, body) in bodies {
        assert_eq!(caller.refused(operation, body).await, refused);
    }
}
