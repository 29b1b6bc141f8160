//! The vocabulary. One word has one meaning, here and in every crate that builds on this one.
//!
//! * **position**: where a read starts ([`Position`]).
//! * **cursor**: where a running feed stands; private to the feed.
//! * **progress**: what the processor has acknowledged; it only grows.
//! * **checkpoint**: what is durable ([`Checkpoint`]); everything up to it is processed.
//! * **pending checkpoint**: one that is announced and not made yet ([`PendingCheckpoint`]).
//! * **lease**: the stored row that says who may read a shard.
//! * **grant**: the right to read a shard that this process holds now.
//! * **epoch**: the number of the grant ([`Epoch`]); a later grant of the same shard has a larger one.
//! * **fence**: the proof of the grant that every write carries.
//! * **feed**: a running read of one shard.
//! * **batch**: what one read brought ([`Batch`]).
//! * **commit**: writing a checkpoint.
//!
//! Nothing here does I/O, reads a clock or knows a runtime.

mod name;
mod position;
mod record;
mod sequence;
mod shard;

pub use name::{ApplicationName, Epoch, InvalidName, StreamName, WorkerId};
pub use position::{Checkpoint, InitialPosition, PendingCheckpoint, Position};
pub use record::{Batch, Record};
pub use sequence::{InvalidSequenceNumber, SequenceNumber};
pub use shard::{ChildShard, HashKeyRange, InvalidHashKey, Shard, ShardId};
