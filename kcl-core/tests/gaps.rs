//! Records that the stream drops before they were read, in whole workers that poll the emulator, in
//! paused time and without a socket.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::contract::FixedOwnership;
use kcl_core::*;
use kinesis_emulator::Service;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const SHARD: &str = "shardId-000000000000";

/// Notes what it is handed, and is slow at `slow`.
#[derive(Clone, Default)]
struct Actor(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl RecordProcessor for Actor {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            let is_slow = text == "slow";
            self.0.lock().unwrap().push(text);
            if is_slow {
                sleep(HOUR * 25).await;
            }
        }
        Ok(())
    }
}

/// A stream of one shard that keeps records for a day, and its reader.
struct Stage {
    service: Service,
    client: Client,
    leases: FixedOwnership,
    actor: Actor,
    told: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    async fn new() -> Self {
        let service = Service::default();
        let client = Client::new(&service.sdk_config());
        let stream = client.create_stream().stream_name("stream");
        stream.shard_count(1).send().await.unwrap();
        sleep(SECOND * 5).await;
        Self {
            service,
            client,
            leases: FixedOwnership::new([SHARD]),
            actor: Actor::default(),
            told: Arc::default(),
        }
    }

    async fn put(&self, payloads: &[&str]) -> Vec<String> {
        let mut numbers = Vec::new();
        for payload in payloads {
            numbers.push(self.put_at_once(payload).await);
            sleep(SECOND).await;
        }
        numbers
    }

    async fn put_at_once(&self, payload: &str) -> String {
        let put = self.client.put_record().stream_name("stream");
        let put = put.partition_key("key").data(Blob::new(payload));
        put.send().await.unwrap().sequence_number
    }

    /// Reads for so long, a record at a time and one ahead.
    async fn read(&self, time: Duration) {
        let (actor, told) = (self.actor.clone(), self.told.clone());
        let settings = PollSettings {
            records_max: 1,
            prefetch_bytes_max: 1,
            ..PollSettings::default()
        };
        let worker = Worker::builder("app", "stream")
            .with_source(Polling::new(&self.service.sdk_config()).with_settings(settings))
            .with_ownership(self.leases.clone())
            .with_processor(move |_: &ShardContext| actor.clone())
            .with_observer(move |event: &Event| {
                if let Event::RecordsTrimmed(trimmed) = event {
                    let next = trimmed.next.as_ref().map(ToString::to_string);
                    let next = next.unwrap_or_default();
                    told.lock()
                        .unwrap()
                        .push(format!("{} {next}", trimmed.after));
                }
            })
            .build()
            .unwrap();
        worker.run(sleep(time)).await.unwrap();
    }

    fn seen(&self) -> Vec<String> {
        self.actor.0.lock().unwrap().clone()
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_back_after_the_retention_period_tells_what_it_may_have_missed() {
    let stage = Stage::new().await;
    let first = stage.put(&["a", "b"]).await;
    stage.read(SECOND * 10).await;
    stage.put(&["lost"]).await;
    stage.service.clock().advance(HOUR * 25);
    let next = stage.put(&["d"]).await;
    stage.read(SECOND * 10).await;
    assert_eq!(stage.seen(), ["a", "b", "d"]);
    assert_eq!(stage.told(), [format!("{} {}", first[1], next[0])]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_back_in_time_tells_nothing() {
    let stage = Stage::new().await;
    stage.put(&["a", "b"]).await;
    stage.read(SECOND * 10).await;
    stage.put(&["c"]).await;
    stage.service.clock().advance(HOUR * 23);
    stage.put(&["d"]).await;
    stage.read(SECOND * 10).await;
    assert_eq!(stage.seen(), ["a", "b", "c", "d"]);
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_overtaken_while_it_waits_for_its_processor_tells_it() {
    let stage = Stage::new().await;
    let put = stage.put(&["slow", "ahead", "lost", "lost"]).await;
    let later = async {
        sleep(HOUR * 24 + HOUR / 2).await;
        stage.put(&["e", "f"]).await
    };
    let (next, ()) = tokio::join!(later, stage.read(HOUR * 25 + SECOND * 30));
    assert_eq!(stage.seen(), ["slow", "ahead", "e", "f"]);
    assert_eq!(stage.told(), [format!("{} {}", put[1], next[0])]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_slept_for_a_day_without_its_clock_counting_it_tells_it() {
    let stage = Stage::new().await;
    let asleep = async {
        let read = stage.put(&["a", "b"]).await;
        sleep(SECOND * 5).await;
        // It waits for the next page, half a second, while this is put and dropped.
        stage.put_at_once("lost").await;
        stage.service.clock().advance(HOUR * 25);
        let next = stage.put(&["d", "e"]).await;
        format!("{} {}", read[1], next[0])
    };
    let (expected, ()) = tokio::join!(asleep, stage.read(SECOND * 30));
    assert_eq!(stage.seen(), ["a", "b", "d", "e"]);
    assert_eq!(stage.told(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_slept_for_a_day_and_finds_the_end_of_its_shard_tells_it() {
    let stage = Stage::new().await;
    let asleep = async {
        let read = stage.put(&["a", "b"]).await;
        sleep(SECOND * 5).await;
        // It waits for the next page, half a second, while this is put and dropped, and the shard is closed.
        stage.put_at_once("lost").await;
        stage.service.clock().advance(HOUR * 25);
        let split = stage.client.split_shard().stream_name("stream");
        split
            .shard_to_split(SHARD)
            .new_starting_hash_key("9")
            .send()
            .await
            .unwrap();
        format!("{} ", read[1])
    };
    let (expected, ()) = tokio::join!(asleep, stage.read(SECOND * 30));
    assert_eq!(stage.seen(), ["a", "b"]);
    assert_eq!(stage.told(), [expected]);
}
