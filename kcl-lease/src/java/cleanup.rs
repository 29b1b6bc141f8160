//! Which rows of finished shards may go, by the KCL's own rule. Pure.

use std::collections::BTreeMap;

use kcl_core::model::ShardId;

use super::row::JavaRow;

/// The finished leases whose children have all been started, and whose parents' leases are gone.
///
/// The KCL deletes them while the stream still lists their shards, and so does this: neither makes the
/// lease of a shard anew of which a child has one.
pub(crate) fn removable(rows: &BTreeMap<ShardId, JavaRow>) -> Vec<ShardId> {
    let is_started = |id| rows.get(id).is_some_and(JavaRow::is_started);
    rows.values()
        .filter(|row| row.is_ended() && !row.lease.children.is_empty())
        .filter(|row| row.lease.children.iter().all(is_started))
        .filter(|row| !row.lease.parents.iter().any(|id| rows.contains_key(id)))
        .map(|row| row.lease.shard.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::LeaseRow;
    use kcl_core::model::{Checkpoint, HashKeyRange, SequenceNumber, Shard};

    fn rows(of: &[(&str, &[&str], &str, &[&str])]) -> BTreeMap<ShardId, JavaRow> {
        let row = |(name, parents, checkpoint, children): &(&str, &[&str], &str, &[&str])| {
            let shard = Shard {
                id: (*name).into(),
                parents: parents.iter().map(ShardId::new).collect(),
                range: HashKeyRange { start: 0, end: 9 },
                open: false,
            };
            let checkpoint = match *checkpoint {
                "end" => Checkpoint::ShardEnd,
                "start" => Checkpoint::TrimHorizon,
                number => Checkpoint::at(SequenceNumber::new(number).unwrap()),
            };
            let mut lease = LeaseRow::fresh(&shard, checkpoint);
            lease.children = children.iter().map(ShardId::new).collect();
            let row = JavaRow {
                lease,
                checkpoint_owner: None,
            };
            (shard.id, row)
        };
        of.iter().map(row).collect()
    }

    #[test]
    fn each_table_has_its_finished_leases_to_remove() {
        let none: &[&str] = &[];
        type Row<'a> = (&'a str, &'a [&'a str], &'a str, &'a [&'a str]);
        let table: [(&[Row<'_>], &[&str]); 5] = [
            (
                &[("a", &[], "end", &["b"]), ("b", &["a"], "7", &[])],
                &["a"],
            ),
            (
                &[("a", &[], "end", &["b"]), ("b", &["a"], "start", &[])],
                none,
            ),
            (
                &[("a", &[], "end", &["b", "c"]), ("b", &["a"], "7", &[])],
                none,
            ),
            (&[("a", &[], "end", &[])], none),
            (
                &[
                    ("a", &[], "end", &["b"]),
                    ("b", &["a"], "end", &["c"]),
                    ("c", &["b"], "7", &[]),
                ],
                &["a"],
            ),
        ];
        for (of, wanted) in table {
            assert_eq!(removable(&rows(of)), *wanted, "{of:?}");
        }
    }
}
