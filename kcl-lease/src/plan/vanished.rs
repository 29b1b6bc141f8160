//! Leases that somebody deleted: what was known of the table, against what it shows now.
//!
//! Rows of unfinished shards are never deleted by this library, and neither their counters nor their
//! checkpoints go back. If one is gone, or is older than it was, then somebody deleted it or the whole table,
//! and what it said of the progress is lost. Going on would mean to read from the initial position as if nothing
//! had been.
//!
//! Pure. What is known comes from the planner's reads; the sync and the planner ask.

use std::collections::BTreeMap;

use kcl_core::model::{Checkpoint, Shard, ShardId};

use crate::row::LeaseRow;

/// The unfinished leases as last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(BTreeMap<ShardId, Last>);

#[derive(Clone, Debug)]
struct Last {
    counter: u64,
    checkpoint: Checkpoint,
}

/// A lease that is gone, as it was last known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) shard: ShardId,
    /// Whoever held it then, or has been granted it since, holds nothing.
    pub(crate) counter: u64,
    pub(crate) checkpoint: Checkpoint,
}

/// What is gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Vanished {
    pub(crate) leases: Vec<Gone>,
    /// Whether nothing is left of what was known: the table itself was replaced. A lease that nobody had taken
    /// says nothing: made anew, it is as it was.
    pub(crate) is_all: bool,
}

impl Known {
    /// Takes in a row that a read showed. A read that lags changes nothing.
    pub(crate) fn see(&mut self, row: &LeaseRow) {
        if row.is_ended() {
            self.0.remove(&row.shard);
            return;
        }
        if self
            .0
            .get(&row.shard)
            .is_some_and(|last| last.is_before(row))
        {
            return;
        }
        let last = Last {
            counter: row.counter,
            checkpoint: row.checkpoint.clone(),
        };
        self.0.insert(row.shard.clone(), last);
    }

    /// Which leases were replaced by older ones, by a consistent read that began after everything
    /// known was seen.
    pub(crate) fn replaced<'a>(&self, row: impl Fn(&ShardId) -> Option<&'a LeaseRow>) -> Vanished {
        self.judge(|shard, last| row(shard).is_some_and(|row| last.is_before(row)))
    }

    /// The same, and which are missing. One that the stream has forgotten may have been finished and
    /// removed while nobody looked, so only those of shards that are listed count. (Who holds one of the others misses
    /// it all the same, see `Holdings::miss`; that says nothing about the table.)
    pub(crate) fn vanished(
        &self,
        rows: &BTreeMap<ShardId, LeaseRow>,
        listed: &BTreeMap<ShardId, Shard>,
    ) -> Vanished {
        self.judge(|shard, last| match rows.get(shard) {
            Some(row) => last.is_before(row),
            None => listed.contains_key(shard),
        })
    }

    /// What was last known to be durable of a shard.
    pub(crate) fn checkpoint(&self, shard: &ShardId) -> Option<&Checkpoint> {
        self.0.get(shard).map(|last| &last.checkpoint)
    }

    fn judge(&self, is_gone: impl Fn(&ShardId, &Last) -> bool) -> Vanished {
        let is_fresh = |last: &Last| last.counter == 0;
        let stays = |(shard, last): (&ShardId, &Last)| !is_gone(shard, last) && !is_fresh(last);
        let stays = self.0.iter().any(stays);
        let gone = self.0.iter().filter(|(shard, last)| is_gone(shard, last));
        let leases: Vec<_> = gone
            .map(|(shard, last)| Gone {
                shard: shard.clone(),
                counter: last.counter,
                checkpoint: last.checkpoint.clone(),
            })
            .collect();
        Vanished {
            is_all: !leases.is_empty() && !stays,
            leases,
        }
    }

    /// Forgets what was told of.
    pub(crate) fn forget<'a>(&mut self, shards: impl IntoIterator<Item = &'a ShardId>) {
        for shard in shards {
            self.0.remove(shard);
        }
    }

    /// Forgets all but these.
    pub(crate) fn retain(&mut self, stays: impl Fn(&ShardId) -> bool) {
        self.0.retain(|shard, _| stays(shard));
    }
}

impl Last {
    /// Whether this row is not the one that was seen: an older state of it, or another. One that was made anew
    /// may have been taken as often since, but it has begun from the start.
    fn is_before(&self, row: &LeaseRow) -> bool {
        row.counter < self.counter || row.checkpoint < self.checkpoint
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::model::HashKeyRange;

    use super::*;

    fn shard(name: &str) -> Shard {
        Shard {
            id: name.into(),
            parents: Vec::new(),
            range: HashKeyRange { start: 0, end: 9 },
            open: true,
        }
    }

    fn row(name: &str, counter: u64) -> LeaseRow {
        LeaseRow {
            counter,
            ..LeaseRow::fresh(&shard(name), Checkpoint::TrimHorizon)
        }
    }

    fn known(rows: &[LeaseRow]) -> Known {
        let mut known = Known::default();
        rows.iter().for_each(|row| known.see(row));
        known
    }

    fn judged(known: &Known, rows: &[LeaseRow], listed: &[&str]) -> (Vec<String>, bool) {
        let rows = rows.iter().map(|row| (row.shard.clone(), row.clone()));
        let listed = listed.iter().map(|name| (ShardId::new(name), shard(name)));
        let gone = known.vanished(&rows.collect(), &listed.collect());
        let names = gone.leases.iter().map(|gone| gone.shard.to_string());
        (names.collect(), gone.is_all)
    }

    #[test]
    fn a_row_that_is_missing_or_older_than_it_was_has_vanished() {
        let known = known(&[row("a", 3), row("b", 5)]);
        let all = ["a", "b"];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let cases: [(&[LeaseRow], &[&str], bool); 5] = [
            (&[row("a", 3), row("b", 6)], &[], false),
            (&[row("a", 3)], &["b"], false),
            (&[row("a", 0), row("b", 5)], &["a"], false),
            (&[row("a", 0)], &["a", "b"], true),
            (&[], &["a", "b"], true),
        ];
        for (rows, gone, is_all) in cases {
            assert_eq!(
                judged(&known, rows, &all),
                (names(gone), is_all),
                "{rows:?}"
            );
        }
    }

    #[test]
    fn a_table_is_gone_although_leases_that_nobody_had_taken_look_as_they_did() {
        let known = known(&[row("a", 3), row("b", 0)]);
        let all = ["a", "b"];
        let made_again = [row("a", 0), row("b", 0)];
        assert_eq!(
            judged(&known, &made_again, &all),
            (vec!["a".to_owned()], true)
        );
        let as_it_was = [row("a", 3), row("b", 0)];
        assert_eq!(judged(&known, &as_it_was, &all), (Vec::new(), false));
    }

    #[test]
    fn what_ended_or_was_forgotten_by_the_stream_has_not_vanished() {
        let mut ended = row("a", 4);
        ended.checkpoint = Checkpoint::ShardEnd;
        let mut known = known(&[row("a", 3), ended, row("b", 1)]);
        assert_eq!(judged(&known, &[], &["a"]), (Vec::new(), false));
        let (unlisted, _) = judged(&known, &[], &[]);
        assert_eq!(unlisted, [] as [String; 0]);
        known.retain(|_| false);
        assert_eq!(judged(&known, &[], &["a", "b"]), (Vec::new(), false));
    }

    #[test]
    fn a_row_that_was_made_anew_and_taken_as_often_since_has_vanished() {
        let at = |counter, sequence: &str| LeaseRow {
            checkpoint: Checkpoint::Sequence {
                sequence: sequence.parse().expect("a number"),
                subsequence: 0,
            },
            ..row("a", counter)
        };
        let known = known(&[at(1, "5")]);
        let cases = [
            (row("a", 1), true),
            (at(1, "4"), true),
            (at(1, "5"), false),
            (at(1, "6"), false),
            (row("a", 2), true),
        ];
        for (now, is_gone) in cases {
            assert_eq!(
                known.replaced(|_| Some(&now)).leases.len(),
                usize::from(is_gone),
                "{now:?}"
            );
        }
    }

    #[test]
    fn a_read_that_lags_takes_nothing_back() {
        let known = known(&[row("a", 7), row("a", 6)]);
        let older = row("a", 6);
        let gone = known.replaced(|_| Some(&older));
        assert_eq!(gone.leases.len(), 1);
        assert!(known.replaced(|_| None).leases.is_empty());
    }
}
