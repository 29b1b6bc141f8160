//! SubscribeToShard: what a subscription tells, and when.

use std::time::Duration;

use serde_json::{Value, json};

use crate::caller::{Caller, data, shard};

fn horizon() -> Value {
    json!({"Type": "TRIM_HORIZON"})
}

fn latest() -> Value {
    json!({"Type": "LATEST"})
}

fn continuation(event: &Value) -> &str {
    event["ContinuationSequenceNumber"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn records_are_told_as_they_are_put() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let before = caller.put("k", "before").await;
    let mut events = caller.subscribe(&consumer, &shard(0), horizon()).await;
    let event = events.ready().await.unwrap().event();
    assert_eq!(data(&event), ["before"]);
    assert_eq!(
        event["ContinuationSequenceNumber"],
        before["SequenceNumber"]
    );
    assert_eq!(event["MillisBehindLatest"], 0);
    assert_eq!(event.get("ChildShards"), None);
    assert!(events.ready().await.is_none());
    let after = caller.put("k", "after").await;
    let event = events.ready().await.unwrap().event();
    assert_eq!(data(&event), ["after"]);
    assert_eq!(
        event["Records"][0]["SequenceNumber"],
        after["SequenceNumber"]
    );
    assert_eq!(event["Records"][0]["PartitionKey"], "k");
}

#[tokio::test(start_paused = true)]
async fn an_idle_subscription_speaks_within_a_second_and_then_within_every_five() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let mut events = caller.subscribe(&consumer, &shard(0), latest()).await;
    let mut numbers: Vec<String> = Vec::new();
    let start = tokio::time::Instant::now();
    let mut last = start;
    while start.elapsed() < Duration::from_secs(60) {
        let event = events.event().await;
        let limit = if numbers.is_empty() { 1000 } else { 4999 };
        assert!(
            last.elapsed() <= Duration::from_millis(limit),
            "{:?}",
            last.elapsed()
        );
        last = tokio::time::Instant::now();
        assert_eq!(event["Records"], json!([]));
        numbers.push(continuation(&event).to_owned());
    }
    assert!(numbers.is_sorted() && numbers.len() > 12, "{numbers:?}");
    numbers.dedup();
    assert!(numbers.len() > 12, "they move");
}

#[tokio::test(start_paused = true)]
async fn a_second_subscription_is_refused_for_five_seconds_and_then_takes_over() {
    let caller = Caller::with_stream(2).await;
    let consumer = caller.consumer("c").await;
    let other = caller.consumer("other").await;
    let mut first = caller.subscribe(&consumer, &shard(0), latest()).await;
    // Another shard and another consumer are not meant.
    caller.subscribe(&consumer, &shard(1), latest()).await;
    caller.subscribe(&other, &shard(0), latest()).await;
    caller.advance(Duration::from_millis(4_900));
    let body = json!({"ConsumerARN": consumer, "ShardId": shard(0), "StartingPosition": latest()});
    let (kind, text) = caller.refused("SubscribeToShard", body).await;
    assert_eq!(kind, "ResourceInUseException");
    let prefix = "Another active subscription exists for this consumer: 000000000000:s:";
    assert!(text.starts_with(prefix), "{text}");
    assert_eq!(data(&first.event().await), [""; 0]);
    caller.advance(Duration::from_millis(200));
    let mut second = caller.subscribe(&consumer, &shard(0), latest()).await;
    let (kind, text) = first.ready().await.unwrap().exception();
    assert_eq!(kind, "ResourceInUseException");
    assert!(text.starts_with(prefix), "{text}");
    assert!(first.frame().await.is_none());
    // This key falls on the first of two shards.
    caller.put("a", "for the second").await;
    assert_eq!(data(&second.event().await), ["for the second"]);
}

#[tokio::test(start_paused = true)]
async fn a_deregistered_consumer_and_a_deleted_stream_end_their_subscriptions() {
    let caller = Caller::with_stream(1).await;
    let (first, second) = (caller.consumer("c").await, caller.consumer("d").await);
    let mut of_first = caller.subscribe(&first, &shard(0), latest()).await;
    let mut of_second = caller.subscribe(&second, &shard(0), latest()).await;
    caller
        .ok("DeregisterStreamConsumer", json!({"ConsumerARN": first}))
        .await;
    let (kind, text) = of_first.ready().await.unwrap().exception();
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(text, "Consumer c, account 000000000000 not found.");
    assert!(of_first.frame().await.is_none());
    assert!(of_second.ready().await.is_none(), "the other one goes on");
    let body = json!({"StreamName": "s"});
    let (kind, text) = caller.refused("DeleteStream", body).await;
    assert_eq!(kind, "ResourceInUseException");
    assert!(
        text.starts_with("DeleteStream can't delete 000000000000:s because there are consumers")
    );
    let body = json!({"StreamName": "s", "EnforceConsumerDeletion": true});
    caller.ok("DeleteStream", body).await;
    let (kind, text) = of_second.ready().await.unwrap().exception();
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(text, "Stream s under account 000000000000 not found.");
    assert!(of_second.frame().await.is_none());
}
