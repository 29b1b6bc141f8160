//! In JSON: base64 goes straight into the buffer, and keys that need no escapes are copied.

use base64_simd::STANDARD;

use crate::clock::Moment;
use crate::engine::Entry;
use crate::engine::shard::{Shard, id};
use crate::engine::stream::Place;
use crate::refusal::Refusal;

use super::Records;

/// Bytes of a record besides its data and key: names, number and time.
const RECORD_FRAME: usize = 192;
/// Bytes of a place.
const PLACE_FRAME: usize = 128;

const ENCRYPTED: &[u8] = b",\"EncryptionType\":\"KMS\"";

pub(super) fn records(out: &mut Vec<u8>, reply: &Records<'_>) {
    let size =
        |entry: &Entry| RECORD_FRAME + entry.data().len().div_ceil(3) * 4 + entry.key().len();
    let records: usize = reply.entries.iter().map(size).sum();
    out.reserve(records + 512);
    out.extend_from_slice(b"{\"Records\":[");
    for (place, entry) in reply.entries.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_record(out, reply.shard, entry);
    }
    out.push(b']');
    if let Some((name, value)) = reply.next.member() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_text(out, &value);
    }
    out.extend_from_slice(b",\"MillisBehindLatest\":");
    write_number(out, reply.millis_behind);
    if let Some(children) = &reply.children {
        out.extend_from_slice(b",\"ChildShards\":");
        write_json(out, children);
    }
    out.push(b'}');
}

fn write_record(out: &mut Vec<u8>, shard: &Shard, entry: &Entry) {
    let number = shard.sequence(entry.index, entry.arrival).digits();
    out.extend_from_slice(b"{\"SequenceNumber\":\"");
    out.extend_from_slice(number.as_bytes());
    out.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
    write_time(out, entry.arrival);
    out.extend_from_slice(b",\"Data\":\"");
    STANDARD.encode_append(entry.data(), out);
    out.extend_from_slice(b"\",\"PartitionKey\":");
    write_text(out, entry.key());
    if entry.is_encrypted {
        out.extend_from_slice(ENCRYPTED);
    }
    out.push(b'}');
}

pub(super) fn places<'a>(
    places: impl ExactSizeIterator<Item = Result<Place, &'a Refusal>> + Clone,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(places.len() * PLACE_FRAME + 64);
    out.extend_from_slice(b"{\"FailedRecordCount\":");
    write_number(
        &mut out,
        places.clone().filter(Result::is_err).count() as u64,
    );
    out.extend_from_slice(b",\"Records\":[");
    let mut is_encrypted = false;
    for (index, place) in places.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match place {
            Ok(place) => {
                is_encrypted |= place.is_encrypted;
                out.push(b'{');
                write_place(&mut out, place);
            }
            Err(refusal) => {
                out.extend_from_slice(b"{\"ErrorCode\":");
                write_text(&mut out, refusal.kind.name());
                out.extend_from_slice(b",\"ErrorMessage\":");
                write_text(&mut out, refusal.message.as_deref().unwrap_or_default());
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    if is_encrypted {
        out.extend_from_slice(ENCRYPTED);
    }
    out.push(b'}');
    out
}

pub(super) fn place(place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(PLACE_FRAME);
    out.push(b'{');
    write_place(&mut out, place);
    if place.is_encrypted {
        out.extend_from_slice(ENCRYPTED);
    }
    out.push(b'}');
    out
}

fn write_place(out: &mut Vec<u8>, place: Place) {
    out.extend_from_slice(b"\"SequenceNumber\":\"");
    out.extend_from_slice(place.sequence.digits().as_bytes());
    out.extend_from_slice(b"\",\"ShardId\":\"");
    out.extend_from_slice(id(place.shard).as_bytes());
    out.push(b'"');
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
