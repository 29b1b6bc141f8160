//! What is written on behalf of the grant, when, and who is answered.

use std::mem;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Action, Actions, End, Leaving, Pen, Reason, ShardMachine, State, Write};
use crate::decide::progress::{AskId, AskRefused};
use crate::error::{Error, ErrorKind};
use crate::model::Checkpoint;
use crate::port::CommitError;

impl ShardMachine {
    pub(super) fn on_asked(
        &mut self,
        id: AskId,
        upto: Option<Checkpoint>,
        now: Instant,
        out: &mut Actions,
    ) {
        let upto = match &self.state {
            State::Ending if upto.is_none() => Some(Checkpoint::ShardEnd),
            State::Waiting(_)
            | State::Starting
            | State::Reading
            | State::Delivering
            | State::Ending
            | State::Draining => upto,
            State::Pausing { .. }
            | State::Closing
            | State::Losing { .. }
            | State::Parting { .. }
            | State::Closed => {
                out.push(Action::Answer(id, Err(Error::fenced(&self.shard))));
                return;
            }
        };
        match self.progress.ask(id, upto, now) {
            Ok(true) => out.push(Action::Answer(id, Ok(()))),
            Ok(false) => {}
            Err(refused) => out.push(Action::Answer(id, Err(self.refusal(&refused)))),
        }
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
        for id in self.progress.take_asks() {
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
