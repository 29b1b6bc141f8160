//! The lease protocol in virtual time: whole workers, a table in memory, and a network that fails.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kcl_core::error::ErrorKind;
use kcl_core::model::{Checkpoint, Epoch, InitialPosition, PendingCheckpoint};
use kcl_core::port::{CommitError, Standing};
use kcl_lease::{Fence, LeaseRow, LeaseStore as _, Parting};
use support::world::{Event, World, at};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_lone_worker_gets_every_shard_within_a_moment() {
    let world = World::new(1, 20, 0);
    let _worker = world.start("a").await;
    sleep(SECOND / 5).await;
    let events = world.events();
    let granted: Vec<_> = events
        .iter()
        .filter(|(_, e)| matches!(e, Event::Granted { .. }))
        .collect();
    assert_eq!(granted.len(), 20);
    let last = granted.last().unwrap().0;
    assert!(last < SECOND / 10, "the last grant came after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_settles_and_then_nothing_moves() {
    let world = World::new(2, 20, 0);
    let mut fleet = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        fleet.push(world.start(name).await);
    }
    sleep(SECOND * 10).await;
    let shares = world.shares().await;
    assert_eq!(shares.len(), 6);
    assert!(
        shares.values().all(|held| (3..=4).contains(held)),
        "{shares:?}"
    );
    let moves = |world: &World| {
        world
            .events()
            .iter()
            .filter(|(_, e)| matches!(e, Event::Granted { .. }))
            .count()
    };
    let before = moves(&world);
    sleep(SECOND * 600).await;
    assert_eq!(moves(&world), before, "leases moved in a settled fleet");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_settled_fleet_looks_at_its_table_through_one_worker() {
    let mut cost = Vec::new();
    for shards in [8, 200] {
        let world = World::new(12, shards, 0);
        let mut fleet = Vec::new();
        for name in ["a", "b", "c", "d"] {
            fleet.push(world.start(name).await);
        }
        sleep(SECOND * 30).await;
        let before = world.network.calls();
        sleep(SECOND * 60).await;
        let after = world.network.calls();
        let calls = |name| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
        // Its planner every twelfth of the lease time, its sync once a minute.
        assert!((67..=79).contains(&calls("scan")), "{}", calls("scan"));
        assert_eq!(calls("ring") + calls("claim_watch") + calls("evict"), 0);
        let watch = calls("keep_watch");
        assert!((15..=18).contains(&watch), "{watch}");
        cost.push(["renew", "read_watch", "read_worker"].map(calls));
    }
    let [few, many] = [cost[0], cost[1]];
    for (few, many) in few.into_iter().zip(many) {
        assert!(few.abs_diff(many) * 20 <= few, "{few} and {many}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_watch_sees_it_tells_to_those_who_must_act() {
    let world = World::new(13, 4, 0);
    let _keeper = world.start("a").await;
    let _other = world.start("b").await;
    sleep(SECOND * 15).await;
    let shard = held_by(&world, "b").into_iter().next().unwrap();
    let row = world.network.leases().await.remove(&shard).unwrap();
    let fence = Fence {
        shard: shard.clone(),
        holder: row.owner.unwrap().key().unwrap(),
        epoch: Epoch::new(row.counter),
    };
    // As a late copy of a release would, without anybody who knows of it.
    world
        .network
        .table()
        .release(&fence, &Parting::default())
        .await
        .unwrap();
    sleep(SECOND * 5 / 2).await;
    assert!(held_by(&world, "b").contains(&shard), "it has it back");
    assert_eq!(world.shares().await.values().sum::<usize>(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_crashed_worker_are_read_again_within_the_lease_time_and_a_scan() {
    for seed in 0..20 {
        let world = World::new(seed, 10, 0);
        let a = world.start("a").await;
        let _b = world.start("b").await;
        sleep(SECOND * 5 + Duration::from_millis(seed * 170)).await;
        let shards: BTreeSet<_> = held_by(&world, "a");
        assert_eq!(shards.len(), 5);
        a.crash();
        let crashed = world.now();
        sleep(SECOND * 14).await;
        for shard in &shards {
            let events = world.events();
            let taken = events.iter().find(|(at, e)| {
                *at > crashed && matches!(e, Event::Granted { shard: s, .. } if s == shard)
            });
            let after = taken.map(|(at, _)| *at - crashed);
            assert!(
                after.is_some_and(|after| after < SECOND * 12),
                "{shard}: {after:?}"
            );
        }
        world.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_leaves_is_replaced_within_a_scan_and_repeats_nothing() {
    let world = World::new(3, 8, 0);
    let a = world.start("a").await;
    let _b = world.start("b").await;
    sleep(SECOND * 5).await;
    let left = world.now();
    a.leave().await.unwrap();
    assert!(
        world.now() - left < SECOND,
        "leaving took {:?}",
        world.now() - left
    );
    sleep(SECOND * 2).await;
    let shares = world.shares().await;
    assert_eq!(shares.len(), 1, "the row of the worker is gone: {shares:?}");
    assert_eq!(shares.values().sum::<usize>(), 8);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_cut_off_stops_before_anyone_takes_over_and_comes_back() {
    let world = World::new(4, 6, 0);
    let a = world.start("a").await;
    let _b = world.start("b").await;
    sleep(SECOND * 5).await;
    assert_eq!(held_by(&world, "a").len(), 3);
    a.cut(true);
    let cut = world.now();
    sleep(SECOND * 20).await;
    let late: Vec<_> = world
        .events()
        .into_iter()
        .filter(|(at, e)| {
            *at > cut + SECOND * 10 && matches!(e, Event::Delivered { worker, .. } if worker == "a")
        })
        .collect();
    assert_eq!(late, [], "deliveries after the lease time");
    assert_eq!(held_by(&world, "b").len(), 6);
    a.cut(false);
    sleep(SECOND * 10).await;
    assert_eq!(
        held_by(&world, "a").len(),
        3,
        "it came back under a new name"
    );
    world.check();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_leases_that_nobody_gives_away_looks_less_often_after_a_while() {
    let world = World::new(4, 6, 0);
    let a = world.start("a").await;
    sleep(SECOND * 5).await;
    a.cut(true);
    let _b = world.start("b").await;
    let scans = || world.network.calls()["scan"];
    let mut before = scans();
    let mut in_three_seconds = Vec::new();
    for _ in 0..2 {
        sleep(SECOND * 3).await;
        in_three_seconds.push(scans() - before);
        before = scans();
    }
    // Four times a second at first, then twice: the cut one looks once a second.
    assert!(
        (11..=16).contains(&in_three_seconds[0]),
        "{in_three_seconds:?}"
    );
    assert!(
        (5..=10).contains(&in_three_seconds[1]),
        "{in_three_seconds:?}"
    );
    assert_eq!(held_by(&world, "b").len(), 0);
    sleep(SECOND * 6).await;
    assert_eq!(held_by(&world, "b").len(), 6);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn shards_are_split_and_merged_and_children_wait_for_all_their_parents() {
    for seed in 0..10 {
        let world = World::new(seed, 4, 0);
        let _a = world.start("a").await;
        let _b = world.start("b").await;
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..12 {
            sleep(Duration::from_millis(rng.u64(100..2000))).await;
            let mut open = world.stream.open_shards();
            rng.shuffle(&mut open);
            match open.as_slice() {
                [a, b, ..] if rng.bool() => {
                    world.stream.merge(&a.id, &b.id, world.wall());
                }
                [a, ..] => {
                    world.stream.split(&a.id, world.wall());
                }
                [] => unreachable!("some shard is open"),
            }
        }
        sleep(SECOND * 20).await;
        all_is_read(&world).await;
        world.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_gone_is_an_error_and_is_not_made_again() {
    let world = World::new(5, 3, 0);
    let mut a = world.start("a").await;
    sleep(SECOND * 2).await;
    world.network.lose_table();
    let error = tokio::time::timeout(SECOND * 5, a.failed()).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let delivered = world.events().len();
    sleep(SECOND * 30).await;
    assert!(world.events().len() <= delivered + 3, "it goes on reading");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_stream_is_told_at_the_start_and_leaves_no_worker_behind() {
    let world = World::new(6, 3, 0);
    world.stream.fail_with(Some(ErrorKind::NotFound));
    let error = world.try_start("a").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(world.network.workers().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_one_clear_error_after_a_bounded_time() {
    let world = World::new(6, 3, 0);
    world.stream.fail_with(Some(ErrorKind::Unavailable));
    let error = world.try_start("a").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(world.now() <= SECOND * 31, "{:?}", world.now());
}

#[tokio::test(start_paused = true)]
async fn workers_with_different_lease_times_are_each_judged_by_their_own() {
    let mut world = World::new(8, 6, 0);
    world.settings.duration = SECOND * 60;
    let _patient = world.start("patient").await;
    world.settings.duration = SECOND * 3;
    let _hasty = world.start("hasty").await;
    sleep(SECOND * 10).await;
    let granted = || {
        world
            .events()
            .iter()
            .filter(|(_, e)| matches!(e, Event::Granted { .. }))
            .count()
    };
    let before = granted();
    sleep(SECOND * 300).await;
    assert_eq!(granted(), before, "the living was evicted");
    assert_eq!(world.shares().await.values().collect::<Vec<_>>(), [&3, &3]);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_dropped_is_granted_again_under_a_new_epoch() {
    let world = World::new(9, 1, 0);
    let mut run = world.start_bare("a").await;
    let grant = run.grants.recv().await.unwrap();
    let epoch = grant.epoch;
    drop(grant);
    let again = tokio::time::timeout(SECOND * 3, run.grants.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(again.epoch > epoch);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_dropped_halfway_is_found_out_about_by_the_next() {
    let world = World::new(10, 1, 0);
    let mut run = world.start_bare("a").await;
    let mut grant = run.grants.recv().await.unwrap();
    for step in 1..200 {
        // Some of these are dropped before the table has them, some after.
        let patience = Duration::from_millis(step % 14);
        let number = step * 10;
        let dropped = tokio::time::timeout(patience, grant.right.commit(&at(number)))
            .await
            .is_err();
        if dropped {
            grant.right.commit(&at(number + 1)).await.unwrap();
        }
        let back = grant.right.commit(&at(number - 1)).await.unwrap_err();
        assert!(matches!(back, CommitError::GoesBack { .. }), "{back:?}");
        let calls = world.network.calls()["commit"];
        let durable = if dropped { number + 1 } else { number };
        grant.right.commit(&at(durable)).await.unwrap();
        assert_eq!(
            world.network.calls()["commit"],
            calls,
            "an equal checkpoint costs nothing"
        );
    }
    assert!(
        grant.right.commit(&Checkpoint::ShardEnd).await.is_err(),
        "only finish ends a shard"
    );
    grant.right.release().await.unwrap();
    let fenced = grant.right.commit(&at(9999)).await.unwrap_err();
    assert!(matches!(fenced, CommitError::Fenced { .. }), "{fenced:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_is_handed_to_the_next_holder_whatever_the_network_does() {
    for seed in 0..50 {
        let world = World::new(seed, 1, 300);
        let mut run = world.start_bare("a").await;
        let mut grant = run.grants.recv().await.unwrap();
        assert_eq!(grant.pending, None);
        let announced = |number: u64| PendingCheckpoint {
            checkpoint: at(number),
            state: Some(number.to_string().into()),
        };
        let mut durable = Vec::new();
        for step in 1..40_u64 {
            let number = step * 10;
            let announced = announced(number + 5);
            let prepared = grant.right.prepare(&announced).await;
            if prepared.is_err() {
                continue;
            }
            assert_eq!(row(&world).await.pending, Some(announced.clone()), "{seed}");
            // A checkpoint before it leaves it, one at it takes it away.
            let before = at(number + step % 6);
            if grant.right.commit(&before).await.is_ok() {
                let row = row(&world).await;
                assert_eq!(row.checkpoint, before, "{seed}");
                let left = (step % 6 < 5).then_some(announced);
                assert_eq!(row.pending, left, "{seed}");
                durable.push(number);
            }
        }
        assert!(durable.len() > 5, "{seed}: {durable:?}");
        world.network.heal();
        let last = announced(10_000);
        let old = announced(1);
        let back = grant.right.prepare(&old).await.unwrap_err();
        assert!(matches!(back, CommitError::GoesBack { .. }), "{back:?}");
        grant.right.prepare(&last).await.unwrap();
        grant.right.release().await.unwrap();
        let next = tokio::time::timeout(SECOND * 30, run.grants.recv()).await;
        let next = next.unwrap().unwrap();
        assert_eq!(next.pending, Some(last), "{seed}");
    }
}

async fn row(world: &World) -> LeaseRow {
    let leases = world.network.leases().await;
    leases.into_values().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_a_reply_counts_from_when_it_was_first_sent() {
    let world = World::new(11, 1, 0);
    let door = world.network.door();
    let mut run = world.start_behind(&door, "a").await;
    let mut grant = run.grants.recv().await.unwrap();
    let until = |standing| match standing {
        Standing::Held { until } | Standing::HandOver { until } => until,
        Standing::Lost => panic!("lost"),
    };
    let first = until(*grant.standing.borrow_and_update());
    door.deaf.store(true, Ordering::Relaxed);
    sleep(SECOND * 6).await;
    assert!(!grant.standing.has_changed().unwrap(), "nothing was proven");
    door.deaf.store(false, Ordering::Relaxed);
    grant.standing.changed().await.unwrap();
    let next = until(*grant.standing.borrow_and_update());
    // It was applied a third of the lease time after the first one, whenever we learnt of it.
    assert!(next - first < SECOND * 7 / 2, "{:?}", next - first);
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_a_read_of_the_table_misses_still_holds_its_children_back() {
    let world = World::new(12, 1, 0);
    let root = world.stream.open_shards()[0].id.clone();
    world.stream.split(&root, world.wall());
    let mut a = world.start_bare("a").await;
    let grant = a.grants.recv().await.unwrap();
    assert_eq!(grant.shard.id, root);
    world.network.hide(&root);
    let mut b = world.start_bare("b").await;
    sleep(SECOND * 30).await;
    for run in [&mut a, &mut b] {
        assert!(
            run.grants.try_recv().is_err(),
            "a child is read before its parent"
        );
    }
    drop(grant);
}

#[tokio::test(start_paused = true)]
async fn latest_is_one_time_for_all_workers_and_leaves_no_hole_behind_a_reshard() {
    for seed in 0..60 {
        let mut world = World::new(seed, 3, 0);
        world.initial = InitialPosition::Latest;
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut starting = Vec::new();
        for name in ["a", "b", "c"] {
            let world = world.clone();
            let delay = Duration::from_millis(rng.u64(0..60));
            starting.push(tokio::spawn(async move {
                sleep(delay).await;
                world.start(name).await
            }));
        }
        for _ in 0..3 {
            sleep(Duration::from_millis(rng.u64(0..25))).await;
            let open = world.stream.open_shards();
            world
                .stream
                .split(&open[rng.usize(..open.len())].id, world.wall());
        }
        let mut fleet = Vec::new();
        for worker in starting {
            fleet.push(worker.await.unwrap());
        }
        sleep(SECOND * 10).await;
        let rows = world.network.leases().await;
        for shard in world.stream.open_shards() {
            assert!(
                rows.contains_key(&shard.id),
                "seed {seed}: {} has no row",
                shard.id
            );
        }
        let created = world.network.created();
        let mut times: Vec<_> = created.values().collect();
        times.retain(|from| **from != Checkpoint::TrimHorizon);
        times.dedup();
        assert_eq!(times.len(), 1, "seed {seed}: {created:?}");
        for row in rows.values() {
            // The worker reads nothing of a shard that ends at once, so its children may wait where it did.
            let mut parents = row.parents.iter().filter_map(|parent| created.get(parent));
            if created[&row.shard] != Checkpoint::TrimHorizon {
                assert!(
                    parents.all(|from| *from != Checkpoint::TrimHorizon),
                    "seed {seed}: {row:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn chaos_then_calm_keeps_every_rule_and_ends_in_balance() {
    for seed in 0..seeds() {
        chaos(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history() {
    let first = chaos(7).await;
    assert!(first.len() > 1000, "{}", first.len());
    assert_eq!(first, chaos(7).await);
}

/// How many seeds the chaos test runs; `LEASE_SEEDS` for more.
fn seeds() -> u64 {
    std::env::var("LEASE_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(15)
}

async fn chaos(seed: u64) -> Vec<(Duration, Event)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::new(seed, rng.u32(1..8), rng.u64(0..250));
    let mut fleet = Vec::new();
    let mut born = 0;
    for _ in 0..40 {
        sleep(Duration::from_millis(rng.u64(50..3000))).await;
        match rng.u8(0..12) {
            0..4 if fleet.len() < 5 => {
                born += 1;
                if let Ok(worker) = world.try_start(&format!("w{born}")).await {
                    fleet.push(worker);
                }
            }
            4 if !fleet.is_empty() => fleet.swap_remove(rng.usize(..fleet.len())).crash(),
            5 if !fleet.is_empty() => {
                // It may fail to tell the others; they find out.
                let _told = fleet.swap_remove(rng.usize(..fleet.len())).leave().await;
            }
            6 | 7 if !fleet.is_empty() => fleet[rng.usize(..fleet.len())].cut(rng.bool()),
            8..10 => {
                let mut open = world.stream.open_shards();
                rng.shuffle(&mut open);
                match open.as_slice() {
                    [a, b, ..] if open.len() > 6 || rng.bool() => {
                        world.stream.merge(&a.id, &b.id, world.wall());
                    }
                    [a, ..] => {
                        world.stream.split(&a.id, world.wall());
                    }
                    [] => unreachable!("some shard is open"),
                }
            }
            _ => {}
        }
    }
    world.network.heal();
    for worker in &fleet {
        worker.cut(false);
    }
    fleet.push(world.start("last").await);
    sleep(SECOND * 120).await;
    all_is_read(&world).await;
    world.check();
    let shares = world.shares().await;
    let (least, most) = (
        shares.values().min().unwrap(),
        shares.values().max().unwrap(),
    );
    assert!(most - least <= 1, "seed {seed}: {shares:?}");
    let before = world
        .events()
        .iter()
        .filter(|(_, e)| matches!(e, Event::Granted { .. }))
        .count();
    sleep(SECOND * 60).await;
    let after = world
        .events()
        .iter()
        .filter(|(_, e)| matches!(e, Event::Granted { .. }))
        .count();
    assert_eq!(
        before, after,
        "seed {seed}: leases move although all is calm"
    );
    world.events()
}

/// Every closed shard is finished, and every open one is held and read.
async fn all_is_read(world: &World) {
    let rows = world.network.leases().await;
    let read = world.delivered_since(world.now().saturating_sub(SECOND));
    for (id, shard) in world.stream.all_shards() {
        let row = rows.get(&id).unwrap_or_else(|| panic!("{id} has no row"));
        assert_eq!(row.is_ended(), !shard.open, "{row:?}");
        assert_eq!(row.owner.is_some(), shard.open, "{row:?}");
        assert_eq!(
            read.contains(&id),
            shard.open,
            "{id} is held and not read, or the reverse"
        );
    }
}

/// The shards that a worker was the last to be granted and has not given back.
fn held_by(world: &World, name: &str) -> BTreeSet<kcl_core::model::ShardId> {
    let mut held = BTreeSet::new();
    for (_, event) in world.events() {
        match event {
            Event::Granted { worker, shard, .. } if worker == name => {
                held.insert(shard);
            }
            Event::Granted { shard, .. }
            | Event::Finished { shard, .. }
            | Event::GaveBack { shard, .. } => {
                held.remove(&shard);
            }
            Event::Delivered { .. } | Event::Committed { .. } => {}
        }
    }
    held
}
