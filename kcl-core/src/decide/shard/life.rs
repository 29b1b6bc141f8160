//! How a shard consumer goes from one state to the next: calls, failures, leaving, loss.

use std::mem;

use tokio::time::Instant;

use super::{Action, Actions, Call, End, Leaving, Pen, Reason, ShardMachine, State, Told, Write};
use crate::decode::gate;
use crate::error::{Error, ErrorKind};
use crate::event::{Failure, Trimmed};
use crate::model::{Batch, Checkpoint};
use crate::port::Standing;
use crate::settings::{CheckpointPolicy, FailurePolicy};

impl ShardMachine {
    pub(super) fn on_standing(&mut self, standing: Standing, now: Instant, out: &mut Actions) {
        match standing {
            Standing::HandOver { until } if planted!(IgnoresHandOver) => {
                self.on_proven(until, now, out);
            }
            Standing::Held { until } => self.on_proven(until, now, out),
            Standing::HandOver { until } => {
                self.on_leave(Reason::Asked, now, out);
                self.on_proven(until, now, out);
            }
            Standing::Lost => self.on_loss(now, out),
        }
    }

    fn on_loss(&mut self, now: Instant, out: &mut Actions) {
        let closing = matches!(self.state, State::Closing);
        match &mut self.pen {
            // A lease that is given back or finished is not held any more, and that may be told
            // before the answer to the write is here. The answer says what it was.
            Pen::Writing {
                write: Write::Release | Write::Finish(_),
                lost,
            } => {
                *lost = true;
                if closing {
                    self.hurry(now);
                }
            }
            _ if self.progress.durable().is_end() => {}
            Pen::Idle | Pen::Writing { .. } | Pen::Resting { .. } => {
                self.lose(End::Lost, now, out);
            }
        }
    }

    /// The last write has no more than a short time to answer.
    fn hurry(&mut self, now: Instant) {
        let soon = now + self.settings.shutdown.lost_max;
        let leaving = self.leaving.get_or_insert(Leaving {
            reason: Reason::Asked,
            calls_until: soon,
            until: soon,
        });
        leaving.until = leaving.until.min(soon);
    }

    pub(super) fn on_proven(&mut self, until: Instant, now: Instant, out: &mut Actions) {
        self.proven_until = until;
        if let State::Waiting(_) = self.state
            && let State::Waiting(call) = mem::replace(&mut self.state, State::Closed)
        {
            self.begin(call, now, out);
        }
    }

    pub(super) fn on_leave(&mut self, reason: Reason, now: Instant, out: &mut Actions) {
        if self.is_lost() || self.leaving.is_some() {
            return;
        }
        let times = &self.settings.shutdown;
        let (calls_until, until) = (now + times.call_max, now + times.drain_max);
        self.leaving = Some(Leaving {
            reason,
            calls_until,
            until,
        });
        out.push(Action::CloseFeed);
        match &self.state {
            State::Waiting(_) | State::Reading | State::Pausing { .. } => self.drain(now, out),
            // The call in hand, or the last write, comes to its end first.
            State::Starting | State::Delivering | State::Ending | State::Closing => {}
            State::Draining
            | State::Finishing
            | State::Cancelling
            | State::Losing { .. }
            | State::Joining { .. }
            | State::Parting { .. }
            | State::Closed => {}
        }
    }

    pub(super) fn on_success(&mut self, now: Instant, out: &mut Actions) {
        match mem::replace(&mut self.state, State::Closed) {
            State::Starting => {
                self.processor = true;
                self.go_on(now, out);
            }
            State::Delivering => {
                self.restarts.reset(now);
                self.progress.acknowledge(now);
                self.go_on(now, out);
            }
            State::Ending => self.on_end_agreed(now, out),
            State::Draining => self.close(out),
            State::Losing { end, .. } => self.part(end, now, out),
            State::Parting { end, .. } => self.done(end, out),
            state @ (State::Waiting(_)
            | State::Reading
            | State::Pausing { .. }
            | State::Finishing
            | State::Cancelling
            | State::Joining { .. }
            | State::Closing
            | State::Closed) => {
                debug_assert!(false, "a call came back that nobody made: {state:?}");
                self.state = state;
            }
        }
    }

    pub(super) fn on_end_agreed(&mut self, now: Instant, out: &mut Actions) {
        if planted!(ForgetsToFinish) {
            return self.close(out);
        }
        match self.settings.commit.policy {
            CheckpointPolicy::Automatic { .. } => self.progress.end(now),
            CheckpointPolicy::Manual if self.progress.acknowledged().is_end() => {}
            CheckpointPolicy::Manual => {
                let error = Error::new(
                    ErrorKind::Processor,
                    format!(
                        "shard_ended of shard {} returned without a checkpoint",
                        self.shard
                    ),
                )
                .with_hint(
                    "with the manual policy, call checkpointer.checkpoint() in shard_ended; \
                     otherwise the children of the shard never start",
                );
                return self.fail(error, now, out);
            }
        }
        self.close(out);
    }

    pub(super) fn on_failure(&mut self, error: Error, now: Instant, out: &mut Actions) {
        match mem::replace(&mut self.state, State::Closed) {
            State::Starting | State::Delivering | State::Ending | State::Draining => {
                self.fail(error, now, out);
            }
            State::Losing { end, .. } | State::Parting { end, .. } => {
                tracing::warn!(error = %error.chain(), "the processor failed after the shard was lost");
                self.done(end, out);
            }
            state @ (State::Waiting(_)
            | State::Reading
            | State::Pausing { .. }
            | State::Finishing
            | State::Cancelling
            | State::Joining { .. }
            | State::Closing
            | State::Closed) => {
                debug_assert!(false, "a call came back that nobody made: {state:?}");
                self.state = state;
            }
        }
    }

    /// The processor is of no use any more; the policy says what follows.
    pub(super) fn fail(&mut self, error: Error, now: Instant, out: &mut Actions) {
        self.state = State::Closing;
        self.processor = false;
        if planted!(AcknowledgesFailure) {
            self.progress.acknowledge(now);
        }
        if !planted!(SkipsFailedBatch) {
            self.progress.rewind();
        }
        if !planted!(KeepsFailedProcessor) {
            out.push(Action::DropProcessor);
        }
        self.answer_all(out);
        let stop = match self.settings.failure.policy {
            // Nothing of a processor is diverted; the builder refuses it.
            FailurePolicy::Restart | FailurePolicy::Divert => false,
            FailurePolicy::StopWorker => true,
        };
        if self.leaving.is_none() && !stop && !self.progress.acknowledged().is_end() {
            let pause = self.restarts.after_failure(now, &mut self.rng);
            out.push(Action::Tell(Told::Failed {
                error: Failure::from(&error),
                restart_in: Some(pause),
            }));
            self.children = None;
            out.push(Action::CloseFeed);
            self.state = State::Pausing { until: now + pause };
            return;
        }
        out.push(Action::Tell(Told::Failed {
            error: Failure::from(&error),
            restart_in: None,
        }));
        match &mut self.leaving {
            Some(leaving) if stop => leaving.reason = Reason::Failed(error),
            None if stop => self.on_leave(Reason::Failed(error), now, out),
            Some(_) | None => {}
        }
        self.close(out);
    }

    pub(super) fn on_batch(&mut self, mut batch: Batch, now: Instant, out: &mut Actions) {
        if !self.wants_batch() {
            debug_assert!(false, "a batch came that nobody wanted");
            return;
        }
        // Only the end of a shard comes without a record.
        let says = !batch.records.is_empty() || batch.children.is_some();
        if says
            && let Some(at) = self.resumes_at.take()
            && let Some(trimmed) = Trimmed::find(&self.shard, &at, batch.records.first())
        {
            out.push(Action::Tell(Told::Trimmed(trimmed)));
        }
        gate::pass(self.progress.delivered(), &mut batch);
        self.children = batch.children.clone();
        if planted!(WaitsForRecordsToEnd) && batch.records.is_empty() {
            self.children = None;
        }
        if planted!(DropsLastBatch) && self.children.is_some() {
            batch.records.clear();
        }
        if let Some(lanes) = &mut self.lanes {
            if let Some(end) = batch.end() {
                self.progress.deliver(end);
                lanes.take(batch.records, batch.lag, now);
            }
        } else if !batch.records.is_empty() {
            self.begin(Call::Process(batch), now, out);
        } else if self.children.is_some() {
            self.begin(Call::ShardEnded, now, out);
        }
    }

    pub(super) fn on_time(&mut self, now: Instant, out: &mut Actions) {
        if let Pen::Resting { until } = self.pen
            && until <= now
        {
            self.pen = Pen::Idle;
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.note_long_calls(now);
        }
        let (calls_over, all_over) = match &self.leaving {
            Some(leaving) => (leaving.calls_until <= now, leaving.until <= now),
            None => (false, false),
        };
        match mem::replace(&mut self.state, State::Closed) {
            State::Pausing { until } if until <= now => {
                self.open_feed(out);
                if planted!(KeepsFailedProcessor) {
                    self.processor = true;
                    self.state = State::Reading;
                    return;
                }
                self.begin(Call::Initialize, now, out);
            }
            State::Losing { until, end } if until <= now && self.lanes.is_some() => {
                tracing::warn!("calls went on after the shard was lost, and are cancelled");
                self.cancel_calls(State::Joining { end }, out);
            }
            State::Losing { until, end } if until <= now => {
                tracing::warn!("a call went on after the shard was lost, and is cancelled");
                out.push(Action::CancelCall);
                self.part(end, now, out);
            }
            State::Parting { until, end } if until <= now => {
                tracing::warn!("lease_lost took too long, and is cancelled");
                out.push(Action::CancelCall);
                self.done(end, out);
            }
            State::Starting | State::Delivering | State::Ending | State::Draining if calls_over => {
                tracing::warn!("a call took too long to drain the shard, and is cancelled");
                out.extend([Action::CancelCall, Action::DropProcessor]);
                self.processor = false;
                self.close(out);
            }
            State::Finishing if calls_over => {
                tracing::warn!("calls took too long to drain the shard, and are cancelled");
                self.cancel_calls(State::Cancelling, out);
            }
            State::Waiting(_) | State::Cancelling | State::Closing if all_over => {
                tracing::warn!(
                    "the shard could not be given back in time; its lease has to expire"
                );
                out.push(Action::DropRight);
                let end = self.end_or_failure(End::Abandoned);
                self.done(end, out);
            }
            state @ (State::Waiting(_)
            | State::Starting
            | State::Reading
            | State::Delivering
            | State::Ending
            | State::Pausing { .. }
            | State::Draining
            | State::Finishing
            | State::Cancelling
            | State::Closing
            | State::Losing { .. }
            | State::Joining { .. }
            | State::Parting { .. }
            | State::Closed) => self.state = state,
        }
    }

    /// After a call that went well: the next one, or nothing to do but read.
    pub(super) fn go_on(&mut self, now: Instant, out: &mut Actions) {
        if self.leaving.is_some() {
            self.drain(now, out);
        } else if self.children.is_some() {
            self.begin(Call::ShardEnded, now, out);
        } else {
            self.state = State::Reading;
        }
    }

    pub(super) fn drain(&mut self, now: Instant, out: &mut Actions) {
        if self.finish_calls(out) {
            // They say when they are done.
        } else if self.processor {
            self.begin(Call::ShutdownRequested, now, out);
        } else {
            self.close(out);
        }
    }

    /// Starts a call, or lets it stand until the grant is proven again.
    pub(super) fn begin(&mut self, call: Call, now: Instant, out: &mut Actions) {
        if now >= self.proven_until && !planted!(CallsUnproven) {
            self.state = State::Waiting(call);
            return;
        }
        self.state = match &call {
            Call::Initialize => State::Starting,
            Call::Process(batch) => {
                if let Some(end) = batch.end() {
                    self.progress.deliver(end);
                }
                if planted!(CommitsBeforeProcessing) {
                    self.progress.acknowledge(now);
                }
                State::Delivering
            }
            Call::ShardEnded => State::Ending,
            Call::ShutdownRequested => State::Draining,
        };
        out.push(Action::Call(call));
    }

    pub(super) fn open_feed(&mut self, out: &mut Actions) {
        let after = if planted!(SkipsFailedBatch) {
            self.progress.delivered().clone()
        } else {
            self.progress.acknowledged().clone()
        };
        self.open_feed_at(after, out);
    }

    /// Goes on with the processor that is there, behind what it was handed.
    pub(super) fn reopen_feed(&mut self, out: &mut Actions) {
        if self.wants_batch() {
            self.open_feed_at(self.progress.delivered().clone(), out);
        }
    }

    fn open_feed_at(&mut self, after: Checkpoint, out: &mut Actions) {
        // It is read again, and dropped: only so is seen whether it is still there.
        self.resumes_at = match &after {
            Checkpoint::Sequence { sequence, .. } => Some(sequence.clone()),
            Checkpoint::TrimHorizon
            | Checkpoint::Latest
            | Checkpoint::AtTimestamp(_)
            | Checkpoint::ShardEnd => None,
        };
        out.push(Action::OpenFeed(after));
    }

    pub(super) fn close(&mut self, out: &mut Actions) {
        if !self.processor {
            self.answer_all(out);
        }
        self.state = State::Closing;
    }

    pub(super) fn lose(&mut self, end: End, now: Instant, out: &mut Actions) {
        if self.is_lost() {
            return;
        }
        self.answer_all(out);
        out.extend([Action::CloseFeed, Action::DropRight]);
        let end = self.end_or_failure(end);
        let is_calling = match &mut self.lanes {
            Some(lanes) => {
                lanes.lose();
                out.push(Action::StopCalls);
                lanes.is_busy()
            }
            None => self.is_calling(),
        };
        if is_calling {
            let until = now + self.settings.shutdown.lost_max;
            self.state = State::Losing { until, end };
        } else {
            self.part(end, now, out);
        }
    }

    /// What the worker has to stop for must not get lost with the shard.
    fn end_or_failure(&mut self, end: End) -> End {
        match self.leaving.take() {
            Some(Leaving {
                reason: Reason::Failed(error),
                ..
            }) => End::Failed(error),
            Some(_) | None => end,
        }
    }

    /// What the worker has to stop for, if this shard does not come to the end of it.
    pub(crate) fn cut_short(&mut self) -> Option<Error> {
        let end = match mem::replace(&mut self.state, State::Closed) {
            State::Losing { end, .. } | State::Joining { end } | State::Parting { end, .. } => end,
            State::Waiting(_)
            | State::Starting
            | State::Reading
            | State::Delivering
            | State::Ending
            | State::Pausing { .. }
            | State::Draining
            | State::Finishing
            | State::Cancelling
            | State::Closing
            | State::Closed => End::Abandoned,
        };
        match self.end_or_failure(end) {
            End::Failed(error) => Some(error),
            End::Finished | End::Released | End::Lost | End::Abandoned => None,
        }
    }

    pub(super) fn part(&mut self, end: End, now: Instant, out: &mut Actions) {
        if self.processor {
            let until = now + self.settings.shutdown.lost_max;
            out.push(Action::TellLost);
            self.state = State::Parting { until, end };
        } else {
            self.done(end, out);
        }
    }

    pub(super) fn done(&mut self, end: End, out: &mut Actions) {
        self.answer_all(out);
        self.state = State::Closed;
        out.push(Action::Done(end));
    }
}
