//! In CBOR: the data is copied once, from the log into the buffer.

use crate::engine::Entry;
use crate::engine::shard::{Shard, id};
use crate::engine::stream::Place;
use crate::refusal::Refusal;
use crate::wire::cbor::write::{ARRAY, BREAK, MAP, append, bytes, text, time, unsigned};

use super::Records;

/// Bytes of a record besides its data and key: names, number and time.
const RECORD_FRAME: usize = 160;
/// Bytes of a place.
const PLACE_FRAME: usize = 128;

pub(super) fn records(out: &mut Vec<u8>, reply: &Records<'_>) {
    let size = |entry: &Entry| RECORD_FRAME + entry.size();
    let records: usize = reply.entries.iter().map(size).sum();
    out.reserve(records + 512);
    out.push(MAP);
    text(out, "Records");
    out.push(ARRAY);
    for entry in reply.entries {
        write_record(out, reply.shard, entry);
    }
    out.push(BREAK);
    if let Some((name, value)) = reply.next.member() {
        text(out, name);
        text(out, &value);
    }
    text(out, "MillisBehindLatest");
    unsigned(out, reply.millis_behind);
    if let Some(children) = &reply.children {
        text(out, "ChildShards");
        append(out, children);
    }
    out.push(BREAK);
}

fn write_record(out: &mut Vec<u8>, shard: &Shard, entry: &Entry) {
    let number = shard.sequence(entry.index, entry.arrival).digits();
    out.push(MAP);
    text(out, "SequenceNumber");
    text(out, number.as_str());
    text(out, "ApproximateArrivalTimestamp");
    time(out, entry.arrival.millis());
    text(out, "Data");
    bytes(out, entry.data());
    text(out, "PartitionKey");
    text(out, entry.key());
    write_encryption(out, entry.is_encrypted);
    out.push(BREAK);
}

pub(super) fn places<'a>(
    places: impl ExactSizeIterator<Item = Result<Place, &'a Refusal>> + Clone,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(places.len() * PLACE_FRAME + 64);
    out.push(MAP);
    text(&mut out, "FailedRecordCount");
    unsigned(
        &mut out,
        places.clone().filter(Result::is_err).count() as u64,
    );
    text(&mut out, "Records");
    out.push(ARRAY);
    let mut is_encrypted = false;
    for place in places {
        out.push(MAP);
        match place {
            Ok(place) => {
                is_encrypted |= place.is_encrypted;
                write_place(&mut out, place);
            }
            Err(refusal) => {
                text(&mut out, "ErrorCode");
                text(&mut out, refusal.kind.name());
                text(&mut out, "ErrorMessage");
                text(&mut out, refusal.message.as_deref().unwrap_or_default());
            }
        }
        out.push(BREAK);
    }
    out.push(BREAK);
    write_encryption(&mut out, is_encrypted);
    out.push(BREAK);
    out
}

pub(super) fn place(place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(PLACE_FRAME);
    out.push(MAP);
    write_place(&mut out, place);
    write_encryption(&mut out, place.is_encrypted);
    out.push(BREAK);
    out
}

fn write_place(out: &mut Vec<u8>, place: Place) {
    text(out, "SequenceNumber");
    text(out, place.sequence.digits().as_str());
    text(out, "ShardId");
    text(out, &id(place.shard));
}

fn write_encryption(out: &mut Vec<u8>, is_encrypted: bool) {
    if is_encrypted {
        text(out, "EncryptionType");
        text(out, "KMS");
    }
}
