//! What the user writes, and what he is handed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::model::{
    ApplicationName, Batch, Checkpoint, Epoch, Record, ShardId, StreamName, WorkerId,
};

/// Whatever went wrong in user code.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of a callback. `Ok` from `process_records` acknowledges the whole batch.
pub type ProcessorResult = Result<(), BoxError>;

/// Processes the records of one shard.
///
/// One value is made for each grant of a shard, and is never called twice at once. The order of
/// calls is
///
/// ```text
/// initialize  process_records*  [shutdown_requested]  ( lease_lost | shard_ended | dropped )
/// ```
///
/// An error or a panic in any callback is never swallowed and never advances a checkpoint: the
/// value is dropped, and after a pause a new one starts again behind the last acknowledged batch
/// (see [`FailurePolicy`](crate::FailurePolicy)).
#[async_trait]
pub trait RecordProcessor: Send + 'static {
    /// Called once, before any record. `shard.checkpoint()` says what is already processed.
    async fn initialize(&mut self, shard: &ShardContext) -> ProcessorResult {
        let _ = shard;
        Ok(())
    }

    /// Called with each batch, in the order of the shard. `Ok` acknowledges all of it.
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult;

    /// Called when another worker has the shard, or may have it. There is nothing left to commit.
    async fn lease_lost(&mut self, shard: &ShardContext) {
        let _ = shard;
    }

    /// Called when the shard was closed and every record of it is processed. With the automatic
    /// policy, `Ok` marks the shard as finished; with the manual one, call
    /// [`Checkpointer::checkpoint`] here, or the shard's children never start.
    async fn shard_ended(
        &mut self,
        shard: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let (_, _) = (shard, checkpointer);
        Ok(())
    }

    /// Called when the worker shuts down or hands the shard over: the last chance to finish what
    /// is buffered and to checkpoint. Everything acknowledged is committed after it returns `Ok`.
    async fn shutdown_requested(
        &mut self,
        shard: &ShardContext,
        checkpointer: &Checkpointer,
    ) -> ProcessorResult {
        let (_, _) = (shard, checkpointer);
        Ok(())
    }
}

/// What every callback is told: which shard, by which grant, and how far behind.
#[derive(Clone, Debug)]
pub struct ShardContext {
    pub(crate) application: ApplicationName,
    pub(crate) stream: StreamName,
    pub(crate) worker: WorkerId,
    pub(crate) shard: ShardId,
    pub(crate) epoch: Epoch,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) lag: Option<Duration>,
}

impl ShardContext {
    /// The application this worker belongs to.
    #[must_use]
    pub const fn application(&self) -> &ApplicationName {
        &self.application
    }

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// This worker.
    #[must_use]
    pub const fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// The shard.
    #[must_use]
    pub const fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// The number of the grant: a fencing token for sinks (see [`Epoch`]).
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What was durable when this processor started.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How far the last batch was behind the newest record of the shard, by the service's own
    /// account. Nothing before the first batch.
    #[must_use]
    pub const fn lag(&self) -> Option<Duration> {
        self.lag
    }
}

/// A request from user code to its shard task. The bound of the channel is one: user code waits
/// for the answer before it goes on.
pub(crate) struct CheckpointRequest {
    pub(crate) upto: Option<Checkpoint>,
    pub(crate) answer: oneshot::Sender<Result<(), Error>>,
}

/// Makes progress durable, from inside a callback. Usable only while the grant lasts.
#[derive(Clone)]
pub struct Checkpointer {
    pub(crate) shard: Arc<ShardId>,
    pub(crate) requests: mpsc::Sender<CheckpointRequest>,
}

impl Checkpointer {
    /// Makes everything delivered so far durable, the batch in hand included. In
    /// [`RecordProcessor::shard_ended`] it marks the shard as finished.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) if the shard is another worker's now,
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the store did not answer while
    /// the grant lasted.
    pub async fn checkpoint(&self) -> Result<(), Error> {
        self.ask(None).await
    }

    /// Makes everything up to this record durable, the record included.
    ///
    /// # Errors
    /// As [`Checkpointer::checkpoint`], and
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the record was not delivered yet or
    /// lies before the last checkpoint.
    pub async fn checkpoint_at(&self, record: &Record) -> Result<(), Error> {
        self.ask(Some(record.checkpoint())).await
    }

    async fn ask(&self, upto: Option<Checkpoint>) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let closed = || Error::fenced(&self.shard);
        self.requests
            .send(CheckpointRequest { upto, answer })
            .await
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}
