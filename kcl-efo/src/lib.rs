//! Enhanced fan-out for `kcl-core`: a registered consumer has its own 2 MiB/s of every shard, and
//! the service pushes records over a long-lived subscription instead of being polled.
//!
//! ```no_run
//! use kcl_core::*;
//! use kcl_efo::FanOut;
//! use kcl_lease::DynamoLeases;
//! # struct Print;
//! # #[async_trait]
//! # impl RecordProcessor for Print {
//! #     async fn process_records(
//! #         &mut self, _: &ShardContext, _: &Batch, _: &Checkpointer,
//! #     ) -> ProcessorResult { Ok(()) }
//! # }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//!     let source = FanOut::new(&aws, "orders-app").with_fallback(Polling::new(&aws));
//!     let fan_out = source.clone();
//!     let worker = Worker::builder("orders-app", "orders")
//!         .with_source(source)
//!         .with_ownership(DynamoLeases::new(&aws))
//!         .with_processor(|_: &ShardContext| Print)
//!         .build()?;
//!     let report = worker.run(async { drop(tokio::signal::ctrl_c().await) }).await?;
//!     println!("{report}");
//!     // The last one out: a registered consumer costs money by the hour.
//!     fan_out.deregister("orders").await
//! }
//! ```
//!
//! # What it does
//!
//! * [`FanOut`] is a [`RecordSource`](kcl_core::RecordSource) like [`Polling`](kcl_core::Polling): same order,
//!   same lineage, same checkpoints, same shutdown. Workers of one application may mix both.
//! * It renews a subscription before its five minutes are over, and goes on at its own cursor after whatever
//!   ends one: no record is left out and none comes twice within a lease.
//! * It never goes silent. A subscription that says nothing for 35 s is replaced, whatever the connection
//!   believes; time that a slow processor takes does not count.
//! * A shard ends only where the service names the shards that follow and no way on.
//! * What a processor does not take stays in the socket. How much is read ahead has a bound for each shard
//!   and one for the worker ([`MemorySettings`]).
//! * Refused for good or failing for too long, a shard is read by the fallback and comes back when fan-out works
//!   again; a [`Switch`] does the same by hand, at run time.
//! * [`Consumer`] finds, registers and deregisters the consumer of an application by itself.
//!
//! What happens is told as events of `kcl-core`: `Subscribed`, `EventRead`, `ReadFailed`, `RetrievalChanged`.
//!
//! # Registering a consumer
//!
//! ```no_run
//! # async fn example(aws: &aws_types::SdkConfig) -> Result<(), kcl_core::error::Error> {
//! use kcl_efo::{Consumer, ConsumerSettings};
//!
//! let kinesis = aws_sdk_kinesis::Client::new(aws);
//! let consumer = Consumer::named("orders", "orders-app")
//!     .ready(&kinesis, &ConsumerSettings::default())
//!     .await?;
//! assert!(consumer.arn().contains("/consumer/orders-app"));
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod aws;
mod budget;
mod consumer;
mod consumers;
mod event;
mod fan_out;
mod feed;
mod frames;
mod lines;
mod route;
mod session;
mod settings;
mod switch;
mod turns;

pub use consumer::{Consumer, ReadyConsumer};
pub use fan_out::FanOut;
pub use kcl_core::event::Retrieval;
pub use settings::{
    ConsumerSettings, FallbackSettings, FanOutSettings, MemorySettings, SubscriptionSettings,
};
pub use switch::Switch;
