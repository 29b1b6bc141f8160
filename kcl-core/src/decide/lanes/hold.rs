//! What is settled and not to be committed yet, because the handler holds something in memory that came of it: a
//! tumbling window. Only with one lane.

use tokio::time::Instant;

use super::job::{Piece, Purpose};
use super::{CallId, Lanes};
use crate::model::{Checkpoint, SequenceNumber};
use crate::port::Hold;

/// What is held.
#[derive(Debug)]
pub(super) struct Held {
    hold: Hold,
    /// The place before the first record of it.
    before: Checkpoint,
}

impl Held {
    /// The first record of it.
    pub(super) const fn first(&self) -> &SequenceNumber {
        &self.hold.from
    }

    pub(super) const fn before(&self) -> &Checkpoint {
        &self.before
    }
}

impl Lanes {
    /// What the handler holds after a call, which is not accounted for yet.
    pub(crate) fn held(&mut self, id: CallId, hold: Option<Hold>) {
        self.hold = hold.map(|hold| Held {
            before: match &self.hold {
                Some(held) if held.hold.from == hold.from => held.before.clone(),
                Some(_) | None => self.place_before(id, &hold.from),
            },
            hold,
        });
    }

    /// The place before a record of a call.
    fn place_before(&self, id: CallId, number: &SequenceNumber) -> Checkpoint {
        let piece = self.jobs.get(&id).and_then(|job| job.pieces.front());
        let record = piece.and_then(|piece| {
            let at = piece
                .records
                .partition_point(|record| record.sequence_number < *number);
            piece.records.get(at.checked_sub(1)?)
        });
        match record {
            Some(record) => record.checkpoint(),
            None => self.settlement.settled_to().clone(),
        }
    }

    /// A call without records, if the handler has to give up what it holds: the shard has ended, or it is time.
    pub(super) fn form_empty(&mut self, ends: bool, now: Instant) -> Option<CallId> {
        let is_due = ends || self.wakes_at().is_some_and(|at| at <= now);
        let goes = is_due && self.is_idle() && self.leaving.is_none();
        let closes = self.hold.as_ref().filter(|_| goes)?.first().clone();
        let id = self.add(Purpose::Handle, Piece::new(Vec::new()));
        if let Some(job) = self.jobs.get_mut(&id) {
            job.closes = Some(closes);
        }
        Some(id)
    }

    /// Whether this is a call without records that has nothing to do any more: while it waited for its next attempt,
    /// one with records came first, and the handler gave up what it held then.
    pub(super) fn is_closed(&self, id: CallId) -> bool {
        let closes = self.jobs.get(&id).and_then(|job| job.closes.as_ref());
        let held = self.hold.as_ref().map(Held::first);
        closes.is_some_and(|closes| held != Some(closes))
    }

    /// When such a call is due. As late as the newest records were behind the tip of the shard: until then others
    /// may come that belong to what is held.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let held = self.hold.as_ref().filter(|_| self.is_idle())?;
        let lag = self.pages.newest_lag().unwrap_or_default();
        held.hold.wakes_at.checked_add(lag)
    }
}
