//! Checkpoints in two phases, and within aggregated records, in whole workers.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::*;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Notes what it sees, and does what the payloads say.
#[derive(Clone, Default)]
struct Actor(Arc<Mutex<Vec<String>>>);

impl Actor {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl RecordProcessor for Actor {
    async fn initialize(&mut self, shard: &ShardContext) -> ProcessorResult {
        let pending = shard.pending_checkpoint();
        let pending = pending.map_or("nothing".to_owned(), |pending| {
            let state = pending.state.as_deref().unwrap_or_default();
            let state = String::from_utf8_lossy(state);
            format!("{} with {state:?}", pending.checkpoint)
        });
        self.note(format!("at {}, pending {pending}", shard.checkpoint()));
        Ok(())
    }

    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            self.note(text.clone());
            match text.as_str() {
                "commit" => checkpointer.checkpoint_at(record).await?,
                "prepare" => {
                    let state = Some("mine".into());
                    let prepared = checkpointer.prepare_checkpoint_at(record, state).await?;
                    assert_eq!(*prepared.pending(), record.checkpoint());
                }
                "both" => {
                    let prepared = checkpointer.prepare_checkpoint(None).await?;
                    prepared.checkpoint().await?;
                    prepared.checkpoint().await?;
                }
                "huge" => {
                    let state = vec![0; PendingCheckpoint::STATE_BYTES_MAX + 1];
                    let refused = checkpointer.prepare_checkpoint(Some(state.into())).await;
                    self.note(format!("{:?}", refused.unwrap_err().kind()));
                }
                "late" => {
                    let prepared = checkpointer.prepare_checkpoint_at(record, None).await?;
                    checkpointer.checkpoint().await?;
                    let refused = prepared.checkpoint().await;
                    self.note(format!("{:?}", refused.unwrap_err().kind()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Runs a worker for two seconds that commits by hand.
async fn run(actor: &Actor, source: &ScriptedSource, leases: &FixedOwnership) -> Vec<String> {
    let made = actor.clone();
    let commit = CommitSettings {
        policy: CheckpointPolicy::Manual,
    };
    let worker = Worker::builder("app", "stream")
        .with_source(source.clone())
        .with_ownership(leases.clone())
        .with_processor(move |_: &ShardContext| made.clone())
        .with_settings(Settings {
            commit,
            ..Settings::default()
        })
        .build()
        .unwrap();
    worker.run(sleep(2 * SECOND)).await.unwrap();
    actor.notes()
}

#[tokio::test(start_paused = true)]
async fn a_successor_is_told_what_was_prepared_and_not_made() {
    let (actor, source) = (Actor::default(), ScriptedSource::new());
    source.put("s", ["commit", "a", "prepare", "b"]);
    let leases = FixedOwnership::new(["s"]);
    run(&actor, &source, &leases).await;
    assert_eq!(leases.checkpoint("s").unwrap().to_string(), "1");
    let next = run(&actor, &source, &leases).await;
    let expected = ["at 1, pending 3 with \"mine\"", "a", "prepare", "b"];
    assert_eq!(next, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_prepared_is_made_once_and_then_no_longer_pending() {
    let (actor, source) = (Actor::default(), ScriptedSource::new());
    source.put("s", ["a", "both", "huge"]);
    let leases = FixedOwnership::new(["s"]);
    let first = run(&actor, &source, &leases).await;
    assert_eq!(first.last().unwrap(), "Invalid");
    assert_eq!(leases.checkpoint("s").unwrap().to_string(), "3");
    assert_eq!(leases.pending("s"), None);
    assert_eq!(leases.written().len(), 3, "the second commit costs nothing");
    assert_eq!(
        run(&actor, &source, &leases).await,
        ["at 3, pending nothing"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_later_checkpoint_covers_cannot_be_made_any_more() {
    let (actor, source) = (Actor::default(), ScriptedSource::new());
    source.put("s", ["late", "a"]);
    let leases = FixedOwnership::new(["s"]);
    let notes = run(&actor, &source, &leases).await;
    assert_eq!(notes[2], "Invalid", "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_within_an_aggregated_record_repeats_only_what_lies_behind_it() {
    let (actor, source) = (Actor::default(), ScriptedSource::new());
    source.put_aggregated("s", ["a", "commit", "b", "c"]);
    source.put("s", ["d"]);
    let leases = FixedOwnership::new(["s"]);
    let first = run(&actor, &source, &leases).await;
    assert_eq!(first[1..], ["a", "commit", "b", "c", "d"]);
    assert_eq!(leases.checkpoint("s").unwrap().to_string(), "1/1");
    let next = run(&actor, &source, &leases).await;
    assert_eq!(next, ["at 1/1, pending nothing", "b", "c", "d"]);
}
