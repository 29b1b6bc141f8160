//! What happens to the records of one shard between the feed and the checkpoint, where a handler has them:
//! which go into a call together, when, what follows on a failure, and what is settled.
//!
//! ```text
//!  taken in ─▶ waiting, by key ─▶ in a call ─▶ settled
//!     │            ▲                │   ▲
//!     │            └── not begun ───┤   │ after a pause
//!     └─ filtered ─▶ settled        ▼   │
//!                                 failed ─▶ given up ─▶ in a call of the destination ─▶ settled
//! ```
//!
//! Pure. [`super::shard`] owns it, says when calls may start at all, and commits what is settled.
//!
//! * here: in and out; `hold`: what is settled and not to be committed yet; `keys`: what waits, by number; `pages`: the
//!   records of those numbers; `job`: what is out; `fail`: what follows on a call; `leave`: how the shard is left; `look`:
//!   how full the lanes are, and when there is something to do; `words`: what goes in and comes out.
//!
//! INVARIANT: a lane has one call at a time, and a key is in one call or failed piece at a time.
//! INVARIANT: every record is waiting, out or settled, until the shard is left.

mod fail;
mod hold;
mod job;
mod keys;
mod leave;
mod look;
mod pages;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use self::hold::Held;
use self::job::{Job, Piece, Purpose, Running, Taken};
use self::keys::{Heap, KeyHash, Keys};
use self::pages::Pages;
pub(crate) use self::words::{
    CallId, Errand, GivenUp, Keep, LaneCall, LanesStart, Load, Note, Weigh,
};
use super::settlement::{Number, Settlement};
use crate::error::Error;
use crate::event::GiveUpReason;
use crate::model::{Checkpoint, Record};
use crate::port::Outcome;
use crate::settings::{FailurePolicy, LaneChoice, LaneCommit, Settings};

/// How the shard is left.
#[derive(Debug)]
enum Leaving {
    /// The calls that run come back.
    Returning,
    /// Records below this are still called, so that what was done beyond them need not come again.
    Filling { below: Number },
    /// Nothing is called any more.
    Cut,
    /// Nor does anything follow on calls that come back: the records are another worker's.
    Lost,
}

/// What a step is given beside its event.
struct Step<'a> {
    now: Instant,
    rng: &'a mut fastrand::Rng,
}

pub(crate) struct Lanes {
    settings: Arc<Settings>,
    is_by_record: bool,
    keep: Option<Keep>,
    weigh: Option<Weigh>,
    /// One instant on both clocks.
    clocks: (Instant, SystemTime),
    settlement: Settlement,
    keys: Keys,
    pages: Pages,
    /// Of records that were processed while others waited, for the next call.
    room: Taken,
    jobs: BTreeMap<CallId, Job>,
    running: BTreeMap<CallId, Running>,
    /// Jobs that do not run, and when they go on.
    due: BTreeSet<(Instant, CallId)>,
    calls: CallId,
    free: BTreeSet<usize>,
    /// Of records that are not settled.
    bytes: usize,
    leaving: Option<Leaving>,
    /// What the handler holds in memory.
    hold: Option<Held>,
    /// A handler has seen no record at or beyond this.
    seen: Number,
    /// Nothing at or beyond this can be committed any more: this record is left unsettled.
    cut: Number,
    notes: Vec<Note>,
}

impl Lanes {
    pub(crate) fn new(
        start: LanesStart,
        at: Checkpoint,
        settings: Arc<Settings>,
        now: Instant,
    ) -> Self {
        Self {
            is_by_record: start.is_by_record,
            keep: start.keep,
            weigh: start.weigh,
            clocks: (now, start.wall),
            settlement: Settlement::new(at.clone()),
            keys: Keys::default(),
            pages: Pages::new(at),
            room: Taken::default(),
            jobs: BTreeMap::new(),
            running: BTreeMap::new(),
            due: BTreeSet::new(),
            calls: 0,
            free: (0..settings.handler.lanes).collect(),
            bytes: 0,
            leaving: None,
            hold: None,
            seen: 0,
            cut: Number::MAX,
            notes: Vec::new(),
            settings,
        }
    }

    /// Takes records in, in the order of the shard.
    pub(crate) fn take(&mut self, records: Vec<Record>, lag: Option<Duration>, now: Instant) {
        let numbers = self.settlement.take(records.len());
        let (first, end) = (numbers.start, records.last().map(Record::checkpoint));
        let (keep, mut filtered) = (self.keep.clone(), 0);
        // In the list that came: a place is as large as a record.
        let mut places: Vec<_> = records.into_iter().map(Some).collect();
        for (number, place) in numbers.zip(&mut places) {
            let Some(record) = place else { continue };
            if keep.as_ref().is_some_and(|keep| !keep(record)) {
                self.settlement
                    .settle(&[number], std::slice::from_ref(record));
                *place = None;
                filtered += 1;
            } else {
                self.bytes += record_bytes(record);
                let (hash, weight) = (self.hash(record), self.weight(record));
                self.keys.push(hash, number, weight);
            }
        }
        self.pages.push(first, places, end, lag, now);
        if filtered > 0 {
            self.notes.push(Note::Filtered { records: filtered });
        }
        self.forget_settled();
    }

    /// The next call to start now, if there is one. `ends` if no more records will come.
    pub(crate) fn start(&mut self, ends: bool, now: Instant) -> Option<LaneCall> {
        if self.free.is_empty() {
            return None;
        }
        let id = match self.next_due(now) {
            Some(id) => id,
            None => self.form(ends, now)?,
        };
        let lane = self.lane_for(id)?;
        let job = self.jobs.get(&id)?;
        let piece = job.pieces.front()?;
        self.running.insert(
            id,
            Running {
                lane,
                since: now,
                told: now,
            },
        );
        let newest = piece.numbers.last().copied().unwrap_or_default();
        let errand = match job.purpose {
            Purpose::Handle => Errand::Handle,
            Purpose::Divert(reason) => Errand::Divert(GivenUp {
                reason,
                attempts: piece.attempts,
                failure: job.failure.clone(),
            }),
        };
        let call = LaneCall {
            id,
            lane,
            attempt: piece.attempts + 1,
            records: piece.records.clone(),
            lag: self.pages.lag(newest),
            errand,
        };
        self.free.remove(&lane);
        Some(call)
    }

    /// The next job that can go on: it is time, and its lane is free.
    fn next_due(&mut self, now: Instant) -> Option<CallId> {
        loop {
            let due = self.due.iter().take_while(|(at, _)| *at <= now);
            let next = due.copied().find(|(_, id)| self.lane_for(*id).is_some());
            let (at, id) = next?;
            self.due.remove(&(at, id));
            if !self.is_closed(id) {
                return Some(id);
            }
            self.jobs.remove(&id);
        }
    }

    /// A free lane for this job.
    fn lane_for(&self, id: CallId) -> Option<usize> {
        if !self.is_by_key() || planted!(ForgetsLanes) {
            return self.free.first().copied();
        }
        let piece = self.jobs.get(&id)?.pieces.front()?;
        // A call without records is of one lane, as is what it is about.
        let lane = piece
            .hashes
            .first()
            .map_or(Some(0), |hash| usize::try_from(*hash).ok())?;
        self.free.get(&lane).copied()
    }

    /// Whether each key has its lane, which then stands for it here: see [`hash`](Self::hash).
    fn is_by_key(&self) -> bool {
        self.settings.handler.lane_choice == LaneChoice::ByKey
    }

    /// Makes a job of records that wait, if it is time. Its lane is free: either any is, or all records of the lane
    /// that are out keep the others of it waiting.
    fn form(&mut self, ends: bool, now: Instant) -> Option<CallId> {
        let below = match self.leaving {
            None => Number::MAX,
            Some(Leaving::Filling { below }) => below,
            Some(Leaving::Returning | Leaving::Cut | Leaving::Lost) => return None,
        };
        if self.keys.oldest_ready().is_none() {
            return self.form_empty(ends, now);
        }
        let heap = self.next_heap(below, ends, now)?;
        let handler = &self.settings.handler;
        let mut records_max = handler.batch_records_max;
        if self.is_by_record && !self.is_by_key() {
            // Nobody sees the batch, so it is cut for the lanes.
            let share = heap.records.div_ceil(self.free.len());
            records_max = records_max.min(share.max(1));
        }
        let (bytes_max, policy) = (handler.batch_bytes_max, self.settings.failure.policy);
        let mut taken = std::mem::take(&mut self.room);
        taken.reserve(heap.records.min(records_max));
        let keys = &mut self.keys;
        keys.take(&heap, records_max, bytes_max, below, &mut taken);
        let mut piece = taken.into_piece(&mut self.pages);
        if policy == FailurePolicy::Divert && self.is_too_heavy(&piece, bytes_max) {
            let reason = GiveUpReason::RecordTooLarge;
            self.note_given_up(&piece, Some(reason));
            return Some(self.add(Purpose::Divert(reason), piece));
        }
        let old = match policy {
            FailurePolicy::Divert => self.too_old(&piece, now),
            FailurePolicy::Restart | FailurePolicy::StopWorker => 0,
        };
        if old == 0 {
            return Some(self.add(Purpose::Handle, piece));
        }
        let rest = piece.split_off(old);
        let reason = GiveUpReason::RecordAgeExceeded;
        self.note_given_up(&piece, Some(reason));
        let id = self.add(Purpose::Divert(reason), piece);
        if !rest.is_empty() {
            let rest = self.add(Purpose::Handle, rest);
            self.due.insert((now, rest));
        }
        Some(id)
    }

    /// Records for which it is time.
    fn next_heap(&self, below: Number, ends: bool, now: Instant) -> Option<Heap> {
        let mut heaps = self.keys.heaps(self.is_by_key());
        heaps.find(|heap| heap.oldest < below && self.goes(heap, ends, now))
    }

    /// Whether it is time for a call with these.
    fn goes(&self, heap: &Heap, ends: bool, now: Instant) -> bool {
        let handler = &self.settings.handler;
        let is_full =
            heap.records >= handler.batch_records_max || heap.bytes >= handler.batch_bytes_max;
        // What cannot grow need not wait.
        is_full
            || ends
            || self.leaving.is_some()
            || !self.has_room()
            || self
                .pages
                .came(heap.oldest)
                .is_none_or(|came| came + handler.batch_window <= now)
    }

    fn add(&mut self, purpose: Purpose, piece: Piece) -> CallId {
        let id = self.calls;
        self.calls += 1;
        self.jobs.insert(id, Job::new(id, purpose, piece));
        id
    }

    /// A call came back. An error if the worker has to stop for it.
    pub(crate) fn returned(
        &mut self,
        id: CallId,
        outcome: Outcome,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Option<Error> {
        let (Some(running), Some(mut job)) = (self.running.remove(&id), self.jobs.remove(&id))
        else {
            debug_assert!(false, "a call came back that nobody made");
            return None;
        };
        self.free.insert(running.lane);
        let piece = job.pieces.pop_front()?;
        let step = &mut Step { now, rng };
        let halt = match job.purpose {
            Purpose::Handle => self.handled(job, piece, outcome, step),
            Purpose::Divert(_) => {
                self.diverted(job, piece, outcome, step);
                None
            }
        };
        self.forget_settled();
        self.fill_when_returned();
        halt
    }

    /// These records are done.
    fn settle(&mut self, piece: &Piece) {
        self.settlement.settle(&piece.numbers, &piece.records);
        self.bytes -= piece.bytes();
        self.keys.release(&piece.hashes);
    }

    /// Keeps the room that these records took, while there are others to go into it. The next call asks for a block of
    /// that size otherwise, for which an allocator may put together all small ones that are free (glibc does), and cut
    /// them apart again for what the handler makes.
    fn keep_room(&mut self, piece: Piece) {
        if !self.keys.is_empty()
            && let Some(room) = piece.into_room()
        {
            self.room = room;
        }
    }

    /// Pages that are settled are of no interest.
    fn forget_settled(&mut self) {
        self.pages.forget_settled(self.settlement.settled());
    }

    /// How much of a batch a record takes.
    fn weight(&self, record: &Record) -> usize {
        let weigh = self.weigh.as_ref();
        weigh.map_or_else(|| record_bytes(record), |weigh| weigh(record))
    }

    /// Whether this is a record that goes into no batch.
    fn is_too_heavy(&self, piece: &Piece, bytes_max: usize) -> bool {
        self.weigh.is_some()
            && matches!(&piece.records[..], [record] if self.weight(record) > bytes_max)
    }

    /// Whether nothing waits, nothing is out and nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_idle() && self.hold.is_none()
    }

    /// Whether nothing waits and nothing is out.
    fn is_idle(&self) -> bool {
        self.keys.is_empty() && self.jobs.is_empty()
    }

    /// Whether a call runs.
    pub(crate) fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether the next page is welcome.
    pub(crate) fn has_room(&self) -> bool {
        let handler = &self.settings.handler;
        self.settlement.span() < handler.unsettled_records_max as u64
            && self.bytes < handler.unsettled_bytes_max
    }

    /// Everything up to this place is settled, and nothing before it is held.
    pub(crate) fn settled_to(&self) -> &Checkpoint {
        match &self.hold {
            Some(held) if !planted!(CommitsOpenWindows) => held.before(),
            Some(_) | None if self.commits_pages() => self.pages.settled_to(),
            Some(_) | None => self.settlement.settled_to(),
        }
    }

    /// Whether only whole pages are committed. Not where the shard is left, or what was done beyond them would come again
    /// (S10).
    fn commits_pages(&self) -> bool {
        let handler = &self.settings.handler;
        handler.lanes > 1 && handler.lane_commit == LaneCommit::Page && self.leaving.is_none()
    }

    /// What is to be told since it was last asked for.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// How many of these records, from the first, are too old to be tried.
    fn too_old(&self, piece: &Piece, now: Instant) -> usize {
        let Some(age_max) = self.settings.failure.age_max else {
            return 0;
        };
        let wall = self.clocks.1 + now.saturating_duration_since(self.clocks.0);
        piece.records.partition_point(|record| {
            let arrived = record.approximate_arrival;
            let age = arrived.and_then(|arrived| wall.duration_since(arrived).ok());
            age.is_some_and(|age| age > age_max)
        })
    }

    /// With one lane the order is that of the shard, as if all records had one key. Where each key has its lane, all of
    /// one lane are as one key, named by the lane.
    fn hash(&self, record: &Record) -> KeyHash {
        let lanes = self.settings.handler.lanes;
        if lanes == 1 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        record.partition_key.hash(&mut hasher);
        if planted!(SplitsKeys) {
            record.sequence_number.as_str().hash(&mut hasher);
        }
        if self.is_by_key() {
            hasher.finish() % lanes as u64
        } else {
            hasher.finish()
        }
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("settlement", &self.settlement)
            .field("jobs", &self.jobs)
            .field("due", &self.due)
            .field("leaving", &self.leaving)
            .finish_non_exhaustive()
    }
}

/// What counts against the bounds in bytes.
fn record_bytes(record: &Record) -> usize {
    record.data.len() + record.partition_key.len()
}
