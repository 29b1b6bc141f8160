//! What `Worker::run` says at its end, and the counters it comes from.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::WorkerId;

/// Counted by the shard tasks while they run, so that a killed shard is counted as well.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    records: AtomicU64,
    batches: AtomicU64,
}

impl Counters {
    pub(crate) fn delivered(&self, records: usize) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    pub(crate) fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }
}

/// Why a worker ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The shutdown future resolved.
    Shutdown,
    /// The ownership has nothing more to grant, and every shard is over.
    NothingLeft,
}

/// What a worker did, and why it ended. Its `Display` is one line for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The worker.
    pub worker: WorkerId,
    /// Why it ended.
    pub reason: EndReason,
    /// Records handed to processors and handlers, repeated ones included.
    pub records: u64,
    /// Calls of `process_records`, or of a handler with records.
    pub batches: u64,
    /// Shards that were read to their end.
    pub finished: u64,
    /// Shards that were given back with everything acknowledged durable.
    pub released: u64,
    /// Shards that another worker took, or may have taken.
    pub lost: u64,
    /// Shards that were not given back when the time for draining was over. Their leases have to
    /// expire before another worker can read on, and what they had processed since their last
    /// checkpoint is delivered again.
    pub abandoned: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            EndReason::Shutdown => "stopped on request",
            EndReason::NothingLeft => "ended because nothing is left to read",
        };
        write!(
            f,
            "worker {} {reason}: {} records in {} batches; shards: {} finished, {} released, \
             {} lost, {} abandoned",
            self.worker,
            self.records,
            self.batches,
            self.finished,
            self.released,
            self.lost,
            self.abandoned
        )
    }
}
