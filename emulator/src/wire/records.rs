//! The two replies that carry most of the bytes, written straight into one buffer: the records of
//! GetRecords and the places of PutRecords.

use base64_simd::STANDARD;

use crate::clock::Moment;
use crate::engine::Entry;
use crate::engine::sequence::Sequence;
use crate::engine::shard::{Shard, id};

use super::shape::ChildShard;

/// Bytes of a record's JSON besides its data and key: names, number and time.
const RECORD_FRAME: usize = 192;
/// Bytes of a place's JSON.
const PLACE_FRAME: usize = 128;

/// A reply to GetRecords.
#[derive(Debug)]
pub(crate) struct RecordsReply<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) entries: &'a [Entry],
    pub(crate) next_iterator: Option<String>,
    pub(crate) millis_behind: u64,
    /// Of a shard that has ended and is read to its end.
    pub(crate) children: Option<Vec<ChildShard>>,
}

impl RecordsReply<'_> {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let size =
            |entry: &Entry| RECORD_FRAME + entry.data().len().div_ceil(3) * 4 + entry.key().len();
        let records: usize = self.entries.iter().map(size).sum();
        let mut out = Vec::with_capacity(records + 512);
        out.extend_from_slice(b"{\"Records\":[");
        for (place, entry) in self.entries.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_record(&mut out, self.shard, entry);
        }
        out.push(b']');
        if let Some(iterator) = &self.next_iterator {
            out.extend_from_slice(b",\"NextShardIterator\":\"");
            out.extend_from_slice(iterator.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"MillisBehindLatest\":");
        write_number(&mut out, self.millis_behind);
        if let Some(children) = &self.children {
            out.extend_from_slice(b",\"ChildShards\":");
            write_json(&mut out, children);
        }
        out.push(b'}');
        out
    }
}

fn write_record(out: &mut Vec<u8>, shard: &Shard, entry: &Entry) {
    out.extend_from_slice(b"{\"SequenceNumber\":\"");
    out.extend_from_slice(
        shard
            .sequence(entry.index, entry.arrival)
            .digits()
            .as_bytes(),
    );
    out.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
    write_time(out, entry.arrival);
    out.extend_from_slice(b",\"Data\":\"");
    STANDARD.encode_append(entry.data(), out);
    out.extend_from_slice(b"\",\"PartitionKey\":");
    write_text(out, entry.key());
    out.push(b'}');
}

/// The reply to PutRecords when all records are in.
pub(crate) fn places_to_json(places: &[(u32, Sequence)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(places.len() * PLACE_FRAME + 64);
    out.extend_from_slice(b"{\"FailedRecordCount\":0,\"Records\":[");
    for (place, (shard, sequence)) in places.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"SequenceNumber\":\"");
        out.extend_from_slice(sequence.digits().as_bytes());
        out.extend_from_slice(b"\",\"ShardId\":\"");
        write_shard_id(&mut out, *shard);
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"]}");
    out
}

/// The reply to PutRecord.
pub(crate) fn place_to_json((shard, sequence): (u32, Sequence)) -> Vec<u8> {
    let mut out = Vec::with_capacity(PLACE_FRAME);
    out.extend_from_slice(b"{\"ShardId\":\"");
    write_shard_id(&mut out, shard);
    out.extend_from_slice(b"\",\"SequenceNumber\":\"");
    out.extend_from_slice(sequence.digits().as_bytes());
    out.extend_from_slice(b"\"}");
    out
}

fn write_shard_id(out: &mut Vec<u8>, shard: u32) {
    out.extend_from_slice(id(shard).as_bytes());
}

/// Seconds, a point, milliseconds: plain digits, never an exponent.
fn write_time(out: &mut Vec<u8>, time: Moment) {
    write_number(out, time.seconds());
    let millis = time.millis() % 1000;
    let digit = |scale: u64| b'0' + u8::try_from(millis / scale % 10).unwrap_or_default();
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// A string in its quotes.
fn write_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_json(out, &text);
    }
}

fn write_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(out, value).expect("these shapes have string keys and go to memory");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_times_and_texts_are_json(number in any::<u64>(), text in ".{0,40}", ms in 0..4_000_000_000_000_u64) {
            let mut out = Vec::new();
            write_number(&mut out, number);
            prop_assert_eq!(serde_json::from_slice::<u64>(&out).unwrap(), number);
            out.clear();
            write_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            out.clear();
            write_time(&mut out, Moment(ms));
            let seconds = serde_json::from_slice::<f64>(&out).unwrap();
            prop_assert_eq!(Moment::from_seconds(seconds), Moment(ms));
        }
    }
}
