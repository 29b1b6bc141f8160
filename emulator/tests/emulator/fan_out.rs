//! SubscribeToShard: what a subscription tells, and when.

use std::time::{Duration, UNIX_EPOCH};

use kinesis_emulator::{Clock, Delays, Limits, Service, Settings};
use serde_json::{Value, json};

use crate::caller::{Caller, data, shard};
use crate::events::{STREAM_ARN, after, horizon, latest};

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

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_after_five_minutes_without_a_word() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let mut events = caller.subscribe(&consumer, &shard(0), latest()).await;
    caller.advance(Duration::from_secs(299));
    let beat = events.ready().await.unwrap().event();
    caller.put("k", "in time").await;
    assert_eq!(data(&events.ready().await.unwrap().event()), ["in time"]);
    caller.put("k", "too late").await;
    caller.advance(Duration::from_secs(1));
    assert!(events.frame().await.is_none());
    // The next one takes up where this one ended.
    let number = &beat["ContinuationSequenceNumber"];
    let mut events = caller.subscribe(&consumer, &shard(0), after(number)).await;
    assert_eq!(data(&events.event().await), ["in time", "too late"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_lives_five_minutes_of_paused_time() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let start = tokio::time::Instant::now();
    let mut events = caller.subscribe(&consumer, &shard(0), latest()).await;
    let mut beats = 0;
    while let Some(frame) = events.frame().await {
        assert_eq!(frame.event()["Records"], json!([]));
        beats += 1;
    }
    assert_eq!(start.elapsed().as_secs(), 300);
    assert!((60..=68).contains(&beats), "{beats}");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_clock_makes_no_heartbeat_and_wakes_for_every_record() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    caller.service.clock().freeze();
    let mut events = caller.subscribe(&consumer, &shard(0), latest()).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(events.ready().await.is_none());
    caller.put("k", "a").await;
    assert_eq!(data(&events.ready().await.unwrap().event()), ["a"]);
    caller.advance(Duration::from_millis(4_499));
    assert!(events.ready().await.is_none());
    caller.advance(Duration::from_millis(1));
    assert_eq!(events.ready().await.unwrap().event()["Records"], json!([]));
    caller.service.clock().set_rate(60.0);
    let before = tokio::time::Instant::now();
    events.event().await;
    assert_eq!(before.elapsed(), Duration::from_millis(75));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_names_the_children_and_nothing_to_go_on_from() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    caller.put("k", "before").await;
    let mut open = caller.subscribe(&consumer, &shard(0), horizon()).await;
    assert_eq!(data(&open.event().await), ["before"]);
    let middle = (1_u128 << 127).to_string();
    let split = json!({"StreamName": "s", "ShardToSplit": shard(0), "NewStartingHashKey": middle});
    caller.ok("SplitShard", split).await;
    let last = open.ready().await.unwrap().event();
    let half = |id: u32, start: u128, end: u128| {
        json!({
            "ShardId": shard(id),
            "ParentShards": [shard(0)],
            "HashKeyRange": {"StartingHashKey": start.to_string(), "EndingHashKey": end.to_string()},
        })
    };
    let children = [half(1, 0, (1 << 127) - 1), half(2, 1 << 127, u128::MAX)];
    let expected = json!({"Records": [], "MillisBehindLatest": 0, "ChildShards": children});
    assert_eq!(last, expected);
    assert!(open.frame().await.is_none());
    let merge = json!({
        "StreamName": "s", "ShardToMerge": shard(1), "AdjacentShardToMerge": shard(2),
    });
    caller.ok("MergeShards", merge).await;
    for index in [1, 2] {
        // A shard that has ended says so at once, wherever one starts.
        let mut closed = caller.subscribe(&consumer, &shard(index), latest()).await;
        let last = closed.ready().await.unwrap().event();
        assert_eq!(
            last["ChildShards"][0]["ParentShards"],
            json!([shard(1), shard(2)])
        );
        assert_eq!(last.get("ContinuationSequenceNumber"), None);
        assert!(closed.frame().await.is_none());
    }
    caller.advance(Duration::from_secs(5));
    let mut again = caller.subscribe(&consumer, &shard(0), horizon()).await;
    let first = again.ready().await.unwrap().event();
    assert_eq!(
        (data(&first), first.get("ChildShards")),
        (vec!["before".to_owned()], None)
    );
    assert_eq!(again.ready().await.unwrap().event(), expected);
    assert!(again.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_updating_stream_serves_and_its_reshard_comes_by_itself() {
    let delays = Delays {
        reshard: Duration::from_secs(30),
        ..Delays::default()
    };
    let caller = Caller::with_delays(delays);
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    let consumer = caller.consumer("c").await;
    let mut early = caller.subscribe(&consumer, &shard(0), latest()).await;
    assert_eq!(early.event().await["Records"], json!([]));
    let middle = (1_u128 << 127).to_string();
    let split = json!({"StreamName": "s", "ShardToSplit": shard(0), "NewStartingHashKey": middle});
    caller.ok("SplitShard", split).await;
    let started = tokio::time::Instant::now();
    let other = caller.consumer("d").await;
    let mut late = caller.subscribe(&other, &shard(0), latest()).await;
    caller.put("k", "to the parent").await;
    for events in [&mut early, &mut late] {
        assert_eq!(
            data(&events.ready().await.unwrap().event()),
            ["to the parent"]
        );
        // Nobody touches the stream any more: the subscription itself sees the reshard happen.
        let last = loop {
            let event = events.event().await;
            if event.get("ChildShards").is_some() {
                break event;
            }
        };
        assert_eq!(last.get("ContinuationSequenceNumber"), None);
        assert_eq!(started.elapsed(), Duration::from_secs(30));
        assert!(events.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_a_batch_of_bounded_size_and_says_how_far_behind_it_is() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let large = "x".repeat(1 << 20);
    for _ in 0..3 {
        caller.put("k", &large[..(1 << 20) - 1]).await;
        caller.advance(Duration::from_secs(10));
    }
    let mut events = caller.subscribe(&consumer, &shard(0), horizon()).await;
    let first = events.ready().await.unwrap().event();
    assert_eq!(first["Records"].as_array().unwrap().len(), 2);
    assert_eq!(first["MillisBehindLatest"], 20_000);
    let second = events.ready().await.unwrap().event();
    assert_eq!(second["Records"].as_array().unwrap().len(), 1);
    assert_eq!(second["MillisBehindLatest"], 0);
    let entries = |count: usize| {
        let entries: Vec<_> = (0..count)
            .map(|_| json!({"Data": "", "PartitionKey": "k"}))
            .collect();
        json!({"StreamName": "s", "Records": entries})
    };
    for _ in 0..21 {
        caller.ok("PutRecords", entries(500)).await;
    }
    let third = events.ready().await.unwrap().event();
    assert_eq!(third["Records"].as_array().unwrap().len(), 10_000);
    let fourth = events.ready().await.unwrap().event();
    assert_eq!(fourth["Records"].as_array().unwrap().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_whose_reader_is_gone_is_gone() {
    let caller = Caller::with_stream(1).await;
    let (c, d) = (caller.consumer("c").await, caller.consumer("d").await);
    let events = caller.subscribe(&c, &shard(0), latest()).await;
    let other = caller.subscribe(&d, &shard(0), latest()).await;
    assert_eq!(caller.service.subscriptions(), 2);
    drop(events);
    assert_eq!(caller.service.subscriptions(), 1);
    // The last call counts on.
    let body = json!({"ConsumerARN": c, "ShardId": shard(0), "StartingPosition": latest()});
    let (kind, _) = caller.refused("SubscribeToShard", body).await;
    assert_eq!(kind, "ResourceInUseException");
    assert_eq!(caller.service.subscriptions(), 1);
    drop(other);
    assert_eq!(caller.service.subscriptions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_finds_all_of_it_later() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let mut events = caller.subscribe(&consumer, &shard(0), horizon()).await;
    let mut put = Vec::new();
    for number in 0..1000 {
        let text = number.to_string();
        caller.put("k", &text).await;
        put.push(text);
    }
    let event = events.ready().await.unwrap().event();
    assert_eq!(data(&event), put);
    // What retention has trimmed in the meantime is not told, and nothing behind it is lost.
    caller.put("k", "trimmed").await;
    caller.advance(Duration::from_secs(200));
    let decrease = json!({"StreamName": "s", "RetentionPeriodHours": 24});
    caller
        .raw("DecreaseStreamRetentionPeriod", &decrease.to_string())
        .await;
    caller.put("k", "kept").await;
    assert_eq!(
        data(&events.ready().await.unwrap().event()),
        ["trimmed", "kept"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_enforcing_service_sends_two_mebibytes_a_second_to_each_consumer() {
    let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(crate::caller::START));
    let settings = Settings {
        clock,
        limits: Limits::Observe,
        ..Settings::default()
    };
    let (observed, enforced) = (settings.clone(), Limits::Enforce);
    for (settings, seconds) in [
        (observed, 0),
        (
            Settings {
                limits: enforced,
                ..settings
            },
            2,
        ),
    ] {
        let caller = Caller {
            service: Service::new(settings),
        };
        caller
            .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
            .await;
        let consumer = caller.consumer("c").await;
        let large = "x".repeat((1 << 20) - 1);
        for _ in 0..8 {
            caller.put("k", &large).await;
            caller.advance(Duration::from_secs(1));
        }
        let mut events = caller.subscribe(&consumer, &shard(0), horizon()).await;
        let started = tokio::time::Instant::now();
        let (mut records, mut last) = (0, started);
        while records < 8 {
            let event = events.event().await;
            assert!(last.elapsed() < Duration::from_secs(5));
            last = tokio::time::Instant::now();
            records += event["Records"].as_array().unwrap().len();
        }
        assert_eq!(started.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_a_batch_comes_alone() {
    let caller = Caller::with_stream(1).await;
    let consumer = caller.consumer("c").await;
    let size = json!({"StreamARN": STREAM_ARN, "MaxRecordSizeInKiB": 10_240});
    caller.ok("UpdateMaxRecordSize", size).await;
    let large = "x".repeat((10 << 20) - 1);
    for text in ["small", large.as_str(), "small"] {
        caller.put("k", text).await;
    }
    let mut events = caller.subscribe(&consumer, &shard(0), horizon()).await;
    for expected in ["small", large.as_str(), "small"] {
        let event = events.ready().await.unwrap().event();
        assert!(data(&event) == [expected]);
    }
}
