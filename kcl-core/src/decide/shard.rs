//! The life of one shard consumer. Pure; `run::shard` feeds it events and carries out its actions.
//!
//! ```text
//!  Starting ──▶ Reading ◀──▶ Delivering ──▶ Ending ──────────▶ Closing ──▶ Closed
//!     ▲            │             │             │                  ▲
//!     │            └─────────────┼── leave ────┴──▶ Draining ─────┤
//!  Pausing ◀── processor failed ─┤                                │
//!     └──────────── leave ───────┼────────────────────────────────┘
//!                                └── lost (from anywhere) ──▶ Losing ──▶ Parting ──▶ Closed
//!
//!  with a handler, which has its records by `lanes`:
//!
//!  Reading ── all settled, and it ends ──────────────────────▶ Closing ──▶ Closed
//!     ├────── leave ──▶ Finishing ── took too long ──▶ Cancelling ──▲
//!     │                     └─────────────────────────────────▲
//!     └────── lost ──▶ Losing ── took too long ──▶ Joining ──▶ Closed
//! ```
//!
//! Here are the words and the step; `life` has what follows on each event, `handing` what is different with
//! lanes, `writes` what is written.
//!
//! INVARIANT: at most one call into a processor runs, or one for each lane of a handler, and none starts at or after the time up to
//! which the grant is proven; such a call stands in `Waiting` until the grant is proven again.
//! INVARIANT: at most one write runs, none is started after the grant is lost, and none covers
//! what is not acknowledged.

mod handing;
mod life;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::lanes::{CallId, LaneCall, Lanes, LanesStart, Note};
use super::progress::{AskId, Progress};
use crate::error::Error;
use crate::event::{Failure, Trimmed};
use crate::model::{Batch, Checkpoint, ChildShard, PendingCheckpoint, SequenceNumber, ShardId};
use crate::port::{Ask, CommitError, Hold, Outcome, Standing};
use crate::settings::Settings;

/// The pauses between attempts of a write that the store did not take.
const WRITE_RETRY_MIN: Duration = Duration::from_millis(100);
const WRITE_RETRY_MAX: Duration = Duration::from_secs(3);

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The worker shuts down.
    Stop,
    /// The grant stands differently now.
    Standing(Standing),
    /// The call into user code came back.
    Returned(Result<(), Error>),
    /// A call of a handler, or of the failure destination, came back.
    Called {
        id: CallId,
        outcome: Outcome,
        /// What the handler holds now.
        hold: Option<Hold>,
    },
    /// A call has done so many of its records, has one in hand that takes long, and gives back the others.
    GivenBack { id: CallId, done: usize },
    /// User code asks for a checkpoint, or that one is announced.
    Asked { id: AskId, ask: Ask },
    /// The write came back.
    Written(Result<(), CommitError>),
    /// The feed brought something.
    Batch(Batch),
    /// The feed could not go on, and may be tried again.
    Reopen,
    /// The feed cannot go on.
    FeedFailed(Error),
    /// The deadline is over.
    Time,
}

/// What to do now, in the order given.
#[derive(Debug)]
pub(crate) enum Action {
    /// Read from where this checkpoint ends.
    OpenFeed(Checkpoint),
    /// Stop reading; throw away what was read ahead.
    CloseFeed,
    /// Call user code. `Initialize` makes a new processor first.
    Call(Call),
    /// Call the handler, or the failure destination.
    Handle(LaneCall),
    /// Calls of the handler that run are asked to come to their end. Later ones are not.
    StopCalls,
    /// Cancel all calls of the handler. Each comes back.
    CancelCalls,
    /// Call `lease_lost`, the one call that needs no proven grant.
    TellLost,
    /// Cancel the call that runs. The processor comes back.
    CancelCall,
    /// Drop the processor, and cut off whoever still holds its checkpointer.
    DropProcessor,
    /// Write on behalf of the grant.
    Write(Write),
    /// Drop the right; what it was writing is of no interest any more.
    DropRight,
    /// Tell whoever watches.
    Tell(Told),
    /// Answer user code.
    Answer(AskId, Result<(), Error>),
    /// Answer user code: this checkpoint is announced.
    Prepared(AskId, Checkpoint),
    /// The shard is over for this worker.
    Done(End),
}

/// What only the machine knows, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The processor failed. A new one starts after this pause, if any does.
    Failed {
        error: Failure,
        restart_in: Option<Duration>,
    },
    /// The record at which reading resumed is gone from the stream.
    Trimmed(Trimmed),
    /// Something about the records of a handler.
    Lane(Note),
}

/// A call into user code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Initialize,
    Process(Batch),
    ShardEnded,
    ShutdownRequested,
}

/// A write on behalf of the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Commit(Checkpoint),
    Prepare(PendingCheckpoint),
    Finish(Vec<ChildShard>),
    Release,
}

/// How the shard ended for this worker.
#[derive(Debug)]
pub(crate) enum End {
    /// Everything in it is processed, and its children may start.
    Finished,
    /// It was given back, with all that was acknowledged durable.
    Released,
    /// Another worker has it, or may have it.
    Lost,
    /// Time ran out before it could be given back; its lease has to expire.
    Abandoned,
    /// The worker has to stop for this reason.
    Failed(Error),
}

#[derive(Debug)]
enum State {
    /// This call may not start before the grant is proven again.
    Waiting(Call),
    /// `initialize` runs.
    Starting,
    /// The processor is idle and wants a batch; a handler may have calls in hand, and have room for more.
    Reading,
    /// `process_records` runs.
    Delivering,
    /// `shard_ended` runs.
    Ending,
    /// The processor failed and is gone; a new one starts then.
    Pausing {
        until: Instant,
    },
    /// `shutdown_requested` runs.
    Draining,
    /// The calls of the handler come to their end.
    Finishing,
    /// They took too long, and are cut off.
    Cancelling,
    /// Only writes are left: what is owed, then the release.
    Closing,
    /// The grant is gone; the call in hand may go on until then.
    Losing {
        until: Instant,
        end: End,
    },
    /// The calls of the handler went on for too long after the loss, and are cut off.
    Joining {
        end: End,
    },
    /// `lease_lost` runs, until then.
    Parting {
        until: Instant,
        end: End,
    },
    Closed,
}

/// Why the shard has to be given back, and how long that may take.
#[derive(Debug)]
struct Leaving {
    reason: Reason,
    calls_until: Instant,
    until: Instant,
}

#[derive(Debug)]
enum Reason {
    /// The worker shuts down, or another worker should have the shard.
    Asked,
    /// The worker cannot go on.
    Failed(Error),
}

/// What the pen is doing.
#[derive(Debug)]
enum Pen {
    Idle,
    /// A write runs. `lost` if the grant ended while the last one ran, perhaps by it.
    Writing {
        write: Write,
        lost: bool,
    },
    /// The store did not take the last write; try again then.
    Resting {
        until: Instant,
    },
}

#[derive(Debug)]
pub(crate) struct ShardMachine {
    shard: ShardId,
    settings: Arc<Settings>,
    rng: fastrand::Rng,
    state: State,
    /// When the last step was.
    stepped: Instant,
    /// The records of a handler. Nothing if there is a processor instead.
    lanes: Option<Lanes>,
    /// No call may start at or after this.
    proven_until: Instant,
    /// Why the shard is to be given back. Nothing while it is to be read.
    leaving: Option<Leaving>,
    /// A processor exists and was initialized.
    processor: bool,
    progress: Progress,
    /// What user code wants announced, in the order in which it asked.
    prepares: VecDeque<(AskId, PendingCheckpoint)>,
    /// The record with which the next batch begins, unless the stream keeps it no longer.
    resumes_at: Option<SequenceNumber>,
    /// What follows on the shard, once the feed has shown its end.
    children: Option<Vec<ChildShard>>,
    pen: Pen,
    restarts: Backoff,
    retries: Backoff,
}

/// What the machine starts from.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) shard: ShardId,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) pending: Option<PendingCheckpoint>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) rng: fastrand::Rng,
    /// Set if a handler gets the records.
    pub(crate) lanes: Option<LanesStart>,
}

type Actions = Vec<Action>;

impl ShardMachine {
    /// A machine that waits for its first [`Event::Standing`] to start.
    pub(crate) fn new(start: Start, now: Instant) -> (Self, Actions) {
        let Start {
            shard,
            checkpoint,
            pending,
            settings,
            rng,
            lanes,
        } = start;
        let failure = &settings.failure;
        let lanes = lanes.map(|lanes| Lanes::new(lanes, checkpoint.clone(), settings.clone(), now));
        let mut machine = Self {
            state: match &lanes {
                Some(_) => State::Reading,
                None => State::Waiting(Call::Initialize),
            },
            stepped: now,
            lanes,
            proven_until: now,
            leaving: None,
            processor: false,
            progress: Progress::new(settings.commit.policy, checkpoint, now).with_pending(pending),
            prepares: VecDeque::new(),
            resumes_at: None,
            children: None,
            pen: Pen::Idle,
            restarts: Backoff::new(failure.delay_min, failure.delay_max, now),
            retries: Backoff::new(WRITE_RETRY_MIN, WRITE_RETRY_MAX, now),
            shard,
            settings,
            rng,
        };
        let mut actions = Actions::new();
        if machine.progress.durable().is_end() {
            // A lease that is finished is never granted by our own store. There is nothing to read.
            machine.close(&mut actions);
            machine.write_what_is_due(now, &mut actions);
        } else {
            machine.open_feed(&mut actions);
        }
        (machine, actions)
    }

    /// One step.
    pub(crate) fn on(&mut self, now: Instant, event: Event) -> Actions {
        let mut actions = Actions::new();
        let out = &mut actions;
        self.stepped = now;
        match event {
            Event::Stop => self.on_leave(Reason::Asked, now, out),
            Event::Standing(standing) => self.on_standing(standing, now, out),
            Event::Returned(Ok(())) => self.on_success(now, out),
            Event::Returned(Err(error)) => self.on_failure(error, now, out),
            Event::Called { id, outcome, hold } => {
                self.on_called(id, outcome, hold, now, out);
            }
            Event::GivenBack { id, done } => {
                if let Some(lanes) = &mut self.lanes {
                    lanes.given_back(id, done);
                }
            }
            Event::Asked { id, ask } => self.on_asked(id, ask, now, out),
            Event::Written(result) => self.on_written(result, now, out),
            Event::Batch(batch) => self.on_batch(batch, now, out),
            Event::Reopen => self.reopen_feed(out),
            Event::FeedFailed(error) => self.on_leave(Reason::Failed(error), now, out),
            Event::Time => self.on_time(now, out),
        }
        self.hand_out(now, out);
        self.write_what_is_due(now, out);
        actions
    }

    /// Whether the next batch is welcome.
    pub(crate) fn wants_batch(&self) -> bool {
        let has_room = |lanes: &Lanes| self.children.is_none() && lanes.has_room();
        matches!(self.state, State::Reading) && self.lanes.as_ref().is_none_or(has_room)
    }

    /// What is durable, for the processor that starts now.
    pub(crate) const fn durable(&self) -> &Checkpoint {
        self.progress.durable()
    }

    /// What is announced, for the processor that starts now.
    pub(crate) const fn pending(&self) -> Option<&PendingCheckpoint> {
        self.progress.pending()
    }

    /// When [`Event::Time`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Pausing { until }
            | State::Losing { until, .. }
            | State::Parting { until, .. } => Some(*until),
            State::Closed => return None,
            State::Waiting(_)
            | State::Starting
            | State::Reading
            | State::Delivering
            | State::Ending
            | State::Draining
            | State::Finishing
            | State::Cancelling
            | State::Joining { .. }
            | State::Closing => None,
        };
        let lanes = self.lanes.as_ref().filter(|_| !self.is_lost());
        let lanes = lanes.and_then(|lanes| lanes.next_deadline(self.stepped));
        let leaving = match &self.leaving {
            Some(leaving) if self.is_calling() => Some(leaving.calls_until),
            Some(leaving) if !self.is_lost() => Some(leaving.until),
            Some(_) | None => None,
        };
        let write = match &self.pen {
            Pen::Writing { .. } => None,
            Pen::Resting { until } => Some(*until),
            Pen::Idle => self.progress.due(),
        };
        let write = write.filter(|_| !self.is_lost());
        [own, lanes, leaving, write].into_iter().flatten().min()
    }

    const fn is_calling(&self) -> bool {
        matches!(
            self.state,
            State::Starting
                | State::Delivering
                | State::Ending
                | State::Draining
                | State::Finishing
        )
    }

    const fn is_lost(&self) -> bool {
        matches!(
            self.state,
            State::Losing { .. } | State::Joining { .. } | State::Parting { .. } | State::Closed
        )
    }
}
