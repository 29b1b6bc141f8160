//! What is read by the grants that are out.

use kcl_core::model::ShardId;
use tokio::time::Instant;

use super::{Holdings, State};
use crate::plan::load::Own;
use crate::row::{Fence, Parting};

impl Holdings {
    /// Measures what is read, and answers it for all together.
    pub(crate) fn measure(&self, now: Instant) -> u64 {
        let mut total = 0_u64;
        for holding in self.inner().grants.values_mut() {
            holding.rate.measure(holding.meter.reading().bytes, now);
            total = total.saturating_add(holding.rate.per_second());
        }
        total
    }

    /// What is read of each shard, as last measured.
    pub(crate) fn own(&self, now: Instant, threshold: f64) -> Own {
        let mut own = Own {
            threshold,
            ..Own::default()
        };
        for (shard, holding) in &self.inner().grants {
            own.total = own.total.saturating_add(holding.rate.per_second());
            if holding.rate.is_known() {
                own.shards.insert(shard.clone(), holding.rate.per_second());
            }
            if holding.rests_until.is_some_and(|until| until > now) {
                own.resting.insert(shard.clone());
            }
        }
        own
    }

    /// Since when the reader of each shard has been asking without an answer.
    pub(crate) fn asking(&self) -> Vec<(ShardId, Option<Instant>)> {
        let inner = self.inner();
        let held = inner
            .grants
            .iter()
            .filter(|(_, holding)| holding.state == State::Held);
        held.map(|(shard, holding)| (shard.clone(), holding.meter.reading().asking_since))
            .collect()
    }

    /// What is read by a grant, if that is known.
    pub(crate) fn load(&self, fence: &Fence) -> Option<u64> {
        let inner = self.inner();
        let holding = inner.grants.get(&fence.shard)?;
        let is_known = holding.fence == *fence && holding.rate.is_known();
        is_known.then(|| holding.rate.per_second())
    }

    /// What a grant leaves to the next holder.
    pub(crate) fn parting(&self, fence: &Fence) -> Parting {
        let load = self.load(fence);
        let inner = self.inner();
        let holding = inner.grants.get(&fence.shard);
        Parting {
            load,
            moved: holding
                .filter(|holding| holding.fence == *fence && holding.state == State::HandOver)
                .and_then(|holding| holding.moved.clone()),
        }
    }
}
