//! What this process holds now: its present life, and the grants that are out.
//!
//! The one place where the keeper (which moves the deadline), the planner (which adds grants) and
//! the rights (which give them back) meet. A plain lock around a few lines; nothing awaits here.

mod reads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kcl_core::StreamTracker;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::{Event, Events, LossReason};
use kcl_core::model::{Checkpoint, Shard, ShardId};
use kcl_core::planted;
use kcl_core::port::{Meter, Standing};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::plan::vanished::{Known, Vanished};
use crate::rate::Rate;
use crate::row::{Fence, LeaseRow, Moved, StreamSet, StreamSetKey, WorkerKey};

/// How far the worker is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It takes its share.
    Sharing,
    /// It takes no more and gives back what it has.
    Leaving,
    /// Everything is given back; the tasks end.
    Stopped,
}

/// Shared by the tasks and the rights of one worker.
#[derive(Debug)]
pub(crate) struct Holdings {
    inner: Mutex<Inner>,
    /// Rung for the planner: something changed that a look at the table may follow from.
    pub(crate) plan: Notify,
    /// Rung for the sync: a shard ended, or a child has no row.
    pub(crate) sync: Notify,
    /// Whether this worker keeps the watch, as its planner last knew.
    pub(crate) keeps_watch: AtomicBool,
    /// Whether this worker has to ask for new shards from time to time, though it does not keep the watch.
    pub(crate) syncs: AtomicBool,
    /// Where the loss of a grant is told.
    pub(crate) events: Events,
    /// Whether the row of the present life says something new, and nobody was told yet: that it leaves, or reads
    /// other streams.
    pub(crate) has_news: AtomicBool,
    /// What the worker reads.
    pub(crate) tracker: StreamTracker,
    /// Rung for the keeper: the row is to say that the worker reads other streams.
    pub(crate) declare: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    life: Option<Life>,
    /// The last life there was, over or not: its row is to be deleted at the end.
    last: Option<WorkerKey>,
    grants: BTreeMap<ShardId, Holding>,
    /// The last grant there was of each shard, in force or not.
    granted: BTreeMap<ShardId, Fence>,
    /// Rows that rights wrote, for the planner to remember.
    written: Vec<LeaseRow>,
    /// The unfinished leases as the planner last saw them.
    known: Known,
    /// Leases held here of which it was told that their row is gone, and which a look at all rows has yet to find so.
    gone: BTreeSet<ShardId>,
    /// The shards as last listed.
    shards: BTreeMap<ShardId, Shard>,
    /// Which streams the row may say that the worker reads: those that the table has a row of.
    declared: Option<StreamSetKey>,
}

/// One life of this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) key: WorkerKey,
    /// Until when deliveries may start.
    pub(crate) until: Instant,
}

#[derive(Debug)]
struct Holding {
    fence: Fence,
    state: State,
    standing: watch::Sender<Standing>,
    meter: Meter,
    rate: Rate,
    /// It moved here not long ago, and stays until then.
    rests_until: Option<Instant>,
    /// Who is to have it, if it is given to somebody.
    moved: Option<Moved>,
    /// Whether the end of the shard is being written: it may be there, and its row cleaned up, before this worker hears
    /// of it.
    is_ending: bool,
}

/// What a grant begins with.
#[derive(Debug)]
pub(crate) struct Begin {
    /// Bytes per second, as a former holder measured them.
    pub(crate) load: Option<u64>,
    /// Until when it is not to move again.
    pub(crate) rests_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Held,
    HandOver,
    /// Dropped without being given back; the planner releases it.
    Dropped,
}

impl Holding {
    fn publish(&self, until: Instant) {
        let standing = match self.state {
            State::Held => Standing::Held { until },
            State::HandOver | State::Dropped => Standing::HandOver { until },
        };
        self.standing.send_replace(standing);
    }
}

impl Holdings {
    pub(crate) fn new(events: Events, tracker: StreamTracker) -> Self {
        Self {
            inner: Mutex::default(),
            plan: Notify::default(),
            sync: Notify::default(),
            keeps_watch: AtomicBool::default(),
            syncs: AtomicBool::default(),
            events,
            has_news: AtomicBool::default(),
            tracker,
            declare: Notify::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which streams the worker reads now, as a row; nothing if it reads one for good.
    pub(crate) fn streams(&self) -> Option<StreamSet> {
        match &self.tracker {
            StreamTracker::Single { .. } => None,
            StreamTracker::Multi(streams) => Some(StreamSet::new(streams.list().into_keys())),
        }
    }

    /// What the row of this worker may say that it reads.
    pub(crate) fn declared(&self) -> Option<StreamSetKey> {
        self.inner().declared.clone()
    }

    /// The table has the row of this set: from now on the row of this worker may refer to it.
    pub(crate) fn declare(&self, set: &StreamSet) {
        self.inner().declared = Some(set.key().clone());
        self.declare.notify_one();
    }

    /// The present life, if there is one.
    pub(crate) fn life(&self) -> Option<Life> {
        self.inner().life.clone()
    }

    /// The last life there was.
    pub(crate) fn last(&self) -> Option<WorkerKey> {
        self.inner().last.clone()
    }

    /// A new life begins, with nothing held.
    pub(crate) fn begin(&self, key: WorkerKey, until: Instant) {
        self.end_life();
        let mut inner = self.inner();
        inner.last = Some(key.clone());
        inner.life = Some(Life { key, until });
        drop(inner);
        self.plan.notify_one();
    }

    /// Life was proven: everything held stays held until then.
    pub(crate) fn prolong(&self, until: Instant) {
        let mut inner = self.inner();
        if let Some(life) = &mut inner.life {
            life.until = until;
        }
        if planted!(NeverProlongs) {
            return;
        }
        for holding in inner.grants.values() {
            holding.publish(until);
        }
    }

    /// The worker is gone, in order or by a crash: nothing is held any more.
    pub(crate) fn end(&self) {
        for holding in self.take_all() {
            holding.standing.send_replace(Standing::Lost);
        }
    }

    /// This life is over: everything held is lost.
    pub(crate) fn end_life(&self) {
        for holding in self.take_all() {
            self.lost(&holding, LossReason::LifeOver);
        }
    }

    fn take_all(&self) -> Vec<Holding> {
        let mut inner = self.inner();
        inner.life = None;
        if planted!(KeepsGrantsOfPastLife) {
            return Vec::new();
        }
        std::mem::take(&mut inner.grants).into_values().collect()
    }

    /// ORDER: the loss is told before the consumer hears of it, so that what follows on it is told
    /// later. Called without the lock, because whoever is told is not known.
    fn lost(&self, holding: &Holding, why: LossReason) {
        self.events.emit(&Event::LeaseLost {
            shard: holding.fence.shard.clone(),
            epoch: holding.fence.epoch,
            why,
        });
        holding.standing.send_replace(Standing::Lost);
    }

    /// Adds a grant. Nothing if the life it was taken in is over, or if there was this very grant before: an old read
    /// may have ended it and then make its take look like one that got no answer, and what it had processed by then would
    /// be delivered again under the same fence.
    pub(crate) fn add(
        &self,
        fence: &Fence,
        begin: &Begin,
    ) -> Option<(watch::Receiver<Standing>, Meter)> {
        let mut inner = self.inner();
        let until = match &inner.life {
            Some(life) if life.key == fence.holder => life.until,
            Some(_) | None => return None,
        };
        if inner.granted.get(&fence.shard) == Some(fence) {
            return None;
        }
        inner.granted.insert(fence.shard.clone(), fence.clone());
        let (standing, receiver) = watch::channel(Standing::Held { until });
        let (now, meter) = (Instant::now(), Meter::default());
        let holding = Holding {
            fence: fence.clone(),
            state: State::Held,
            standing,
            meter: meter.clone(),
            rate: begin
                .load
                .map_or(Rate::unknown(now), |load| Rate::known(load, now)),
            rests_until: begin.rests_until,
            moved: None,
            is_ending: false,
        };
        inner.gone.remove(&fence.shard);
        if let Some(before) = inner.grants.insert(fence.shard.clone(), holding) {
            before.standing.send_replace(Standing::Lost);
        }
        Some((receiver, meter))
    }

    /// Whether this grant is in force.
    pub(crate) fn holds(&self, fence: &Fence) -> bool {
        self.inner()
            .grants
            .get(&fence.shard)
            .is_some_and(|holding| holding.fence == *fence)
    }

    /// The grants in force whose rows nobody can have removed in good order.
    pub(crate) fn unfinished(&self) -> BTreeMap<ShardId, Fence> {
        let inner = self.inner();
        let unfinished = inner
            .grants
            .iter()
            .filter(|(_, holding)| !holding.is_ending);
        unfinished
            .map(|(shard, holding)| (shard.clone(), holding.fence.clone()))
            .collect()
    }

    fn is_unfinished(&self, fence: &Fence) -> bool {
        let inner = self.inner();
        let holding = inner.grants.get(&fence.shard);
        holding.is_some_and(|holding| holding.fence == *fence && !holding.is_ending)
    }

    /// Tells of grants, unfinished before a consistent read and still, whose rows it did not show. Whether there are any.
    pub(crate) fn miss(
        &self,
        unfinished: &BTreeMap<ShardId, Fence>,
        known: &Known,
        is_there: impl Fn(&ShardId) -> bool,
    ) -> bool {
        let mut any = false;
        for (shard, fence) in unfinished.iter().filter(|(shard, _)| !is_there(shard)) {
            if let Some(checkpoint) = known.checkpoint(shard)
                && self.is_unfinished(fence)
            {
                self.tell_gone(fence, checkpoint);
                any = true;
            }
        }
        any
    }

    /// The end of the shard is about to be written.
    pub(crate) fn ending(&self, fence: &Fence) {
        let mut inner = self.inner();
        let holding = inner.grants.get_mut(&fence.shard);
        if let Some(holding) = holding.filter(|holding| holding.fence == *fence) {
            holding.is_ending = true;
        }
    }

    /// The shards held, and whether each is on its way out.
    pub(crate) fn held(&self) -> BTreeMap<ShardId, bool> {
        let inner = self.inner();
        let leaving = |holding: &Holding| holding.state != State::Held;
        inner
            .grants
            .iter()
            .map(|(shard, holding)| (shard.clone(), leaving(holding)))
            .collect()
    }

    /// Asks the consumer of a grant to drain it and give it back, to somebody or to whoever has least. Tells whether
    /// that is news.
    pub(crate) fn hand_over(&self, shard: &ShardId, moved: Option<Moved>) -> bool {
        let mut inner = self.inner();
        let Some(until) = inner.life.as_ref().map(|life| life.until) else {
            return false;
        };
        if let Some(holding) = inner.grants.get_mut(shard)
            && holding.state == State::Held
        {
            holding.state = State::HandOver;
            holding.moved = moved;
            holding.publish(until);
            return true;
        }
        false
    }

    /// The grant is given back: it is no longer in force.
    pub(crate) fn remove(&self, fence: &Fence) {
        if let Some(holding) = self.take_out(fence) {
            holding.standing.send_replace(Standing::Lost);
        }
    }

    /// Another worker has the shard, or may have it.
    pub(crate) fn lose(&self, fence: &Fence, why: LossReason) {
        if let Some(holding) = self.take_out(fence) {
            self.lost(&holding, why);
        }
    }

    fn take_out(&self, fence: &Fence) -> Option<Holding> {
        let mut inner = self.inner();
        let holding = inner.grants.get(&fence.shard)?;
        if holding.fence == *fence {
            inner.grants.remove(&fence.shard)
        } else {
            None
        }
    }

    /// A read of the table shows that a lease changed hands: the grant, if it is older, is lost.
    pub(crate) fn seen(&self, row: &LeaseRow) {
        let older = |holding: &Holding| {
            holding.fence.epoch.get() < row.counter
                || (holding.fence.epoch.get() == row.counter && !row.is_fenced_by(&holding.fence))
        };
        let fence = self
            .inner()
            .grants
            .get(&row.shard)
            .filter(|h| older(h))
            .map(|h| h.fence.clone());
        if let Some(fence) = fence {
            self.lose(&fence, LossReason::TakenOver);
        }
    }

    /// The right was dropped without giving the grant back.
    pub(crate) fn dropped(&self, fence: &Fence) {
        let mut inner = self.inner();
        if let Some(holding) = inner.grants.get_mut(&fence.shard)
            && holding.fence == *fence
        {
            holding.state = State::Dropped;
        }
    }

    /// The grants that were dropped and not yet released.
    pub(crate) fn orphans(&self) -> Vec<Fence> {
        let inner = self.inner();
        let dropped = inner
            .grants
            .values()
            .filter(|holding| holding.state == State::Dropped);
        dropped.map(|holding| holding.fence.clone()).collect()
    }

    /// Remembers a row as a right wrote it.
    pub(crate) fn wrote(&self, row: LeaseRow) {
        let mut inner = self.inner();
        inner.known.see(&row);
        inner.written.push(row);
    }

    /// What rights wrote since the last call.
    pub(crate) fn take_written(&self) -> Vec<LeaseRow> {
        std::mem::take(&mut self.inner().written)
    }

    /// Remembers the leases as a read of the planner showed them.
    pub(crate) fn saw<'a>(&self, rows: impl IntoIterator<Item = &'a LeaseRow>) {
        let mut inner = self.inner();
        let rows = rows
            .into_iter()
            .filter(|row| self.tracker.serves(&row.shard));
        rows.for_each(|row| inner.known.see(row));
    }

    /// The leases as known now. A read that begins later cannot be older.
    pub(crate) fn known(&self) -> Known {
        let mut known = self.inner().known.clone();
        known.retain(|shard| self.tracker.serves(shard));
        known
    }

    /// Tells of leases that somebody deleted. An error if nothing is left: the worker cannot go on.
    pub(crate) fn tell_vanished(&self, vanished: &Vanished) -> Result<(), Error> {
        let shards = vanished.leases.iter().map(|gone| &gone.shard);
        self.inner().known.forget(shards);
        if planted!(HidesVanishedLeases) {
            return Ok(());
        }
        for gone in &vanished.leases {
            let was_told = self.inner().gone.remove(&gone.shard);
            if !was_told {
                self.events.emit(&Event::LeaseVanished {
                    shard: gone.shard.clone(),
                    checkpoint: gone.checkpoint.clone(),
                });
            }
            // The row that is made in its place counts from 0: to `seen` it would pass for an old read, and where
            // there is nothing to write nobody would notice that another worker reads the shard.
            let held = self
                .inner()
                .grants
                .get(&gone.shard)
                .map(|it| it.fence.clone());
            if let Some(fence) = held.filter(|held| held.epoch.get() >= gone.counter) {
                self.lose(&fence, LossReason::Vanished);
            }
        }
        if vanished.is_all {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "all {} leases that this worker knew are gone from the lease table",
                    vanished.leases.len()
                ),
            )
            .with_hint(
                "the table was deleted and made again, or emptied: restore it, or start the workers \
                 again to read from the initial position",
            ));
        }
        Ok(())
    }

    /// Tells that the row of a lease held here is gone: the table itself said so. It stays known, so that a look at all
    /// rows can say whether it is all of them. Nothing if a look was first to say so.
    pub(crate) fn tell_gone(&self, fence: &Fence, checkpoint: &Checkpoint) {
        let Some(holding) = self.take_out(fence) else {
            return;
        };
        let is_read = self.tracker.serves(&fence.shard);
        if is_read
            && !planted!(HidesVanishedLeases)
            && self.inner().gone.insert(fence.shard.clone())
        {
            self.events.emit(&Event::LeaseVanished {
                shard: fence.shard.clone(),
                checkpoint: checkpoint.clone(),
            });
        }
        self.lost(&holding, LossReason::Vanished);
    }

    /// Forgets the leases that their stream, if it could be listed, has forgotten, and those of streams that
    /// are not read any more.
    pub(crate) fn keep_known(
        &self,
        rows: &BTreeMap<ShardId, LeaseRow>,
        listed: &BTreeMap<ShardId, Shard>,
        is_listed: impl Fn(&ShardId) -> bool,
    ) {
        let stays = |shard: &ShardId| {
            let is_there = rows.contains_key(shard) || listed.contains_key(shard);
            self.tracker.serves(shard) && (is_there || !is_listed(shard))
        };
        let mut inner = self.inner();
        inner.known.retain(stays);
        inner.granted.retain(|shard, _| stays(shard));
    }

    /// Remembers the shards as listed.
    pub(crate) fn listed(&self, shards: &BTreeMap<ShardId, Shard>) {
        self.inner().shards.clone_from(shards);
    }

    /// A shard as it was last listed.
    pub(crate) fn shard(&self, id: &ShardId) -> Option<Shard> {
        self.inner().shards.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kcl_core::model::{Epoch, InitialPosition, StreamName, WorkerId};

    use super::*;
    use crate::row::Incarnation;

    #[tokio::test]
    async fn what_was_granted_once_is_not_granted_again_under_the_same_fence() {
        let tracker = StreamTracker::Single {
            stream: StreamName::new("orders").expect("a name"),
            initial_position: InitialPosition::Latest,
        };
        let holdings = Holdings::new(Events::default(), tracker);
        let holder = WorkerKey {
            worker: WorkerId::new("a").expect("a name"),
            incarnation: Incarnation::parse("1").expect("one"),
        };
        let fence = |epoch| Fence {
            shard: "shardId-000000000000".into(),
            holder: holder.clone(),
            epoch: Epoch::new(epoch),
        };
        let begin = Begin {
            load: None,
            rests_until: None,
        };
        let add = |epoch| holdings.add(&fence(epoch), &begin).is_some();
        holdings.begin(holder.clone(), Instant::now() + Duration::from_secs(10));
        assert!(add(1));
        holdings.lose(&fence(1), LossReason::TakenOver);
        assert!(!add(1), "its consumer may be anywhere");
        assert!(!holdings.holds(&fence(1)));
        assert!(add(3));
    }
}
