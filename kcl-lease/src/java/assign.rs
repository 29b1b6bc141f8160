//! Who should have which lease where this worker leads: the KCL's rules for assignment by count. Pure.
//!
//! First what nobody holds or what stands still, then from the workers that have most to those that have
//! least, by a hand-over where the lease is alive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::model::WorkerId;
use tokio::time::Instant;

use super::row::JavaRow;
use super::view::{Seen, View};

/// What a leader goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) failover: Duration,
    pub(crate) leases_max: usize,
    /// How long a hand-over may take.
    pub(crate) handover_max: Duration,
}

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The lease goes to this worker at once.
    Assign(JavaRow, WorkerId),
    /// Its holder is asked to hand it over to this worker.
    HandOver(JavaRow, WorkerId),
}

/// What to do now, given who lives.
pub(crate) fn plan(
    view: &View,
    living: &BTreeSet<WorkerId>,
    rules: Rules,
    now: Instant,
) -> Vec<Step> {
    let is_available = |seen: &&Seen| seen.is_available(now, rules.failover);
    // Who lets a lease stand still is dead, or soon will be, whatever it told last.
    let still: BTreeSet<&WorkerId> = view
        .values()
        .filter(is_available)
        .filter_map(Seen::holder)
        .collect();
    let mut counts: BTreeMap<&WorkerId, usize> = living
        .iter()
        .filter(|worker| !still.contains(worker))
        .map(|worker| (worker, 0))
        .collect();
    for seen in view.values().filter(|seen| !is_available(seen)) {
        // During a hand-over the lease counts for the one who is to have it, or it would be moved twice.
        if let Some(count) = seen.row.named().and_then(|named| counts.get_mut(named)) {
            *count += 1;
        }
    }
    if counts.is_empty() {
        return Vec::new();
    }
    let target = view.len().div_ceil(counts.len()).max(1);
    let target = target.min(rules.leases_max);
    let mut steps = Vec::new();
    let mut free: Vec<&Seen> = view.values().filter(is_available).collect();
    // Who waits longest comes first, and of those nobody holds all.
    free.sort_by_key(|seen| (seen.holder().is_some(), seen.since));
    for seen in free {
        if let Some(to) = least(&counts, target) {
            steps.push(Step::Assign(seen.row.clone(), to.clone()));
            counts.entry(to).and_modify(|count| *count += 1);
        }
    }
    for seen in view.values().filter(|seen| !is_available(seen)) {
        if is_overdue(seen, rules, now)
            && let Some(named) = seen.row.named().filter(|named| counts.contains_key(named))
        {
            steps.push(Step::Assign(seen.row.clone(), named.clone()));
        }
    }
    steps.extend(moves(view, &mut counts, target, rules, now));
    steps
}

/// Who has least, if that is below the target. Of those who have as little, the first by name.
fn least<'a>(counts: &BTreeMap<&'a WorkerId, usize>, target: usize) -> Option<&'a WorkerId> {
    let least = counts.iter().min_by_key(|(_, count)| **count);
    least
        .filter(|(_, count)| **count < target)
        .map(|(worker, _)| *worker)
}

/// Leases to move from those above the target to those below it.
fn moves<'a>(
    view: &'a View,
    counts: &mut BTreeMap<&'a WorkerId, usize>,
    target: usize,
    rules: Rules,
    now: Instant,
) -> Vec<Step> {
    let mut movable: BTreeMap<&WorkerId, Vec<&JavaRow>> = BTreeMap::new();
    for seen in view.values() {
        let is_alive = !seen.is_available(now, rules.failover);
        if let Some(holder) = seen
            .holder()
            .filter(|_| is_alive && !seen.row.is_handed_over())
        {
            movable.entry(holder).or_default().push(&seen.row);
        }
    }
    // What is being read moves rather than what is finished.
    for rows in movable.values_mut() {
        rows.sort_by_key(|row| !row.is_ended());
    }
    let mut steps = Vec::new();
    while let Some(to) = least(counts, target) {
        let above = counts
            .iter()
            .filter(|(worker, count)| {
                **count > target && movable.get(*worker).is_some_and(|rows| !rows.is_empty())
            })
            .max_by_key(|(_, count)| **count);
        let Some((from, _)) = above else {
            break;
        };
        let from = *from;
        let Some(row) = movable.get_mut(from).and_then(Vec::pop) else {
            break;
        };
        counts.entry(from).and_modify(|count| *count -= 1);
        counts.entry(to).and_modify(|count| *count += 1);
        steps.push(if row.is_ended() {
            Step::Assign(row.clone(), to.clone())
        } else {
            Step::HandOver(row.clone(), to.clone())
        });
    }
    steps
}

/// Whether the holder of a lease had all the time there is to hand it over.
fn is_overdue(seen: &Seen, rules: Rules, now: Instant) -> bool {
    seen.handed_over_since
        .is_some_and(|since| now.duration_since(since) >= rules.handover_max + rules.failover)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::LeaseRow;
    use kcl_core::model::{Checkpoint, HashKeyRange, Shard, ShardId};

    const FAILOVER: Duration = Duration::from_secs(10);

    fn worker(name: &str) -> WorkerId {
        WorkerId::new(name).unwrap()
    }

    /// `owner`, `-` for nobody, `owner<holder` during a hand-over, `owner!` for a finished shard; with the
    /// seconds that it stands as it is.
    fn view(text: &str, now: Instant) -> View {
        let lease = |(index, text): (usize, &str)| {
            let (text, still) = text.split_once(':').unwrap_or((text, "0"));
            let (owner, holder) = text.split_once('<').unwrap_or((text, ""));
            let (owner, is_ended) = owner
                .strip_suffix('!')
                .map_or((owner, false), |it| (it, true));
            let shard = Shard {
                id: ShardId::new(index.to_string()),
                parents: Vec::new(),
                range: HashKeyRange { start: 0, end: 9 },
                open: true,
            };
            let checkpoint = if is_ended {
                Checkpoint::ShardEnd
            } else {
                Checkpoint::TrimHorizon
            };
            let mut lease = LeaseRow::fresh(&shard, checkpoint);
            lease.owner = (owner != "-").then(|| JavaRow::owner(&worker(owner)));
            let checkpoint_owner = WorkerId::new(holder).ok();
            let since = now - Duration::from_secs(still.parse().unwrap());
            // In these tables the holder of a lease that is handed over goes on renewing it.
            let handed_over_since = checkpoint_owner.is_some().then_some(since);
            let seen = Seen {
                since: if checkpoint_owner.is_some() {
                    now
                } else {
                    since
                },
                row: JavaRow {
                    lease,
                    checkpoint_owner,
                },
                handed_over_since,
            };
            (shard.id, seen)
        };
        text.split(' ').enumerate().map(lease).collect()
    }

    fn told(steps: &[Step]) -> Vec<String> {
        let told = |step: &Step| match step {
            Step::Assign(row, to) => format!("{}={to}", row.lease.shard),
            Step::HandOver(row, to) => format!("{}>{to}", row.lease.shard),
        };
        steps.iter().map(told).collect()
    }

    #[test]
    fn each_table_has_its_steps() {
        // Leases, who lives, what to do.
        let table = [
            ("- - -", "a b", "0=a 1=b 2=a"),
            ("a - -", "a b", "1=b 2=a"),
            ("- - -", "", ""),
            // Expired ones go to others than the one who lets them stand still.
            ("a:11 a:11 b", "a b", "0=b 1=b"),
            ("a:10 b", "a b", ""),
            ("a:11 - b", "b", "1=b 0=b"),
            // Balance, by hand-over.
            ("a a a a", "a b", "3>b 2>b"),
            ("a a a", "a b", "2>b"),
            ("a a b", "a b", ""),
            // A finished one moves last, and at once.
            ("a a! a! a", "a b", "3>b 0>b"),
            ("a! a! a! a!", "a b", "3=b 2=b"),
            // What is on its way counts for the next owner, and is not moved again.
            ("a b<a a b<a", "a b", ""),
            ("a b<a a a", "a b", "3>b"),
            // A hand-over that takes too long is ended.
            ("a b<a:39 a b<a:40", "a b", "3=b"),
            // A worker that is gone but whose leases still move is left alone until they do not.
            ("a a c c", "a b", ""),
        ];
        let now = Instant::now() + FAILOVER * 10;
        let rules = Rules {
            failover: FAILOVER,
            leases_max: usize::MAX,
            handover_max: Duration::from_secs(30),
        };
        for (leases, living, wanted) in table {
            let living = living.split_whitespace().map(worker).collect();
            let steps = plan(&view(leases, now), &living, rules, now);
            assert_eq!(told(&steps).join(" "), wanted, "{leases} with {living:?}");
        }
    }

    #[test]
    fn nobody_gets_more_than_the_most() {
        let now = Instant::now() + FAILOVER * 10;
        let rules = Rules {
            failover: FAILOVER,
            leases_max: 2,
            handover_max: FAILOVER,
        };
        let living = BTreeSet::from([worker("a")]);
        let steps = plan(&view("- - - -", now), &living, rules, now);
        assert_eq!(told(&steps).join(" "), "0=a 1=a");
    }
}
