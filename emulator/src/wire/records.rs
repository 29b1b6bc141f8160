//! The replies that carry most of the bytes, written straight into one buffer: the records of
//! GetRecords and of a subscription's events, and the places of PutRecord and PutRecords.

mod cbor;
mod json;

use crate::engine::Entry;
use crate::engine::sequence::Sequence;
use crate::engine::shard::Shard;
use crate::engine::stream::Place;
use crate::refusal::Refusal;

use super::codec::Wire;
use super::shape::ChildShard;

/// Records of one shard, and where its reader goes on: a reply to GetRecords, or an event.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) entries: &'a [Entry],
    pub(crate) next: Next,
    pub(crate) millis_behind: u64,
    /// Of a shard that has ended and is read to its end.
    pub(crate) children: Option<Vec<ChildShard>>,
}

/// Where a reader goes on.
#[derive(Debug)]
pub(crate) enum Next {
    /// Of GetRecords.
    Iterator(String),
    /// Of a subscription.
    Continuation(Sequence),
    /// Nowhere: the shard has ended.
    End,
}

impl Next {
    /// The member that says so, and its value.
    fn member(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Iterator(iterator) => Some(("NextShardIterator", iterator.clone())),
            Self::Continuation(number) => Some(("ContinuationSequenceNumber", number.to_string())),
            Self::End => None,
        }
    }
}

impl Records<'_> {
    pub(crate) fn write(&self, wire: Wire) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(wire, &mut out);
        out
    }

    /// Writes behind what is there already.
    pub(crate) fn append(&self, wire: Wire, out: &mut Vec<u8>) {
        match wire {
            Wire::Json => json::records(out, self),
            Wire::Cbor => cbor::records(out, self),
        }
    }
}

/// The reply to PutRecords: a place, or why there is none, for each record.
pub(crate) fn write_places<'a>(
    wire: Wire,
    places: impl ExactSizeIterator<Item = Result<Place, &'a Refusal>> + Clone,
) -> Vec<u8> {
    match wire {
        Wire::Json => json::places(places),
        Wire::Cbor => cbor::places(places),
    }
}

/// The reply to PutRecord.
pub(crate) fn write_place(wire: Wire, place: Place) -> Vec<u8> {
    match wire {
        Wire::Json => json::place(place),
        Wire::Cbor => cbor::place(place),
    }
}
