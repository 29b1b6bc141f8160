//! Which rows of finished shards may go, by the KCL's own rule. Pure.

use std::collections::BTreeMap;

use kcl_core::model::{ShardId, WorkerId};

use super::row::JavaRow;

/// The finished leases whose children have all been started, and whose parents' leases are gone.
///
/// The KCL deletes them while the stream still lists their shards, and so does this: neither makes the
/// lease of a shard anew of which a child has one. Those that another worker holds are left to it: a Java
/// worker that stops while its leases vanish takes that for a failure.
pub(crate) fn removable(rows: &BTreeMap<ShardId, JavaRow>, me: &WorkerId) -> Vec<ShardId> {
    let is_started = |id| rows.get(id).is_some_and(JavaRow::is_started);
    rows.values()
        .filter(|row| row.is_ended() && !row.lease.children.is_empty())
        .filter(|row| row.holder().is_none_or(|holder| holder == me))
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

    /// Name, parents, checkpoint, children, holder.
    type Written<'a> = (&'a str, &'a [&'a str], &'a str, &'a [&'a str], &'a str);

    fn row((name, parents, checkpoint, children, holder): &Written<'_>) -> (ShardId, JavaRow) {
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
        lease.owner = WorkerId::new(holder).ok().map(|id| JavaRow::owner(&id));
        let row = JavaRow {
            lease,
            checkpoint_owner: None,
        };
        (shard.id, row)
    }

    #[test]
    fn each_table_has_its_finished_leases_to_remove() {
        let started: Written<'_> = ("b", &["a"], "7", &[], "other");
        let end = |holder| ("a", &[][..], "end", &["b"][..], holder);
        let table: [(&[Written<'_>], &[&str]); 7] = [
            (&[end("me"), started], &["a"]),
            (&[end(""), started], &["a"]),
            (&[end("other"), started], &[]),
            (&[end("me"), ("b", &["a"], "start", &[], "")], &[]),
            (&[("a", &[], "end", &["b", "c"], "me"), started], &[]),
            (&[("a", &[], "end", &[], "me")], &[]),
            (
                &[
                    end("me"),
                    ("b", &["a"], "end", &["c"], "me"),
                    ("c", &["b"], "7", &[], "me"),
                ],
                &["a"],
            ),
        ];
        let me = WorkerId::new("me").unwrap();
        for (of, wanted) in table {
            let rows = of.iter().map(row).collect();
            let wanted: Vec<ShardId> = wanted.iter().map(ShardId::new).collect();
            assert_eq!(removable(&rows, &me), wanted, "{of:?}");
        }
    }
}
