//! What the cases share: a function that does what a case says, a worker that runs it, and what came of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::kinesis::KinesisEvent;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::on_failure::OnFailureMessage;
use kcl_core::lambda::runtime_api::FunctionSettings;
use kcl_core::*;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";

/// What a function does with an invocation.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Nothing,
    Says(Value),
    Fails,
    Panics,
    Hangs,
    /// Takes so long.
    Takes(Duration),
}

/// What an invocation brought: which it is, counted from 1, and its records' payloads.
pub(crate) struct Call<'a> {
    pub(crate) number: usize,
    pub(crate) event: &'a KinesisEvent,
    pub(crate) texts: Vec<String>,
}

impl Call<'_> {
    pub(crate) fn has(&self, text: &str) -> bool {
        self.texts.iter().any(|found| found == text)
    }

    /// The sequence numbers of the records with this payload, as a report of failures.
    pub(crate) fn report(&self, text: &str) -> Answer {
        let at = self.texts.iter().enumerate();
        let items: Vec<_> = at
            .filter(|(_, found)| *found == text)
            .map(
                |(at, _)| json!({"itemIdentifier": self.event.records[at].kinesis.sequence_number}),
            )
            .collect();
        Answer::Says(json!({"batchItemFailures": items}))
    }
}

/// A function of what it is handed.
pub(crate) type Does = fn(&Call<'_>) -> Answer;

/// Fails while this record is among those it gets.
pub(crate) fn fails_on_bad(call: &Call<'_>) -> Answer {
    if call.has("bad") {
        Answer::Fails
    } else {
        Answer::Nothing
    }
}

pub(crate) fn reports_bad(call: &Call<'_>) -> Answer {
    call.report("bad")
}

pub(crate) fn does_nothing(_: &Call<'_>) -> Answer {
    Answer::Nothing
}

/// What came of a run.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Run>>);

#[derive(Clone, Default, Debug)]
pub(crate) struct Run {
    /// The payloads of each invocation, as it began.
    pub(crate) calls: Vec<Vec<String>>,
    /// When, since the start.
    pub(crate) times: Vec<Duration>,
    pub(crate) documents: Vec<Value>,
    pub(crate) keys: Vec<String>,
    pub(crate) events: Vec<KinesisEvent>,
    pub(crate) running: usize,
    pub(crate) running_max: usize,
    pub(crate) checkpoint: String,
    pub(crate) finished: u64,
}

pub(crate) fn source_of(records: &[&str]) -> ScriptedSource {
    let source = ScriptedSource::new();
    let key = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    source.put_keyed("s", records.iter().map(|text| (key(text), text)));
    source.close("s", &[]);
    source
}

pub(crate) fn mapping(settings: MappingSettings) -> Mapping {
    let function = FunctionSettings::in_process("orders");
    Mapping::new(EventSource::new(ARN).unwrap(), function).with_settings(settings)
}

impl Seen {
    fn with<T>(&self, change: impl FnOnce(&mut Run) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(crate) fn note(&self, event: KinesisEvent) {
        self.with(|run| run.events.push(event));
    }

    pub(crate) fn now(&self) -> Run {
        self.with(|run| run.clone())
    }

    /// A worker with this function.
    pub(crate) fn worker(
        &self,
        source: &ScriptedSource,
        leases: &FixedOwnership,
        mapping: Mapping,
        does: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static,
    ) -> WorkerBuilder {
        let (seen, start, does) = (self.clone(), Instant::now(), Arc::new(does));
        let function = service_fn(move |event: LambdaEvent<KinesisEvent>| {
            let (seen, does) = (seen.clone(), does.clone());
            async move { seen.invoked(event, start, does.as_ref()).await }
        });
        let mapping = self.documenting(mapping);
        Worker::builder("app", "orders")
            .with_source(source.clone())
            .with_ownership(leases.clone())
            .with_worker_id("w1")
            .with_env(Env::simulated(|| SystemTime::UNIX_EPOCH, 7))
            .with_lambda(mapping, function)
    }

    /// With a destination that keeps the documents here.
    pub(crate) fn documenting(&self, mapping: Mapping) -> Mapping {
        let documents = self.clone();
        mapping.with_on_failure(move |message: OnFailureMessage| {
            let document = serde_json::from_slice(&message.document).unwrap();
            documents.with(|run| {
                run.documents.push(document);
                run.keys.push(message.object_key);
            });
            std::future::ready(Ok(()))
        })
    }

    async fn invoked(
        &self,
        event: LambdaEvent<KinesisEvent>,
        start: Instant,
        does: &(impl Fn(&Call<'_>) -> Answer + Send + Sync),
    ) -> Result<Value, lambda_runtime::Error> {
        struct End(Seen);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.with(|run| run.running -= 1);
            }
        }
        let event = event.payload;
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        let records = event.records.iter();
        let texts: Vec<_> = records.map(|record| text(&record.kinesis.data)).collect();
        let number = self.with(|run| {
            run.calls.push(texts.clone());
            run.times.push(start.elapsed());
            run.events.push(event.clone());
            run.running += 1;
            run.running_max = run.running_max.max(run.running);
            run.calls.len()
        });
        let _end = End(self.clone());
        let call = Call {
            number,
            event: &event,
            texts,
        };
        match does(&call) {
            Answer::Nothing => Ok(Value::Null),
            Answer::Says(value) => Ok(value),
            Answer::Fails => Err("as told".into()),
            // As a panic does, but for what it would print.
            Answer::Panics => std::panic::resume_unwind(Box::new("as told")),
            Answer::Hangs => std::future::pending().await,
            Answer::Takes(time) => {
                tokio::time::sleep(time).await;
                Ok(Value::Null)
            }
        }
    }
}

/// Runs until all shards are finished.
pub(crate) async fn finish(worker: WorkerBuilder) -> Report {
    let worker = worker.build().unwrap();
    worker.run(std::future::pending()).await.unwrap()
}

/// Runs until the shard with these records is finished, or a day has gone by.
pub(crate) async fn run(records: &[&str], mapping: Mapping, does: Does) -> Run {
    let (seen, leases) = (Seen::default(), FixedOwnership::new(["s"]));
    let worker = seen.worker(&source_of(records), &leases, mapping, does);
    let worker = worker.build().unwrap().run(std::future::pending());
    let report = tokio::time::timeout(24 * 3600 * SECOND, worker).await;
    let mut run = seen.now();
    run.finished = report.map_or(0, |report| report.unwrap().finished);
    run.checkpoint = leases.checkpoint("s").unwrap().to_string();
    run
}
