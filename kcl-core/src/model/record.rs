//! Records and the batches they come in.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Checkpoint, ChildShard, SequenceNumber};

/// One record of a shard.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard. Unique in the stream, ordered within the shard.
    pub sequence_number: SequenceNumber,
    /// Its place inside an aggregated record, 0 for a plain one.
    pub subsequence_number: u64,
    /// The key the producer gave it.
    pub partition_key: String,
    /// The payload.
    pub data: Bytes,
    /// When the service took it in, to the millisecond. The clock is the service's.
    pub approximate_arrival: Option<SystemTime>,
}

impl Record {
    /// The checkpoint that says this record and all before it are processed.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::Sequence {
            sequence: self.sequence_number.clone(),
            subsequence: self.subsequence_number,
        }
    }
}

/// The payload is left out: record data does not belong in logs.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("sequence_number", &self.sequence_number)
            .field("subsequence_number", &self.subsequence_number)
            .field("partition_key", &self.partition_key)
            .field("data_bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// What one read of a shard brought, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// The records, in the order of the shard. Empty only where the shard ends.
    pub records: Vec<Record>,
    /// How far the end of this batch is behind the newest record of the shard, by the service's
    /// own account (`MillisBehindLatest`).
    pub lag: Option<Duration>,
    /// Set where the shard ends with this batch: it is closed, and these shards follow on it.
    pub children: Option<Vec<ChildShard>>,
}

impl Batch {
    /// Payload and partition keys in bytes: what the prefetch budget counts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records
            .iter()
            .map(|record| record.data.len() + record.partition_key.len())
            .sum()
    }

    /// The checkpoint after the last record, if there is one.
    #[must_use]
    pub fn end(&self) -> Option<Checkpoint> {
        self.records.last().map(Record::checkpoint)
    }
}
