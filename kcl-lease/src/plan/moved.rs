//! Leases that were given to a worker of the holder's choice, and what that does to counts.
//!
//! Such a lease says from whom it went to whom. While both share, it counts as the first's, wherever it is: on its
//! way, or with the second. So counts stay as they are while leases move for another reason, and nothing is evened
//! out that was made uneven on purpose. It counts as its holder's like any other as soon as one of the two is gone, or
//! the first has more than its share with it.

use std::collections::BTreeMap;

use kcl_core::event::HandOverReason;
use kcl_core::model::ShardId;

use super::balance::{self, Load};
use super::expiry::Hold;
use super::view::View;
use crate::row::{Moved, WorkerKey};

/// A lease to give to a certain worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moving {
    pub(crate) shard: ShardId,
    pub(crate) moved: Moved,
    /// For whoever watches.
    pub(crate) why: HandOverReason,
}

/// What counts as whose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Homes {
    /// The leases that count as another's than their holder's: whose.
    away: BTreeMap<ShardId, WorkerKey>,
    /// What each worker has by count, and can have.
    pub(crate) counts: BTreeMap<WorkerKey, Load>,
    /// How many leases each should have by count.
    pub(crate) targets: BTreeMap<WorkerKey, usize>,
    /// Free leases that are meant for somebody.
    pub(crate) offers: BTreeMap<ShardId, WorkerKey>,
}

impl Homes {
    /// Where each lease counts as its holder's.
    pub(crate) fn at_holders(loads: &BTreeMap<WorkerKey, Load>, total: usize) -> Self {
        Self {
            targets: balance::targets(loads, total),
            counts: loads.clone(),
            ..Self::default()
        }
    }

    /// With the leases that were given, of one class. `total` are to be shared out.
    pub(crate) fn find<'a>(
        view: &View,
        (holds, of_class): (&BTreeMap<ShardId, Hold>, impl Iterator<Item = &'a ShardId>),
        loads: &BTreeMap<WorkerKey, Load>,
        total: usize,
    ) -> Self {
        let given = of_class.filter_map(|shard| {
            let given = Given::find(view, holds, loads, shard)?;
            Some((shard, given))
        });
        let given: Vec<_> = given.collect();
        let mut homes = Self {
            counts: loads.clone(),
            ..Self::default()
        };
        for (_, given) in &given {
            homes.shift(given, 1);
        }
        // By what does not depend on what moves: so it comes out the same while one of them is on its way.
        let bounds = balance::bounds(&homes.counts, total);
        for (shard, given) in given {
            let most = bounds.get(given.home).copied().unwrap_or(0);
            if homes.counts[given.home].held > most {
                homes.shift(&given, -1);
                continue;
            }
            homes.away.insert(shard.clone(), given.home.clone());
            if !given.is_held {
                homes.offers.insert(shard.clone(), given.to.clone());
            }
        }
        homes.targets = balance::targets(&homes.counts, total);
        homes
    }

    /// Counts a lease as its giver's, and leaves the room that it takes where it is or will be; or takes that back.
    fn shift(&mut self, given: &Given<'_>, by: isize) {
        let room = i64::try_from(by).unwrap_or(0);
        if let Some(home) = self.counts.get_mut(given.home) {
            home.held = home.held.saturating_add_signed(by);
            home.max = home.max.map(|max| add(max, room));
        }
        if let Some(to) = self.counts.get_mut(given.to) {
            if given.is_held {
                to.held = to.held.saturating_add_signed(-by);
            }
            to.max = to.max.map(|max| add(max, -room));
        }
    }

    /// How many more leases it should have; fewer, if negative.
    fn lacks(&self, key: &WorkerKey) -> isize {
        let held = self.counts.get(key).map_or(0, |load| load.held);
        self.target(key).cast_signed() - held.cast_signed()
    }

    /// How many it should have by count.
    pub(crate) fn target(&self, key: &WorkerKey) -> usize {
        self.targets.get(key).copied().unwrap_or(0)
    }

    /// Whether everybody has what it should have by count.
    pub(crate) fn is_even(&self) -> bool {
        self.counts.keys().all(|key| self.lacks(key) == 0)
    }

    /// How many leases a worker holds when it has so many by count.
    pub(crate) fn real(
        &self,
        key: &WorkerKey,
        count: usize,
        loads: &BTreeMap<WorkerKey, Load>,
    ) -> usize {
        let held = |loads: &BTreeMap<WorkerKey, Load>| loads.get(key).map_or(0, |load| load.held);
        (count + held(loads)).saturating_sub(held(&self.counts))
    }

    /// Whose a lease of this worker is by count.
    pub(crate) fn home<'a>(&'a self, shard: &ShardId, me: &'a WorkerKey) -> &'a WorkerKey {
        self.away.get(shard).unwrap_or(me)
    }
}

fn add(max: u32, by: i64) -> u32 {
    u32::try_from(i64::from(max) + by).unwrap_or(0)
}

/// A lease that was given, while those it is about share.
struct Given<'a> {
    home: &'a WorkerKey,
    to: &'a WorkerKey,
    /// Whether it has arrived.
    is_held: bool,
}

impl<'a> Given<'a> {
    fn find(
        view: &'a View,
        holds: &BTreeMap<ShardId, Hold>,
        loads: &BTreeMap<WorkerKey, Load>,
        shard: &ShardId,
    ) -> Option<Self> {
        let moved = view.leases.get(shard)?.row.moved.as_deref()?;
        let Moved {
            from,
            to,
            in_return,
        } = moved;
        let is_with = |shard: &ShardId, key| matches!(holds.get(shard), Some(Hold::By(holder)) if holder == key);
        let is_held = is_with(shard, to);
        let taker = loads.get(to)?;
        let is_free = holds.get(shard) == Some(&Hold::Free) && taker.spare() > 0;
        let home = match in_return {
            None => from,
            // Until the other one is on its way back, it is where it was; from then on each is the other's.
            Some(back) if is_free || is_with(&back.shard, to) => &back.from,
            Some(_) => to,
        };
        let is_given = (is_held && home != to) || is_free;
        (is_given && loads.contains_key(home)).then_some(Self { home, to, is_held })
    }
}
