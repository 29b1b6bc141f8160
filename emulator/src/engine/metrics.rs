//! What is counted about streams and shards, under the names CloudWatch has for it.
//!
//! Counters, and per stream a ledger by the minute: relaxed, written where the thing happens, read by [`crate::control`]. A call adds to
//! its stream once; what is per record is counted in the shard's log, under the lock that is held
//! anyway. Every counter only ever rises, whatever becomes of the shards.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Moment;
use crate::ops::Operation;

use super::ledger::Ledger;

/// A count.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Makes it a gauge.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What was refused for its speed, and what would have been.
#[derive(Debug, Default)]
pub(crate) struct Exceeded {
    pub(crate) enforced: Counter,
    pub(crate) observed: Counter,
}

impl Exceeded {
    pub(super) fn count(&self, is_enforced: bool) {
        if is_enforced {
            self.enforced.add(1);
        } else {
            self.observed.add(1);
        }
    }
}

/// Successful calls of one operation on one stream.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) success: Counter,
    pub(crate) bytes: Counter,
    pub(crate) records: Counter,
    /// Together, in microseconds.
    pub(crate) latency: Counter,
}

impl Calls {
    pub(crate) fn count(&self, records: usize, bytes: usize, latency: Duration) {
        self.success.add(1);
        // A `usize` is no wider than 64 bits.
        self.records.add(records as u64);
        self.bytes.add(bytes as u64);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.add(micros);
    }
}

/// What is counted about a stream.
#[derive(Debug, Default)]
pub(crate) struct StreamMetrics {
    pub(crate) put_record: Calls,
    pub(crate) put_records: Calls,
    pub(crate) put_records_failed: Counter,
    pub(crate) put_records_throttled: Counter,
    pub(crate) get_records: Calls,
    /// Of the latest answer with records, in milliseconds.
    pub(crate) iterator_age: Counter,
    pub(crate) write_exceeded: Exceeded,
    pub(crate) read_exceeded: Exceeded,
    /// The same by the minute, for CloudWatch.
    pub(crate) ledger: Ledger,
}

impl StreamMetrics {
    pub(crate) fn write_exceeded(&self, is_enforced: bool) {
        self.write_exceeded.count(is_enforced);
    }

    pub(crate) fn read_exceeded(&self, is_enforced: bool) {
        self.read_exceeded.count(is_enforced);
    }

    /// Counts a call that came too soon, where CloudWatch has a name for it.
    pub(crate) fn call_exceeded(&self, now: Moment, operation: Operation, is_enforced: bool) {
        if operation == Operation::GetShardIterator {
            self.read_exceeded.count(is_enforced);
            if is_enforced {
                self.ledger.read_exceeded(now);
            }
        }
    }
}

/// What is counted about a consumer.
#[derive(Debug, Default)]
pub(crate) struct ConsumerMetrics {
    pub(crate) subscribe_success: Counter,
    pub(crate) subscribe_exceeded: Exceeded,
    pub(crate) event_success: Counter,
    pub(crate) event_bytes: Counter,
    pub(crate) event_records: Counter,
    /// As the latest event says.
    pub(crate) millis_behind: Counter,
}

impl ConsumerMetrics {
    /// Counts an event that was sent.
    pub(crate) fn event(&self, records: usize, bytes: usize, millis_behind: u64) {
        self.event_success.add(1);
        // A `usize` is no wider than 64 bits.
        self.event_records.add(records as u64);
        self.event_bytes.add(bytes as u64);
        self.millis_behind.set(millis_behind);
    }
}

/// What is counted about a shard besides its log's own counts.
#[derive(Debug, Default)]
pub(crate) struct ShardMetrics {
    pub(crate) iterator_age: Counter,
    pub(crate) write_exceeded: Exceeded,
    pub(crate) read_exceeded: Exceeded,
}

impl ShardMetrics {
    pub(crate) fn write_exceeded(&self, is_enforced: bool) {
        self.write_exceeded.count(is_enforced);
    }

    pub(crate) fn read_exceeded(&self, is_enforced: bool) {
        self.read_exceeded.count(is_enforced);
    }
}
