//! Enhanced fan-out for `kcl-core`: a registered consumer has its own 2 MiB/s of every shard, and
//! the service pushes records over a long-lived subscription instead of being polled.
//!
//! # What is here
//!
//! * [`Consumer`]: finds or registers the consumer of an application, waits until it is active, and
//!   deregisters it when asked. Every error names the cause and the IAM action or the limit.
//! * [`Session`]: the life of one subscription as a pure state machine: when to subscribe, from
//!   where, when to renew, when silence means that the connection is dead, when to give up.
//! * [`Settings`]: their settings, with every relation checked at once.
//!
//! # What is not here yet
//!
//! The `RecordSource` that carries a session out over `SubscribeToShard` and plugs into
//! `Worker::builder(..).with_source(..)`. Until it exists, workers read by polling
//! (`kcl_core::Polling`).
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
mod consumer;
mod session;
mod settings;

pub use consumer::{Consumer, ReadyConsumer};
pub use session::{Action, Arrival, Event, Refusal, Session};
pub use settings::{ConsumerSettings, Settings, SubscriptionSettings};
