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
use super::view::View;
use crate::row::{StreamSet, WorkerKey, WorkerRow};

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
type Loads = BTreeMap<WorkerKey, Load>;

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
}

/// Shares everything out.
pub(crate) fn share(
    readers: &Readers<'_>,
    me: &Me,
    lives: &Lives,
    holds: &BTreeMap<ShardId, Hold>,
) -> Shares {
    let mut loads = all_loads(lives, holds);
    let held = loads.iter().map(|(key, load)| (key.clone(), load.all));
    let mut shares = Shares {
        held: held.collect(),
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
        for (key, target) in share_class(&class, &in_class, me, lives, &mut shares) {
            if let Some(load) = loads.get_mut(&key) {
                load.base += target;
            }
        }
        for (shard, _) in &class.holds {
            let to = shares.offers.get(*shard);
            if let Some(load) = to.and_then(|to| loads.get_mut(to)) {
                load.all += 1;
            }
        }
    }
    shares
}

/// The workers that share, with all that they have.
fn all_loads(lives: &Lives, holds: &BTreeMap<ShardId, Hold>) -> Loads {
    let mut loads = Loads::new();
    for (key, life) in lives {
        if let Life::Sharing { leases_max, .. } = life {
            let load = Load {
                max: *leases_max,
                ..Load::default()
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

/// Shares out one class. Answers how many leases of it each of its workers should have.
fn share_class(
    class: &Class<'_>,
    loads: &Loads,
    me: &Me,
    lives: &Lives,
    shares: &mut Shares,
) -> BTreeMap<WorkerKey, usize> {
    let count =
        |is: &dyn Fn(&Hold) -> bool| class.holds.iter().filter(|(_, hold)| is(hold)).count();
    // What nobody here can get is not to be shared out.
    let total = count(&|hold| match hold {
        Hold::By(key) => !matches!(lives.get(key), Some(Life::Idle { .. })),
        Hold::ByForeign => false,
        Hold::Free | Hold::ByDead(_) | Hold::Stray => true,
    });
    let targets = balance::targets(loads, total);
    let free = class.holds.iter().filter(|(_, hold)| hold.is_free());
    let free: BTreeSet<&ShardId> = free.map(|(shard, _)| *shard).collect();
    let offers = balance::deal(&free, loads, &targets);
    shares.leases += total;
    shares.free += free.len();
    if let (Some(target), Some(load)) = (targets.get(&me.key), loads.get(&me.key)) {
        let held = me.held.iter();
        let held = held.filter(|(shard, _)| class.streams.contains(&shard.stream()));
        let held = held.map(|(shard, leaving)| (shard.clone(), *leaving));
        let keeps = balance::keeps(&me.key, loads, &targets);
        shares
            .give_up
            .extend(balance::give_up(&held.collect(), keeps));
        let strays = count(&|hold| *hold == Hold::Stray);
        let offered = offers.values().filter(|to| **to == me.key).count();
        shares.expecting |= load.held + strays + offered < *target;
        shares.target += target;
    }
    shares.offers.extend(offers);
    targets
}

#[cfg(test)]
mod tests;
