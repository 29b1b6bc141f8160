//! The pen of one grant: it asks the tenure of its lease, which does all writing.

use async_trait::async_trait;
use kcl_core::model::{Checkpoint, ChildShard, PendingCheckpoint, ShardId};
use kcl_core::port::{CommitError, Right};
use tokio::sync::{mpsc, oneshot};

/// What the consumer of a shard wants written.
#[derive(Debug)]
pub(crate) enum Work {
    /// The checkpoint.
    Commit(Checkpoint),
    /// The checkpoint that is announced.
    Prepare(PendingCheckpoint),
    /// The end, with the children.
    Finish(Vec<ChildShard>),
    /// The lease given back.
    Release,
}

/// A piece of work, and where its outcome goes.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) work: Work,
    pub(crate) answer: oneshot::Sender<Result<(), CommitError>>,
}

/// The consumer's side. When it is dropped the tenure gives the lease back.
#[derive(Debug)]
pub(crate) struct JavaRight {
    pub(crate) shard: ShardId,
    pub(crate) asks: mpsc::Sender<Ask>,
}

impl JavaRight {
    async fn ask(&self, work: Work) -> Result<(), CommitError> {
        let fenced = || CommitError::Fenced {
            shard: self.shard.clone(),
        };
        let (answer, answered) = oneshot::channel();
        let ask = Ask { work, answer };
        self.asks.send(ask).await.map_err(|_| fenced())?;
        answered.await.map_err(|_| fenced())?
    }
}

#[async_trait]
impl Right for JavaRight {
    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), CommitError> {
        self.ask(Work::Commit(checkpoint.clone())).await
    }

    async fn prepare(&mut self, pending: &PendingCheckpoint) -> Result<(), CommitError> {
        self.ask(Work::Prepare(pending.clone())).await
    }

    async fn finish(&mut self, children: &[ChildShard]) -> Result<(), CommitError> {
        self.ask(Work::Finish(children.to_vec())).await
    }

    async fn release(&mut self) -> Result<(), CommitError> {
        self.ask(Work::Release).await
    }
}
