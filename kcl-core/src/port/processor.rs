//! What the user writes, and what he is handed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ErrorKind};
use crate::model::{
    ApplicationName, Batch, Checkpoint, Epoch, PendingCheckpoint, Record, ShardId, StreamName,
    WorkerId,
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
    /// Called once, before any record. `shard.checkpoint()` says what is already processed,
    /// `shard.pending_checkpoint()` what a predecessor had prepared and not made.
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
    pub(crate) pending: Option<PendingCheckpoint>,
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

    /// What a predecessor of this processor had prepared and not made, as of when this one started.
    /// Its records come again; whether what it stands for was done is for the processor to find out.
    #[must_use]
    pub const fn pending_checkpoint(&self) -> Option<&PendingCheckpoint> {
        self.pending.as_ref()
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
    pub(crate) ask: Ask,
    /// With the checkpoint that is pending now, if that is what was asked for.
    pub(crate) answer: oneshot::Sender<Result<Option<Checkpoint>, Error>>,
}

/// What user code asks for, at a record or at all that was delivered.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// A checkpoint.
    Commit(Option<Checkpoint>),
    /// That one is pending.
    Prepare {
        upto: Option<Checkpoint>,
        state: Option<Bytes>,
    },
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
        self.ask(Ask::Commit(None)).await.map(|_| ())
    }

    /// Makes everything up to this record durable, the record included. A record that was one of
    /// several in an aggregated one is named with its place in it, so that those behind it come
    /// again and those before it do not.
    ///
    /// # Errors
    /// As [`Checkpointer::checkpoint`], and
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the record was not delivered yet or
    /// lies before the last checkpoint.
    pub async fn checkpoint_at(&self, record: &Record) -> Result<(), Error> {
        let ask = Ask::Commit(Some(record.checkpoint()));
        self.ask(ask).await.map(|_| ())
    }

    /// Announces a checkpoint at everything delivered so far, to be made with
    /// [`PreparedCheckpointer::checkpoint`] when what depends on it is done: the first of two phases.
    /// In [`RecordProcessor::shard_ended`] it announces the end of the shard.
    ///
    /// What is announced is durable when this returns. It replaces what was announced before, and
    /// is gone when a checkpoint there or behind it is made, by whomever: with the automatic policy
    /// `Ok` from `process_records` covers the whole batch. A checkpoint before it leaves it as it
    /// is (the KCL takes it away then). If the processor or its worker fails in between, the next
    /// one finds it in [`ShardContext::pending_checkpoint`], with the `state` that is given here: up
    /// to [`PendingCheckpoint::STATE_BYTES_MAX`] bytes in a format of its own.
    ///
    /// # Errors
    /// As [`Checkpointer::checkpoint`], and
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the state is too large.
    pub async fn prepare_checkpoint(
        &self,
        state: Option<Bytes>,
    ) -> Result<PreparedCheckpointer, Error> {
        self.prepare(None, state).await
    }

    /// Announces a checkpoint at this record, the record included. See
    /// [`Checkpointer::prepare_checkpoint`].
    ///
    /// # Errors
    /// As [`Checkpointer::prepare_checkpoint`], and
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the record was not delivered yet or
    /// lies before the last checkpoint.
    pub async fn prepare_checkpoint_at(
        &self,
        record: &Record,
        state: Option<Bytes>,
    ) -> Result<PreparedCheckpointer, Error> {
        self.prepare(Some(record.checkpoint()), state).await
    }

    async fn prepare(
        &self,
        upto: Option<Checkpoint>,
        state: Option<Bytes>,
    ) -> Result<PreparedCheckpointer, Error> {
        let max = PendingCheckpoint::STATE_BYTES_MAX;
        if let Some(bytes) = state.as_ref().map(Bytes::len).filter(|bytes| *bytes > max) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "the state of a pending checkpoint of shard {} has {bytes} bytes; at most \
                     {max} are kept",
                    self.shard
                ),
            ));
        }
        match self.ask(Ask::Prepare { upto, state }).await? {
            Some(checkpoint) => Ok(PreparedCheckpointer {
                checkpointer: self.clone(),
                checkpoint,
            }),
            None => Err(Error::new(
                ErrorKind::Internal,
                format!("nothing is pending on shard {} after all", self.shard),
            )),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Option<Checkpoint>, Error> {
        let (answer, answered) = oneshot::channel();
        let closed = || Error::fenced(&self.shard);
        self.requests
            .send(CheckpointRequest { ask, answer })
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

/// A checkpoint that is announced; [`PreparedCheckpointer::checkpoint`] makes it. Dropping it makes
/// nothing and takes nothing back: what is announced stays until the next checkpoint.
#[derive(Clone, Debug)]
pub struct PreparedCheckpointer {
    checkpointer: Checkpointer,
    checkpoint: Checkpoint,
}

impl PreparedCheckpointer {
    /// The checkpoint that is announced.
    #[must_use]
    pub const fn pending(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Makes the checkpoint durable: the second of two phases. One that is durable already costs
    /// nothing.
    ///
    /// # Errors
    /// As [`Checkpointer::checkpoint_at`]: [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a
    /// later checkpoint was made meanwhile.
    pub async fn checkpoint(&self) -> Result<(), Error> {
        let ask = Ask::Commit(Some(self.checkpoint.clone()));
        self.checkpointer.ask(ask).await.map(|_| ())
    }
}
