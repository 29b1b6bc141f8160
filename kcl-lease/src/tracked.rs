//! One stream of a worker as the leases see it: where its shards start, and how they are known.

use std::collections::BTreeMap;
use std::time::SystemTime;

use kcl_core::StreamTracker;
use kcl_core::error::Error;
use kcl_core::model::{InitialPosition, Shard, ShardId, StreamName};

use crate::shards::ShardList;

/// Every shard of a stream.
pub(crate) type Listed = BTreeMap<ShardId, Shard>;

/// A stream that is read now.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) stream: StreamName,
    pub(crate) initial_position: InitialPosition,
    /// Whether it is one of several, so that its shards are known by its name as well.
    pub(crate) is_one_of_several: bool,
}

impl Tracked {
    /// The streams that are read now.
    pub(crate) fn all(tracker: &StreamTracker) -> Vec<Self> {
        let is_one_of_several = tracker.single().is_none();
        let all = tracker.list().into_iter();
        all.map(|(stream, initial_position)| Self {
            stream,
            initial_position,
            is_one_of_several,
        })
        .collect()
    }

    /// What its shards are known by.
    pub(crate) fn qualifier(&self) -> Option<&StreamName> {
        self.is_one_of_several.then_some(&self.stream)
    }

    /// Its shards. The one place where shards that are listed get the stream they are of.
    pub(crate) async fn list<L: ShardList>(
        &self,
        shards: &L,
        open_since: Option<SystemTime>,
    ) -> Result<Listed, Error> {
        let listed = shards.list(&self.stream, open_since).await?.into_iter();
        let known = |shard: Shard| match self.qualifier() {
            None => shard,
            Some(stream) => shard.of(stream),
        };
        Ok(listed
            .map(known)
            .map(|shard| (shard.id.clone(), shard))
            .collect())
    }

    /// The time to start at, or what the service's clock shows if that is behind.
    pub(crate) async fn reached<L: ShardList>(
        &self,
        shards: &L,
        listed: &Listed,
        time: SystemTime,
    ) -> Result<SystemTime, Error> {
        match listed.values().rfind(|shard| shard.open) {
            Some(shard) => shards.reached(&self.stream, &shard.id, time).await,
            None => Ok(time),
        }
    }
}
