//! Batches as a stream, for who would rather pull than be called.
//!
//! A batch waits in a short queue until the stream's reader takes it. One whose shard was lost meanwhile, or has to
//! be given back, is taken back by its call and never seen.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream};
use tokio::sync::{mpsc, oneshot};

use super::door::{Handler, Terms, said};
use super::guard::guarded;
use crate::error::Error;
use crate::model::Record;
use crate::port::{BatchOutcome, BoxError, HandlerBatch, HandlerContext, Outcome};

/// Batches that may wait for the reader, of all shards together. More wait in their calls.
const BATCHES_WAITING_MAX: usize = 16;

/// The batches of all shards of a worker, made by
/// [`WorkerBuilder::with_batch_stream`](crate::WorkerBuilder::with_batch_stream). It ends when the worker has.
///
/// The worker runs beside it, in a task of its own. A shard has as many batches out as it has lanes; the next comes when
/// one is acknowledged. Several tasks can share the work by passing batches on.
#[derive(Debug)]
pub struct BatchStream {
    batches: mpsc::Receiver<Offer>,
}

/// A batch on its way to the reader.
struct Offer {
    batch: HandlerBatch,
    taken: Arc<AtomicBool>,
    answer: oneshot::Sender<Answer>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.batch.fmt(f)
    }
}

enum Answer {
    Settled(Result<BatchOutcome, BoxError>),
    /// The reader did not see it.
    Unseen,
}

impl Stream for BatchStream {
    type Item = StreamBatch;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamBatch>> {
        loop {
            let offer = match self.batches.poll_recv(context) {
                Poll::Ready(Some(offer)) => offer,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            // Its call may have taken it back.
            if offer.answer.is_closed() || offer.taken.swap(true, Ordering::AcqRel) {
                continue;
            }
            if offer.batch.context.may_go_on() {
                return Poll::Ready(Some(StreamBatch {
                    batch: offer.batch,
                    answer: offer.answer,
                }));
            }
            // Whoever asked may be gone by now, which is as well.
            drop(offer.answer.send(Answer::Unseen));
        }
    }
}

/// A batch to be processed and acknowledged. Dropping it without a word is a failure: it comes again, by the worker's
/// failure policy.
#[must_use = "a batch that is dropped without `ack` has failed, and comes again"]
pub struct StreamBatch {
    batch: HandlerBatch,
    answer: oneshot::Sender<Answer>,
}

impl StreamBatch {
    /// The records, in the order of the shard. At least one.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.batch.records()
    }

    /// Which shard, which attempt, and whether to go on.
    #[must_use]
    pub const fn context(&self) -> &HandlerContext {
        self.batch.context()
    }

    /// All records are processed.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) if it comes too late: the shard was lost, or the call was cut
    /// off. The records come again.
    pub fn ack(self) -> Result<(), Error> {
        self.settle(BatchOutcome::All)
    }

    /// No record is processed. They come again, by the worker's failure policy.
    ///
    /// # Errors
    /// As [`StreamBatch::ack`].
    pub fn nack(self, error: impl Into<BoxError>) -> Result<(), Error> {
        self.answer(Answer::Settled(Err(error.into())))
    }

    /// Some records are processed.
    ///
    /// # Errors
    /// As [`StreamBatch::ack`].
    pub fn settle(self, outcome: BatchOutcome) -> Result<(), Error> {
        self.answer(Answer::Settled(Ok(outcome)))
    }

    fn answer(self, answer: Answer) -> Result<(), Error> {
        let shard = self.batch.context.shard.clone();
        let fenced = |_| Error::fenced(shard.shard());
        self.answer.send(answer).map_err(fenced)
    }
}

impl fmt::Debug for StreamBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.batch.fmt(f)
    }
}

/// The end of the stream that the worker has.
pub(crate) struct StreamDoor {
    batches: mpsc::Sender<Offer>,
}

/// A stream, and what feeds it.
pub(crate) fn batches() -> (StreamDoor, BatchStream) {
    let (sender, batches) = mpsc::channel(BATCHES_WAITING_MAX);
    (StreamDoor { batches: sender }, BatchStream { batches })
}

impl Handler for StreamDoor {
    fn call(&self, batch: HandlerBatch, terms: Terms) -> BoxFuture<'static, Outcome> {
        let (batches, call_max) = (self.batches.clone(), terms.call_max);
        async move {
            let (context, len) = (batch.context.clone(), batch.len());
            let shard = context.shard.shard();
            let attempt = guarded(
                "the stream's reader",
                shard,
                call_max,
                offer(batches, batch),
            );
            match attempt.await {
                Ok(Some(outcome)) => said(outcome, len, shard),
                Ok(None) => Outcome::Stopped(0, None),
                Err(failed) => Outcome::FailedFrom(0, failed),
            }
        }
        .boxed()
    }

    fn is_by_record(&self) -> bool {
        false
    }

    fn brings_back(&self) -> bool {
        true
    }
}

/// Offers a batch, and waits for what becomes of it. Nothing if the reader has not seen it.
async fn offer(
    batches: mpsc::Sender<Offer>,
    batch: HandlerBatch,
) -> Result<Option<BatchOutcome>, BoxError> {
    let permit = batch.context.permit.clone();
    let taken = Arc::new(AtomicBool::new(false));
    let (answer, mut answered) = oneshot::channel();
    let offer = Offer {
        batch,
        taken: taken.clone(),
        answer,
    };
    let given = tokio::select! {
        biased;
        // ORDER: what need not be begun any more is not.
        () = permit.stopped() => return Ok(None),
        given = batches.send(offer) => given,
    };
    if given.is_err() {
        return Err("nobody reads the stream of batches any more".into());
    }
    let answer = tokio::select! {
        biased;
        // ORDER: an answer that is here counts.
        answer = &mut answered => answer,
        () = permit.stopped() => {
            if !taken.swap(true, Ordering::AcqRel) {
                return Ok(None);
            }
            answered.await
        }
    };
    match answer {
        Ok(Answer::Settled(outcome)) => outcome.map(Some),
        Ok(Answer::Unseen) => Ok(None),
        Err(_) => Err("the batch was dropped without being acknowledged".into()),
    }
}
