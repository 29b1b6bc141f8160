//! Deciding, without I/O: the same view gives the same plan on every machine.
//!
//! * [`view`]: the rows, and since when each was seen as it is.
//! * [`expiry`]: who is alive, and which leases can be had.
//! * [`balance`]: whose share is how large, and who gets which free lease.
//! * [`load`]: who gives what to whom so that all read the same for their capacity.
//! * [`moved`]: leases that were given to a certain worker, and what that does to shares.
//! * [`silent`]: readers that get no answer.
//! * [`lineage`]: which rows must exist; parents before children.
//! * [`cleanup`]: which rows of finished shards may go.
//! * [`vanished`]: which leases somebody deleted.
//! * [`watch`]: who looks at the whole table, and when the others have to.
//!
//! The planner task carries plans out; nothing here awaits.

pub(crate) mod balance;
pub(crate) mod cleanup;
pub(crate) mod expiry;
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

use self::balance::Load;
use self::expiry::{Hold, Life};
use self::load::{Fleet, Own, Sight};
use self::moved::{Homes, Moving};
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
    plan.evict = evictions(view, &lives, &holds);

    let total = to_share(&holds, &lives);
    let is_modern = is_modern(&lives);
    let loads = loads(&lives, &holds, is_modern);
    plan.held = loads
        .iter()
        .map(|(key, load)| (key.clone(), load.held))
        .collect();
    let homes = if is_modern {
        Homes::find(view, &holds, &loads, total)
    } else {
        Homes::at_holders(&loads, total)
    };
    let (by_count, targets) = (&homes.counts, &homes.targets);
    let free: BTreeSet<&ShardId> = holds
        .iter()
        .filter(|(_, hold)| hold.is_free())
        .map(|(shard, _)| shard)
        .collect();
    let in_common = |shard: &&&ShardId| !homes.offers.contains_key(**shard);
    let in_common = free.iter().filter(in_common).copied().collect();
    plan.offers = balance::deal(&in_common, by_count, targets);
    let target = homes.target(&me.key);
    plan.offers.extend(homes.offers.clone());
    if me.taking {
        plan.take = picks(view, &holds, &plan.offers, me);
        let keeps = balance::keeps(&me.key, by_count, targets);
        plan.give_up = balance::give_up(&me.held, homes.real(&me.key, keeps, &loads));
        let meant = |pick: &&Pick| homes.offers.contains_key(&pick.row.shard);
        let taking = plan.take.len() - plan.take.iter().filter(meant).count();
        let held = by_count.get(&me.key).map_or(0, |load| load.held);
        plan.expecting = held + taking < target;
        if is_modern {
            plan.give_away = silent::give_away(me, &loads, &homes);
        }
    }
    plan.counts = counts(
        &plan,
        me,
        (homes.real(&me.key, target, &loads), loads.len()),
        (total, free.len()),
    );
    if let Some(own) = me.own.as_ref().filter(|_| me.taking) {
        let sight = Sight {
            view,
            me,
            lives: &lives,
            holds: &holds,
            loads: &loads,
            homes: &homes,
        };
        let settled =
            plan.is_settled() && homes.is_even() && !me.held.values().any(|leaving| *leaving);
        by_load(&mut plan, sight, own, settled);
    }
    plan
}

/// How many leases are to be shared out: not what nobody here can get.
fn to_share(holds: &BTreeMap<ShardId, Hold>, lives: &BTreeMap<WorkerKey, Life>) -> usize {
    let to_share = holds.values().filter(|hold| match hold {
        Hold::By(key) => !matches!(lives.get(key), Some(Life::Idle { .. })),
        Hold::ByForeign => false,
        Hold::Free | Hold::ByDead(_) | Hold::Stray => true,
    });
    to_share.count()
}

/// Whether all that share know of capacities and of leases that are given to somebody. While one does not, all share
/// as it does, so that all come to the same plan.
fn is_modern(lives: &BTreeMap<WorkerKey, Life>) -> bool {
    lives.values().all(|life| match life {
        Life::Sharing { capacity, .. } => capacity.is_some(),
        Life::Leaving { .. } | Life::Idle { .. } | Life::Still => true,
    })
}

/// What each worker that shares has, and how much it can have.
fn loads(
    lives: &BTreeMap<WorkerKey, Life>,
    holds: &BTreeMap<ShardId, Hold>,
    is_modern: bool,
) -> BTreeMap<WorkerKey, Load> {
    let mut loads: BTreeMap<WorkerKey, Load> = BTreeMap::new();
    for (key, life) in lives {
        if let Life::Sharing {
            leases_max,
            capacity,
            ..
        } = life
        {
            let load = Load {
                held: 0,
                max: *leases_max,
                capacity: capacity.filter(|_| is_modern).unwrap_or(Capacity::ONE),
            };
            loads.insert(key.clone(), load);
        }
    }
    for hold in holds.values() {
        if let Hold::By(key) = hold
            && let Some(load) = loads.get_mut(key)
        {
            load.held += 1;
        }
    }
    loads
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

fn counts(
    plan: &Plan,
    me: &Me,
    (target, workers): (usize, usize),
    (leases, free): (usize, usize),
) -> event::Plan {
    let mut counts = event::Plan::default();
    counts.leases = leases;
    counts.free = free;
    counts.workers = workers;
    counts.held = me.held.len();
    counts.target = target;
    if let (Some(max), true) = (me.leases_max, workers > 0) {
        counts.spillover = leases.div_ceil(workers).saturating_sub(max as usize);
    }
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

/// Every worker that stands still goes, and every owner without a row that holds a lease.
fn evictions(
    view: &View,
    lives: &BTreeMap<WorkerKey, Life>,
    holds: &BTreeMap<ShardId, Hold>,
) -> BTreeMap<WorkerKey, Option<u64>> {
    let still = lives.iter().filter(|(_, life)| matches!(life, Life::Still));
    let still = still.map(|(key, _)| {
        (
            key.clone(),
            view.workers.get(key).map(|seen| seen.row.counter),
        )
    });
    let rowless = holds.values().filter_map(|hold| match hold {
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
