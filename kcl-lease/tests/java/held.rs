//! One lease: taken, renewed, written, lost, given back. The fleet is of the 2.x line.

use std::collections::BTreeSet;
use std::time::Duration;

use kcl_core::model::{Checkpoint, InitialPosition};
use kcl_core::port::{CommitError, Standing};
use kcl_lease::JavaFleet;
use kinesis_emulator::{Action, Fault};

use crate::support::{FAILOVER, Fleet, at, eventually, number, stands};

#[tokio::test]
async fn a_row_is_what_the_kcl_has_and_is_renewed_committed_and_given_back() {
    let fleet = Fleet::new(1).await;
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    let mut grant = worker.next().await;
    assert_eq!(grant.checkpoint, Checkpoint::TrimHorizon);
    let shard = grant.shard.id.clone();
    let taken = fleet.row(&shard).await;
    let names: BTreeSet<&str> = taken.keys().map(String::as_str).collect();
    let kcl = [
        "checkpoint",
        "checkpointSubSequenceNumber",
        "endingHashKey",
        "entityType",
        "leaseCounter",
        "leaseKey",
        "leaseOwner",
        "ownerSwitchesSinceCheckpoint",
        "startingHashKey",
    ];
    assert_eq!(names, BTreeSet::from(kcl));

    grant.right.commit(&at("77")).await.unwrap();
    let committed = fleet.row(&shard).await;
    assert!(number(&committed, "leaseCounter") > number(&taken, "leaseCounter"));
    assert_eq!(committed["checkpoint"], "77");
    let counter = number(&committed, "leaseCounter");
    eventually("renewals", async || {
        number(&fleet.row(&shard).await, "leaseCounter") >= counter + 2
    })
    .await;
    let back = grant.right.commit(&at("76")).await.unwrap_err();
    assert!(matches!(back, CommitError::GoesBack { .. }), "{back:?}");

    worker.control.stop_taking();
    grant.right.release().await.unwrap();
    drop(grant);
    worker.control.leave().await.unwrap();
    let free = fleet.row(&shard).await;
    assert!(!free.contains_key("leaseOwner"), "{free:?}");
    assert_eq!(free["checkpoint"], "77");
}

#[tokio::test]
async fn a_lease_that_another_takes_is_lost_and_its_checkpoint_stays_as_it_is() {
    let fleet = Fleet::new(1).await;
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    let mut grant = worker.next().await;
    let shard = grant.shard.id.clone();
    grant.right.commit(&at("5")).await.unwrap();
    // As a Java worker takes it: the counter grows by one, and the owner is another.
    fleet
        .update(
            &shard,
            "SET leaseOwner = :text ADD leaseCounter :one",
            "java",
        )
        .await;
    let refused = grant.right.commit(&at("6")).await.unwrap_err();
    assert!(matches!(refused, CommitError::Fenced { .. }), "{refused:?}");
    stands("lost", &mut grant, |standing| standing == Standing::Lost).await;
    let row = fleet.row(&shard).await;
    assert_eq!(
        (row["checkpoint"].as_str(), row["leaseOwner"].as_str()),
        ("5", "java")
    );
}

#[tokio::test]
async fn a_lease_that_stands_still_is_taken_with_its_checkpoint() {
    let fleet = Fleet::new(1).await;
    let shard = fleet.shards().await[0].clone();
    fleet.make_table().await;
    fleet.put_lease(&shard, "java", 41, "123").await;
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    let grant = worker.next().await;
    assert_eq!(grant.checkpoint, at("123"));
    assert_eq!(grant.epoch.get(), 42);
    let row = fleet.row(&shard).await;
    assert_eq!(row["leaseOwner"], "a");
    assert_eq!(row["ownerSwitchesSinceCheckpoint"], "1");
}

#[tokio::test]
async fn writes_whose_answers_are_lost_are_applied_once_and_known() {
    let fleet = Fleet::new(1).await;
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    let mut grant = worker.next().await;
    let shard = grant.shard.id.clone();
    // Every other write to a held lease is applied, and its connection breaks.
    let lossy = Fault::new(Action::ResetAfter).on("UpdateItem").every(2);
    fleet.emulator.service().faults().add(lossy).unwrap();
    let counter = async || number(&fleet.row(&shard).await, "leaseCounter");
    let (before, began) = (counter().await, tokio::time::Instant::now());
    for next in 1..=10 {
        grant.right.commit(&at(&next.to_string())).await.unwrap();
        assert_eq!(fleet.row(&shard).await["checkpoint"], next.to_string());
        assert!(matches!(*grant.standing.borrow(), Standing::Held { .. }));
    }
    let renewals = began.elapsed().div_duration_f64(FAILOVER / 3) as u64 + 1;
    let writes = counter().await - before;
    // Each write whose answer was lost is followed by a renewal.
    assert!(
        (10..=30 + renewals).contains(&writes),
        "{writes} writes, {renewals} renewals"
    );
    grant.right.release().await.unwrap();
    // The only worker of the fleet takes a free lease again as soon as it looks.
    let is_free = !fleet.row(&shard).await.contains_key("leaseOwner");
    assert!(is_free || worker.next().await.epoch > grant.epoch);
}

#[tokio::test]
async fn a_worker_that_cannot_reach_the_table_lets_go_within_the_failover_time() {
    let fleet = Fleet::new(1).await;
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    let mut grant = worker.next().await;
    let unreachable = Fault::new(Action::ResetBefore).on("UpdateItem");
    fleet.emulator.service().faults().add(unreachable).unwrap();
    let cut = tokio::time::Instant::now();
    // A renewal that was on its way may still have come through.
    tokio::time::sleep(FAILOVER / 4).await;
    let standing = *grant.standing.borrow();
    assert!(
        matches!(standing, Standing::Held { until } if until <= cut + FAILOVER / 4 + FAILOVER),
        "{standing:?} at {cut:?}"
    );
    stands("lost", &mut grant, |standing| standing == Standing::Lost).await;
}

#[tokio::test]
async fn children_wait_for_their_parents_and_finished_leases_are_held_until_they_are_removed() {
    let fleet = Fleet::new(1).await;
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    let mut parent = worker.next().await;
    let children = fleet.split(&parent.shard).await;
    parent.right.finish(&children).await.unwrap();
    let row = fleet.row(&parent.shard.id).await;
    assert_eq!(
        (row["checkpoint"].as_str(), row["leaseOwner"].as_str()),
        ("SHARD_END", "a")
    );
    assert!(row.contains_key("childShardIds"), "{row:?}");
    let mut started = vec![worker.next().await, worker.next().await];
    let ids: BTreeSet<_> = started.iter().map(|grant| grant.shard.id.clone()).collect();
    assert_eq!(ids, children.iter().map(|child| child.id.clone()).collect());
    let counter = number(&fleet.row(&parent.shard.id).await, "leaseCounter");
    eventually("the finished lease to be renewed", async || {
        number(&fleet.row(&parent.shard.id).await, "leaseCounter") > counter
    })
    .await;
    for child in &mut started {
        assert_eq!(child.checkpoint, Checkpoint::TrimHorizon);
        child.right.commit(&at("9")).await.unwrap();
    }
    eventually("the finished lease to be removed", async || {
        fleet.rows().await.len() == 2
    })
    .await;
}

#[tokio::test]
async fn a_shard_of_which_a_parent_is_open_is_held_and_not_granted() {
    let fleet = Fleet::new(2).await;
    let shards = fleet.shards().await;
    fleet.make_table().await;
    fleet.put_lease(&shards[0], "java", 7, "5").await;
    fleet.put_lease(&shards[1], "java", 7, "TRIM_HORIZON").await;
    let parents = "SET parentShardId = :set, leaseOwner = :text";
    fleet
        .update_set(&shards[1], parents, shards[0].name(), "a")
        .await;
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    eventually("the child to be held", async || {
        number(&fleet.row(&shards[1]).await, "leaseCounter") > 8
    })
    .await;
    // The parent is not read by anybody, so it is taken and granted; the child still waits.
    let mut parent = worker.next().await;
    assert_eq!(parent.shard.id, shards[0]);
    assert!(worker.grants.try_recv().is_err());
    parent.right.finish(&[]).await.unwrap();
    assert_eq!(worker.next().await.shard.id, shards[1]);
}

#[tokio::test]
async fn the_word_at_timestamp_means_the_time_this_worker_was_told() {
    let fleet = Fleet::new(1).await;
    fleet.make_table().await;
    let shard = fleet.shards().await[0].clone();
    fleet.put_lease(&shard, "java", 1, "AT_TIMESTAMP").await;
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let at = InitialPosition::AtTimestamp(time);
    let mut worker = fleet.try_join("a", JavaFleet::V2, at).await.unwrap();
    assert_eq!(
        worker.next().await.checkpoint,
        Checkpoint::AtTimestamp(time)
    );
}
