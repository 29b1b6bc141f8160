//! What PutRecord and PutRecords share: a record's constraints, its size, and where it falls.
//!
//! The payloads of a request are decoded into one piece of exactly their size. A small one is copied
//! into the shard's block; a large one stays as it is, and its records share it.

use std::fmt::Display;

use bytes::Bytes;

use crate::engine::stream::{Put, Stream};
use crate::engine::{OWN_BLOCK, Payload, hash};
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Blob, Text, text};

/// The largest record any stream takes.
const DATA_MAX: usize = 10 << 20;

/// The members of a record, as both requests have them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) data: Option<&'a Blob<'a>>,
    pub(super) partition_key: Option<&'a str>,
    pub(super) explicit_hash_key: Option<&'a str>,
}

impl<'a> Record<'a> {
    pub(super) fn new(
        data: &'a Option<Blob<'a>>,
        partition_key: &'a Option<Text<'_>>,
        explicit_hash_key: &'a Option<Text<'_>>,
    ) -> Self {
        Self {
            data: data.as_ref(),
            partition_key: text(partition_key),
            explicit_hash_key: text(explicit_hash_key),
        }
    }

    /// The constraints of one record; `prefix` is where it stands in the request.
    pub(super) fn check(&self, checks: &mut Checks, prefix: &dyn Display) {
        let data_len = self.data.map(Blob::len);
        if let Some(length) = checks.required(&format_args!("{prefix}data"), data_len)
            && length > DATA_MAX
        {
            too_long(checks, prefix, length, DATA_MAX);
        }
        if let Some(key) = self.explicit_hash_key {
            checks.hash_key(&format_args!("{prefix}explicitHashKey"), key);
        }
        let path = format_args!("{prefix}partitionKey");
        if let Some(key) = checks.required(&path, self.partition_key) {
            checks.length(&path, key, (1, 256));
        }
    }

    /// Data and key, as the service counts them.
    pub(super) fn size(&self) -> usize {
        self.data.map_or(0, Blob::len) + self.partition_key.map_or(0, str::len)
    }

    /// Refuses what is too large for the stream, in the words of the old fixed limit.
    pub(super) fn check_size(&self, prefix: &dyn Display, limit: usize) -> Result<(), Refusal> {
        if self.size() <= limit {
            return Ok(());
        }
        let mut checks = Checks::default();
        too_long(&mut checks, prefix, self.data.map_or(0, Blob::len), limit);
        checks.finish()
    }

    /// Where the record falls.
    fn hash(&self) -> Result<u128, Refusal> {
        let Some(key) = self.explicit_hash_key else {
            return Ok(hash::of_key(self.partition_key.unwrap_or_default()));
        };
        key.parse().map_err(|_| {
            Refusal::invalid(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
                 Specified value was {key}"
            ))
        })
    }
}

fn too_long(checks: &mut Checks, prefix: &dyn Display, length: usize, limit: usize) {
    checks.fail(
        Some(&format_args!(
            "java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]"
        )),
        &format_args!("{prefix}data"),
        &format_args!("have length less than or equal to {limit}"),
    );
}

/// Decodes all records into one piece: each one's data, then its key. Fails on the first that is no
/// base64, which the service refuses before it looks at any constraint.
pub(super) fn decode<'a>(
    records: impl Iterator<Item = Record<'a>> + Clone,
) -> Result<Bytes, Refusal> {
    let size = records.clone().map(|record| record.size()).sum();
    let mut out = Vec::with_capacity(size);
    for record in records {
        if let Some(data) = record.data {
            data.append_to(&mut out)?;
        }
        out.extend_from_slice(record.partition_key.unwrap_or_default().as_bytes());
    }
    Ok(Bytes::from(out))
}

/// The decoded records as the engine takes them.
pub(super) fn places<'a>(
    records: impl ExactSizeIterator<Item = Record<'a>>,
    mut decoded: Bytes,
) -> Result<Vec<Put>, Refusal> {
    let may_keep = decoded.len() >= OWN_BLOCK;
    let mut puts = Vec::with_capacity(records.len());
    for record in records {
        let key_len = record.partition_key.map_or(0, str::len);
        let key_len = u16::try_from(key_len).unwrap_or(u16::MAX);
        let bytes = decoded.split_to(record.size());
        puts.push(Put {
            hash: record.hash()?,
            payload: Payload {
                bytes,
                key_len,
                may_keep,
                is_encrypted: false,
            },
        });
    }
    Ok(puts)
}

/// A stream that is still being made takes no records, whatever else is wrong with the request.
pub(super) fn check_has_shards(stream: &Stream, now: crate::clock::Moment) -> Result<(), Refusal> {
    if stream.state(now).topology.open_count() == 0 {
        return Err(Refusal::stream_not_found(&stream.name, &stream.scope));
    }
    Ok(())
}

/// The whole request is too large.
pub(super) fn check_total(size: usize) -> Result<(), Refusal> {
    if size > DATA_MAX {
        return Err(Refusal::new(
            Kind::InvalidArgument,
            "Records size exceeds 10 MB limit",
        ));
    }
    Ok(())
}
