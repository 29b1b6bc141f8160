//! What events are told with: counts, reasons, errors in words. Data only.

use std::fmt;
use std::time::SystemTime;

use crate::error::{Error, ErrorKind};
use crate::model::{Checkpoint, Record, SequenceNumber, ShardId, WorkerId};
use crate::port::CommitError;

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
        let is_there = first.is_some_and(|first| first.sequence_number <= *after);
        if is_there || planted!(HidesTrimmedRecords) {
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
    /// Bytes per second that this worker reads; nothing if it does not balance by load, or another does not.
    pub load: Option<u64>,
    /// Bytes per second that it would read if all read the same for their capacity, as far as single shards allow.
    pub fair_load: Option<u64>,
    /// Leases that this worker takes now.
    pub taking: usize,
    /// Leases that this worker hands over from now on, for whatever reason.
    pub giving_up: usize,
    /// Workers that this worker declares dead, if they still stand still.
    pub evicting: usize,
    /// Leases, not counted above, of streams that no worker reads: of several, some were removed from all.
    pub unserved: usize,
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

/// Why a record with the mark of an aggregate cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// There is less than a message and its digest behind the mark.
    #[error("it ends too early")]
    Truncated,
    /// The digest is not that of the message.
    #[error("its MD5 does not match")]
    Digest,
    /// The message is not what an aggregate consists of, or lacks what it must have.
    #[error("its message cannot be read")]
    Message,
    /// A record points at a key that is not there.
    #[error("a record points behind the end of a table of keys")]
    Index,
    /// An explicit hash key is not a decimal number below 2^128.
    #[error("a hash key is not a decimal number below 2^128")]
    HashKey,
    /// There are more user records, or more bytes of partition keys, than anything real has.
    #[error("it would become too large")]
    TooLarge,
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

/// Why a lease is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandOverReason {
    /// This worker holds more leases than its share.
    Count,
    /// Its stream was removed from those that this worker reads.
    StreamRemoved,
    /// This worker reads more than its share, or the other much less.
    Load {
        /// Bytes per second that go with the lease.
        load: u64,
        /// Who is to take it.
        to: WorkerId,
        /// The lease that comes back for it, if two are exchanged.
        in_return: Option<ShardId>,
    },
    /// The other worker handed over a larger one for it.
    InReturn {
        /// Who is to take it.
        to: WorkerId,
    },
    /// This worker cannot read the shard, while it reads others well.
    ReaderSilent {
        /// Who is to try.
        to: WorkerId,
    },
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
    /// Somebody deleted it.
    Vanished,
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
    /// `SubscribeToShard`, with all that it pushes
    SubscribeToShard,
    /// The calls that find or register the consumer of fan-out
    FindConsumer,
}

/// How records come to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retrieval {
    /// By `GetRecords`, asked for again and again.
    Polling,
    /// By enhanced fan-out, pushed over a subscription.
    FanOut,
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
    /// Another subscription of the same consumer holds the shard.
    InUse,
    /// A subscription that stood said nothing for too long; it is replaced.
    Silent,
    /// What came cannot be read, or makes no sense.
    Malformed,
    /// It is refused for good; another way of reading takes over.
    Refused,
}

impl ReadFailure {
    /// Whether the service did answer, and would have told any other worker the same: for a
    /// [`Meter`](crate::port::Meter) it is an answer then.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        match self {
            Self::Throttled | Self::Iterator | Self::InUse => true,
            Self::Unavailable | Self::Silent | Self::Malformed | Self::Refused => false,
        }
    }
}

/// How an attempt at records failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureCause {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The call took longer than `failure.call_max`.
    TimedOut,
    /// The handler went well, and named records that are not processed.
    Reported,
    /// The handler could not be reached: nothing was tried.
    NotTried,
}

impl FailureCause {
    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::TimedOut => "timed_out",
            Self::Reported => "reported",
            Self::NotTried => "not_tried",
        }
    }
}

/// Which limit made the worker give records up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUpReason {
    /// `failure.attempts_max`
    AttemptsExhausted,
    /// `failure.age_max`
    RecordAgeExceeded,
    /// A record fits into no call: with a Lambda function alone, which takes 6 MiB.
    RecordTooLarge,
}

impl GiveUpReason {
    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::RecordAgeExceeded => "record_age_exceeded",
            Self::RecordTooLarge => "record_too_large",
        }
    }
}

/// A call into user code.
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
    /// A handler, with a batch
    Handle,
    /// A failure destination, with records that were given up
    Send,
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
            Self::Handle => "handle",
            Self::Send => "send",
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
