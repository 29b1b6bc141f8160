//! The port to the lease table: a few conditional writes, each on one row, and a few reads.
//!
//! The conditions are the whole protocol (docs/decisions/0001). An implementation must apply each
//! write at most once per call that reports `Applied`, evaluate condition and write as one step,
//! and order them per row. Nothing rests on its clock, and nothing on how fresh a scan is.

pub(crate) mod dynamo;
pub(crate) mod memory;

use std::collections::BTreeSet;
use std::time::SystemTime;

use async_trait::async_trait;
use kcl_core::error::Error;
use kcl_core::model::{Checkpoint, ShardId, StreamName};

use crate::row::{
    Fence, LeaseRow, Owner, Parting, Progress, Row, StreamSet, StreamSetKey, WatchRow, WorkerKey,
    WorkerRow,
};

/// The table of one application.
///
/// Every write answers [`Outcome::Refused`] with the row as it stands when its condition is false,
/// and changes nothing then.
#[async_trait]
pub trait LeaseStore: Send + Sync + std::fmt::Debug + 'static {
    /// Makes the table if it is missing and waits until it can be used. Called at the start only:
    /// a table that goes missing later is not made again, because that would read every shard anew.
    async fn ensure_table(&self) -> Result<(), StoreError>;

    /// Every row. A read that is not consistent may show an older state of any row.
    async fn scan(&self, freshness: Freshness) -> Result<Vec<Row>, StoreError>;

    /// The row of a shard as it is now.
    async fn read_lease(&self, shard: &ShardId) -> Result<Option<LeaseRow>, StoreError>;

    /// Adds the row of a shard. If there is none.
    async fn create_lease(&self, row: &LeaseRow) -> Result<Outcome<LeaseRow>, StoreError>;

    /// Gives a lease to a new holder, with `counter + 1` as its epoch; answers the new row. If
    /// counter and owner are as observed and the shard is not finished.
    async fn take(&self, take: &Take) -> Result<Outcome<LeaseRow, LeaseRow>, StoreError>;

    /// Moves the checkpoint, forgets what is announced, and notes the load if it is known. If the fence holds and
    /// the checkpoint is still `from`.
    async fn commit(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        to: &Checkpoint,
        load: Option<u64>,
    ) -> Result<Outcome<LeaseRow>, StoreError>;

    /// Moves what is announced, and the checkpoint if that is to move as well. If the fence holds and
    /// both are still as in `from`.
    async fn prepare(
        &self,
        fence: &Fence,
        from: &Progress,
        to: &Progress,
    ) -> Result<Outcome<LeaseRow>, StoreError>;

    /// Marks the shard as finished, forgets what is announced, names its children, removes the owner
    /// and adds one to the counter. If the fence holds and the checkpoint is still `from`.
    async fn finish(
        &self,
        fence: &Fence,
        from: &Checkpoint,
        children: &BTreeSet<ShardId>,
    ) -> Result<Outcome<LeaseRow>, StoreError>;

    /// Removes the owner, adds one to the counter, notes the load if it is known, and who should have the lease or
    /// that nobody in particular should. If the fence holds.
    async fn release(
        &self,
        fence: &Fence,
        parting: &Parting,
    ) -> Result<Outcome<LeaseRow>, StoreError>;

    /// Deletes the row of a finished shard. If it is finished and the counter is as observed, or
    /// there is none.
    async fn remove_ended(
        &self,
        shard: &ShardId,
        counter: u64,
    ) -> Result<Outcome<LeaseRow>, StoreError>;

    /// Adds the row of a worker. If there is none.
    async fn join(&self, row: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError>;

    /// Proves life: `counter := counter + 1`, and the leaving mark, the load and the streams as given. If the row
    /// is there and its counter is `counter`.
    async fn renew(
        &self,
        key: &WorkerKey,
        counter: u64,
        leaving: bool,
        load: Option<u64>,
        serves: Option<&StreamSetKey>,
    ) -> Result<Outcome<WorkerRow>, StoreError>;

    /// Deletes the row of a worker that is dead or stops, whatever it says. For the worker itself.
    async fn leave(&self, key: &WorkerKey) -> Result<(), StoreError>;

    /// Deletes the row of a worker. If there is none, or it still has the observed counter;
    /// without an observed counter, only if there is none. `Applied` proves that it is dead.
    async fn evict(
        &self,
        key: &WorkerKey,
        counter: Option<u64>,
    ) -> Result<Outcome<WorkerRow>, StoreError>;

    /// The row of a worker as it is now.
    async fn read_worker(&self, key: &WorkerKey) -> Result<Option<WorkerRow>, StoreError>;

    /// The row of the watch as it is now.
    async fn read_watch(&self) -> Result<Option<WatchRow>, StoreError>;

    /// Gives the watch to a worker, with the next term, and rings; answers the new row. If the term is
    /// as observed; without an observed row, only if there is none.
    async fn claim_watch(
        &self,
        seen: Option<&WatchRow>,
        to: &WorkerKey,
    ) -> Result<Outcome<WatchRow, WatchRow>, StoreError>;

    /// Adds one to the looks, and leaves the mark as given. If the term is `term`.
    async fn keep_watch(
        &self,
        term: u64,
        mark: Option<u64>,
    ) -> Result<Outcome<WatchRow>, StoreError>;

    /// Adds one to the bell. If there is a watch.
    async fn ring(&self) -> Result<(), StoreError>;

    /// Fixes where shards of a stream start that nobody has read; without a stream, of the only one. The
    /// first one to ask decides; the answer is what is fixed, to the millisecond.
    async fn fix_start(
        &self,
        stream: Option<&StreamName>,
        time: SystemTime,
    ) -> Result<SystemTime, StoreError>;

    /// Adds the row of a set of streams. If there is none.
    async fn add_streams(&self, set: &StreamSet) -> Result<Outcome<StreamSet>, StoreError>;

    /// Deletes the row of a set of streams, which no worker refers to. Whoever does after all adds it
    /// again.
    async fn remove_streams(&self, key: &StreamSetKey) -> Result<(), StoreError>;
}

/// How fresh a scan must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Every write that was answered before is in it.
    Consistent,
    /// Half the price; may be a little old, in each row on its own.
    Eventual,
}

/// A lease to take, and how it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// The shard.
    pub shard: ShardId,
    /// The counter that was seen.
    pub counter: u64,
    /// The owner that was seen.
    pub owner: Option<Owner>,
    /// Who takes it.
    pub to: WorkerKey,
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<Row, Done = ()> {
    /// It is durable.
    Applied(Done),
    /// Its condition was false; this is the row, or there is none. A write that was applied and
    /// whose reply was lost is refused when it is sent again: the row then shows it.
    Refused(Option<Row>),
}

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer, or not for now. A write may have been applied or not, or be applied later.
    #[error(transparent)]
    Unavailable(Error),
    /// It answers, but the call can never succeed as things are.
    #[error(transparent)]
    Fatal(Error),
}

impl StoreError {
    /// What happened.
    #[must_use]
    pub const fn error(&self) -> &Error {
        match self {
            Self::Unavailable(error) | Self::Fatal(error) => error,
        }
    }

    /// What happened, for the one who must know.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Self::Unavailable(error) | Self::Fatal(error) => error,
        }
    }
}
