//! Deciding, without I/O: the same view gives the same plan on every machine.
//!
//! * [`view`]: the rows, and since when each was seen as it is.
//! * [`expiry`]: who is alive, and which leases can be had.
//! * [`classes`]: which workers can read which leases.
//! * [`balance`]: whose share of those is how large, and who gets which free lease.
//! * [`load`]: who gives what to whom so that all read the same for their capacity.
//! * [`moved`]: leases that were given to a certain worker, and as whose they count.
//! * [`silent`]: readers that get no answer.
//! * [`lineage`]: which rows must exist; parents before children.
//! * [`cleanup`]: which rows of finished shards may go.
//! * [`forgotten`]: which shards the stream forgot before they were read.
//! * [`vanished`]: which leases somebody deleted.
//! * [`watch`]: who looks at the whole table, and when the others have to.
//!
//! The planner task carries plans out; nothing here awaits.

pub(crate) mod balance;
pub(crate) mod classes;
pub(crate) mod cleanup;
pub(crate) mod expiry;
pub(crate) mod forgotten;
pub(crate) mod lineage;
pub(crate) mod load;
pub(crate) mod moved;
pub(crate) mod silent;
pub(crate) mod vanished;
pub(crate) mod view;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::event::{self, TakeReason};
use kcl_core::model::ShardId;
use kcl_core::planted;
use tokio::time::Instant;

use self::classes::{Readers, Reads};
use self::expiry::{Hold, Life};
use self::load::{Fleet, Own, Sight};
use self::moved::Moving;
use self::view::View;
use crate::row::{Capacity, LeaseRow, WorkerKey};

/// The worker that plans.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    /// This life of it.
    pub(crate) key: WorkerKey,
    /// The shards it holds grants of, and whether each is already being handed over.
    pub(crate) held: BTreeMap<ShardId, bool>,
    /// Whether it may take more.
    pub(crate) taking: bool,
    /// How many shards it reads at most.
    pub(crate) leases_max: Option<u32>,
    /// How much it can do.
    pub(crate) capacity: Capacity,
    /// What it reads, if it balances by that.
    pub(crate) own: Option<Own>,
    /// Shards that another worker should try to read.
    pub(crate) silent: BTreeSet<ShardId>,
    /// What it reads.
    pub(crate) reads: Reads,
    /// Who keeps the watch.
    pub(crate) watch: Option<WorkerKey>,
    /// How long a lease of another library must stand still before it counts as free.
    pub(crate) foreign_patience: std::time::Duration,
}

/// What to do now.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Workers to declare dead, with the counter they stood still at; none if they have no row.
    pub(crate) evict: BTreeMap<WorkerKey, Option<u64>>,
    /// Leases to take.
    pub(crate) take: Vec<Pick>,
    /// Leases to hand over, because another worker should have them.
    pub(crate) give_up: Vec<ShardId>,
    /// Leases to give to a certain worker at once.
    pub(crate) give_away: Vec<Moving>,
    /// Leases to give to a certain worker if that is wished for long enough.
    pub(crate) wishes: Vec<Moving>,
    /// From which load for its capacity on a worker should look whether it has such wishes.
    pub(crate) mark: Option<u64>,
    /// Who should take which free lease, in this worker's eyes.
    pub(crate) offers: BTreeMap<ShardId, WorkerKey>,
    /// How many leases each worker that shares has.
    pub(crate) held: BTreeMap<WorkerKey, usize>,
    /// When the next worker would count as dead.
    pub(crate) wake_at: Option<Instant>,
    /// Whether leases are about to come free for this worker, so that looking often pays.
    pub(crate) expecting: bool,
    /// Whether this worker has to ask for new shards from time to time, in place of whoever keeps the watch.
    pub(crate) syncs: bool,
    /// The same in counts, for whoever watches.
    pub(crate) counts: event::Plan,
}

impl Plan {
    /// Whether nothing is under way that this worker has part in, so that it need not look again until
    /// something changes.
    pub(crate) fn is_settled(&self) -> bool {
        let is_idle = self.evict.is_empty() && self.take.is_empty() && self.give_up.is_empty();
        let is_even = self.give_away.is_empty() && self.wishes.is_empty();
        is_idle && is_even && self.offers.is_empty() && !self.expecting
    }
}

/// A lease to take.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    /// As it was seen.
    pub(crate) row: LeaseRow,
    /// The worker that must be proven dead first.
    pub(crate) after: Option<WorkerKey>,
    /// Parents that have no row in this view. A view may be old, so each must be looked up: only
    /// one that has no row, or is finished, lets its child be read.
    pub(crate) unseen_parents: Vec<ShardId>,
    /// For whoever watches.
    pub(crate) why: TakeReason,
}

/// Decides what this worker does about what it sees.
pub(crate) fn plan(view: &View, me: &Me, now: Instant) -> Plan {
    let lives = expiry::lives(view, me, now);
    let readable = view
        .leases
        .iter()
        .filter(|(_, seen)| is_readable(view, &seen.row));
    let holds: BTreeMap<ShardId, Hold> = readable
        .map(|(shard, seen)| (shard.clone(), expiry::hold(seen, me, &lives, now)))
        .collect();
    let mut plan = Plan {
        wake_at: expiry::wake_at(&lives),
        ..Plan::default()
    };
    let readers = Readers::new(view, me);
    plan.evict = evictions(view, &lives, &readers, &holds);

    let shares = classes::share(&readers, me, view, &lives, &holds);
    plan.offers.clone_from(&shares.offers);
    plan.held.clone_from(&shares.held);
    if me.taking {
        plan.take = picks(view, &holds, &plan.offers, me);
        plan.give_up.clone_from(&shares.give_up);
        plan.expecting = shares.expecting;
        plan.give_away = silent::give_away(me, &readers, &shares);
    }
    plan.syncs = readers.leaves_to(&me.key, me.watch.as_ref(), &lives);
    plan.counts = counts(&plan, me);
    plan.counts.leases = shares.leases;
    plan.counts.free = shares.free;
    plan.counts.target = shares.target;
    plan.counts.unserved = shares.unserved;
    if let (Some(max), workers @ 1..) = (me.leases_max, plan.counts.workers) {
        plan.counts.spillover = shares.leases.div_ceil(workers).saturating_sub(max as usize);
    }
    // Where workers read different streams, what one reads says nothing of what it could give to another.
    if let (Some(own), [of]) = (me.own.as_ref().filter(|_| me.taking), &shares.classes[..]) {
        let sight = Sight {
            view,
            me,
            lives: &lives,
            holds: &holds,
            loads: &of.loads,
            homes: &of.homes,
        };
        let settled =
            plan.is_settled() && of.homes.is_even() && !me.held.values().any(|leaving| *leaving);
        by_load(&mut plan, sight, own, settled);
    }
    plan
}

/// Adds what follows from loads. Nothing is wished for before counts are settled.
fn by_load(plan: &mut Plan, sight: Sight<'_>, own: &Own, settled: bool) {
    let Some(fleet) = Fleet::see(sight, own) else {
        return;
    };
    plan.counts.load = Some(own.total);
    plan.counts.fair_load = fleet.fair(&sight.me.key);
    if settled {
        plan.mark = fleet.mark(own.threshold);
        plan.wishes = fleet.wishes(sight, own);
    }
}

fn counts(plan: &Plan, me: &Me) -> event::Plan {
    let mut counts = event::Plan::default();
    counts.workers = plan.held.len();
    counts.held = me.held.len();
    counts.taking = plan.take.len();
    counts.giving_up = plan.give_up.len() + plan.give_away.len();
    counts.evicting = plan.evict.len();
    counts
}

/// Whether a shard can be read: it is not finished, and no parent that has a row is unfinished.
fn is_readable(view: &View, row: &LeaseRow) -> bool {
    let parent_done = |parent| match view.leases.get(parent) {
        Some(parent) => parent.row.is_ended(),
        None => true,
    };
    if planted!(ReadsChildOfOneParent) && !row.parents.is_empty() {
        return !row.is_ended() && row.parents.iter().any(parent_done);
    }
    !row.is_ended() && row.parents.iter().all(parent_done)
}

/// Every worker that stands still goes, and every owner without a row that holds a lease that somebody can
/// take.
fn evictions(
    view: &View,
    lives: &BTreeMap<WorkerKey, Life>,
    readers: &Readers<'_>,
    holds: &BTreeMap<ShardId, Hold>,
) -> BTreeMap<WorkerKey, Option<u64>> {
    let still = lives.iter().filter(|(_, life)| matches!(life, Life::Still));
    let still = still.map(|(key, _)| {
        (
            key.clone(),
            view.workers.get(key).map(|seen| seen.row.counter),
        )
    });
    let served = holds
        .iter()
        .filter(|(shard, _)| readers.is_served(shard.stream()));
    let rowless = served.filter_map(|(_, hold)| match hold {
        Hold::ByDead(key) if !view.workers.contains_key(key) => Some((key.clone(), None)),
        Hold::ByDead(_) | Hold::By(_) | Hold::ByForeign | Hold::Free | Hold::Stray => None,
    });
    rowless.chain(still).collect()
}

fn picks(
    view: &View,
    holds: &BTreeMap<ShardId, Hold>,
    offers: &BTreeMap<ShardId, WorkerKey>,
    me: &Me,
) -> Vec<Pick> {
    let mut picks = Vec::new();
    for (shard, hold) in holds {
        let (after, why) = match hold {
            // Only this worker can, and nobody else knows that it must.
            Hold::Stray => (None, TakeReason::Stray),
            Hold::Free if offers.get(shard) == Some(&me.key) => (None, TakeReason::Free),
            Hold::ByDead(key) if offers.get(shard) == Some(&me.key) => {
                (Some(key.clone()), TakeReason::HolderDead)
            }
            Hold::Free | Hold::ByDead(_) | Hold::By(_) | Hold::ByForeign => continue,
        };
        let Some(seen) = view.leases.get(shard) else {
            continue;
        };
        let unseen = seen
            .row
            .parents
            .iter()
            .filter(|id| !view.leases.contains_key(*id));
        picks.push(Pick {
            row: seen.row.clone(),
            after,
            unseen_parents: unseen.cloned().collect(),
            why,
        });
    }
    picks
}

#[cfg(test)]
mod tests;
