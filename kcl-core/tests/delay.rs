//! How soon polling brings a record, and with how many calls. Against the emulator, in paused time.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::event::{Events, Origin};
use kcl_core::model::Position;
use kcl_core::port::{Meter, OpenFeed};
use kcl_core::*;
use kinesis_emulator::Service;
use tokio::time::{Instant, interval};

/// The delays of records that are put so often for a minute, shortest first, and the calls that it took.
async fn delays(every: Duration) -> (Vec<Duration>, u32) {
    let service = Service::default();
    let config = service.sdk_config();
    let client = Client::new(&config);
    let made = client.create_stream().stream_name("stream").shard_count(1);
    made.send().await.unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let count = move |event: &Event| {
        if let Event::PageRead { .. } = event {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let origin = Origin {
        application: ApplicationName::new("app").unwrap(),
        stream: Some(StreamName::new("stream").unwrap()),
        worker: WorkerId::new("w").unwrap(),
    };
    let mut feed = Polling::new(&config).open(OpenFeed {
        stream: StreamName::new("stream").unwrap(),
        shard: ShardId::new("shardId-000000000000"),
        from: Position::TrimHorizon,
        env: Env::simulated(|| std::time::SystemTime::UNIX_EPOCH, 1),
        events: Events::new(origin, vec![Arc::new(count)]),
        meter: Meter::default(),
    });
    let (mut put, mut delays) = (VecDeque::new(), Vec::new());
    let (mut ticks, end) = (interval(every), Instant::now() + Duration::from_secs(60));
    while Instant::now() < end {
        tokio::select! {
            biased; // ORDER: what is there before what is to come
            batch = feed.next() => {
                for _ in batch.unwrap().records {
                    let since: Instant = put.pop_front().unwrap();
                    delays.push(since.elapsed());
                }
            }
            _ = ticks.tick() => {
                put.push_back(Instant::now());
                let call = client.put_record().stream_name("stream").partition_key("key");
                call.data(Blob::new("x")).send().await.unwrap();
            }
        }
    }
    delays.sort_unstable();
    (delays, calls.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn records_that_trickle_come_within_half_the_idle_interval() {
    let idle = PollSettings::default().idle;
    let (delays, calls) = delays(Duration::from_millis(40)).await;
    assert!(delays.len() > 1_450, "{}", delays.len());
    let median = delays[delays.len() / 2];
    assert!(median < idle * 3 / 10, "{median:?}");
    assert!(delays[delays.len() - 1] <= idle * 6 / 10, "{delays:?}");
    // Fewer than the five a second that all consumers of a shard may make together.
    assert!(calls <= 4 * 60 + 20, "{calls} calls a minute");
}

#[tokio::test(start_paused = true)]
async fn a_record_now_and_then_costs_no_more_calls_than_an_idle_shard() {
    let (delays, calls) = delays(Duration::from_secs(10)).await;
    assert_eq!(delays.len(), 6);
    assert!(calls <= 2 * 60 + 15, "{calls} calls a minute");
}
