//! Who may read which shard, and where checkpoints go. Implemented by `kcl-lease`, and by scripted
//! stand-ins in tests. The worker calls [`Ownership::start`] once and then lives on its grants.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::env::Env;
use crate::error::{Error, Problem};
use crate::event::Events;
use crate::model::{
    ApplicationName, Checkpoint, ChildShard, Epoch, PendingCheckpoint, Shard, ShardId, WorkerId,
};
use crate::port::Meter;
use crate::streams::StreamTracker;

/// Decides which shards this worker may read.
#[async_trait]
pub trait Ownership: Send + 'static {
    /// What is wrong with the settings, all at once. Called by `build`; does no I/O.
    fn problems(&self) -> Vec<Problem>;

    /// Whether it can share out the shards of [several streams](StreamTracker::Multi), each granted
    /// under its stream and its name. Asked by `build`, which refuses a worker of several streams
    /// otherwise. Default: no.
    fn is_multi_stream(&self) -> bool {
        false
    }

    /// Joins the application and starts to grant shards.
    ///
    /// # Errors
    /// If the application cannot be joined: the stream or the table is missing or not permitted,
    /// there are no credentials, or nothing answers.
    async fn start(self: Box<Self>, start: OwnershipStart) -> Result<OwnershipRun, Error>;
}

/// What an [`Ownership`] needs to know of its worker.
#[derive(Clone, Debug)]
pub struct OwnershipStart {
    /// The application whose leases these are.
    pub application: ApplicationName,
    /// What to read, and where shards start that nobody has ever read.
    pub tracker: StreamTracker,
    /// This worker.
    pub worker: WorkerId,
    /// The wall clock and random numbers.
    pub env: Env,
    /// Where to tell what happens.
    pub events: Events,
}

/// A joined application.
#[derive(Debug)]
pub struct OwnershipRun {
    /// The shards this worker may read, as they come. Each grant has one consumer.
    pub grants: mpsc::Receiver<Grant>,
    /// The way to leave. Dropping it is what a crash does: nothing is given back.
    pub control: Box<dyn OwnershipControl>,
}

/// The worker's hold on its membership. Dropping it aborts every task behind it.
#[async_trait]
pub trait OwnershipControl: Send + fmt::Debug + 'static {
    /// Asks for no more shards. Grants that are out stay valid until they are given back.
    fn stop_taking(&mut self);

    /// Resolves when coordination cannot go on, with the reason (for example the table is gone).
    /// Cancel-safe; pending for ever while all is well.
    async fn failed(&mut self) -> Error;

    /// Leaves the application. Called when every grant has been given back or dropped.
    ///
    /// # Errors
    /// If the others could not be told; they find out when the lease time is over.
    async fn leave(self: Box<Self>) -> Result<(), Error>;
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The shard may be read; no call into the processor may start at or after this time.
    Held {
        /// Moves forward as the worker proves its life.
        until: Instant,
    },
    /// As `Held`, but another worker should have the shard: drain, commit and release.
    HandOver {
        /// Moves forward as the worker proves its life.
        until: Instant,
    },
    /// The shard is no longer ours. Nothing can be committed.
    Lost,
}

/// The right to read one shard. It has one owner, the shard's task, and is given back by
/// [`Right::release`] or [`Right::finish`]; dropping it leaves the lease to expire.
#[derive(Debug)]
pub struct Grant {
    /// The shard.
    pub shard: Shard,
    /// The number of this grant.
    pub epoch: Epoch,
    /// What was durable when the grant was made.
    pub checkpoint: Checkpoint,
    /// What a former holder announced and did not make.
    pub pending: Option<PendingCheckpoint>,
    /// How the grant stands now. A closed channel means [`Standing::Lost`].
    pub standing: watch::Receiver<Standing>,
    /// Counts what is read by this grant, for whoever made it.
    pub meter: Meter,
    /// The pen: the only writer of this shard's row while the grant lasts.
    pub right: Box<dyn Right>,
}

/// Writes on behalf of one grant. Every write carries the fence; at most one is in flight, because
/// each takes `&mut self`.
///
/// A call may be dropped halfway. The implementation then does not know whether its write was
/// applied, and finds out by reading back before it writes again.
#[async_trait]
pub trait Right: Send + fmt::Debug + 'static {
    /// Makes the checkpoint durable. A pending checkpoint that it covers is forgotten, one beyond it
    /// stays. Going back is
    /// refused; an equal one costs nothing and changes nothing.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] if the shard is another worker's now, [`CommitError::Unavailable`]
    /// if the outcome could not be learnt in time: it may be durable or not.
    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), CommitError>;

    /// Makes it durable that a checkpoint is pending, instead of any other that is. The checkpoint
    /// stays where it is. One that is at the checkpoint costs nothing and changes nothing.
    ///
    /// # Errors
    /// As [`Right::commit`]; one before the checkpoint goes back.
    async fn prepare(&mut self, pending: &PendingCheckpoint) -> Result<(), CommitError>;

    /// Makes the leases of the children and marks the shard as finished.
    ///
    /// # Errors
    /// As [`Right::commit`].
    async fn finish(&mut self, children: &[ChildShard]) -> Result<(), CommitError>;

    /// Gives the shard back, so that another worker can take it at once.
    ///
    /// # Errors
    /// As [`Right::commit`]. The lease then expires by itself.
    async fn release(&mut self) -> Result<(), CommitError>;
}

/// Why a write on behalf of a grant did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Another worker holds the shard, or this worker was declared dead. Stop; do not retry.
    #[error("the lease of shard {shard} is no longer held by this worker")]
    Fenced {
        /// The shard.
        shard: ShardId,
    },
    /// A checkpoint may not go back.
    #[error("the checkpoint of shard {shard} may not go back from {durable} to {asked}")]
    GoesBack {
        /// The shard.
        shard: ShardId,
        /// What is durable.
        durable: Checkpoint,
        /// What was asked for.
        asked: Checkpoint,
    },
    /// The store did not answer, or refused for the moment. Try again while the grant lasts.
    #[error("the lease store is not available")]
    Unavailable(#[source] Arc<Error>),
    /// The store answers, but cannot be used: the table is gone or permission is missing.
    #[error("the lease store cannot be used")]
    Fatal(#[source] Arc<Error>),
}
