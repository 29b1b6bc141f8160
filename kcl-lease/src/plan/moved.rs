//! Leases that were given to a worker of the holder's choice, and what that does to shares.
//!
//! Such a lease says from whom it went to whom. While both share and the second holds it, it excuses one lease
//! by which the first has less and the second more than their shares by count: so nothing is evened out that
//! was made uneven on purpose, and as soon as one of the two is gone only counts matter again.

use std::collections::BTreeMap;

use kcl_core::event::HandOverReason;
use kcl_core::model::ShardId;

use super::balance::Load;
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

/// What the leases that moved lead to.
#[derive(Debug, Default)]
pub(crate) struct Excused {
    /// By how many leases the share of a worker is other than counts alone would have it.
    shifts: BTreeMap<WorkerKey, isize>,
    /// Free leases that are meant for somebody.
    pub(crate) offers: BTreeMap<ShardId, WorkerKey>,
}

impl Excused {
    /// Looks at all leases that moved, in their order.
    pub(crate) fn find(
        view: &View,
        holds: &BTreeMap<ShardId, Hold>,
        loads: &BTreeMap<WorkerKey, Load>,
        targets: &BTreeMap<WorkerKey, usize>,
    ) -> Self {
        let mut excused = Self::default();
        for (shard, hold) in holds {
            let moved = view
                .leases
                .get(shard)
                .and_then(|seen| seen.row.moved.as_deref());
            let Some(Moved { from, to, .. }) = moved.filter(|moved| moved.from != moved.to) else {
                continue;
            };
            let (Some(giver), Some(taker)) = (loads.get(from), loads.get(to)) else {
                continue;
            };
            let share = |key| excused.shifted(key, targets.get(key).copied().unwrap_or(0));
            let lacks = |key, load: &Load| load.held < share(key);
            match hold {
                Hold::By(key) if key == to => {
                    if lacks(from, giver) && taker.held > share(to) {
                        excused.shift(from, -1);
                        excused.shift(to, 1);
                    }
                }
                Hold::Free if taker.held < taker.room() => {
                    if lacks(from, giver) {
                        excused.shift(from, -1);
                        excused.offers.insert(shard.clone(), to.clone());
                    } else if lacks(to, taker) {
                        excused.offers.insert(shard.clone(), to.clone());
                    }
                }
                Hold::Free | Hold::By(_) | Hold::ByDead(_) | Hold::ByForeign | Hold::Stray => {}
            }
        }
        excused
    }

    fn shift(&mut self, key: &WorkerKey, by: isize) {
        *self.shifts.entry(key.clone()).or_default() += by;
    }

    /// A share by count, as it is with what is excused.
    pub(crate) fn shifted(&self, key: &WorkerKey, share: usize) -> usize {
        share.saturating_add_signed(self.shifts.get(key).copied().unwrap_or(0))
    }

    /// The counts without what is excused, so that they can be held against shares by count.
    pub(crate) fn without(&self, loads: &BTreeMap<WorkerKey, Load>) -> BTreeMap<WorkerKey, Load> {
        let mut loads = loads.clone();
        for (key, by) in &self.shifts {
            if let Some(load) = loads.get_mut(key) {
                load.held = load.held.saturating_add_signed(-by);
            }
        }
        loads
    }
}
