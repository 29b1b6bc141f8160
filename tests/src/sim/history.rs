//! What happened in a run, as typed events in their order.
//!
//! The net, the processors and the world write it; the `checkers::Oracle` reads it as
//! it grows, and the [`Trace`] hashes it. It decides nothing itself.

mod handed;
mod show;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::checkers::{Oracle, Violation};
use super::moment::Moment;
use super::net::PushFault;
use super::strike::Strike;
use super::subject::Subject;
use super::trace::Trace;

pub use handed::{CallNumber, Errand, HandlerCall, Mood};

/// A running worker: which one, and which of its lives. A restart is a new life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Which worker.
    pub worker: u8,
    /// How many times it was started before.
    pub life: u16,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}.{}", self.worker, self.life)
    }
}

/// The number of a record in the order of production, over the whole stream.
pub type RecordId = u32;

/// One value of the user's processor.
pub type InstanceId = u32;

/// A lease row as it stands in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseRow {
    /// The incarnation that holds it.
    pub incarnation: Option<String>,
    /// `leaseCounter`.
    pub epoch: u64,
    /// What is durable.
    pub checkpoint: Checkpoint,
    /// The incarnation that its last holder gave it to, if to one in particular: for its load.
    pub given_to: Option<String>,
}

impl LeaseRow {
    /// Whether it is held by the one that it was given to.
    #[must_use]
    pub fn was_given(&self) -> bool {
        self.incarnation.is_some() && self.incarnation == self.given_to
    }
}

impl LeaseRow {
    /// Whether nobody ever wrote a checkpoint into it.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        match self.checkpoint {
            Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp(_) => true,
            Checkpoint::Sequence { .. } | Checkpoint::ShardEnd => false,
        }
    }
}

/// A call into a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `initialize`.
    Initialize,
    /// `process_records` with these records.
    Process(Vec<RecordId>),
    /// `lease_lost`.
    LeaseLost,
    /// `shard_ended`.
    ShardEnded,
    /// `shutdown_requested`.
    ShutdownRequested,
}

/// How a call into a processor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It returned `Ok`.
    Well,
    /// It returned an error or panicked.
    Failed,
    /// The worker cancelled it, or died.
    Cancelled,
}

/// A step in the life of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was started.
    Started,
    /// It was dropped without warning.
    Killed,
    /// It was asked to stop.
    StopAsked,
    /// From now on nothing of it runs.
    Frozen,
    /// It runs on.
    Thawed,
    /// Its `run` returned.
    Exited(Result<(), String>),
}

/// What a worker tells its application through an event of the library: that something may be lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Records behind this one are gone, up to this one or all that there were.
    Trimmed {
        /// Of which shard.
        shard: ShardId,
        /// The last that was read.
        after: SequenceNumber,
        /// The first that is there.
        next: Option<SequenceNumber>,
    },
    /// The stream has forgotten a shard that was read so far.
    Forgotten {
        /// Which.
        shard: ShardId,
        /// How far.
        checkpoint: Checkpoint,
    },
    /// The lease of a shard that was read so far is gone.
    Vanished {
        /// Which.
        shard: ShardId,
        /// How far.
        checkpoint: Checkpoint,
    },
    /// The table is gone, or its rows are.
    TableGone,
}

/// What is left of a process that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Tasks of it.
    pub tasks: usize,
    /// Requests of it that wait for an answer.
    pub requests: usize,
    /// Processors that were not dropped.
    pub processors: usize,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The service lists a shard for the first time.
    ShardMade {
        /// Its name.
        shard: ShardId,
        /// What it came from.
        parents: Vec<ShardId>,
    },
    /// The service lists a shard as closed for the first time.
    ShardClosed {
        /// Its name.
        shard: ShardId,
    },
    /// The service took a record in.
    Produced {
        /// Its number.
        record: RecordId,
        /// Where it went.
        shard: ShardId,
        /// Its place there.
        sequence: SequenceNumber,
        /// Its partition key.
        key: u32,
        /// When, in milliseconds of the service's clock since the start of the run.
        arrival: u64,
    },
    /// A process came or went.
    Life {
        /// Which.
        process: Process,
        /// How.
        step: Step,
    },
    /// A process sent a request.
    Sent {
        /// Which.
        process: Process,
        /// What about.
        subject: Subject,
        /// Of which shard, if it reads records.
        shard: Option<ShardId>,
        /// What the net will do to it.
        fate: &'static str,
    },
    /// A process heard what became of a write that it sent, or that the connection broke.
    Answered {
        /// Which.
        process: Process,
        /// The number of the event that the write was sent.
        sent: u64,
    },
    /// A fault struck.
    Struck {
        /// Which.
        strike: Strike,
        /// Whom; nothing if it was not one process.
        process: Option<Process>,
    },
    /// The service answered a request with an error of its own accord.
    Refused {
        /// Who asked.
        process: Process,
        /// Such as `UpdateItem`.
        operation: String,
        /// Such as `ConditionalCheckFailedException`.
        error: String,
        /// Whether the net delivers the answer.
        heard: bool,
    },
    /// A subscription was accepted, and its answer is on its way to the process.
    Subscribed {
        /// Whose.
        process: Process,
        /// To which shard.
        shard: ShardId,
    },
    /// The first frame of it has reached the process, which knows now that it is accepted.
    Accepted {
        /// Whose.
        process: Process,
        /// To which shard.
        shard: ShardId,
    },
    /// A fault struck a subscription.
    PushStruck {
        /// Whose.
        process: Process,
        /// To which shard.
        shard: ShardId,
        /// Which.
        fault: PushFault,
    },
    /// The process closed a subscription, or died.
    Unsubscribed {
        /// Whose.
        process: Process,
        /// To which shard.
        shard: ShardId,
    },
    /// Something was done to the fleet or the stream.
    Incident(String),
    /// A worker row changed in the table.
    WorkerRow {
        /// Whose request did it.
        by: Process,
        /// The incarnation, as the key says.
        incarnation: String,
        /// The counter now; nothing if the row is gone.
        counter: Option<u64>,
    },
    /// The row of the watch changed in the table.
    Watch {
        /// Whose request did it.
        by: Process,
        /// The incarnation of who keeps it.
        incarnation: String,
        /// How often it has changed hands.
        term: u64,
        /// How often it rang.
        bell: u64,
    },
    /// A lease row changed in the table.
    Lease {
        /// Whose request did it.
        by: Process,
        /// The event number at which the request was sent.
        sent: u64,
        /// Whether the sender will get to know.
        heard: bool,
        /// The shard.
        shard: ShardId,
        /// The row before.
        before: Option<LeaseRow>,
        /// The row now.
        after: Option<LeaseRow>,
    },
    /// A call into a processor starts.
    Called {
        /// In which process.
        process: Process,
        /// Into which processor.
        instance: InstanceId,
        /// Of which shard.
        shard: ShardId,
        /// By which grant.
        epoch: u64,
        /// Which call.
        call: Call,
    },
    /// A processor asks for a checkpoint of its own, up to and including this record; nothing means
    /// the end of the shard.
    Acknowledges {
        /// Which processor.
        instance: InstanceId,
        /// Up to where.
        upto: Option<RecordId>,
    },
    /// The checkpoint it asked for was made, or not.
    Acknowledged {
        /// Which processor.
        instance: InstanceId,
        /// Up to where.
        upto: Option<RecordId>,
        /// Whether it is durable, as far as the processor is told.
        ok: bool,
    },
    /// The call into a processor ended.
    Returned {
        /// Which processor.
        instance: InstanceId,
        /// How.
        ending: Ending,
    },
    /// A call of a handler, or of the failure destination, starts.
    HandlerCalled(HandlerCall),
    /// It ended.
    HandlerReturned {
        /// Which.
        call: CallNumber,
        /// How. Some of the records may be done however it ended.
        ending: Ending,
        /// The records that it says are done: processed, or taken by the failure destination.
        done: Vec<RecordId>,
    },
    /// A worker says that it gives records up.
    GaveUp {
        /// Which worker.
        process: Process,
        /// Of which shard.
        shard: ShardId,
        /// The first of them.
        first: SequenceNumber,
    },
    /// A worker told its application.
    Told {
        /// Which.
        process: Process,
        /// What.
        notice: Notice,
    },
    /// What is left of a process a moment after it ended.
    Left {
        /// Which.
        process: Process,
        /// What.
        leftovers: Leftovers,
    },
    /// The services' wall clock jumped: all records and closed shards are older than the stream keeps them.
    DayPassed {
        /// By so much.
        by: Duration,
    },
    /// An operator deletes the table. Its rows follow.
    TableDeleted,
    /// The table carried a conditional write out, or refused it.
    Judged {
        /// Whose.
        by: Process,
        /// The key of the row.
        key: String,
        /// Whether its condition holds for the row as it stood.
        holds: bool,
        /// Whether it was carried out.
        applied: bool,
    },
    /// The table answered a read with a row that does not stand so.
    ReadOld {
        /// Whose read.
        by: Process,
        /// The key of the row.
        key: String,
        /// Whether it asked for what stands.
        consistent: bool,
        /// Whether a fault makes such reads old.
        at_fault: bool,
    },
    /// At the end, all that the stream still has of a shard.
    Reread {
        /// The shard.
        shard: ShardId,
        /// Its records in order.
        records: Vec<(RecordId, SequenceNumber)>,
    },
    /// From here on there are no faults, and nothing happens to the fleet or the stream.
    Healed,
    /// The run is over; everything must have converged.
    Finished,
}

/// The history of one run. Cheap to clone; clones write to the same one.
#[derive(Clone, Debug)]
pub struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    zero: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    trace: Trace,
    oracle: Oracle,
    number: u64,
    ambushes: Vec<Ambush>,
}

/// Somebody who waits for a process to be at a moment.
#[derive(Debug)]
struct Ambush {
    moment: Moment,
    /// Which process; any, if that is nothing.
    whose: Option<Process>,
    tell: oneshot::Sender<Process>,
}

impl State {
    /// Tells those who wait for a process to be where this event brings it.
    fn spring(&mut self, event: &Event) {
        if self.ambushes.is_empty() {
            return;
        }
        let Some(process) = event.process() else {
            return;
        };
        for ambush in std::mem::take(&mut self.ambushes) {
            let is_meant = ambush.whose.is_none_or(|whose| whose == process);
            if is_meant && ambush.moment.is_now(self.oracle.ledger(), process) {
                let _is_awaited = ambush.tell.send(process).is_ok();
            } else if !ambush.tell.is_closed() {
                self.ambushes.push(ambush);
            }
        }
    }
}

impl Event {
    /// The process that did something.
    const fn process(&self) -> Option<Process> {
        if let Self::Life { process, .. }
        | Self::Sent { process, .. }
        | Self::Called { process, .. }
        | Self::WorkerRow { by: process, .. }
        | Self::Watch { by: process, .. }
        | Self::Lease { by: process, .. }
        | Self::HandlerCalled(HandlerCall { process, .. }) = self
        {
            Some(*process)
        } else {
            None
        }
    }
}

impl History {
    /// An empty history that starts now.
    #[must_use]
    pub fn new(trace: Trace, oracle: Oracle) -> Self {
        let state = Mutex::new(State {
            trace,
            oracle,
            number: 0,
            ambushes: Vec::new(),
        });
        Self(Arc::new(Inner {
            zero: Instant::now(),
            state,
        }))
    }

    /// Virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.zero.elapsed()
    }

    /// Adds an event, and returns its number.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "every caller makes the event for this call"
    )]
    pub fn add(&self, event: Event) -> u64 {
        let at = self.now();
        let mut state = self.state();
        state.number += 1;
        state.trace.add(at, &event);
        let number = state.number;
        state.oracle.observe(at, number, &event);
        state.spring(&event);
        number
    }

    /// Waits for the first process that is at this moment from now on: this one, or any.
    #[must_use]
    pub fn lie_in_wait(
        &self,
        moment: Moment,
        whose: Option<Process>,
    ) -> oneshot::Receiver<Process> {
        let (tell, told) = oneshot::channel();
        let ambush = Ambush {
            moment,
            whose,
            tell,
        };
        self.state().ambushes.push(ambush);
        told
    }

    /// Reads what the oracle knows.
    pub fn read<T>(&self, read: impl FnOnce(&Oracle) -> T) -> T {
        read(&self.state().oracle)
    }

    /// The first violation of each rule so far.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.read(|oracle| oracle.violations().to_vec())
    }

    /// The hash of the trace so far, and its length.
    #[must_use]
    pub fn hash(&self) -> (u64, u64) {
        let state = self.state();
        (state.trace.hash(), state.trace.lines())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
