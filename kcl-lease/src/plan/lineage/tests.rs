//! Random lives of streams: whatever is discovered in whatever order, no child before its parents,
//! nothing skipped, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use kcl_core::model::{Checkpoint, HashKeyRange, Shard, ShardId};
use proptest::prelude::*;

use super::{Known, Start, after, missing, needs_start, rests_on_absence};
use crate::plan::cleanup;
use crate::row::LeaseRow;

fn time(tick: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(tick)
}

/// A stream, its table, and what happened to each shard.
#[derive(Debug, Default)]
struct Life {
    tick: u64,
    listed: BTreeMap<ShardId, Shard>,
    closed: BTreeMap<ShardId, u64>,
    all: BTreeMap<ShardId, Shard>,
    rows: BTreeMap<ShardId, LeaseRow>,
    finished: BTreeSet<ShardId>,
    /// Where the application starts, once it has.
    start: Option<u64>,
}

impl Life {
    fn open(&mut self, parents: &[ShardId]) {
        let id = ShardId::new(format!("s-{:03}", self.all.len()));
        let range = HashKeyRange { start: 0, end: 1 };
        let shard = Shard {
            id: id.clone(),
            parents: parents.to_vec(),
            range,
            open: true,
        };
        self.all.insert(id.clone(), shard.clone());
        self.listed.insert(id, shard);
    }

    fn close(&mut self, id: &ShardId) {
        self.closed.insert(id.clone(), self.tick);
        self.all.get_mut(id).unwrap().open = false;
        self.listed.get_mut(id).unwrap().open = false;
    }

    fn reshard(&mut self, rng: &mut fastrand::Rng) {
        let mut open: Vec<_> = self
            .listed
            .values()
            .filter(|s| s.open)
            .map(|s| s.id.clone())
            .collect();
        rng.shuffle(&mut open);
        match open.as_slice() {
            [a, b, ..] if rng.bool() => {
                self.close(a);
                self.close(b);
                self.open(&[a.clone(), b.clone()]);
            }
            [a, ..] => {
                self.close(a);
                self.open(std::slice::from_ref(a));
                self.open(std::slice::from_ref(a));
            }
            [] => {}
        }
    }

    fn needed(&self, id: &ShardId) -> bool {
        let start = self.start.unwrap_or(0);
        self.closed.get(id).is_none_or(|closed| *closed >= start)
    }

    fn create(&mut self, row: LeaseRow, at_time: bool) {
        if self.rows.contains_key(&row.shard) {
            return;
        }
        assert!(
            !self.finished.contains(&row.shard),
            "{} is read again",
            row.shard
        );
        for parent in &row.parents {
            let fine = self.rows.contains_key(parent)
                || !self.listed.contains_key(parent)
                || (at_time && !self.needed(parent));
            assert!(fine, "{} has a row before {parent}", row.shard);
        }
        self.rows.insert(row.shard.clone(), row);
    }

    /// A worker syncs, and may die over it.
    fn sync(&mut self, at_time: bool, rng: &mut fastrand::Rng, whole: bool) {
        let start = match (at_time, self.start) {
            (false, _) => {
                self.start = Some(0);
                Start::TrimHorizon
            }
            (true, start) => {
                let tick = start.unwrap_or(self.tick);
                self.start = Some(tick);
                let covering = |id: &&ShardId| self.closed.get(*id).is_none_or(|c| *c >= tick);
                let covering = self.listed.keys().filter(covering).cloned().collect();
                Start::At {
                    time: time(tick),
                    covering,
                }
            }
        };
        let known = Known {
            rows: &self.rows,
            listed: &self.listed,
        };
        for wave in missing(known, &start) {
            let mut wave = wave;
            rng.shuffle(&mut wave);
            let made = if whole {
                wave.len()
            } else {
                rng.usize(0..=wave.len())
            };
            let died = made < wave.len();
            for row in wave.into_iter().take(made) {
                self.create(row, at_time);
            }
            if died {
                return;
            }
        }
    }

    fn readable(&self) -> Vec<ShardId> {
        let done = |id: &ShardId| self.rows.get(id).is_none_or(LeaseRow::is_ended);
        let rows = self
            .rows
            .values()
            .filter(|row| !row.is_ended() && row.parents.iter().all(done));
        rows.map(|row| row.shard.clone()).collect()
    }

    /// A worker reads a closed shard to its end, and may die before it made the children's rows.
    fn finish(&mut self, rng: &mut fastrand::Rng, at_time: bool, careful: bool) {
        let mut ends: Vec<_> = self
            .readable()
            .into_iter()
            .filter(|id| self.closed.contains_key(id))
            .collect();
        rng.shuffle(&mut ends);
        let Some(id) = ends.pop() else { return };
        for ancestor in &self.all[&id].parents {
            let unread = self.needed(ancestor) && !self.finished.contains(ancestor);
            assert!(!unread, "{id} is read before {ancestor}");
        }
        let children: Vec<_> = self
            .all
            .values()
            .filter(|child| child.parents.contains(&id))
            .cloned()
            .collect();
        for child in &children {
            let ready = child
                .parents
                .iter()
                .all(|parent| self.rows.contains_key(parent));
            if ready {
                if !careful && rng.u8(0..4) == 0 {
                    return;
                }
                self.create(
                    LeaseRow::fresh(child, after([&self.rows[&id].checkpoint])),
                    at_time,
                );
            }
        }
        let row = self.rows.get_mut(&id).unwrap();
        row.checkpoint = Checkpoint::ShardEnd;
        row.children = children.into_iter().map(|child| child.id).collect();
        assert!(self.finished.insert(id));
    }

    /// The service forgets a shard that was read, and rows that are not needed go.
    fn age(&mut self) {
        let old = self.listed.keys().find(|id| {
            self.closed.contains_key(*id)
                && (self.finished.contains(*id) || !self.needed(id))
                && self.start.is_some()
                && self.all[*id]
                    .parents
                    .iter()
                    .all(|parent| !self.listed.contains_key(parent))
        });
        if let Some(old) = old.cloned() {
            self.listed.remove(&old);
        }
        for (id, _) in cleanup::removable(&self.rows, &self.listed) {
            self.rows.remove(&id);
        }
    }
}

fn live(seed: u64, at_time: bool) -> Life {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut life = Life::default();
    for _ in 0..rng.usize(1..5) {
        life.open(&[]);
    }
    for _ in 0..60 {
        life.tick += 1;
        match rng.u8(0..10) {
            0..2 => life.reshard(&mut rng),
            2..5 => life.sync(at_time, &mut rng, false),
            5..8 => life.finish(&mut rng, at_time, false),
            _ => life.age(),
        }
    }
    for _ in 0..300 {
        life.sync(at_time, &mut rng, true);
        life.finish(&mut rng, at_time, true);
    }
    life
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_shard_is_read_once_and_after_its_parents(seed: u64, at_time: bool) {
        let life = live(seed, at_time);
        for (id, shard) in &life.all {
            if shard.open {
                let row = life.rows.get(id);
                prop_assert!(row.is_some(), "{} has no row", id);
            } else if life.needed(id) {
                prop_assert!(life.finished.contains(id), "{} was skipped", id);
            } else {
                prop_assert!(!life.finished.contains(id), "{} was read, and lies before the start", id);
            }
        }
        // Only what was there at the start begins at a time.
        for row in life.rows.values() {
            if let Checkpoint::AtTimestamp(at) = row.checkpoint {
                prop_assert!(at_time);
                prop_assert_eq!(at, time(life.start.unwrap()));
            }
        }
    }
}

fn shard(name: &str, parents: &[&str], open: bool) -> (ShardId, Shard) {
    let id = ShardId::new(name);
    let parents = parents.iter().map(ShardId::new).collect();
    (
        id.clone(),
        Shard {
            id,
            parents,
            range: HashKeyRange { start: 0, end: 1 },
            open,
        },
    )
}

fn names(waves: &[Vec<LeaseRow>]) -> Vec<Vec<&str>> {
    let name =
        |row: &LeaseRow| -> &'static str { Box::leak(row.shard.to_string().into_boxed_str()) };
    waves
        .iter()
        .map(|wave| wave.iter().map(name).collect())
        .collect()
}

#[test]
fn a_first_start_makes_rows_generation_by_generation() {
    let listed = BTreeMap::from([
        shard("a", &["expired"], false),
        shard("b", &[], false),
        shard("m", &["a", "b"], false),
        shard("x", &["m"], true),
        shard("y", &["m"], true),
    ]);
    let rows = BTreeMap::new();
    let known = Known {
        rows: &rows,
        listed: &listed,
    };
    let waves = missing(known, &Start::TrimHorizon);
    assert_eq!(names(&waves), [vec!["a", "b"], vec!["m"], vec!["x", "y"]]);
    assert!(needs_start(known));
    assert!(
        rests_on_absence(known, &waves),
        "the parent of a is not listed"
    );

    let covering = BTreeSet::from(["x".into(), "y".into()]);
    let latest = missing(
        known,
        &Start::At {
            time: time(9),
            covering,
        },
    );
    assert_eq!(names(&latest), [["x", "y"]]);
    assert!(
        latest[0]
            .iter()
            .all(|row| row.checkpoint == Checkpoint::AtTimestamp(time(9)))
    );
}

/// The list was old: `a` had been closed before the start, with children of its own.
#[test]
fn what_follows_on_a_shard_that_waits_at_the_start_waits_there_too() {
    let listed = BTreeMap::from([
        shard("a", &[], false),
        shard("b", &["a"], false),
        shard("c", &["b"], true),
    ]);
    let start = Start::At {
        time: time(9),
        covering: BTreeSet::new(),
    };
    let first = |checkpoint: Checkpoint| {
        let row = LeaseRow::fresh(&listed[&ShardId::new("a")], checkpoint);
        let rows = BTreeMap::from([(row.shard.clone(), row)]);
        let known = Known {
            rows: &rows,
            listed: &listed,
        };
        let waves = missing(known, &start);
        assert_eq!(names(&waves), [["b"], ["c"]]);
        waves.concat().into_iter().map(|row| row.checkpoint)
    };
    let (at, origin) = (Checkpoint::AtTimestamp(time(9)), Checkpoint::TrimHorizon);
    assert!(first(at.clone()).all(|start| start == at));
    assert!(first(Checkpoint::ShardEnd).all(|start| start == origin));
    assert!(first(origin.clone()).all(|start| start == origin));

    let later = Checkpoint::AtTimestamp(time(10));
    assert_eq!(after([&at, &at]), at);
    assert_eq!(after([&at, &later]), origin, "nobody knows which is right");
    assert_eq!(after([&at, &Checkpoint::ShardEnd]), origin);
    assert_eq!(after([]), origin);
}

#[test]
fn a_merge_waits_for_the_row_of_its_late_parent() {
    let listed = BTreeMap::from([
        shard("a", &[], false),
        shard("late", &[], false),
        shard("m", &["a", "late"], true),
    ]);
    let row = LeaseRow::fresh(&listed[&ShardId::new("a")], Checkpoint::TrimHorizon);
    let rows = BTreeMap::from([(row.shard.clone(), row)]);
    let waves = missing(
        Known {
            rows: &rows,
            listed: &listed,
        },
        &Start::TrimHorizon,
    );
    assert_eq!(names(&waves), [["late"], ["m"]]);
}

#[test]
fn a_finished_ancestor_is_never_made_again() {
    let listed = BTreeMap::from([
        shard("grandparent", &[], false),
        shard("parent", &["grandparent"], false),
        shard("child", &["parent"], true),
    ]);
    let row = LeaseRow::fresh(&listed[&ShardId::new("child")], Checkpoint::TrimHorizon);
    let rows = BTreeMap::from([(row.shard.clone(), row)]);
    let known = Known {
        rows: &rows,
        listed: &listed,
    };
    assert_eq!(
        missing(known, &Start::TrimHorizon),
        [] as [Vec<LeaseRow>; 0]
    );
    assert!(!needs_start(known));
}

#[test]
fn a_lineage_of_ten_thousand_generations_and_a_ring_are_no_problem() {
    let mut listed = BTreeMap::from([shard("s-00000", &[], false)]);
    for n in 1..10_000 {
        let parent = format!("s-{:05}", n - 1);
        listed.extend([shard(&format!("s-{n:05}"), &[&parent], false)]);
    }
    let rows = BTreeMap::new();
    let waves = missing(
        Known {
            rows: &rows,
            listed: &listed,
        },
        &Start::TrimHorizon,
    );
    assert_eq!(waves.len(), 10_000);
    let ring = BTreeMap::from([shard("a", &["b"], false), shard("b", &["a"], false)]);
    let waves = missing(
        Known {
            rows: &rows,
            listed: &ring,
        },
        &Start::TrimHorizon,
    );
    assert_eq!(waves.iter().flatten().count(), 2);
}
