//! Reads the lease table as the emulator holds it, by its documented attribute names.
//!
//! Written apart from the library's own codec on purpose: what it reads is the contract with others.

use std::time::{Duration, UNIX_EPOCH};

use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};
use kinesis_emulator::dynamo::{AttributeValue, Item};

use super::history::LeaseRow;
use super::stream::shard_of;

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Of a shard.
    Lease(LeaseRow),
    /// Of a worker.
    Worker {
        /// The last part of its key.
        incarnation: String,
        /// `leaseCounter`.
        counter: u64,
    },
    /// Of the watch.
    Watch {
        /// The incarnation of who keeps it.
        incarnation: String,
        /// `leaseCounter`.
        term: u64,
        /// `bell`.
        bell: u64,
    },
    /// Of another kind, or a row that cannot be read.
    Other,
}

/// The key of a row.
#[must_use]
pub fn key(item: &Item) -> Option<&str> {
    text(item, "leaseKey")
}

/// The shard whose row has this key: its name, or `stream/` and its stream and name where there are two.
#[must_use]
pub fn shard(key: &str) -> Option<ShardId> {
    let (stream, name) = match key.strip_prefix("stream/") {
        Some(rest) => rest
            .split_once('/')
            .map(|(stream, name)| (Some(stream), name))?,
        None => (None, key),
    };
    (!name.contains('/')).then(|| shard_of(stream, name))
}

/// The key of the row of a shard.
#[must_use]
pub fn lease_key(shard: &ShardId) -> String {
    let prefix = shard.stream().map_or("", |_| "stream/");
    format!("{prefix}{shard}")
}

/// The row of an item.
#[must_use]
pub fn row(item: &Item) -> Row {
    read(item).unwrap_or(Row::Other)
}

fn read(item: &Item) -> Option<Row> {
    let key = text(item, "leaseKey")?;
    if let Some(name) = key.strip_prefix("worker/") {
        let (_, incarnation) = name.rsplit_once('/')?;
        let counter = number(item, "leaseCounter")?;
        return Some(Row::Worker {
            incarnation: incarnation.to_owned(),
            counter,
        });
    }
    if key == "watch/" {
        return Some(Row::Watch {
            incarnation: text(item, "leaseOwnerIncarnation")?.to_owned(),
            term: number(item, "leaseCounter")?,
            bell: number(item, "bell")?,
        });
    }
    shard(key)?;
    Some(Row::Lease(LeaseRow {
        incarnation: text(item, "leaseOwnerIncarnation").map(str::to_owned),
        epoch: number(item, "leaseCounter")?,
        checkpoint: checkpoint(item)?,
        given_to: text(item, "movedTo").and_then(|key| Some(key.rsplit_once('/')?.1.to_owned())),
    }))
}

fn checkpoint(item: &Item) -> Option<Checkpoint> {
    Some(match text(item, "checkpoint")? {
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "LATEST" => Checkpoint::Latest,
        "SHARD_END" => Checkpoint::ShardEnd,
        "AT_TIMESTAMP" => {
            let millis = Duration::from_millis(number(item, "checkpointTimestamp")?);
            Checkpoint::AtTimestamp(UNIX_EPOCH + millis)
        }
        sequence => Checkpoint::Sequence {
            sequence: SequenceNumber::new(sequence).ok()?,
            subsequence: number(item, "checkpointSubSequenceNumber").unwrap_or(0),
        },
    })
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        AttributeValue::S(text) => Some(text),
        AttributeValue::N(_)
        | AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null
        | AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_)
        | AttributeValue::L(_)
        | AttributeValue::M(_) => None,
    }
}

fn number(item: &Item, name: &str) -> Option<u64> {
    match item.get(name)? {
        AttributeValue::N(number) => number.to_string().parse().ok(),
        AttributeValue::S(_)
        | AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null
        | AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_)
        | AttributeValue::L(_)
        | AttributeValue::M(_) => None,
    }
}
