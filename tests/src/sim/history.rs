//! What happened in a run, as typed events in their order.
//!
//! The net, the processors and the world write it; the `checkers::Oracle` reads it as
//! it grows, and the [`Trace`] hashes it. It decides nothing itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::checkers::{Oracle, Violation};
use super::moment::Moment;
use super::strike::Strike;
use super::subject::Subject;
use super::trace::Trace;

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
    /// From here on there are no faults, and nothing happens to the fleet or the stream.
    Healed,
    /// The run is over; everything must have converged.
    Finished,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShardMade { shard, parents } => write!(f, "made {shard} of {parents:?}"),
            Self::ShardClosed { shard } => write!(f, "closed {shard}"),
            Self::Produced {
                record,
                shard,
                sequence,
                key,
                arrival,
            } => {
                write!(
                    f,
                    "produced {record} key {key} at {arrival} in {shard} {sequence}"
                )
            }
            Self::Life { process, step } => write!(f, "{process} {step:?}"),
            Self::Sent {
                process,
                subject,
                fate,
            } => write!(f, "{process} {subject} {fate}"),
            Self::Answered { process, sent } => write!(f, "{process} hears of #{sent}"),
            Self::Struck {
                strike,
                process: Some(process),
            } => write!(f, "{process} struck by {strike}"),
            Self::Struck {
                strike,
                process: None,
            } => write!(f, "all struck by {strike}"),
            Self::Refused {
                process,
                operation,
                error,
                heard,
            } => {
                write!(f, "{process} {operation} refused {error} heard {heard}")
            }
            Self::Incident(text) => write!(f, "incident {text}"),
            Self::WorkerRow {
                by,
                incarnation,
                counter,
            } => {
                write!(f, "{by} worker row {incarnation} {counter:?}")
            }
            Self::Watch {
                by,
                incarnation,
                term,
                bell,
            } => {
                write!(f, "{by} watch of {incarnation} term {term} bell {bell}")
            }
            Self::Lease {
                by,
                sent,
                heard,
                shard,
                before,
                after,
            } => {
                write!(f, "{by} lease {shard} ")?;
                show_row(f, before.as_ref())?;
                f.write_str(" -> ")?;
                show_row(f, after.as_ref())?;
                write!(f, " sent #{sent} heard {heard}")
            }
            Self::Called {
                process,
                instance,
                shard,
                epoch,
                call,
            } => {
                write!(f, "{process} i{instance} {shard} e{epoch} {call:?}")
            }
            Self::Acknowledges { instance, upto } => write!(f, "i{instance} asks {upto:?}"),
            Self::Acknowledged { instance, upto, ok } => {
                write!(f, "i{instance} asked {upto:?} {ok}")
            }
            Self::Returned { instance, ending } => write!(f, "i{instance} returned {ending:?}"),
            Self::Healed => f.write_str("healed"),
            Self::Finished => f.write_str("finished"),
        }
    }
}

fn show_row(f: &mut fmt::Formatter<'_>, row: Option<&LeaseRow>) -> fmt::Result {
    match row {
        None => f.write_str("none"),
        Some(row) => {
            let owner = row.incarnation.as_deref().unwrap_or("-");
            write!(f, "[{owner} e{} {:?}]", row.epoch, row.checkpoint)
        }
    }
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
            if ambush.moment.is_now(self.oracle.ledger(), process) {
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
        match self {
            Self::Life { process, .. }
            | Self::Sent { process, .. }
            | Self::Called { process, .. } => Some(*process),
            Self::WorkerRow { by, .. } | Self::Watch { by, .. } | Self::Lease { by, .. } => {
                Some(*by)
            }
            Self::ShardMade { .. }
            | Self::ShardClosed { .. }
            | Self::Produced { .. }
            | Self::Answered { .. }
            | Self::Struck { .. }
            | Self::Refused { .. }
            | Self::Incident(_)
            | Self::Acknowledges { .. }
            | Self::Acknowledged { .. }
            | Self::Returned { .. }
            | Self::Healed
            | Self::Finished => None,
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

    /// Waits for the first process that is at this moment from now on.
    #[must_use]
    pub fn lie_in_wait(&self, moment: Moment) -> oneshot::Receiver<Process> {
        let (tell, told) = oneshot::channel();
        self.state().ambushes.push(Ambush { moment, tell });
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
