//! Which leases a worker takes for itself where no leader assigns: the rules of the KCL 2.x. Pure.
//!
//! Every worker aims at an equal share of all leases, finished ones included. It takes what nobody
//! holds or what stands still, and only if there is none of that one from the worker that has most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::model::{ShardId, WorkerId};
use tokio::time::Instant;

use super::view::{Seen, View};

/// What this worker goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) failover: Duration,
    pub(crate) leases_max: usize,
    pub(crate) steals_max: usize,
}

/// Why a lease is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// The table gives it to this worker already: a take whose answer was lost, or a former life.
    Ours,
    /// Nobody has it, or its owner lets it stand still.
    Free,
    /// Its owner has most.
    Stolen,
}

/// Leases that stood still for so many failover times are taken whatever the share is, because nobody
/// else seems to.
const VERY_OLD: u32 = 3;

/// What to take now. `held` are the leases that this process holds, whatever an old read says of them.
pub(crate) fn picks(
    view: &View,
    me: &WorkerId,
    held: &BTreeSet<ShardId>,
    limits: Limits,
    now: Instant,
    rng: &mut fastrand::Rng,
) -> Vec<(ShardId, Why)> {
    let mut picks = Vec::new();
    let mut available = Vec::new();
    let mut counts: BTreeMap<&WorkerId, usize> = BTreeMap::from([(me, 0)]);
    for (shard, seen) in view {
        if held.contains(shard) {
            *counts.entry(me).or_default() += 1;
        } else if is_ours(seen, me) {
            picks.push((shard.clone(), Why::Ours));
            *counts.entry(me).or_default() += 1;
        } else if seen.is_available(now, limits.failover) {
            available.push((shard, seen));
        } else if let Some(holder) = seen.holder() {
            *counts.entry(holder).or_default() += 1;
        }
    }
    let target = target(view.len(), counts.len()).min(limits.leases_max);
    let mine = counts.get(me).copied().unwrap_or(0);
    let needed = target.saturating_sub(mine);
    if available.is_empty() {
        let victims = steal(view, &counts, (me, held), (needed, target), limits, rng);
        picks.extend(victims.into_iter().map(|shard| (shard, Why::Stolen)));
        return picks;
    }
    rng.shuffle(&mut available);
    let is_very_old = |seen: &Seen| now.duration_since(seen.since) > limits.failover * VERY_OLD;
    // Those that wait longest are not left for a larger share.
    available.sort_by_key(|(_, seen)| !is_very_old(seen));
    let very_old = available
        .iter()
        .filter(|(_, seen)| is_very_old(seen))
        .count();
    let room = limits.leases_max.saturating_sub(mine);
    let taken = needed.max(very_old).min(room);
    let free = available.into_iter().take(taken);
    picks.extend(free.map(|(shard, _)| (shard.clone(), Why::Free)));
    picks
}

fn is_ours(seen: &Seen, me: &WorkerId) -> bool {
    seen.row.named() == Some(me) && !seen.row.is_handed_over()
}

/// An equal share, rounded up.
fn target(leases: usize, workers: usize) -> usize {
    leases.div_ceil(workers.max(1)).max(1)
}

/// Leases of the worker that has most, if that is more than it should have.
fn steal(
    view: &View,
    counts: &BTreeMap<&WorkerId, usize>,
    (me, held): (&WorkerId, &BTreeSet<ShardId>),
    (needed, target): (usize, usize),
    limits: Limits,
    rng: &mut fastrand::Rng,
) -> Vec<ShardId> {
    let others = counts.iter().filter(|(worker, _)| **worker != me);
    let Some((victim, &load)) = others.max_by_key(|(_, load)| **load) else {
        return Vec::new();
    };
    if needed == 0 || load < target {
        return Vec::new();
    }
    let over = (load - target).min(needed);
    // Who lacks more than one takes one from a worker that just has its share.
    let stolen = over.max(usize::from(needed > 1)).min(limits.steals_max);
    let is_his = |(shard, seen): &(&ShardId, &Seen)| {
        seen.holder() == Some(*victim) && !held.contains(*shard)
    };
    let mut his: Vec<ShardId> = view
        .iter()
        .filter(is_his)
        .map(|(shard, _)| shard.clone())
        .collect();
    rng.shuffle(&mut his);
    his.truncate(stolen);
    his
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::java::row::JavaRow;
    use crate::row::LeaseRow;
    use kcl_core::model::{Checkpoint, HashKeyRange, Shard};

    const FAILOVER: Duration = Duration::from_secs(10);

    /// Leases by their owners, `-` for nobody; with a number of seconds that they stand still.
    fn picked(owners: &str, me: &str, held: &[usize], limits: (usize, usize)) -> Vec<(usize, Why)> {
        let now = Instant::now() + FAILOVER * 10;
        let mut view = View::new();
        for (index, text) in owners.split(' ').enumerate() {
            let (owner, still) = text.split_once(':').unwrap_or((text, "0"));
            let shard = Shard {
                id: ShardId::new(format!("{index:02}")),
                parents: Vec::new(),
                range: HashKeyRange { start: 0, end: 9 },
                open: true,
            };
            let mut lease = LeaseRow::fresh(&shard, Checkpoint::TrimHorizon);
            if owner != "-" {
                lease.owner = Some(JavaRow::owner(&WorkerId::new(owner).unwrap()));
            }
            let row = JavaRow {
                lease,
                checkpoint_owner: None,
            };
            let since = now - Duration::from_secs(still.parse().unwrap());
            view.insert(
                shard.id,
                Seen {
                    row,
                    since,
                    handed_over_since: None,
                },
            );
        }
        let held = held
            .iter()
            .map(|index| ShardId::new(format!("{index:02}")))
            .collect();
        let limits = Limits {
            failover: FAILOVER,
            leases_max: limits.0,
            steals_max: limits.1,
        };
        let me = WorkerId::new(me).unwrap();
        let mut rng = fastrand::Rng::with_seed(7);
        let picks = picks(&view, &me, &held, limits, now, &mut rng);
        let mut picks: Vec<_> = picks
            .into_iter()
            .map(|(shard, why)| (shard.name().parse().unwrap(), why))
            .collect();
        picks.sort_unstable();
        picks
    }

    #[test]
    fn each_table_has_its_picks() {
        const ALL: (usize, usize) = (usize::MAX, 1);
        let whys = |owners, held: &[usize], limits| -> Vec<Why> {
            let picks = picked(owners, "me", held, limits);
            picks.into_iter().map(|(_, why)| why).collect()
        };
        use Why::{Free, Ours, Stolen};
        // Leases, what is held, the limits, what is taken.
        type Case<'a> = (&'a str, &'a [usize], (usize, usize), &'a [Why]);
        let table: [Case<'_>; 17] = [
            ("- - - -", &[], ALL, &[Free; 4]),
            ("a - - -", &[], ALL, &[Free; 2]),
            ("a:11 b:11 a:11", &[], ALL, &[Free; 3]),
            ("a:10 b:9 a:1", &[], ALL, &[Stolen]),
            ("a:11 a:11 b b", &[], ALL, &[Free; 2]),
            // Very old ones are taken above the share, up to the most.
            ("a:31 a:31 a:31 b", &[], ALL, &[Free; 3]),
            ("a:31 a:31 a:31 b", &[], (2, 1), &[Free; 2]),
            ("- - - -", &[], (3, 1), &[Free; 3]),
            // Nothing is free: one from the one who has most.
            ("a a a a", &[], ALL, &[Stolen]),
            ("a a a a", &[], (9, 2), &[Stolen; 2]),
            ("a a me me", &[2, 3], ALL, &[]),
            ("a a a me", &[3], ALL, &[Stolen]),
            // An odd one stays where it is.
            ("a a me", &[2], ALL, &[]),
            // Two are lacking, and nobody has more than his share.
            ("a a b b", &[], ALL, &[Stolen]),
            // What the table gives to this worker is picked up first, and counts.
            ("me me a a", &[], ALL, &[Ours; 2]),
            ("me - a a", &[], ALL, &[Ours, Free]),
            // What an old read says of a lease that is held is not believed.
            ("- a a:11 -", &[0, 2, 3], ALL, &[]),
        ];
        for (owners, held, limits, wanted) in table {
            assert_eq!(whys(owners, held, limits), wanted, "{owners} held {held:?}");
        }
    }

    #[test]
    fn it_is_the_worker_with_most_that_loses_one() {
        for (index, why) in picked("a b b b a b", "me", &[], (9, 1)) {
            assert_eq!(why, Why::Stolen);
            assert!([1, 2, 3, 5].contains(&index));
        }
    }
}
