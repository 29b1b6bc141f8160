//! The doors by which records leave a worker: a processor, or a handler of one of three kinds. What each of them
//! says is put into the engine's words here.
//!
//! * [`Door`]: which one a worker has.
//! * [`BatchDoor`], [`RecordDoor`]: a handler of batches, a function of records. The stream is in `stream`.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::guard::{Factory, guarded};
use crate::decide::lanes::{CallId, Weigh};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::event::FailureCause;
use crate::model::{Record, ShardId};
use crate::port::{
    BatchHandler, BatchOutcome, BoxError, Failed, FailureDestination, HandlerBatch, HandlerContext,
    Hold, Outcome, ProcessorResult,
};

/// How long a call goes on with more records of its batch. Long enough that starting a task costs little beside it;
/// short enough that what is done is soon counted as settled, and what waits behind a slow record soon goes on.
const SLICE: Duration = Duration::from_millis(20);

/// By which door records leave.
#[derive(Clone)]
pub(crate) enum Door {
    Processor(Factory),
    Handler(HandlerDoor),
}

/// A handler and what belongs to it.
#[derive(Clone)]
pub(crate) struct HandlerDoor {
    /// The handler of a shard: its own, or one for all.
    pub(crate) handler: MakeHandler,
    pub(crate) filter: Option<Filter>,
    pub(crate) destination: Option<Arc<dyn FailureDestination>>,
}

/// Makes the handler of a shard.
pub(crate) type MakeHandler = Arc<dyn Fn(&Env) -> Arc<dyn Handler> + Send + Sync>;

/// Whether a record is to be processed, as the user says it.
pub(crate) type Filter = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// A handler of any kind, as the engine calls it.
pub(crate) trait Handler: Send + Sync {
    /// Makes one attempt. Does not panic, and takes no longer than it may.
    fn call(&self, batch: HandlerBatch, terms: Terms) -> BoxFuture<'static, Outcome>;

    /// Whether the user sees the records one by one.
    fn is_by_record(&self) -> bool;

    /// Whether a call may bring back records that the user has not seen.
    fn brings_back(&self) -> bool;

    /// What it holds in memory now, between calls. For a handler with one lane; it is called without records when
    /// that is to be given up.
    fn hold(&self) -> Option<Hold> {
        None
    }

    /// How much of a batch a record of this shard takes, if not its bytes.
    fn weigh(&self, _shard: &ShardId) -> Option<Weigh> {
        None
    }
}

/// How a call is to be made.
pub(crate) struct Terms {
    pub(crate) call_max: Option<Duration>,
    /// Takes what is not begun while one record takes long.
    pub(crate) rest: Rest,
}

/// Takes back what a call has not begun. At most once for each call, with how many records are done: one more is in
/// hand, and the call is about that one alone from then on.
pub(crate) struct Rest {
    pub(crate) id: CallId,
    pub(crate) to: mpsc::Sender<(CallId, usize)>,
}

impl Rest {
    /// False if nobody takes it.
    fn give_back(&self, done: usize) -> bool {
        self.to.try_send((self.id, done)).is_ok()
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processor(_) => "Processor",
            Self::Handler(_) => "Handler",
        })
    }
}

/// A [`BatchHandler`].
pub(crate) struct BatchDoor<H>(pub(crate) Arc<H>);

impl<H: BatchHandler> Handler for BatchDoor<H> {
    fn call(&self, batch: HandlerBatch, terms: Terms) -> BoxFuture<'static, Outcome> {
        let (handler, call_max) = (self.0.clone(), terms.call_max);
        async move {
            let (shard, len) = (batch.context.shard.clone(), batch.len());
            let shard = shard.shard();
            let call = async move { handler.handle(batch).await };
            match guarded("the handler", shard, call_max, call).await {
                Ok(outcome) => said(outcome, len, shard),
                Err(failed) => Outcome::FailedFrom(0, failed),
            }
        }
        .boxed()
    }

    fn is_by_record(&self) -> bool {
        false
    }

    fn brings_back(&self) -> bool {
        false
    }
}

/// What a handler said about a batch of this length.
pub(crate) fn said(outcome: BatchOutcome, len: usize, shard: &ShardId) -> Outcome {
    let failed = |cause, error: Option<BoxError>| {
        let what = match cause {
            FailureCause::NotTried => "did not try the records",
            FailureCause::Error
            | FailureCause::Panic
            | FailureCause::TimedOut
            | FailureCause::Reported => "reported failed records",
        };
        let message = format!("the handler of shard {shard} {what}");
        let made = Error::new(ErrorKind::Processor, message);
        let error = match error {
            Some(source) => made.with_source(source),
            None => made,
        };
        Failed { cause, error }
    };
    let nowhere = |place: usize| {
        let message = format!(
            "the handler of shard {shard} named record {place} of a batch of {len}; places count from 0"
        );
        let error = Error::new(ErrorKind::Processor, message);
        let cause = FailureCause::Reported;
        Outcome::FailedFrom(0, Failed { cause, error })
    };
    match outcome {
        BatchOutcome::All => Outcome::Done,
        BatchOutcome::FailedFrom { first, .. } if first >= len => nowhere(first),
        BatchOutcome::FailedFrom { first, error } => {
            Outcome::FailedFrom(first, failed(FailureCause::Reported, error))
        }
        BatchOutcome::Failed { records, .. } if records.is_empty() => Outcome::Done,
        BatchOutcome::Failed { mut records, error } => {
            records.sort_unstable();
            records.dedup();
            match records.last() {
                Some(last) if *last >= len => nowhere(*last),
                Some(_) | None => Outcome::FailedAt(records, failed(FailureCause::Reported, error)),
            }
        }
        BatchOutcome::NotTried { from, .. } if from >= len => nowhere(from),
        BatchOutcome::NotTried { from, error } => {
            Outcome::NotTried(from, failed(FailureCause::NotTried, error))
        }
    }
}

/// A function of single records.
pub(crate) struct RecordDoor<F>(pub(crate) Arc<F>);

impl<F, Fut> Handler for RecordDoor<F>
where
    F: Fn(Record, HandlerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ProcessorResult> + Send + 'static,
{
    fn call(&self, batch: HandlerBatch, terms: Terms) -> BoxFuture<'static, Outcome> {
        let handle = self.0.clone();
        async move {
            let until = Instant::now() + SLICE;
            let mut slice = pin!(sleep_until(until));
            let HandlerBatch { records, context } = batch;
            for (place, record) in records.iter().enumerate() {
                let is_over = place > 0 && Instant::now() >= until;
                if is_over || !context.may_go_on() {
                    return Outcome::Stopped(place, None);
                }
                let (record, of_call) = (record.clone(), context.clone());
                let call = async { handle(record, of_call).await };
                let shard = context.shard.shard();
                let mut call = pin!(guarded("the handler", shard, terms.call_max, call));
                let is_last = place + 1 == records.len();
                let (outcome, stands_alone) = tokio::select! {
                    biased;
                    // ORDER: a record that is done needs no time.
                    outcome = &mut call => (outcome, false),
                    () = &mut slice, if !is_last => {
                        let is_taken = terms.rest.give_back(place);
                        (call.await, is_taken)
                    }
                };
                match outcome {
                    Ok(()) if stands_alone => return Outcome::Done,
                    Ok(()) => {}
                    Err(failed) if stands_alone => return Outcome::Stopped(0, Some(failed)),
                    Err(failed) => return Outcome::Stopped(place, Some(failed)),
                }
            }
            Outcome::Done
        }
        .boxed()
    }

    fn is_by_record(&self) -> bool {
        true
    }

    fn brings_back(&self) -> bool {
        true
    }
}
