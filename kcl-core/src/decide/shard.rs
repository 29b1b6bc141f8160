//! The life of one shard consumer. Pure; `run::shard` feeds it events and carries out its actions.
//!
//! ```text
//!  Starting ──▶ Reading ◀──▶ Delivering ──▶ Ending ──────────▶ Closing ──▶ Closed
//!     ▲            │             │             │                  ▲
//!     │            └─────────────┼── leave ────┴──▶ Draining ─────┤
//!  Pausing ◀── processor failed ─┤                                │
//!     └──────────── leave ───────┼────────────────────────────────┘
//!                                └── lost (from anywhere) ──▶ Losing ──▶ Parting ──▶ Closed
//! ```
//!
//! INVARIANT: at most one call into user code runs, and none starts at or after the time up to
//! which the grant is proven; such a call stands in `Waiting` until the grant is proven again.
//! INVARIANT: at most one write runs, none is started after the grant is lost, and none covers
//! what is not acknowledged.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::progress::{AskId, AskRefused, Progress};
use crate::decode::gate;
use crate::error::{Error, ErrorKind};
use crate::model::{Batch, Checkpoint, ChildShard, ShardId};
use crate::port::{CommitError, Standing};
use crate::settings::{CheckpointPolicy, FailurePolicy, Settings};

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
    /// User code asks for a checkpoint, at a record or at all that was delivered.
    Asked { id: AskId, upto: Option<Checkpoint> },
    /// The write came back.
    Written(Result<(), CommitError>),
    /// The feed brought something.
    Batch(Batch),
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
    /// Answer user code.
    Answer(AskId, Result<(), Error>),
    /// The shard is over for this worker.
    Done(End),
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
    /// The processor is idle and wants a batch.
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
    /// Only writes are left: what is owed, then the release.
    Closing,
    /// The grant is gone; the call in hand may go on until then.
    Losing {
        until: Instant,
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
    /// No call may start at or after this.
    proven_until: Instant,
    /// Why the shard is to be given back. Nothing while it is to be read.
    leaving: Option<Leaving>,
    /// A processor exists and was initialized.
    processor: bool,
    progress: Progress,
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
    pub(crate) settings: Arc<Settings>,
    pub(crate) rng: fastrand::Rng,
}

type Actions = Vec<Action>;

impl ShardMachine {
    /// A machine that waits for its first [`Event::Standing`] to start.
    pub(crate) fn new(start: Start, now: Instant) -> (Self, Actions) {
        let Start {
            shard,
            checkpoint,
            settings,
            rng,
        } = start;
        let failure = &settings.failure;
        let mut machine = Self {
            state: State::Waiting(Call::Initialize),
            proven_until: now,
            leaving: None,
            processor: false,
            progress: Progress::new(settings.commit.policy, checkpoint, now),
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
        match event {
            Event::Stop => self.on_leave(Reason::Asked, now, out),
            Event::Standing(standing) => self.on_standing(standing, now, out),
            Event::Returned(Ok(())) => self.on_success(now, out),
            Event::Returned(Err(error)) => self.on_failure(error, now, out),
            Event::Asked { id, upto } => self.on_asked(id, upto, now, out),
            Event::Written(result) => self.on_written(result, now, out),
            Event::Batch(batch) => self.on_batch(batch, now, out),
            Event::FeedFailed(error) => self.on_leave(Reason::Failed(error), now, out),
            Event::Time => self.on_time(now, out),
        }
        self.write_what_is_due(now, out);
        actions
    }

    /// Whether the next batch is welcome.
    pub(crate) const fn wants_batch(&self) -> bool {
        matches!(self.state, State::Reading)
    }

    /// What is durable, for the processor that starts now.
    pub(crate) const fn durable(&self) -> &Checkpoint {
        self.progress.durable()
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
            | State::Closing => None,
        };
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
        [own, leaving, write].into_iter().flatten().min()
    }

    fn on_standing(&mut self, standing: Standing, now: Instant, out: &mut Actions) {
        match standing {
            Standing::Held { until } => self.on_proven(until, now, out),
            Standing::HandOver { until } => {
                self.on_leave(Reason::Asked, now, out);
                self.on_proven(until, now, out);
            }
            Standing::Lost => match &mut self.pen {
                // A lease that is given back or finished is not held any more, and that may be
                // told before the answer to the write is here. The answer says what it was.
                Pen::Writing {
                    write: Write::Finish(_) | Write::Release,
                    lost,
                } if matches!(self.state, State::Closing) => {
                    *lost = true;
                    let until = now + self.settings.shutdown.lost_max;
                    let leaving = self.leaving.get_or_insert(Leaving {
                        reason: Reason::Asked,
                        calls_until: until,
                        until,
                    });
                    leaving.until = leaving.until.min(until);
                }
                Pen::Idle | Pen::Writing { .. } | Pen::Resting { .. } => {
                    self.lose(End::Lost, now, out);
                }
            },
        }
    }

    fn on_proven(&mut self, until: Instant, now: Instant, out: &mut Actions) {
        self.proven_until = until;
        if let State::Waiting(_) = self.state
            && let State::Waiting(call) = mem::replace(&mut self.state, State::Closed)
        {
            self.begin(call, now, out);
        }
    }

    fn on_leave(&mut self, reason: Reason, now: Instant, out: &mut Actions) {
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
            State::Draining | State::Losing { .. } | State::Parting { .. } | State::Closed => {}
        }
    }

    fn on_success(&mut self, now: Instant, out: &mut Actions) {
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
            | State::Closing
            | State::Closed) => {
                debug_assert!(false, "a call came back that nobody made: {state:?}");
                self.state = state;
            }
        }
    }

    fn on_end_agreed(&mut self, now: Instant, out: &mut Actions) {
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

    fn on_failure(&mut self, error: Error, now: Instant, out: &mut Actions) {
        match mem::replace(&mut self.state, State::Closed) {
            State::Starting | State::Delivering | State::Ending | State::Draining => {
                self.fail(error, now, out);
            }
            State::Losing { end, .. } | State::Parting { end, .. } => {
                tracing::warn!(error = %Cause(&error), "the processor failed after the shard was lost");
                self.done(end, out);
            }
            state @ (State::Waiting(_)
            | State::Reading
            | State::Pausing { .. }
            | State::Closing
            | State::Closed) => {
                debug_assert!(false, "a call came back that nobody made: {state:?}");
                self.state = state;
            }
        }
    }

    /// The processor is of no use any more; the policy says what follows.
    fn fail(&mut self, error: Error, now: Instant, out: &mut Actions) {
        self.state = State::Closing;
        self.processor = false;
        self.progress.rewind();
        out.push(Action::DropProcessor);
        self.answer_all(out);
        let stop = match self.settings.failure.policy {
            FailurePolicy::Restart => false,
            FailurePolicy::StopWorker => true,
        };
        if self.leaving.is_none() && !stop && !self.progress.acknowledged().is_end() {
            let pause = self.restarts.after_failure(now, &mut self.rng);
            tracing::warn!(error = %Cause(&error), ?pause, "the processor failed and starts again");
            self.children = None;
            out.push(Action::CloseFeed);
            self.state = State::Pausing { until: now + pause };
            return;
        }
        tracing::warn!(error = %Cause(&error), "the processor failed; the shard is given back");
        match &mut self.leaving {
            Some(leaving) if stop => leaving.reason = Reason::Failed(error),
            None if stop => self.on_leave(Reason::Failed(error), now, out),
            Some(_) | None => {}
        }
        self.close(out);
    }

    fn on_batch(&mut self, mut batch: Batch, now: Instant, out: &mut Actions) {
        if !self.wants_batch() {
            debug_assert!(false, "a batch came that nobody wanted");
            return;
        }
        gate::pass(self.progress.delivered(), &mut batch);
        self.children = batch.children.clone();
        if !batch.records.is_empty() {
            self.begin(Call::Process(batch), now, out);
        } else if self.children.is_some() {
            self.begin(Call::ShardEnded, now, out);
        }
    }

    fn on_asked(&mut self, id: AskId, upto: Option<Checkpoint>, now: Instant, out: &mut Actions) {
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

    fn on_written(&mut self, result: Result<(), CommitError>, now: Instant, out: &mut Actions) {
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
            (Err(CommitError::GoesBack { durable, asked, .. }), _) => {
                tracing::warn!(%durable, %asked, "the stored checkpoint is ahead of this worker's");
                let answered = self.progress.overtaken(durable, now);
                answer_ok(answered, out);
                self.rest(now);
            }
            (Err(CommitError::Unavailable(error)), write) => {
                let pause = self.rest(now);
                tracing::warn!(error = %Cause(&error), ?write, ?pause, "a write is tried again");
            }
            (Err(CommitError::Fatal(error)), _) => {
                self.lose(End::Failed(owned(error)), now, out);
            }
        }
    }

    fn on_time(&mut self, now: Instant, out: &mut Actions) {
        if let Pen::Resting { until } = self.pen
            && until <= now
        {
            self.pen = Pen::Idle;
        }
        let (calls_over, all_over) = match &self.leaving {
            Some(leaving) => (leaving.calls_until <= now, leaving.until <= now),
            None => (false, false),
        };
        match mem::replace(&mut self.state, State::Closed) {
            State::Pausing { until } if until <= now => {
                self.open_feed(out);
                self.begin(Call::Initialize, now, out);
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
            State::Waiting(_) | State::Closing if all_over => {
                tracing::warn!(
                    "the shard could not be given back in time; its lease has to expire"
                );
                out.push(Action::DropRight);
                self.done(End::Abandoned, out);
            }
            state @ (State::Waiting(_)
            | State::Starting
            | State::Reading
            | State::Delivering
            | State::Ending
            | State::Pausing { .. }
            | State::Draining
            | State::Closing
            | State::Losing { .. }
            | State::Parting { .. }
            | State::Closed) => self.state = state,
        }
    }

    /// After a call that went well: the next one, or nothing to do but read.
    fn go_on(&mut self, now: Instant, out: &mut Actions) {
        if self.leaving.is_some() {
            self.drain(now, out);
        } else if self.children.is_some() {
            self.begin(Call::ShardEnded, now, out);
        } else {
            self.state = State::Reading;
        }
    }

    fn drain(&mut self, now: Instant, out: &mut Actions) {
        if self.processor {
            self.begin(Call::ShutdownRequested, now, out);
        } else {
            self.close(out);
        }
    }

    /// Starts a call, or lets it stand until the grant is proven again.
    fn begin(&mut self, call: Call, now: Instant, out: &mut Actions) {
        if now >= self.proven_until {
            self.state = State::Waiting(call);
            return;
        }
        self.state = match &call {
            Call::Initialize => State::Starting,
            Call::Process(batch) => {
                if let Some(end) = batch.end() {
                    self.progress.deliver(end);
                }
                State::Delivering
            }
            Call::ShardEnded => State::Ending,
            Call::ShutdownRequested => State::Draining,
        };
        out.push(Action::Call(call));
    }

    fn open_feed(&mut self, out: &mut Actions) {
        out.push(Action::OpenFeed(self.progress.acknowledged().clone()));
    }

    fn close(&mut self, out: &mut Actions) {
        self.answer_refused_after_end(out);
        self.state = State::Closing;
    }

    /// No write before a pause is over.
    fn rest(&mut self, now: Instant) -> Duration {
        let pause = self.retries.after_failure(now, &mut self.rng);
        self.pen = Pen::Resting { until: now + pause };
        pause
    }

    fn durable_at(&mut self, checkpoint: Checkpoint, now: Instant, out: &mut Actions) {
        self.retries.reset(now);
        answer_ok(self.progress.committed(checkpoint, now), out);
    }

    /// Starts the next write if one is due. Runs after every step, so that no path forgets it.
    fn write_what_is_due(&mut self, now: Instant, out: &mut Actions) {
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

    /// Nothing is left to write.
    fn released(&mut self, out: &mut Actions) {
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

    fn lose(&mut self, end: End, now: Instant, out: &mut Actions) {
        if self.is_lost() {
            return;
        }
        self.answer_all(out);
        out.extend([Action::CloseFeed, Action::DropRight]);
        // What the worker has to stop for must not get lost with the shard.
        let end = match self.leaving.take() {
            Some(Leaving {
                reason: Reason::Failed(error),
                ..
            }) => End::Failed(error),
            Some(_) | None => end,
        };
        if self.is_calling() {
            let until = now + self.settings.shutdown.lost_max;
            self.state = State::Losing { until, end };
        } else {
            self.part(end, now, out);
        }
    }

    fn part(&mut self, end: End, now: Instant, out: &mut Actions) {
        if self.processor {
            let until = now + self.settings.shutdown.lost_max;
            out.push(Action::TellLost);
            self.state = State::Parting { until, end };
        } else {
            self.done(end, out);
        }
    }

    fn done(&mut self, end: End, out: &mut Actions) {
        self.answer_all(out);
        self.state = State::Closed;
        out.push(Action::Done(end));
    }

    const fn is_calling(&self) -> bool {
        matches!(
            self.state,
            State::Starting | State::Delivering | State::Ending | State::Draining
        )
    }

    const fn is_lost(&self) -> bool {
        matches!(
            self.state,
            State::Losing { .. } | State::Parting { .. } | State::Closed
        )
    }

    fn answer_all(&mut self, out: &mut Actions) {
        for id in self.progress.take_asks() {
            out.push(Action::Answer(id, Err(Error::fenced(&self.shard))));
        }
    }

    fn answer_refused_after_end(&mut self, out: &mut Actions) {
        if !self.processor {
            self.answer_all(out);
        }
    }

    fn refusal(&self, refused: &AskRefused) -> Error {
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

/// An error with its causes in one line, for logs.
struct Cause<'a>(&'a Error);

impl std::fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
