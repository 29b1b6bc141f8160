//! Records that the Kinesis Producer Library aggregated: many user records in one record of the stream.
//! Feature `kpl`.
//!
//! A worker takes them apart by itself while [`DecodeSettings::deaggregate`](crate::DecodeSettings) is on, as it is
//! with this feature. What is here is for producers, tests, and whoever gets records in another way:
//!
//! * [`Aggregator`] packs user records into records of a stream.
//! * [`deaggregate`] takes one apart.
//!
//! ```
//! use kcl_core::kpl::{Aggregator, UserRecord, deaggregate};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut aggregator = Aggregator::new();
//! aggregator.add(UserRecord::new("ann", "one"))?;
//! aggregator.add(UserRecord::new("bob", "two"))?;
//! let packed = aggregator.finish().expect("there are records");
//!
//! let records = deaggregate(&packed.data)?.expect("it is an aggregate");
//! assert_eq!(records[1], UserRecord::new("bob", "two"));
//! assert_eq!(deaggregate(&"plain".into())?, None);
//! # Ok(())
//! # }
//! ```
//!
//! The format is four bytes of mark, a protobuf message, and the MD5 of that message. The message has a table of
//! partition keys, a table of explicit hash keys, and records that point into them. It is read here by hand: a
//! generated reader knows neither limits nor required fields, and would be larger than these four fields. `docs/kpl.md`
//! says what a worker makes of it.
//!
//! * `message`: the protobuf message, read with limits and written.
//! * `read`: an aggregate is checked before anything in it is used.
//! * `aggregator`: the other way round.

mod aggregator;
mod message;
mod read;

use bytes::Bytes;
use md5::{Digest, Md5};

pub use self::aggregator::{Aggregator, Packed};
pub(crate) use self::read::{Aggregate, is_marked};
pub use self::read::{KEY_BYTES_MAX, USER_RECORDS_MAX, deaggregate};
pub use crate::event::Malformed;

/// What an aggregate begins with.
const MARK: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// The MD5 that it ends with, in bytes.
const DIGEST_BYTES: usize = 16;

/// What a producer put: one of the records in an aggregate.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The key the producer gave it.
    pub partition_key: String,
    /// The hash key the producer gave it, in place of the one that the partition key hashes to.
    pub explicit_hash_key: Option<u128>,
    /// The payload.
    pub data: Bytes,
}

impl UserRecord {
    /// A record whose shard follows from its partition key.
    #[must_use]
    pub fn new(partition_key: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            partition_key: partition_key.into(),
            explicit_hash_key: None,
            data: data.into(),
        }
    }

    /// With a hash key that says which shard it belongs to.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, hash_key: u128) -> Self {
        self.explicit_hash_key = Some(hash_key);
        self
    }

    /// The hash key that decides which shard it belongs to.
    #[must_use]
    pub fn hash_key(&self) -> u128 {
        self.explicit_hash_key
            .unwrap_or_else(|| hash_of(&self.partition_key))
    }
}

/// The payload is left out: record data does not belong in logs.
impl std::fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRecord")
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit_hash_key)
            .field("data_bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// The hash key of a partition key: its MD5 as a number.
fn hash_of(partition_key: &str) -> u128 {
    u128::from_be_bytes(digest(partition_key.as_bytes()))
}

fn digest(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    Md5::digest(bytes).into()
}

#[cfg(test)]
mod tests;
