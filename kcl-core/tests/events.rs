//! What a worker tells of itself, over scripted sources and leases, in paused time.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the events it is about"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::event::{CallOutcome, Origin, Refusal};
use kcl_core::port::CommitError;
use kcl_core::*;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Fails at a payload `bad`, once for all processors of a test, and checkpoints at `commit`.
#[derive(Clone, Default)]
struct Actor(Arc<Mutex<bool>>);

#[async_trait]
impl RecordProcessor for Actor {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        sleep(SECOND).await;
        for record in &batch.records {
            match record.data.as_ref() {
                b"bad" if !std::mem::replace(&mut self.0.lock().unwrap(), true) => {
                    return Err("scripted".into());
                }
                b"commit" => checkpointer.checkpoint().await?,
                b"back" => {
                    let first = &batch.records[0];
                    checkpointer.checkpoint_at(first).await.unwrap_err();
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Notes every event as a line.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn on_event(&self, origin: &Origin, event: &Event) {
        assert_eq!(origin.worker.as_str(), "w1");
        self.0.lock().unwrap().push(line(event));
    }
}

fn line(event: &Event) -> String {
    match event {
        Event::WorkerStarted => "started".to_owned(),
        Event::WorkerDraining { shards } => format!("draining {shards}"),
        Event::WorkerEnded(report) => format!("ended after {}", report.records),
        Event::WorkerFailed { error } => format!("failed {:?}", error.kind),
        Event::CoordinationFailed { error } => format!("coordination failed {:?}", error.kind),
        Event::ShardStarted {
            shard,
            epoch,
            checkpoint,
        } => format!("{shard}/{epoch} from {checkpoint}"),
        Event::ShardStopped { shard, epoch, how } => format!("{shard}/{epoch} {how:?}"),
        Event::RecordsDelivered { records, bytes, .. } => format!("deliver {records} of {bytes} B"),
        Event::RecordsProcessed { records, bytes, .. } => format!("done {records} of {bytes} B"),
        Event::CallReturned {
            call,
            outcome,
            took,
            ..
        } => {
            let name = call.name();
            match outcome {
                CallOutcome::Ok => format!("{name} took {took:?}"),
                CallOutcome::Failed | CallOutcome::Cancelled => format!("{name} {outcome:?}"),
            }
        }
        Event::ProcessorFailed {
            error, restart_in, ..
        } => {
            let again = restart_in.is_some();
            format!("{error}, again: {again}")
        }
        Event::CheckpointMade {
            checkpoint, took, ..
        } => format!("checkpoint {checkpoint} took {took:?}"),
        Event::CheckpointRefused {
            checkpoint, why, ..
        } => {
            let at = checkpoint.as_ref().map(ToString::to_string);
            let why = match why {
                Refusal::Invalid(error) | Refusal::Unavailable(error) => error.message.clone(),
                other => format!("{other:?}"),
            };
            format!("refused {}: {why}", at.unwrap_or_default())
        }
        Event::LeaseReleased { shard, epoch } => format!("{shard}/{epoch} given back"),
        other => format!("{other:?}"),
    }
}

/// Runs a worker until nothing is left to read, or for so long, and answers what it told.
async fn told(
    source: ScriptedSource,
    leases: &FixedOwnership,
    stop_after: Duration,
) -> Vec<String> {
    let (notes, actor) = (Notes::default(), Actor::default());
    let worker = Worker::builder("app", "stream")
        .with_source(source)
        .with_ownership(leases.clone())
        .with_processor(move |_: &ShardContext| actor.clone())
        .with_worker_id("w1")
        .with_observer(notes.clone())
        .build()
        .unwrap();
    drop(worker.run(sleep(stop_after)).await);
    notes.0.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_shard_is_told_step_by_step() {
    let source = ScriptedSource::new().with_batch_max(2);
    source.put("s", ["one", "commit", "three"]);
    source.close("s", &[]);
    let leases = FixedOwnership::new(["s"]);
    let lines = told(source, &leases, 100 * SECOND).await;
    let expected = [
        "started",
        "s/1 from TRIM_HORIZON",
        "initialize took 0ns",
        "deliver 2 of 9 B",
        "checkpoint 2 took 0ns",
        "process_records took 1s",
        "done 2 of 9 B",
        "deliver 1 of 5 B",
        "process_records took 1s",
        "done 1 of 5 B",
        "shard_ended took 0ns",
        "checkpoint SHARD_END took 0ns",
        "s/1 Finished",
        "ended after 3",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_with_its_reason_and_processed_records_only_once() {
    let source = ScriptedSource::new();
    source.put("s", ["bad"]);
    let leases = FixedOwnership::new(["s"]);
    let lines = told(source, &leases, 10 * SECOND).await;
    let expected = [
        "started",
        "s/1 from TRIM_HORIZON",
        "initialize took 0ns",
        "deliver 1 of 3 B",
        "process_records Failed",
        "process_records of shard s failed: scripted, again: true",
        "initialize took 0ns",
        "deliver 1 of 3 B",
        "process_records took 1s",
        "done 1 of 3 B",
        "checkpoint 1 took 0ns",
        "draining 1",
        "shutdown_requested took 0ns",
        "s/1 given back",
        "s/1 Released",
        "ended after 2",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn refused_checkpoints_and_a_lost_shard_are_told() {
    let source = ScriptedSource::new().with_batch_max(1);
    source.put("s", ["commit", "back"]);
    let leases = FixedOwnership::new(["s"]);
    let away = Error::new(ErrorKind::Unavailable, "scripted");
    leases.refuse("s", CommitError::Unavailable(Arc::new(away)));
    let losing = leases.clone();
    let loser = tokio::spawn(async move {
        sleep(5 * SECOND).await;
        losing.lose("s");
    });
    let lines = told(source, &leases, 10 * SECOND).await;
    loser.await.unwrap();
    assert_eq!(lines[4], "refused 1: scripted", "{lines:?}");
    assert!(lines[5].starts_with("checkpoint 1 took"), "{lines:?}");
    let last = lines[lines.len() - 4..].to_vec();
    let expected = [
        "lease_lost took 0ns",
        "s/1 Lost",
        "draining 0",
        "ended after 2",
    ];
    assert_eq!(last, expected);
}

#[tokio::test(start_paused = true)]
async fn a_coordination_that_fails_is_told_and_ends_the_worker() {
    let source = ScriptedSource::new();
    source.put("s", ["one"]);
    let leases = FixedOwnership::new(["s"]);
    let failing = leases.clone();
    let failer = tokio::spawn(async move {
        sleep(5 * SECOND).await;
        failing.fail(Error::new(ErrorKind::NotFound, "the table is gone"));
    });
    let lines = told(source, &leases, 100 * SECOND).await;
    failer.await.unwrap();
    let at = |what: &str| lines.iter().position(|line| line == what).unwrap();
    assert!(at("coordination failed NotFound") < at("draining 1"));
    assert_eq!(lines.last().unwrap(), "failed NotFound");
}
