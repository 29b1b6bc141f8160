//! Leases that move for another reason than counts, in virtual time: for what is read of them, and because their
//! reader gets no answer.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the events it is about"
)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::Event;
use kcl_core::event::HandOverReason;
use kcl_core::model::ShardId;
use kcl_lease::Balance;
use support::world::World;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Who hands over what, and why, in order.
fn handed_over(world: &World) -> Vec<(String, ShardId, HandOverReason)> {
    let observed = world.observed.lock().unwrap();
    let handed = observed.iter().filter_map(|(worker, event)| match event {
        Event::HandOverPlanned { shard, why } => Some((worker.clone(), shard.clone(), why.clone())),
        _ => None,
    });
    handed.collect()
}

fn silent(world: &World) -> Vec<(String, ShardId, Duration)> {
    let observed = world.observed.lock().unwrap();
    let silent = observed.iter().filter_map(|(worker, event)| match event {
        Event::ReaderSilent { shard, silent } => Some((worker.clone(), shard.clone(), *silent)),
        _ => None,
    });
    silent.collect()
}

async fn held(world: &World) -> BTreeMap<String, Vec<ShardId>> {
    let mut held: BTreeMap<String, Vec<ShardId>> = BTreeMap::new();
    for row in world.network.leases().await.into_values() {
        let worker = row.owner.unwrap().worker.to_string();
        held.entry(worker).or_default().push(row.shard);
    }
    held
}

/// The world with two workers that have held so many shards each for a while, and lease times of 2 s.
async fn two_workers(world: &mut World) -> [support::world::Worker; 2] {
    world.settings.duration = SECOND * 2;
    let workers = [world.start("a").await, world.start("b").await];
    sleep(SECOND * 20).await;
    let counts: Vec<_> = held(world)
        .await
        .into_values()
        .map(|shards| shards.len())
        .collect();
    assert_eq!(counts[0], counts[1]);
    world.observed.lock().unwrap().clear();
    workers
}

fn carries(world: &World, shards: &[ShardId], kilobytes: &[usize]) {
    let bytes = shards
        .iter()
        .cloned()
        .zip(kilobytes.iter().map(|kb| kb * 1024));
    world.bytes.lock().unwrap().extend(bytes);
}

#[tokio::test(start_paused = true)]
async fn who_reads_more_gives_a_lease_away_and_then_all_keep_still() {
    let mut world = World::new(1, 6, 0);
    let _workers = two_workers(&mut world).await;
    let before = held(&world).await;
    carries(&world, &before["a"], &[100; 3]);
    carries(&world, &before["b"], &[10; 3]);
    sleep(MINUTE * 8).await;
    let handed = handed_over(&world);
    assert_eq!(handed.len(), 1, "{handed:?}");
    let (giver, shard, why) = &handed[0];
    assert_eq!(giver, "a");
    let HandOverReason::Load {
        load,
        to,
        in_return,
    } = why
    else {
        panic!("{why:?}")
    };
    // A delivery of 100 KiB every tenth of a second, less what a commit takes.
    assert!((900_000..1_030_000).contains(load), "{load}");
    assert_eq!((to.as_str(), in_return), ("b", &None));
    let after = held(&world).await;
    assert!(after["b"].contains(shard));
    assert_eq!(
        (after["a"].len(), after["b"].len()),
        (2, 4),
        "counts are not evened out again"
    );
    sleep(MINUTE * 20).await;
    assert_eq!(handed_over(&world).len(), 1);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn two_leases_change_places_where_no_single_one_fits() {
    let mut world = World::new(2, 4, 0);
    let _workers = two_workers(&mut world).await;
    let before = held(&world).await;
    carries(&world, &before["a"], &[80, 60]);
    carries(&world, &before["b"], &[30, 30]);
    sleep(MINUTE * 10).await;
    let handed = handed_over(&world);
    assert_eq!(handed.len(), 2, "{handed:?}");
    let (gives, large, why) = &handed[0];
    let HandOverReason::Load {
        in_return: Some(small),
        ..
    } = why
    else {
        panic!("{why:?}")
    };
    assert_eq!((gives.as_str(), large), ("a", &before["a"][1]));
    assert_eq!((handed[1].0.as_str(), &handed[1].1), ("b", small));
    assert!(
        matches!(handed[1].2, HandOverReason::InReturn { .. }),
        "{handed:?}"
    );
    let after = held(&world).await;
    assert!(
        after["a"].contains(small) && after["b"].contains(large),
        "{after:?}"
    );
    sleep(MINUTE * 20).await;
    assert_eq!(handed_over(&world).len(), 2);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn nothing_moves_for_loads_where_only_counts_are_to_be_even() {
    let mut world = World::new(3, 6, 0);
    world.settings.balance = Balance::Count;
    let _workers = two_workers(&mut world).await;
    let before = held(&world).await;
    carries(&world, &before["a"], &[100; 3]);
    sleep(MINUTE * 20).await;
    assert_eq!(handed_over(&world), []);
    for worker in world.network.workers().await {
        assert_eq!(worker.load, None);
    }
}

#[tokio::test(start_paused = true)]
async fn loads_are_balanced_without_a_write_more_at_rest() {
    let calls = async |balance| {
        let mut world = World::new(4, 8, 0);
        world.settings.balance = balance;
        let _workers = two_workers(&mut world).await;
        let before = held(&world).await;
        carries(&world, &before["a"], &[50; 4]);
        carries(&world, &before["b"], &[50; 4]);
        let before = world.network.calls();
        sleep(MINUTE * 10).await;
        let mut calls = world.network.calls();
        for (name, count) in &mut calls {
            *count -= before.get(name).copied().unwrap_or(0);
        }
        calls
    };
    let (by_count, by_load) = (
        calls(Balance::Count).await,
        calls(Balance::CountAndLoad).await,
    );
    for name in ["renew", "commit", "keep_watch", "ring", "take", "release"] {
        assert_eq!(by_count.get(name), by_load.get(name), "{name}");
    }
    let scans = |calls: &BTreeMap<&str, u64>| calls["scan"];
    assert!(
        scans(&by_load) <= scans(&by_count) + 5,
        "{by_count:?} {by_load:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_gets_no_answer_gives_its_shard_to_another_worker() {
    let mut world = World::new(5, 6, 0);
    world.settings.silence_max = SECOND * 30;
    let _workers = two_workers(&mut world).await;
    let shard = held(&world).await["a"][1].clone();
    let reader = ("a".to_owned(), shard.clone());
    world.unanswered.lock().unwrap().insert(reader);
    sleep(SECOND * 14).await;
    assert_eq!(silent(&world), []);
    sleep(SECOND * 3).await;
    let told = silent(&world);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0.as_str(), &told[0].1), ("a", &shard));
    assert_eq!(handed_over(&world), [], "it may still come");
    sleep(SECOND * 20).await;
    let handed = handed_over(&world);
    assert_eq!(handed.len(), 1, "{handed:?}");
    assert_eq!((handed[0].0.as_str(), &handed[0].1), ("a", &shard));
    assert!(matches!(&handed[0].2, HandOverReason::ReaderSilent { to } if to.as_str() == "b"));
    assert!(held(&world).await["b"].contains(&shard));
    let since = world.now();
    sleep(MINUTE * 15).await;
    assert!(
        world.delivered_since(since).contains(&shard),
        "the other can read it"
    );
    assert_eq!(handed_over(&world).len(), 1, "it does not come back");
    assert_eq!(silent(&world).len(), 1);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn when_the_service_answers_nobody_every_shard_stays() {
    let mut world = World::new(6, 6, 0);
    world.settings.silence_max = SECOND * 30;
    let _workers = two_workers(&mut world).await;
    let all = held(&world).await;
    for (worker, shards) in &all {
        let readers = shards.iter().map(|shard| (worker.clone(), shard.clone()));
        world.unanswered.lock().unwrap().extend(readers);
    }
    sleep(MINUTE * 15).await;
    assert_eq!(silent(&world).len(), 6, "each is told");
    assert_eq!(handed_over(&world), []);
    // It comes back for all but one, and that one shows.
    let stays = ("a".to_owned(), all["a"][0].clone());
    world
        .unanswered
        .lock()
        .unwrap()
        .retain(|reader| *reader == stays);
    sleep(SECOND * 5).await;
    assert_eq!(handed_over(&world).len(), 1);
    assert_eq!(held(&world).await, {
        let mut moved = all.clone();
        let shard = moved.get_mut("a").unwrap().remove(0);
        let theirs = moved.get_mut("b").unwrap();
        theirs.push(shard);
        theirs.sort();
        moved
    });
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_alone_keeps_a_shard_that_it_cannot_read() {
    let mut world = World::new(7, 3, 0);
    world.settings.silence_max = SECOND * 30;
    let _worker = world.start("a").await;
    sleep(SECOND * 10).await;
    let shard = held(&world).await["a"][0].clone();
    world
        .unanswered
        .lock()
        .unwrap()
        .insert(("a".to_owned(), shard));
    sleep(MINUTE * 10).await;
    assert_eq!(silent(&world).len(), 1);
    assert_eq!(handed_over(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_twice_as_large_gets_twice_the_shards() {
    let mut world = World::new(8, 9, 0);
    world.settings.balance = Balance::Count;
    let _small = world.start("small").await;
    sleep(SECOND * 10).await;
    world.settings.capacity = 2.0;
    let _large = world.start("large").await;
    sleep(SECOND * 30).await;
    let held = held(&world).await;
    assert_eq!((held["small"].len(), held["large"].len()), (3, 6));
    let moves = handed_over(&world);
    assert_eq!(moves.len(), 6, "none comes back: {moves:?}");
    world.check();
}
