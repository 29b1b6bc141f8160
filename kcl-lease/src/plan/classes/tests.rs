//! Fleets whose workers read different streams: everybody gets of its own alone, evenly, and then keeps still.

use std::time::Duration;

use kcl_core::model::{Checkpoint, HashKeyRange, Shard};
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::plan::tests::{Fleet, Member, key};
use crate::plan::view::Observer;
use crate::row::{LeaseRow, Owner, Row};

const STREAMS: [&str; 4] = ["a", "b", "c", "d"];

fn stream(n: usize) -> StreamName {
    StreamName::new(STREAMS[n]).unwrap()
}

fn reads(streams: impl IntoIterator<Item = usize>) -> Reads {
    Reads::Several(StreamSet::new(streams.into_iter().map(stream)))
}

/// The streams whose bits are set.
fn subset(bits: u8) -> Reads {
    reads((0..STREAMS.len()).filter(|n| bits & (1 << n) != 0))
}

fn lease(of: usize, n: usize) -> LeaseRow {
    let shard = Shard {
        id: format!("s-{n:04}").as_str().into(),
        parents: vec![],
        range: HashKeyRange { start: 0, end: 1 },
        open: true,
    };
    LeaseRow::fresh(&shard.of(&stream(of)), Checkpoint::TrimHorizon)
}

fn add_leases(fleet: &mut Fleet, of: usize, count: usize) {
    let rows = (0..count).map(|n| lease(of, n));
    let rows = rows.map(|row| (row.shard.clone(), row));
    fleet.leases.extend(rows);
}

/// So many leases of each stream, and workers that read these.
fn fleet(leases: &[usize], workers: &[Reads]) -> Fleet {
    let mut fleet = Fleet {
        now: Instant::now(),
        leases: BTreeMap::new(),
        workers: BTreeMap::new(),
    };
    for (of, count) in leases.iter().enumerate() {
        add_leases(&mut fleet, of, *count);
    }
    for (n, reads) in (0..).zip(workers) {
        let member = Member {
            reads: reads.clone(),
            ..Member::default()
        };
        fleet.workers.insert(key(n), member);
    }
    fleet
}

fn is_served(fleet: &Fleet, shard: &ShardId) -> bool {
    let mut workers = fleet.workers.values();
    workers.any(|member| !member.leaving && member.reads.covers(shard.stream()))
}

fn served(fleet: &Fleet) -> usize {
    let leases = fleet.leases.keys();
    leases.filter(|shard| is_served(fleet, shard)).count()
}

/// What holds of every settled fleet.
fn check(fleet: &mut Fleet, rng: &mut fastrand::Rng) -> Result<(), TestCaseError> {
    let mut held = BTreeSet::new();
    for member in fleet.workers.values() {
        for shard in member.held.keys() {
            prop_assert!(member.reads.covers(shard.stream()), "{shard} is not read");
            prop_assert!(held.insert(shard.clone()), "{shard} is read twice");
        }
    }
    for (shard, row) in &fleet.leases {
        let is_held = held.contains(shard);
        prop_assert_eq!(is_held, is_served(fleet, shard), "{}", shard);
        prop_assert_eq!(is_held, row.owner.is_some());
    }
    for _ in 0..5 {
        prop_assert_eq!(fleet.round(rng), 0);
        for plan in fleet.plans().values() {
            prop_assert!(plan.is_settled(), "{:?}", plan);
        }
    }
    Ok(())
}

/// Nobody could give what another one reads as well, and has two less of.
fn check_even(fleet: &Fleet) -> Result<(), TestCaseError> {
    for rich in fleet.workers.values() {
        for poor in fleet.workers.values() {
            let gap = rich.held.len().saturating_sub(poor.held.len());
            let could_give = |id: &ShardId| poor.reads.covers(id.stream());
            prop_assert!(gap <= 1 || !rich.held.keys().any(could_give), "{fleet:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn everybody_gets_of_what_it_reads_and_the_rest_stays(
        leases in prop::collection::vec(0_usize..15, 4), sets in prop::collection::vec(0_u8..16, 1..7),
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers: Vec<_> = sets.iter().map(|bits| subset(*bits)).collect();
        let mut fleet = fleet(&leases, &workers);
        let to_take = served(&fleet);
        prop_assert_eq!(fleet.settle(&mut rng), to_take, "each lease is taken once");
        check(&mut fleet, &mut rng)?;
        let untouched = fleet.leases.values().filter(|row| row.counter == 0).count();
        prop_assert_eq!(untouched, fleet.leases.len() - to_take);
    }

    #[test]
    fn whatever_changes_the_fleet_settles_again(
        leases in prop::collection::vec(0_usize..15, 4), sets in prop::collection::vec(0_u8..16, 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..16), 0..6),
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers: Vec<_> = sets.iter().map(|bits| subset(*bits)).collect();
        let mut fleet = fleet(&leases, &workers);
        fleet.settle(&mut rng);
        for (which, bits) in changes {
            let worker = key(which.index(workers.len()) as u64);
            fleet.workers.get_mut(&worker).unwrap().reads = subset(bits);
            fleet.settle(&mut rng);
            check(&mut fleet, &mut rng)?;
        }
    }

    /// As in a deploy that adds streams: later versions read what earlier ones do, and more.
    #[test]
    fn where_sets_are_nested_shares_are_even(
        leases in prop::collection::vec(0_usize..20, 4), counts in prop::collection::vec(0_usize..5, 1..7),
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers: Vec<_> = counts.iter().map(|count| reads(0..*count)).collect();
        let mut fleet = fleet(&leases, &workers);
        fleet.settle(&mut rng);
        check(&mut fleet, &mut rng)?;
        check_even(&fleet)?;
    }

    #[test]
    fn a_deploy_that_adds_a_stream_ends_even(
        old in 1_usize..30, new in 0_usize..30, workers in 1_usize..6, seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut fleet = fleet(&[old, new], &vec![reads([0]); workers]);
        fleet.settle(&mut rng);
        for n in 0..workers as u64 {
            // The old process leaves, and a new one takes its place.
            fleet.workers.get_mut(&key(n)).unwrap().leaving = true;
            let member = Member { reads: reads([0, 1]), ..Member::default() };
            fleet.workers.insert(key(100 + n), member);
            fleet.settle(&mut rng);
            fleet.workers.remove(&key(n));
            fleet.settle(&mut rng);
            check(&mut fleet, &mut rng)?;
            check_even(&fleet)?;
        }
    }

    #[test]
    fn a_stream_that_all_add_moves_nothing_else(
        old in 0_usize..30, new in 1_usize..30, workers in 1_usize..6, seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut fleet = fleet(&[old], &vec![reads([0]); workers]);
        fleet.settle(&mut rng);
        add_leases(&mut fleet, 1, new);
        for member in fleet.workers.values_mut() {
            member.reads = reads([0, 1]);
        }
        prop_assert_eq!(fleet.settle(&mut rng), new, "each new lease is taken once");
        check_even(&fleet)?;
    }

    #[test]
    fn bounds_hold_across_streams(
        leases in prop::collection::vec(0_usize..15, 2), maxima in prop::collection::vec(1_u32..9, 1..5),
        sets in prop::collection::vec(1_u8..4, 5), later in prop::collection::vec(1_u8..4, 5), seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers: Vec<_> = maxima.iter().zip(&sets).map(|(_, bits)| subset(*bits)).collect();
        let mut fleet = fleet(&leases, &workers);
        for (member, max) in fleet.workers.values_mut().zip(&maxima) {
            member.leases_max = Some(*max);
        }
        for round in 0..60 {
            if round == 20 {
                for (member, bits) in fleet.workers.values_mut().zip(&later) {
                    member.reads = subset(*bits);
                }
            }
            fleet.round(&mut rng);
            for member in fleet.workers.values() {
                // What it drains still counts.
                prop_assert!(member.held.len() <= member.leases_max.unwrap() as usize);
            }
        }
    }
}

#[test]
fn a_lease_that_nobody_reads_keeps_nobody_busy() {
    let mut fleet = fleet(&[0, 2], &[reads([0])]);
    for row in fleet.leases.values_mut() {
        row.owner = Some(Owner::from(key(9)));
    }
    for plan in fleet.plans().values() {
        assert!(plan.evict.is_empty() && plan.is_settled(), "{plan:?}");
        assert_eq!((plan.counts.unserved, plan.counts.leases), (2, 0));
    }
    let reader = Member {
        reads: reads([1]),
        ..Member::default()
    };
    fleet.workers.insert(key(1), reader);
    let plan = &fleet.plans()[&key(1)];
    assert_eq!(plan.take.len(), 2);
    assert_eq!(plan.evict.keys().collect::<Vec<_>>(), [&key(9)]);
}

#[test]
fn a_worker_whose_row_of_streams_is_missing_is_given_nothing_and_keeps_what_it_has() {
    let mut fleet = fleet(&[4], &[reads([0]), reads([0])]);
    fleet.settle(&mut fastrand::Rng::with_seed(1));
    let mut view = fleet.view();
    let other = view.workers.get_mut(&key(1)).unwrap();
    other.row.serves = Some(StreamSet::new([stream(3)]).key().clone());
    let me = Me {
        key: key(0),
        held: fleet.workers[&key(0)].held.clone(),
        taking: true,
        leases_max: None,
        reads: reads([0]),
        watch: None,
        capacity: Capacity::ONE,
        own: None,
        silent: BTreeSet::new(),
        foreign_patience: Duration::from_secs(10),
    };
    let plan = crate::plan::plan(&view, &me, fleet.now);
    assert!(plan.take.is_empty() && plan.give_up.is_empty() && plan.offers.is_empty());
}

#[test]
fn who_keeps_the_watch_asks_for_new_shards_and_the_first_reader_for_what_it_does_not_read() {
    let mut fleet = fleet(
        &[1, 1, 1],
        &[reads([0]), reads([0, 1]), reads([1, 2]), reads([2])],
    );
    let ask = |fleet: &Fleet, keeper: Option<u64>| -> Vec<bool> {
        let view = fleet.view();
        let asks = |n: u64| {
            let me = Me {
                key: key(n),
                held: BTreeMap::new(),
                taking: true,
                leases_max: None,
                reads: fleet.workers[&key(n)].reads.clone(),
                watch: keeper.map(key),
                capacity: Capacity::ONE,
                own: None,
                silent: BTreeSet::new(),
                foreign_patience: Duration::from_secs(10),
            };
            crate::plan::plan(&view, &me, fleet.now).syncs
        };
        (0..4).map(asks).collect()
    };
    assert_eq!(ask(&fleet, Some(0)), [false, true, true, false]);
    assert_eq!(ask(&fleet, Some(1)), [false, false, true, false]);
    assert_eq!(ask(&fleet, None), [true, true, true, false]);
    fleet.workers.get_mut(&key(2)).unwrap().leaving = true;
    assert!(ask(&fleet, Some(1))[3], "nobody before it takes part");
}

#[test]
fn a_set_of_streams_that_nobody_refers_to_is_told_after_a_while_and_one_that_was_seen_stays_known()
{
    let mut observer = Observer::default();
    let fleet = fleet(&[], &[reads([0])]);
    let row = fleet.view().workers.into_values().next().unwrap().row;
    let (used, unused) = (StreamSet::new([stream(0)]), StreamSet::new([stream(1)]));
    let (began, second) = (fleet.now, Duration::from_secs(1));
    let rows = |sets: &[&StreamSet]| {
        let sets = sets.iter().map(|set| Row::Streams((*set).clone()));
        sets.chain([Row::Worker(row.clone())]).collect::<Vec<_>>()
    };
    observer.observe(rows(&[&used, &unused]), began);
    let told = |observer: &Observer, at| observer.unused_streams(at, second * 30);
    assert_eq!(told(&observer, began + second * 29), []);
    let view = observer.observe(rows(&[&unused]), began + second * 30);
    assert_eq!(told(&observer, began + second * 30), [unused.key().clone()]);
    assert_eq!(view.rowless.iter().collect::<Vec<_>>(), [used.key()]);
    assert_eq!(
        view.streams.get(used.key()),
        Some(&used),
        "what it stands for never changes"
    );
    observer.observe(rows(&[&used]), began + second * 31);
    assert_eq!(told(&observer, began + second * 99), []);
}
