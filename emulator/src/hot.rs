//! Doors to the hot paths of the engine, for `benches/hot_paths.rs` only (feature `bench`).

use bytes::Bytes;

use crate::clock::Moment;
use crate::engine::sequence::Sequence;
use crate::engine::{Log, Payload};

/// A shard's log.
#[derive(Debug)]
pub struct HotLog(Log);

impl Default for HotLog {
    fn default() -> Self {
        Self(Log::new(Moment(0)))
    }
}

impl HotLog {
    /// Appends a record whose last `key_len` bytes are its key; its counter.
    pub fn append(&mut self, millis: u64, bytes: Bytes, key_len: u16) -> u64 {
        let payload = Payload {
            bytes,
            key_len,
            may_keep: false,
            is_encrypted: false,
        };
        self.0.append(Moment(millis), payload, 0).0
    }

    /// The counter of the first record at or after a time.
    pub fn seek(&self, millis: u64) -> u64 {
        self.0.seek_time(Moment(millis))
    }

    /// How many records one read finds.
    pub fn read(&self, from: u64, count: usize) -> usize {
        self.0.read(from, count, usize::MAX).entries.len()
    }
}

/// A sequence number of the first shard, as its length so that nothing is optimized away.
pub fn render(index: u64) -> String {
    Sequence::new(1_700_000_000, 0, index, 1_700_000_000).to_string()
}

/// The counter in a sequence number.
pub fn parse(number: &str) -> Option<u64> {
    Sequence::parse(number).map(|number| number.index)
}
