//! Which leases one worker gives to another: the fewest that bring both to where they should be.

use kcl_core::model::ShardId;

use super::gap::{Gap, WELL_WITHIN};
use super::{Fleet, MOVES_AT_ONCE, Member, Own, Sight, descending};
use crate::plan::expiry::Hold;
use crate::row::WorkerKey;

/// What fits between two workers.
#[derive(Debug, PartialEq)]
pub(super) enum Choice {
    Nothing,
    Some(Vec<ShardId>),
    Swap(ShardId, ShardId),
}

impl Choice {
    /// The fewest leases that bring the two to where they should be: the largest that fit; else one that overshoots a
    /// little; else two for each other; else one that is too large, if it leaves the worse of the two better off.
    pub(super) fn of(
        fleet: &Fleet<'_>,
        sight: Sight<'_>,
        own: &Own,
        (giver, taker): (&Member<'_>, &Member<'_>),
    ) -> Self {
        let gap = Gap::between(giver, taker, own.threshold * fleet.level);
        let mine = movable(fleet, sight, own, giver);
        let at_most = giver.spare.min(taker.room).min(MOVES_AT_ONCE);
        let (mut fitting, mut sum) = (Vec::new(), 0.0);
        for (shard, load) in &mine {
            let is_enough = gap.is_closed_by(sum, WELL_WITHIN) || fitting.len() == at_most;
            if !is_enough && sum + load <= gap.need() {
                fitting.push((*shard).clone());
                sum += load;
            }
        }
        if sum >= gap.least() {
            return Self::Some(fitting);
        }
        let off = |load: f64| (load - gap.even()).abs();
        let best = |does: fn(&Gap, f64) -> bool| {
            let oversize = mine.iter().filter(|(_, load)| {
                let is_dust = *load < gap.least();
                at_most > 0 && !is_dust && does(&gap, *load)
            });
            let best = oversize.min_by(|(_, x), (_, y)| off(*x).total_cmp(&off(*y)));
            best.map(|(shard, _)| (*shard).clone())
        };
        if let Some(shard) = best(Gap::is_well_closed_by) {
            return Self::Some(vec![shard]);
        }
        // Where each has but one, nothing is won by it.
        if giver.spare > 0
            && let Some((shard, back)) = swap(sight, taker.key, &mine, gap.worth()..=gap.even())
        {
            return Self::Swap(shard, back);
        }
        match best(Gap::is_far_better_by) {
            Some(shard) => Self::Some(vec![shard]),
            None => Self::Nothing,
        }
    }
}

/// The leases that this worker could give away, the largest first.
#[expect(
    clippy::cast_precision_loss,
    reason = "bytes per second far below 2^52"
)]
fn movable<'a>(
    fleet: &Fleet<'_>,
    sight: Sight<'_>,
    own: &'a Own,
    giver: &Member<'_>,
) -> Vec<(&'a ShardId, f64)> {
    let mut mine: Vec<(&ShardId, f64)> = Vec::new();
    for (shard, load) in &own.shards {
        let stays = sight.me.held.get(shard) == Some(&false) && !own.resting.contains(shard);
        // The one that alone is more than a fair load cannot be had smaller.
        let is_hot = *load as f64 >= giver.fair && giver.fair > fleet.level * giver.capacity;
        if stays && *load > 0 && !is_hot {
            mine.push((shard, *load as f64));
        }
    }
    mine.sort_by(|(a, x), (b, y)| descending(*x, *y).then_with(|| a.cmp(b)));
    mine
}

/// Two leases whose difference is within these bounds, and as large as can be.
#[expect(
    clippy::cast_precision_loss,
    reason = "bytes per second far below 2^52"
)]
fn swap(
    sight: Sight<'_>,
    taker: &WorkerKey,
    mine: &[(&ShardId, f64)],
    within: std::ops::RangeInclusive<f64>,
) -> Option<(ShardId, ShardId)> {
    let row = |shard: &ShardId| sight.view.leases.get(shard).map(|seen| &seen.row);
    let mut theirs: Vec<(&ShardId, f64)> = Vec::new();
    for (shard, hold) in sight.holds {
        let Some(row) = row(shard).filter(|_| *hold == Hold::By(taker.clone())) else {
            continue;
        };
        if let (Some(load), None) = (row.load, &row.moved) {
            theirs.push((shard, load as f64));
        }
    }
    theirs.sort_by(|(a, x), (b, y)| descending(*y, *x).then_with(|| a.cmp(b)));
    let mut best: Option<(f64, &ShardId, &ShardId)> = None;
    for (shard, load) in mine {
        // The smallest of theirs that leaves a difference that is not too large.
        let place = theirs.partition_point(|(_, other)| load - other > *within.end());
        let Some((back, other)) = theirs.get(place) else {
            continue;
        };
        let gain = load - other;
        if within.contains(&gain) && best.is_none_or(|(before, ..)| gain > before) {
            best = Some((gain, shard, back));
        }
    }
    best.map(|(_, shard, back)| (shard.clone(), back.clone()))
}
