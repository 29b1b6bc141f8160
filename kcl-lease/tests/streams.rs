//! Several streams in one worker, in virtual time: whole ownerships, a table in memory, a network that may fail.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::Streams;
use kcl_core::error::ErrorKind;
use kcl_core::model::{Checkpoint, InitialPosition, ShardId, StreamName};
use kcl_lease::{Freshness, LeaseStore as _, Row};
use support::world::{Event, Worker, World};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const START: InitialPosition = InitialPosition::TrimHorizon;

fn streams(names: &[&str]) -> Streams {
    let streams = Streams::new();
    for name in names {
        streams.add(name, START).unwrap();
    }
    streams
}

/// A world with these streams of so many shards.
fn world(seed: u64, faults: u64, of: &[(&str, u32)]) -> World {
    let world = World::new(seed, 0, faults);
    for (name, shards) in of {
        world.streams.make(name, *shards);
    }
    world
}

async fn start(world: &World, name: &str, streams: &Streams) -> Worker {
    world.try_start_with(name, streams).await.unwrap()
}

/// Which streams' shards each worker holds, by the table.
async fn held(world: &World) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut held: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for row in world.network.leases().await.into_values() {
        if let (Some(owner), Some(stream)) = (row.owner, row.shard.stream()) {
            let of_worker = held.entry(owner.worker.to_string()).or_default();
            *of_worker.entry(stream.to_string()).or_default() += 1;
        }
    }
    held
}

fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter()
        .map(|(name, n)| ((*name).to_owned(), *n))
        .collect()
}

fn shard(stream: &str, name: &ShardId) -> ShardId {
    ShardId::of(StreamName::new(stream).unwrap(), name.name())
}

fn moves(world: &World) -> usize {
    let events = world.events();
    let granted = |event: &Event| matches!(event, Event::Granted { .. });
    events.iter().filter(|(_, event)| granted(event)).count()
}

fn told(world: &World, is: impl Fn(&kcl_core::Event) -> bool) -> usize {
    let observed = world.observed.lock().unwrap();
    observed.iter().filter(|(_, event)| is(event)).count()
}

/// How many rows there are that name streams.
async fn sets(world: &World) -> usize {
    let rows = world.network.table().scan(Freshness::Consistent).await;
    let rows = rows.unwrap();
    rows.iter()
        .filter(|row| matches!(row, Row::Streams(_)))
        .count()
}

#[tokio::test(start_paused = true)]
async fn workers_of_two_streams_share_the_shards_of_both() {
    let world = world(1, 0, &[("orders", 3), ("clicks", 5)]);
    let both = streams(&["orders", "clicks"]);
    let _fleet = [
        start(&world, "a", &both).await,
        start(&world, "b", &both).await,
    ];
    sleep(SECOND * 10).await;
    let held = held(&world).await;
    let sizes: Vec<usize> = held.values().map(|of| of.values().sum()).collect();
    assert_eq!(sizes, [4, 4], "{held:?}");
    assert_eq!(sets(&world).await, 1, "who reads the same shares the row");
    let before = moves(&world);
    sleep(SECOND * 300).await;
    assert_eq!(moves(&world), before, "leases moved in a settled fleet");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn shards_of_both_streams_are_followed_through_splits_and_merges() {
    let world = world(2, 0, &[("orders", 2), ("clicks", 2)]);
    let both = streams(&["orders", "clicks"]);
    let _fleet = [
        start(&world, "a", &both).await,
        start(&world, "b", &both).await,
    ];
    sleep(SECOND * 5).await;
    let [orders, clicks] =
        ["orders", "clicks"].map(|name| world.streams.ever(&StreamName::new(name).unwrap()));
    let ids: Vec<_> = clicks
        .open_shards()
        .into_iter()
        .map(|shard| shard.id)
        .collect();
    let children = clicks.split(&ids[0], world.wall());
    sleep(SECOND * 5).await;
    let merged = orders.merge(&ids[0], &ids[1], world.wall());
    sleep(SECOND * 5).await;
    let flowing = world.delivered_since(world.now() - SECOND);
    let expected = [
        shard("clicks", &ids[1]),
        shard("clicks", &children[0]),
        shard("clicks", &children[1]),
        shard("orders", &merged),
    ];
    assert_eq!(flowing, expected.into());
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_added_flows_at_once_and_one_that_is_removed_is_handed_back() {
    let world = world(3, 0, &[("orders", 4), ("clicks", 4)]);
    let mine = streams(&["orders"]);
    let theirs = streams(&["orders"]);
    let _fleet = [
        start(&world, "a", &mine).await,
        start(&world, "b", &theirs).await,
    ];
    sleep(SECOND * 15).await;
    mine.add("clicks", START).unwrap();
    sleep(SECOND * 5 / 2).await;
    assert_eq!(
        held(&world).await["a"],
        counts(&[("clicks", 4)]),
        "the other has orders"
    );
    assert_eq!(held(&world).await["b"], counts(&[("orders", 4)]));

    theirs.add("clicks", START).unwrap();
    sleep(SECOND * 5).await;
    let shares = held(&world).await;
    let sizes: Vec<usize> = shares.values().map(|of| of.values().sum()).collect();
    assert_eq!(sizes, [4, 4], "{shares:?}");

    mine.remove("clicks");
    sleep(SECOND * 5 / 2).await;
    assert_eq!(held(&world).await["a"].get("clicks"), None);
    sleep(SECOND * 5).await;
    assert_eq!(
        held(&world).await["b"]["clicks"],
        4,
        "whoever reads it has it"
    );

    theirs.remove("clicks");
    sleep(SECOND * 5).await;
    let rows = world.network.leases().await;
    let clicks: Vec<_> = rows
        .values()
        .filter(|row| row.shard.stream().unwrap().as_str() == "clicks")
        .collect();
    assert_eq!(clicks.len(), 4, "the leases stay");
    assert!(clicks.iter().all(|row| row.owner.is_none()));
    let progress: Vec<_> = clicks.iter().map(|row| row.checkpoint.clone()).collect();
    assert!(
        progress
            .iter()
            .all(|done| matches!(done, Checkpoint::Sequence { .. }))
    );
    let before = moves(&world);
    sleep(SECOND * 120).await;
    assert_eq!(moves(&world), before, "nobody touches them");
    assert_eq!(sets(&world).await, 1, "the rows of other sets are gone");

    mine.add("clicks", START).unwrap();
    sleep(SECOND * 5 / 2).await;
    let rows = world.network.leases().await;
    for row in rows
        .values()
        .filter(|row| row.shard.stream().unwrap().as_str() == "clicks")
    {
        assert!(row.owner.is_some(), "{row:?}");
    }
    world.check();
}

#[tokio::test(start_paused = true)]
async fn nobody_is_given_a_shard_of_a_stream_it_does_not_read() {
    let world = world(4, 0, &[("a", 4), ("b", 4), ("c", 4)]);
    let _fleet = [
        start(&world, "w1", &streams(&["a", "b"])).await,
        start(&world, "w2", &streams(&["b", "c"])).await,
        start(&world, "w3", &streams(&["c"])).await,
    ];
    sleep(SECOND * 20).await;
    let held = held(&world).await;
    assert_eq!(held["w1"], counts(&[("a", 4)]), "{held:?}");
    assert_eq!(held["w2"]["b"], 4, "{held:?}");
    assert_eq!(held["w3"], counts(&[("c", 4)]), "{held:?}");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_dead_worker_is_replaced_by_those_who_read_its_streams() {
    let world = world(5, 0, &[("a", 4), ("b", 4)]);
    let both = streams(&["a", "b"]);
    let _stays = start(&world, "w1", &both).await;
    let dies = start(&world, "w2", &both).await;
    let _other = start(&world, "w3", &streams(&["a"])).await;
    sleep(SECOND * 15).await;
    dies.crash();
    sleep(SECOND * 16).await;
    let held = held(&world).await;
    assert_eq!(held["w1"], counts(&[("b", 4)]), "{held:?}");
    assert_eq!(held["w3"], counts(&[("a", 4)]), "{held:?}");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_there_at_the_start_is_an_error_that_names_it() {
    let world = world(6, 0, &[("orders", 1)]);
    let error = world
        .try_start_with("a", &streams(&["orders", "ordres"]))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("ordres"), "{error}");
    assert!(world.network.leases().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_each_stream_a_shard_that_stays_missing_is_told_as_forgotten() {
    let world = world(14, 0, &[("orders", 2), ("clicks", 2)]);
    let _worker = start(&world, "a", &streams(&["orders", "clicks"])).await;
    sleep(SECOND * 5).await;
    // No list names them as parents, so only time proves that they are gone.
    let mut expected = Vec::new();
    for name in ["orders", "clicks"] {
        let stream = world.streams.ever(&StreamName::new(name).unwrap());
        let gone = stream.open_shards().remove(0).id;
        stream.forget(&gone);
        expected.push(shard(name, &gone));
    }
    for gone in expected {
        let forgotten = |event: &kcl_core::Event| matches!(event, kcl_core::Event::ShardForgotten { shard, .. } if *shard == gone);
        sleep(SECOND * 200).await;
        assert_eq!(told(&world, forgotten), 1, "{gone}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_vanishes_is_told_and_stops_no_other() {
    let world = world(7, 0, &[("orders", 2), ("clicks", 2)]);
    let mut worker = start(&world, "a", &streams(&["orders", "clicks"])).await;
    sleep(SECOND * 5).await;
    world.streams.delete("clicks");
    let failed = |event: &kcl_core::Event| {
        matches!(event, kcl_core::Event::StreamFailed { stream, error }
            if stream.as_str() == "clicks" && error.kind == ErrorKind::NotFound)
    };
    sleep(SECOND * 200).await;
    assert_eq!(told(&world, failed), 1, "once, however often it is tried");
    let orders = world.streams.ever(&StreamName::new("orders").unwrap());
    let parent = orders.open_shards().remove(0).id;
    orders.split(&parent, world.wall());
    sleep(SECOND * 5).await;
    let flowing = world.delivered_since(world.now() - SECOND);
    let of_orders = flowing
        .iter()
        .filter(|id| id.stream().unwrap().as_str() == "orders");
    assert_eq!(of_orders.count(), 3, "a reshard of the other is followed");
    let rows = world.network.leases().await;
    let of_clicks = rows
        .keys()
        .filter(|id| id.stream().unwrap().as_str() == "clicks");
    assert_eq!(of_clicks.count(), 2, "its leases stay");
    let vanished = |event: &kcl_core::Event| {
        matches!(
            event,
            kcl_core::Event::LeaseVanished { .. } | kcl_core::Event::ShardForgotten { .. }
        )
    };
    assert_eq!(told(&world, vanished), 0);

    world.streams.restore("clicks");
    sleep(SECOND * 70).await;
    world.streams.delete("clicks");
    sleep(SECOND * 70).await;
    assert_eq!(told(&world, failed), 2, "and again when it fails anew");
    let going = tokio::time::timeout(SECOND, worker.failed()).await;
    assert!(going.is_err(), "the worker goes on");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_added_before_it_is_made_flows_once_it_is() {
    let world = world(8, 0, &[("orders", 1)]);
    let both = streams(&["orders"]);
    let _keeper = start(&world, "a", &both).await;
    // It does not keep the watch, and tries for itself all the same.
    let mine = streams(&["orders"]);
    let _other = start(&world, "b", &mine).await;
    sleep(SECOND * 5).await;
    mine.add("later", START).unwrap();
    sleep(SECOND * 30).await;
    world.streams.make("later", 2);
    sleep(SECOND * 80).await;
    assert_eq!(held(&world).await["b"].get("later"), Some(&2));
    world.check();
}

#[tokio::test(start_paused = true)]
async fn each_stream_starts_where_it_was_told() {
    let world = world(9, 0, &[("old", 2), ("new", 2)]);
    let mine = Streams::new();
    mine.add("old", START).unwrap();
    mine.add("new", InitialPosition::Latest).unwrap();
    let _worker = start(&world, "a", &mine).await;
    sleep(SECOND * 5).await;
    for (id, checkpoint) in world.network.created() {
        let is_new = id.stream().unwrap().as_str() == "new";
        assert_eq!(
            matches!(checkpoint, Checkpoint::AtTimestamp(_)),
            is_new,
            "{id}: {checkpoint}"
        );
    }
    let rows = world
        .network
        .table()
        .scan(Freshness::Consistent)
        .await
        .unwrap();
    let starts: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Start(row) => row.stream.clone(),
            Row::Lease(_) | Row::Worker(_) | Row::Watch(_) | Row::Streams(_) => None,
        })
        .collect();
    assert_eq!(starts, [StreamName::new("new").unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn a_table_of_the_other_kind_is_refused() {
    let mut world = world(10, 0, &[("orders", 1)]);
    world.stream = support::stream::FakeStream::with_shards(1);
    let single = world.start("single").await;
    sleep(SECOND * 3).await;
    single.leave().await.unwrap();
    let mut several = start(&world, "several", &streams(&["orders"])).await;
    let error = several.failed().await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("of one stream"), "{error}");
    drop(several);

    let mut other = self::world(11, 0, &[("orders", 1)]);
    other.stream = support::stream::FakeStream::with_shards(1);
    let several = start(&other, "several", &streams(&["orders"])).await;
    sleep(SECOND * 3).await;
    several.leave().await.unwrap();
    let mut single = other.start("single").await;
    let error = single.failed().await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("of several streams"), "{error}");
    assert_eq!(other.network.leases().await.len(), 1, "it made no lease");
}

#[tokio::test(start_paused = true)]
async fn rest_costs_the_same_whatever_the_number_of_streams() {
    let mut cost = Vec::new();
    for count in [1_u32, 30] {
        let names: Vec<_> = (0..count).map(|n| format!("s{n}")).collect();
        let of: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), 120 / count))
            .collect();
        let world = world(12, 0, &of);
        let all = streams(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut fleet = Vec::new();
        for name in ["a", "b", "c", "d"] {
            fleet.push(start(&world, name, &all).await);
        }
        sleep(SECOND * 30).await;
        let before = world.network.calls();
        sleep(SECOND * 60).await;
        let after = world.network.calls();
        let calls = |name| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
        assert!((67..=79).contains(&calls("scan")), "{}", calls("scan"));
        let moving = [
            "ring",
            "claim_watch",
            "evict",
            "add_streams",
            "remove_streams",
            "take",
        ];
        assert_eq!(moving.map(calls), [0; 6]);
        cost.push(["renew", "read_watch", "read_worker", "keep_watch"].map(calls));
    }
    let [one, many] = [cost[0], cost[1]];
    for (one, many) in one.into_iter().zip(many) {
        assert!(one.abs_diff(many) * 20 <= one, "{one} and {many}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_watch_does_not_read_is_kept_up_with_by_its_readers() {
    let world = world(13, 0, &[("a", 1), ("b", 1)]);
    let _keeper = start(&world, "w1", &streams(&["a"])).await;
    let _reader = start(&world, "w2", &streams(&["b"])).await;
    sleep(SECOND * 20).await;
    let b = world.streams.ever(&StreamName::new("b").unwrap());
    let before = b.lists();
    sleep(SECOND * 180).await;
    assert!(
        (2..=4).contains(&(b.lists() - before)),
        "{}",
        b.lists() - before
    );
}

/// The network loses, repeats and delays; streams come and go; in the end all of it is read again.
#[tokio::test(start_paused = true)]
async fn streams_that_come_and_go_over_a_bad_network_end_with_their_readers() {
    for seed in 0..12 {
        let world = world(seed, 60, &[("a", 3), ("b", 3), ("c", 2)]);
        let mut rng = fastrand::Rng::with_seed(seed);
        let lists = [
            streams(&["a", "b"]),
            streams(&["b"]),
            streams(&["a", "b", "c"]),
        ];
        let mut fleet = Vec::new();
        for (name, list) in ["w1", "w2", "w3"].into_iter().zip(&lists) {
            match world.try_start_with(name, list).await {
                Ok(worker) => fleet.push(worker),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
        for _ in 0..12 {
            sleep(Duration::from_millis(rng.u64(200..9_000))).await;
            let list = rng.choice(&lists).unwrap();
            let name = *rng.choice(&["a", "b", "c"]).unwrap();
            if rng.bool() {
                list.add(name, START).unwrap();
            } else {
                list.remove(name);
            }
            if rng.u8(..4) == 0 {
                let stream = world.streams.ever(&StreamName::new(name).unwrap());
                let open = stream.open_shards();
                stream.split(&rng.choice(&open).unwrap().id, world.wall());
            }
        }
        world.network.heal();
        sleep(SECOND * 90).await;
        let started: Vec<_> = fleet.iter().map(|worker| worker.name.clone()).collect();
        let reads: BTreeMap<_, _> = ["w1", "w2", "w3"].into_iter().zip(&lists).collect();
        let mut expected = BTreeSet::new();
        for name in ["a", "b", "c"] {
            let stream = StreamName::new(name).unwrap();
            let is_read = |worker: &String| reads[worker.as_str()].contains(&stream);
            if started.iter().any(is_read) {
                let open = world.streams.ever(&stream).open_shards();
                expected.extend(open.iter().map(|open| shard(name, &open.id)));
            }
        }
        assert_eq!(
            world.delivered_since(world.now() - SECOND),
            expected,
            "seed {seed}"
        );
        for (worker, of_worker) in held(&world).await {
            for stream in of_worker.keys() {
                let stream = StreamName::new(stream).unwrap();
                assert!(
                    reads[worker.as_str()].contains(&stream),
                    "seed {seed}: {worker} has {stream}"
                );
            }
        }
        let before = moves(&world);
        sleep(SECOND * 120).await;
        assert_eq!(
            moves(&world),
            before,
            "seed {seed}: leases move in a settled fleet"
        );
        world.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_streams_that_somebody_deletes_is_made_again_and_nothing_moves() {
    let world = world(14, 0, &[("a", 3), ("b", 3)]);
    let both = streams(&["a", "b"]);
    let _fleet = [
        start(&world, "w1", &both).await,
        start(&world, "w2", &both).await,
    ];
    sleep(SECOND * 15).await;
    let before = moves(&world);
    let set = kcl_lease::StreamSet::new(both.list().into_keys());
    let table = world.network.table();
    table.remove_streams(set.key()).await.unwrap();
    sleep(SECOND * 3).await;
    assert_eq!(sets(&world).await, 1);
    assert_eq!(moves(&world), before);
    let _joins = start(&world, "w3", &both).await;
    sleep(SECOND * 15).await;
    let held = held(&world).await;
    let sizes: Vec<usize> = held.values().map(|of| of.values().sum()).collect();
    assert_eq!(sizes, [2, 2, 2], "{held:?}");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_table_that_was_made_again_ends_a_worker_of_several_streams_as_well() {
    let world = world(15, 0, &[("a", 2), ("b", 2)]);
    let mine = streams(&["a", "b"]);
    let mut worker = start(&world, "w1", &mine).await;
    sleep(SECOND * 5).await;
    // What it has given up does not count for what it knows.
    mine.remove("b");
    sleep(SECOND * 5).await;
    world.network.replace_table();
    let error = tokio::time::timeout(SECOND * 120, worker.failed()).await;
    assert_eq!(error.unwrap().kind(), ErrorKind::NotFound);
}
