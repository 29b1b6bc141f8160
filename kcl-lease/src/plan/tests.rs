//! Fleets that plan: they converge, take disjoint sets, and then keep still.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::model::{Checkpoint, HashKeyRange, Shard, ShardId, WorkerId};
use proptest::prelude::*;
use tokio::time::Instant;

use super::classes::Reads;
use super::view::{Observer, Seen, View};
use super::{Me, Plan, plan};
use crate::row::{Capacity, Incarnation, LeaseRow, Owner, Row, WorkerKey, WorkerRow};

const LEASE_TIME: Duration = Duration::from_secs(10);

pub(super) fn key(n: u64) -> WorkerKey {
    WorkerKey {
        worker: WorkerId::new(format!("w{n:03}")).unwrap(),
        incarnation: Incarnation::random(&mut fastrand::Rng::with_seed(n)),
    }
}

fn lease(n: usize) -> LeaseRow {
    let shard = Shard {
        id: ShardId::new(format!("s-{n:04}")),
        parents: vec![],
        range: HashKeyRange { start: 0, end: 1 },
        open: true,
    };
    LeaseRow::fresh(&shard, Checkpoint::TrimHorizon)
}

/// A table and its workers, seen by all in the same way.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    pub(super) now: Instant,
    pub(super) leases: BTreeMap<ShardId, LeaseRow>,
    pub(super) workers: BTreeMap<WorkerKey, Member>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    pub(super) leases_max: Option<u32>,
    pub(super) leaving: bool,
    pub(super) held: BTreeMap<ShardId, bool>,
    pub(super) reads: Reads,
}

impl Fleet {
    fn new(now: Instant, leases: usize, maxima: &[Option<u32>]) -> Self {
        let member = |max: &Option<u32>| Member {
            leases_max: *max,
            ..Member::default()
        };
        Self {
            now,
            leases: (0..leases)
                .map(|n| (lease(n).shard.clone(), lease(n)))
                .collect(),
            workers: maxima
                .iter()
                .zip(0..)
                .map(|(max, n)| (key(n), member(max)))
                .collect(),
        }
    }

    pub(super) fn view(&self) -> View {
        let since = self.now;
        let seen = |row: &LeaseRow| Seen {
            row: row.clone(),
            since,
        };
        let worker = |(key, member): (&WorkerKey, &Member)| {
            let row = WorkerRow {
                key: key.clone(),
                counter: 0,
                leaving: member.leaving,
                lease_time: LEASE_TIME,
                leases_max: member.leases_max,
                capacity: Some(Capacity::ONE),
                load: None,
                serves: match &member.reads {
                    Reads::Single | Reads::Unknown => None,
                    Reads::Several(set) => Some(set.key().clone()),
                },
            };
            (key.clone(), Seen { row, since })
        };
        let sets = self
            .workers
            .values()
            .filter_map(|member| match &member.reads {
                Reads::Single | Reads::Unknown => None,
                Reads::Several(set) => Some((set.key().clone(), set.clone())),
            });
        View {
            leases: self
                .leases
                .iter()
                .map(|(id, row)| (id.clone(), seen(row)))
                .collect(),
            workers: self.workers.iter().map(worker).collect(),
            streams: sets.collect(),
            ..View::default()
        }
    }

    pub(super) fn plans(&self) -> BTreeMap<WorkerKey, Plan> {
        let view = self.view();
        let plan_of = |(key, member): (&WorkerKey, &Member)| {
            let me = Me {
                key: key.clone(),
                held: member.held.clone(),
                taking: !member.leaving,
                leases_max: member.leases_max,
                capacity: Capacity::ONE,
                own: None,
                silent: BTreeSet::new(),
                reads: member.reads.clone(),
                watch: None,
                foreign_patience: LEASE_TIME,
            };
            (key.clone(), plan(&view, &me, self.now))
        };
        self.workers.iter().map(plan_of).collect()
    }

    /// All plan on one view; then all is carried out. Answers how many moves there were.
    pub(super) fn round(&mut self, release_some: &mut fastrand::Rng) -> usize {
        let plans = self.plans();
        let mut moves = 0;
        let mut taken = BTreeSet::new();
        for (key, plan) in plans {
            for pick in plan.take {
                assert!(
                    taken.insert(pick.row.shard.clone()),
                    "two took {}",
                    pick.row.shard
                );
                let row = self.leases.get_mut(&pick.row.shard).unwrap();
                row.owner = Some(key.clone().into());
                row.counter += 1;
                self.workers
                    .get_mut(&key)
                    .unwrap()
                    .held
                    .insert(pick.row.shard, false);
                moves += 1;
            }
            for shard in plan.give_up {
                self.workers.get_mut(&key).unwrap().held.insert(shard, true);
                moves += 1;
            }
        }
        for member in self.workers.values_mut() {
            let going: Vec<_> = member
                .held
                .iter()
                .filter(|(_, going)| **going || member.leaving)
                .map(|(id, _)| id.clone())
                .collect();
            for shard in going {
                // Draining takes its time.
                if release_some.bool() {
                    member.held.remove(&shard);
                    let row = self.leases.get_mut(&shard).unwrap();
                    row.owner = None;
                    row.counter += 1;
                    moves += 1;
                }
            }
        }
        moves
    }

    /// Until nothing moves and nothing is on its way.
    pub(super) fn settle(&mut self, rng: &mut fastrand::Rng) -> usize {
        let mut moves = 0;
        for _ in 0..100 {
            let now = self.round(rng);
            moves += now;
            let going = |m: &Member| m.held.values().any(|going| *going || m.leaving);
            let draining = self.workers.values().any(going);
            if now == 0 && !draining {
                return moves;
            }
        }
        panic!("the fleet does not settle: {self:?}");
    }

    fn counts(&self) -> Vec<usize> {
        let sharing = self.workers.values().filter(|member| !member.leaving);
        sharing.map(|member| member.held.len()).collect()
    }
}

fn spread(counts: &[usize]) -> usize {
    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_fleet_converges_to_even_shares_and_then_keeps_still(
        leases in 0_usize..60, workers in 1_usize..9, joining in 0_u64..4, leaving in 0_usize..3,
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut fleet = Fleet::new(Instant::now(), leases, &vec![None; workers]);
        let moves = fleet.settle(&mut rng);
        prop_assert_eq!(moves, leases, "each lease is taken once");
        prop_assert!(spread(&fleet.counts()) <= 1);

        for n in 0..joining {
            let member = Member::default();
            fleet.workers.insert(key(100 + n), member);
        }
        for member in fleet.workers.values_mut().take(leaving.min(workers - 1)) {
            member.leaving = true;
        }
        fleet.settle(&mut rng);
        let counts = fleet.counts();
        prop_assert!(spread(&counts) <= 1, "{:?}", counts);
        prop_assert_eq!(counts.iter().sum::<usize>(), leases);
        for _ in 0..5 {
            prop_assert_eq!(fleet.round(&mut rng), 0);
        }
    }

    #[test]
    fn full_workers_leave_the_rest_to_the_others(
        leases in 0_usize..60, maxima in prop::collection::vec(prop::option::of(1_u32..12), 1..7),
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut fleet = Fleet::new(Instant::now(), leases, &maxima);
        fleet.settle(&mut rng);
        let room: usize = maxima.iter().map(|max| max.map_or(leases, |max| max as usize)).sum();
        let counts = fleet.counts();
        prop_assert_eq!(counts.iter().sum::<usize>(), leases.min(room));
        let mut with_room = Vec::new();
        for (count, max) in counts.iter().zip(&maxima) {
            let max = max.map_or(usize::MAX, |max| max as usize);
            prop_assert!(*count <= max);
            if *count < max {
                with_room.push(*count);
            }
        }
        // Who has room has as much as anyone, give or take one.
        for count in &with_room {
            prop_assert!(counts.iter().all(|other| *other <= count + 1), "{:?}", counts);
        }
    }

    #[test]
    fn joining_moves_no_more_than_it_must(leases in 1_usize..60, workers in 1_usize..8, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut fleet = Fleet::new(Instant::now(), leases, &vec![None; workers]);
        fleet.settle(&mut rng);
        let member = Member::default();
        fleet.workers.insert(key(100), member);
        let moves = fleet.settle(&mut rng);
        // Each moved lease is given up, released and taken.
        prop_assert_eq!(moves, 3 * (leases / (workers + 1)));
    }
}

/// One worker's view of a table with the given owners, some time after it was first seen.
fn seen_after(
    still: Duration,
    owners: &[Option<WorkerKey>],
    workers: &[WorkerKey],
) -> (View, Instant) {
    let since = Instant::now();
    let now = since + still;
    let mut fleet = Fleet::new(since, owners.len(), &[]);
    for (row, owner) in fleet.leases.values_mut().zip(owners) {
        row.owner = owner.clone().map(Owner::from);
    }
    let member = Member::default();
    fleet.workers = workers
        .iter()
        .map(|key| (key.clone(), member.clone()))
        .collect();
    (fleet.view(), now)
}

fn me(n: u64) -> Me {
    Me {
        key: key(n),
        held: BTreeMap::new(),
        taking: true,
        leases_max: None,
        capacity: Capacity::ONE,
        own: None,
        silent: BTreeSet::new(),
        reads: Reads::Single,
        watch: None,
        foreign_patience: LEASE_TIME,
    }
}

#[test]
fn a_worker_is_dead_when_it_stood_still_for_a_whole_lease_time_and_not_before() {
    let other = key(9);
    let just_before = LEASE_TIME - Duration::from_millis(1);
    let (view, now) = seen_after(
        just_before,
        &[Some(other.clone())],
        std::slice::from_ref(&other),
    );
    let plan_before = plan(&view, &me(1), now);
    assert!(
        plan_before.evict.is_empty() && plan_before.take.is_empty(),
        "{plan_before:?}"
    );
    assert_eq!(plan_before.wake_at, Some(now + Duration::from_millis(1)));

    let (view, now) = seen_after(
        LEASE_TIME,
        &[Some(other.clone())],
        std::slice::from_ref(&other),
    );
    let plan_after = plan(&view, &me(1), now);
    assert_eq!(plan_after.evict, BTreeMap::from([(other.clone(), Some(0))]));
    assert_eq!(plan_after.take[0].after, Some(other), "only with the proof");
}

#[test]
fn an_owner_without_a_row_must_be_proven_dead_first() {
    let ghost = key(9);
    let (view, now) = seen_after(Duration::ZERO, &[Some(ghost.clone())], &[]);
    let plan = plan(&view, &me(1), now);
    assert_eq!(plan.evict, BTreeMap::from([(ghost.clone(), None)]));
    assert_eq!(plan.take[0].after, Some(ghost));
}

#[test]
fn a_lease_of_another_library_is_taken_when_its_own_counter_stands_still() {
    let (mut view, now) = seen_after(Duration::from_secs(1), &[None], &[]);
    let seen = view.leases.values_mut().next().unwrap();
    seen.row.owner = Some(Owner {
        worker: WorkerId::new("java").unwrap(),
        incarnation: None,
    });
    assert!(plan(&view, &me(1), now).take.is_empty());
    assert_eq!(plan(&view, &me(1), now + LEASE_TIME).take.len(), 1);
}

#[test]
fn a_child_waits_for_every_parent_that_has_a_row_and_unseen_parents_are_looked_up() {
    let (mut view, now) = seen_after(Duration::ZERO, &[None, None, None], &[]);
    let ids: Vec<_> = view.leases.keys().cloned().collect();
    let gone = ShardId::new("long-gone");
    view.leases.get_mut(&ids[2]).unwrap().row.parents =
        [ids[0].clone(), ids[1].clone(), gone.clone()].into();
    let picked = |view: &View| -> Vec<ShardId> {
        plan(view, &me(1), now)
            .take
            .into_iter()
            .map(|pick| pick.row.shard)
            .collect()
    };
    assert_eq!(picked(&view), ids[..2]);
    view.leases.get_mut(&ids[0]).unwrap().row.checkpoint = Checkpoint::ShardEnd;
    assert_eq!(picked(&view), ids[1..2], "one parent is not enough");
    view.leases.get_mut(&ids[1]).unwrap().row.checkpoint = Checkpoint::ShardEnd;
    assert_eq!(picked(&view), ids[2..]);
    assert_eq!(plan(&view, &me(1), now).take[0].unseen_parents, [gone]);
}

#[test]
fn an_offer_that_stands_goes_to_the_next_in_line() {
    let (sleepy, mine) = (key(0), key(1));
    let (view, now) = seen_after(Duration::ZERO, &[None], &[sleepy.clone(), mine.clone()]);
    let mut observer = Observer::default();
    let limits = (Duration::from_secs(3), Duration::from_secs(30));
    let first = plan(&view, &me(1), now);
    assert_eq!(first.offers.values().collect::<Vec<_>>(), [&sleepy]);
    assert!(!observer.offered(&view, &first, &mine, now, limits));
    let later = now + Duration::from_secs(3);
    assert!(
        observer.offered(&view, &first, &mine, later, limits),
        "it is passed over"
    );
    let view = View {
        idle: observer.idle().clone(),
        ..view
    };
    assert_eq!(plan(&view, &me(1), later).take.len(), 1);
}

#[test]
fn an_older_read_does_not_bring_back_what_was_before_our_own_write() {
    let now = Instant::now();
    let mut observer = Observer::default();
    let old = lease(1);
    let mut ours = old.clone();
    ours.counter = 5;
    observer.wrote(ours.clone(), now);
    let view = observer.observe(vec![Row::Lease(old.clone())], now);
    assert_eq!(view.leases[&old.shard].row, ours);
    let view = observer.observe(vec![], now);
    assert_eq!(
        view.leases[&old.shard].row, ours,
        "nor does one that lacks the row"
    );
    let newer = LeaseRow {
        counter: 6,
        ..old.clone()
    };
    let view = observer.observe(vec![Row::Lease(newer.clone())], now);
    assert_eq!(view.leases[&old.shard].row, newer);
}

#[test]
fn a_counter_that_moved_is_counted_anew() {
    let mut observer = Observer::default();
    let began = Instant::now();
    let row = |counter| {
        Row::Worker(WorkerRow {
            key: key(1),
            counter,
            leaving: false,
            lease_time: LEASE_TIME,
            leases_max: None,
            capacity: None,
            load: None,
            serves: None,
        })
    };
    let second = Duration::from_secs(1);
    observer.observe(vec![row(1)], began);
    let still = observer.observe(vec![row(1)], began + second);
    assert_eq!(still.workers[&key(1)].since, began);
    let moved = observer.observe(vec![row(2)], began + second * 2);
    assert_eq!(moved.workers[&key(1)].since, began + second * 2);
}
