//! Aggregated records in whole workers: taken apart, across restarts and reshards.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::kpl::{Aggregator, Malformed, Packed, UserRecord};
use kcl_core::model::HashKeyRange;
use kcl_core::*;
use kinesis_emulator::Service;
use tokio::time::sleep;

const SHARD: &str = "shard-0";

/// Notes the payloads, checkpoints each record by itself, and fails at `dies`.
#[derive(Clone, Default)]
struct Notes {
    seen: Arc<Mutex<Vec<String>>>,
    events: Arc<Mutex<Vec<Event>>>,
    dies_at: Option<&'static str>,
}

#[async_trait]
impl RecordProcessor for Notes {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            if self.dies_at == Some(text.as_str()) {
                // Until the worker is dropped, as by a crash.
                std::future::pending::<()>().await;
            }
            self.seen.lock().unwrap().push(text);
            checkpointer.checkpoint_at(record).await?;
        }
        Ok(())
    }

    async fn shard_ended(
        &mut self,
        _: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        Ok(checkpointer.checkpoint().await?)
    }
}

impl Notes {
    /// Runs a worker for two seconds, then drops it.
    async fn run(&self, source: &(impl RecordSource + Clone), leases: &FixedOwnership) {
        let notes = self.clone();
        let events = self.events.clone();
        let worker = Worker::builder("app", "stream")
            .with_source(source.clone())
            .with_ownership(leases.clone())
            .with_processor(move |_: &ShardContext| notes.clone())
            .with_settings(Settings {
                commit: CommitSettings {
                    policy: CheckpointPolicy::Manual,
                },
                ..Settings::default()
            })
            .with_observer(move |event: &Event| events.lock().unwrap().push(event.clone()))
            .build()
            .unwrap();
        tokio::select! {
            biased;
            () = sleep(Duration::from_secs(2)) => {}
            report = worker.run(std::future::pending()) => drop(report.unwrap()),
        }
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn told(&self, want: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = std::mem::take(&mut *self.events.lock().unwrap());
        events.retain(|event| want(event));
        events
    }
}

fn aggregate(records: impl IntoIterator<Item = UserRecord>) -> Vec<u8> {
    let mut aggregator = Aggregator::new();
    for record in records {
        aggregator.add(record).unwrap();
    }
    aggregator.finish().unwrap().data.to_vec()
}

fn texts(texts: &[&'static str]) -> Vec<u8> {
    aggregate(texts.iter().map(|text| UserRecord::new(*text, *text)))
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_of_an_aggregate_repeats_and_skips_nothing() {
    for dies_at in ["one", "two", "three", "four", "five", "six"] {
        let source = ScriptedSource::new();
        let leases = FixedOwnership::new([SHARD]);
        source.put(
            SHARD,
            [
                texts(&["one", "two", "three"]),
                b"four".to_vec(),
                texts(&["five", "six"]),
            ],
        );
        let before = Notes {
            dies_at: Some(dies_at),
            ..Notes::default()
        };
        before.run(&source, &leases).await;
        let mut seen = before.seen();
        assert!(!seen.contains(&dies_at.to_owned()));

        // The lease of the dead one is over.
        leases.lose(SHARD);
        let after = Notes::default();
        after.run(&source, &leases).await;
        seen.extend(after.seen());
        assert_eq!(
            seen,
            ["one", "two", "three", "four", "five", "six"],
            "{dies_at}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_middle_of_an_aggregate_repeats_and_skips_nothing() {
    struct Fails(Notes);
    #[async_trait]
    impl RecordProcessor for Fails {
        async fn process_records(
            &mut self,
            shard: &ShardContext,
            batch: &Batch,
            checkpointer: &Checkpointer,
        ) -> ProcessorResult {
            let mut first = batch.clone();
            first.records.truncate(1);
            self.0.process_records(shard, &first, checkpointer).await?;
            match batch.records.len() {
                1 => Ok(()),
                _ => Err("after one record".into()),
            }
        }
    }
    let source = ScriptedSource::new();
    source.put(SHARD, [texts(&["one", "two", "three"])]);
    let notes = Notes::default();
    let made = notes.clone();
    let worker = Worker::builder("app", "stream")
        .with_source(source)
        .with_ownership(FixedOwnership::new([SHARD]))
        .with_processor(move |_: &ShardContext| Fails(made.clone()))
        .build()
        .unwrap();
    let stop = sleep(Duration::from_secs(10));
    let report = worker.run(stop).await.unwrap();
    assert_eq!(notes.seen(), ["one", "two", "three"]);
    assert_eq!(report.released, 1);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_sister_shard_is_left_to_it() {
    let source = ScriptedSource::new();
    let leases = FixedOwnership::new(["low", "high"]);
    let (middle, max) = (1 << 127, u128::MAX);
    leases.set_range(
        "low",
        HashKeyRange {
            start: 0,
            end: middle - 1,
        },
    );
    leases.set_range(
        "high",
        HashKeyRange {
            start: middle,
            end: max,
        },
    );
    // The producer did not know of the split yet: half of this is sent again.
    let record = |text: &'static str, key| UserRecord::new("k", text).with_explicit_hash_key(key);
    source.put(
        "low",
        [aggregate([
            record("low", 1),
            record("high", middle),
            record("low too", 2),
        ])],
    );
    source.put(
        "low",
        [aggregate([record("max", max), record("max too", max)])],
    );
    source.put(
        "high",
        [aggregate([
            record("high again", middle),
            record("max again", max),
        ])],
    );
    source.close("low", &[]);
    source.close("high", &[]);

    let notes = Notes::default();
    notes.run(&source, &leases).await;
    let mut seen = notes.seen();
    seen.sort();
    assert_eq!(seen, ["high again", "low", "low too", "max again"]);
    let told = notes.told(|event| matches!(event, Event::RecordsMisrouted { .. }));
    let first = SequenceNumber::new("1").unwrap();
    let shard = ShardId::new("low");
    assert_eq!(
        told,
        [Event::RecordsMisrouted {
            shard,
            first,
            records: 3
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_apart_is_delivered_as_it_is() {
    let source = ScriptedSource::new();
    let mut broken = texts(&["one", "two"]);
    broken[6] ^= 1;
    let text = String::from_utf8_lossy(&broken).into_owned();
    source.put(SHARD, [broken, b"after".to_vec()]);
    let notes = Notes::default();
    notes.run(&source, &FixedOwnership::new([SHARD])).await;
    assert_eq!(notes.seen(), [text, "after".to_owned()]);
    let told = notes.told(|event| matches!(event, Event::AggregatesMalformed { .. }));
    let expected = Event::AggregatesMalformed {
        shard: ShardId::new(SHARD),
        first: SequenceNumber::new("1").unwrap(),
        why: Malformed::Digest,
        records: 1,
    };
    assert_eq!(told, [expected]);
}

/// Runs a handler with four lanes for ten seconds, then drops the worker. It hangs at this record.
async fn handle(source: &ScriptedSource, leases: &FixedOwnership, hangs_at: &str) -> Vec<String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (noted, hangs_at) = (seen.clone(), hangs_at.to_owned());
    let mut settings = Settings::default();
    settings.handler.lanes = 4;
    let worker = Worker::builder("app", "stream")
        .with_source(source.clone())
        .with_ownership(leases.clone())
        .with_settings(settings)
        .with_record_handler(move |record: Record, _: HandlerContext| {
            let (noted, hangs_at) = (noted.clone(), hangs_at.clone());
            async move {
                let text = String::from_utf8_lossy(&record.data).into_owned();
                if text == hangs_at {
                    std::future::pending::<()>().await;
                }
                noted.lock().unwrap().push(text);
                Ok(())
            }
        })
        .build()
        .unwrap();
    tokio::select! {
        biased;
        () = sleep(Duration::from_secs(10)) => {}
        report = worker.run(std::future::pending()) => drop(report.unwrap()),
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort();
    seen
}

/// All have one key in the stream, and what hangs holds up that one of the user's keys alone.
#[tokio::test(start_paused = true)]
async fn a_handler_has_a_lane_for_each_key_within_an_aggregate_and_settles_within_it() {
    let source = ScriptedSource::new();
    let leases = FixedOwnership::new([SHARD]);
    let record = |key: &'static str, text| UserRecord::new(key, text);
    source.put(
        SHARD,
        [
            aggregate([
                record("a", "a1"),
                record("a", "a2"),
                record("b", "b1"),
                record("a", "a3"),
                record("b", "b2"),
                record("c", "c1"),
            ]),
            b"plain".to_vec(),
        ],
    );
    let seen = handle(&source, &leases, "b1").await;
    assert_eq!(seen, ["a1", "a2", "a3", "c1", "plain"]);
    let settled = |leases: &FixedOwnership| leases.checkpoint(SHARD).unwrap().to_string();
    assert_eq!(settled(&leases), "1/1", "the prefix before what hangs");

    leases.lose(SHARD);
    let seen = handle(&source, &leases, "nothing").await;
    assert_eq!(seen, ["a3", "b1", "b2", "c1", "plain"], "the rest of it");
    assert_eq!(settled(&leases), "2");
}

async fn put(client: &Client, packed: Packed) {
    let put = client.put_record().stream_name("stream");
    let put = put
        .partition_key(packed.partition_key)
        .data(Blob::new(packed.data));
    let key = packed.explicit_hash_key.map(|key| key.to_string());
    put.set_explicit_hash_key(key).send().await.unwrap();
}

/// A producer packs for a shard that is split by the time its records arrive, and then does as the KPL does.
#[tokio::test(start_paused = true)]
async fn polled_across_a_split_every_record_comes_once() {
    let service = Service::default();
    let config = service.sdk_config();
    let client = Client::new(&config);
    let create = client.create_stream().stream_name("stream").shard_count(1);
    create.send().await.unwrap();
    let middle = 1_u128 << 127;
    let record = |n: u32| UserRecord::new(format!("key {n}"), format!("{n}"));
    let pack = |records: &[UserRecord]| {
        let mut aggregator = Aggregator::new();
        for record in records {
            aggregator.add(record.clone()).unwrap();
        }
        aggregator.finish().unwrap()
    };
    let before: Vec<_> = (0..50).map(record).collect();
    put(&client, pack(&before)).await;
    let split = client
        .split_shard()
        .stream_name("stream")
        .shard_to_split("shardId-000000000000");
    split
        .new_starting_hash_key(middle.to_string())
        .send()
        .await
        .unwrap();

    let after: Vec<_> = (50..100).map(record).collect();
    let packed = pack(&after);
    let went_low = packed.explicit_hash_key.unwrap() < middle;
    put(&client, packed).await;
    let again: Vec<_> = after
        .into_iter()
        .filter(|record| (record.hash_key() < middle) != went_low)
        .collect();
    assert!((1..50).contains(&again.len()), "both shards have some");
    put(&client, pack(&again)).await;

    let ranges = [(0, u128::MAX), (0, middle - 1), (middle, u128::MAX)];
    let shards: Vec<_> = (0..3).map(|n| format!("shardId-00000000000{n}")).collect();
    let leases = FixedOwnership::new(shards.iter().map(String::as_str));
    for (shard, (start, end)) in shards.iter().zip(ranges) {
        leases.set_range(shard.as_str(), HashKeyRange { start, end });
    }
    let notes = Notes::default();
    notes.run(&Polling::new(&config), &leases).await;
    let mut seen: Vec<u32> = notes
        .seen()
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    let told = notes.told(|event| matches!(event, Event::RecordsMisrouted { .. }));
    assert!(
        matches!(&told[..], [Event::RecordsMisrouted { records, .. }] if *records == again.len()),
        "{told:?}"
    );
}
