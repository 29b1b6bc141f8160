//! What any adapter must do, as suites that run against it, and scripted stand-ins for both ports.
//! Feature `testing`.
//!
//! * [`record_source`]: the suite for a [`RecordSource`](crate::RecordSource).
//! * [`ScriptedSource`]: a stream in memory that a test writes.
//! * [`FixedOwnership`]: leases in memory that a test gives and takes.
//!
//! With the two stand-ins a processor can be tested in a whole worker, in paused time:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use kcl_core::contract::{FixedOwnership, ScriptedSource};
//! use kcl_core::*;
//!
//! struct Collect(Arc<Mutex<Vec<String>>>);
//!
//! #[async_trait]
//! impl RecordProcessor for Collect {
//!     async fn process_records(
//!         &mut self, _: &ShardContext, batch: &Batch, _: &Checkpointer,
//!     ) -> ProcessorResult {
//!         let texts = batch.records.iter().map(|r| String::from_utf8_lossy(&r.data).into_owned());
//!         self.0.lock().unwrap().extend(texts);
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let source = ScriptedSource::new();
//! source.put("shard-0", ["one", "two"]);
//! source.close("shard-0", &[]);
//! let leases = FixedOwnership::new(["shard-0"]);
//! let seen = Arc::new(Mutex::new(Vec::new()));
//!
//! let collected = seen.clone();
//! let worker = Worker::builder("app", "stream")
//!     .with_source(source)
//!     .with_ownership(leases.clone())
//!     .with_processor(move |_: &ShardContext| Collect(collected.clone()))
//!     .build()?;
//! let report = worker.run(std::future::pending()).await?;
//!
//! assert_eq!(report.finished, 1);
//! assert_eq!(leases.checkpoint("shard-0"), Some(Checkpoint::ShardEnd));
//! assert_eq!(*seen.lock().unwrap(), ["one", "two"]);
//! # Ok(())
//! # }
//! ```

mod ownership;
mod source;
mod suite;

pub use ownership::{FixedOwnership, Written};
pub use source::ScriptedSource;
pub use suite::{Disturbance, StreamFixture, record_source};
