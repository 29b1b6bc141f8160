//! Which shards the stream has forgotten before they were read to their end.
//!
//! A list of shards may be old, and then lacks those that were made since: that a shard is missing proves
//! nothing. What proves it is a list that names the shard as a parent and does not have it; or that it is
//! missing for longer than a list can be old.
//!
//! Pure. The sync asks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::model::{Shard, ShardId};
use kcl_core::planted;
use tokio::time::Instant;

use crate::row::LeaseRow;

/// What was missing, and what was told.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    /// Since when each is missing from all lists.
    missing: BTreeMap<ShardId, Instant>,
    told: BTreeSet<ShardId>,
}

impl Forgotten {
    /// Takes in a list, and answers what is to be told: each shard once. `patience` is longer than a list can
    /// be old.
    pub(crate) fn judge<'a>(
        &mut self,
        rows: &'a BTreeMap<ShardId, LeaseRow>,
        listed: &BTreeMap<ShardId, Shard>,
        now: Instant,
        patience: Duration,
    ) -> Vec<&'a LeaseRow> {
        let is_missing = |row: &&LeaseRow| !row.is_ended() && !listed.contains_key(&row.shard);
        let missing: Vec<&LeaseRow> = rows.values().filter(is_missing).collect();
        let names: BTreeSet<&ShardId> = missing.iter().map(|row| &row.shard).collect();
        self.missing.retain(|shard, _| names.contains(shard));
        let parents: BTreeSet<&ShardId> = listed.values().flat_map(|it| &it.parents).collect();
        let mut forgotten = missing;
        forgotten.retain(|row| {
            let since = *self.missing.entry(row.shard.clone()).or_insert(now);
            let is_proven = parents.contains(&row.shard) || now >= since + patience;
            (is_proven || planted!(TrustsOldLists)) && self.told.insert(row.shard.clone())
        });
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::model::{Checkpoint, HashKeyRange};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn shard(name: &str, parents: &[&str]) -> Shard {
        Shard {
            id: name.into(),
            parents: parents.iter().map(ShardId::new).collect(),
            range: HashKeyRange { start: 0, end: 9 },
            open: false,
        }
    }

    fn rows(checkpoint: &Checkpoint) -> BTreeMap<ShardId, LeaseRow> {
        let row = LeaseRow::fresh(&shard("a", &[]), checkpoint.clone());
        BTreeMap::from([(row.shard.clone(), row)])
    }

    /// Judges lists that come at these seconds, and answers at which `a` is told of.
    fn told_at(checkpoint: &Checkpoint, lists: &[(u64, &[Shard])]) -> Vec<u64> {
        let (mut forgotten, start, rows) = (Forgotten::default(), Instant::now(), rows(checkpoint));
        let mut told = Vec::new();
        for (at, list) in lists {
            let listed = list.iter().map(|it| (it.id.clone(), it.clone())).collect();
            let now = start + Duration::from_secs(*at);
            if !forgotten.judge(&rows, &listed, now, PATIENCE).is_empty() {
                told.push(*at);
            }
        }
        told
    }

    #[test]
    fn a_list_that_is_older_than_the_shard_proves_nothing() {
        let (old, new) = ([shard("z", &[])], [shard("z", &[]), shard("a", &[])]);
        let lists: &[(u64, &[Shard])] = &[(0, &old), (1, &old), (2, &new), (29, &old), (58, &old)];
        assert!(told_at(&Checkpoint::TrimHorizon, lists).is_empty());
    }

    #[test]
    fn a_list_with_a_child_and_without_its_parent_proves_it_at_once_and_it_is_told_once() {
        let list = [shard("b", &["a"])];
        let lists: &[(u64, &[Shard])] = &[(0, &list), (90, &list)];
        assert_eq!(told_at(&Checkpoint::TrimHorizon, lists), [0]);
    }

    #[test]
    fn a_shard_that_stays_missing_for_longer_than_a_list_can_be_old_is_forgotten() {
        let list = [shard("z", &[])];
        let lists: &[(u64, &[Shard])] = &[(0, &list), (29, &list), (30, &list), (60, &list)];
        assert_eq!(told_at(&Checkpoint::TrimHorizon, lists), [30]);
    }

    #[test]
    fn a_finished_shard_may_be_forgotten() {
        let list = [shard("b", &["a"])];
        let lists: &[(u64, &[Shard])] = &[(0, &list), (90, &list)];
        assert!(told_at(&Checkpoint::ShardEnd, lists).is_empty());
    }
}
