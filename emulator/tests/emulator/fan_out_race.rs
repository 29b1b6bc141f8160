//! Subscriptions while others write and reshard, on real threads. The clock stands still, so that
//! nothing but the ring of a put or a reshard can wake a reader: one that is lost hangs the test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::caller::{Caller, data, shard};

const WRITERS: usize = 4;
const EACH: usize = 400;
const CONSUMERS: usize = 3;

/// What a reader has of one writer: the numbers in the order they came.
type Read = BTreeMap<usize, Vec<usize>>;

/// What a reader tells of its shard.
enum Told {
    /// Writer and number.
    Record(usize, usize),
    /// A child and how many parents it has.
    Child(String, usize),
}

/// Reads one shard to its end, telling every record; then tells its children.
async fn read_shard(caller: Arc<Caller>, consumer: String, id: String, out: mpsc::Sender<Told>) {
    let position = json!({"Type": "TRIM_HORIZON"});
    let mut events = caller.subscribe(&consumer, &id, position).await;
    while let Some(frame) = events.frame().await {
        let event = frame.event();
        for text in data(&event) {
            let (writer, number) = text.split_once('/').unwrap();
            let told = Told::Record(writer.parse().unwrap(), number.parse().unwrap());
            out.send(told).await.unwrap();
        }
        for child in event["ChildShards"].as_array().into_iter().flatten() {
            let id = child["ShardId"].as_str().unwrap().to_owned();
            let parents = child["ParentShards"].as_array().unwrap().len();
            out.send(Told::Child(id, parents)).await.unwrap();
        }
    }
}

/// Follows the lineage from the first shard until everything has been read.
async fn follow(caller: Arc<Caller>, consumer: String) -> Read {
    let (sender, mut told) = mpsc::channel(1000);
    let mut readers = JoinSet::new();
    let read = |id: String| read_shard(Arc::clone(&caller), consumer.clone(), id, sender.clone());
    readers.spawn(read(shard(0)));
    let (mut records, mut count) = (Read::new(), 0);
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    while count < WRITERS * EACH {
        match told.recv().await.unwrap() {
            Told::Record(writer, number) => {
                records.entry(writer).or_default().push(number);
                count += 1;
            }
            Told::Child(child, parents) => {
                let ended = waiting.entry(child.clone()).or_default();
                *ended += 1;
                if *ended == parents {
                    readers.spawn(read(child));
                }
            }
        }
    }
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_reader_gets_every_record_once_while_others_write_and_reshard() {
    let caller = Arc::new(Caller::with_stream(1).await);
    caller.service.clock().freeze();
    let mut readers = JoinSet::new();
    for number in 0..CONSUMERS {
        let consumer = caller.consumer(&format!("c{number}")).await;
        readers.spawn(follow(Arc::clone(&caller), consumer));
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let caller = Arc::clone(&caller);
        writers.spawn(async move {
            for number in 0..EACH {
                // One key per writer, so that its records stay in order across the generations.
                caller
                    .put(&format!("key {writer}"), &format!("{writer}/{number}"))
                    .await;
                tokio::task::yield_now().await;
            }
        });
    }
    let reshards = tokio::spawn({
        let caller = Arc::clone(&caller);
        async move {
            let middle = (1_u128 << 127).to_string();
            for generation in 0..20 {
                let first = generation * 3;
                let split = json!({
                    "StreamName": "s", "ShardToSplit": shard(first), "NewStartingHashKey": middle,
                });
                caller.ok("SplitShard", split).await;
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                let merge = json!({
                    "StreamName": "s",
                    "ShardToMerge": shard(first + 1),
                    "AdjacentShardToMerge": shard(first + 2),
                });
                caller.ok("MergeShards", merge).await;
            }
        }
    });
    let all = async {
        writers.join_all().await;
        reshards.await.unwrap();
        readers.join_all().await
    };
    let read = tokio::time::timeout(Duration::from_secs(60), all).await;
    let expected: Read = (0..WRITERS)
        .map(|writer| (writer, (0..EACH).collect()))
        .collect();
    for records in read.expect("nobody waits for ever") {
        assert!(
            records == expected,
            "a record is missing, doubled or out of order"
        );
    }
}
