//! The DynamoDB store against the emulator: the contract, and whole workers.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use kcl_core::StreamTracker;
use kcl_core::env::Env;
use kcl_core::error::ErrorKind;
use kcl_core::event::Events;
use kcl_core::model::Checkpoint;
use kcl_core::model::{ApplicationName, InitialPosition, SequenceNumber, StreamName, WorkerId};
use kcl_core::port::{Grant, Ownership as _, OwnershipStart};
use kcl_lease::{
    DynamoLeases, DynamoTable, KinesisShards, LeaseSettings, MemoryLeases, MemoryStore,
    ShardList as _,
};
use kinesis_emulator::Emulator;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(10);

fn begin(worker: &str) -> OwnershipStart {
    OwnershipStart {
        application: ApplicationName::new("orders-app").unwrap(),
        tracker: StreamTracker::Single {
            stream: StreamName::new("orders").unwrap(),
            initial_position: InitialPosition::Latest,
        },
        worker: WorkerId::new(worker).unwrap(),
        env: Env::system(),
        events: Events::default(),
    }
}

async fn with_stream(shards: i32) -> (Emulator, aws_sdk_kinesis::Client) {
    let emulator = Emulator::start().await.unwrap();
    let kinesis = aws_sdk_kinesis::Client::new(&emulator.sdk_config());
    kinesis
        .create_stream()
        .stream_name("orders")
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = kinesis.list_shards().stream_name("orders").send().await {
        assert_eq!(error.code(), Some("ResourceInUseException"), "{error:?}");
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (emulator, kinesis)
}

async fn next(run: &mut kcl_core::port::OwnershipRun) -> Grant {
    timeout(PATIENCE, run.grants.recv())
        .await
        .expect("a grant in time")
        .expect("a grant")
}

#[tokio::test]
async fn the_dynamo_store_keeps_the_contract() {
    let emulator = Emulator::start().await.unwrap();
    let client = aws_sdk_dynamodb::Client::new(&emulator.sdk_config());
    let tables = AtomicU32::new(0);
    kcl_lease::contract::lease_store(async || {
        let name = format!("table-{}", tables.fetch_add(1, Ordering::Relaxed));
        DynamoTable::new(client.clone(), client.clone(), name)
    })
    .await;
    emulator.stop().await;
}

#[tokio::test]
async fn a_worker_on_dynamodb_takes_commits_releases_and_leaves() {
    let (emulator, _kinesis) = with_stream(4).await;
    let config = emulator.sdk_config();
    let began = Instant::now();
    let mut run = Box::new(DynamoLeases::new(&config))
        .start(begin("a"))
        .await
        .unwrap();
    let first = next(&mut run).await;
    println!("first grant after {:?}", began.elapsed());
    let mut grants = vec![first];
    while grants.len() < 4 {
        grants.push(next(&mut run).await);
    }
    println!("all grants after {:?}", began.elapsed());
    let shards: BTreeSet<_> = grants.iter().map(|grant| grant.shard.id.clone()).collect();
    assert_eq!(shards.len(), 4);
    for grant in &mut grants {
        assert!(
            matches!(grant.checkpoint, Checkpoint::AtTimestamp(_)),
            "LATEST is fixed"
        );
        assert_eq!(grant.epoch.get(), 1);
        let to = Checkpoint::at(SequenceNumber::new("77").unwrap());
        grant.right.commit(&to).await.unwrap();
        grant.right.release().await.unwrap();
    }
    drop(grants);
    run.control.leave().await.unwrap();

    let mut again = Box::new(DynamoLeases::new(&config))
        .start(begin("b"))
        .await
        .unwrap();
    let grant = next(&mut again).await;
    assert_eq!(
        grant.checkpoint,
        Checkpoint::at(SequenceNumber::new("77").unwrap())
    );
    assert!(grant.epoch.get() > 1);
}

#[tokio::test]
async fn the_children_of_a_split_shard_are_granted_after_its_end() {
    let (emulator, kinesis) = with_stream(1).await;
    let leases = DynamoLeases::new(&emulator.sdk_config()).with_table_name("own-table");
    let mut run = Box::new(leases).start(begin("a")).await.unwrap();
    let mut parent = next(&mut run).await;
    let middle = (parent.shard.range.end / 2).to_string();
    let split = kinesis.split_shard().stream_name("orders");
    let split = split
        .shard_to_split(parent.shard.id.name())
        .new_starting_hash_key(middle);
    split.send().await.unwrap();
    let children = loop {
        let page = kinesis
            .list_shards()
            .stream_name("orders")
            .send()
            .await
            .unwrap();
        if page.shards().len() == 3 {
            break page.shards()[1..].to_vec();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let range = |shard: &aws_sdk_kinesis::types::Shard| {
        let range = shard.hash_key_range().unwrap();
        kcl_core::model::HashKeyRange::parse(range.starting_hash_key(), range.ending_hash_key())
    };
    let children: Vec<_> = children
        .iter()
        .map(|shard| kcl_core::model::ChildShard {
            id: shard.shard_id().into(),
            parents: vec![parent.shard.id.clone()],
            range: range(shard).unwrap(),
        })
        .collect();
    let record = Checkpoint::at(SequenceNumber::new("1").unwrap());
    parent.right.commit(&record).await.unwrap();
    let began = Instant::now();
    parent.right.finish(&children).await.unwrap();
    for _ in 0..2 {
        let child = next(&mut run).await;
        assert_eq!(
            child.checkpoint,
            Checkpoint::TrimHorizon,
            "children start at the beginning"
        );
        assert_eq!(child.shard.parents, [parent.shard.id.clone()]);
    }
    println!(
        "children granted {:?} after the end of their parent",
        began.elapsed()
    );
}

#[tokio::test]
async fn an_unknown_stream_is_not_found_and_leaves_no_table_behind() {
    let emulator = Emulator::start().await.unwrap();
    let config = emulator.sdk_config();
    let error = Box::new(DynamoLeases::new(&config))
        .start(begin("a"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("orders"), "{error}");
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let tables = dynamodb.list_tables().send().await.unwrap();
    assert_eq!(tables.table_names(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_wrong_endpoint_is_unavailable_and_named_within_the_start_timeout() {
    let (emulator, _kinesis) = with_stream(1).await;
    let config = emulator
        .sdk_config()
        .into_builder()
        .endpoint_url("http://127.0.0.1:1")
        .build();
    let settings = LeaseSettings {
        // Long enough for a first refusal to be seen on a machine that is busy.
        start_timeout: Duration::from_secs(4),
        ..LeaseSettings::default()
    };
    let began = Instant::now();
    let leases = DynamoLeases::new(&config).with_settings(settings);
    let error = Box::new(leases).start(begin("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("kinesis"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn leases_in_memory_need_no_table() {
    let (emulator, _kinesis) = with_stream(2).await;
    let store = MemoryStore::new();
    let leases = MemoryLeases::new(store.clone(), &emulator.sdk_config());
    let mut run = Box::new(leases).start(begin("a")).await.unwrap();
    let shards = [
        next(&mut run).await.shard.id.clone(),
        next(&mut run).await.shard.id.clone(),
    ];
    assert_ne!(shards[0], shards[1]);
}

/// Who starts an hour ahead of the service would miss what is written in that hour.
#[tokio::test]
async fn latest_is_not_later_than_the_services_clock() {
    let (emulator, kinesis) = with_stream(1).await;
    let (shards, stream) = (
        KinesisShards::new(kinesis),
        StreamName::new("orders").unwrap(),
    );
    let now = || emulator.service().clock().now();
    let shard = shards.list(&stream, None).await.unwrap().remove(0);
    let past = now();
    let asked = |time| shards.reached(&stream, &shard.id, time);
    assert_eq!(asked(past).await.unwrap(), past, "it has come");
    let ahead = past + Duration::from_secs(3600);
    let reached = asked(ahead).await.unwrap();
    assert!(reached <= now());
    assert!(
        reached + Duration::from_secs(1) > past,
        "by less than a second"
    );

    let missing = "shardId-000000000007".into();
    let wrong = shards.reached(&stream, &missing, past).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_worker_whose_clock_is_ahead_starts_at_the_services_latest() {
    let (emulator, kinesis) = with_stream(1).await;
    let ahead = Duration::from_secs(3600);
    let clock = emulator.service().clock().clone();
    let shown = {
        let clock = clock.clone();
        move || clock.now() + ahead
    };
    let leases = DynamoLeases::new(&emulator.sdk_config());
    let start = OwnershipStart {
        env: Env::simulated(shown, 1),
        ..begin("a")
    };
    let before = clock.now();
    let mut run = Box::new(leases).start(start).await.unwrap();
    let grant = next(&mut run).await;
    let Checkpoint::AtTimestamp(at) = grant.checkpoint else {
        panic!("{:?}", grant.checkpoint);
    };
    assert!(at <= clock.now());
    assert!(at + Duration::from_secs(1) > before);
    drop(kinesis);
}
