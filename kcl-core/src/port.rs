//! The doors to the outside, on one page.
//!
//! * [`processor`](RecordProcessor): what the user writes; or a [`handler`](BatchHandler) of batches.
//! * [`destination`](FailureDestination): where records go that a handler cannot process.
//! * [`source`](RecordSource): where batches come from; polling here, fan-out in `kcl-efo`.
//! * [`ownership`](Ownership): who may read which shard, and where checkpoints go; `kcl-lease`.
//! * [`meter`](Meter): what is read by one grant, from the two that read to the one that granted it.
//!
//! The worker knows nothing else of the world.

mod destination;
mod handler;
mod meter;
mod ownership;
mod processor;
mod source;

pub use destination::{FailedBatch, FailureDestination, FailureDocument};
pub use handler::{BatchHandler, BatchOutcome, HandlerBatch, HandlerContext};
pub(crate) use handler::{Failed, Hold, Outcome, Permit};
pub use meter::{Meter, Reading};
pub use ownership::{
    CommitError, Grant, Ownership, OwnershipControl, OwnershipRun, OwnershipStart, Right, Standing,
};
pub(crate) use processor::{Ask, CheckpointRequest};
pub use processor::{
    BoxError, Checkpointer, PreparedCheckpointer, ProcessorResult, RecordProcessor, ShardContext,
};
pub use source::{BatchSender, Feed, FeedError, Held, OpenFeed, RecordSource};
