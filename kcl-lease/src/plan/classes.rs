//! Who can read what: leases are shared out among the workers that read their streams.
//!
//! Workers of one application may read different streams, for a while (a deploy that adds one) or for good.
//! Leases that the same workers can read are a class. The class with the fewest workers is shared out first, and
//! what its workers get of it counts in the next: so whoever must read what others cannot gets less of
//! what all can. Shares of a class never depend on those that come later, so one settles after the other and
//! nothing goes back and forth. Where all read the same there is one class.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::model::{ShardId, StreamName};

use super::Me;
use super::balance::{self, Load};
use super::expiry::{Hold, Life};
use super::moved::Homes;
use super::view::View;
use crate::row::{Capacity, StreamSet, WorkerKey, WorkerRow};

/// What a worker reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reads {
    /// The one stream of the application.
    #[default]
    Single,
    /// These streams of several.
    Several(StreamSet),
    /// The row that says so is missing, which the worker itself sees to. It can be given nothing until then.
    Unknown,
}

impl Reads {
    /// What the row of a worker says.
    pub(crate) fn of(row: &WorkerRow, view: &View) -> Self {
        match &row.serves {
            None => Self::Single,
            Some(key) => match view.streams.get(key) {
                Some(set) => Self::Several(set.clone()),
                None => Self::Unknown,
            },
        }
    }

    /// Whether it reads shards of this stream, or those of the only one.
    pub(crate) fn covers(&self, stream: Option<&StreamName>) -> bool {
        match (self, stream) {
            (Self::Single, stream) => stream.is_none(),
            (Self::Several(set), Some(stream)) => set.streams().contains(stream),
            (Self::Several(_), None) | (Self::Unknown, _) => false,
        }
    }
}

/// Which workers read which streams.
#[derive(Debug)]
pub(crate) struct Readers<'a>(BTreeMap<&'a WorkerKey, Reads>);

impl<'a> Readers<'a> {
    /// As the table says, but for this worker, who knows best.
    pub(crate) fn new(view: &'a View, me: &'a Me) -> Self {
        let seen = view.workers.iter();
        let mut reads: BTreeMap<_, _> = seen
            .map(|(key, seen)| (key, Reads::of(&seen.row, view)))
            .collect();
        reads.insert(&me.key, me.reads.clone());
        Self(reads)
    }

    /// Whether this worker reads it.
    pub(crate) fn reads(&self, key: &WorkerKey, stream: Option<&StreamName>) -> bool {
        self.0.get(key).is_some_and(|reads| reads.covers(stream))
    }

    /// Whether any worker with a row reads it, whether it lives or not.
    pub(crate) fn is_served(&self, stream: Option<&StreamName>) -> bool {
        self.0.values().any(|reads| reads.covers(stream))
    }

    /// The workers that read it and take their share.
    fn sharing(&self, stream: Option<&StreamName>, lives: &Lives) -> Vec<&'a WorkerKey> {
        let shares = |key: &WorkerKey| matches!(lives.get(key), Some(Life::Sharing { .. }));
        let reading = self.0.iter().filter(|(_, reads)| reads.covers(stream));
        reading
            .map(|(key, _)| *key)
            .filter(|key| shares(key))
            .collect()
    }

    /// Whether this worker has to ask for new shards of a stream from time to time because the one who keeps
    /// the watch does not read it: the first of those who do has to.
    pub(crate) fn leaves_to(
        &self,
        me: &WorkerKey,
        keeper: Option<&WorkerKey>,
        lives: &Lives,
    ) -> bool {
        let Some(Reads::Several(mine)) = self.0.get(me) else {
            return false;
        };
        let kept = keeper.and_then(|keeper| self.0.get(keeper));
        let is_kept = |stream| kept.is_some_and(|kept| kept.covers(Some(stream)));
        let mut unkept = mine.streams().iter().filter(|stream| !is_kept(*stream));
        unkept.any(|stream| self.sharing(Some(stream), lives).first() == Some(&me))
    }
}

type Lives = BTreeMap<WorkerKey, Life>;
pub(crate) type Loads = BTreeMap<WorkerKey, Load>;

/// The leases that the same workers can read, by their number and names.
type Classes<'a> = BTreeMap<(usize, Vec<&'a WorkerKey>), Class<'a>>;

#[derive(Debug, Default)]
struct Class<'a> {
    streams: BTreeSet<Option<&'a StreamName>>,
    holds: Vec<(&'a ShardId, &'a Hold)>,
}

/// What is shared out, and how.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// Who should take which free lease.
    pub(crate) offers: BTreeMap<ShardId, WorkerKey>,
    /// How many leases each worker that shares has.
    pub(crate) held: BTreeMap<WorkerKey, usize>,
    /// What this worker should give up.
    pub(crate) give_up: Vec<ShardId>,
    /// How many leases this worker should have.
    pub(crate) target: usize,
    /// Whether it neither has its share nor is offered what it lacks.
    pub(crate) expecting: bool,
    /// Leases to be had.
    pub(crate) leases: usize,
    /// Those that are free.
    pub(crate) free: usize,
    /// Leases of streams that nobody reads: they stay as they are.
    pub(crate) unserved: usize,
    /// Whether all that share know of leases that are given to somebody.
    pub(crate) is_modern: bool,
    /// What each worker that shares has in all.
    pub(crate) loads: Loads,
    /// What was shared out, class by class.
    pub(crate) classes: Vec<Shared>,
}

/// A class as it was shared out.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What each of its workers has of it.
    pub(crate) loads: Loads,
    /// What counts as whose.
    pub(crate) homes: Homes,
}

/// Shares everything out.
pub(crate) fn share(
    readers: &Readers<'_>,
    me: &Me,
    view: &View,
    lives: &Lives,
    holds: &BTreeMap<ShardId, Hold>,
) -> Shares {
    let is_modern = is_modern(lives);
    let mut loads = all_loads(lives, holds, is_modern);
    let held = loads.iter().map(|(key, load)| (key.clone(), load.all));
    let mut shares = Shares {
        held: held.collect(),
        is_modern,
        ..Shares::default()
    };
    // What this worker does not read any more goes, whoever may want it.
    let staying = me.held.iter().filter(|(_, leaving)| !**leaving);
    let unread = staying.filter(|(shard, _)| !me.reads.covers(shard.stream()));
    shares.give_up = unread.map(|(shard, _)| shard.clone()).collect();

    // ORDER: the fewest workers first.
    for ((_, workers), class) in classes(readers, me, lives, holds, &mut shares) {
        let with_load = workers
            .into_iter()
            .filter_map(|key| Some((key.clone(), *loads.get(key)?)));
        let mut in_class: Loads = with_load.collect();
        for (_, hold) in &class.holds {
            if let Hold::By(key) = hold
                && let Some(load) = in_class.get_mut(key)
            {
                load.held += 1;
            }
        }
        let total = class.to_share(lives);
        let homes = if is_modern {
            let of_class = class.holds.iter().map(|(shard, _)| *shard);
            Homes::find(view, (holds, of_class), &in_class, total)
        } else {
            Homes::at_holders(&in_class, total)
        };
        let shared = Shared {
            loads: in_class,
            homes,
        };
        shares.leases += total;
        share_class(&class, &shared, me, &mut shares);
        for (key, target) in &shared.homes.targets {
            if let Some(load) = loads.get_mut(key) {
                load.base += target;
            }
        }
        shares.classes.push(shared);
        for (shard, _) in &class.holds {
            let to = shares.offers.get(*shard);
            if let Some(load) = to.and_then(|to| loads.get_mut(to)) {
                load.all += 1;
            }
        }
    }
    shares.loads = loads;
    shares
}

/// Whether all that share know of capacities and of leases that are given to somebody. While one does not, all share
/// as it does, so that all come to the same plan.
fn is_modern(lives: &Lives) -> bool {
    lives.values().all(|life| match life {
        Life::Sharing { capacity, .. } => capacity.is_some(),
        Life::Leaving { .. } | Life::Idle { .. } | Life::Still => true,
    })
}

/// The workers that share, with all that they have.
fn all_loads(lives: &Lives, holds: &BTreeMap<ShardId, Hold>, is_modern: bool) -> Loads {
    let mut loads = Loads::new();
    for (key, life) in lives {
        if let Life::Sharing {
            leases_max,
            capacity,
            ..
        } = life
        {
            let load = Load {
                held: 0,
                base: 0,
                all: 0,
                max: *leases_max,
                capacity: capacity.filter(|_| is_modern).unwrap_or(Capacity::ONE),
            };
            loads.insert(key.clone(), load);
        }
    }
    for hold in holds.values() {
        if let Hold::By(key) = hold
            && let Some(load) = loads.get_mut(key)
        {
            load.all += 1;
        }
    }
    loads
}

fn classes<'a>(
    readers: &Readers<'a>,
    me: &'a Me,
    lives: &Lives,
    holds: &'a BTreeMap<ShardId, Hold>,
    shares: &mut Shares,
) -> Classes<'a> {
    let mut of_streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (shard, hold) in holds {
        let of_stream = of_streams.entry(shard.stream()).or_default();
        of_stream.push((shard, hold));
    }
    // What is held without a lease that can be read has no share.
    for shard in me.held.keys() {
        of_streams.entry(shard.stream()).or_default();
    }
    let mut classes = Classes::new();
    for (stream, holds) in of_streams {
        if !readers.is_served(stream) {
            shares.unserved += holds.len();
            continue;
        }
        let workers = readers.sharing(stream, lives);
        let class = classes.entry((workers.len(), workers)).or_default();
        class.streams.insert(stream);
        class.holds.extend(holds);
    }
    classes
}

impl Class<'_> {
    /// How many leases are to be shared out: not what nobody here can get.
    fn to_share(&self, lives: &Lives) -> usize {
        let to_share = self.holds.iter().filter(|(_, hold)| match hold {
            Hold::By(key) => !matches!(lives.get(key), Some(Life::Idle { .. })),
            Hold::ByForeign => false,
            Hold::Free | Hold::ByDead(_) | Hold::Stray => true,
        });
        to_share.count()
    }
}

/// Shares out one class: who should take what is free, and what this worker should give up.
fn share_class(class: &Class<'_>, shared: &Shared, me: &Me, shares: &mut Shares) {
    let Shared { loads, homes } = shared;
    let free = class.holds.iter().filter(|(_, hold)| hold.is_free());
    let free: BTreeSet<&ShardId> = free.map(|(shard, _)| *shard).collect();
    shares.free += free.len();
    let in_common = free
        .iter()
        .filter(|shard| !homes.offers.contains_key(**shard));
    let in_common = in_common.copied().collect();
    let offers = balance::deal(&in_common, &homes.counts, &homes.targets);
    if let Some(load) = homes.counts.get(&me.key) {
        let held = me.held.iter();
        let held = held.filter(|(shard, _)| class.streams.contains(&shard.stream()));
        let held = held.map(|(shard, leaving)| (shard.clone(), *leaving));
        let keeps = balance::keeps(&me.key, &homes.counts, &homes.targets);
        let keeps = homes.real(&me.key, keeps, loads);
        shares
            .give_up
            .extend(balance::give_up(&held.collect(), keeps));
        let strays = class.holds.iter().filter(|(_, hold)| **hold == Hold::Stray);
        let offered = offers.values().filter(|to| **to == me.key).count();
        let target = homes.target(&me.key);
        shares.expecting |= load.held + strays.count() + offered < target;
        shares.target += homes.real(&me.key, target, loads);
    }
    shares.offers.extend(offers);
    shares.offers.extend(homes.offers.clone());
}

#[cfg(test)]
mod tests;
