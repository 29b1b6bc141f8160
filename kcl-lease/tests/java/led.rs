//! A fleet of the 3.x line: assignment, hand-over, the lock; and fleets that a worker does not join.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::error::ErrorKind;
use kcl_core::model::InitialPosition;
use kcl_core::port::{Ownership as _, Standing};
use kcl_lease::{DynamoLeases, JavaFleet};

use crate::support::{Fleet, at, begin, eventually, number, stands};

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
        [grant.shard.id.name()]
    );
    let state = fleet.rows_of("orders-app-CoordinatorState", "key").await;
    assert_eq!(state["Leader"]["ownerName"], "a");
    let reports = fleet.rows_of("orders-app-WorkerMetricStats", "wid").await;
    assert!(number(&reports["a"], "lut") > 0);
}

#[tokio::test]
async fn a_table_that_no_java_worker_shares_any_more_can_be_read_natively_from_where_it_was() {
    let fleet = Fleet::new(2).await;
    let mut worker = fleet.join("a", JavaFleet::V3).await;
    let mut grants = [worker.next().await, worker.next().await];
    worker.control.stop_taking();
    for grant in &mut grants {
        grant.right.commit(&at("77")).await.unwrap();
        grant.right.release().await.unwrap();
    }
    drop(grants);
    worker.control.leave().await.unwrap();
    let leases = DynamoLeases::new(&fleet.emulator.sdk_config());
    let start = begin("native", InitialPosition::TrimHorizon);
    let mut run = Box::new(leases).start(start).await.unwrap();
    for _ in 0..2 {
        assert_eq!(run.grants.recv().await.unwrap().checkpoint, at("77"));
    }
}
