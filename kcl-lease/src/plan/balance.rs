//! Shares: how many leases each worker should have, and who gets which free one.
//!
//! Shares differ by at most one, but for workers that are full. Workers that already have more keep
//! the larger shares, so a fleet that is settled makes no moves.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::model::ShardId;
use kcl_core::planted;

use crate::row::WorkerKey;

/// What a worker has, and how much it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) held: usize,
    pub(crate) max: Option<u32>,
}

impl Load {
    fn room(&self) -> usize {
        self.max.map_or(usize::MAX, |max| max as usize)
    }
}

/// How many leases each worker should have when `total` are to be had.
pub(crate) fn targets(
    loads: &BTreeMap<WorkerKey, Load>,
    total: usize,
) -> BTreeMap<WorkerKey, usize> {
    let mut targets = BTreeMap::new();
    let mut left = total;
    let mut open: Vec<(&WorkerKey, &Load)> = loads.iter().collect();
    // Who cannot have an even share is filled up, and the rest is shared by the others.
    while !open.is_empty() {
        let share = left / open.len();
        let (full, rest): (Vec<_>, Vec<_>) =
            open.iter().partition(|(_, load)| load.room() <= share);
        if full.is_empty() {
            break;
        }
        for (key, load) in full {
            targets.insert(key.clone(), load.room());
            left -= load.room();
        }
        open = rest;
    }
    // The ones left over go to those who have most, so that nothing moves for their sake.
    open.sort_by(|(a, x), (b, y)| y.held.cmp(&x.held).then_with(|| a.cmp(b)));
    let share = left.checked_div(open.len()).unwrap_or(0);
    let over = left.checked_rem(open.len()).unwrap_or(0);
    for (place, (key, _)) in open.into_iter().enumerate() {
        targets.insert(key.clone(), share + usize::from(place < over));
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
        .map(|(key, load)| (load.held, key))
        .collect();
    let mut offers = BTreeMap::new();
    for shard in free {
        let Some((held, key)) = line.pop_first() else {
            break;
        };
        offers.insert((*shard).clone(), key.clone());
        if held + 1 < target(key) {
            line.insert((held + 1, key));
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
    let largest = targets.values().max().copied().unwrap_or(0);
    let settled = loads.values().all(|load| load.held <= largest);
    let room = loads.get(me).map_or(0, Load::room);
    if settled {
        target
    } else {
        target.max(largest.min(room))
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
