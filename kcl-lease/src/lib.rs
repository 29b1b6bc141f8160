//! Lease-based shard assignment for Kinesis consumers: who may read which shard, and where
//! checkpoints go.
#![warn(missing_docs)]

#[cfg(feature = "testing")]
pub mod contract;
mod holdings;
mod keeper;
mod leases;
mod ownership;
mod plan;
mod planner;
mod right;
mod row;
mod settings;
mod shards;
mod store;
mod sync;
mod trouble;

pub use leases::{DynamoLeases, MemoryLeases};
pub use ownership::Leases;
pub use row::{Fence, Incarnation, LeaseRow, Owner, Row, WorkerKey, WorkerRow, whole_millis};
pub use settings::LeaseSettings;
pub use shards::{KinesisShards, ShardList};
pub use store::dynamo::DynamoTable;
pub use store::memory::{MemoryStore, MemoryTable};
pub use store::{Freshness, LeaseStore, Outcome, StoreError, Take};
