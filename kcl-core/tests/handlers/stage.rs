//! What the tests share: a handler whose records say what it does, and a worker that runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::*;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What a handler has seen. Its records say what to do: `fail`, `panic`, `hang`, `slow` (one second), `once` (fails the
/// first time), `key:anything`, or nothing special.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// Payloads of records, as they were begun, with when.
    begun: Vec<(String, Instant)>,
    done: Vec<String>,
    running: BTreeMap<usize, usize>,
    running_max: usize,
    failed_once: BTreeSet<String>,
    diverted: Vec<FailedBatch>,
    diverts_fail: u32,
    events: Vec<String>,
    attempts: Vec<u32>,
}

impl Stage {
    pub(crate) fn begun(&self) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        seen.begun.iter().map(|(text, _)| text.clone()).collect()
    }

    pub(crate) fn begun_at(&self, text: &str) -> Vec<Instant> {
        let seen = self.0.lock().unwrap();
        let of_it = seen.begun.iter().filter(|(begun, _)| begun == text);
        of_it.map(|(_, at)| *at).collect()
    }

    pub(crate) fn done(&self) -> Vec<String> {
        self.0.lock().unwrap().done.clone()
    }

    pub(crate) fn attempts(&self) -> Vec<u32> {
        self.0.lock().unwrap().attempts.clone()
    }

    /// The most records that were in hand at once.
    pub(crate) fn running_max(&self) -> usize {
        self.0.lock().unwrap().running_max
    }

    pub(crate) fn diverted(&self) -> Vec<FailedBatch> {
        self.0.lock().unwrap().diverted.clone()
    }

    /// The payloads that reached the destination.
    pub(crate) fn diverted_texts(&self) -> Vec<String> {
        let diverted = self.diverted();
        let records = diverted.iter().flat_map(|failed| failed.records.iter());
        records.map(text).collect()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().events.clone()
    }

    /// The next sends of the destination fail.
    pub(crate) fn fail_diverts(&self, count: u32) {
        self.0.lock().unwrap().diverts_fail = count;
    }

    async fn act(&self, record: &Record, lane: usize) -> ProcessorResult {
        let text = text(record);
        {
            let mut seen = self.0.lock().unwrap();
            seen.begun.push((text.clone(), Instant::now()));
            *seen.running.entry(lane).or_default() += 1;
            seen.running_max = seen.running_max.max(seen.running.values().sum());
        }
        // A call that is cut off is not in hand any more either.
        let _end = End(self.clone(), lane);
        match text.split(':').next_back().unwrap() {
            "fail" => return Err("scripted".into()),
            "panic" => panic!("scripted"),
            "hang" => std::future::pending().await,
            "slow" => sleep(SECOND).await,
            "once" if self.0.lock().unwrap().failed_once.insert(text.clone()) => {
                return Err("scripted".into());
            }
            _ => sleep(Duration::from_millis(1)).await,
        }
        self.0.lock().unwrap().done.push(text);
        Ok(())
    }

    /// A handler of single records.
    pub(crate) fn by_record(&self, builder: WorkerBuilder) -> WorkerBuilder {
        let stage = self.clone();
        builder.with_record_handler(move |record: Record, context: HandlerContext| {
            let stage = stage.clone();
            async move { stage.act(&record, context.lane()).await }
        })
    }

    /// A handler of batches that stops at the first failure and fails as a whole.
    pub(crate) fn by_batch(&self, builder: WorkerBuilder) -> WorkerBuilder {
        let stage = self.clone();
        builder.with_batch_handler(move |batch: HandlerBatch| {
            let stage = stage.clone();
            async move {
                stage
                    .0
                    .lock()
                    .unwrap()
                    .attempts
                    .push(batch.context().attempt());
                for record in batch.records() {
                    stage.act(record, batch.context().lane()).await?;
                }
                Ok(())
            }
        })
    }

    /// A destination that keeps what it gets.
    pub(crate) fn diverting(&self, builder: WorkerBuilder) -> WorkerBuilder {
        let stage = self.clone();
        builder.with_failure_destination(move |failed: FailedBatch| {
            let stage = stage.clone();
            async move {
                let mut seen = stage.0.lock().unwrap();
                if seen.diverts_fail > 0 {
                    seen.diverts_fail -= 1;
                    return Err("the destination is away".into());
                }
                seen.diverted.push(failed);
                Ok(())
            }
        })
    }

    fn observe(&self, event: &Event) {
        let name = format!("{event:?}");
        let name = name.split([' ', '(']).next().unwrap_or_default();
        self.0.lock().unwrap().events.push(name.to_owned());
    }
}

struct End(Stage, usize);

impl Drop for End {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap().running.get_mut(&self.1).unwrap() -= 1;
    }
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8_lossy(&record.data).into_owned()
}

pub(crate) fn builder(
    stage: &Stage,
    source: &ScriptedSource,
    leases: &FixedOwnership,
    handler: HandlerSettings,
    failure: FailureSettings,
) -> WorkerBuilder {
    let stage = stage.clone();
    Worker::builder("app", "stream")
        .with_source(source.clone())
        .with_ownership(leases.clone())
        .with_worker_id("w1")
        .with_observer(move |event: &Event| stage.observe(event))
        .with_env(Env::simulated(|| SystemTime::UNIX_EPOCH, 7))
        .with_settings(Settings {
            handler,
            failure,
            ..Settings::default()
        })
}

pub(crate) fn lanes(lanes: usize) -> HandlerSettings {
    HandlerSettings {
        lanes,
        ..HandlerSettings::default()
    }
}

pub(crate) fn divert_after(attempts: u32) -> FailureSettings {
    FailureSettings {
        policy: FailurePolicy::Divert,
        attempts_max: Some(attempts),
        ..FailureSettings::default()
    }
}

/// A shard of these records, each the key of itself but for what follows a colon.
pub(crate) fn shard(texts: &[&str]) -> (Stage, ScriptedSource, FixedOwnership) {
    let source = ScriptedSource::new();
    let key = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    source.put_keyed("s", texts.iter().map(|text| (key(text), text)));
    (Stage::default(), source, FixedOwnership::new(["s"]))
}

pub(crate) fn durable(leases: &FixedOwnership) -> String {
    leases.checkpoint("s").expect("a lease").to_string()
}

/// A worker that runs, and the way to stop it.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<Result<Report, Error>>,
}

pub(crate) fn start(builder: WorkerBuilder) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = builder.build().unwrap();
    Running {
        stop,
        task: tokio::spawn(worker.run(async move { drop(stopped.await) })),
    }
}

impl Running {
    pub(crate) async fn stop(self) -> Result<Report, Error> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }
}

/// Runs until the shard is finished.
pub(crate) async fn run_to_the_end(builder: WorkerBuilder) -> Report {
    let worker = builder.build().unwrap();
    let report = tokio::time::timeout(3600 * SECOND, worker.run(std::future::pending())).await;
    report.expect("the shard comes to its end").unwrap()
}
