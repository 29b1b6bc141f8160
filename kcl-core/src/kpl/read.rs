//! Takes an aggregate apart: what it claims is checked before anything in it is used. Pure; payloads stay where they
//! are. Called by `decode::aggregates` for a worker, and by users.

use bytes::Bytes;

use super::message::{Entry, Message, share};
use super::{DIGEST_BYTES, MARK, UserRecord, digest, hash_of};
use crate::event::Malformed;
use crate::model::HashKeyRange;

/// User records in one aggregate, at most: 262,144. The KPL makes none of more than 1 MiB, in which no more than
/// 175,000 have room.
pub const USER_RECORDS_MAX: usize = 1 << 18;

/// Bytes of partition keys of all user records of an aggregate together, at most: 64 MiB. A key that many records
/// share lies in the aggregate once and is copied for each of them; 1 MiB of records with one key of 256 characters
/// makes 45 MiB of keys.
pub const KEY_BYTES_MAX: usize = 64 << 20;

/// Takes a record of a stream apart, if it is an aggregate; nothing if it is not.
///
/// Where the record was read is not known here. If it may be from before a split or merge, leave out the user records
/// whose [`hash_key`](UserRecord::hash_key) lies outside of the shard, as a worker does.
///
/// # Errors
/// [`Malformed`] if it carries the mark of an aggregate and cannot be taken apart: by all that is known, it is a plain
/// record that happens to begin so, or it is damaged.
pub fn deaggregate(data: &Bytes) -> Result<Option<Vec<UserRecord>>, Malformed> {
    if !is_marked(data) {
        return Ok(None);
    }
    let aggregate = Aggregate::read(data)?;
    Ok(Some(
        aggregate.records().map(|(_, record)| record).collect(),
    ))
}

/// Whether a record may be an aggregate.
pub(crate) fn is_marked(data: &[u8]) -> bool {
    data.starts_with(&MARK)
}

/// A sound aggregate: every place in a table is there.
#[derive(Debug)]
pub(crate) struct Aggregate<'a> {
    data: &'a Bytes,
    partition_keys: Vec<&'a str>,
    hash_keys: Vec<u128>,
    entries: Vec<Entry<'a>>,
}

impl<'a> Aggregate<'a> {
    pub(crate) fn read(data: &'a Bytes) -> Result<Self, Malformed> {
        let marked = data.strip_prefix(&MARK).unwrap_or_default();
        let (message, told) = marked
            .split_last_chunk::<DIGEST_BYTES>()
            .filter(|(message, _)| !message.is_empty())
            .ok_or(Malformed::Truncated)?;
        if digest(message) != *told {
            return Err(Malformed::Digest);
        }
        let Message {
            partition_keys,
            hash_keys,
            entries,
        } = Message::read(message)?;
        let hash_keys = hash_keys.into_iter().map(hash_key);
        let aggregate = Self {
            data,
            partition_keys,
            hash_keys: hash_keys.collect::<Result<_, _>>()?,
            entries,
        };
        aggregate.check()?;
        Ok(aggregate)
    }

    fn check(&self) -> Result<(), Malformed> {
        let mut key_bytes = 0;
        for entry in &self.entries {
            let key = place(&self.partition_keys, entry.partition_key);
            key_bytes += key.ok_or(Malformed::Index)?.len();
            if let Some(index) = entry.hash_key {
                place(&self.hash_keys, index).ok_or(Malformed::Index)?;
            }
        }
        if key_bytes > KEY_BYTES_MAX {
            return Err(Malformed::TooLarge);
        }
        Ok(())
    }

    /// How many user records there are, wherever they belong.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The user records, each with its place in the aggregate.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, UserRecord)> {
        let entries = (0..).zip(&self.entries);
        entries.map(|(at, entry)| (at, self.record(entry)))
    }

    /// The user records that belong into a shard of this range, each with its place in the aggregate.
    ///
    /// Each is judged by itself. The KCL leaves out all as soon as one of them lies outside; but the KPL sends again
    /// only those that do.
    pub(crate) fn records_within(
        &self,
        range: HashKeyRange,
    ) -> impl Iterator<Item = (u64, UserRecord)> {
        let is_whole = range.start == 0 && range.end == u128::MAX;
        // Most keys come with many records.
        let mut hashes = vec![None; self.partition_keys.len()];
        let within = move |entry: &Entry<'_>| {
            let hash = self.hash_key(entry, &mut hashes);
            hash.is_some_and(|hash| (range.start..=range.end).contains(&hash))
        };
        let mut within = Some(within).filter(|_| !is_whole);
        (0..)
            .zip(&self.entries)
            .filter(move |(_, entry)| within.as_mut().is_none_or(|within| within(entry)))
            .map(|(at, entry)| (at, self.record(entry)))
    }

    fn record(&self, entry: &Entry<'_>) -> UserRecord {
        let partition_key = place(&self.partition_keys, entry.partition_key);
        let hash_key = |index| place(&self.hash_keys, index).copied();
        UserRecord {
            partition_key: partition_key.copied().unwrap_or_default().to_owned(),
            explicit_hash_key: entry.hash_key.and_then(hash_key),
            data: share(self.data, entry.data),
        }
    }

    fn hash_key(&self, entry: &Entry<'_>, hashes: &mut [Option<u128>]) -> Option<u128> {
        match entry.hash_key {
            Some(index) => place(&self.hash_keys, index).copied(),
            None => {
                let at = usize::try_from(entry.partition_key).ok()?;
                let (key, hash) = (self.partition_keys.get(at)?, hashes.get_mut(at)?);
                Some(*hash.get_or_insert_with(|| hash_of(key)))
            }
        }
    }
}

fn place<T>(table: &[T], index: u64) -> Option<&T> {
    usize::try_from(index)
        .ok()
        .and_then(|index| table.get(index))
}

/// A decimal number below 2^128. `parse` would take a sign as well.
fn hash_key(text: &str) -> Result<u128, Malformed> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::HashKey);
    }
    text.parse().map_err(|_| Malformed::HashKey)
}
