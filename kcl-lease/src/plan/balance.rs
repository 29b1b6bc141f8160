//! Shares: how many leases each worker should have, and who gets which free one.
//!
//! Shares differ by at most one, but for workers that are full. Workers that already have more keep
//! the larger shares, so a fleet that is settled makes no moves.
//!
//! Here are the leases that the same workers can read. Where not every worker reads every stream there are several
//! such classes, which [`classes`](super::classes) goes through: what workers get of one is their `base` for
//! the next.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::model::ShardId;
use kcl_core::planted;

use crate::row::WorkerKey;

/// What a worker has, and how much it can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Leases of this class that it has.
    pub(crate) held: usize,
    /// Its shares of the classes before.
    pub(crate) base: usize,
    /// All leases that it has, and those that are on their way to it.
    pub(crate) all: usize,
    pub(crate) max: Option<u32>,
}

impl Load {
    /// How many leases of this class it can have.
    fn room(&self) -> usize {
        self.max
            .map_or(usize::MAX, |max| (max as usize).saturating_sub(self.base))
    }

    /// How many more it can take now.
    fn spare(&self) -> usize {
        self.max
            .map_or(usize::MAX, |max| (max as usize).saturating_sub(self.all))
    }

    /// What it gets if everybody is filled up to this level.
    fn at_level(&self, level: usize) -> usize {
        level.saturating_sub(self.base).min(self.room())
    }
}

/// How many leases each worker should have when `total` are to be had: as water fills vessels of different
/// bottoms and heights.
pub(crate) fn targets(
    loads: &BTreeMap<WorkerKey, Load>,
    total: usize,
) -> BTreeMap<WorkerKey, usize> {
    let filled = |level| -> usize { loads.values().map(|load| load.at_level(level)).sum() };
    // The highest level that there is enough for.
    let bottom = loads.values().map(|load| load.base).max().unwrap_or(0);
    let (mut level, mut above) = (0, bottom + total + 1);
    while level + 1 < above {
        let middle = usize::midpoint(level, above);
        if filled(middle) <= total {
            level = middle;
        } else {
            above = middle;
        }
    }
    let mut targets: BTreeMap<WorkerKey, usize> = loads
        .iter()
        .map(|(key, load)| (key.clone(), load.at_level(level)))
        .collect();
    // The ones left over go to those who have most, so that nothing moves for their sake.
    let gets_more = |load: &Load| load.at_level(level + 1) > load.at_level(level);
    let mut open: Vec<_> = loads.iter().filter(|(_, load)| gets_more(load)).collect();
    let has = |load: &Load| load.base + load.held;
    open.sort_by(|(a, x), (b, y)| has(y).cmp(&has(x)).then_with(|| a.cmp(b)));
    for (key, load) in open.into_iter().take(total - filled(level)) {
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
    let mut line: BTreeSet<(usize, &WorkerKey, usize)> = loads
        .iter()
        .map(|(key, load)| (load.base + load.held, key, wants(key, load)))
        .filter(|(.., wants)| *wants > 0)
        .collect();
    let mut offers = BTreeMap::new();
    for shard in free {
        let Some((has, key, wants)) = line.pop_first() else {
            break;
        };
        offers.insert((*shard).clone(), key.clone());
        if wants > 1 {
            line.insert((has + 1, key, wants - 1));
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
    let target = targets.get(me).copied().unwrap_or(0);
    let level =
        |key: &WorkerKey, target: usize| loads.get(key).map_or(0, |load| load.base) + target;
    let gets = targets.iter().filter(|(_, target)| **target > 0);
    let highest = gets
        .map(|(key, target)| level(key, *target))
        .max()
        .unwrap_or(0);
    let settled = loads
        .values()
        .all(|load| load.held <= highest.saturating_sub(load.base));
    let mine = loads.get(me).copied().unwrap_or_default();
    if settled {
        target
    } else {
        target.max(mine.at_level(highest))
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
