//! How a worker is given the handler: one way for each door.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use kcl_core::model::Record;
use kcl_core::{
    BatchOutcome, BatchStream, BoxError, FailedBatch, FailurePolicy, FailureSettings, HandlerBatch,
    HandlerContext, HandlerSettings, Settings, StreamBatch, WorkerBuilder,
};
use tokio::time::{Instant, sleep};

use super::{About, Ending, Errand, Handler, Mood};
use crate::sim::processor::id_of;
use crate::sim::scenario::{Door, Handling, Policy};

/// What has to run beside the worker: the reader of its stream of batches.
pub(crate) type Read = BoxFuture<'static, ()>;

impl Handler {
    /// What the worker has to be set to. A mapping sets most of it by itself.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        let handling = &self.of.handling;
        let takes = |time| self.rate.takes(time);
        settings.handler.unsettled_records_max = handling.span;
        settings.failure.call_max = handling.call_max.map(takes);
        if handling.door.is_lambda() {
            return;
        }
        settings.handler = HandlerSettings {
            lanes: handling.lanes,
            lane_choice: handling.lane_choice,
            lane_commit: handling.lane_commit,
            batch_records_max: handling.batch,
            batch_window: takes(handling.wait),
            ..settings.handler.clone()
        };
        settings.failure = FailureSettings {
            policy: match handling.policy {
                Policy::Again => FailurePolicy::Restart,
                Policy::GiveUp { .. } => FailurePolicy::Divert,
                Policy::Halt { .. } => FailurePolicy::StopWorker,
            },
            attempts_max: match handling.policy {
                Policy::Halt { attempts } => attempts,
                Policy::Again | Policy::GiveUp { .. } => handling.policy.attempts(),
            },
            bisect: handling.bisect,
            delay_min: Handling::PAUSES.0,
            delay_max: Handling::PAUSES.1,
            ..settings.failure.clone()
        };
    }

    /// The worker hands its records to this handler.
    pub(crate) fn open(&self, builder: WorkerBuilder) -> (WorkerBuilder, Option<Read>) {
        let of = self.clone();
        let builder = match self.door() {
            Door::Record => builder.with_record_handler(move |record, context| {
                let of = of.clone();
                async move { of.record(record, context).await }
            }),
            Door::Batch | Door::Places => builder.with_batch_handler(move |batch: HandlerBatch| {
                let of = of.clone();
                async move { of.batch(batch).await }
            }),
            Door::Stream => {
                let (builder, batches) = builder.with_batch_stream();
                let builder = self.with_destination(builder);
                return (builder, Some(read(of, batches).boxed()));
            }
            Door::Function | Door::Reports | Door::Windows => {
                return (self.open_function(builder), None);
            }
        };
        (self.with_destination(builder), None)
    }

    fn with_destination(&self, builder: WorkerBuilder) -> WorkerBuilder {
        if !matches!(self.of.handling.policy, Policy::GiveUp { .. }) {
            return builder;
        }
        let of = self.clone();
        builder.with_failure_destination(move |failed: FailedBatch| {
            let of = of.clone();
            async move { of.destination(failed).await }
        })
    }

    async fn record(&self, record: Record, context: HandlerContext) -> Result<(), BoxError> {
        let mut running = self.start(about(&[record], &context));
        running.run(self.door()).await.map(drop)
    }

    async fn batch(&self, batch: HandlerBatch) -> Result<BatchOutcome, BoxError> {
        let mut running = self.start(about(batch.records(), batch.context()));
        let records = running.run(self.door()).await?;
        let error = None;
        Ok(BatchOutcome::Failed { records, error })
    }

    async fn destination(&self, failed: FailedBatch) -> Result<(), BoxError> {
        let mut running = self.start(About {
            shard: failed.document.shard.clone(),
            epoch: failed.document.epoch.get(),
            lane: None,
            errand: Errand::GiveUp,
            ids: failed.records.iter().map(id_of).collect(),
            state: None,
        });
        running.run(self.door()).await.map(drop)
    }

    /// What a reader does with a batch.
    async fn read(&self, batch: StreamBatch) {
        let mut running = self.start(about(batch.records(), batch.context()));
        if let (Mood::Hangs, Some(call_max)) = (running.mood, self.of.handling.call_max) {
            // Nobody can take a batch back from its reader: this one does nothing with it, and is late.
            running.ending = Ending::Failed;
            drop(running);
            let (began, late) = (Instant::now(), self.rate.takes(call_max * 2));
            sleep(late).await;
            if began.elapsed() > late + TICK {
                // It was frozen, and so was the worker's clock for the call: who acknowledges now may be in time.
                drop(batch.nack("late"));
            } else {
                drop(batch.ack());
            }
            return;
        }
        let said = match running.run(self.door()).await {
            Ok(_) => batch.ack(),
            Err(error) => batch.nack(error),
        };
        if said.is_err() {
            // Too late: the shard was lost, or all of it was held up.
            (running.ending, running.done) = (Ending::Cancelled, Vec::new());
        }
    }
}

/// Timers are no finer.
const TICK: Duration = Duration::from_millis(1);

fn about(records: &[Record], context: &HandlerContext) -> About {
    About {
        shard: context.shard().shard().clone(),
        epoch: context.shard().epoch().get(),
        lane: Some(context.lane()),
        errand: Errand::Handle,
        ids: records.iter().map(id_of).collect(),
        state: None,
    }
}

/// Reads a stream of batches to its end, with all that are there at a time.
async fn read(handler: Handler, mut batches: BatchStream) {
    let handler = Arc::new(handler);
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased; // ORDER: what is done before what is new
            Some(()) = running.next() => {}
            batch = batches.next() => {
                let Some(batch) = batch else { return };
                let handler = handler.clone();
                let work = async move { handler.read(batch).await };
                // A reader that panics drops its batch.
                running.push(AssertUnwindSafe(work).catch_unwind().map(drop));
            }
        }
    }
}
