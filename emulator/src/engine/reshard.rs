//! Split and merge: who may ask for them, and when they happen.
//!
//! The order of checks is the service's: state of the stream, its mode, the shards, the quota, the key.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::refusal::Refusal;

use super::change::Change;
use super::shard::{self, Shard};
use super::stream::{Mode, State, Status, Stream};

impl Stream {
    /// Accepts a split of `shard` at `key`. `check_quota` gets the number of this stream's open shards
    /// and says whether one more fits; it must take no lock, as this stream's is held.
    pub(crate) fn split(
        &self,
        (now, delay): (Moment, Duration),
        shard: u32,
        key: u128,
        check_quota: impl FnOnce(usize) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut state = self.settled(now);
        self.check_may_reshard(&state)?;
        let shard = self.eligible(&state, shard)?;
        check_quota(state.topology.open_count())?;
        let range = shard.range;
        // Strict on both sides, as the service is: it even refuses some keys that would do.
        if range
            .start
            .checked_add(1)
            .is_none_or(|second| key <= second)
            || key >= range.end
        {
            let (id, name, account) = (shard.id(), &self.name, &self.scope.account);
            return Err(Refusal::invalid(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard {id} in stream {name} under \
                 account {account} is not both greater than one plus the shard's StartingHashKey {} \
                 and less than the shard's EndingHashKey {}.",
                range.start, range.end
            )));
        }
        self.begin(&mut state, (now, delay), Change::Split { shard, key });
        Ok(())
    }

    /// Accepts a merge of two neighbours, the lower one first.
    pub(crate) fn merge(
        &self,
        (now, delay): (Moment, Duration),
        lower: u32,
        upper: u32,
    ) -> Result<(), Refusal> {
        let mut state = self.settled(now);
        self.check_may_reshard(&state)?;
        let lower = self.eligible(&state, lower)?;
        let upper = self.eligible(&state, upper)?;
        if lower.range.end.checked_add(1) != Some(upper.range.start) {
            let (name, account) = (&self.name, &self.scope.account);
            return Err(Refusal::invalid(format!(
                "Shards {} and {} in stream {name} under account {account} are not an adjacent pair \
                 of shards eligible for merging",
                lower.id(),
                upper.id()
            )));
        }
        self.begin(&mut state, (now, delay), Change::Merge { lower, upper });
        Ok(())
    }

    fn check_may_reshard(&self, state: &State) -> Result<(), Refusal> {
        if !matches!(state.status, Status::Active) {
            return Err(self.not_active(&state.status));
        }
        match state.mode {
            Mode::Provisioned => Ok(()),
            Mode::OnDemand => Err(Refusal::on_demand(&self.name, &self.scope)),
        }
    }

    /// The shard, if it is there and open.
    fn eligible(&self, state: &State, index: u32) -> Result<Arc<Shard>, Refusal> {
        let id = shard::id(index);
        let Some(shard) = state.topology.get(index) else {
            return Err(Refusal::shard_not_found(&id, &self.name, &self.scope));
        };
        if !shard.is_open() {
            let (name, account) = (&self.name, &self.scope.account);
            return Err(Refusal::invalid(format!(
                "Shard {id} in stream {name} under account {account} has already been merged or \
                 split, and thus is not eligible for merging or splitting."
            )));
        }
        Ok(Arc::clone(shard))
    }
}
