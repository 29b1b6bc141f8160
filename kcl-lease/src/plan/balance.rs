//! Shares: how many leases each worker should have, and who gets which free one.
//!
//! Shares go by capacity, and differ by at most one where that is equal, but for workers that are full. Workers
//! that already have more keep the larger shares, so a fleet that is settled makes no moves.
//!
//! Here are the leases that the same workers can read. Where not every worker reads every stream there are several
//! such classes, which [`classes`](super::classes) goes through: what workers get of one is their `base` for
//! the next.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::model::ShardId;
use kcl_core::planted;

use crate::row::{Capacity, WorkerKey};

/// What a worker has, and how much it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Leases of this class that it has.
    pub(crate) held: usize,
    /// Its shares of the classes before.
    pub(crate) base: usize,
    /// All leases that it has, and those that are on their way to it.
    pub(crate) all: usize,
    pub(crate) max: Option<u32>,
    pub(crate) capacity: Capacity,
}

impl Load {
    /// How many leases of this class it can have.
    pub(crate) fn room(&self) -> usize {
        self.max
            .map_or(usize::MAX, |max| (max as usize).saturating_sub(self.base))
    }

    /// How many more it can take now.
    pub(crate) fn spare(&self) -> usize {
        self.max
            .map_or(usize::MAX, |max| (max as usize).saturating_sub(self.all))
    }

    /// What it gets if everybody is filled up to this level.
    fn at_level(&self, level: Level) -> usize {
        let full = level * u128::from(self.capacity.thousandths()) / LEASE;
        let full = usize::try_from(full).unwrap_or(usize::MAX);
        full.saturating_sub(self.base).min(self.room())
    }

    /// The lowest level at which it has so many leases in all.
    fn level_of(&self, leases: usize) -> Level {
        (leases as u128 * LEASE).div_ceil(u128::from(self.capacity.thousandths()))
    }

    /// All that it has for its capacity.
    pub(crate) fn level_of_all(&self) -> Level {
        self.level_of(self.all)
    }

    /// What it has for its capacity.
    pub(crate) fn level(&self) -> Level {
        self.level_of(self.base + self.held)
    }
}

/// Leases for a capacity, so fine that the largest and the smallest capacity still tell one lease from none.
pub(crate) type Level = u128;

/// A lease, at a capacity of a thousandth.
const LEASE: Level = 1_000_000_000;

/// The highest level that there is enough for when `total` leases are to be had, as water fills vessels of different
/// bottoms, widths and heights. It does not depend on what anybody holds.
fn water(loads: &BTreeMap<WorkerKey, Load>, total: usize) -> Level {
    let filled = |level| -> usize {
        let each = loads.values().map(|load| load.at_level(level));
        each.fold(0, usize::saturating_add)
    };
    let top = loads
        .values()
        .map(|load| load.level_of(load.base + total + 1));
    let (mut level, mut above) = (0, top.max().unwrap_or(0) + 1);
    while level + 1 < above {
        let middle = u128::midpoint(level, above);
        if filled(middle) <= total {
            level = middle;
        } else {
            above = middle;
        }
    }
    level
}

/// How many leases each worker may have at most when `total` are to be had, whatever anybody holds now.
pub(crate) fn bounds(
    loads: &BTreeMap<WorkerKey, Load>,
    total: usize,
) -> BTreeMap<WorkerKey, usize> {
    let level = water(loads, total);
    let most = |load: &Load| load.at_level(level + 1).max(load.at_level(level));
    loads
        .iter()
        .map(|(key, load)| (key.clone(), most(load)))
        .collect()
}

/// How many leases each worker should have when `total` are to be had.
pub(crate) fn targets(
    loads: &BTreeMap<WorkerKey, Load>,
    total: usize,
) -> BTreeMap<WorkerKey, usize> {
    let level = water(loads, total);
    let mut targets: BTreeMap<WorkerKey, usize> = loads
        .iter()
        .map(|(key, load)| (key.clone(), load.at_level(level)))
        .collect();
    // The ones left over go to those who have most, so that nothing moves for their sake.
    let left = total.saturating_sub(targets.values().sum());
    let gets_more = |load: &Load| load.at_level(level + 1) > load.at_level(level);
    let mut open: Vec<_> = loads.iter().filter(|(_, load)| gets_more(load)).collect();
    let above = |load: &Load| load.held.cast_signed() - load.at_level(level).cast_signed();
    open.sort_by(|(a, x), (b, y)| above(y).cmp(&above(x)).then_with(|| a.cmp(b)));
    for (key, load) in open.into_iter().take(left) {
        targets.insert(key.clone(), load.at_level(level + 1));
    }
    targets
}

/// Deals free leases, each to the worker that has least and is below its share.
pub(crate) fn deal(
    free: &BTreeSet<&ShardId>,
    loads: &BTreeMap<WorkerKey, Load>,
    targets: &BTreeMap<WorkerKey, usize>,
) -> BTreeMap<ShardId, WorkerKey> {
    // Who still drains what others should have must not go beyond its bound for what it gets.
    let wants = |key: &WorkerKey, load: &Load| {
        let target = targets.get(key).copied().unwrap_or(0);
        target.saturating_sub(load.held).min(load.spare())
    };
    let mut loads = loads.clone();
    let mut line: BTreeSet<(Level, WorkerKey, usize)> = loads
        .iter()
        .map(|(key, load)| (load.level(), key.clone(), wants(key, load)))
        .filter(|(.., wants)| *wants > 0)
        .collect();
    let mut offers = BTreeMap::new();
    for shard in free {
        let Some((_, key, wants)) = line.pop_first() else {
            break;
        };
        offers.insert((*shard).clone(), key.clone());
        if let Some(load) = loads.get_mut(&key).filter(|_| wants > 1) {
            load.held += 1;
            line.insert((load.level(), key, wants - 1));
        }
    }
    offers
}

/// How many leases a worker may keep for now.
///
/// While somebody still has more than the largest share, nobody goes below that: whose turn it is to
/// have one less is clear only when all that must move has moved. Else two workers that drain at
/// different speeds each give up the same one lease, and one of them gets it back.
pub(crate) fn keeps(
    me: &WorkerKey,
    loads: &BTreeMap<WorkerKey, Load>,
    targets: &BTreeMap<WorkerKey, usize>,
) -> usize {
    let target = |key: &WorkerKey| targets.get(key).copied().unwrap_or(0);
    let Some(mine) = loads.get(me) else {
        return target(me);
    };
    // Those of its capacity: what a larger worker may have is no measure for a smaller one.
    let alike = || {
        loads
            .iter()
            .filter(|(_, load)| load.capacity == mine.capacity)
    };
    let gets = alike().filter(|(key, _)| target(key) > 0);
    let highest = gets.map(|(key, load)| load.base + target(key)).max();
    let highest = highest.unwrap_or(0);
    let most = |load: &Load| highest.saturating_sub(load.base);
    if alike().all(|(_, load)| load.held <= most(load)) {
        target(me)
    } else {
        target(me).max(most(mine).min(mine.room()))
    }
}

/// Which grants to hand over: what is above the share, less what is already on its way.
pub(crate) fn give_up(held: &BTreeMap<ShardId, bool>, target: usize) -> Vec<ShardId> {
    let staying: Vec<&ShardId> = held
        .iter()
        .filter(|(_, leaving)| !**leaving)
        .map(|(shard, _)| shard)
        .collect();
    if planted!(GivesNothingUp) {
        return Vec::new();
    }
    let target = if planted!(GivesTooMuchUp) {
        target.saturating_sub(1)
    } else {
        target
    };
    let over = staying.len().saturating_sub(target);
    staying.into_iter().rev().take(over).cloned().collect()
}

#[cfg(test)]
mod tests;
