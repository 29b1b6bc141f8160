//! Consumer framework for Amazon Kinesis streams: you write what happens to records, a [`Worker`]
//! does the rest. Workers of one application share the shards of a stream, go on where
//! another one stopped, and follow splits and merges, parents before children.
//!
//! ```no_run
//! use kcl_core::*;
//! # use kcl_core::port::*;
//! # struct DynamoLeases;
//! # impl DynamoLeases { fn new(_: &aws_config::SdkConfig) -> Self { Self } }
//! # #[async_trait]
//! # impl Ownership for DynamoLeases {
//! #     fn problems(&self) -> Vec<Problem> { Vec::new() }
//! #     async fn start(self: Box<Self>, _: OwnershipStart) -> Result<OwnershipRun, Error> {
//! #         unimplemented!()
//! #     }
//! # }
//!
//! struct Print;
//!
//! #[async_trait]
//! impl RecordProcessor for Print {
//!     async fn process_records(
//!         &mut self, shard: &ShardContext, batch: &Batch, _: &Checkpointer,
//!     ) -> ProcessorResult {
//!         for record in &batch.records {
//!             println!("{}: {} bytes", shard.shard(), record.data.len());
//!         }
//!         Ok(()) // all of the batch is processed, and need not come again
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//!     let worker = Worker::builder("orders-app", "orders")
//!         .with_source(Polling::new(&aws))
//!         .with_ownership(DynamoLeases::new(&aws)) // from kcl-lease
//!         .with_processor(|_: &ShardContext| Print)
//!         .build()?;
//!     let report = worker.run(async { drop(tokio::signal::ctrl_c().await) }).await?;
//!     println!("{report}");
//!     Ok(())
//! }
//! ```
//!
//! # What is promised
//!
//! * **At least once.** Every record is delivered until a processor has said `Ok` to it. An error
//!   or a panic never counts as processed. After a crash, what was processed since the last
//!   checkpoint comes again; after an orderly shutdown or hand-over nothing does.
//! * **In order.** A processor gets the records of its shard in order and without a gap, one call
//!   at a time; children of a shard start when all their parents are finished.
//! * **One reader.** No call starts once the worker cannot prove that it still holds the shard. What
//!   is in a call at that moment may overlap with the next worker; carry [`ShardContext::epoch`]
//!   into your sink if that matters (see [`Epoch`]).
//!
//! # Parts
//!
//! * [`RecordProcessor`] is yours. [`Worker`] runs it; [`Settings`] say when progress is committed,
//!   what happens when it fails, and how long leaving may take (all in `docs/settings.md`).
//! * Or you write less: a closure for each record ([`WorkerBuilder::with_record_handler`]), a
//!   [`BatchHandler`] that says which records failed, a stream of batches to acknowledge
//!   ([`WorkerBuilder::with_batch_stream`]). They run in lanes, several calls for one shard at once with the
//!   order of each partition key kept, and [`FailureSettings`] say what becomes of records that fail: tried
//!   again, halved, given to a [`FailureDestination`], or the worker stops. `docs/processors.md` shows each.
//! * A [`RecordSource`] brings batches: [`Polling`] here, fan-out in `kcl-efo`.
//! * An [`Ownership`] says which shards this worker may read and keeps the checkpoints: the leases
//!   of `kcl-lease`.
//! * One stream, or several that come and go while the worker runs: [`Streams`].
//! * What happens is one stream of [`Event`]s, for tests, metrics and alarms of your own:
//!   [`WorkerBuilder::with_observer`].
//! * Errors are one type, [`Error`], with a [`kind`](Error::kind) to act on and a message that says
//!   what to do.
//! * With the feature `metrics`, `MetricsObserver` counts and times under the KCL's names
//!   (`docs/metrics.md`).
//! * With the feature `destinations`, `JsonLinesFile` and `KinesisDestination` keep records that cannot
//!   be processed.
//! * With the feature `kpl`, records that the Kinesis Producer Library aggregated are taken apart
//!   (`docs/kpl.md`).
//! * With the feature `lambda`, the parts of Lambda's event source mapping (`docs/lambda.md`).
//! * With the feature `testing`, `contract` has a scripted source and leases in memory, to test a
//!   processor in a whole worker without any service.
//!
//! A worker is one future, and every task of it hangs from that future: dropping it stops
//! everything at once, as a crash would. User code runs on the same runtime and must not block it.
//! Panics in user code are caught, which needs `panic = "unwind"`, the default.

#![warn(missing_docs)]

#[macro_use]
#[doc(hidden)]
pub mod planted;

pub mod aws;
mod builder;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod decide;
mod decode;
#[cfg(feature = "destinations")]
mod destination;
pub mod env;
pub mod error;
pub mod event;
#[cfg(feature = "kpl")]
pub mod kpl;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "metrics")]
mod metrics;
pub mod model;
mod poll;
pub mod port;
mod run;
mod settings;
mod streams;

pub use async_trait::async_trait;

pub use builder::WorkerBuilder;
pub use decide::backoff::Backoff;
#[cfg(feature = "destinations")]
pub use destination::{JsonLinesFile, KinesisDestination};
pub use env::Env;
pub use error::{Error, ErrorKind, Problem};
pub use event::{Event, Observer};
#[cfg(feature = "metrics")]
pub use metrics::MetricsObserver;
pub use model::{
    ApplicationName, Batch, Checkpoint, Epoch, InitialPosition, PendingCheckpoint, Record,
    SequenceNumber, ShardId, StreamName, WorkerId,
};
pub use poll::{PollSettings, Polling};
pub use port::{
    BatchHandler, BatchOutcome, BoxError, Checkpointer, FailedBatch, FailureDestination,
    FailureDocument, HandlerBatch, HandlerContext, Ownership, PreparedCheckpointer,
    ProcessorResult, RecordProcessor, RecordSource, ShardContext,
};
pub use run::report::{EndReason, Report};
pub use run::stream::{BatchStream, StreamBatch};
pub use run::worker::Worker;
pub use settings::{
    CheckpointPolicy, CommitSettings, DecodeSettings, FailurePolicy, FailureSettings,
    HandlerSettings, LaneChoice, LaneCommit, Settings, ShutdownSettings,
};
pub use streams::{StreamTracker, Streams};
