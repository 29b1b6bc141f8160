//! A whole worker of several streams against the emulator: its Kinesis, and the table in its DynamoDB.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use kcl_core::*;
use kcl_lease::{DynamoLeases, JavaLeases, LeaseSettings};
use kinesis_emulator::Emulator;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const START: InitialPosition = InitialPosition::TrimHorizon;

struct Tell(mpsc::Sender<String>);

#[async_trait]
impl RecordProcessor for Tell {
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        for record in &batch.records {
            let text = String::from_utf8(record.data.to_vec())?;
            self.0.send(format!("{}: {text}", shard.stream())).await?;
        }
        Ok(())
    }
}

/// The service, and what the worker told.
struct Stage {
    emulator: Emulator,
    kinesis: aws_sdk_kinesis::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    seen: mpsc::Receiver<String>,
    events: mpsc::Receiver<Event>,
    streams: Streams,
    stop: oneshot::Sender<()>,
    worker: tokio::task::JoinHandle<Result<Report, Error>>,
}

impl Stage {
    async fn new(streams: &[(&str, i32)]) -> Self {
        let emulator = Emulator::start().await.unwrap();
        let config = emulator.sdk_config();
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let list = Streams::new();
        for (name, shards) in streams {
            make(&kinesis, name, *shards).await;
            list.add(name, START).unwrap();
        }
        let (tell, seen) = mpsc::channel(100);
        let (note, events) = mpsc::channel(1_000);
        let settings = LeaseSettings {
            duration: Duration::from_secs(2),
            ..LeaseSettings::default()
        };
        let worker = Worker::builder_for_streams("shop", list.clone())
            .with_source(Polling::new(&config))
            .with_ownership(DynamoLeases::new(&config).with_settings(settings))
            .with_processor(move |_: &ShardContext| Tell(tell.clone()))
            .with_observer(move |event: &Event| drop(note.try_send(event.clone())))
            .build()
            .unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(worker.run(async move { drop(stopped.await) }));
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        Self {
            emulator,
            kinesis,
            dynamodb,
            seen,
            events,
            streams: list,
            stop,
            worker,
        }
    }

    async fn put(&self, stream: &str, key: &str, text: &str) {
        let put = self
            .kinesis
            .put_record()
            .stream_name(stream)
            .partition_key(key);
        put.data(text.as_bytes().to_vec().into())
            .send()
            .await
            .unwrap();
    }

    /// The next records, in any order.
    async fn seen(&mut self, count: usize) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for _ in 0..count {
            let next = timeout(PATIENCE, self.seen.recv()).await;
            seen.insert(next.expect("a record in time").expect("a record"));
        }
        seen
    }

    async fn event(&mut self, is: impl Fn(&Event) -> bool) {
        let all = async { while !is(&self.events.recv().await.expect("an event")) {} };
        timeout(PATIENCE, all).await.expect("the event in time");
    }

    /// The keys of the rows of the table.
    async fn keys(&self) -> BTreeSet<String> {
        let page = self
            .dynamodb
            .scan()
            .table_name("shop")
            .send()
            .await
            .unwrap();
        let key = |item: &std::collections::HashMap<String, _>| {
            let key: &aws_sdk_dynamodb::types::AttributeValue = &item["leaseKey"];
            key.as_s().unwrap().clone()
        };
        page.items().iter().map(key).collect()
    }
}

async fn make(kinesis: &aws_sdk_kinesis::Client, name: &str, shards: i32) {
    let create = kinesis
        .create_stream()
        .stream_name(name)
        .shard_count(shards);
    create.send().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = kinesis.list_shards().stream_name(name).send().await {
        assert_eq!(error.code(), Some("ResourceInUseException"), "{error:?}");
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(5)).await;
    }
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn two_streams_a_reshard_a_stream_that_is_deleted_and_one_that_is_added() {
    let mut stage = Stage::new(&[("orders", 1), ("clicks", 1)]).await;
    stage.put("orders", "k", "1").await;
    stage.put("clicks", "k", "1").await;
    assert_eq!(stage.seen(2).await, set(&["clicks: 1", "orders: 1"]));
    let keys = stage.keys().await;
    for stream in ["orders", "clicks"] {
        let key = format!("stream/{stream}/shardId-000000000000");
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    let kinds: Vec<_> = keys
        .iter()
        .filter_map(|key| key.split('/').next())
        .collect();
    assert_eq!(kinds, ["stream", "stream", "streams", "watch", "worker"]);

    let split = stage.kinesis.split_shard().stream_name("orders");
    let split = split.shard_to_split("shardId-000000000000");
    let middle = (u128::MAX / 2).to_string();
    split.new_starting_hash_key(middle).send().await.unwrap();
    let is_child = |event: &Event| {
        matches!(event, Event::ShardStarted { shard, .. }
            if shard.to_string() == "orders/shardId-000000000002")
    };
    stage.event(is_child).await;
    for n in 0..4 {
        stage
            .put("orders", &format!("key {n}"), &format!("after {n}"))
            .await;
    }
    let after = [
        "orders: after 0",
        "orders: after 1",
        "orders: after 2",
        "orders: after 3",
    ];
    assert_eq!(stage.seen(4).await, set(&after));

    let delete = stage.kinesis.delete_stream().stream_name("clicks");
    delete.send().await.unwrap();
    let is_refused = |event: &Event| {
        matches!(event, Event::ShardUnreadable { shard, .. }
            if shard.to_string() == "clicks/shardId-000000000000")
    };
    stage.event(is_refused).await;
    stage.put("orders", "k", "goes on").await;
    assert_eq!(stage.seen(1).await, set(&["orders: goes on"]));

    stage.streams.remove("clicks");
    make(&stage.kinesis, "late", 2).await;
    stage.streams.add("late", START).unwrap();
    stage.put("late", "k", "1").await;
    assert_eq!(stage.seen(1).await, set(&["late: 1"]));

    drop(stage.stop);
    let report = stage.worker.await.unwrap().unwrap();
    assert_eq!(
        (report.records, report.lost, report.abandoned),
        (8, 0, 0),
        "{report}"
    );
    stage.emulator.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_not_there_at_the_start_ends_the_worker_and_leaves_no_table() {
    let emulator = Emulator::start().await.unwrap();
    let config = emulator.sdk_config();
    let streams = Streams::new();
    streams.add("nowhere", START).unwrap();
    let (tell, _) = mpsc::channel(1);
    let worker = Worker::builder_for_streams("shop", streams)
        .with_source(Polling::new(&config))
        .with_ownership(DynamoLeases::new(&config))
        .with_processor(move |_: &ShardContext| Tell(tell.clone()))
        .build()
        .unwrap();
    let error = worker.run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("stream nowhere"), "{error}");
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let tables = dynamodb.list_tables().send().await.unwrap();
    assert!(tables.table_names().is_empty());
}

#[tokio::test]
async fn leases_that_java_workers_share_are_of_one_stream() {
    let emulator = Emulator::start().await.unwrap();
    let config = emulator.sdk_config();
    let (tell, _) = mpsc::channel(1);
    let error = Worker::builder_for_streams("shop", Streams::new())
        .with_source(Polling::new(&config))
        .with_ownership(JavaLeases::new(&config))
        .with_processor(move |_: &ShardContext| Tell(tell.clone()))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("one stream only"), "{error}");
}
