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
//! * here: the events; `facts`: what they are told with.
//! * `emit`: who is told, and how.
//! * `log`: what an event looks like in a log, and nowhere else.
//!
//! Whoever causes an event emits it: the tasks of
//! `run`, the feed of `poll`, and the tasks of an ownership, which gets its [`Events`] with
//! [`OwnershipStart`](crate::port::OwnershipStart).
//!
//! INVARIANT: emitting neither waits nor fails, and no event carries a payload. Events of one shard
//! are emitted in the order in which they happened.

mod emit;
mod facts;
mod log;

use std::time::Duration;

pub use self::emit::{Events, Observer, Origin};
pub use self::facts::{
    CallOutcome, Callback, Failure, FailureCause, GiveUpReason, HandOverReason, LossReason,
    Malformed, Plan, ReadCall, ReadFailure, Refusal, Retrieval, StopReason, TakeReason, Trimmed,
};
use crate::model::{Checkpoint, Epoch, SequenceNumber, ShardId, StreamName, WorkerId};
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
        /// Why. Of kind [`NotFound`](crate::ErrorKind::NotFound) if the table or its rows are gone.
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
    /// This worker will hand a shard over.
    HandOverPlanned {
        /// The shard.
        shard: ShardId,
        /// Why.
        why: HandOverReason,
    },
    /// The reader of a shard has had no answer from the service for a while. If that lasts while other shards are
    /// read well, the lease is handed over. Told once for each time that it falls silent.
    ReaderSilent {
        /// The shard.
        shard: ShardId,
        /// For how long.
        silent: Duration,
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
    /// One of several streams cannot be listed: it is not there, or not permitted. The other streams are
    /// read on; what this worker holds of this one it keeps. Told once, and again if it fails anew
    /// after it could be listed. A worker of one stream ends instead.
    StreamFailed {
        /// The stream.
        stream: StreamName,
        /// Why.
        error: Failure,
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
    /// A subscription of fan-out was accepted: the first of a shard, or one that follows on another.
    Subscribed {
        /// The shard.
        shard: ShardId,
        /// The call alone.
        took: Duration,
    },
    /// A subscription brought something, perhaps only that it lives. By the feed, which reads ahead of
    /// the processor.
    EventRead {
        /// The shard.
        shard: ShardId,
        /// Records in it.
        records: usize,
        /// Bytes in it.
        bytes: usize,
        /// How far its end is behind the newest record, by the service's account.
        lag: Option<Duration>,
    },
    /// The records of a shard come another way from now on, from where the other one left off.
    RetrievalChanged {
        /// The shard.
        shard: ShardId,
        /// The way from now on.
        to: Retrieval,
        /// Why, if it was not asked for.
        error: Option<Failure>,
    },
    /// The service refuses to let a shard of one of several streams be read: the stream is gone, or not
    /// permitted. The worker keeps the shard, reads on in the others, and tries again. A worker of
    /// one stream ends instead.
    ShardUnreadable {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// What the service said.
        error: Failure,
        /// After which pause it is tried again.
        retry_in: Duration,
    },
    /// Reading went on behind a record that is no longer in the stream: the retention period has
    /// caught up with this application.
    ///
    /// Whatever came after that record and was not read by then is lost. On a shard that got
    /// nothing for as long as the stream keeps records, that may be nothing; the stream does not
    /// tell. See `docs/gaps.md`.
    RecordsTrimmed(Trimmed),
    /// Records look like aggregates of the Kinesis Producer Library and cannot be taken apart. They
    /// are delivered as they are. Told at most once for each read.
    AggregatesMalformed {
        /// The shard.
        shard: ShardId,
        /// The first of them.
        first: SequenceNumber,
        /// What is wrong with the first.
        why: Malformed,
        /// How many.
        records: usize,
    },
    /// User records in aggregates belong to another shard, and are left out: the shard they were
    /// meant for was split or merged on their way, and their producer has put them again.
    RecordsMisrouted {
        /// The shard.
        shard: ShardId,
        /// The first aggregate with such records.
        first: SequenceNumber,
        /// How many user records.
        records: usize,
    },
    /// Records are handed to the processor now, or to the handler. Those that a handler sees one by one are
    /// told when their call ends or gives back the rest.
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
    /// The processor said `Ok` to what it was handed, or the handler to these of them.
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
        /// How long ago the last of the records that a handler was called with had arrived in the stream when the call
        /// ended, by the service's clock and this machine's. Nothing for calls without records, for calls that did not come
        /// to all of theirs, and for calls of anything else.
        age: Option<Duration>,
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
    /// An attempt of a handler failed, as a whole or in part. What failed is not settled.
    BatchFailed {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How many records failed. 0 for the last invocation of a Lambda function's tumbling window, which has none.
        records: usize,
        /// The first of them, or of that window.
        first: SequenceNumber,
        /// How many attempts were made at them. One that is halved, or was not tried, does not count.
        attempts: u32,
        /// How it failed.
        cause: FailureCause,
        /// What the handler said.
        error: Failure,
        /// After which pause they are tried again; nothing if they are not, for now or for good.
        retry_in: Option<Duration>,
    },
    /// Records cannot be processed: a limit is reached. They go to the failure destination, or the worker stops
    /// for them. Nothing is settled by that.
    RecordsGivenUp {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How many.
        records: usize,
        /// The first of them.
        first: SequenceNumber,
        /// The last of them.
        last: SequenceNumber,
        /// How many attempts were made at them.
        attempts: u32,
        /// Which limit was reached; nothing if the first failure is one too many.
        reason: Option<GiveUpReason>,
    },
    /// The failure destination took records, and they are settled: skipped, in other words.
    RecordsDiverted {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How many.
        records: usize,
        /// How large.
        bytes: usize,
        /// The first of them.
        first: SequenceNumber,
    },
    /// The failure destination did not take records. They are not settled.
    DestinationFailed {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How many records it was given.
        records: usize,
        /// The first of them.
        first: SequenceNumber,
        /// What it said.
        error: Failure,
        /// After which pause it is tried again; nothing if the shard is given back instead.
        retry_in: Option<Duration>,
    },
    /// A filter dropped records, which are settled thereby.
    RecordsFiltered {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// How many.
        records: usize,
    },
    /// The filter panicked at a record, which is therefore kept.
    FilterPanicked {
        /// The shard.
        shard: ShardId,
        /// The record.
        record: SequenceNumber,
    },
    /// A call of a handler or of a failure destination has not come back for so long. Told once a minute.
    CallRunsLong {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// Since when it runs.
        running: Duration,
        /// How many records it was given.
        records: usize,
        /// The first of them.
        first: SequenceNumber,
    },
    /// How much of a shard is in the lanes of its handler. Told when records come and when calls end, if anybody
    /// listens.
    LanesLoaded {
        /// The shard.
        shard: ShardId,
        /// The number of the grant.
        epoch: Epoch,
        /// Calls that run.
        busy: usize,
        /// Records from the oldest unsettled one to the newest taken in.
        span: u64,
        /// Bytes of those that are not settled.
        bytes: usize,
        /// How long ago the oldest unsettled one was taken in.
        oldest: Option<Duration>,
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
