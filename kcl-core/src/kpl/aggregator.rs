//! Packs user records into records of a stream, as the KPL does. Pure: when to send is the producer's business.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::message::{Entry, key_encoded_len, write_key};
use super::read::USER_RECORDS_MAX;
use super::{DIGEST_BYTES, MARK, UserRecord, digest};
use crate::error::{Error, ErrorKind};

/// The size of an aggregate unless it is set, which is the KPL's: 51,200 bytes.
const BYTES_MAX: usize = 51_200;
/// The partition key of every aggregate of the KPL. The explicit hash key decides where it goes.
const OUTER_KEY: &str = "a";
/// Characters in a partition key, at most, by the service's rule.
const KEY_CHARS_MAX: usize = 256;

/// What to put into a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed {
    /// The partition key.
    pub partition_key: String,
    /// The hash key that says which shard it goes to. There is one for every aggregate: that of its first record.
    pub explicit_hash_key: Option<u128>,
    /// The payload.
    pub data: Bytes,
    /// How many user records it holds. One is sent as it is, without an envelope.
    pub records: usize,
}

/// The payload is left out: record data does not belong in logs.
impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed")
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit_hash_key)
            .field("data_bytes", &self.data.len())
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

/// Collects user records for one record of a stream.
///
/// All of them must belong into the same shard: use one aggregator for each, and choose by
/// [`UserRecord::hash_key`]. What reaches another shard than its own is left out by consumers.
///
/// ```
/// use kcl_core::kpl::{Aggregator, UserRecord};
///
/// # fn main() -> Result<(), kcl_core::Error> {
/// let mut aggregator = Aggregator::new().with_bytes_max(1024);
/// let mut put = Vec::new();
/// for number in 0..100 {
///     put.extend(aggregator.add(UserRecord::new("key", format!("record {number}")))?);
/// }
/// put.extend(aggregator.finish());
/// assert_eq!(put.len(), 2);
/// assert!(put.iter().all(|packed| packed.data.len() <= 1024));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Aggregator {
    bytes_max: usize,
    records: Vec<UserRecord>,
    partition_keys: Table<String>,
    hash_keys: Table<u128>,
    /// Bytes of the message.
    len: usize,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new()
    }
}

impl Aggregator {
    /// An empty one that makes aggregates of up to 51,200 bytes, as the KPL does.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes_max: BYTES_MAX,
            records: Vec::new(),
            partition_keys: Table::default(),
            hash_keys: Table::default(),
            len: 0,
        }
    }

    /// Makes aggregates of up to this many bytes. The service takes 1 MiB, partition key included, unless the stream
    /// allows more; the KPL never makes more than 1 MiB. A record that is larger by itself goes out alone.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Adds a record. If it has no room beside those that wait, these come out, and it waits.
    ///
    /// # Errors
    /// Of kind [`Invalid`](ErrorKind::Invalid) if its partition key does not have 1 to 256 characters.
    pub fn add(&mut self, record: UserRecord) -> Result<Option<Packed>, Error> {
        let chars = record.partition_key.chars().count();
        if !(1..=KEY_CHARS_MAX).contains(&chars) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("a partition key of {chars} characters"),
            )
            .with_hint("a partition key has 1 to 256 characters"));
        }
        let len = self.len + self.added_len(&record);
        let is_too_large = MARK.len() + len + DIGEST_BYTES > self.bytes_max;
        let out = if is_too_large || self.records.len() >= USER_RECORDS_MAX {
            self.finish()
        } else {
            None
        };
        self.len += self.added_len(&record);
        self.partition_keys.place(record.partition_key.clone());
        if let Some(key) = record.explicit_hash_key {
            self.hash_keys.place(key);
        }
        self.records.push(record);
        Ok(out)
    }

    /// What waits, as one record of a stream. Nothing if nothing waits.
    pub fn finish(&mut self) -> Option<Packed> {
        let first = self.records.first()?;
        if self.records.len() == 1 {
            let first = self.records.pop()?;
            self.clear();
            return Some(Packed {
                partition_key: first.partition_key,
                explicit_hash_key: first.explicit_hash_key,
                data: first.data,
                records: 1,
            });
        }
        let packed = Packed {
            partition_key: OUTER_KEY.to_owned(),
            explicit_hash_key: Some(first.hash_key()),
            data: self.encode(),
            records: self.records.len(),
        };
        self.clear();
        Some(packed)
    }

    /// Bytes that wait, envelope included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self.records.len() {
            0 => 0,
            _ => MARK.len() + self.len + DIGEST_BYTES,
        }
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.bytes());
        out.put_slice(&MARK);
        for key in &self.partition_keys.keys {
            write_key(&mut out, 1, key);
        }
        for key in &self.hash_keys.keys {
            write_key(&mut out, 2, &key.to_string());
        }
        for record in &self.records {
            let (partition_key, _) = self.partition_keys.find(&record.partition_key);
            let hash_key = record.explicit_hash_key;
            Entry {
                partition_key,
                hash_key: hash_key.map(|key| self.hash_keys.find(&key).0),
                data: &record.data,
            }
            .write(&mut out);
        }
        let digest = digest(&out[MARK.len()..]);
        out.put_slice(&digest);
        out.freeze()
    }

    /// Bytes that a record adds to the message.
    fn added_len(&self, record: &UserRecord) -> usize {
        let mut len = 0;
        let (partition_key, is_new) = self.partition_keys.find(&record.partition_key);
        if is_new {
            len += key_encoded_len(&record.partition_key);
        }
        let hash_key = record.explicit_hash_key.map(|key| {
            let (index, is_new) = self.hash_keys.find(&key);
            if is_new {
                len += key_encoded_len(&key.to_string());
            }
            index
        });
        let entry = Entry {
            partition_key,
            hash_key,
            data: &record.data,
        };
        len + entry.encoded_len()
    }

    fn clear(&mut self) {
        self.records.clear();
        self.partition_keys = Table::default();
        self.hash_keys = Table::default();
        self.len = 0;
    }
}

/// Keys in the order in which they came, each once.
#[derive(Debug)]
struct Table<K> {
    keys: Vec<K>,
    places: BTreeMap<K, u64>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            places: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Table<K> {
    /// Where a key is or would be, and whether it is new.
    fn find(&self, key: &K) -> (u64, bool) {
        match self.places.get(key) {
            Some(place) => (*place, false),
            None => (self.keys.len() as u64, true),
        }
    }

    fn place(&mut self, key: K) {
        let (place, is_new) = self.find(&key);
        if is_new {
            self.places.insert(key.clone(), place);
            self.keys.push(key);
        }
    }
}
