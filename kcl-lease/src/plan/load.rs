//! Balance by what is read: which leases a worker gives to which other, when counts are even already.
//!
//! Every worker sees the same loads in the rows of the workers, so all agree who gives to whom: the one that reads
//! most for its capacity to the one that reads least, the second to the second, and so on. What it gives, each
//! giver chooses among its own leases.
//!
//! * here: the fleet, who gives to whom, and what this worker would give.
//! * `choice`: which leases fit between two workers.
//! * `gap`: the arithmetic of two workers.
//!
//! INVARIANT: each step moves load from a worker that is above its fair load to one that is below, at least a
//! quarter of the threshold and never so much that the two change places. The sum of squares of what each is off
//! its fair load thereby falls by a margin, so steps come to an end while loads stay as they are.

mod choice;
mod gap;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::event::HandOverReason;
use kcl_core::model::ShardId;
use tokio::time::Instant;

use self::choice::Choice;
use super::Me;
use super::balance::Load;
use super::expiry::{Hold, Life};
use super::moved::{Homes, Moving};
use super::view::View;
use crate::row::{Capacity, InReturn, Moved, WorkerKey};

/// Below so many bytes per second and capacity there is nothing worth moving.
const LOAD_MIN: f64 = 16.0 * 1024.0;
/// Leases that one worker gives away at a time.
const MOVES_AT_ONCE: usize = 8;
/// A worker is asked to look a little before it is sure to have something to do.
const MARK_EARLY: f64 = 0.95;

/// What this worker knows of its own load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// Bytes per second, of all its shards.
    pub(crate) total: u64,
    /// Those of each shard that was measured for long enough.
    pub(crate) shards: BTreeMap<ShardId, u64>,
    /// Shards that stay for now, because they moved not long ago.
    pub(crate) resting: BTreeSet<ShardId>,
    /// How far from its fair load a worker may be, as a part of it.
    pub(crate) threshold: f64,
}

impl Own {
    /// What it reads for its capacity.
    pub(crate) fn per_capacity(&self, capacity: Capacity) -> u64 {
        let total = u128::from(self.total) * 1000 / u128::from(capacity.thousandths());
        u64::try_from(total).unwrap_or(u64::MAX)
    }
}

/// A wish that must last before it is followed.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// Whether there was a wish at each look for so long.
    pub(crate) fn is_over(&mut self, wishes: bool, now: Instant, patience: Duration) -> bool {
        if !wishes {
            self.0 = None;
            return false;
        }
        let since = *self.0.get_or_insert(now);
        let is_over = now.duration_since(since) >= patience;
        if is_over {
            self.0 = None;
        }
        is_over
    }
}

/// A worker that takes part.
#[derive(Clone, Debug)]
struct Member<'a> {
    key: &'a WorkerKey,
    capacity: f64,
    load: f64,
    /// What it would read if all read the same for their capacity; its largest shard, if that alone is more.
    fair: f64,
    /// Leases it holds, may give away, and take.
    held: usize,
    spare: usize,
    room: usize,
}

impl Member<'_> {
    /// How far it is off, for its capacity.
    fn off(&self) -> f64 {
        (self.load - self.fair) / self.capacity
    }
}

/// All workers with their loads, those that are furthest above their fair load first.
#[derive(Clone, Debug)]
pub(crate) struct Fleet<'a> {
    members: Vec<Member<'a>>,
    /// The fair load for a capacity of one.
    level: f64,
}

/// What `Fleet::see` looks at.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) view: &'a View,
    pub(crate) me: &'a Me,
    pub(crate) lives: &'a BTreeMap<WorkerKey, Life>,
    pub(crate) holds: &'a BTreeMap<ShardId, Hold>,
    pub(crate) loads: &'a BTreeMap<WorkerKey, Load>,
    pub(crate) homes: &'a Homes,
}

impl<'a> Fleet<'a> {
    /// Nothing while the load of one of them is not known, while one comes or goes, or where hardly anything is read.
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes per second far below 2^52"
    )]
    pub(crate) fn see(sight: Sight<'a>, own: &Own) -> Option<Self> {
        let largest = largest(sight, own);
        let mut members = Vec::new();
        for (key, life) in sight.lives {
            let Life::Sharing {
                capacity: Some(capacity),
                ..
            } = life
            else {
                return None;
            };
            let load = if *key == sight.me.key {
                own.total
            } else {
                sight.view.workers.get(key)?.row.load?
            };
            let counts = sight.loads.get(key)?;
            let share = sight.homes.target(key);
            // Bounded: nobody gives its last lease, or takes more than twice its share by count.
            let most = (2 * share).max(share + 1).min(counts.room());
            members.push(Member {
                key,
                capacity: Capacity::factor(*capacity),
                load: load as f64,
                fair: 0.0,
                held: counts.held,
                spare: counts.held.saturating_sub(1),
                room: most.saturating_sub(counts.held),
            });
        }
        let level = level(&mut members, &largest);
        let total: f64 = members
            .iter()
            .map(|member| member.load / member.capacity)
            .sum();
        if total < LOAD_MIN * members.len() as f64 {
            return None;
        }
        // In steps, so that noise does not make it another's turn at each look while a wish has to last.
        let step = own.threshold * level / 2.0;
        let place = |member: &Member<'_>| (member.off() / step).round();
        members.sort_by(|a, b| descending(place(a), place(b)).then_with(|| a.key.cmp(b.key)));
        Some(Self { members, level })
    }

    /// What a worker should read, in bytes per second.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and is not negative"
    )]
    pub(crate) fn fair(&self, key: &WorkerKey) -> Option<u64> {
        let member = self.members.iter().find(|member| member.key == key)?;
        Some(member.fair.round() as u64)
    }

    /// Who gives to whom: who is above its fair load by more than the threshold, or, if nobody is, who is above it at
    /// all and meets one that is below it by more. While somebody is above by that much, it fills up the others, and
    /// what those gave meanwhile would come back.
    fn pairs(&self, threshold: f64) -> impl Iterator<Item = (&Member<'a>, &Member<'a>)> {
        let bound = threshold * self.level;
        let half = self.members.len() / 2;
        let is_over = |member: &Member<'_>| member.off() > bound;
        let least = if self.members.iter().any(is_over) {
            bound / 2.0
        } else {
            0.0
        };
        let pairs = self
            .members
            .iter()
            .zip(self.members.iter().rev())
            .take(half);
        pairs.filter(move |(giver, taker)| {
            let is_off = giver.off() > bound || taker.off() < -bound;
            is_off && giver.off() > least && taker.off() < 0.0
        })
    }

    /// From which load for its capacity on a worker should look at the table. Nothing while all is even.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and is not negative"
    )]
    pub(crate) fn mark(&self, threshold: f64) -> Option<u64> {
        let givers = self
            .pairs(threshold)
            .map(|(giver, _)| giver.load / giver.capacity);
        let least = givers.min_by(|a, b| descending(*b, *a))?;
        Some((least * MARK_EARLY) as u64)
    }

    /// What this worker would give away now.
    pub(crate) fn wishes(&self, sight: Sight<'_>, own: &Own) -> Vec<Moving> {
        let me = &sight.me.key;
        let pairs: Vec<_> = self.pairs(own.threshold).collect();
        let Some(rank) = pairs.iter().position(|(giver, _)| giver.key == me) else {
            return Vec::new();
        };
        let giver = pairs[rank].0;
        // Its own partner, and if nothing fits there one that is nobody's: each of those goes to one giver alone.
        let is_free = |member: &&Member<'_>| {
            member.off() < 0.0 && !pairs.iter().any(|(_, taker)| taker.key == member.key)
        };
        let spares = self.members.iter().rev().filter(is_free);
        let spares = spares.skip(rank).step_by(pairs.len());
        let mut chosen = std::iter::once(pairs[rank].1).chain(spares).map(|taker| {
            let choice = Choice::of(self, sight, own, (giver, taker));
            (taker, choice)
        });
        let Some((taker, choice)) = chosen.find(|(_, choice)| *choice != Choice::Nothing) else {
            return Vec::new();
        };
        let moved = |shard: &ShardId, in_return: Option<&ShardId>| {
            // What goes on from hand to hand still counts as the first's.
            let first = sight.homes.home(shard, me).clone();
            // Of two for each other, it is the one that comes back that counts as the first's.
            match in_return {
                None => Moved {
                    from: first,
                    to: taker.key.clone(),
                    in_return: None,
                },
                Some(back) => Moved {
                    from: me.clone(),
                    to: taker.key.clone(),
                    in_return: Some(InReturn {
                        shard: back.clone(),
                        from: first,
                    }),
                },
            }
        };
        let moving = |shard: &ShardId, in_return: Option<ShardId>| Moving {
            shard: shard.clone(),
            moved: moved(shard, in_return.as_ref()),
            why: HandOverReason::Load {
                load: own.shards.get(shard).copied().unwrap_or(0),
                to: taker.key.worker.clone(),
                in_return,
            },
        };
        match choice {
            Choice::Nothing => Vec::new(),
            Choice::Some(shards) => shards.iter().map(|shard| moving(shard, None)).collect(),
            Choice::Swap(shard, back) => vec![moving(&shard, Some(back))],
        }
    }
}

/// The largest lease of each worker, as far as it is known.
#[expect(
    clippy::cast_precision_loss,
    reason = "bytes per second far below 2^52"
)]
fn largest<'a>(sight: Sight<'a>, own: &Own) -> BTreeMap<&'a WorkerKey, f64> {
    let mut largest: BTreeMap<&WorkerKey, f64> = BTreeMap::new();
    for (shard, hold) in sight.holds {
        let Hold::By(key) = hold else { continue };
        let load = if *key == sight.me.key {
            own.shards.get(shard).copied()
        } else {
            sight.view.leases.get(shard).and_then(|seen| seen.row.load)
        };
        let entry = largest.entry(key).or_default();
        *entry = entry.max(load.unwrap_or(0) as f64);
    }
    largest
}

/// Sets the fair load of each. Who has a shard that alone is more than that should have nothing else, and the rest
/// is shared by the others. Answers the fair load for a capacity of one.
fn level(members: &mut [Member<'_>], largest: &BTreeMap<&WorkerKey, f64>) -> f64 {
    let mut alone: BTreeSet<&WorkerKey> = BTreeSet::new();
    loop {
        let (mut load, mut capacity) = (0.0, 0.0);
        for member in members.iter() {
            load += member.load;
            if alone.contains(member.key) {
                load -= largest_of(member, largest);
            } else {
                capacity += member.capacity;
            }
        }
        let level = if capacity > 0.0 { load / capacity } else { 0.0 };
        let before = alone.len();
        for member in members.iter() {
            if largest_of(member, largest) > level * member.capacity && before + 1 < members.len() {
                alone.insert(member.key);
            }
        }
        if alone.len() == before || alone.len() >= members.len() {
            for member in members.iter_mut() {
                member.fair = if alone.contains(member.key) {
                    largest_of(member, largest)
                } else {
                    level * member.capacity
                };
            }
            return level;
        }
    }
}

/// Its largest lease. What the row of a lease says may be old, so it is at most what the worker reads in all; and that
/// itself if it has no other: the difference between two readings would make it a giver or a taker now and then, and
/// whoever is to deal with it another's partner, so that no wish of theirs lasts.
fn largest_of(member: &Member<'_>, largest: &BTreeMap<&WorkerKey, f64>) -> f64 {
    if member.held == 1 {
        return member.load;
    }
    largest
        .get(member.key)
        .copied()
        .unwrap_or(0.0)
        .min(member.load)
}

/// The larger first. No load is not a number.
fn descending(a: f64, b: f64) -> Ordering {
    b.total_cmp(&a)
}

#[cfg(test)]
mod tests;
