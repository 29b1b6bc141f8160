//! The records of one shard: append at the tip, seek by counter or by time, trim at the other end.
//!
//! Counting and appending are one step under the shard's lock, so that order, counter and arrival
//! never disagree. Payloads lie in shared blocks and each record is a handle into one; readers take
//! handles under the lock and encode outside. The index is a queue of chunks of a fixed size: no
//! doubling, and retention frees whole chunks. Called only by [`super::stream`].

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::clock::Moment;

use super::on_demand::Load;
use super::sequence::INDEX_END;

/// Entries of one chunk of the index.
const CHUNK: usize = 512;
/// A shard's first block; each further one is twice as large, up to the largest.
const BLOCK_FIRST: usize = 4 << 10;
const BLOCK_LARGEST: usize = 256 << 10;
/// From here on a record keeps the block it came in: copying it would cost, sharing wastes nothing.
pub(crate) const OWN_BLOCK: usize = 16 << 10;
/// Chunks freed in one call at most, so that no single call pays for a long silence.
const FREED_AT_ONCE: usize = 16;

/// A record as the log keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) arrival: Moment,
    /// The data, then the partition key.
    bytes: Bytes,
    key_len: u16,
    /// Whether its stream was encrypted when it came in.
    pub(crate) is_encrypted: bool,
}

impl Entry {
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[..self.key_start()]
    }

    pub(crate) fn key(&self) -> &str {
        let key = &self.bytes[self.key_start()..];
        std::str::from_utf8(key).expect("a key enters the log as text")
    }

    fn key_start(&self) -> usize {
        self.bytes.len() - usize::from(self.key_len)
    }

    /// Data and key, as the service counts a record's size.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// A record on its way in: data, then key, in one piece.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    pub(crate) key_len: u16,
    /// Whether the log may keep these bytes as they are, because what they lie in holds little else.
    pub(crate) may_keep: bool,
    /// Whether its stream is encrypted; the stream says so when it takes it.
    pub(crate) is_encrypted: bool,
}

/// What one read found.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    /// Where the next read starts.
    pub(crate) next: u64,
    /// Whether nothing lies beyond this page.
    pub(crate) at_tip: bool,
    /// Of all entries, data and keys.
    pub(crate) size: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Log {
    chunks: VecDeque<Vec<Entry>>,
    block: BytesMut,
    block_len: usize,
    /// The counter of the next record.
    next: u64,
    /// Counters below are trimmed, even where their chunk is still there.
    horizon: u64,
    /// The latest arrival: no later record is stamped earlier.
    last_arrival: Moment,
    /// What has ever come in.
    incoming: Traffic,
    /// What had come in when the load was last reset.
    before: Traffic,
    /// What has ever been read, by whomever.
    pub(crate) outgoing: Traffic,
}

/// Records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, records: usize, bytes: usize) {
        // A `usize` is no wider than 64 bits.
        self.records += records as u64;
        self.bytes += bytes as u64;
    }
}

impl Log {
    /// An empty log of a shard that opened at `opened`. Allocates nothing.
    pub(crate) fn new(opened: Moment) -> Self {
        Self {
            chunks: VecDeque::new(),
            block: BytesMut::new(),
            block_len: BLOCK_FIRST / 2,
            next: 1,
            horizon: 0,
            last_arrival: opened,
            incoming: Traffic::default(),
            outgoing: Traffic::default(),
            before: Traffic::default(),
        }
    }

    /// Adds a record and says its counter and arrival; its counter is above `floor`.
    pub(crate) fn append(&mut self, now: Moment, payload: Payload, floor: u64) -> (u64, Moment) {
        let index = self.next.max(floor.saturating_add(1)).min(INDEX_END - 1);
        let arrival = self.last_arrival.max(now);
        let (key_len, is_encrypted) = (payload.key_len, payload.is_encrypted);
        self.incoming.count(1, payload.bytes.len());
        let bytes = self.keep(payload);
        let entry = Entry {
            index,
            arrival,
            bytes,
            key_len,
            is_encrypted,
        };
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(entry),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(entry);
                self.chunks.push_back(chunk);
            }
            // The first chunk grows, so that a shard with few records is cheap.
            None => self.chunks.push_back(vec![entry]),
        }
        self.next = index + 1;
        self.last_arrival = arrival;
        (index, arrival)
    }

    /// The payload's bytes where they may stay.
    fn keep(&mut self, payload: Payload) -> Bytes {
        let len = payload.bytes.len();
        if payload.may_keep {
            return payload.bytes;
        }
        if len >= OWN_BLOCK {
            return Bytes::copy_from_slice(&payload.bytes);
        }
        if self.block.capacity() - self.block.len() < len {
            self.block_len = (self.block_len * 2).min(BLOCK_LARGEST);
            self.block = BytesMut::with_capacity(self.block_len.max(len));
        }
        self.block.extend_from_slice(&payload.bytes);
        self.block.split().freeze()
    }

    /// What was written since this was last reset.
    pub(crate) fn load(&self) -> Load {
        Load {
            bytes: self.incoming.bytes - self.before.bytes,
            records: self.incoming.records - self.before.records,
        }
    }

    pub(crate) fn reset_load(&mut self) {
        self.before = self.incoming;
    }

    /// The counter that the next record will have at least.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// What has ever come in.
    pub(crate) fn incoming(&self) -> Traffic {
        self.incoming
    }

    /// What lies in it: records and their bytes.
    pub(crate) fn held(&self) -> Traffic {
        let mut held = Traffic::default();
        for entry in self.chunks.iter().flatten() {
            if entry.index >= self.horizon {
                held.count(1, entry.size());
            }
        }
        held
    }

    /// The latest arrival, or the opening of the shard.
    pub(crate) fn last_arrival(&self) -> Moment {
        self.last_arrival
    }

    /// The counter of the first record that arrived at `time` or later; the tip if there is none.
    pub(crate) fn seek_time(&self, time: Moment) -> u64 {
        self.seek(|entry| entry.arrival < time).max(self.horizon)
    }

    /// The arrival of the record `index`, if it is there.
    pub(crate) fn arrival_of(&self, index: u64) -> Option<Moment> {
        let (chunk, place) = self.locate(|entry| entry.index < index)?;
        let entry = &self.chunks[chunk][place];
        (entry.index == index).then_some(entry.arrival)
    }

    /// Reads from the counter `from` on: up to `count` records and `size` bytes, but at least one
    /// record if there is one. A trimmed position moves to the horizon.
    pub(crate) fn read(&self, from: u64, count: usize, size: usize) -> Page {
        let from = from.max(self.horizon);
        let mut page = Page {
            entries: Vec::new(),
            next: from,
            at_tip: true,
            size: 0,
        };
        let Some((first, place)) = self.locate(|entry| entry.index < from) else {
            return page;
        };
        // Sized once: the records to come are known up to the gaps of ordered puts.
        let ahead = usize::try_from(self.next.saturating_sub(from)).unwrap_or(usize::MAX);
        page.entries.reserve_exact(count.min(ahead));
        let (mut skip, mut room) = (place, size);
        for chunk in self.chunks.range(first..) {
            for entry in &chunk[skip..] {
                let is_full = page.entries.len() == count || entry.size() > room;
                if is_full && !page.entries.is_empty() {
                    page.at_tip = false;
                    return page;
                }
                room = room.saturating_sub(entry.size());
                page.size += entry.size();
                page.next = entry.index + 1;
                page.entries.push(entry.clone());
            }
            skip = 0;
        }
        page
    }

    /// Trims what arrived before `oldest`, for ever.
    pub(crate) fn trim(&mut self, oldest: Moment) {
        self.trim_up_to(oldest, FREED_AT_ONCE);
    }

    /// Trims, and frees up to `count` chunks that hold nothing else; how many it freed.
    pub(crate) fn trim_up_to(&mut self, oldest: Moment, count: usize) -> usize {
        let Some(first) = self.chunks.front().and_then(|chunk| chunk.first()) else {
            return 0;
        };
        if first.arrival >= oldest {
            return 0;
        }
        self.horizon = self.seek_time(oldest);
        let is_over = |chunk: &Vec<Entry>| chunk.last().is_some_and(|last| last.arrival < oldest);
        let mut freed = 0;
        while freed < count && self.chunks.front().is_some_and(is_over) {
            self.chunks.pop_front();
            freed += 1;
        }
        if self.chunks.is_empty() {
            // An idle shard holds nothing: neither a chunk nor the rest of a block.
            self.block = BytesMut::new();
            self.block_len = BLOCK_FIRST / 2;
        }
        freed
    }

    /// How many chunks the index has.
    #[cfg(test)]
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    fn seek(&self, is_before: impl Fn(&Entry) -> bool) -> u64 {
        match self.locate(is_before) {
            Some((chunk, place)) => self.chunks[chunk][place].index,
            None => self.next,
        }
    }

    /// The first entry that is not before, as chunk and place.
    fn locate(&self, is_before: impl Fn(&Entry) -> bool) -> Option<(usize, usize)> {
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(&is_before));
        let place = self
            .chunks
            .get(chunk)?
            .partition_point(|entry| is_before(entry));
        Some((chunk, place))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(data: &[u8], key: &str, may_keep: bool) -> Payload {
        let mut bytes = data.to_vec();
        bytes.extend_from_slice(key.as_bytes());
        let key_len = u16::try_from(key.len()).unwrap();
        Payload {
            bytes: Bytes::from(bytes),
            key_len,
            may_keep,
            is_encrypted: false,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append {
            size: usize,
            later: u64,
            floor: u64,
            may_keep: bool,
        },
        Trim {
            age: u64,
        },
        Read {
            from: u64,
            count: usize,
            size: usize,
        },
        SeekTime {
            age: u64,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..3000_usize, 0..30_u64, 0..3_u64, any::<bool>()).prop_map(
                |(size, later, floor, may_keep)| Step::Append { size, later, floor, may_keep }
            ),
            1 => (0..2000_u64).prop_map(|age| Step::Trim { age }),
            2 => (0..2500_u64, 1..1500_usize, 0..200_000_usize)
                .prop_map(|(from, count, size)| Step::Read { from, count, size }),
            1 => (0..2000_u64).prop_map(|age| Step::SeekTime { age }),
        ];
        proptest::collection::vec(step, 1..1800)
    }

    /// The same in the plainest form: a list that is only ever looked through.
    #[derive(Default)]
    struct Plain {
        records: Vec<(u64, u64, Vec<u8>)>,
        horizon: u64,
        next: u64,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_log_does_what_a_plain_list_does(steps in steps()) {
            let (mut log, mut now) = (Log::new(Moment(1000)), 1000_u64);
            let mut plain = Plain { next: 1, ..Plain::default() };
            for step in steps {
                match step {
                    Step::Append { size, later, floor, may_keep } => {
                        now += later;
                        let data = vec![u8::try_from(plain.next % 251).unwrap(); size];
                        let floor = if floor == 2 { plain.next + 5 } else { 0 };
                        let sent = payload(&data, "key", may_keep);
                        let (index, arrival) = log.append(Moment(now), sent, floor);
                        prop_assert_eq!(index, plain.next.max(floor + 1));
                        prop_assert_eq!(arrival, Moment(now));
                        plain.records.push((index, now, data));
                        plain.next = index + 1;
                    }
                    Step::Trim { age } => {
                        let oldest = now.saturating_sub(age);
                        log.trim(Moment(oldest));
                        let kept = plain.records.iter().find(|record| record.1 >= oldest);
                        let trimmed = plain.records.iter().any(|record| record.1 < oldest);
                        if trimmed {
                            let line = kept.map_or(plain.next, |record| record.0);
                            plain.horizon = plain.horizon.max(line);
                        }
                    }
                    Step::Read { from, count, size } => {
                        let page = log.read(from, count, size);
                        let start = from.max(plain.horizon);
                        let (mut expected, mut used) = (Vec::new(), 0);
                        let mut rest = plain.records.iter().filter(|r| r.0 >= start).peekable();
                        while let Some(record) = rest.peek() {
                            let bytes = record.2.len() + 3;
                            let is_full = expected.len() == count || used + bytes > size;
                            if is_full && !expected.is_empty() {
                                break;
                            }
                            used += bytes;
                            expected.push((record.0, record.1, record.2.clone()));
                            rest.next();
                        }
                        let found: Vec<_> = page
                            .entries
                            .iter()
                            .map(|e| (e.index, e.arrival.millis(), e.data().to_vec()))
                            .collect();
                        let next = expected.last().map_or(start, |record| record.0 + 1);
                        prop_assert_eq!(found, expected);
                        prop_assert_eq!(page.next, next);
                        prop_assert_eq!(page.at_tip, rest.peek().is_none());
                        prop_assert!(page.entries.iter().all(|entry| entry.key() == "key"));
                    }
                    Step::SeekTime { age } => {
                        let time = now.saturating_sub(age);
                        let expected = plain
                            .records
                            .iter()
                            .find(|r| r.1 >= time && r.0 >= plain.horizon)
                            .map_or(plain.next, |record| record.0);
                        prop_assert_eq!(log.seek_time(Moment(time)), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn arrival_never_goes_back() {
        let mut log = Log::new(Moment(50));
        assert_eq!(
            log.append(Moment(10), payload(b"a", "k", false), 0),
            (1, Moment(50))
        );
        assert_eq!(
            log.append(Moment(70), payload(b"b", "k", false), 0),
            (2, Moment(70))
        );
        assert_eq!(
            log.append(Moment(60), payload(b"c", "k", false), 0),
            (3, Moment(70))
        );
        assert_eq!(log.arrival_of(3), Some(Moment(70)));
        assert_eq!(log.arrival_of(4), None);
    }

    #[test]
    fn trimming_frees_every_chunk_in_the_end_and_never_brings_back() {
        let mut log = Log::new(Moment(0));
        for time in 0..20_000 {
            log.append(Moment(time), payload(b"x", "k", false), 0);
        }
        log.trim(Moment(19_999));
        assert_eq!(log.read(0, 10, 1000).entries.len(), 1);
        log.trim(Moment(5));
        assert_eq!(log.read(0, 10, 1000).entries[0].index, 20_000);
        for _ in 0..3 {
            log.trim(Moment(30_000));
        }
        assert!(log.chunks.is_empty());
        assert_eq!(
            log.append(Moment(30_000), payload(b"y", "k", false), 0).0,
            20_001
        );
    }
}
