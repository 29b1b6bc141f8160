//! Shares: how many leases each worker should have, and who gets which free one.
//!
//! Shares go by capacity, and differ by at most one where that is equal, but for workers that are full. Workers
//! that already have more keep the larger shares, so a fleet that is settled makes no moves.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::model::ShardId;
use kcl_core::planted;

use crate::row::{Capacity, WorkerKey};

/// What a worker has, and how much it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) held: usize,
    pub(crate) max: Option<u32>,
    pub(crate) capacity: Capacity,
}

impl Load {
    pub(crate) fn room(&self) -> usize {
        self.max.map_or(usize::MAX, |max| max as usize)
    }

    fn weight(&self) -> usize {
        self.capacity.thousandths() as usize
    }

    /// What it has for its capacity. Of two with the same capacity, more is more.
    pub(crate) fn per_weight(&self) -> usize {
        self.held * PER_WEIGHT / self.weight()
    }
}

/// So fine that capacities of the largest to the smallest still tell one lease from none.
const PER_WEIGHT: usize = 1_000_000;

/// What each worker should have at least when `total` are to be had; it depends on nothing that moves. Each may have
/// one more, but for who is full.
pub(crate) fn shares(
    loads: &BTreeMap<WorkerKey, Load>,
    total: usize,
) -> BTreeMap<WorkerKey, usize> {
    let mut shares = BTreeMap::new();
    let mut left = total;
    let mut open: Vec<(&WorkerKey, &Load)> = loads.iter().collect();
    // Who cannot have an even share is filled up, and the rest is shared by the others.
    loop {
        let all: usize = open.iter().map(|(_, load)| load.weight()).sum();
        let even = |load: &Load| (left * load.weight()).checked_div(all).unwrap_or(0);
        let (full, rest): (Vec<_>, Vec<_>) =
            open.iter().partition(|(_, load)| load.room() <= even(load));
        if full.is_empty() {
            let even = open.iter().map(|(key, load)| ((*key).clone(), even(load)));
            shares.extend(even);
            return shares;
        }
        for (key, load) in full {
            shares.insert(key.clone(), load.room());
            left -= load.room();
        }
        open = rest;
    }
}

/// How many leases each worker should have when `total` are to be had.
pub(crate) fn targets(
    loads: &BTreeMap<WorkerKey, Load>,
    total: usize,
) -> BTreeMap<WorkerKey, usize> {
    let mut targets = shares(loads, total);
    let over = total.saturating_sub(targets.values().sum());
    // The ones left over go to those who have most, so that nothing moves for their sake.
    let with_room = loads.iter().filter_map(|(key, load)| {
        let share = targets[key];
        let above = load.held.cast_signed() - share.cast_signed();
        (share < load.room()).then_some((std::cmp::Reverse(above), key))
    });
    let mut with_room: Vec<_> = with_room.collect();
    with_room.sort();
    for (_, key) in with_room.into_iter().take(over) {
        targets.entry(key.clone()).and_modify(|share| *share += 1);
    }
    targets
}

/// Deals free leases, each to the worker that has least and is below its share.
pub(crate) fn deal(
    free: &BTreeSet<&ShardId>,
    loads: &BTreeMap<WorkerKey, Load>,
    targets: &BTreeMap<WorkerKey, usize>,
) -> BTreeMap<ShardId, WorkerKey> {
    let target = |key: &WorkerKey| targets.get(key).copied().unwrap_or(0);
    let mut line: BTreeSet<(usize, &WorkerKey)> = loads
        .iter()
        .filter(|(key, load)| load.held < target(key))
        .map(|(key, load)| (load.per_weight(), key))
        .collect();
    let mut held: BTreeMap<&WorkerKey, Load> =
        loads.iter().map(|(key, load)| (key, *load)).collect();
    let mut offers = BTreeMap::new();
    for shard in free {
        let Some((_, key)) = line.pop_first() else {
            break;
        };
        offers.insert((*shard).clone(), key.clone());
        if let Some(load) = held.get_mut(key) {
            load.held += 1;
            if load.held < target(key) {
                line.insert((load.per_weight(), key));
            }
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
    let Some(mine) = loads.get(me) else {
        return target;
    };
    // Those of its capacity: what a larger worker may have is no measure for a smaller one.
    let alike = || {
        loads
            .iter()
            .filter(|(_, load)| load.capacity == mine.capacity)
    };
    let largest = alike().filter_map(|(key, _)| targets.get(key)).max();
    let largest = largest.copied().unwrap_or(0);
    let settled = alike().all(|(_, load)| load.held <= largest);
    if settled {
        target
    } else {
        target.max(largest.min(mine.room()))
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::row::Incarnation;
    use kcl_core::model::WorkerId;

    fn loads(workers: &[(usize, f64, Option<u32>)]) -> BTreeMap<WorkerKey, Load> {
        let named = workers.iter().enumerate();
        named
            .map(|(n, (held, capacity, max))| {
                let key = WorkerKey {
                    worker: WorkerId::new(format!("w{n:02}")).unwrap(),
                    incarnation: Incarnation::parse("1").unwrap(),
                };
                let load = Load {
                    held: *held,
                    max: *max,
                    capacity: Capacity::new(*capacity),
                };
                (key, load)
            })
            .collect()
    }

    #[test]
    fn who_can_do_twice_as_much_gets_twice_as_much() {
        let loads = loads(&[(0, 2.0, None), (0, 1.0, None), (0, 1.0, None)]);
        let shares: Vec<_> = targets(&loads, 8).into_values().collect();
        assert_eq!(shares, [4, 2, 2]);
        let free: Vec<ShardId> = (0..8).map(|n| ShardId::new(format!("s-{n}"))).collect();
        let offers = deal(&free.iter().collect(), &loads, &targets(&loads, 8));
        for (key, share) in targets(&loads, 8) {
            assert_eq!(offers.values().filter(|to| **to == key).count(), share);
        }
    }

    proptest! {
        #[test]
        fn shares_go_by_capacity_and_add_up(
            workers in prop::collection::vec((0_usize..50, 0.1_f64..8.0, prop::option::of(1_u32..40)), 1..12),
            total in 0_usize..300,
        ) {
            let loads = loads(&workers);
            let targets = targets(&loads, total);
            let room: usize = loads.values().map(|load| load.room().min(total)).sum();
            prop_assert_eq!(targets.values().sum::<usize>(), total.min(room));
            // Who has room has as much for its capacity as anyone, give or take one lease.
            for (key, load) in &loads {
                prop_assert!(targets[key] <= load.room());
                if targets[key] < load.room() {
                    for (other, theirs) in &loads {
                        let one_less = targets[other].saturating_sub(1) as f64 / theirs.capacity.factor();
                        let one_more = (targets[key] + 1) as f64 / load.capacity.factor();
                        prop_assert!(one_less <= one_more + 1e-9, "{:?} {:?}", loads, targets);
                    }
                }
            }
        }
    }
}
