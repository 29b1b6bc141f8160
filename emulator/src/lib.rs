//! An emulator of Amazon Kinesis Data Streams, and of the DynamoDB and CloudWatch calls its consumers
//! make.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = kinesis_emulator::Emulator::start().await?;
//! println!("streams, tables and metrics at {}", emulator.endpoint());
//! # Ok(())
//! # }
//! ```
//! [`Emulator`] is a [`Service`] behind a socket; a `Service` alone serves requests in process and in
//! virtual time. The emulator depends on no crate of the framework, so that it stays an independent
//! judge of it.

mod auth;
mod caller;
mod clock;
mod cloudwatch;
mod control;
pub mod dynamo;
mod emulator;
mod engine;
mod fan_out;
mod faults;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod hot;
mod init;
mod listener;
mod ops;
mod refusal;
mod requests;
mod scope;
#[cfg(feature = "sdk")]
mod sdk;
mod service;
mod settings;
mod wire;

pub use auth::{Auth, Key, Keys, UnusableKeys};
pub use clock::Clock;
pub use emulator::{Builder, Emulator};
pub use faults::{Action, Api, EventException, Fault, FaultReport, Faults, Lost, Unfit};
pub use init::{Init, UnusableInit};
pub use listener::{Bounds, Listener};
#[cfg(feature = "tls")]
pub use listener::{Tls, UnusableTls};
pub use scope::Scope;
pub use service::Service;
pub use settings::{Delays, Limits, Settings};
pub use wire::body::Body;

/// Any error, as HTTP bodies and the SDK hand them around.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
