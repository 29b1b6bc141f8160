//! One class of workers is shared out as it always was; bottoms of different heights are filled evenly.

use kcl_core::model::WorkerId;
use proptest::prelude::*;

use super::*;
use crate::row::Incarnation;

fn key(n: usize) -> WorkerKey {
    WorkerKey {
        worker: WorkerId::new(format!("w{n:03}")).unwrap(),
        incarnation: Incarnation::parse("1").unwrap(),
    }
}

fn loads(of: &[Load]) -> BTreeMap<WorkerKey, Load> {
    let keyed = of.iter().enumerate().map(|(n, load)| (key(n), *load));
    keyed.collect()
}

/// As it was written before there were classes: who cannot have an even share is filled up, and the rest is
/// shared by the others.
fn targets_of_one_class(
    loads: &BTreeMap<WorkerKey, Load>,
    total: usize,
) -> BTreeMap<WorkerKey, usize> {
    let mut targets = BTreeMap::new();
    let mut left = total;
    let mut open: Vec<(&WorkerKey, &Load)> = loads.iter().collect();
    while !open.is_empty() {
        let share = left / open.len();
        let (full, rest): (Vec<_>, Vec<_>) =
            open.iter().partition(|(_, load)| load.room() <= share);
        if full.is_empty() {
            break;
        }
        for (key, load) in full {
            targets.insert(key.clone(), load.room());
            left -= load.room();
        }
        open = rest;
    }
    open.sort_by(|(a, x), (b, y)| y.held.cmp(&x.held).then_with(|| a.cmp(b)));
    let share = left.checked_div(open.len()).unwrap_or(0);
    let over = left.checked_rem(open.len()).unwrap_or(0);
    for (place, (key, _)) in open.into_iter().enumerate() {
        targets.insert(key.clone(), share + usize::from(place < over));
    }
    targets
}

/// As it was written before there were classes.
fn keeps_of_one_class(
    me: &WorkerKey,
    loads: &BTreeMap<WorkerKey, Load>,
    targets: &BTreeMap<WorkerKey, usize>,
) -> usize {
    let target = targets.get(me).copied().unwrap_or(0);
    let largest = targets.values().max().copied().unwrap_or(0);
    let settled = loads.values().all(|load| load.held <= largest);
    let room = loads.get(me).map_or(0, Load::room);
    if settled {
        target
    } else {
        target.max(largest.min(room))
    }
}

fn flat() -> impl Strategy<Value = Load> {
    (0_usize..20, prop::option::of(1_u32..15)).prop_map(|(held, max)| Load {
        held,
        base: 0,
        all: held,
        max,
        capacity: Capacity::ONE,
    })
}

fn hilly() -> impl Strategy<Value = Load> {
    (flat(), 0_usize..12).prop_map(|(load, base)| {
        let base = load.max.map_or(base, |max| base.min(max as usize));
        let all = base + load.held;
        Load { base, all, ..load }
    })
}

proptest! {
    #[test]
    fn one_class_is_shared_out_as_it_always_was(
        of in prop::collection::vec(flat(), 0..8), total in 0_usize..80,
    ) {
        let loads = loads(&of);
        let targets = targets(&loads, total);
        prop_assert_eq!(&targets, &targets_of_one_class(&loads, total));
        for me in loads.keys() {
            let keeps = keeps(me, &loads, &targets);
            prop_assert_eq!(keeps, keeps_of_one_class(me, &loads, &targets));
        }
    }

    #[test]
    fn the_lowest_get_most_and_nothing_is_left_over_while_there_is_room(
        of in prop::collection::vec(hilly(), 1..8), total in 0_usize..80,
    ) {
        let loads = loads(&of);
        let targets = targets(&loads, total);
        let room: usize = loads.values().map(|load| load.room().min(total)).sum();
        prop_assert_eq!(targets.values().sum::<usize>(), total.min(room));
        let level = |key: &WorkerKey| loads[key].base + targets[key];
        for (key, target) in &targets {
            prop_assert!(*target <= loads[key].room());
            for other in targets.keys().filter(|other| targets[*other] < loads[*other].room()) {
                // Nobody was given anything that somebody lower could have had.
                prop_assert!(*target == 0 || level(key) <= level(other) + 1);
            }
        }
    }

    #[test]
    fn what_is_settled_stays(of in prop::collection::vec(hilly(), 1..8), total in 0_usize..80) {
        let mut loads = loads(&of);
        let first = targets(&loads, total);
        for (key, load) in &mut loads {
            load.held = first[key];
        }
        prop_assert_eq!(&targets(&loads, total), &first);
        for (key, target) in &first {
            prop_assert_eq!(keeps(key, &loads, &first), *target);
        }
    }

    #[test]
    fn nobody_is_dealt_more_than_its_share_and_its_bound(
        of in prop::collection::vec(hilly(), 1..8), total in 0_usize..80, free in 0_usize..80,
    ) {
        let loads = loads(&of);
        let targets = targets(&loads, total);
        let ids: Vec<_> = (0..free).map(|n| ShardId::new(format!("s{n:03}"))).collect();
        let mut dealt: BTreeMap<WorkerKey, usize> = BTreeMap::new();
        for to in deal(&ids.iter().collect(), &loads, &targets).into_values() {
            *dealt.entry(to).or_insert(0) += 1;
        }
        for (key, dealt) in dealt {
            let load = loads[&key];
            prop_assert!(load.held + dealt <= targets[&key]);
            prop_assert!(load.max.is_none_or(|max| load.all + dealt <= max as usize));
        }
    }
}

fn wide() -> impl Strategy<Value = Load> {
    (hilly(), 0.1_f64..8.0).prop_map(|(load, capacity)| Load {
        capacity: Capacity::new(capacity),
        ..load
    })
}

#[test]
fn who_can_do_twice_as_much_gets_twice_as_much() {
    let of = [2.0, 1.0, 1.0].map(|capacity| Load {
        held: 0,
        base: 0,
        all: 0,
        max: None,
        capacity: Capacity::new(capacity),
    });
    let loads = loads(&of);
    let targets = targets(&loads, 8);
    assert_eq!(targets.values().collect::<Vec<_>>(), [&4, &2, &2]);
    let free: Vec<ShardId> = (0..8).map(|n| ShardId::new(format!("s-{n}"))).collect();
    let offers = deal(&free.iter().collect(), &loads, &targets);
    for (key, share) in targets {
        assert_eq!(offers.values().filter(|to| **to == key).count(), share);
    }
}

proptest! {
    #[test]
    fn shares_go_by_capacity_and_add_up(
        of in prop::collection::vec(wide(), 1..12), total in 0_usize..300,
    ) {
        let loads = loads(&of);
        let (targets, bounds) = (targets(&loads, total), bounds(&loads, total));
        let room: usize = loads.values().map(|load| load.room().min(total)).sum();
        prop_assert_eq!(targets.values().sum::<usize>(), total.min(room));
        // Who has room has as much for its capacity as anyone, give or take one lease.
        for (key, load) in &loads {
            prop_assert!(targets[key] <= load.room() && targets[key] <= bounds[key]);
            let more = (load.base + targets[key] + 1) as f64 / load.capacity.factor();
            for (other, theirs) in loads.iter().filter(|_| targets[key] < load.room()) {
                let has = (theirs.base + targets[other]) as f64 / theirs.capacity.factor();
                prop_assert!(targets[other] == 0 || has <= more + 1e-6, "{:?} {:?}", loads, targets);
            }
        }
    }

    #[test]
    fn what_is_settled_stays_with_any_capacity(
        of in prop::collection::vec(wide(), 1..12), total in 0_usize..300,
    ) {
        let mut loads = loads(&of);
        let first = targets(&loads, total);
        for (key, load) in &mut loads {
            load.held = first[key];
        }
        prop_assert_eq!(&targets(&loads, total), &first);
        for (key, target) in &first {
            prop_assert_eq!(keeps(key, &loads, &first), *target);
        }
    }
}
