//! What the user writes instead of a processor: a function of a batch. And what it is handed.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{BoxError, ShardContext, Standing};
use crate::error::Error;
use crate::event::FailureCause;
use crate::model::{Record, SequenceNumber};

/// Makes one attempt at one batch, and says what became of it. Given by
/// [`WorkerBuilder::with_batch_handler`](crate::WorkerBuilder::with_batch_handler).
///
/// One value serves all shards of the worker, and up to `handler.lanes` calls for each shard at once.
/// The records of a batch are of one shard and in its order; records with the same partition key are in
/// one call at a time, so their order holds across calls. How often an attempt is repeated, after
/// which pause, and what happens to records that cannot be processed is the worker's business
/// ([`FailureSettings`](crate::FailureSettings)).
///
/// A panic is a failure of the whole batch. A call may be cancelled at any `await`: when it takes longer than
/// `failure.call_max`, when the shard is lost, or when leaving takes too long. Records that were not settled come
/// again, so a handler has to bear repetition.
///
/// A function of a [`HandlerBatch`] that returns `()` or a [`BatchOutcome`] is a handler.
#[async_trait]
pub trait BatchHandler: Send + Sync + 'static {
    /// Processes the records. `Ok` says which are done; see [`BatchOutcome`].
    ///
    /// # Errors
    /// Any error fails the whole batch: no record of it is settled.
    async fn handle(&self, batch: HandlerBatch) -> Result<BatchOutcome, BoxError>;
}

#[async_trait]
impl<F, Fut, R> BatchHandler for F
where
    F: Fn(HandlerBatch) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, BoxError>> + Send,
    R: Into<BatchOutcome>,
{
    async fn handle(&self, batch: HandlerBatch) -> Result<BatchOutcome, BoxError> {
        self(batch).await.map(Into::into)
    }
}

/// What became of a batch. Records are named by their place in it, counted from 0, because sequence numbers
/// do not tell apart the records of an aggregated one.
///
/// A place that is not in the batch fails the whole batch.
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchOutcome {
    /// All records are processed.
    All,
    /// The records before `first` are processed. That one failed, and those behind it come again with it:
    /// the partial failure of AWS Lambda.
    FailedFrom {
        /// The first one that is not processed.
        first: usize,
        /// Why, if there is something to say.
        error: Option<BoxError>,
    },
    /// Exactly these records failed. All others are processed.
    Failed {
        /// Those that failed, in any order. None means that all are processed.
        records: Vec<usize>,
        /// Why, if there is something to say.
        error: Option<BoxError>,
    },
    /// The records before `from` are processed; the others were not tried, because what processes them could not
    /// be reached. They come again after a pause. It does not count as an attempt.
    NotTried {
        /// The first one that was not tried.
        from: usize,
        /// Why, if there is something to say.
        error: Option<BoxError>,
    },
}

impl From<()> for BatchOutcome {
    fn from((): ()) -> Self {
        Self::All
    }
}

/// Records for one call, with what there is to know about it. Derefs to the records. Cheap to clone.
#[derive(Clone)]
pub struct HandlerBatch {
    pub(crate) records: Arc<Vec<Record>>,
    pub(crate) context: HandlerContext,
}

impl HandlerBatch {
    /// The records, in the order of the shard. At least one.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Which shard, which attempt, and whether to go on.
    #[must_use]
    pub const fn context(&self) -> &HandlerContext {
        &self.context
    }
}

impl Deref for HandlerBatch {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.records
    }
}

/// The payloads are left out: record data does not belong in logs.
impl fmt::Debug for HandlerBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerBatch")
            .field("records", &self.records.len())
            .field("context", &self.context)
            .finish()
    }
}

/// What a handler is told beside the records. Cheap to clone.
#[derive(Clone)]
pub struct HandlerContext {
    pub(crate) shard: Arc<ShardContext>,
    pub(crate) attempt: u32,
    pub(crate) lane: usize,
    pub(crate) permit: Permit,
}

impl HandlerContext {
    /// The shard and the grant. [`ShardContext::lag`] is that of the newest record taken in.
    #[must_use]
    pub fn shard(&self) -> &ShardContext {
        &self.shard
    }

    /// Which attempt at these records this is, counted from 1. A batch that was cut in two, and a holder that
    /// took the shard over, count anew.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// In which of the shard's lanes, counted from 0. No other call is in this lane of this shard now.
    #[must_use]
    pub const fn lane(&self) -> usize {
        self.lane
    }

    /// Whether one more record may be begun: the worker still holds the shard for certain, and neither shuts
    /// down nor hands it over. A call that takes long may ask, and return
    /// [`BatchOutcome::NotTried`] for the rest. Record handlers and streams ask by themselves.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        !*self.permit.stops.borrow() && self.permit.is_held(Instant::now())
    }
}

impl fmt::Debug for HandlerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerContext")
            .field("shard", self.shard.shard())
            .field("epoch", &self.shard.epoch())
            .field("attempt", &self.attempt)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

/// Whether a call may begin with one more record.
#[derive(Clone)]
pub(crate) struct Permit {
    pub(crate) standing: watch::Receiver<Standing>,
    /// The worker wants this call to come to its end.
    pub(crate) stops: watch::Receiver<bool>,
}

impl Permit {
    /// Whether the grant is proven.
    pub(crate) fn is_held(&self, now: Instant) -> bool {
        // A closed channel means that the grant is lost.
        self.standing.has_changed().is_ok()
            && match *self.standing.borrow() {
                Standing::Held { until } | Standing::HandOver { until } => now < until,
                Standing::Lost => false,
            }
    }

    /// Resolves when the call is to come to its end.
    pub(crate) async fn stopped(&self) {
        let mut stops = self.stops.clone();
        if stops.wait_for(|stops| *stops).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What may not be committed yet though it is settled, because the handler holds something in memory for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The first record of it, and all behind.
    pub(crate) from: SequenceNumber,
    /// When the handler is to be called without records if none come by then, and the shard is read to its tip.
    pub(crate) wakes_at: Instant,
}

/// What became of a call, in the engine's words.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is settled.
    Done,
    /// Settled up to here; the rest failed together.
    FailedFrom(usize, Failed),
    /// Settled before these; they failed together; those behind them were not begun.
    #[cfg_attr(
        not(feature = "lambda"),
        expect(dead_code, reason = "only windows of functions have records behind")
    )]
    FailedWithin(Range<usize>, Failed),
    /// These failed; the others are settled. In order, without repetition, never empty.
    FailedAt(Vec<usize>, Failed),
    /// Settled up to here; that record failed, or none did; those behind it were not begun.
    Stopped(usize, Option<Failed>),
    /// Settled up to here; the rest was not tried, and should not be for a while.
    NotTried(usize, Failed),
    /// The call was cut off.
    Cancelled,
}

/// Why records failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) cause: FailureCause,
    pub(crate) error: Error,
}
