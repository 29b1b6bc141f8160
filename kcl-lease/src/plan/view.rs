//! What was seen: the rows of the last read, and since when each stands as it does.
//!
//! Time is the reader's own monotonic clock. A value counts from the moment *after* the read that
//! first showed it, so the time it has stood still is never overestimated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::model::ShardId;
use tokio::time::Instant;

use super::Plan;
use super::vanished::Vanished;
use crate::row::{LeaseRow, Row, StreamSet, StreamSetKey, WorkerKey, WorkerRow};

/// A row, and since when it was seen with its counter.
#[derive(Clone, Debug)]
pub(crate) struct Seen<R> {
    pub(crate) row: R,
    pub(crate) since: Instant,
}

/// One read of the table, with what is known from before.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) leases: BTreeMap<ShardId, Seen<LeaseRow>>,
    pub(crate) workers: BTreeMap<WorkerKey, Seen<WorkerRow>>,
    /// Which streams stand behind the keys that worker rows have.
    pub(crate) streams: BTreeMap<StreamSetKey, StreamSet>,
    /// The keys among those that have no row in this read.
    pub(crate) rowless: BTreeSet<StreamSetKey>,
    /// Workers that live but did not take what they were offered, and until when they are passed
    /// over.
    pub(crate) idle: BTreeMap<WorkerKey, Instant>,
}

/// What is remembered from one read to the next.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    leases: BTreeMap<ShardId, (u64, Instant)>,
    workers: BTreeMap<WorkerKey, (u64, Instant)>,
    /// Rows this worker wrote itself; an older read does not bring back what was before.
    written: BTreeMap<ShardId, (LeaseRow, Instant)>,
    offers: BTreeMap<ShardId, Offer>,
    held: BTreeMap<WorkerKey, usize>,
    idle: BTreeMap<WorkerKey, Instant>,
    /// When offers were last weighed.
    weighed: Option<Instant>,
    /// Sets of streams that no worker refers to, and since when.
    unused: BTreeMap<StreamSetKey, Instant>,
    /// Sets of streams that are in use: what stands behind a key never changes, so a read that lacks one
    /// does not make it unknown.
    sets: BTreeMap<StreamSetKey, StreamSet>,
}

#[derive(Debug)]
struct Offer {
    counter: u64,
    to: WorkerKey,
    since: Instant,
}

/// How long a row of our own writing outlives reads that do not show it. Reads lag by far less.
const WRITTEN_KEPT: Duration = Duration::from_secs(10);

impl Observer {
    /// Takes in a read. `after` is a moment after its reply.
    pub(crate) fn observe(&mut self, rows: Vec<Row>, after: Instant) -> View {
        let mut view = View::default();
        for row in rows {
            match row {
                Row::Lease(row) => {
                    let row = self.newest(row);
                    let since = since(self.leases.get(&row.shard), row.counter, after);
                    view.leases.insert(row.shard.clone(), Seen { row, since });
                }
                Row::Worker(row) => {
                    let since = since(self.workers.get(&row.key), row.counter, after);
                    view.workers.insert(row.key.clone(), Seen { row, since });
                }
                Row::Streams(set) => {
                    view.streams.insert(set.key().clone(), set);
                }
                Row::Start(_) | Row::Watch(_) => {}
            }
        }
        self.see_streams(&mut view, after);
        self.written
            .retain(|_, (_, at)| after.duration_since(*at) < WRITTEN_KEPT);
        for (shard, (row, at)) in &self.written {
            let seen = || Seen {
                row: row.clone(),
                since: *at,
            };
            view.leases.entry(shard.clone()).or_insert_with(seen);
        }
        self.leases = view
            .leases
            .iter()
            .map(|(id, seen)| (id.clone(), (seen.row.counter, seen.since)))
            .collect();
        self.workers = view
            .workers
            .iter()
            .map(|(key, seen)| (key.clone(), (seen.row.counter, seen.since)))
            .collect();
        self.idle.retain(|_, until| *until > after);
        view.idle = self.idle.clone();
        view
    }

    /// Takes in which sets of streams there are, and puts those into the view that this read lacks.
    fn see_streams(&mut self, view: &mut View, after: Instant) {
        let in_use: BTreeSet<_> = view
            .workers
            .values()
            .filter_map(|seen| seen.row.serves.clone())
            .collect();
        let rowless = in_use.iter().filter(|key| !view.streams.contains_key(*key));
        view.rowless = rowless.cloned().collect();
        let unused = view.streams.keys().filter(|key| !in_use.contains(*key));
        self.unused = unused
            .map(|key| (key.clone(), *self.unused.get(key).unwrap_or(&after)))
            .collect();
        let mut sets = std::mem::take(&mut self.sets);
        sets.extend(view.streams.clone());
        sets.retain(|key, _| in_use.contains(key));
        view.streams.extend(sets.clone());
        self.sets = sets;
    }

    /// The sets of streams that no worker has referred to for so long.
    pub(crate) fn unused_streams(&self, now: Instant, patience: Duration) -> Vec<StreamSetKey> {
        let unused = self.unused.iter();
        unused
            .filter(|(_, since)| now.duration_since(**since) >= patience)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Remembers what a write of our own made of a row.
    pub(crate) fn wrote(&mut self, row: LeaseRow, now: Instant) {
        self.written.insert(row.shard.clone(), (row, now));
    }

    /// What was written to leases that somebody has deleted since is no longer so.
    pub(crate) fn vanished(&mut self, vanished: &Vanished) {
        for gone in &vanished.leases {
            self.written.remove(&gone.shard);
        }
    }

    /// Remembers a worker row that a refused eviction brought.
    pub(crate) fn met(&mut self, row: &WorkerRow, after: Instant) {
        let since = since(self.workers.get(&row.key), row.counter, after);
        self.workers.insert(row.key.clone(), (row.counter, since));
    }

    /// Remembers what was seen of a worker's row between two reads of the table.
    pub(crate) fn watched(&mut self, key: &WorkerKey, counter: u64, since: Instant) {
        let is_known = |(known, _): &(u64, Instant)| *known == counter;
        if !self.workers.get(key).is_some_and(is_known) {
            self.workers.insert(key.clone(), (counter, since));
        }
    }

    /// Who is passed over, and until when.
    pub(crate) const fn idle(&self) -> &BTreeMap<WorkerKey, Instant> {
        &self.idle
    }

    /// Remembers who should take what. Whoever lets an offer stand for `patience` is passed over
    /// for `rest`: it may be dead and not yet expired. Who is still taking others is waited for.
    /// Tells whether somebody newly is passed over.
    pub(crate) fn offered(
        &mut self,
        view: &View,
        plan: &Plan,
        me: &WorkerKey,
        now: Instant,
        (patience, rest): (Duration, Duration),
    ) -> bool {
        let mut passed_over = false;
        // Who has not looked for a while does not know how long an offer has been standing.
        let before = self.weighed.replace(now);
        if before.is_none_or(|before| now.duration_since(before) > patience * 2) {
            self.offers.clear();
        }
        let mut standing = BTreeMap::new();
        let had = std::mem::replace(&mut self.held, plan.held.clone());
        let is_taking = |key| plan.held.get(key) > had.get(key);
        for (shard, to) in &plan.offers {
            let Some(seen) = view.leases.get(shard) else {
                continue;
            };
            let counter = seen.row.counter;
            let since = match self.offers.get(shard) {
                Some(offer) if offer.counter == counter && offer.to == *to && !is_taking(to) => {
                    offer.since
                }
                Some(_) | None => now,
            };
            if to != me && now.duration_since(since) >= patience {
                passed_over |= self.idle.insert(to.clone(), now + rest).is_none();
            }
            standing.insert(
                shard.clone(),
                Offer {
                    counter,
                    to: to.clone(),
                    since,
                },
            );
        }
        self.offers = standing;
        passed_over
    }

    /// The newer of what was read and what this worker wrote.
    fn newest(&mut self, read: LeaseRow) -> LeaseRow {
        match self.written.get(&read.shard) {
            Some((written, _)) if written.counter > read.counter => written.clone(),
            Some(_) => {
                self.written.remove(&read.shard);
                read
            }
            None => read,
        }
    }
}

/// Since when a counter has this value. Any other value than before starts the count anew, even an
/// older one from an older read: that errs on the side of life.
fn since(before: Option<&(u64, Instant)>, counter: u64, after: Instant) -> Instant {
    match before {
        Some((known, since)) if *known == counter => *since,
        Some(_) | None => after,
    }
}
