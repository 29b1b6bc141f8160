//! What is known to be lost, and what the application was told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::model::{Checkpoint, ShardId};

use super::{Ledger, RecordLedger, ShardLedger, Start};
use crate::sim::history::{LeaseRow, Notice, Process};
use crate::sim::strike::Strike;

/// What is lost of a shard.
#[derive(Clone, Debug, Default)]
pub struct ShardLoss {
    /// How many of its records, from the first one, the stream has dropped.
    pub trimmed: usize,
    /// How many of these nobody could notice, because the application had no durable place in the shard.
    pub unnoticed: usize,
    /// What the application was told is gone: from this place to before that one.
    pub named: Vec<(usize, usize)>,
    /// When the stream forgot it.
    pub forgotten: Option<Duration>,
    /// Whether the application was told so.
    pub is_told_forgotten: bool,
    /// When an operator deleted its lease.
    pub deleted: Option<Duration>,
    /// From where on it may never be read, because its lease was deleted and is not made again. Whether the
    /// application has to be told is a rule of its own.
    pub abandoned: Option<usize>,
    /// From where on it is read late, behind its children's records, because its lease was made anew after all.
    pub late: Option<usize>,
}

/// Something that an operator deleted.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// When.
    pub at: Duration,
    /// The lease of which shard; nothing for the whole table.
    pub shard: Option<ShardId>,
    /// Who looked, ran undisturbed long before and ever since, and so has to notice.
    pub witnesses: BTreeSet<Process>,
    /// Whether the application was told.
    pub is_told: bool,
}

/// Who has run for less than this may not have looked at the table yet, and all have to notice so long after.
const HAS_LOOKED: Duration = Duration::from_secs(20);

/// How long a worker that starts may take until it knows where to begin.
const JOINS: Duration = Duration::from_secs(10);

/// For how long the way to the table can be disturbed, and a moment. Who is cut off meanwhile may find everything made
/// anew and ahead of what it knew.
const CUT_MAX: Duration = Duration::from_secs(60);

impl ShardLedger {
    /// Whether nobody has to process the record at this place, because it is gone and the application knows,
    /// or could not be told.
    #[must_use]
    pub fn is_excused(&self, place: usize) -> bool {
        let loss = &self.loss;
        let is_named = || {
            loss.named
                .iter()
                .any(|(from, to)| (*from..*to).contains(&place))
        };
        let is_abandoned = loss.abandoned.is_some_and(|from| place >= from);
        (is_abandoned && self.is_abandoned())
            || (place < loss.trimmed && (place < loss.unnoticed || is_named()))
    }
}

impl ShardLedger {
    /// Whether its lease was deleted and is not made again. Closed shards alone: their children may have leases
    /// by then.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.loss.abandoned.is_some() && self.row.is_none() && self.closed.is_some()
    }
}

impl Ledger {
    /// Whether the application was never asked to read this shard, which is closed: it starts at a time that has come
    /// after all records of the shard, or at the latest record, and the shard was closed before it first started, or
    /// while it started and has nothing that came after the point at which it starts. A lease that was made by an old
    /// list of shards, and deleted by an operator, need not be made again.
    #[must_use]
    pub fn is_unread(&self, of: &ShardLedger) -> bool {
        let has_lease = match &of.first {
            Some(_) => of.row.is_some() || of.loss.deleted.is_none(),
            None => false,
        };
        let Some(closed) = of.closed.filter(|_| !has_lease) else {
            return false;
        };
        let last = of.records.last();
        let last = last.and_then(|id| self.records.get(*id as usize));
        match (self.expect.start, self.first_start) {
            (Start::TrimHorizon, _) => false,
            (Start::Latest | Start::At(_), None) => true,
            (Start::At(point), Some(_)) => last.is_none_or(|last| last.arrival < point),
            (Start::Latest, Some(start)) => {
                let is_behind = |point: Duration| {
                    last.is_none_or(|last| u128::from(last.arrival) < point.as_millis())
                };
                closed <= start || (closed <= start + JOINS && self.point().is_some_and(is_behind))
            }
        }
    }

    /// The earliest point in time at which a shard is read first.
    fn point(&self) -> Option<Duration> {
        let points = self.shards.values().filter_map(|it| match it.first {
            Some(Checkpoint::AtTimestamp(time)) => time.duration_since(self.expect.wall_zero).ok(),
            Some(
                Checkpoint::TrimHorizon
                | Checkpoint::Latest
                | Checkpoint::Sequence { .. }
                | Checkpoint::ShardEnd,
            )
            | None => None,
        });
        points.min()
    }

    /// Whether this record came before the point at which the application starts to read its shard.
    #[must_use]
    pub fn is_before_start(&self, record: &RecordLedger) -> bool {
        let of = self.shards.get(&record.shard);
        match of.and_then(|of| of.first.as_ref()) {
            Some(Checkpoint::AtTimestamp(time)) => {
                let start = time.duration_since(self.expect.wall_zero);
                start.is_ok_and(|start| u128::from(record.arrival) < start.as_millis())
            }
            Some(
                Checkpoint::TrimHorizon
                | Checkpoint::Latest
                | Checkpoint::Sequence { .. }
                | Checkpoint::ShardEnd,
            )
            | None => false,
        }
    }

    /// Whether this record cannot be read any more.
    #[must_use]
    pub fn is_gone(&self, record: &RecordLedger) -> bool {
        let of = self.shards.get(&record.shard);
        of.is_some_and(|of| record.place < of.loss.trimmed || of.is_excused(record.place))
    }

    pub(super) fn told(&mut self, process: Process, notice: &Notice) {
        match notice {
            Notice::Trimmed { shard, after, next } => {
                let Some(of) = self.shards.get_mut(shard) else {
                    return;
                };
                let place = |sequence| of.places.get(sequence).copied();
                let Some(after) = place(after) else { return };
                let next = match next {
                    None => of.records.len(),
                    Some(next) => place(next).unwrap_or(0),
                };
                of.loss.named.push((after + 1, next));
            }
            Notice::Forgotten { shard, checkpoint } => {
                let zero = self.expect.wall_zero;
                let Some(of) = self.shards.get_mut(shard) else {
                    return;
                };
                let (from, _) = of.covered(checkpoint, zero).unwrap_or_default();
                of.loss.named.push((from, of.records.len()));
                of.loss.is_told_forgotten = true;
            }
            Notice::Vanished { shard, .. } => {
                self.tell(|it| it.shard.is_none() || it.shard.as_ref() == Some(shard));
                // Of a table that others have made again by then it tells lease by lease, and goes on, if some of
                // them are as far as it knew.
                let of_tables = self.deletions.iter_mut().filter(|it| it.shard.is_none());
                for deletion in of_tables {
                    deletion.witnesses.remove(&process);
                }
            }
            Notice::TableGone => self.tell(|_| true),
        }
    }

    fn tell(&mut self, is_meant: impl Fn(&Deletion) -> bool) {
        for deletion in self.deletions.iter_mut().filter(|it| is_meant(it)) {
            deletion.is_told = true;
        }
    }

    /// An operator deletes the whole table.
    pub(super) fn table_deleted(&mut self) {
        self.deleted(None, |_| true);
    }

    /// An operator deletes this lease. Who holds it has to notice, and who keeps the watch. The others may not have
    /// looked since long before, and then find nothing amiss in one that was made anew.
    pub(super) fn lease_deleted(&mut self, shard: &ShardId, row: &LeaseRow) {
        let zero = self.expect.wall_zero;
        if let Some(of) = self.shards.get_mut(shard) {
            let (from, _) = of.covered(&row.checkpoint, zero).unwrap_or_default();
            of.loss.abandoned = Some(from);
        }
        let (holder, keeper) = (self.holder(row), self.watch_keeper());
        let looks = |process| [holder, keeper].contains(&Some(process));
        self.deleted(Some(shard.clone()), looks);
    }

    fn deleted(&mut self, shard: Option<ShardId>, looks: impl Fn(Process) -> bool) {
        let now = self.now;
        let has_looked = |process: &Process| {
            let known = self.processes.get(process);
            known.is_some_and(|it| {
                let is_cut = it.cut.is_some_and(|at| now < at + CUT_MAX);
                let is_free = it.running && !it.frozen && !is_cut && it.asked.is_none();
                is_free && it.joined && it.started + HAS_LOOKED < now
            })
        };
        let witnesses = self.processes.keys().copied().filter(has_looked);
        self.deletions.push(Deletion {
            at: now,
            shard,
            witnesses: witnesses.filter(|process| looks(*process)).collect(),
            is_told: false,
        });
    }

    /// The row of a shard is gone by an operator's hand: nothing that it said holds any more.
    pub(super) fn row_deleted(&mut self, shard: &ShardId) {
        let Some(of) = self.shards.get_mut(shard) else {
            return;
        };
        (of.ended, of.leased) = (false, None);
        of.loss.deleted = Some(self.now);
        for grant in of.grants.values_mut() {
            grant.stolen.get_or_insert(self.now);
        }
    }

    /// This process is no witness any more.
    pub(super) fn disturbed(&mut self, process: Process) {
        for deletion in &mut self.deletions {
            deletion.witnesses.remove(&process);
        }
    }

    /// The ways of this process, or of all, are disturbed.
    pub(super) fn struck(&mut self, strike: Strike, process: Option<Process>) {
        let is_cut = match strike {
            Strike::Refused
            | Strike::Deaf
            | Strike::Mute
            | Strike::Held
            | Strike::Sluggish
            | Strike::Outage => true,
            Strike::Kill
            | Strike::Stop
            | Strike::Deploy
            | Strike::Freeze
            | Strike::ClockJump
            | Strike::NoStream
            | Strike::Theft
            | Strike::Burial
            | Strike::Reshard
            | Strike::Storm
            | Strike::StaleScan
            | Strike::StaleList
            | Strike::ExpiredIterator
            | Strike::RowDeleted
            | Strike::TableDeleted
            | Strike::Day => false,
        };
        if !is_cut {
            return;
        }
        let now = self.now;
        for (known, it) in &mut self.processes {
            if process.is_none_or(|process| process == *known) {
                it.cut = Some(now);
            }
        }
        let fresh = self.deletions.iter_mut();
        for deletion in fresh.filter(|it| now < it.at + HAS_LOOKED) {
            deletion
                .witnesses
                .retain(|witness| process.is_some_and(|process| process != *witness));
        }
    }

    pub(super) fn day_passed(&mut self, by: Duration) {
        self.passed += by;
        for of in self.shards.values_mut() {
            let row = of.row.as_ref();
            let has_place = row.is_some_and(|row| match row.checkpoint {
                Checkpoint::Sequence { .. } | Checkpoint::ShardEnd => true,
                Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp(_) => false,
            });
            of.loss.trimmed = of.records.len();
            if !has_place && !of.ended {
                of.loss.unnoticed = of.records.len();
            }
            if of.closed.is_some() {
                of.loss.forgotten = Some(self.now);
            }
        }
    }

    /// The children of each shard.
    #[must_use]
    pub fn children(&self) -> BTreeMap<&ShardId, Vec<(&ShardId, &ShardLedger)>> {
        let mut children: BTreeMap<&ShardId, Vec<_>> = BTreeMap::new();
        for (id, of) in &self.shards {
            for parent in &of.parents {
                children.entry(parent).or_default().push((id, of));
            }
        }
        children
    }
}
