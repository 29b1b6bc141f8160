//! Leases in a table that Java workers share, against the emulator. What a Java worker would do is written
//! to the table by hand; real ones are in `tests/interop` (`mixed2`, `mixed3`).

#![expect(clippy::unwrap_used, reason = "tests")]

mod java_support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::error::ErrorKind;
use kcl_core::model::{Checkpoint, InitialPosition, SequenceNumber, ShardId};
use kcl_core::port::{CommitError, Grant, Ownership as _, Standing};
use kcl_lease::{DynamoLeases, JavaFleet, JavaSettings};
use kinesis_emulator::{Action, Api, Fault};

use crate::java_support::{FAILOVER, Fleet, Joined, begin, eventually, number, stands};

fn at(number: &str) -> Checkpoint {
    Checkpoint::at(SequenceNumber::new(number).unwrap())
}

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
    assert!(!fleet.row(&shard).await.contains_key("leaseOwner"));
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
        .update_set(&shards[1], parents, shards[0].as_str(), "a")
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
async fn what_a_leader_assigns_is_picked_up_and_what_it_hands_over_is_given_to_the_next() {
    let fleet = Fleet::new(1).await;
    let shard = fleet.shards().await[0].clone();
    fleet.make_table().await;
    fleet.put_version("CLIENT_VERSION_3X").await;
    fleet.put_lease(&shard, "java", 7, "5").await;
    let mut worker = fleet.join("a", JavaFleet::V3).await;
    eventually("a report of the worker", async || {
        fleet.rows().await.contains_key("a")
    })
    .await;
    fleet
        .update(&shard, "SET leaseOwner = :text ADD leaseCounter :one", "a")
        .await;
    let mut grant = worker.next().await;
    assert_eq!(grant.checkpoint, at("5"));
    assert!(grant.epoch.get() > 8);

    // As a leader starts a hand-over: the counter stays.
    fleet
        .update(
            &shard,
            "SET checkpointOwner = leaseOwner, leaseOwner = :text ADD unread :one",
            "java",
        )
        .await;
    let is_leaving = |standing| matches!(standing, Standing::HandOver { .. });
    stands("handed over", &mut grant, is_leaving).await;
    grant.right.commit(&at("6")).await.unwrap();
    assert_eq!(fleet.row(&shard).await["checkpointOwner"], "a");
    let counter = number(&fleet.row(&shard).await, "leaseCounter");
    grant.right.release().await.unwrap();
    let row = fleet.row(&shard).await;
    assert_eq!(row["leaseOwner"], "java");
    assert!(!row.contains_key("checkpointOwner"), "{row:?}");
    assert!(number(&row, "leaseCounter") > counter);
    assert_eq!(row["checkpoint"], "6");

    worker.control.stop_taking();
    drop(grant);
    worker.control.leave().await.unwrap();
    assert!(
        !fleet.rows().await.contains_key("a"),
        "it tells nothing any more"
    );
}

#[tokio::test]
async fn a_lone_worker_leads_assigns_and_gives_the_lock_up() {
    let fleet = Fleet::new(3).await;
    let mut worker = fleet.join("a", JavaFleet::V3).await;
    let rows = fleet.rows().await;
    assert_eq!(rows["Migration3.0"]["cv"], "CLIENT_VERSION_3X");
    let mut grants = vec![
        worker.next().await,
        worker.next().await,
        worker.next().await,
    ];
    let lock = fleet.rows().await["Leader"].clone();
    assert_eq!(lock["ownerName"], "a");
    eventually("a heartbeat", async || {
        fleet.rows().await["Leader"]["recordVersionNumber"] != lock["recordVersionNumber"]
    })
    .await;
    // A Java worker comes: it only tells that it lives, and gets its share by a hand-over.
    fleet.put_report("java").await;
    eventually("a hand-over to Java", async || {
        let rows = fleet.rows().await;
        rows.values().any(|row| {
            row.get("leaseOwner").map(String::as_str) == Some("java")
                && row.get("checkpointOwner").map(String::as_str) == Some("a")
        })
    })
    .await;
    worker.control.stop_taking();
    for grant in &mut grants {
        grant.right.release().await.unwrap();
    }
    drop(grants);
    worker.control.leave().await.unwrap();
    let rows = fleet.rows().await;
    assert!(!rows.contains_key("Leader"), "{rows:?}");
    let owned: Vec<_> = rows
        .values()
        .filter_map(|row| row.get("leaseOwner"))
        .collect();
    assert!(owned.iter().all(|owner| *owner == "java"), "{owned:?}");
    assert!(
        rows.values()
            .all(|row| !row.contains_key("checkpointOwner"))
    );
}

#[tokio::test]
async fn a_lock_that_beats_is_left_alone_and_one_that_stands_still_is_not() {
    let fleet = Fleet::new(1).await;
    fleet.make_table().await;
    fleet.put_version("CLIENT_VERSION_3X").await;
    let mut worker = fleet.join("a", JavaFleet::V3).await;
    for beat in 0..20 {
        fleet
            .put_lock("java", &format!("version-{beat}"), Duration::from_secs(3))
            .await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(fleet.rows().await["Leader"]["ownerName"], "java");
    }
    assert!(worker.grants.try_recv().is_err(), "nobody assigns");
    let still = tokio::time::Instant::now();
    worker.next().await;
    assert!(
        still.elapsed() > Duration::from_secs(2),
        "{:?}",
        still.elapsed()
    );
    assert_eq!(fleet.rows().await["Leader"]["ownerName"], "a");
}

#[tokio::test]
async fn a_worker_that_is_told_another_protocol_than_the_table_does_not_start() {
    let cases = [
        (Some("CLIENT_VERSION_3X"), JavaFleet::V2, "V3"),
        (Some("CLIENT_VERSION_3X_WITH_ROLLBACK"), JavaFleet::V2, "V3"),
        (Some("CLIENT_VERSION_UPGRADE_FROM_2X"), JavaFleet::V3, "V2"),
        (Some("CLIENT_VERSION_2X"), JavaFleet::V3, "V2"),
        // Leases and no word of a leader: a fleet of the 2.x line.
        (None, JavaFleet::V3, "V2"),
    ];
    for (version, told, hint) in cases {
        let fleet = Fleet::new(1).await;
        fleet.make_table().await;
        let shard = fleet.shards().await[0].clone();
        fleet.put_lease(&shard, "java", 1, "TRIM_HORIZON").await;
        if let Some(version) = version {
            fleet.put_version(version).await;
        }
        let rows = fleet.rows().await;
        let error = fleet
            .try_join("a", told, InitialPosition::TrimHorizon)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("says otherwise"), "{error}");
        assert!(
            error.chain().to_string().contains(hint),
            "{}",
            error.chain()
        );
        assert_eq!(fleet.rows().await, rows, "it leaves no trace");
    }
}

#[tokio::test]
async fn workers_that_share_with_java_do_not_join_those_that_do_not() {
    let fleet = Fleet::new(1).await;
    let leases = DynamoLeases::new(&fleet.emulator.sdk_config());
    let run = Box::new(leases)
        .start(begin("native", InitialPosition::TrimHorizon))
        .await
        .unwrap();
    for told in [JavaFleet::V2, JavaFleet::V3] {
        let joined = fleet
            .try_join("a", told, InitialPosition::TrimHorizon)
            .await;
        let error = joined.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("does not share"), "{error}");
    }
    drop(run.grants);
    run.control.leave().await.unwrap();
    let mut worker = fleet.join("a", JavaFleet::V2).await;
    worker.next().await;
}

#[tokio::test]
async fn a_fleet_with_tables_of_its_own_for_coordination_keeps_them_there() {
    let fleet = Fleet::new(1).await;
    fleet.make_table().await;
    fleet.make_own_tables().await;
    let mut worker = fleet.join("a", JavaFleet::V3).await;
    let grant = worker.next().await;
    let lease_rows: BTreeMap<_, _> = fleet.rows().await;
    assert_eq!(
        lease_rows.keys().collect::<Vec<_>>(),
        [grant.shard.id.as_str()]
    );
    let state = fleet.rows_of("orders-app-CoordinatorState", "key").await;
    assert_eq!(state["Leader"]["ownerName"], "a");
    let reports = fleet.rows_of("orders-app-WorkerMetricStats", "wid").await;
    assert!(number(&reports["a"], "lut") > 0);
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

/// What a grant committed: its number and the checkpoint, in the order of the answers.
type Committed = Arc<Mutex<BTreeMap<ShardId, Vec<(u64, u64)>>>>;

/// Commits one number after the other for as long as the grant lasts, then gives it back if it may.
async fn work(mut grant: Grant, committed: Committed) {
    let (shard, epoch) = (grant.shard.id.clone(), grant.epoch.get());
    let mut next = match &grant.checkpoint {
        Checkpoint::Sequence { sequence, .. } => sequence.as_str().parse().unwrap(),
        Checkpoint::TrimHorizon
        | Checkpoint::Latest
        | Checkpoint::AtTimestamp(_)
        | Checkpoint::ShardEnd => 0,
    };
    loop {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let standing = *grant.standing.borrow();
        match standing {
            Standing::Held { .. } => {}
            Standing::HandOver { .. } => return drop(grant.right.release().await),
            Standing::Lost => return,
        }
        next += 1;
        match grant.right.commit(&at(&next.to_string())).await {
            Ok(()) => {
                let mut committed = committed.lock().unwrap();
                committed
                    .entry(shard.clone())
                    .or_default()
                    .push((epoch, next));
            }
            Err(CommitError::Unavailable(_)) => next -= 1,
            Err(_) => return,
        }
    }
}

/// Workers that come, take from each other or are assigned, and die, over a network that loses requests and
/// answers.
async fn strife(told: JavaFleet) {
    let fleet = Fleet::new(4).await;
    let committed = Committed::default();
    let faults = fleet.emulator.service().faults();
    for action in [Action::ResetBefore, Action::ResetAfter] {
        let lossy = Fault::new(action).api(Api::DynamoDb).probability(0.05);
        faults.add(lossy).unwrap();
    }
    let mut tables = Vec::new();
    for (round, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let Joined {
            mut grants,
            mut control,
        } = fleet.join(name, told).await;
        let committed = Arc::clone(&committed);
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let worker = tokio::spawn(async move {
            let mut readers = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    error = control.failed() => panic!("{error}"),
                    Some(_) = readers.join_next() => {}
                    Some(grant) = grants.recv() => {
                        readers.spawn(work(grant, Arc::clone(&committed)));
                    }
                }
            }
        });
        tables.push((stop, worker));
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            fleet.note_checkpoints().await;
        }
        if round == 1 {
            // It dies: nothing is given back.
            let (stop, worker) = tables.remove(0);
            stop.send(()).unwrap();
            worker.await.unwrap();
        }
    }
    let before = committed.lock().unwrap().len();
    assert_eq!(before, 4, "every shard was read");
    for (shard, committed) in &*committed.lock().unwrap() {
        let is_ordered = |pair: &[(u64, u64)]| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1;
        assert!(
            committed.windows(2).all(is_ordered),
            "{shard}: {committed:?}"
        );
    }
}

#[tokio::test]
async fn workers_that_take_from_each_other_never_write_out_of_turn() {
    strife(JavaFleet::V2).await;
}

#[tokio::test]
async fn workers_that_are_assigned_leases_never_write_out_of_turn() {
    strife(JavaFleet::V3).await;
}

#[test]
fn the_settings_are_those_of_the_kcl() {
    let settings = JavaSettings::default();
    assert_eq!(settings.failover, Duration::from_secs(10));
    assert_eq!(settings.assign_every(), Duration::from_secs(20));
    assert_eq!(settings.report_interval, Duration::from_secs(30));
    assert_eq!(settings.leader_lease, Duration::from_secs(120));
    assert_eq!(settings.leader_heartbeat, Duration::from_secs(30));
    assert_eq!(settings.handover_max, Duration::from_secs(30));
    assert_eq!(settings.steals_max, 1);
}
