//! The task tree. Everything here awaits and carries out; what to do is decided in [`crate::decide`].
//!
//! ```text
//!  worker (the caller of `run`)
//!  ├─ shard/<id>      one for each grant; holds the user's code, the pen of the grant
//!  │  ├─ call         one for each call of a handler that runs
//!  │  └─ feed/<id>    spawned by the source; aborted when its shard drops it
//!  └─ what the ownership keeps behind its control
//! ```
//!
//! Dropping the worker's future aborts every task: nothing is committed or given back, as by
//! `kill -9`.

pub(crate) mod door;
pub(crate) mod guard;
mod intake;
#[cfg(feature = "lambda")]
pub(crate) mod lambda;
pub(crate) mod report;
pub(crate) mod shard;
pub(crate) mod shutdown;
pub(crate) mod stream;
pub(crate) mod worker;
