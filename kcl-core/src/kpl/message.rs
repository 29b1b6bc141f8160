//! The protobuf message of an aggregate, and nothing else of protobuf. Called by `read` and `aggregator`.
//!
//! ```text
//! AggregatedRecord { 1: repeated string partition_key, 2: repeated string explicit_hash_key, 3: repeated Record }
//! Record { 1: required uint64 partition_key_index, 2: optional uint64 explicit_hash_key_index, 3: required bytes data }
//! ```
//!
//! As protobuf has it, fields come in any order, the last of a field that is given twice counts, and fields of other
//! numbers or types are skipped: the tags of a record among them, which nobody writes.

use bytes::{BufMut, Bytes, BytesMut};

use super::read::USER_RECORDS_MAX;
use crate::event::Malformed;

/// The message, with everything in it still where it was.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) partition_keys: Vec<&'a str>,
    pub(super) hash_keys: Vec<&'a str>,
    pub(super) entries: Vec<Entry<'a>>,
}

/// A record of the message: places in the tables, and the payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) partition_key: u64,
    pub(super) hash_key: Option<u64>,
    pub(super) data: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        let mut fields = Fields(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(key)) => push(&mut message.partition_keys, text(key)?)?,
                (2, Value::Bytes(key)) => push(&mut message.hash_keys, text(key)?)?,
                (3, Value::Bytes(record)) => push(&mut message.entries, Entry::read(record)?)?,
                (_, Value::Bytes(_) | Value::Number(_) | Value::Fixed) => {}
            }
        }
        Ok(message)
    }
}

impl<'a> Entry<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut partition_key, mut hash_key, mut data) = (None, None, None);
        let mut fields = Fields(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Number(index)) => partition_key = Some(index),
                (2, Value::Number(index)) => hash_key = Some(index),
                (3, Value::Bytes(bytes)) => data = Some(bytes),
                (_, Value::Bytes(_) | Value::Number(_) | Value::Fixed) => {}
            }
        }
        let (Some(partition_key), Some(data)) = (partition_key, data) else {
            return Err(Malformed::Message);
        };
        Ok(Self {
            partition_key,
            hash_key,
            data,
        })
    }

    /// Bytes that the record takes in a message.
    pub(super) fn encoded_len(&self) -> usize {
        let len = self.body_len();
        1 + varint_len(len as u64) + len
    }

    fn body_len(&self) -> usize {
        let index = 1 + varint_len(self.partition_key);
        let hash_key = self.hash_key.map_or(0, |index| 1 + varint_len(index));
        let data = 1 + varint_len(self.data.len() as u64) + self.data.len();
        index + hash_key + data
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u8(0x1A);
        put_varint(out, self.body_len() as u64);
        out.put_u8(0x08);
        put_varint(out, self.partition_key);
        if let Some(index) = self.hash_key {
            out.put_u8(0x10);
            put_varint(out, index);
        }
        out.put_u8(0x1A);
        put_varint(out, self.data.len() as u64);
        out.put_slice(self.data);
    }
}

/// Bytes that a key takes in a table.
pub(super) fn key_encoded_len(key: &str) -> usize {
    1 + varint_len(key.len() as u64) + key.len()
}

/// Writes a key into the table of this field.
pub(super) fn write_key(out: &mut BytesMut, field: u8, key: &str) {
    out.put_u8(field << 3 | 2);
    put_varint(out, key.len() as u64);
    out.put_slice(key.as_bytes());
}

/// The part of `whole` that `part` points at, without a copy.
pub(super) fn share(whole: &Bytes, part: &[u8]) -> Bytes {
    whole.slice_ref(part)
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), Malformed> {
    if list.len() >= USER_RECORDS_MAX {
        return Err(Malformed::TooLarge);
    }
    list.push(item);
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::Message)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no field of ours has.
    Fixed,
}

/// The fields of a message, one after the other: what is not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(usize::try_from(len).map_err(|_| Malformed::Message)?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups, which protobuf has given up, and what was never defined.
            _ => return Err(Malformed::Message),
        };
        match tag >> 3 {
            0 => Err(Malformed::Message),
            number => Ok(Some((number, value))),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed::Message)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (place, &byte) in self.0.iter().take(10).enumerate() {
            // Of the tenth byte only one bit fits.
            if place == 9 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7F) << (7 * place);
            if byte < 0x80 {
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(Malformed::Message)
    }
}

fn varint_len(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}
