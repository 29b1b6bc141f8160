//! Which rows of finished shards may go.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::model::{Shard, ShardId};
use kcl_core::planted;

use crate::row::LeaseRow;

/// The finished rows that nothing needs any more, with their counters.
///
/// A row goes only when the service has forgotten its shard (else the next sync would take the
/// shard for a new one and read it again), when each child has a row that was started (so that the
/// lineage goes on without it), and when no parent of it has a row (so that rows go from the oldest
/// on, and a child's row never goes before its parent's).
pub(crate) fn removable(
    rows: &BTreeMap<ShardId, LeaseRow>,
    listed: &BTreeMap<ShardId, Shard>,
) -> Vec<(ShardId, u64)> {
    if planted!(CleansUpEarly) {
        let ended = rows.values().filter(|row| row.is_ended());
        return ended.map(|row| (row.shard.clone(), row.counter)).collect();
    }
    let mut children: BTreeMap<&ShardId, BTreeSet<&ShardId>> = BTreeMap::new();
    for row in rows.values() {
        for parent in &row.parents {
            children.entry(parent).or_default().insert(&row.shard);
        }
    }
    let started = |id: &ShardId| rows.get(id).is_some_and(|row| !row.is_untouched());
    rows.values()
        .filter(|row| row.is_ended() && !listed.contains_key(&row.shard))
        .filter(|row| !row.parents.iter().any(|parent| rows.contains_key(parent)))
        .filter(|row| {
            let by_rows = children.get(&row.shard).into_iter().flatten().copied();
            let mut all = row.children.iter().chain(by_rows).peekable();
            all.peek().is_some() && all.all(started)
        })
        .map(|row| (row.shard.clone(), row.counter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kcl_core::model::{Checkpoint, HashKeyRange};

    fn row(name: &str, parents: &[&str], checkpoint: Checkpoint, children: &[&str]) -> LeaseRow {
        let shard = Shard {
            id: name.into(),
            parents: parents.iter().map(ShardId::new).collect(),
            range: HashKeyRange { start: 0, end: 9 },
            open: false,
        };
        let mut row = LeaseRow::fresh(&shard, checkpoint);
        row.children = children.iter().map(ShardId::new).collect();
        row
    }

    fn table(rows: Vec<LeaseRow>) -> BTreeMap<ShardId, LeaseRow> {
        rows.into_iter()
            .map(|row| (row.shard.clone(), row))
            .collect()
    }

    #[test]
    fn rows_go_from_the_oldest_on_and_only_when_the_service_forgot_them() {
        let rows = table(vec![
            row("a", &[], Checkpoint::ShardEnd, &["b"]),
            row("b", &["a"], Checkpoint::ShardEnd, &["c"]),
            row("c", &["b"], Checkpoint::ShardEnd, &[]),
        ]);
        assert_eq!(removable(&rows, &BTreeMap::new()), [("a".into(), 0)]);
        let shard = Shard {
            id: "a".into(),
            parents: vec![],
            range: HashKeyRange { start: 0, end: 9 },
            open: false,
        };
        assert_eq!(removable(&rows, &BTreeMap::from([("a".into(), shard)])), []);
    }

    #[test]
    fn a_row_stays_until_each_child_has_started() {
        let mut rows = table(vec![
            row("a", &[], Checkpoint::ShardEnd, &["b", "c"]),
            row("b", &["a"], Checkpoint::ShardEnd, &[]),
        ]);
        assert_eq!(removable(&rows, &BTreeMap::new()), [], "c has no row");
        let c = row("c", &["a"], Checkpoint::TrimHorizon, &[]);
        rows.insert(c.shard.clone(), c);
        assert_eq!(removable(&rows, &BTreeMap::new()), [], "c has not started");
        rows.insert("c".into(), row("c", &["a"], Checkpoint::ShardEnd, &[]));
        assert_eq!(removable(&rows, &BTreeMap::new()).len(), 1);
    }
}
