//! Reads with GetRecords, shard by shard, parents before children.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastrand::Rng;
use serde::Deserialize;

use crate::lineage::{Child, Progress, Record};
use crate::{FIRST_SHARDS, Soak};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    records: Vec<Record>,
    next_shard_iterator: Option<String>,
    child_shards: Option<Vec<Child>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    shard_iterator: String,
}

/// Reads until all is written and everything is read; how many shards there were.
pub(crate) async fn run(soak: Arc<Soak>, place: usize, seed: u64) -> usize {
    let mut rng = Rng::with_seed(seed ^ (place as u64) << 16);
    let mut progress = Progress::new();
    let mut iterators = BTreeMap::new();
    for index in 0..FIRST_SHARDS {
        let shard = format!("shardId-{index:012}");
        let first = iterator(&soak, &shard, None).await;
        iterators.insert(shard, first);
    }
    loop {
        // Before the pages are read, so that this round sees the last records.
        let was_written = soak.is_written.load(Ordering::SeqCst);
        let mut is_idle = true;
        for (shard, now) in std::mem::take(&mut iterators) {
            let limit = rng.u32(1..2000);
            let body = format!(r#"{{"ShardIterator":"{now}","Limit":{limit}}}"#);
            let reply = soak.call("GetRecords", body).await;
            let page: Page = serde_json::from_slice(&reply).unwrap();
            is_idle &= page.records.is_empty() && page.child_shards.is_none();
            soak.read[place].fetch_add(page.records.len() as u64, Ordering::Relaxed);
            for record in page.records {
                progress.take(&shard, record);
            }
            match (page.next_shard_iterator, page.child_shards) {
                (Some(next), None) => {
                    // Now and then as one who has forgotten its iterator.
                    let next = match progress.last_of(&shard) {
                        Some(last) if rng.u32(0..20) == 0 => {
                            iterator(&soak, &shard, Some(last)).await
                        }
                        _ => next,
                    };
                    iterators.insert(shard, next);
                }
                (None, Some(children)) => {
                    for child in progress.end(&shard, children) {
                        let first = iterator(&soak, &child, None).await;
                        iterators.insert(child, first);
                    }
                }
                _ => panic!("{shard} has neither or both of an iterator and children"),
            }
            tokio::task::yield_now().await;
        }
        if was_written && is_idle {
            progress.check_complete(&soak);
            return progress.shards;
        }
    }
}

/// An iterator after a number, or of all there is.
async fn iterator(soak: &Soak, shard: &str, after: Option<&str>) -> String {
    let position = match after {
        Some(number) => format!(
            r#""ShardIteratorType":"AFTER_SEQUENCE_NUMBER","StartingSequenceNumber":"{number}""#
        ),
        None => r#""ShardIteratorType":"TRIM_HORIZON""#.to_owned(),
    };
    let body = format!(r#"{{"StreamName":"s","ShardId":"{shard}",{position}}}"#);
    let reply = soak.call("GetShardIterator", body).await;
    let issued: Issued = serde_json::from_slice(&reply).unwrap();
    issued.shard_iterator
}
