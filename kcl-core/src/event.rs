//! What happens to a worker, as one typed stream: logs, metrics and tests are all made from it.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use kcl_core::contract::{FixedOwnership, ScriptedSource};
//! use kcl_core::*;
//!
//! struct Ignore;
//!
//! #[async_trait]
//! impl RecordProcessor for Ignore {
//!     async fn process_records(
//!         &mut self, _: &ShardContext, _: &Batch, _: &Checkpointer,
//!     ) -> ProcessorResult {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let source = ScriptedSource::new();
//! source.put("shard-0", ["one", "two"]);
//! source.close("shard-0", &[]);
//!
//! let seen = Arc::new(Mutex::new(Vec::new()));
//! let notes = seen.clone();
//! let worker = Worker::builder("app", "stream")
//!     .with_source(source)
//!     .with_ownership(FixedOwnership::new(["shard-0"]))
//!     .with_processor(|_: &ShardContext| Ignore)
//!     .with_observer(move |event: &Event| {
//!         if let Event::RecordsProcessed { shard, records, .. } = event {
//!             notes.lock().unwrap().push(format!("{records} of {shard}"));
//!         }
//!     })
//!     .build()?;
//! worker.run(std::future::pending()).await?;
//!
//! assert_eq!(*seen.lock().unwrap(), ["2 of shard-0"]);
//! # Ok(())
//! # }
//! ```
//!
//! Owns the words and the way they are handed out. Whoever causes an event emits it: the tasks of
//! `run`, the feed of `poll`, and the tasks of an ownership, which gets its [`Events`] with
//! [`OwnershipStart`](crate::port::OwnershipStart). What an event looks like in a log is in `log`,
//! and nowhere else.
//!
//! INVARIANT: emitting neither waits nor fails, and no event carries a payload. Events of one shard
//! are emitted in the order in which they happened.

mod log;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind};
use crate::model::{
    ApplicationName, Checkpoint, Epoch, Record, SequenceNumber, ShardId, StreamName, WorkerId,
};
use crate::port::CommitError;
use crate::run::report::Report;

/// Something that happened.
///
/// Times are measured on the monotonic clock of the worker; bytes are those of payloads alone.
/// Match with `..` and an arm for the rest: variants and fields are added in minor versions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The worker begins to join its application.
    WorkerStarted,
    /// The worker has joined. It joins again under a new life if an earlier one ended.
    WorkerJoined {
        /// The name of this life.
        life: String,
    },
    /// The worker has proven its life, and with it holds on to its leases.
    LifeRenewed {
        /// From sending the proof to its answer.
        took: Duration,
        /// How long the leases would still have held without this proof.
        left: Duration,
        /// Whether at least one proof before this one did not come through in its turn.
        late: bool,
    },
    /// A proof of life was not taken; it is tried again while the leases hold.
    RenewalFailed {
        /// From sending the proof to its answer.
        took: Duration,
        /// Why.
        error: Failure,
    },
    /// The worker could not prove its life in time, or was declared dead. It lost its leases.
    LifeLost {
        /// The name of the life that is over.
        life: String,
        /// The last failure, if there was one.
        error: Option<Failure>,
    },
    /// This worker declared another one dead, whose leases thereby came free.
    WorkerEvicted {
        /// The dead worker.
        worker: WorkerId,
        /// Which life of it.
        life: String,
    },
    /// This worker keeps the watch over the lease table from now on.
    WatchClaimed {
        /// How often the watch changed hands.
        term: u64,
    },
    /// Coordination cannot go on, for example because the lease table is gone. The worker drains
    /// and its `run` returns the error.
    CoordinationFailed {
        /// Why. Of kind [`NotFound`](ErrorKind::NotFound) if the table or its rows are gone.
        error: Failure,
    },
    /// The worker takes no more and gives back what it has.
    WorkerDraining {
        /// How many shards it reads.
        shards: usize,
    },
    /// The worker ended in order.
    WorkerEnded(Report),
    /// The worker ended with an error.
    WorkerFailed {
        /// What `run` returned.
        error: Failure,
    },

    /// This worker looked at the whole lease table and planned what to do about it.
    Planned(Plan),
    /// A shard got a lease: it was found, or follows on one that is finished.
    LeaseCreated {
        /// The shard.
        shard: ShardId,
        /// Where it will be read from.
        checkpoint: Checkpoint,
    },
    /// A finished lease was removed, because the stream has forgotten its shard.
    LeaseRemoved {
        /// The shard.
        shard: ShardId,
    },
    /// This worker took a lease.
    LeaseTaken {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// Why it could be had.
        why: TakeReason,
        /// The write alone.
        took: Duration,
    },
    /// This worker tried to take a lease and did not get it.
    LeaseNotTaken {
        /// The shard.
        shard: ShardId,
        /// Nothing if another worker was first, or a parent of the shard is not finished.
        error: Option<Failure>,
        /// The write alone.
        took: Duration,
    },
    /// This worker will hand a shard over: another worker has fewer.
    HandOverPlanned {
        /// The shard.
        shard: ShardId,
    },
    /// A lease is no longer this worker's, against its will.
    LeaseLost {
        /// The shard.
        shard: ShardId,
        /// The number of the grant that is over.
        epoch: Epoch,
        /// How it was noticed.
        why: LossReason,
    },
    /// A lease was given back, at shutdown or because it is handed over.
    LeaseReleased {
        /// The shard.
        shard: ShardId,
        /// The number of the grant that is over.
        epoch: Epoch,
    },
    /// A lease could not be given back for now.
    ReleaseRefused {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// Why.
        why: Refusal,
    },
    /// The stream has forgotten a shard that was not read to its end: its unread records are lost.
    /// Told once by each worker that looks.
    ShardForgotten {
        /// The shard.
        shard: ShardId,
        /// How far it was read.
        checkpoint: Checkpoint,
    },
    /// The lease of a shard that is not finished is gone from the table, or was replaced by an older
    /// one: somebody deleted it. What was known of its progress is lost.
    LeaseVanished {
        /// The shard.
        shard: ShardId,
        /// How far it was read, as last known.
        checkpoint: Checkpoint,
    },

    /// The worker starts to read a shard.
    ShardStarted {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// What is durable.
        checkpoint: Checkpoint,
    },
    /// The worker no longer reads a shard.
    ShardStopped {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How it ended.
        how: StopReason,
    },
    /// Reading starts anew at a position: after the start, a pause, or an iterator that expired.
    IteratorMade {
        /// The shard.
        shard: ShardId,
        /// The call alone.
        took: Duration,
    },
    /// A read brought a page, perhaps an empty one. By the feed, which reads ahead of the processor.
    PageRead {
        /// The shard.
        shard: ShardId,
        /// Records in it.
        records: usize,
        /// Bytes in it.
        bytes: usize,
        /// How far its end is behind the newest record, by the service's account.
        lag: Option<Duration>,
        /// The call alone, without waiting for its turn.
        took: Duration,
    },
    /// A read failed, and is tried again.
    ReadFailed {
        /// The shard.
        shard: ShardId,
        /// Which call.
        call: ReadCall,
        /// What kind of failure.
        why: ReadFailure,
        /// What the service said.
        error: Failure,
        /// Failures in a row, this one included.
        failures: u32,
        /// The call alone, without waiting for its turn.
        took: Duration,
    },
    /// Reading went on behind a record that is no longer in the stream: the retention period has
    /// caught up with this application.
    ///
    /// Whatever came after that record and was not read by then is lost. On a shard that got
    /// nothing for as long as the stream keeps records, that may be nothing; the stream does not
    /// tell. See `docs/gaps.md`.
    RecordsTrimmed(Trimmed),
    /// Records are handed to the processor now.
    RecordsDelivered {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How many.
        records: usize,
        /// How large.
        bytes: usize,
        /// How far the batch is behind the newest record, by the service's account.
        lag: Option<Duration>,
    },
    /// The processor said `Ok` to what it was handed.
    RecordsProcessed {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How many.
        records: usize,
        /// How large.
        bytes: usize,
    },
    /// A call into the processor came back.
    CallReturned {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// Which call.
        call: Callback,
        /// How it ended.
        outcome: CallOutcome,
        /// How long it took.
        took: Duration,
    },
    /// The processor returned an error or panicked, and is gone.
    ProcessorFailed {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// The error, or what the panic said.
        error: Failure,
        /// After which pause a new one starts; nothing if the shard is given back instead.
        restart_in: Option<Duration>,
    },
    /// A checkpoint is durable.
    CheckpointMade {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// The checkpoint; [`Checkpoint::ShardEnd`] where the shard is finished.
        checkpoint: Checkpoint,
        /// From the write to its answer.
        took: Duration,
    },
    /// A checkpoint is announced, to be made later.
    CheckpointPrepared {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// The checkpoint that is pending.
        checkpoint: Checkpoint,
        /// From the write to its answer.
        took: Duration,
    },
    /// A checkpoint was refused, or its fate could not be learnt for now.
    CheckpointRefused {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// The checkpoint, if user code named one or the worker did.
        checkpoint: Option<Checkpoint>,
        /// Why.
        why: Refusal,
    },
}

/// A place where records may be missing, because the stream keeps them no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trimmed {
    /// The shard.
    pub shard: ShardId,
    /// A record that was read, and is gone from the stream.
    pub after: SequenceNumber,
    /// The oldest record behind it that is still there; nothing if the shard ends without one.
    pub next: Option<SequenceNumber>,
    /// When that one arrived, by the service's clock.
    pub arrived: Option<SystemTime>,
}

impl Trimmed {
    /// If reading at `after` begins with another record: this one, or none because the shard ends.
    pub(crate) fn find(
        shard: &ShardId,
        after: &SequenceNumber,
        first: Option<&Record>,
    ) -> Option<Self> {
        if first.is_some_and(|first| first.sequence_number <= *after) {
            return None;
        }
        Some(Self {
            shard: shard.clone(),
            after: after.clone(),
            next: first.map(|first| first.sequence_number.clone()),
            arrived: first.and_then(|first| first.approximate_arrival),
        })
    }
}

/// What one look at the lease table led to, in counts. Leases of finished shards, and of shards
/// whose parents are not finished, are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Leases that can be read now.
    pub leases: usize,
    /// Those that nobody living holds.
    pub free: usize,
    /// Workers that take part.
    pub workers: usize,
    /// Leases that this worker holds.
    pub held: usize,
    /// Leases that this worker should have.
    pub target: usize,
    /// Leases by which `leases_max` of this worker is below an even share.
    pub spillover: usize,
    /// Leases that this worker takes now.
    pub taking: usize,
    /// Leases that this worker hands over from now on, because another has fewer.
    pub giving_up: usize,
    /// Workers that this worker declares dead, if they still stand still.
    pub evicting: usize,
}

impl Plan {
    /// Whether something is to be done.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.taking + self.giving_up + self.evicting > 0
    }
}

/// An error in the words of a log: what it was, and every cause of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, to act on.
    pub kind: ErrorKind,
    /// The error and its causes, as [`Error::chain`] gives them.
    pub message: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.chain(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why a lease could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TakeReason {
    /// Nobody held it.
    Free,
    /// The worker that held it is dead.
    HolderDead,
    /// It is this worker's by the table, and was not being read: a lost answer, for example.
    Stray,
}

/// How the loss of a lease was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// The table shows another holder.
    TakenOver,
    /// A write was refused.
    Fenced,
    /// This worker could not prove its life in time, or was declared dead.
    LifeOver,
}

/// How the reading of a shard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// Everything in it is processed.
    Finished,
    /// It was given back, with all that was acknowledged durable.
    Released,
    /// Another worker has it, or may have it.
    Lost,
    /// Time ran out before it could be given back; its lease has to expire.
    Abandoned,
    /// The worker has to stop for its sake.
    Failed,
}

/// A call of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadCall {
    /// `GetShardIterator`
    GetShardIterator,
    /// `GetRecords`
    GetRecords,
}

/// Why a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadFailure {
    /// It came too fast for the service.
    Throttled,
    /// The iterator expired, or the service does not know it any more; a new one is made.
    Iterator,
    /// Nothing answered, or not for now.
    Unavailable,
}

/// A call into the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Callback {
    /// `initialize`
    Initialize,
    /// `process_records`
    ProcessRecords,
    /// `shard_ended`
    ShardEnded,
    /// `shutdown_requested`
    ShutdownRequested,
    /// `lease_lost`
    LeaseLost,
}

impl Callback {
    /// The name of the method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::ProcessRecords => "process_records",
            Self::ShardEnded => "shard_ended",
            Self::ShutdownRequested => "shutdown_requested",
            Self::LeaseLost => "lease_lost",
        }
    }
}

/// How a call into the processor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// It returned `Ok`.
    Ok,
    /// It returned an error or panicked.
    Failed,
    /// It took too long and was cut off.
    Cancelled,
}

/// Why a write on behalf of a grant was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The lease is no longer this worker's.
    Fenced,
    /// A checkpoint may not go back.
    GoesBack {
        /// What is durable.
        durable: Checkpoint,
    },
    /// The store did not take it for now, and it is tried again; it may be durable all the same.
    Unavailable(Failure),
    /// The store cannot be used.
    Fatal(Failure),
    /// User code asked for what is not possible; nothing was written.
    Invalid(Failure),
}

impl From<&CommitError> for Refusal {
    fn from(error: &CommitError) -> Self {
        match error {
            CommitError::Fenced { .. } => Self::Fenced,
            CommitError::GoesBack { durable, .. } => Self::GoesBack {
                durable: durable.clone(),
            },
            CommitError::Unavailable(error) => Self::Unavailable(Failure::from(error.as_ref())),
            CommitError::Fatal(error) => Self::Fatal(Failure::from(error.as_ref())),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced => f.write_str("the lease is no longer held by this worker"),
            Self::GoesBack { durable } => write!(f, "it may not go back from {durable}"),
            Self::Unavailable(error) | Self::Fatal(error) | Self::Invalid(error) => error.fmt(f),
        }
    }
}

/// Which worker an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its application.
    pub application: ApplicationName,
    /// The stream it reads.
    pub stream: StreamName,
    /// The worker.
    pub worker: WorkerId,
}

/// Is told of every event of a worker, as it happens. Given by
/// [`WorkerBuilder::with_observer`](crate::WorkerBuilder::with_observer).
///
/// It is called in the task that the event happened in, on any thread of the runtime, and may be
/// called by several at once. It must return at once: while it runs, that task stands still, and it
/// may be the one that proves the worker's life. Whoever wants to wait sends the event on to a task
/// of his own. A panic in it is caught and logged.
///
/// A function of `&Event` is an observer.
pub trait Observer: Send + Sync + 'static {
    /// Something happened to this worker.
    fn on_event(&self, origin: &Origin, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, _: &Origin, event: &Event) {
        self(event);
    }
}

/// Where events go: to the log, and to the observers of one worker. Cheap to clone.
///
/// The default is the log alone.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<Inner>>);

struct Inner {
    origin: Origin,
    observers: Vec<Arc<dyn Observer>>,
}

impl Events {
    /// To these observers, as events of this worker.
    #[must_use]
    pub fn new(origin: Origin, observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(Some(Arc::new(Inner { origin, observers })))
    }

    /// Tells everybody. For what happens seldom.
    pub fn emit(&self, event: &Event) {
        log::write(self.0.as_ref().map(|inner| &inner.origin), event);
        self.tell(event);
    }

    /// Tells the observers, and not the log. For what happens with every batch: the event is not
    /// even made if nobody listens.
    pub fn emit_with(&self, event: impl FnOnce() -> Event) {
        if self.is_observed() {
            self.tell(&event());
        }
    }

    /// Whether anybody listens beside the log.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|inner| !inner.observers.is_empty())
    }

    fn tell(&self, event: &Event) {
        let Some(inner) = &self.0 else { return };
        for observer in &inner.observers {
            // A broken observer must not take the proof of life down with it.
            let told = AssertUnwindSafe(|| observer.on_event(&inner.origin, event));
            if catch_unwind(told).is_err() {
                tracing::error!(
                    "an observer panicked at an event; it is called again for the next"
                );
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("observed", &self.is_observed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn origin() -> Origin {
        Origin {
            application: ApplicationName::new("app").unwrap(),
            stream: StreamName::new("stream").unwrap(),
            worker: WorkerId::new("w").unwrap(),
        }
    }

    #[test]
    fn an_event_that_nobody_listens_to_is_not_made() {
        let quiet = [Events::default(), Events::new(origin(), Vec::new())];
        for events in quiet {
            events.emit_with(|| unreachable!("nobody listens"));
        }
    }

    #[test]
    fn an_observer_that_panics_does_not_keep_the_others_from_hearing() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        let observers: Vec<Arc<dyn Observer>> = vec![
            Arc::new(|event: &Event| panic!("{event:?}")),
            Arc::new(move |event: &Event| notes.lock().unwrap().push(event.clone())),
        ];
        let events = Events::new(origin(), observers);
        events.emit(&Event::WorkerStarted);
        events.emit_with(|| Event::WatchClaimed { term: 2 });
        let expected = [Event::WorkerStarted, Event::WatchClaimed { term: 2 }];
        assert_eq!(*heard.lock().unwrap(), expected);
    }
}
