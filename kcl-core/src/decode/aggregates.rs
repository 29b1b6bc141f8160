//! Takes apart the aggregated records of what a feed brought. Pure; called by `decode`, for one shard.
//!
//! A page can grow manifold: what comes of it is handed on in pieces, so that no more than a piece is in memory at once
//! beside the page itself. A piece ends between two records of the stream.

use std::collections::VecDeque;

use super::Found;
use crate::event::Malformed;
use crate::kpl::{Aggregate, is_marked};
use crate::model::{Batch, HashKeyRange, Record, SequenceNumber};

/// Records after which a piece ends: as many as a page has at most. The last aggregate may exceed it.
const PIECE_RECORDS: usize = 10_000;
/// Bytes after which a piece ends: as many as a page has at most. The last aggregate may exceed it.
const PIECE_BYTES: usize = 10 << 20;

/// What a feed brought, on its way to be taken apart.
#[derive(Debug)]
pub(super) struct Aggregates {
    range: HashKeyRange,
    waiting: Option<(VecDeque<Record>, Batch)>,
}

impl Aggregates {
    /// For a shard that takes in these hash keys.
    pub(super) const fn new(range: HashKeyRange) -> Self {
        Self {
            range,
            waiting: None,
        }
    }

    pub(super) fn push(&mut self, mut batch: Batch) {
        debug_assert!(self.waiting.is_none(), "a batch came that nobody asked for");
        let records = std::mem::take(&mut batch.records).into();
        self.waiting = Some((records, batch));
    }

    /// The next piece, and what was found in it. The last one has what follows on the shard. Every one is told the
    /// lag of the whole batch, which lies in between.
    pub(super) fn next(&mut self) -> Option<(Batch, Vec<Found>)> {
        let (mut rest, mut batch) = self.waiting.take()?;
        let mut finds = Finds::default();
        if !rest.iter().any(|record| is_marked(&record.data)) {
            batch.records = rest.into();
            return Some((batch, Vec::new()));
        }
        let mut piece = Batch {
            records: Vec::with_capacity(rest.len()),
            lag: batch.lag,
            children: None,
        };
        let mut bytes = 0;
        while piece.records.len() < PIECE_RECORDS && bytes < PIECE_BYTES {
            let Some(record) = rest.pop_front() else {
                piece.children = batch.children;
                return Some((piece, finds.told()));
            };
            let before = piece.records.len();
            self.take_apart(record, &mut piece.records, &mut finds);
            let new = piece.records[before..].iter();
            bytes += new
                .map(|record| record.data.len() + record.partition_key.len())
                .sum::<usize>();
        }
        if rest.is_empty() {
            piece.children = batch.children;
        } else {
            self.waiting = Some((rest, batch));
        }
        Some((piece, finds.told()))
    }

    fn take_apart(&self, record: Record, into: &mut Vec<Record>, finds: &mut Finds) {
        if !is_marked(&record.data) {
            return into.push(record);
        }
        let data = record.data.clone();
        let aggregate = match Aggregate::read(&data) {
            Ok(aggregate) => aggregate,
            Err(why) => {
                finds.malformed(&record.sequence_number, why);
                return into.push(record);
            }
        };
        let before = into.len();
        let within = aggregate.records_within(self.range);
        into.extend(within.map(|(place, inner)| Record {
            sequence_number: record.sequence_number.clone(),
            subsequence_number: place,
            partition_key: inner.partition_key,
            data: inner.data,
            approximate_arrival: record.approximate_arrival,
        }));
        let left_out = aggregate.len() - (into.len() - before);
        if left_out > 0 {
            finds.misrouted(&record.sequence_number, left_out);
        }
    }
}

/// What was found, as counts: a stream full of it tells of it once for each piece.
#[derive(Default)]
struct Finds {
    malformed: Option<(SequenceNumber, Malformed, usize)>,
    misrouted: Option<(SequenceNumber, usize)>,
}

impl Finds {
    fn malformed(&mut self, at: &SequenceNumber, why: Malformed) {
        let (.., count) = self.malformed.get_or_insert_with(|| (at.clone(), why, 0));
        *count += 1;
    }

    fn misrouted(&mut self, at: &SequenceNumber, records: usize) {
        let (_, count) = self.misrouted.get_or_insert_with(|| (at.clone(), 0));
        *count += records;
    }

    fn told(self) -> Vec<Found> {
        let malformed = self
            .malformed
            .map(|(first, why, records)| Found::Malformed {
                first,
                why,
                records,
            });
        let misrouted = self
            .misrouted
            .map(|(first, records)| Found::Misrouted { first, records });
        malformed.into_iter().chain(misrouted).collect()
    }
}
