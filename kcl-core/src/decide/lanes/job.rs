//! Records that are out together, and what is to be done about them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::keys::KeyHash;
use super::pages::Pages;
use super::{CallId, record_bytes};
use crate::decide::backoff::Backoff;
use crate::decide::settlement::Number;
use crate::event::{Failure, FailureCause, GiveUpReason};
use crate::model::{Record, SequenceNumber};

/// Records that go into one call.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) numbers: Vec<Number>,
    pub(super) hashes: Vec<KeyHash>,
    pub(super) records: Arc<Vec<Record>>,
    /// How often they were tried.
    pub(super) attempts: u32,
}

/// Records on their way into a piece.
#[derive(Debug, Default)]
pub(super) struct Taken {
    numbers: Vec<Number>,
    hashes: Vec<KeyHash>,
    records: Vec<Record>,
}

impl Taken {
    /// With room for so many.
    pub(super) fn reserve(&mut self, records: usize) {
        self.numbers.reserve_exact(records);
        self.hashes.reserve_exact(records);
        self.records.reserve_exact(records);
    }

    /// A record that is to be taken out of its page, in any order.
    pub(super) fn push(&mut self, number: Number, hash: KeyHash) {
        self.numbers.push(number);
        self.hashes.push(hash);
    }

    pub(super) const fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Takes the records out, in the order of their numbers, which those of one key have already.
    pub(super) fn into_piece(mut self, pages: &mut Pages) -> Piece {
        if !self.numbers.is_sorted() {
            let mut all: Vec<_> = self.numbers.drain(..).zip(self.hashes.drain(..)).collect();
            all.sort_unstable();
            (self.numbers, self.hashes) = all.into_iter().unzip();
        }
        let mut found = 0;
        for at in 0..self.numbers.len() {
            let (number, hash) = (self.numbers[at], self.hashes[at]);
            let Some(record) = pages.take(number) else {
                debug_assert!(false, "{number} waits and is not in its place");
                continue;
            };
            self.records.push(record);
            (self.numbers[found], self.hashes[found]) = (number, hash);
            found += 1;
        }
        self.numbers.truncate(found);
        self.hashes.truncate(found);
        Piece {
            numbers: self.numbers,
            hashes: self.hashes,
            records: Arc::new(self.records),
            attempts: 0,
        }
    }
}

impl Piece {
    /// Of records in order.
    pub(super) fn new(all: Vec<(Number, KeyHash, Record)>) -> Self {
        let mut taken = Taken::default();
        taken.reserve(all.len());
        for (number, hash, record) in all {
            taken.push(number, hash);
            taken.records.push(record);
        }
        debug_assert!(taken.numbers.is_sorted());
        Self {
            numbers: taken.numbers,
            hashes: taken.hashes,
            records: Arc::new(taken.records),
            attempts: 0,
        }
    }

    /// The room that its records took, if nobody has them any more.
    pub(super) fn into_room(mut self) -> Option<Taken> {
        let mut records = Arc::into_inner(self.records)?;
        self.numbers.clear();
        self.hashes.clear();
        records.clear();
        Some(Taken {
            numbers: self.numbers,
            hashes: self.hashes,
            records,
        })
    }

    pub(super) fn into_records(self) -> Vec<(Number, KeyHash, Record)> {
        let records = Arc::try_unwrap(self.records).unwrap_or_else(|kept| kept.as_ref().clone());
        let places = self.numbers.into_iter().zip(self.hashes);
        let all = places.zip(records);
        all.map(|((number, hash), record)| (number, hash, record))
            .collect()
    }

    pub(super) const fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.records.iter().map(record_bytes).sum()
    }

    /// The payloads alone, which is what events count.
    pub(super) fn payload_bytes(&self) -> usize {
        self.records.iter().map(|record| record.data.len()).sum()
    }

    pub(super) fn first(&self) -> Option<&SequenceNumber> {
        self.records.first().map(|record| &record.sequence_number)
    }

    pub(super) fn last(&self) -> Option<&SequenceNumber> {
        self.records.last().map(|record| &record.sequence_number)
    }

    /// Keeps those before `at`, and gives the others away.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self {
            numbers: self.numbers.split_off(at),
            hashes: self.hashes.split_off(at),
            records: Arc::new(Arc::make_mut(&mut self.records).split_off(at)),
            attempts: self.attempts,
        }
    }

    /// Gives those at these places away, which are in order, and keeps the others.
    pub(super) fn pick(self, places: &[usize]) -> (Self, Self) {
        let attempts = self.attempts;
        let (mut kept, mut picked) = (Vec::new(), Vec::new());
        for (place, record) in self.into_records().into_iter().enumerate() {
            if places.binary_search(&place).is_ok() {
                picked.push(record);
            } else {
                kept.push(record);
            }
        }
        let piece = |records| Self {
            attempts,
            ..Self::new(records)
        };
        (piece(kept), piece(picked))
    }
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To process records.
    Handle,
    /// To give them to the failure destination.
    Divert(GiveUpReason),
}

/// A call that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) lane: usize,
    pub(super) since: Instant,
    /// Up to when it was told that it runs long.
    pub(super) told: Instant,
}

/// Pieces that are done one after the other, because they may share keys.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: CallId,
    pub(super) purpose: Purpose,
    /// Never empty. The first is in the call, or the next to go into one.
    pub(super) pieces: VecDeque<Piece>,
    /// The pauses between failures in a row.
    pub(super) pauses: Option<Backoff>,
    /// The last failure of the first piece.
    pub(super) failure: Option<(FailureCause, Failure)>,
    /// Of a call without records: the first record of what is held and has to go.
    pub(super) closes: Option<SequenceNumber>,
}

impl Job {
    pub(super) fn new(id: CallId, purpose: Purpose, piece: Piece) -> Self {
        Self {
            id,
            purpose,
            pieces: VecDeque::from([piece]),
            pauses: None,
            failure: None,
            closes: None,
        }
    }
}
