//! The format by hand, against another implementation, and damaged in every way.

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::model::HashKeyRange;

/// Wraps a message into an envelope.
fn sealed(message: &[u8]) -> Bytes {
    [&MARK[..], message, &digest(message)].concat().into()
}

/// The bytes of hexadecimal digits; blanks are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn packed(records: &[UserRecord]) -> Packed {
    let mut aggregator = Aggregator::new().with_bytes_max(usize::MAX);
    for record in records {
        assert_eq!(aggregator.add(record.clone()).unwrap(), None);
    }
    let bytes = aggregator.bytes();
    let packed = aggregator.finish().unwrap();
    if packed.records > 1 {
        assert_eq!(packed.data.len(), bytes, "what waits is counted right");
    }
    assert_eq!((aggregator.bytes(), aggregator.finish()), (0, None));
    packed
}

fn read(message: &str) -> Result<Vec<UserRecord>, Malformed> {
    deaggregate(&sealed(&hex(message))).map(|records| records.expect("it is marked"))
}

/// A table of one key, `k`.
const KEY: &str = "0A 01 6B";

#[test]
fn bytes_written_by_hand_are_read_and_written_the_same() {
    let whole = [
        "F3 89 9A C2",
        "0A 03 616E6E",                     // partition key 0: ann
        "0A 03 626F62",                     // partition key 1: bob
        "12 02 3137",                       // hash key 0: 17
        "1A 07  08 00        1A 03 6F6E65", // ann, one
        "1A 09  08 01  10 00 1A 03 74776F", // bob, 17, two
        "848D1C7235E9A4A16C0154B254AF67BA", // the MD5 of all but the mark
    ];
    let whole = Bytes::from(hex(&whole.concat()));
    let records = vec![
        UserRecord::new("ann", "one"),
        UserRecord::new("bob", "two").with_explicit_hash_key(17),
    ];
    assert_eq!(deaggregate(&whole).unwrap().unwrap(), records);
    let packed = packed(&records);
    assert_eq!(packed.data, whole);
    assert_eq!(packed.partition_key, "a");
    assert_eq!(packed.explicit_hash_key, Some(hash_of("ann")));
}

/// Made by the program `tests/vectors/aggregates.py`, which asks a public package.
#[test]
fn another_implementation_writes_the_same_bytes() {
    let vectors = include_str!("../../tests/vectors/aggregates.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).unwrap();
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let records: Vec<_> = vector["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| {
                let data = hex(record["data"].as_str().unwrap());
                let plain = UserRecord::new(record["partition_key"].as_str().unwrap(), data);
                match record["explicit_hash_key"].as_str() {
                    Some(key) => plain.with_explicit_hash_key(key.parse().unwrap()),
                    None => plain,
                }
            })
            .collect();
        let bytes = Bytes::from(hex(vector["bytes"].as_str().unwrap()));
        let name = vector["name"].as_str().unwrap();
        assert_eq!(deaggregate(&bytes).unwrap().unwrap(), records, "{name}");
        assert_eq!(packed(&records).data, bytes, "{name}");
    }
}

#[test]
fn payloads_are_not_copied() {
    let data = packed(&[UserRecord::new("k", "one"), UserRecord::new("k", "two")]).data;
    let within = data.as_ptr_range();
    for record in deaggregate(&data).unwrap().unwrap() {
        assert!(within.contains(&record.data.as_ptr()));
    }
}

#[test]
fn what_has_no_mark_is_plain() {
    for data in [&b""[..], b"\xF3\x89\x9A", b"plain", b"\x00\xF3\x89\x9A\xC2"] {
        assert_eq!(deaggregate(&Bytes::from_static(data)), Ok(None));
    }
}

#[test]
fn an_envelope_without_room_for_a_message_is_malformed() {
    for len in 0..=DIGEST_BYTES {
        let data = [&MARK[..], &vec![0; len]].concat().into();
        assert_eq!(deaggregate(&data), Err(Malformed::Truncated));
    }
    assert_eq!(deaggregate(&sealed(b"")), Err(Malformed::Truncated));
}

#[test]
fn the_digest_is_checked_before_anything_else() {
    let mut data = sealed(b"no message at all").to_vec();
    assert_eq!(deaggregate(&data.clone().into()), Err(Malformed::Message));
    data[4] ^= 1;
    assert_eq!(deaggregate(&data.into()), Err(Malformed::Digest));
}

#[test]
fn what_the_message_says_is_checked() {
    let cases = [
        (
            "a record without a key",
            "1A 03 1A 01 78",
            Malformed::Message,
        ),
        ("a record without data", "1A 02 08 00", Malformed::Message),
        (
            "a place behind the table of keys",
            "1A 05 08 01 1A 01 78",
            Malformed::Index,
        ),
        (
            "a place near 2^64",
            "1A 0D 08 FFFFFFFFFFFFFFFFFF01 1A 00",
            Malformed::Index,
        ),
        (
            "a place behind the table of hash keys",
            "1A 06 08 00 10 00 1A 00",
            Malformed::Index,
        ),
        (
            "a hash key of 2^128",
            "12 27 333430323832333636393230393338343633343633333734363037343331373638323131343536",
            Malformed::HashKey,
        ),
        ("a hash key with a sign", "12 02 2B31", Malformed::HashKey),
        ("a hash key without digits", "12 00", Malformed::HashKey),
        ("a key that is not UTF-8", "0A 01 FF", Malformed::Message),
        ("a length behind the end", "1A 7F 08 00", Malformed::Message),
        (
            "a length near 2^64",
            "1A FFFFFFFFFFFFFFFFFF01",
            Malformed::Message,
        ),
        (
            "a number that does not end",
            "08 FFFFFFFFFFFFFFFFFFFF01",
            Malformed::Message,
        ),
        (
            "a number beyond 2^64",
            "08 FFFFFFFFFFFFFFFFFF02",
            Malformed::Message,
        ),
        ("a group", "0B 0C", Malformed::Message),
        ("a field without a number", "00 00", Malformed::Message),
    ];
    for (what, message, expected) in cases {
        assert_eq!(read(&format!("{KEY} {message}")), Err(expected), "{what}");
    }
}

#[test]
fn what_protobuf_allows_is_read() {
    let one = Ok(vec![UserRecord::new("k", "x")]);
    let cases = [
        ("records before tables", "1A 05 08 00 1A 01 78 0A 01 6B"),
        (
            "fields of a record in another order",
            "0A 01 6B 1A 05 1A 01 78 08 00",
        ),
        (
            "the last of two counts",
            "0A 01 6B 1A 08 1A 01 79 08 00 1A 01 78",
        ),
        ("tags", "0A 01 6B 1A 0C 08 00 1A 01 78 22 05 0A 03 746167"),
        (
            "unknown fields of all types",
            "0A 01 6B 20 01 29 0000000000000000 32 01 78 3D 00000000 1A 05 08 00 1A 01 78",
        ),
        (
            "a known field of another type",
            "0A 01 6B 08 01 1A 05 08 00 1A 01 78",
        ),
        (
            "a number longer than needed",
            "0A 01 6B 1A 06 08 8000 1A 01 78",
        ),
        (
            "a key that nobody uses",
            "0A 01 6B 0A 01 7A 1A 05 08 00 1A 01 78",
        ),
    ];
    for (what, message) in cases {
        assert_eq!(read(message), one, "{what}");
    }
    assert_eq!(read(KEY), Ok(Vec::new()), "no records are no records");
}

/// A record of six bytes becomes one of a hundred, and its key is copied.
#[test]
fn growth_is_bounded() {
    let many = |key: &[u8], records: usize| {
        let mut message = vec![
            0x0A,
            (key.len() & 0x7F | 0x80) as u8,
            (key.len() >> 7) as u8,
        ];
        message.extend(key);
        message.extend([0x1A, 4, 8, 0, 0x1A, 0].repeat(records));
        deaggregate(&sealed(&message)).map(|records| records.expect("it is marked").len())
    };
    assert_eq!(many(&[b'k'; 256], USER_RECORDS_MAX), Ok(USER_RECORDS_MAX));
    assert_eq!(
        many(&[b'k'; 256], USER_RECORDS_MAX + 1),
        Err(Malformed::TooLarge)
    );
    assert_eq!(
        many(&[b'k'; 257], USER_RECORDS_MAX),
        Err(Malformed::TooLarge)
    );
    let keys = [0x0A, 0].repeat(USER_RECORDS_MAX + 1);
    assert_eq!(deaggregate(&sealed(&keys)), Err(Malformed::TooLarge));
}

#[test]
fn one_record_alone_is_sent_as_it_is() {
    let record = UserRecord::new("key", "data").with_explicit_hash_key(7);
    let expected = Packed {
        partition_key: "key".to_owned(),
        explicit_hash_key: Some(7),
        data: "data".into(),
        records: 1,
    };
    assert_eq!(packed(&[record]), expected);
}

#[test]
fn what_is_too_large_for_an_aggregate_goes_out_alone() {
    let mut aggregator = Aggregator::new().with_bytes_max(100);
    assert_eq!(aggregator.add(UserRecord::new("k", "small")).unwrap(), None);
    let small = aggregator.add(UserRecord::new("k", vec![0; 200])).unwrap();
    assert_eq!(small.unwrap().data, "small");
    let large = aggregator.add(UserRecord::new("k", "small")).unwrap();
    assert_eq!(large.unwrap().data.len(), 200);
}

#[test]
fn a_key_that_the_service_refuses_is_refused() {
    let mut aggregator = Aggregator::new();
    for key in [String::new(), "é".repeat(257)] {
        let error = aggregator.add(UserRecord::new(key, "")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(
        aggregator
            .add(UserRecord::new("é".repeat(256), ""))
            .unwrap(),
        None
    );
    assert_eq!(aggregator.finish().unwrap().records, 1);
}

#[test]
fn the_hash_of_a_partition_key_is_its_md5() {
    // RFC 1321's suite has the digest of "a".
    assert_eq!(hash_of("a"), 0x0CC1_75B9_C0F1_B6A8_31C3_99E2_6977_2661);
}

fn user_record() -> impl Strategy<Value = UserRecord> {
    let hash_key = prop::option::of(prop_oneof![any::<u128>(), 0..4_u128]);
    let data = prop::collection::vec(any::<u8>(), 0..200);
    ("[a-cé鍵]{1,4}", hash_key, data).prop_map(|(partition_key, explicit_hash_key, data)| {
        UserRecord {
            partition_key,
            explicit_hash_key,
            data: data.into(),
        }
    })
}

proptest! {
    #[test]
    fn what_is_packed_comes_out_again(
        records in prop::collection::vec(user_record(), 1..200), bytes_max in 0..20_000_usize,
    ) {
        let mut aggregator = Aggregator::new().with_bytes_max(bytes_max);
        let mut put = Vec::new();
        for record in &records {
            put.extend(aggregator.add(record.clone()).unwrap());
        }
        put.extend(aggregator.finish());
        let mut seen = Vec::new();
        for packed in put {
            match packed.records {
                1 => seen.push(UserRecord {
                    partition_key: packed.partition_key,
                    explicit_hash_key: packed.explicit_hash_key,
                    data: packed.data,
                }),
                count => {
                    prop_assert!(packed.data.len() <= bytes_max);
                    let inner = deaggregate(&packed.data).unwrap().unwrap();
                    prop_assert_eq!(inner.len(), count);
                    prop_assert_eq!(packed.explicit_hash_key, Some(inner[0].hash_key()));
                    seen.extend(inner);
                }
            }
        }
        prop_assert_eq!(seen, records);
    }

    /// A byte that was flipped, lost or added is never taken for an aggregate.
    #[test]
    fn nothing_damaged_is_taken_apart(
        records in prop::collection::vec(user_record(), 2..20),
        at in any::<prop::sample::Index>(), bit in 0..8_u32, how in 0..3,
    ) {
        let mut data = packed(&records).data.to_vec();
        let at = at.index(data.len());
        match how {
            0 => data[at] ^= 1 << bit,
            1 => data.truncate(at),
            _ => data.insert(at, data[at] ^ 1 << bit),
        }
        let read = deaggregate(&data.into());
        prop_assert!(!matches!(read, Ok(Some(_))), "{read:?}");
    }

    /// A message of any bytes under a right digest: nothing panics, and nothing grows beyond bounds.
    #[test]
    fn any_message_is_read_or_refused(message in prop::collection::vec(any::<u8>(), 1..300)) {
        if let Ok(Some(records)) = deaggregate(&sealed(&message)) {
            prop_assert!(records.len() <= message.len() / 6);
        }
    }

    /// Each record of an aggregate reaches exactly one of two shards that follow on a split.
    #[test]
    fn a_split_parts_the_records_and_keeps_their_places(
        records in prop::collection::vec(user_record(), 2..30), middle in 1..u128::MAX,
    ) {
        let data = packed(&records).data;
        let aggregate = Aggregate::read(&data).unwrap();
        let ranges = [(0, middle - 1), (middle, u128::MAX)];
        let mut seen = Vec::new();
        for (start, end) in ranges {
            for (place, record) in aggregate.records_within(HashKeyRange { start, end }) {
                prop_assert!((start..=end).contains(&record.hash_key()));
                seen.push((place, record));
            }
        }
        seen.sort_by_key(|(place, _)| *place);
        let expected: Vec<_> = (0..).zip(records).collect();
        prop_assert_eq!(seen, expected);
    }
}
