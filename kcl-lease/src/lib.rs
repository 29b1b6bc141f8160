//! Leases for Kinesis consumers: which worker of an application reads which shard, and where
//! its checkpoints are kept.
//!
//! ```
//! use kcl_core::{Batch, Checkpointer, Polling, ProcessorResult, RecordProcessor, ShardContext, Worker};
//! use kcl_lease::{DynamoLeases, LeaseSettings};
//! use std::time::Duration;
//!
//! struct Orders(tokio::sync::mpsc::Sender<usize>);
//!
//! #[kcl_core::async_trait]
//! impl RecordProcessor for Orders {
//!     async fn process_records(
//!         &mut self, _: &ShardContext, batch: &Batch, _: &Checkpointer,
//!     ) -> ProcessorResult {
//!         Ok(self.0.send(batch.records.len()).await?)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = kinesis_emulator::Emulator::start().await?;
//! let aws = emulator.sdk_config(); // on AWS: aws_config::load_defaults(..)
//! let kinesis = aws_sdk_kinesis::Client::new(&aws);
//! kinesis.create_stream().stream_name("orders").shard_count(2).send().await?;
//!
//! let (seen, mut orders) = tokio::sync::mpsc::channel(1);
//! let settings = LeaseSettings { duration: Duration::from_secs(5), ..LeaseSettings::default() };
//! let worker = Worker::builder("orders-app", "orders")
//!     .with_source(Polling::new(&aws))
//!     .with_ownership(DynamoLeases::new(&aws).with_settings(settings)) // table "orders-app"
//!     .with_processor(move |_| Orders(seen.clone()))
//!     .build()?;
//! let produce = async {
//!     let put = kinesis.put_record().stream_name("orders").partition_key("k");
//!     put.data(b"40 nails".to_vec().into()).send().await
//! };
//! let shutdown = async move { assert_eq!(orders.recv().await, Some(1)) };
//! let (produced, report) = tokio::join!(produce, worker.run(shutdown));
//! produced?;
//! report?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! Every worker of an application runs the same code against one table; there is no leader. A worker
//! proves its life once for all its leases, by rewriting a row of its own; the leases of a worker
//! whose row stands still for a whole lease time are taken by the others. Who holds more than its
//! share hands shards over: it drains them, commits and releases, so nothing is read twice. Every
//! write carries the proof that the lease is still held and the checkpoint it follows on, so a
//! worker that lost a shard without knowing it cannot write, and checkpoints never go back. The
//! protocol and its reasons are in `docs/decisions/0001-a-worker-proves-its-life-once.md`. One worker of
//! all keeps the watch over the whole table and rings for the others, so that what the table costs at rest
//! does not grow with shards (`docs/decisions/0005-one-worker-keeps-the-watch.md`).
//!
//! Shares are even by count, for the capacity of each worker, and when they are, by what is read of the shards
//! ([`Balance`], `docs/decisions/0009-balance-by-load.md`). Each lease that is handed over is told with its reason,
//! in `kcl_core::Event::HandOverPlanned`.
//!
//! # Several streams
//!
//! A worker of [several streams](kcl_core::Streams) keeps the leases of all of them in one table, with one row that
//! proves its life. Workers may read different ones: each is given shards of its own streams alone, evenly among
//! those who can read them (`docs/decisions/0011-several-streams-in-one-worker.md`).
//!
//! # With Java workers
//!
//! [`JavaLeases`] keeps to the protocol of the Java KCL 2.x or 3.x instead, so that workers of both kinds share an
//! application: each takes over from the other where it was, and gives back. It is for moving an application
//! from Java, or back; what it costs is in `docs/decisions/0007-sharing-a-table-with-java.md`, how to move in
//! `docs/java.md`.
//!
//! ```
//! # fn leases(aws: &aws_types::SdkConfig) -> kcl_lease::JavaLeases {
//! use kcl_lease::{JavaFleet, JavaLeases, JavaSettings};
//!
//! JavaLeases::new(aws).with_settings(JavaSettings {
//!     fleet: JavaFleet::V3,
//!     ..JavaSettings::default() // as the KCL's defaults
//! })
//! # }
//! ```
//!
//! # What is where
//!
//! * [`DynamoLeases`] and [`MemoryLeases`]: what to hand to a worker; [`LeaseSettings`].
//! * [`JavaLeases`], [`JavaSettings`], [`JavaFleet`]: the same for a table that Java workers share.
//! * [`Leases`]: the same over a store and a list of shards of your own, behind the ports
//!   [`LeaseStore`] and [`ShardList`]; `contract` (feature `testing`) checks a store.
//! * [`LeaseRow`], [`WorkerRow`]: what the table holds, for tools.
//!
//! # Permissions
//!
//! `kinesis:ListShards` on each stream; on the table `dynamodb:DescribeTable`, `CreateTable`, `Scan`,
//! `GetItem`, `PutItem`, `UpdateItem` and `DeleteItem`. With Java workers of the 3.x line also
//! `dynamodb:Query` on the table's indexes, and `GetItem` on the table `<application>-CoordinatorState`; where
//! that exists `PutItem`, `UpdateItem` and `DeleteItem` on it, and `Scan`, `PutItem` and `DeleteItem` on
//! `<application>-WorkerMetricStats`.
#![warn(missing_docs)]

#[cfg(feature = "testing")]
pub mod contract;
mod holdings;
mod java;
mod keeper;
mod leases;
#[cfg(test)]
mod model;
mod ownership;
mod plan;
mod planner;
mod rate;
mod right;
mod row;
mod settings;
mod shards;
mod store;
mod sync;
mod tracked;
mod trouble;

pub use java::{JavaFleet, JavaLeases, JavaSettings};
pub use leases::{DynamoLeases, MemoryLeases};
pub use ownership::Leases;
pub use row::{
    Capacity, Fence, InReturn, Incarnation, LeaseRow, Moved, Owner, Parting, Progress, Row,
    StartRow, StreamSet, StreamSetKey, WatchRow, WorkerKey, WorkerRow, whole_millis,
};
pub use settings::{Balance, LeaseSettings};
pub use shards::{KinesisShards, ShardList};
pub use store::dynamo::DynamoTable;
pub use store::memory::{MemoryStore, MemoryTable};
pub use store::{Freshness, LeaseStore, Outcome, StoreError, Take};
