//! Aggregated records: what the library reads is what a naive reader reads, and what is packed comes out again.
//!
//! The first byte says what the rest is: a whole record of a stream, a message to be put under a right digest, which no
//! fuzzer would find, or user records to be packed.

use bytes::Bytes;
use kcl_core::kpl::{Aggregator, Malformed, USER_RECORDS_MAX, UserRecord, deaggregate};
use md5::{Digest, Md5};

const MARK: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

pub(crate) fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else {
        return;
    };
    match how % 3 {
        0 => record(rest),
        1 => message(rest),
        _ => packs(rest),
    }
}

fn record(data: &[u8]) {
    let read = deaggregate(&Bytes::copy_from_slice(data));
    if !data.starts_with(&MARK) {
        assert_eq!(read, Ok(None));
        return;
    }
    let body = &data[MARK.len()..];
    match body.len().checked_sub(16).filter(|len| *len > 0) {
        None => assert_eq!(read, Err(Malformed::Truncated)),
        Some(len) if Md5::digest(&body[..len])[..] != body[len..] => {
            assert_eq!(read, Err(Malformed::Digest));
        }
        Some(len) => compare(&body[..len], read),
    }
}

fn message(message: &[u8]) {
    let sealed = [&MARK[..], message, &Md5::digest(message)].concat();
    let read = deaggregate(&Bytes::from(sealed));
    if message.is_empty() {
        assert_eq!(read, Err(Malformed::Truncated));
        return;
    }
    compare(message, read);
}

fn compare(message: &[u8], read: Result<Option<Vec<UserRecord>>, Malformed>) {
    let expected = naive(message);
    match read {
        Ok(None) => panic!("it carries the mark"),
        Ok(Some(records)) => {
            assert!(records.len() <= USER_RECORDS_MAX);
            // A tag, a length, a key's place and an empty payload.
            assert!(records.len() * 6 <= message.len(), "more than was there");
            assert_eq!(Some(records), expected);
        }
        Err(Malformed::TooLarge) => {}
        Err(why) => assert_eq!(expected, None, "{why}"),
    }
}

/// Packs what the bytes say, under a limit of size they say as well.
fn packs(mut data: &[u8]) {
    let mut take = |count: usize| {
        let (taken, rest) = data.split_at(count.min(data.len()));
        data = rest;
        taken
    };
    let size = take(2)
        .iter()
        .fold(0, |size, byte| size << 8 | usize::from(*byte));
    let mut aggregator = Aggregator::new().with_bytes_max(size);
    let (mut put, mut expected) = (Vec::new(), Vec::new());
    while let [head, key, len] = *take(3) {
        let mut record = UserRecord::new(format!("key {key}"), take(usize::from(len)).to_vec());
        if head & 1 == 1 {
            record = record.with_explicit_hash_key(u128::from(head).pow(u32::from(head) % 8));
        }
        expected.push(record.clone());
        put.extend(aggregator.add(record).expect("the key is sound"));
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
                assert!(packed.data.len() <= size, "{} > {size}", packed.data.len());
                let inner = deaggregate(&packed.data);
                let inner = inner.expect("it is sound").expect("it is an aggregate");
                assert_eq!(inner.len(), count);
                seen.extend(inner);
            }
        }
    }
    assert_eq!(seen, expected);
}

/// The records of a message, read as slowly and plainly as can be. Nothing if it is not sound.
fn naive(message: &[u8]) -> Option<Vec<UserRecord>> {
    let (mut keys, mut hash_keys, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for field in fields(message)? {
        match field {
            Field::Bytes(1, key) => keys.push(String::from_utf8(key).ok()?),
            Field::Bytes(2, key) => hash_keys.push(decimal(&String::from_utf8(key).ok()?)?),
            Field::Bytes(3, record) => records.push(fields(&record)?),
            Field::Bytes(..) | Field::Number(..) | Field::Other => {}
        }
    }
    let mut read = Vec::new();
    for record in records {
        // The last of a field that is given twice counts.
        let (mut numbers, mut data) = ([None; 3], None);
        for field in record {
            match field {
                Field::Number(1, value) => numbers[1] = Some(value as usize),
                Field::Number(2, value) => numbers[2] = Some(value as usize),
                Field::Bytes(3, bytes) => data = Some(bytes),
                Field::Bytes(..) | Field::Number(..) | Field::Other => {}
            }
        }
        let hash_key = match numbers[2] {
            Some(place) => Some(*hash_keys.get(place)?),
            None => None,
        };
        read.push(UserRecord {
            partition_key: keys.get(numbers[1]?)?.clone(),
            explicit_hash_key: hash_key,
            data: data?.into(),
        });
    }
    Some(read)
}

enum Field {
    Number(u128, u128),
    Bytes(u128, Vec<u8>),
    Other,
}

fn fields(message: &[u8]) -> Option<Vec<Field>> {
    let mut rest = message.to_vec();
    rest.reverse();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        let count = tag / 8;
        fields.push(match tag % 8 {
            0 => Field::Number(count, number(&mut rest)?),
            1 => some(&mut rest, 8).map(|_| Field::Other)?,
            2 => {
                let len = number(&mut rest)?;
                Field::Bytes(count, some(&mut rest, len)?)
            }
            5 => some(&mut rest, 4).map(|_| Field::Other)?,
            _ => return None,
        });
        if count == 0 {
            return None;
        }
    }
    Some(fields)
}

/// The next bytes, off the end of what is turned round.
fn some(rest: &mut Vec<u8>, count: u128) -> Option<Vec<u8>> {
    (0..count).map(|_| rest.pop()).collect()
}

fn number(rest: &mut Vec<u8>) -> Option<u128> {
    let mut digits = Vec::new();
    loop {
        let byte = rest.pop()?;
        digits.push(u128::from(byte % 128));
        if byte < 128 {
            break;
        }
        if digits.len() == 10 {
            return None;
        }
    }
    let number = digits
        .iter()
        .rev()
        .fold(0, |number, digit| number * 128 + digit);
    (number < 1 << 64).then_some(number)
}

fn decimal(text: &str) -> Option<u128> {
    if text.is_empty() {
        return None;
    }
    text.chars().try_fold(0_u128, |number, letter| {
        let digit = "0123456789".find(letter)? as u128;
        number.checked_mul(10)?.checked_add(digit)
    })
}
