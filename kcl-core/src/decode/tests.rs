//! Batches with aggregates in them, taken apart for a shard.

use bytes::Bytes;

use super::*;
use crate::kpl::{Aggregator, UserRecord};
use crate::model::{ChildShard, Record};

const WHOLE: HashKeyRange = HashKeyRange {
    start: 0,
    end: u128::MAX,
};

fn record(sequence: u64, data: impl Into<Bytes>) -> Record {
    Record {
        sequence_number: SequenceNumber::new(sequence.to_string()).unwrap(),
        subsequence_number: 0,
        partition_key: "outer".to_owned(),
        data: data.into(),
        approximate_arrival: None,
    }
}

/// An aggregate of records with these hash keys, each of which is its payload as well.
fn aggregate(hash_keys: impl IntoIterator<Item = u128>) -> Bytes {
    let mut aggregator = Aggregator::new().with_bytes_max(usize::MAX);
    for key in hash_keys {
        let record = UserRecord::new("inner", key.to_string()).with_explicit_hash_key(key);
        aggregator.add(record).unwrap();
    }
    aggregator.finish().unwrap().data
}

fn decode(range: HashKeyRange, records: Vec<Record>) -> Vec<(Batch, Vec<Found>)> {
    let mut decoder = Decoder::new(&DecodeSettings { deaggregate: true }, range);
    let batch = Batch {
        records,
        children: Some(Vec::<ChildShard>::new()),
        ..Batch::default()
    };
    decoder.push(batch);
    std::iter::from_fn(|| decoder.next()).collect()
}

/// Sequence number, place in the aggregate, partition key and payload.
fn seen(batch: &Batch) -> Vec<String> {
    let record = |r: &Record| {
        let data = String::from_utf8_lossy(&r.data);
        let (number, place) = (&r.sequence_number, r.subsequence_number);
        format!("{number}/{place} {} {data}", r.partition_key)
    };
    batch.records.iter().map(record).collect()
}

#[test]
fn records_of_an_aggregate_share_its_number_and_count_up_within() {
    let records = vec![
        record(1, "plain"),
        record(2, aggregate([5, 6])),
        record(3, "plain"),
    ];
    let pieces = decode(WHOLE, records);
    let [(batch, found)] = &pieces[..] else {
        panic!("one piece")
    };
    let expected = [
        "1/0 outer plain",
        "2/0 inner 5",
        "2/1 inner 6",
        "3/0 outer plain",
    ];
    assert_eq!(seen(batch), expected);
    assert_eq!(found, &[]);
    assert!(batch.children.is_some());
}

#[test]
fn what_belongs_to_another_shard_is_left_out_and_told() {
    let range = HashKeyRange { start: 5, end: 7 };
    let records = vec![
        record(1, aggregate([4, 5, 8, 7])),
        record(2, aggregate([1, 2])),
    ];
    let pieces = decode(range, records);
    let [(batch, found)] = &pieces[..] else {
        panic!("one piece")
    };
    assert_eq!(seen(batch), ["1/1 inner 5", "1/3 inner 7"], "places stay");
    let first = SequenceNumber::new("1").unwrap();
    assert_eq!(found, &[Found::Misrouted { first, records: 4 }]);
}

#[test]
fn what_cannot_be_taken_apart_stays_as_it_is_and_is_told_once() {
    let mut broken = aggregate([1, 2]).to_vec();
    broken[9] ^= 1;
    let records = vec![record(1, broken.clone()), record(2, broken.clone())];
    let pieces = decode(WHOLE, records.clone());
    let [(batch, found)] = &pieces[..] else {
        panic!("one piece")
    };
    assert_eq!(batch.records, records);
    let first = SequenceNumber::new("1").unwrap();
    let why = Malformed::Digest;
    assert_eq!(
        found,
        &[Found::Malformed {
            first,
            why,
            records: 2
        }]
    );
}

#[test]
fn a_page_that_grows_comes_in_pieces() {
    let records: Vec<_> = (1..=5).map(|n| record(n, aggregate(0..6_000))).collect();
    let pieces = decode(WHOLE, records);
    let sizes: Vec<_> = pieces
        .iter()
        .map(|(batch, _)| batch.records.len())
        .collect();
    assert_eq!(sizes, [12_000, 12_000, 6_000]);
    let ends: Vec<_> = pieces
        .iter()
        .map(|(batch, _)| batch.children.is_some())
        .collect();
    assert_eq!(ends, [false, false, true], "the shard ends with the last");
}

#[test]
fn without_the_setting_nothing_is_taken_apart() {
    let mut decoder = Decoder::new(&DecodeSettings { deaggregate: false }, WHOLE);
    let batch = Batch {
        records: vec![record(1, aggregate([1, 2]))],
        ..Batch::default()
    };
    decoder.push(batch.clone());
    assert_eq!(decoder.next(), Some((batch, Vec::new())));
    assert_eq!(decoder.next(), None);
}
