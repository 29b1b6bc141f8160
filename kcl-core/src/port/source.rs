//! Where batches come from. Polling implements it here, fan-out in `kcl-efo`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::env::Env;
use crate::error::{Error, Problem};
use crate::event::Events;
use crate::model::{Batch, Position, ShardId, StreamName};
use crate::port::Meter;

/// Opens feeds. One value serves all shards of a worker.
pub trait RecordSource: Send + Sync + 'static {
    /// What is wrong with the settings, all at once. Called by `build`; does no I/O.
    fn problems(&self) -> Vec<Problem>;

    /// Starts to read a shard. Dropping the feed stops the reading.
    ///
    /// The feed restarts itself from its own cursor when an iterator or a subscription expires, and
    /// retries what can be retried for as long as it lives. It reads ahead only as far as its
    /// budget of bytes goes.
    fn open(&self, request: OpenFeed) -> Feed;
}

/// What to read.
#[derive(Clone, Debug)]
pub struct OpenFeed {
    /// The stream.
    pub stream: StreamName,
    /// The shard.
    pub shard: ShardId,
    /// Where to start.
    pub from: Position,
    /// The wall clock and random numbers.
    pub env: Env,
    /// Where to tell what happens.
    pub events: Events,
    /// Where to count what the service was asked and what it answered.
    pub meter: Meter,
}

/// Why a feed ended before its shard did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The service refuses for good: the stream or shard is gone, or permission is missing.
    #[error(transparent)]
    Fatal(#[from] Error),
    /// The feed's task is gone without a word, which only a panic inside it can do.
    #[error("the feed of the shard ended unexpectedly")]
    Gone,
}

/// A running read of one shard: batches in order, without gaps and without repeats.
pub struct Feed {
    batches: mpsc::Receiver<Waiting>,
    _task: JoinSet<()>,
}

/// What waits in a feed, and what is given back when it is taken out.
struct Waiting {
    batch: Result<Batch, Error>,
    _room: OwnedSemaphorePermit,
    _held: Option<Held>,
}

/// Anything that is dropped when a batch leaves its feed, such as a share of a budget that several feeds
/// have together.
pub type Held = Box<dyn Any + Send>;

/// How many batches may wait in a feed beside the byte budget: enough to hide one fetch behind
/// another, few enough that a stop has little to throw away.
const BATCHES_WAITING_MAX: usize = 16;

/// Bytes are counted in units of this size, because a semaphore counts to 2^32 at most.
const UNIT: usize = 1024;

impl Feed {
    /// Runs `read` as the feed's task. It gets the sending end, bounded by `budget` bytes.
    pub fn spawn<F>(budget: usize, read: impl FnOnce(BatchSender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING_MAX);
        let units = u32::try_from(budget.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        let budget = Arc::new(Semaphore::new(units as usize));
        let mut task = JoinSet::new();
        task.spawn(read(BatchSender {
            sender,
            budget,
            units,
        }));
        Self {
            batches,
            _task: task,
        }
    }

    /// The next batch. Cancel-safe.
    ///
    /// # Errors
    /// [`FeedError`] if the shard cannot be read on. After a batch with children there is none.
    pub async fn next(&mut self) -> Result<Batch, FeedError> {
        match self.batches.recv().await {
            Some(waiting) => Ok(waiting.batch?),
            None => Err(FeedError::Gone),
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// The sending end of a feed. A full budget holds the reader back: that is the back-pressure.
#[derive(Clone, Debug)]
pub struct BatchSender {
    sender: mpsc::Sender<Waiting>,
    budget: Arc<Semaphore>,
    units: u32,
}

impl BatchSender {
    /// Waits until there is room for anything at all. A reader calls it before it fetches, so that
    /// a full feed neither polls nor reads the socket. False if nobody listens any more.
    pub async fn ready(&self) -> bool {
        tokio::select! {
            biased;
            () = self.sender.closed() => false,
            permit = self.budget.acquire() => permit.is_ok(),
        }
    }

    /// Sends a batch once the budget has room for it. A batch larger than the whole budget goes
    /// out alone. False if nobody listens any more.
    pub async fn send(&self, batch: Batch) -> bool {
        self.send_with(batch, None).await
    }

    /// As [`send`](Self::send); `held` is dropped when the batch is taken out of the feed.
    pub async fn send_with(&self, batch: Batch, held: Option<Held>) -> bool {
        let units = u32::try_from(batch.bytes().div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        let permit = self
            .budget
            .clone()
            .acquire_many_owned(units.min(self.units))
            .await;
        let Ok(room) = permit else { return false };
        let waiting = Waiting {
            batch: Ok(batch),
            _room: room,
            _held: held,
        };
        self.sender.send(waiting).await.is_ok()
    }

    /// Ends the feed with an error that the worker must act on.
    pub async fn fail(&self, error: Error) {
        let Ok(room) = self.budget.clone().acquire_owned().await else {
            return;
        };
        let waiting = Waiting {
            batch: Err(error),
            _room: room,
            _held: None,
        };
        if self.sender.send(waiting).await.is_err() {
            tracing::debug!("a feed failed after its shard was given up");
        }
    }
}
