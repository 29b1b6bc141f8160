//! What a shard's task tells of itself: calls that came back, writes, answers to user code.

use tokio::time::Instant;

use super::ShardTask;
use super::pen::Writing;
use crate::decide::shard::{Told, Write};
use crate::error::{Error, ErrorKind};
use crate::event::{self, CallOutcome, Failure, Refusal};
use crate::model::{Batch, Checkpoint};
use crate::port::{Ask, CheckpointRequest, CommitError};

/// The call that runs, for whoever watches.
pub(super) struct InHand {
    pub(super) call: event::Callback,
    pub(super) since: Instant,
    /// What it was handed; not counted while nobody watches.
    pub(super) records: usize,
    pub(super) bytes: usize,
}

pub(super) fn payload_bytes(batch: &Batch) -> usize {
    batch.records.iter().map(|record| record.data.len()).sum()
}

impl ShardTask {
    /// The call in hand is over.
    pub(super) fn returned(&mut self, outcome: CallOutcome) {
        let Some(in_hand) = self.in_hand.take() else {
            return;
        };
        let InHand {
            call,
            since,
            records,
            bytes,
        } = in_hand;
        let (shard, epoch, events) = (&self.context.shard, self.context.epoch, &self.shared.events);
        events.emit_with(|| event::Event::CallReturned {
            shard: shard.clone(),
            epoch,
            call,
            outcome,
            took: since.elapsed(),
            age: None,
        });
        if (call, outcome) == (event::Callback::ProcessRecords, CallOutcome::Ok) {
            events.emit_with(|| event::Event::RecordsProcessed {
                shard: shard.clone(),
                epoch,
                records,
                bytes,
            });
        }
    }

    /// A write came back.
    pub(super) fn written(&self, writing: Writing, result: &Result<(), CommitError>) {
        let (shard, epoch) = (self.context.shard.clone(), self.context.epoch);
        let took = writing.since.elapsed();
        let (checkpoint, is_made) = match writing.write {
            Write::Commit(checkpoint) => (checkpoint, true),
            Write::Finish(_) => (Checkpoint::ShardEnd, true),
            Write::Prepare(pending) => (pending.checkpoint, false),
            Write::Release => {
                let event = match result {
                    Ok(()) => event::Event::LeaseReleased { shard, epoch },
                    Err(error) => event::Event::ReleaseRefused {
                        shard,
                        epoch,
                        why: Refusal::from(error),
                    },
                };
                return self.shared.events.emit(&event);
            }
        };
        let event = match result {
            Ok(()) if is_made => event::Event::CheckpointMade {
                shard,
                epoch,
                checkpoint,
                took,
            },
            Ok(()) => event::Event::CheckpointPrepared {
                shard,
                epoch,
                checkpoint,
                took,
            },
            Err(error) => event::Event::CheckpointRefused {
                shard,
                epoch,
                checkpoint: Some(checkpoint),
                why: Refusal::from(error),
            },
        };
        self.shared.events.emit(&event);
    }

    pub(super) fn answer(
        &self,
        request: CheckpointRequest,
        answer: Result<Option<Checkpoint>, Error>,
    ) {
        let CheckpointRequest { ask, answer: to } = request;
        if let Err(error) = &answer
            && error.kind() == ErrorKind::Invalid
        {
            let (Ask::Commit(checkpoint)
            | Ask::Prepare {
                upto: checkpoint, ..
            }) = ask;
            self.shared.events.emit(&event::Event::CheckpointRefused {
                shard: self.context.shard.clone(),
                epoch: self.context.epoch,
                checkpoint,
                why: Refusal::Invalid(Failure::from(error)),
            });
        }
        if to.send(answer).is_err() {
            tracing::debug!("nobody waits for the answer to a checkpoint any more");
        }
    }

    pub(super) fn tell(&self, told: Told) {
        let (shard, epoch) = (self.context.shard.clone(), self.context.epoch);
        self.shared.events.emit(&match told {
            Told::Lane(note) => return self.tell_note(note),
            Told::Failed { error, restart_in } => event::Event::ProcessorFailed {
                shard,
                epoch,
                error,
                restart_in,
            },
            Told::Trimmed(trimmed) => event::Event::RecordsTrimmed(trimmed),
        });
    }
}
