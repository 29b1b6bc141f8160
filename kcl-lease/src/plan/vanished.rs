//! Leases that somebody deleted: what was known of the table, against what it shows now.
//!
//! Rows of unfinished shards are never deleted by this library, and neither their counters nor their
//! checkpoints go back. If one is gone, or is older than it was, then somebody deleted it or the whole table,
//! and what it said of the progress is lost. Going on would mean to read from the initial position as if nothing
//! had been.
//!
//! Pure. What is known comes from the planner's reads; the sync and the planner ask.

use std::collections::BTreeMap;

use kcl_core::model::{Checkpoint, ShardId};

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

    /// Which leases were replaced by older ones or are missing, by a consistent read that began after everything
    /// known was seen. One that is missing may have been finished and removed while nobody looked, so only those count
    /// of which `is_needed` says that nobody can have: the stream has the shard, or it is held and not being finished.
    pub(crate) fn vanished<'a>(
        &self,
        row: impl Fn(&ShardId) -> Option<&'a LeaseRow>,
        is_needed: impl Fn(&ShardId) -> bool,
    ) -> Vanished {
        self.judge(|shard, last| match row(shard) {
            Some(row) => last.is_before(row),
            None => is_needed(shard),
        })
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
    use kcl_core::model::{HashKeyRange, Shard};

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
        let row = |shard: &ShardId| rows.iter().find(|row| row.shard == *shard);
        let is_needed = |shard: &ShardId| listed.iter().any(|name| *shard == ShardId::new(name));
        let gone = known.vanished(row, is_needed);
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
                known.vanished(|_| Some(&now), |_| true).leases.len(),
                usize::from(is_gone),
                "{now:?}"
            );
        }
    }

    #[test]
    fn a_read_that_lags_takes_nothing_back() {
        let known = known(&[row("a", 7), row("a", 6)]);
        let older = row("a", 6);
        let gone = known.vanished(|_| Some(&older), |_| false);
        assert_eq!(gone.leases.len(), 1);
        assert!(known.vanished(|_| None, |_| false).leases.is_empty());
    }
}
