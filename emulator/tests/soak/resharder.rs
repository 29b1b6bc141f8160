//! Splits and merges open shards at random until it is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use serde::Deserialize;

use crate::Soak;

/// Open shards there may be.
const SHARDS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    shards: Vec<Shard>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Shard {
    shard_id: String,
    hash_key_range: Range,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl Shard {
    fn start(&self) -> u128 {
        self.hash_key_range.starting_hash_key.parse().unwrap()
    }

    fn end(&self) -> u128 {
        self.hash_key_range.ending_hash_key.parse().unwrap()
    }
}

/// How many reshards there were.
pub(crate) async fn run(soak: Arc<Soak>, seed: u64) -> usize {
    let mut rng = Rng::with_seed(!seed);
    let mut count = 0;
    while !soak.is_over.load(Ordering::SeqCst) {
        let filter = r#"{"StreamName":"s","ShardFilter":{"Type":"AT_LATEST"}}"#;
        let reply = soak.call("ListShards", filter.to_owned()).await;
        let mut open = serde_json::from_slice::<Listing>(&reply).unwrap().shards;
        open.sort_by_key(Shard::start);
        let is_split = open.len() == 1 || open.len() < SHARDS && rng.bool();
        if is_split {
            let shard = rng.choice(&open).unwrap();
            let key = shard.start() + (shard.end() - shard.start()) / 2;
            let id = &shard.shard_id;
            if key > shard.start() + 1 && key < shard.end() {
                let body = format!(
                    r#"{{"StreamName":"s","ShardToSplit":"{id}","NewStartingHashKey":"{key}"}}"#
                );
                soak.call("SplitShard", body).await;
                count += 1;
            }
        } else {
            let lower = rng.usize(..open.len() - 1);
            let [lower, upper] = [&open[lower].shard_id, &open[lower + 1].shard_id];
            let body = format!(
                r#"{{"StreamName":"s","ShardToMerge":"{lower}","AdjacentShardToMerge":"{upper}"}}"#
            );
            soak.call("MergeShards", body).await;
            count += 1;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(1..40))).await;
    }
    count
}
