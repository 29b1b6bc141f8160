#![doc = "Consumer framework for Kinesis streams."]
#![warn(missing_docs)]

pub mod aws;
mod builder;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod decide;
mod decode;
pub mod env;
pub mod error;
pub mod model;
mod poll;
pub mod port;
mod run;
mod settings;

pub use async_trait::async_trait;

pub use builder::WorkerBuilder;
pub use decide::backoff::Backoff;
pub use env::Env;
pub use error::{Error, ErrorKind, Problem};
pub use model::{
    ApplicationName, Batch, Checkpoint, Epoch, InitialPosition, Record, SequenceNumber, ShardId,
    StreamName, WorkerId,
};
pub use poll::{PollSettings, Polling};
pub use port::{
    BoxError, Checkpointer, Ownership, ProcessorResult, RecordProcessor, RecordSource, ShardContext,
};
pub use run::report::{EndReason, Report};
pub use run::worker::Worker;
pub use settings::{
    CheckpointPolicy, CommitSettings, FailurePolicy, FailureSettings, Settings, ShutdownSettings,
};
