//! What this process holds, for the tasks that look at the table; and the bells between the tasks.
//!
//! A plain lock around a few lines; nothing awaits here. How a single lease stands is its tenure's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kcl_core::model::{Shard, ShardId};
use tokio::sync::Notify;

/// Shared by the tasks of one worker.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    inner: Mutex<Inner>,
    /// Rung when a look at the table may find something.
    pub(crate) look: Notify,
    /// Rung when a shard ended.
    pub(crate) sync: Notify,
    /// Rung for all who wait for a parent when a shard ended here.
    pub(crate) ended: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    held: BTreeSet<ShardId>,
    /// The shards as last listed.
    shards: BTreeMap<ShardId, Shard>,
}

impl Holdings {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leases that this process holds.
    pub(crate) fn held(&self) -> BTreeSet<ShardId> {
        self.inner().held.clone()
    }

    /// A tenure begins.
    pub(crate) fn add(&self, shard: &ShardId) {
        self.inner().held.insert(shard.clone());
    }

    /// A tenure is over.
    pub(crate) fn remove(&self, shard: &ShardId) {
        self.inner().held.remove(shard);
        self.look.notify_one();
    }

    /// Remembers the shards as listed.
    pub(crate) fn listed(&self, shards: &BTreeMap<ShardId, Shard>) {
        self.inner().shards.clone_from(shards);
    }

    /// A shard as it was last listed.
    pub(crate) fn shard(&self, id: &ShardId) -> Option<Shard> {
        self.inner().shards.get(id).cloned()
    }
}
