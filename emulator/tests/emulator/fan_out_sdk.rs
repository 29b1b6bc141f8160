//! SubscribeToShard with the real SDK, over the socket and in process: every record once, across a
//! split and a merge.

use std::collections::BTreeMap;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ShardIteratorType, StartingPosition, SubscribeToShardEventStream as Stream,
};
use kinesis_emulator::{Emulator, Service, Settings};

async fn consumer(client: &Client) -> String {
    client
        .create_stream()
        .stream_name("orders")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    let summary = client
        .describe_stream_summary()
        .stream_name("orders")
        .send()
        .await
        .unwrap();
    let arn = summary.stream_description_summary.unwrap().stream_arn;
    let registered = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name("app");
    let consumer = registered.send().await.unwrap().consumer.unwrap();
    consumer.consumer_arn
}

async fn put(client: &Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let put = client
            .put_record()
            .stream_name("orders")
            .partition_key(number.to_string());
        put.data(Blob::new(number.to_string()))
            .send()
            .await
            .unwrap();
    }
}

/// Reads a shard to its end: its records' numbers, and its children with all their parents.
async fn read(
    client: &Client,
    consumer: &str,
    shard: &str,
) -> (Vec<u32>, Vec<(String, Vec<String>)>) {
    let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let subscribed = client
        .subscribe_to_shard()
        .consumer_arn(consumer)
        .shard_id(shard)
        .starting_position(position.build().unwrap());
    let mut events = subscribed.send().await.unwrap().event_stream;
    let (mut read, mut children) = (Vec::new(), Vec::new());
    while let Some(event) = events.recv().await.unwrap() {
        let Stream::SubscribeToShardEvent(event) = event else {
            panic!("an unknown event: {event:?}");
        };
        assert!(children.is_empty(), "nothing comes after the end");
        for record in event.records() {
            let text = std::str::from_utf8(record.data().as_ref()).unwrap();
            assert_eq!(record.partition_key(), Some(text));
            read.push(text.parse().unwrap());
        }
        let is_end = !event.child_shards().is_empty();
        assert_eq!(event.continuation_sequence_number().is_empty(), is_end);
        for child in event.child_shards() {
            children.push((child.shard_id().to_owned(), child.parent_shards().to_vec()));
        }
    }
    (read, children)
}

/// Writes, splits, writes, merges, writes, splits once more, and reads all of it along the lineage.
async fn walk(client: &Client) {
    let consumer = consumer(client).await;
    let shard = |index: u32| format!("shardId-{index:012}");
    let split = async |index: u32| {
        let split = client
            .split_shard()
            .stream_name("orders")
            .shard_to_split(shard(index));
        split
            .new_starting_hash_key((1_u128 << 127).to_string())
            .send()
            .await
            .unwrap();
    };
    put(client, 0..50).await;
    split(0).await;
    put(client, 50..100).await;
    let merge = client
        .merge_shards()
        .stream_name("orders")
        .shard_to_merge(shard(1));
    merge
        .adjacent_shard_to_merge(shard(2))
        .send()
        .await
        .unwrap();
    put(client, 100..150).await;
    split(3).await;
    let mut seen = BTreeMap::<u32, u32>::new();
    let mut queue = vec![shard(0)];
    let mut done = Vec::new();
    while let Some(next) = queue.pop() {
        let (read, children) = read(client, &consumer, &next).await;
        for number in read {
            *seen.entry(number).or_default() += 1;
        }
        done.push(next);
        for (child, parents) in children {
            // The last children are open and would never end.
            let is_open = [shard(4), shard(5)].contains(&child);
            if parents.iter().all(|parent| done.contains(parent)) && !is_open {
                queue.push(child);
            }
        }
    }
    assert_eq!(done, [shard(0), shard(2), shard(1), shard(3)]);
    assert_eq!(seen, (0..150).map(|number| (number, 1)).collect());
}

#[tokio::test]
async fn the_sdk_follows_a_split_and_a_merge_over_the_socket() {
    let emulator = Emulator::start().await.unwrap();
    walk(&Client::new(&emulator.sdk_config())).await;
    emulator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_sdk_follows_a_split_and_a_merge_in_process() {
    let service = Service::new(Settings {
        seed: Some(3),
        ..Settings::default()
    });
    walk(&Client::new(&service.sdk_config())).await;
}
