//! What the leases of a worker tell, in virtual time.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the events it is about"
)]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use kcl_core::event::{LossReason, TakeReason};
use kcl_core::model::ShardId;
use kcl_core::{ErrorKind, Event};
use support::world::World;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// What a worker told, as lines; not what happens all the time.
fn told(world: &World, by: &str) -> Vec<String> {
    let observed = world.observed.lock().unwrap();
    let mine = observed.iter().filter(|(worker, _)| worker == by);
    mine.filter_map(|(_, event)| line(event)).collect()
}

fn line(event: &Event) -> Option<String> {
    let text = match event {
        Event::WorkerJoined { .. } => "joined".to_owned(),
        Event::LifeLost { .. } => "life lost".to_owned(),
        Event::WorkerEvicted { worker, .. } => format!("{worker} is dead"),
        Event::WatchClaimed { term } => format!("watch {term}"),
        Event::LeaseCreated { shard, checkpoint } => format!("created {shard} {checkpoint}"),
        Event::LeaseTaken {
            shard, epoch, why, ..
        } => format!("took {shard}/{epoch} {why:?}"),
        Event::HandOverPlanned { shard, why } => format!("hands over {shard} {why:?}"),
        Event::LeaseLost { shard, epoch, why } => format!("lost {shard}/{epoch} {why:?}"),
        Event::ShardForgotten { shard, checkpoint } => format!("forgotten {shard} {checkpoint}"),
        Event::LeaseVanished { shard, .. } => format!("vanished {shard}"),
        Event::LeaseRemoved { shard } => format!("removed {shard}"),
        Event::LifeRenewed { late: true, .. } => "renewed late".to_owned(),
        _ => return None,
    };
    Some(text.replace("shardId-00000000000", "s"))
}

#[tokio::test(start_paused = true)]
async fn joining_taking_and_handing_over_are_told_with_their_reasons() {
    let world = World::new(1, 2, 0);
    let _a = world.start("a").await;
    sleep(SECOND * 5).await;
    let _b = world.start("b").await;
    sleep(SECOND * 5).await;
    let expected = [
        "joined",
        "created s0 TRIM_HORIZON",
        "created s1 TRIM_HORIZON",
        "watch 1",
        "took s0/1 Free",
        "took s1/1 Free",
        "hands over s1 Count",
    ];
    let mut a = told(&world, "a");
    a.sort_by_key(|line| expected.iter().position(|known| known == line));
    assert_eq!(a, expected);
    assert_eq!(told(&world, "b"), ["joined", "took s1/3 Free"]);
    let observed = world.observed.lock().unwrap();
    let plan = observed.iter().rev().find_map(|(_, event)| match event {
        Event::Planned(plan) => Some(*plan),
        _ => None,
    });
    let plan = plan.unwrap();
    assert_eq!((plan.leases, plan.workers, plan.held), (2, 2, 1));
    assert!(!plan.is_active());
}

#[tokio::test(start_paused = true)]
async fn a_dead_worker_is_told_by_whoever_takes_its_leases() {
    let world = World::new(2, 2, 0);
    let a = world.start("a").await;
    let _b = world.start("b").await;
    sleep(SECOND * 5).await;
    a.crash();
    sleep(SECOND * 20).await;
    let b = told(&world, "b");
    let dead = b.iter().position(|line| line == "a is dead").unwrap();
    let taken = format!("{:?}", TakeReason::HolderDead);
    let taken = b.iter().position(|line| line.ends_with(&taken)).unwrap();
    assert!(dead < taken, "{b:?}");
    assert!(b.iter().any(|line| line.starts_with("watch")), "{b:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_prove_its_life_tells_what_it_lost_and_comes_back() {
    let world = World::new(3, 1, 0);
    let a = world.start("a").await;
    sleep(SECOND * 2).await;
    a.cut(true);
    sleep(SECOND * 12).await;
    a.cut(false);
    sleep(SECOND * 5).await;
    let lines = told(&world, "a");
    let lost = lines.iter().position(|line| line == "life lost").unwrap();
    let lease = format!("lost s0/1 {:?}", LossReason::LifeOver);
    assert_eq!(lines[lost + 1..][..2], [lease.as_str(), "joined"]);
    let failures = world.observed.lock().unwrap();
    let failures = failures
        .iter()
        .filter(|(_, event)| matches!(event, Event::RenewalFailed { .. }));
    assert!(failures.count() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_renewal_is_told_once() {
    let world = World::new(11, 1, 0);
    let door = world.network.door();
    let _run = world.start_behind(&door, "a").await;
    sleep(SECOND * 4).await;
    door.deaf.store(true, Ordering::Relaxed);
    sleep(SECOND * 6).await;
    door.deaf.store(false, Ordering::Relaxed);
    sleep(SECOND * 20).await;
    let lines = told(&world, "a");
    let late = lines.iter().filter(|line| *line == "renewed late");
    assert_eq!(late.count(), 1, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_forgotten_unread_is_told_once() {
    let mut world = World::new(5, 2, 0);
    world.settings.sync_interval = SECOND * 5;
    let shard = world.stream.open_shards()[0].id.clone();
    let _a = world.start("a").await;
    sleep(SECOND * 2).await;
    world.stream.forget(&shard);
    sleep(SECOND * 60).await;
    let lines = told(&world, "a");
    let forgotten: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("forgotten s0 "))
        .collect();
    assert_eq!(forgotten.len(), 1, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_was_made_again_ends_every_worker_that_knew_the_old_one() {
    for seed in 0..20 {
        let world = World::new(seed, 4, 0);
        let mut a = world.start("a").await;
        let mut b = world.start("b").await;
        sleep(SECOND * 5 + Duration::from_millis(seed * 170)).await;
        world.network.replace_table();
        for worker in [&mut a, &mut b] {
            let error = tokio::time::timeout(SECOND * 10, worker.failed()).await;
            assert_eq!(error.unwrap().kind(), ErrorKind::NotFound);
        }
        let lines = [told(&world, "a"), told(&world, "b")];
        for lines in &lines {
            assert!(lines.contains(&"vanished s3".to_owned()), "{lines:?}");
        }
        let created = lines.iter().flatten();
        let created = created.filter(|line| line.starts_with("created"));
        assert_eq!(created.count(), 4, "nobody made them anew: {lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_an_operator_deletes_is_told_once_and_read_anew() {
    let mut world = World::new(6, 4, 0);
    world.settings.sync_interval = SECOND * 5;
    let _a = world.start("a").await;
    sleep(SECOND * 15).await;
    let shard = world.stream.open_shards()[1].id.clone();
    world.network.delete_lease(&shard);
    sleep(SECOND * 60).await;
    let lines = told(&world, "a");
    let vanished = lines.iter().filter(|line| *line == "vanished s1");
    assert_eq!(vanished.count(), 1, "{lines:?}");
    let created = lines.iter().filter(|line| line.starts_with("created s1"));
    assert_eq!(created.count(), 2, "{lines:?}");
    assert_eq!(world.shares().await.values().sum::<usize>(), 4);
}

/// It is the first to see it, and might not see it again: another makes the row anew, and keeps the watch by then.
#[tokio::test(start_paused = true)]
async fn who_gives_back_a_lease_that_an_operator_deleted_tells_of_it_once() {
    let world = World::new(17, 2, 0);
    let a = world.start("a").await;
    sleep(SECOND * 20).await;
    let shard = world.stream.open_shards()[0].id.clone();
    world.network.delete_lease(&shard);
    let began = Instant::now();
    a.leave().await.unwrap();
    assert!(began.elapsed() < SECOND, "nobody has looked at all rows");
    let lines = told(&world, "a");
    let vanished = lines.iter().filter(|line| *line == "vanished s0");
    assert_eq!(vanished.count(), 1, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn who_held_a_lease_that_an_operator_deletes_knows_that_it_is_lost() {
    let mut world = World::new(16, 4, 0);
    world.settings.sync_interval = SECOND * 5;
    // Without records there is no commit that would be refused.
    for shard in world.stream.open_shards() {
        let mut unanswered = world.unanswered.lock().unwrap();
        unanswered.insert(("a".to_owned(), shard.id.clone()));
    }
    let _a = world.start("a").await;
    sleep(SECOND * 5).await;
    let shard = world.stream.open_shards()[2].id.clone();
    world.network.delete_lease(&shard);
    sleep(SECOND * 10).await;
    let lines = told(&world, "a");
    let begins = lines.iter().position(|line| line == "vanished s2");
    let after = &lines[begins.unwrap()..][..4];
    let expected = [
        "vanished s2",
        "lost s2/1 Vanished",
        "created s2 TRIM_HORIZON",
        // Its first epoch was granted here before, and is given back.
        "took s2/3 Free",
    ];
    assert_eq!(after, expected, "{lines:?}");
    let handed_over = lines.iter().any(|line| line.starts_with("hands over"));
    assert!(!handed_over, "{lines:?}");
}

/// It has no list of shards to miss it by, and no record to commit.
#[tokio::test(start_paused = true)]
async fn who_holds_a_lease_of_a_forgotten_shard_that_an_operator_deletes_knows_it_soon() {
    for holder in ["a", "b"] {
        let world = World::new(18, 4, 0);
        let (_a, _b) = (world.start("a").await, world.start("b").await);
        sleep(SECOND * 15).await;
        let took = told(&world, holder);
        let shard = world.stream.open_shards().into_iter().map(|shard| shard.id);
        let short = |id: &ShardId| id.to_string().replace("shardId-00000000000", "s");
        let mut shard = shard.filter(|id| {
            let of_it = format!(" {}/", short(id));
            let last = took.iter().rfind(|line| line.contains(&of_it));
            last.is_some_and(|line| line.starts_with("took"))
        });
        let shard = shard.next().unwrap();
        world.stream.forget(&shard);
        // Once it is not listed any more, it may be missed by its holder alone.
        sleep(SECOND * 70).await;
        world.network.delete_lease(&shard);
        let since = told(&world, holder).len();
        sleep(SECOND * 70).await;
        let lines = told(&world, holder);
        let vanished = format!("vanished {}", short(&shard));
        let told = lines[since..].iter().filter(|line| **line == vanished);
        assert_eq!(told.count(), 1, "{lines:?}");
        let lost = format!("lost {}/", short(&shard));
        assert!(
            lines[since..].iter().any(|line| line.starts_with(&lost)),
            "{lines:?}"
        );
    }
}
