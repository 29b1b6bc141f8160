//! What a recorder of the facade gets from a worker over scripted sources and leases, exactly.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

#[path = "metrics/book.rs"]
mod book;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::event::{
    Failure, HandOverReason, Origin, Plan, ReadCall, ReadFailure, Retrieval, TakeReason,
};
use kcl_core::*;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use tokio::time::sleep;

use book::Book;

const SECOND: Duration = Duration::from_secs(1);

/// Takes a quarter of a second, and fails at its second batch, once for all processors of a test.
#[derive(Clone, Default)]
struct Actor(Arc<Mutex<u32>>);

#[async_trait]
impl RecordProcessor for Actor {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        _: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        sleep(SECOND / 4).await;
        let calls = {
            let mut calls = self.0.lock().unwrap();
            *calls += 1;
            *calls
        };
        if calls == 2 {
            return Err("scripted".into());
        }
        Ok(())
    }
}

/// Runs a worker that reads two batches of `s`, the second of them twice, loses `t`, and stops.
fn recorded() -> Book {
    let book = Book::default();
    let source = ScriptedSource::new().with_batch_max(3);
    source.put("s", ["12345", "67890", "abcde", "fghij"]);
    let leases = FixedOwnership::new(["s", "t"]);
    let actor = Actor::default();
    let worker = Worker::builder("app", "stream")
        .with_source(source)
        .with_ownership(leases.clone())
        .with_processor(move |_: &ShardContext| actor.clone())
        .with_worker_id("w1")
        .with_observer(MetricsObserver::default())
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let stop = async move {
        sleep(20 * SECOND).await;
        leases.lose("t");
        sleep(SECOND).await;
    };
    with_local_recorder(&book, || runtime.block_on(worker.run(stop))).unwrap();
    book
}

#[test]
fn records_and_calls_are_counted_exactly() {
    let book = recorded();
    assert_eq!(book.values("RecordsProcessed ProcessTask s"), [3.0, 1.0]);
    assert_eq!(book.values("DataBytesProcessed ProcessTask s"), [15.0, 5.0]);
    assert_eq!(book.values("Success ProcessTask s"), [1.0, 0.0, 1.0]);
    let time = book.values("RecordProcessor.processRecords.Time ProcessTask s");
    assert_eq!(time, [250.0; 3]);
    assert_eq!(book.sum("ProcessorFailures ProcessTask s"), 1.0);
    let starts = book.values("RecordProcessor.initialize.Time InitializeTask s");
    assert_eq!(starts, [0.0, 0.0]);
    let ends = book.values("RecordProcessor.shutdown.Time ShutdownTask t");
    assert_eq!(ends, [0.0]);
    // Three records of a batch, one behind it; then nothing is behind.
    let lag = book.values("MillisBehindLatest ProcessTask s");
    assert_eq!(lag, [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn leases_and_checkpoints_are_counted_exactly() {
    let book = recorded();
    let current = book.values("CurrentLeases RenewAllLeases w1");
    assert_eq!(current, [1.0, 1.0, -1.0, -1.0]);
    assert_eq!(book.sum("LostLeases RenewAllLeases w1"), 1.0);
    assert_eq!(book.values("UpdateLease.Success ProcessTask s"), [1.0]);
    assert_eq!(book.values("UpdateLease.Time ProcessTask s"), [0.0]);
}

#[test]
fn every_metric_has_a_unit() {
    let book = recorded();
    let units = book.units();
    for key in book.keys() {
        let name = key.split(' ').next().unwrap();
        assert!(units.contains_key(name), "{name} is not described");
    }
    assert_eq!(units["DataBytesProcessed"], Unit::Bytes);
    assert_eq!(units["MillisBehindLatest"], Unit::Milliseconds);
    assert_eq!(units.len(), 65);
}

#[test]
fn what_a_handler_does_is_counted_exactly() {
    let (book, source) = (Book::default(), ScriptedSource::new());
    source.put("s", ["one", "bad", "drop", "three"]);
    source.close("s", &[]);
    let mut settings = Settings::default();
    settings.failure.policy = FailurePolicy::Divert;
    settings.failure.attempts_max = Some(2);
    let worker = Worker::builder("app", "stream")
        .with_source(source)
        .with_ownership(FixedOwnership::new(["s"]))
        .with_worker_id("w1")
        .with_settings(settings)
        .with_filter(|record: &Record| record.data != "drop")
        .with_record_handler(|record: Record, _: HandlerContext| async move {
            match record.data.as_ref() {
                b"bad" => Err("scripted".into()),
                _ => Ok(()),
            }
        })
        .with_failure_destination(|_: FailedBatch| async { Ok(()) })
        .with_observer(MetricsObserver::default())
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    with_local_recorder(&book, || {
        runtime
            .block_on(worker.run(std::future::pending()))
            .unwrap();
    });
    let sum = |name: &str| book.sum(&format!("{name} ProcessTask s"));
    assert_eq!(
        (sum("RecordsProcessed"), sum("RecordsFiltered")),
        (2.0, 1.0)
    );
    assert_eq!((sum("BatchFailures"), sum("RecordsFailed")), (2.0, 2.0));
    assert_eq!((sum("RecordsGivenUp"), sum("RecordsDiverted")), (1.0, 1.0));
    assert_eq!(sum("DestinationFailures"), 0.0);
    // The call up to the record that fails, its second attempt, the rest.
    assert_eq!(book.values("Success ProcessTask s"), [0.0, 0.0, 1.0]);
    assert_eq!(
        book.values("FailureDestination.send.Time ProcessTask s")
            .len(),
        1
    );
    for gauge in ["BusyLanes", "UnsettledRecords", "UnsettledBytes"] {
        let values = book.values(&format!("{gauge} ProcessTask s"));
        assert!(
            values.iter().any(|value| *value > 0.0),
            "{gauge}: {values:?}"
        );
        assert_eq!(values.last(), Some(&0.0), "{gauge}");
    }
}

#[test]
fn what_the_leases_tell_is_counted_exactly() {
    let (book, observer) = (Book::default(), MetricsObserver::default());
    let origin = Origin {
        application: ApplicationName::new("app").unwrap(),
        stream: Some(StreamName::new("stream").unwrap()),
        worker: WorkerId::new("w1").unwrap(),
    };
    let (shard, took) = (ShardId::new("s"), SECOND / 100);
    let mut plan = Plan::default();
    (plan.leases, plan.free, plan.workers) = (7, 3, 2);
    (plan.held, plan.target, plan.taking) = (1, 4, 2);
    (plan.load, plan.fair_load, plan.unserved) = (Some(5000), Some(4000), 5);
    let error = Failure::from(&Error::new(ErrorKind::Unavailable, "scripted"));
    let events = [
        Event::Planned(plan),
        Event::LeaseTaken {
            shard: shard.clone(),
            epoch: Epoch::new(1),
            why: TakeReason::Free,
            took,
        },
        Event::LeaseNotTaken {
            shard,
            error: None,
            took,
        },
        Event::LifeRenewed {
            took,
            left: SECOND,
            late: true,
        },
        Event::RenewalFailed { took, error },
        Event::HandOverPlanned {
            shard: ShardId::new("s"),
            why: HandOverReason::Count,
        },
        Event::ReaderSilent {
            shard: ShardId::new("s"),
            silent: SECOND,
        },
    ];
    with_local_recorder(&book, || {
        for event in &events {
            observer.on_event(&origin, event);
        }
    });
    let gauges = [
        ("TotalLeases", 7.0),
        ("ExpiredLeases", 3.0),
        ("NumWorkers", 2.0),
        ("NeededLeases", 3.0),
        ("LeasesToTake", 2.0),
        ("LeaseSpillover", 0.0),
        ("Load", 5000.0),
        ("FairLoad", 4000.0),
        ("UnservedLeases", 5.0),
        ("TakenLeases", 1.0),
        ("UntakenLeases", 1.0),
    ];
    for (name, value) in gauges {
        assert_eq!(book.values(&format!("{name} TakeLeases w1")), [value]);
    }
    assert_eq!(book.values("LeasesHandedOver TakeLeases w1 Count"), [1.0]);
    assert_eq!(book.values("SilentReaders ProcessTask s"), [1.0]);
    assert_eq!(book.values("TakeLease.Success TakeLeases w1"), [1.0, 1.0]);
    assert_eq!(book.values("TakeLease.Time TakeLeases w1"), [10.0, 10.0]);
    assert_eq!(
        book.values("RenewLease.Success RenewAllLeases w1"),
        [1.0, 0.0]
    );
    assert_eq!(book.values("LateRenewals RenewAllLeases w1"), [1.0]);
}

#[test]
fn what_fan_out_tells_is_counted_exactly() {
    let (book, observer) = (Book::default(), MetricsObserver::default());
    let origin = Origin {
        application: ApplicationName::new("app").unwrap(),
        stream: Some(StreamName::new("stream").unwrap()),
        worker: WorkerId::new("w1").unwrap(),
    };
    let (shard, took) = (ShardId::new("s"), SECOND / 100);
    let error = Failure::from(&Error::new(ErrorKind::Unavailable, "scripted"));
    let failed = |call, why| Event::ReadFailed {
        shard: shard.clone(),
        call,
        why,
        error: error.clone(),
        failures: 1,
        took,
    };
    let changed = |to| Event::RetrievalChanged {
        shard: shard.clone(),
        to,
        error: None,
    };
    let events = [
        Event::Subscribed {
            shard: shard.clone(),
            took,
        },
        Event::EventRead {
            shard: shard.clone(),
            records: 3,
            bytes: 30,
            lag: None,
        },
        failed(ReadCall::SubscribeToShard, ReadFailure::Silent),
        failed(ReadCall::SubscribeToShard, ReadFailure::InUse),
        failed(ReadCall::FindConsumer, ReadFailure::Unavailable),
        changed(Retrieval::Polling),
        changed(Retrieval::FanOut),
    ];
    with_local_recorder(&book, || {
        for event in &events {
            observer.on_event(&origin, event);
        }
    });
    let values = |name: &str| book.values(&format!("{name} ProcessTask s"));
    assert_eq!(values("SubscribeToShard.Success"), [1.0, 0.0, 0.0]);
    assert_eq!(values("SubscribeToShard.Time"), [10.0; 3]);
    assert_eq!(values("SubscribeToShardEvent.Records"), [3.0]);
    assert_eq!(values("SilentSubscriptions"), [1.0]);
    assert_eq!(values("FallenBack"), [1.0, 0.0]);
}

#[test]
fn of_several_streams_each_shard_is_counted_under_its_own() {
    let labels: Arc<Mutex<Vec<String>>> = Arc::default();
    let (recorder, observer) = (Labels(labels.clone()), MetricsObserver::default());
    let origin = Origin {
        application: ApplicationName::new("app").unwrap(),
        stream: None,
        worker: WorkerId::new("w1").unwrap(),
    };
    let orders = StreamName::new("orders").unwrap();
    let (shard, took) = (ShardId::of(orders.clone(), "s"), SECOND / 100);
    let error = Failure::from(&Error::new(ErrorKind::NotFound, "scripted"));
    let events = [
        Event::IteratorMade {
            shard: shard.clone(),
            took,
        },
        Event::ShardUnreadable {
            shard,
            epoch: Epoch::new(1),
            error: error.clone(),
            retry_in: SECOND,
        },
        Event::StreamFailed {
            stream: orders,
            error,
        },
    ];
    with_local_recorder(&recorder, || {
        for event in &events {
            observer.on_event(&origin, event);
        }
    });
    let of_shard = "Operation=ProcessTask StreamId=orders ShardId=s";
    let name = "KinesisDataFetcher.getShardIterator";
    let expected = [
        format!("{name}.Time {of_shard}"),
        format!("{name}.Success {of_shard}"),
        format!("ShardsUnreadable {of_shard}"),
        "StreamsFailed Operation=TakeLeases WorkerIdentifier=w1 StreamId=orders".to_owned(),
    ];
    assert_eq!(*labels.lock().unwrap(), expected);
}

/// Keeps the name and the labels of everything that is recorded.
struct Labels(Arc<Mutex<Vec<String>>>);

impl Labels {
    fn note(&self, key: &Key) {
        let labels = key.labels();
        let labels: Vec<_> = labels
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let note = format!("{} {}", key.name(), labels.join(" "));
        self.0.lock().unwrap().push(note);
    }
}

impl Recorder for Labels {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}
