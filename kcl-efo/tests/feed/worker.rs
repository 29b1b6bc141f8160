//! Fan-out in a whole worker, against the emulator, in paused time, without a socket: the same lineage,
//! checkpoints and shutdown as with polling.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Notes, Wire, emulated, put, split};
use aws_sdk_kinesis::Client;
use kcl_core::contract::FixedOwnership;
use kcl_core::*;
use kcl_efo::FanOut;
use kcl_lease::DynamoLeases;
use kinesis_emulator::{Action, EventException, Fault, Service};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// What was processed, by shard, and which shards ended.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    records: BTreeMap<ShardId, Vec<SequenceNumber>>,
    ended: Vec<ShardId>,
    /// In the order in which they were first seen.
    started: Vec<ShardId>,
}

#[async_trait]
impl RecordProcessor for Book {
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        let mut pages = self.0.lock().unwrap();
        let shard = shard.shard().clone();
        if !pages.started.contains(&shard) {
            pages.started.push(shard.clone());
        }
        let numbers = batch
            .records
            .iter()
            .map(|record| record.sequence_number.clone());
        pages.records.entry(shard).or_default().extend(numbers);
        Ok(())
    }

    async fn shard_ended(&mut self, shard: &ShardContext, _: &Checkpointer) -> ProcessorResult {
        self.0.lock().unwrap().ended.push(shard.shard().clone());
        Ok(())
    }
}

impl Book {
    fn numbers(&self) -> Vec<SequenceNumber> {
        let pages = self.0.lock().unwrap();
        let mut all: Vec<_> = pages.records.values().flatten().cloned().collect();
        all.sort();
        all
    }
}

fn worker(service: &Service, ownership: impl Ownership, book: &Book, notes: &Notes) -> Worker {
    let (book, notes) = (book.clone(), notes.clone());
    Worker::builder("app", crate::support::STREAM)
        .with_source(FanOut::new(&service.sdk_config(), "app"))
        .with_ownership(ownership)
        .with_processor(move |_: &ShardContext| book.clone())
        .with_env(crate::support::env(service))
        .with_worker_id("w1")
        .with_observer(move |event: &Event| notes.note(event))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_split_is_followed_and_everything_is_processed_once() {
    let (service, client) = emulated(1).await;
    let (book, notes) = (Book::default(), Notes::default());
    let leases = DynamoLeases::new(&service.sdk_config());
    let mut expected = Vec::new();
    let story = async {
        for number in 0..30 {
            if number == 10 {
                split(&client).await;
            }
            expected.push(put(&client, &number.to_string()).await);
            sleep(SECOND).await;
        }
        sleep(30 * SECOND).await;
    };
    let report = worker(&service, leases, &book, &notes)
        .run(story)
        .await
        .unwrap();
    expected.sort();
    assert_eq!(book.numbers(), expected);
    assert_eq!(report.finished, 1);
    let pages = book.0.lock().unwrap();
    assert_eq!(pages.ended, [crate::support::shard()]);
    assert_eq!(pages.started[0], crate::support::shard(), "parents first");
    assert_eq!(notes.failures(), []);
    assert_eq!(service.subscriptions(), 0, "who left holds nothing");
}

/// Every third record fails at its first attempt.
#[tokio::test(start_paused = true)]
async fn pushed_records_are_settled_by_a_handler_across_a_split() {
    let (service, client) = emulated(1).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let noted = done.clone();
    let mut settings = Settings::default();
    settings.handler.lanes = 4;
    let builder = Worker::builder("app", crate::support::STREAM)
        .with_source(FanOut::new(&service.sdk_config(), "app"))
        .with_ownership(DynamoLeases::new(&service.sdk_config()))
        .with_settings(settings)
        .with_env(crate::support::env(&service))
        .with_record_handler(move |record: Record, context: HandlerContext| {
            let number: u32 = String::from_utf8_lossy(&record.data).parse().unwrap();
            if number.is_multiple_of(3) && context.attempt() == 1 {
                return std::future::ready(Err("the first attempt".into()));
            }
            noted.lock().unwrap().push(number);
            std::future::ready(Ok(()))
        });
    let story = async {
        for number in 0..30 {
            if number == 10 {
                split(&client).await;
            }
            put(&client, &number.to_string()).await;
            sleep(SECOND).await;
        }
        sleep(30 * SECOND).await;
    };
    let report = builder.build().unwrap().run(story).await.unwrap();
    assert_eq!(
        *done.lock().unwrap(),
        (0..30).collect::<Vec<_>>(),
        "in the order of their key, each once"
    );
    assert_eq!(report.finished, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_left_in_order_is_followed_without_a_repetition() {
    let (service, client) = emulated(1).await;
    let mut expected = Vec::new();
    let (book, notes) = (Book::default(), Notes::default());
    for life in 0..3 {
        let leases = DynamoLeases::new(&service.sdk_config());
        let story = async {
            for number in 0..10 {
                expected.push(put(&client, &format!("{life} {number}")).await);
                sleep(SECOND).await;
            }
        };
        worker(&service, leases, &book, &notes)
            .run(story)
            .await
            .unwrap();
    }
    // What came while nobody was there to read is read by the last.
    let leases = DynamoLeases::new(&service.sdk_config());
    worker(&service, leases, &book, &notes)
        .run(sleep(20 * SECOND))
        .await
        .unwrap();
    assert_eq!(book.numbers(), expected);
}

/// Never returns from its call.
struct Stuck;

#[async_trait]
impl RecordProcessor for Stuck {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        _: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_takes_its_subscription_with_it_at_once_whatever_user_code_does() {
    let (service, client) = emulated(1).await;
    let leases = FixedOwnership::new([crate::support::shard()]);
    let worker = Worker::builder("app", crate::support::STREAM)
        .with_source(FanOut::new(&service.sdk_config(), "app"))
        .with_ownership(leases.clone())
        .with_processor(|_: &ShardContext| Stuck)
        .with_env(crate::support::env(&service))
        .build()
        .unwrap();
    let story = async {
        put(&client, "one").await;
        sleep(3 * SECOND).await;
        assert_eq!(service.subscriptions(), 1);
        leases.lose(crate::support::shard());
        let since = Instant::now();
        while service.subscriptions() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(
            since.elapsed() <= Duration::from_millis(5),
            "{:?}",
            since.elapsed()
        );
    };
    worker.run(story).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_processor_stands_still_holds_up_no_other_shard() {
    let (service, client) = emulated(2).await;
    let wire = Wire::new(&service);
    let settings = kcl_efo::FanOutSettings {
        memory: kcl_efo::MemorySettings {
            // Less than one event.
            worker_bytes_max: 1024,
            ..Default::default()
        },
        ..Default::default()
    };
    let source = FanOut::new(&wire.sdk_config(), "app").with_settings(settings);
    let notes = Notes::default();
    let mut moving = crate::support::open(&source, model::Position::TrimHorizon, &notes);
    // A feed from which nobody takes anything.
    let _stuck = source.open(port::OpenFeed {
        stream: crate::support::stream(),
        shard: ShardId::new("shardId-000000000001"),
        from: model::Position::TrimHorizon,
        env: Env::system(),
        events: event::Events::default(),
        meter: port::Meter::default(),
    });
    let put_to = async |client: &Client, hash: u128| {
        let put = client
            .put_record()
            .stream_name(crate::support::STREAM)
            .partition_key("k");
        let put = put.explicit_hash_key(hash.to_string());
        let put = put.data(vec![0; 4096].into()).send().await.unwrap();
        SequenceNumber::new(put.sequence_number).unwrap()
    };
    for _ in 0..10 {
        put_to(&client, u128::MAX).await;
    }
    sleep(10 * SECOND).await;
    for _ in 0..20 {
        let number = put_to(&client, 0).await;
        let since = Instant::now();
        assert_eq!(crate::support::read(&mut moving, 1).await, [number]);
        assert!(since.elapsed() <= 2 * SECOND, "{:?}", since.elapsed());
        sleep(SECOND).await;
    }
    assert_eq!(notes.failures(), []);
}

/// Everything that is told in ten minutes of bad luck.
fn trace(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (service, client) = emulated(2).await;
        let (book, notes) = (Book::default(), Notes::default());
        let strike = |action, every| {
            let fault = Fault::new(action).on("SubscribeToShard").every(every);
            service.faults().add(fault).unwrap();
        };
        strike(Action::ResetAfter, 3);
        strike(Action::TruncateEvent, 5);
        strike(Action::EventException(EventException::InternalFailure), 7);
        let clock = service.clock().clone();
        let told = notes.clone();
        let processors = book.clone();
        let worker = Worker::builder("app", crate::support::STREAM)
            .with_source(
                FanOut::new(&service.sdk_config(), "app")
                    .with_fallback(Polling::new(&service.sdk_config())),
            )
            .with_ownership(FixedOwnership::new([
                "shardId-000000000000",
                "shardId-000000000001",
            ]))
            .with_processor(move |_: &ShardContext| processors.clone())
            .with_env(Env::simulated(move || clock.now(), seed))
            .with_observer(move |event: &Event| told.note(event))
            .build()
            .unwrap();
        let story = async {
            for number in 0..60 {
                put(&client, &number.to_string()).await;
                sleep(5 * SECOND).await;
            }
            // The last may have come in the middle of a bad time.
            sleep(60 * SECOND).await;
        };
        worker.run(story).await.unwrap();
        assert_eq!(
            book.numbers().len(),
            60,
            "nothing is lost and nothing comes twice"
        );
        notes
            .all()
            .iter()
            .map(|event| format!("{event:?}"))
            .collect()
    })
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let (one, again, other) = (trace(1), trace(1), trace(2));
    assert!(one.len() > 150, "{}", one.len());
    for (line, other) in one.iter().zip(&again) {
        assert_eq!(line, other);
    }
    assert_eq!(one.len(), again.len());
    assert_ne!(one, other, "the seed is what pauses are drawn from");
}
