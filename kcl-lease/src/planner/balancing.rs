//! The part of the planner that gives leases to certain workers: for what is read, in return, or because this
//! worker's reader gets no answer. What to give is decided in `plan::load` and `plan::silent`.

use std::collections::BTreeSet;

use kcl_core::event::{Event, HandOverReason};
use kcl_core::model::ShardId;
use tokio::time::Instant;

use super::Planner;
use crate::plan::Plan;
use crate::plan::load::Patience;
use crate::plan::moved::Moving;
use crate::plan::silent::{self, Told};
use crate::row::{Capacity, LeaseRow, Moved, WorkerKey};
use crate::store::LeaseStore;

/// What the planner remembers of loads and of readers.
#[derive(Debug, Default)]
pub(crate) struct Balancing {
    /// How long this worker has wished to give leases away.
    patience: Patience,
    /// From which load for its capacity on it should look, as the keeper of the watch says.
    pub(super) mark: Option<u64>,
    /// The same as it says itself when it keeps the watch.
    pub(super) own_mark: Option<u64>,
    /// When it last looked without finding anything to give away.
    looked_in_vain: Option<Instant>,
    /// The readers that were told of.
    told: Told,
    /// The leases to give back in return for others, and to whom.
    pub(super) owed: Vec<(ShardId, Moved)>,
}

impl<S: LeaseStore> Planner<S> {
    /// The shards that another worker should try to read. Tells of readers that fell silent.
    pub(super) fn silent_readers(&mut self) -> BTreeSet<ShardId> {
        let silence = silent::silence(self.holdings.asking(), Instant::now());
        let max = self.settings.silence_max;
        for (shard, silent) in self.balance.told.news(&silence, max) {
            self.events.emit(&Event::ReaderSilent { shard, silent });
        }
        silent::hopeless(&silence, max)
    }

    /// Whether the keeper of the watch says that who reads as much as this worker should look. Who looked in vain
    /// waits before it does so again.
    pub(super) fn reads_too_much(&self) -> bool {
        let Some(mark) = self.balance.mark.filter(|_| self.settings.by_load()) else {
            return false;
        };
        let now = Instant::now();
        let patience = self.settings.load_patience();
        let again = |at: Instant| now.duration_since(at) >= patience;
        self.balance.looked_in_vain.is_none_or(again)
            && self.holdings.own(now, 0.0).per_capacity(self.capacity()) >= mark
    }

    pub(super) fn capacity(&self) -> Capacity {
        Capacity::new(self.settings.capacity)
    }

    /// Gives to certain workers what the plan says, at once or when it was wished for long enough.
    pub(super) fn give_away(&mut self, plan: &mut Plan) {
        let now = Instant::now();
        let wishes = !plan.wishes.is_empty();
        self.balance.own_mark = plan.mark;
        self.balance.looked_in_vain = (!wishes).then_some(now);
        let patience = self.settings.load_patience();
        let mut moving = plan.give_away.clone();
        if self.balance.patience.is_over(wishes, now, patience) {
            plan.counts.giving_up += plan.wishes.len();
            moving.extend(plan.wishes.clone());
        }
        for Moving { shard, moved, why } in moving {
            self.hand_over(&shard, Some(moved), why);
        }
    }

    /// Gives back what another worker gave up something larger for.
    pub(super) fn return_what_is_owed(&mut self) {
        for (shard, moved) in std::mem::take(&mut self.balance.owed) {
            let why = HandOverReason::InReturn {
                to: moved.to.worker.clone(),
            };
            self.hand_over(&shard, Some(moved), why);
        }
    }

    pub(super) fn hand_over(&self, shard: &ShardId, moved: Option<Moved>, why: HandOverReason) {
        if self.holdings.hand_over(shard, moved) {
            self.events.emit(&Event::HandOverPlanned {
                shard: shard.clone(),
                why,
            });
        }
    }
}

/// What is to be given back for a lease that was taken.
pub(super) fn owed_for(row: &LeaseRow, me: &WorkerKey) -> Option<(ShardId, Moved)> {
    let moved = row.moved.as_deref().filter(|moved| moved.to == *me)?;
    let back = moved.in_return.clone()?;
    let returned = Moved {
        from: back.from,
        to: moved.from.clone(),
        in_return: None,
    };
    Some((back.shard, returned))
}
