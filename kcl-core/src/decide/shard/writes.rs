//! What is written on behalf of the grant, when, and who is answered.

use std::mem;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Action, Actions, End, Leaving, Pen, Reason, ShardMachine, State, Write};
use crate::decide::progress::{AskId, AskRefused};
use crate::error::{Error, ErrorKind};
use crate::model::{Checkpoint, PendingCheckpoint};
use crate::port::{Ask, CommitError};

impl ShardMachine {
    pub(super) fn on_asked(&mut self, id: AskId, ask: Ask, now: Instant, out: &mut Actions) {
        let is_ending = match &self.state {
            State::Ending => true,
            State::Waiting(_)
            | State::Starting
            | State::Reading
            | State::Delivering
            | State::Draining => false,
            State::Pausing { .. }
            | State::Finishing
            | State::Cancelling
            | State::Closing
            | State::Losing { .. }
            | State::Joining { .. }
            | State::Parting { .. }
            | State::Closed => {
                out.push(Action::Answer(id, Err(Error::fenced(&self.shard))));
                return;
            }
        };
        let at = |upto: Option<Checkpoint>| upto.or(is_ending.then_some(Checkpoint::ShardEnd));
        match ask {
            Ask::Commit(upto) => match self.progress.ask(id, at(upto), now) {
                Ok(true) => out.push(Action::Answer(id, Ok(()))),
                Ok(false) => {}
                Err(refused) => out.push(Action::Answer(id, Err(self.refusal(&refused)))),
            },
            Ask::Prepare { upto, state } => {
                let delivered = || self.progress.delivered().clone();
                let checkpoint = at(upto).unwrap_or_else(delivered);
                match self.progress.check(&checkpoint) {
                    Ok(()) => {
                        let pending = PendingCheckpoint { checkpoint, state };
                        self.prepares.push_back((id, pending));
                    }
                    Err(refused) => out.push(Action::Answer(id, Err(self.refusal(&refused)))),
                }
            }
        }
    }

    /// The next checkpoint to announce. Answers those that need no write.
    fn next_prepare(&mut self, out: &mut Actions) -> Option<PendingCheckpoint> {
        while let Some((id, pending)) = self.prepares.front() {
            let (id, durable) = (*id, self.progress.durable());
            if pending.checkpoint > *durable {
                return Some(pending.clone());
            }
            // A commit was quicker. What it covers need not be announced.
            out.push(if pending.checkpoint == *durable {
                Action::Prepared(id, durable.clone())
            } else {
                let durable = durable.clone();
                Action::Answer(id, Err(self.refusal(&AskRefused::GoesBack { durable })))
            });
            self.prepares.pop_front();
        }
        None
    }

    /// A checkpoint is announced.
    fn prepared(&mut self, pending: PendingCheckpoint, now: Instant, out: &mut Actions) {
        self.retries.reset(now);
        // Nobody waits for it if its processor is gone.
        if let Some((id, _)) = self.prepares.pop_front_if(|(_, asked)| *asked == pending) {
            out.push(Action::Prepared(id, pending.checkpoint.clone()));
        }
        self.progress.prepared(pending);
    }

    pub(super) fn on_written(
        &mut self,
        result: Result<(), CommitError>,
        now: Instant,
        out: &mut Actions,
    ) {
        let (write, lost) = match mem::replace(&mut self.pen, Pen::Idle) {
            Pen::Writing { write, lost } => (write, lost),
            pen @ (Pen::Idle | Pen::Resting { .. }) => {
                debug_assert!(self.is_lost(), "a write came back that nobody made");
                self.pen = pen;
                return;
            }
        };
        if self.is_lost() {
            return;
        }
        match (result, write) {
            (Ok(()), Write::Commit(checkpoint)) => self.durable_at(checkpoint, now, out),
            (Ok(()), Write::Prepare(pending)) => self.prepared(pending, now, out),
            (Ok(()), Write::Finish(_)) => self.durable_at(Checkpoint::ShardEnd, now, out),
            (Ok(()), Write::Release) => self.released(out),
            (Err(CommitError::Fenced { .. }), _) => self.lose(End::Lost, now, out),
            (Err(CommitError::Unavailable(_) | CommitError::GoesBack { .. }), _) if lost => {
                self.lose(End::Lost, now, out);
            }
            (Err(CommitError::GoesBack { durable, .. }), _) => {
                let answered = self.progress.overtaken(durable, now);
                answer_ok(answered, out);
                self.rest(now);
            }
            (Err(CommitError::Unavailable(_)), _) => self.rest(now),
            (Err(CommitError::Fatal(error)), _) => {
                self.lose(End::Failed(owned(error)), now, out);
            }
        }
    }

    /// Starts the next write if one is due. Runs after every step, so that no path forgets it.
    pub(super) fn write_what_is_due(&mut self, now: Instant, out: &mut Actions) {
        let Pen::Idle = self.pen else { return };
        if self.is_lost() {
            return;
        }
        let closing = matches!(self.state, State::Closing);
        if closing && self.progress.durable().is_end() {
            return self.released(out);
        }
        if let Some(pending) = self.next_prepare(out) {
            return self.start_write(Write::Prepare(pending), out);
        }
        let due = closing || self.progress.due().is_some_and(|due| due <= now);
        let write = match self.progress.owed() {
            Some(Checkpoint::ShardEnd) if due => {
                Write::Finish(self.children.clone().unwrap_or_default())
            }
            Some(_) if closing && planted!(LeavesWithoutCommit) => Write::Release,
            Some(checkpoint) if due => Write::Commit(checkpoint.clone()),
            None if closing => Write::Release,
            Some(_) | None => return,
        };
        self.start_write(write, out);
    }

    fn start_write(&mut self, write: Write, out: &mut Actions) {
        self.pen = Pen::Writing {
            write: write.clone(),
            lost: false,
        };
        out.push(Action::Write(write));
    }

    pub(super) fn durable_at(&mut self, checkpoint: Checkpoint, now: Instant, out: &mut Actions) {
        self.retries.reset(now);
        answer_ok(self.progress.committed(checkpoint, now), out);
    }

    /// No write before a pause is over.
    pub(super) fn rest(&mut self, now: Instant) {
        let pause = self.retries.after_failure(now, &mut self.rng);
        self.pen = Pen::Resting { until: now + pause };
    }

    /// Nothing is left to write.
    pub(super) fn released(&mut self, out: &mut Actions) {
        let end = match self.leaving.take() {
            Some(Leaving {
                reason: Reason::Failed(error),
                ..
            }) => End::Failed(error),
            Some(_) | None if self.progress.durable().is_end() => End::Finished,
            Some(_) | None => End::Released,
        };
        self.done(end, out);
    }

    pub(super) fn answer_all(&mut self, out: &mut Actions) {
        let prepares = self.prepares.drain(..).map(|(id, _)| id);
        for id in self.progress.take_asks().into_iter().chain(prepares) {
            out.push(Action::Answer(id, Err(Error::fenced(&self.shard))));
        }
    }

    pub(super) fn refusal(&self, refused: &AskRefused) -> Error {
        let shard = &self.shard;
        let message = match refused {
            AskRefused::NotDelivered => {
                format!("the checkpoint of shard {shard} is at a record that was not delivered")
            }
            AskRefused::GoesBack { durable } => {
                format!("the checkpoint of shard {shard} may not go back from {durable}")
            }
        };
        Error::new(ErrorKind::Invalid, message)
    }
}

fn answer_ok(answered: Vec<AskId>, out: &mut Actions) {
    out.extend(answered.into_iter().map(|id| Action::Answer(id, Ok(()))));
}

/// The store's error as the worker's own. It is shared only if somebody else reports it as well.
fn owned(error: Arc<Error>) -> Error {
    Arc::try_unwrap(error)
        .unwrap_or_else(|shared| Error::new(shared.kind(), shared.to_string()).with_source(shared))
}
