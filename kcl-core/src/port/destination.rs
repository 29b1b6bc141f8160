//! Where records go that cannot be processed, and what goes with them.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::BoxError;
use crate::event::{FailureCause, GiveUpReason};
use crate::model::{ApplicationName, Epoch, Record, SequenceNumber, ShardId, StreamName, WorkerId};

/// Takes records that the worker has given up on. Given by
/// [`WorkerBuilder::with_failure_destination`](crate::WorkerBuilder::with_failure_destination).
///
/// A function of a [`FailedBatch`] is one. With the feature `destinations` two are ready: `JsonLinesFile`
/// and `KinesisDestination`.
#[async_trait]
pub trait FailureDestination: Send + Sync + 'static {
    /// Keeps the records and the document. The records count as settled when this returns `Ok`, and not before:
    /// what is lost after that is lost.
    ///
    /// # Errors
    /// Any error means that nothing is settled. It is tried again after a pause, for as long as it takes; so a
    /// destination may get the same records more than once.
    async fn send(&self, failed: &FailedBatch) -> Result<(), BoxError>;
}

#[async_trait]
impl<F, Fut> FailureDestination for F
where
    F: Fn(FailedBatch) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send,
{
    async fn send(&self, failed: &FailedBatch) -> Result<(), BoxError> {
        self(failed.clone()).await
    }
}

/// Records that the worker has given up on, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedBatch {
    /// What happened.
    pub document: FailureDocument,
    /// The records with their payloads, in the order of the shard. At least one.
    pub records: Arc<Vec<Record>>,
}

/// What is known about records that the worker has given up on: what an on-failure document of AWS Lambda says,
/// without its form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureDocument {
    /// The application.
    pub application: ApplicationName,
    /// The stream.
    pub stream: StreamName,
    /// The shard.
    pub shard: ShardId,
    /// The worker.
    pub worker: WorkerId,
    /// The number of its grant.
    pub epoch: Epoch,
    /// Which limit was reached.
    pub reason: GiveUpReason,
    /// How often the handler was called with these records. 0 if they were too old when they came.
    pub attempts: u32,
    /// How the last attempt failed. Nothing if there was none.
    pub cause: Option<FailureCause>,
    /// What the last attempt said, with all its causes. Nothing if there was none.
    pub error: Option<String>,
    /// How many records.
    pub batch_size: usize,
    /// The first of them.
    pub start_sequence_number: SequenceNumber,
    /// The place of the first in an aggregated record, 0 for a plain one.
    pub start_subsequence_number: u64,
    /// The last of them.
    pub end_sequence_number: SequenceNumber,
    /// The place of the last in an aggregated record, 0 for a plain one.
    pub end_subsequence_number: u64,
    /// When the first arrived, by the service's clock.
    pub arrival_of_first: Option<SystemTime>,
    /// When the last arrived, by the service's clock.
    pub arrival_of_last: Option<SystemTime>,
    /// When they were given up, by the worker's clock.
    pub given_up_at: SystemTime,
}
