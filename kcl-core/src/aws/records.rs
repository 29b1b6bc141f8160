//! From the SDK's records and child shards to ours, for every call that brings some: `GetRecords` here,
//! `SubscribeToShard` in `kcl-efo`. Payloads are moved, not copied.

use std::time::SystemTime;

use aws_sdk_kinesis::types;
use bytes::Bytes;

use crate::model::{ChildShard, HashKeyRange, Record, SequenceNumber, ShardId};

/// A record as the service sent it.
///
/// # Errors
/// In words, if it has no sequence number.
pub fn record(raw: types::Record) -> Result<Record, String> {
    Ok(Record {
        sequence_number: SequenceNumber::new(raw.sequence_number).map_err(|e| e.to_string())?,
        subsequence_number: 0,
        partition_key: raw.partition_key.unwrap_or_default(),
        data: Bytes::from(raw.data.into_inner()),
        approximate_arrival: raw
            .approximate_arrival_timestamp
            .and_then(|time| SystemTime::try_from(time).ok()),
    })
}

/// A child shard as the last read of its parent names it.
///
/// # Errors
/// In words, if it has no name, no parents or no range of hash keys.
pub fn child(raw: types::ChildShard) -> Result<ChildShard, String> {
    let id = raw.shard_id;
    if id.is_empty() || raw.parent_shards.is_empty() {
        return Err(format!("child shard {id:?} without name or parents"));
    }
    let Some(range) = raw.hash_key_range else {
        return Err(format!("child shard {id:?} without a range of hash keys"));
    };
    Ok(ChildShard {
        parents: raw.parent_shards.iter().map(ShardId::new).collect(),
        range: HashKeyRange::parse(&range.starting_hash_key, &range.ending_hash_key)
            .map_err(|error| error.to_string())?,
        id: ShardId::new(id),
    })
}
