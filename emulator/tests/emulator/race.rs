//! Writers, readers and reshards at once: every reader sees each record once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::caller::{Caller, data, shard};

const WRITERS: usize = 3;
const RECORDS: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_record_is_read_once_and_in_order_across_reshards() {
    let caller = Arc::new(Caller::with_stream(2).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(Arc::clone(&caller), writer)))
        .collect();
    let readers: Vec<_> = (0..2)
        .map(|_| tokio::spawn(read(Arc::clone(&caller), Arc::clone(&is_over))))
        .collect();
    let resharder = tokio::spawn(reshard(Arc::clone(&caller), Arc::clone(&is_over)));
    for writer in writers {
        writer.await.unwrap();
    }
    is_over.store(true, Ordering::Release);
    let reshards = resharder.await.unwrap();
    assert!(reshards > 4, "{reshards}");
    for reader in readers {
        let seen = reader.await.unwrap();
        assert_eq!(seen.len(), WRITERS * 4);
        for (key, numbers) in seen {
            let expected: Vec<_> = (0..RECORDS).filter(|n| n % 4 == key % 4).collect();
            assert_eq!(numbers, expected, "key {key}");
        }
    }
}

/// Puts numbered records under four keys, alone and in batches of five.
async fn write(caller: Arc<Caller>, writer: usize) {
    let mut number = 0;
    while number < RECORDS {
        let record = |number: usize| {
            let key = (writer * 4 + number % 4).to_string();
            let data = base64_simd::STANDARD.encode_to_string(number.to_string());
            (key, data)
        };
        if number % 3 == 0 {
            let (key, data) = record(number);
            let body = json!({"StreamName": "s", "PartitionKey": key, "Data": data});
            caller.ok("PutRecord", body).await;
            number += 1;
        } else {
            let upto = (number + 5).min(RECORDS);
            let records: Vec<_> = (number..upto)
                .map(record)
                .map(|(key, data)| json!({"PartitionKey": key, "Data": data}))
                .collect();
            caller
                .ok("PutRecords", json!({"StreamName": "s", "Records": records}))
                .await;
            number = upto;
        }
        tokio::task::yield_now().await;
    }
}

/// Splits and merges the open shards in turn until it is over.
async fn reshard(caller: Arc<Caller>, is_over: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !is_over.load(Ordering::Acquire) && count < 200 {
        let filter = json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}});
        let mut open = caller.ok("ListShards", filter).await["Shards"].take();
        let open = open.as_array_mut().unwrap();
        let start = |shard: &Value| {
            shard["HashKeyRange"]["StartingHashKey"]
                .as_str()
                .unwrap()
                .parse::<u128>()
                .unwrap()
        };
        open.sort_by_key(start);
        if open.len() < 4 {
            let shard = &open[count % open.len()];
            let end = shard["HashKeyRange"]["EndingHashKey"].as_str().unwrap();
            let middle = start(shard) + (end.parse::<u128>().unwrap() - start(shard)) / 2;
            let body = json!({"StreamName": "s", "ShardToSplit": shard["ShardId"],
                "NewStartingHashKey": middle.to_string()});
            caller.ok("SplitShard", body).await;
        } else {
            let lower = count % (open.len() - 1);
            let body = json!({"StreamName": "s", "ShardToMerge": open[lower]["ShardId"],
                "AdjacentShardToMerge": open[lower + 1]["ShardId"]});
            caller.ok("MergeShards", body).await;
        }
        count += 1;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    count
}

/// Follows the lineage from the first shards on, parents before children, until it is over and
/// everything is read; the numbers seen for each key.
async fn read(caller: Arc<Caller>, is_over: Arc<AtomicBool>) -> BTreeMap<usize, Vec<usize>> {
    let mut seen: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut iterators = BTreeMap::new();
    for first in [shard(0), shard(1)] {
        let iterator = caller.iterator(&first, "TRIM_HORIZON", json!({})).await;
        iterators.insert(first, iterator);
    }
    // Children whose parents have not all ended, with how many have.
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        let mut is_idle = true;
        for (id, iterator) in std::mem::take(&mut iterators) {
            let page = caller
                .ok(
                    "GetRecords",
                    json!({"ShardIterator": iterator, "Limit": 50}),
                )
                .await;
            for (record, text) in page["Records"].as_array().unwrap().iter().zip(data(&page)) {
                is_idle = false;
                let key = record["PartitionKey"].as_str().unwrap().parse().unwrap();
                seen.entry(key).or_default().push(text.parse().unwrap());
            }
            let (next, children) = (page.get("NextShardIterator"), page.get("ChildShards"));
            assert_ne!(
                next.is_some(),
                children.is_some(),
                "either goes on or has children"
            );
            if let Some(next) = next {
                iterators.insert(id, next.as_str().unwrap().to_owned());
                continue;
            }
            is_idle = false;
            for child in children.and_then(Value::as_array).unwrap() {
                let child_id = child["ShardId"].as_str().unwrap().to_owned();
                let ended = waiting.entry(child_id.clone()).or_default();
                *ended += 1;
                if *ended == child["ParentShards"].as_array().unwrap().len() {
                    let iterator = caller.iterator(&child_id, "TRIM_HORIZON", json!({})).await;
                    iterators.insert(child_id, iterator);
                }
            }
        }
        if was_over && is_idle {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}
