//! Which rows must exist. The one rule behind all others: **parents before children**. The row of
//! a shard is made only when each of its parents has a row, or never gets one. So "the parent has
//! no row" always means "nothing of the parent is left to read", and never "not yet".

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use kcl_core::model::{Checkpoint, Shard, ShardId};
use kcl_core::planted;

use crate::row::LeaseRow;

/// Where shards start that nobody has read and that come from no shard with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At their oldest record, all of them.
    TrimHorizon,
    /// At a time, and only these: those that were open then or later.
    At {
        time: SystemTime,
        covering: BTreeSet<ShardId>,
    },
}

/// What is known of the shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The rows there are.
    pub(crate) rows: &'a BTreeMap<ShardId, LeaseRow>,
    /// Every shard that the service still has. Listed *after* the rows were read: a finished row
    /// is removed only when its shard is not listed any more, so a shard that is listed now and had
    /// no row then never had one.
    pub(crate) listed: &'a BTreeMap<ShardId, Shard>,
}

/// The rows to make, in waves: a wave may start when the one before is durable.
pub(crate) fn missing(known: Known<'_>, start: &Start) -> Vec<Vec<LeaseRow>> {
    let passed = passed(known);
    let mut decided: BTreeMap<ShardId, Option<Step>> = BTreeMap::new();
    let mut waves: Vec<Vec<LeaseRow>> = Vec::new();
    for shard in parents_first(known.listed) {
        if planted!(SkipsClosedShards) && !shard.open {
            continue;
        }
        let step = step(known, start, &passed, &decided, shard);
        if let Some(Step { wave, checkpoint }) = &step {
            if waves.len() <= *wave {
                waves.resize_with(wave + 1, Vec::new);
            }
            waves[*wave].push(LeaseRow::fresh(shard, checkpoint.clone()));
        }
        decided.insert(shard.id.clone(), step);
    }
    waves
}

/// Whether a shard without a row could start on its own, so that it matters where that is.
pub(crate) fn needs_start(known: Known<'_>) -> bool {
    let passed = passed(known);
    known.listed.values().any(|shard| {
        let fresh = !known.rows.contains_key(&shard.id) && !passed.contains(&shard.id);
        fresh
            && !shard
                .parents
                .iter()
                .any(|parent| known.rows.contains_key(parent))
    })
}

/// Whether the rows to make rest on a parent that is not listed. One odd list must not pass for
/// proof that a shard is gone: the caller lists once more.
pub(crate) fn rests_on_absence(known: Known<'_>, waves: &[Vec<LeaseRow>]) -> bool {
    let here = |id| known.rows.contains_key(id) || known.listed.contains_key(id);
    waves
        .iter()
        .flatten()
        .any(|row| !row.parents.iter().all(here))
}

/// The row of a shard that is to be made.
struct Step {
    wave: usize,
    checkpoint: Checkpoint,
}

fn step(
    known: Known<'_>,
    start: &Start,
    passed: &BTreeSet<ShardId>,
    decided: &BTreeMap<ShardId, Option<Step>>,
    shard: &Shard,
) -> Option<Step> {
    if known.rows.contains_key(&shard.id) || passed.contains(&shard.id) {
        return None;
    }
    let mut parents = Vec::new();
    let mut wave = 0;
    for parent in &shard.parents {
        if let Some(row) = known.rows.get(parent) {
            parents.push(&row.checkpoint);
        } else if let Some(Some(before)) = decided.get(parent) {
            parents.push(&before.checkpoint);
            wave = wave.max(before.wave + 1);
        }
    }
    let checkpoint = match start {
        _ if !parents.is_empty() && !planted!(StartsChildrenAnywhere) => after(parents),
        Start::TrimHorizon => Checkpoint::TrimHorizon,
        Start::At { time, covering } if covering.contains(&shard.id) => {
            Checkpoint::AtTimestamp(*time)
        }
        Start::At { .. } => return None,
    };
    Some(Step { wave, checkpoint })
}

/// Where a shard starts whose parents stand at these checkpoints: at its first record, because nothing lies between it
/// and what was read of them. But while they all wait at one time, nothing was: they may have been closed before that
/// time, and seemed open by an old list, and then the records up to it are not asked for.
pub(crate) fn after<'a>(parents: impl IntoIterator<Item = &'a Checkpoint>) -> Checkpoint {
    let mut parents = parents.into_iter();
    match parents.next() {
        Some(first @ Checkpoint::AtTimestamp(_)) if parents.all(|other| other == first) => {
            first.clone()
        }
        Some(_) | None => Checkpoint::TrimHorizon,
    }
}

/// The ancestors of shards that have a row. One without a row of its own was finished and cleaned
/// up, or lies before the initial position: making it now would read it again.
fn passed(known: Known<'_>) -> BTreeSet<ShardId> {
    let mut passed = BTreeSet::new();
    let mut queue: Vec<&ShardId> = known.rows.values().flat_map(|row| &row.parents).collect();
    while let Some(id) = queue.pop() {
        if passed.insert(id.clone())
            && let Some(shard) = known.listed.get(id)
        {
            queue.extend(&shard.parents);
        }
    }
    passed
}

/// The listed shards, each after its listed parents.
fn parents_first(listed: &BTreeMap<ShardId, Shard>) -> Vec<&Shard> {
    let mut order = Vec::with_capacity(listed.len());
    let mut entered: BTreeSet<&ShardId> = BTreeSet::new();
    for root in listed.values() {
        // A stack instead of recursion: a lineage may be long. Each shard is met twice, on the way
        // up to its parents and on the way back.
        let mut stack = vec![(root, false)];
        while let Some((shard, parents_done)) = stack.pop() {
            if parents_done {
                order.push(shard);
            } else if entered.insert(&shard.id) {
                stack.push((shard, true));
                let parents = shard.parents.iter().filter_map(|parent| listed.get(parent));
                stack.extend(parents.map(|parent| (parent, false)));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests;
