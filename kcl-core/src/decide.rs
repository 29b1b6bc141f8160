//! Everything that chooses. Pure: time and randomness are arguments, nothing awaits.
//!
//! * [`shard`]: the life of one shard consumer; `run::shard` carries out what it says.
//! * [`progress`]: delivered, acknowledged, durable; when a commit is due.
//! * [`lanes`]: which records go into which call of a handler, and what follows on a failure.
//! * [`settlement`]: which records are settled, and so may be committed.
//! * [`pace`]: when the next call to the service may go.
//! * [`horizon`]: when to look whether the stream has dropped unread records.
//! * [`backoff`]: how long to wait after a failure.

pub(crate) mod backoff;
pub(crate) mod horizon;
pub(crate) mod lanes;
pub(crate) mod pace;
pub(crate) mod progress;
pub(crate) mod settlement;
pub(crate) mod shard;
