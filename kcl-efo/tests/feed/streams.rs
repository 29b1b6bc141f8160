//! Several streams in one worker by fan-out, against the emulator, in paused time, without a socket: each
//! stream has a consumer of its own, and shards of one name in two streams are not taken for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Notes, Wire, env};
use aws_sdk_kinesis::Client;
use kcl_core::event::Retrieval;
use kcl_core::*;
use kcl_efo::FanOut;
use kcl_lease::DynamoLeases;
use kinesis_emulator::{Clock, Service, Settings};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const START: InitialPosition = InitialPosition::TrimHorizon;

/// What was processed.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    /// By stream.
    records: BTreeMap<String, Vec<String>>,
    /// Where it came from.
    shards: BTreeSet<ShardId>,
}

#[async_trait]
impl RecordProcessor for Book {
    async fn process_records(
        &mut self,
        shard: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        let mut pages = self.0.lock().unwrap();
        pages.shards.insert(shard.shard().clone());
        let of_stream = pages.records.entry(shard.stream().to_string());
        let of_stream = of_stream.or_default();
        for record in &batch.records {
            of_stream.push(String::from_utf8(record.data.to_vec())?);
        }
        Ok(())
    }
}

impl Book {
    fn of(&self, stream: &str) -> Vec<String> {
        let mut read = self.0.lock().unwrap().records.get(stream).cloned();
        read.iter_mut().for_each(|read| read.sort());
        read.unwrap_or_default()
    }
}

/// An emulator with streams of one shard each.
struct World {
    service: Service,
    client: Client,
    wire: Wire,
    book: Book,
    notes: Notes,
    written: Mutex<BTreeMap<String, Vec<String>>>,
}

impl World {
    async fn new(streams: &[&str]) -> Self {
        let noon = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let service = Service::new(Settings {
            clock: Clock::starting_at(noon),
            ..Settings::default()
        });
        let world = Self {
            client: Client::new(&service.sdk_config()),
            wire: Wire::new(&service),
            service,
            book: Book::default(),
            notes: Notes::default(),
            written: Mutex::default(),
        };
        for stream in streams {
            world.make(stream).await;
        }
        world
    }

    async fn make(&self, stream: &str) {
        let make = self.client.create_stream().stream_name(stream);
        make.shard_count(1).send().await.unwrap();
    }

    async fn arn(&self, stream: &str) -> String {
        let summary = self.client.describe_stream_summary().stream_name(stream);
        let summary = summary.send().await.unwrap().stream_description_summary;
        summary.unwrap().stream_arn
    }

    /// The names of the consumers of a stream.
    async fn consumers(&self, stream: &str) -> Vec<String> {
        let list = self.client.list_stream_consumers();
        let list = list.stream_arn(self.arn(stream).await).send().await;
        let names = list.unwrap().consumers.unwrap_or_default().into_iter();
        names.map(|consumer| consumer.consumer_name).collect()
    }

    /// Registers a consumer as somebody else would, and names its ARN.
    async fn register(&self, stream: &str) -> String {
        let register = self.client.register_stream_consumer();
        let register = register.stream_arn(self.arn(stream).await);
        let registered = register.consumer_name("theirs").send().await.unwrap();
        registered.consumer.unwrap().consumer_arn
    }

    /// Writes to these streams, once a second, so many times.
    async fn write(&self, streams: &[&str], times: usize) {
        for _ in 0..times {
            for stream in streams {
                let text = {
                    let mut written = self.written.lock().unwrap();
                    let of_stream = written.entry((*stream).to_owned()).or_default();
                    of_stream.push(format!("{stream} {:04}", of_stream.len()));
                    of_stream.last().cloned().unwrap()
                };
                let put = self.client.put_record().stream_name(*stream);
                let put = put.partition_key(&text).data(text.into_bytes().into());
                put.send().await.unwrap();
            }
            sleep(SECOND).await;
        }
    }

    fn worker(&self, source: FanOut, streams: &Streams) -> Worker {
        let (book, notes) = (self.book.clone(), self.notes.clone());
        Worker::builder_for_streams("app", streams.clone())
            .with_source(source)
            .with_ownership(DynamoLeases::new(&self.service.sdk_config()))
            .with_processor(move |_: &ShardContext| book.clone())
            .with_env(env(&self.service))
            .with_worker_id("w1")
            .with_observer(move |event: &Event| notes.note(event))
            .build()
            .unwrap()
    }

    /// Everything that was written to these streams was read from them, once.
    fn check(&self, streams: &[&str]) {
        let written = self.written.lock().unwrap();
        for stream in streams {
            assert!(!written[*stream].is_empty());
            assert_eq!(self.book.of(stream), written[*stream], "{stream}");
        }
    }

    /// The refusals to let a shard be read.
    fn unreadable(&self) -> Vec<(ShardId, ErrorKind, String)> {
        let refusal = |event| {
            if let Event::ShardUnreadable { shard, error, .. } = event {
                Some((shard, error.kind, error.message))
            } else {
                None
            }
        };
        self.notes.all().into_iter().filter_map(refusal).collect()
    }
}

fn streams(names: &[&str]) -> Streams {
    let streams = Streams::new();
    names
        .iter()
        .for_each(|name| streams.add(name, START).unwrap());
    streams
}

fn of(stream: &str, number: usize) -> ShardId {
    let stream = StreamName::new(stream).unwrap();
    ShardId::of(stream, format!("shardId-{number:012}"))
}

#[tokio::test(start_paused = true)]
async fn each_stream_is_read_with_a_consumer_of_its_own_and_followed_through_a_split() {
    let world = World::new(&["orders", "clicks"]).await;
    let streams = streams(&["orders", "clicks"]);
    let source = FanOut::new(&world.wire.sdk_config(), "app");
    let story = async {
        world.write(&["orders", "clicks"], 10).await;
        for stream in ["orders", "clicks"] {
            assert_eq!(world.consumers(stream).await, ["app"], "{stream}");
        }
        let split = world.client.split_shard().stream_name("orders");
        let split = split.shard_to_split("shardId-000000000000");
        let split = split.new_starting_hash_key((1_u128 << 127).to_string());
        split.send().await.unwrap();
        // And one that is added while the worker runs.
        world.make("returns").await;
        streams.add("returns", START).unwrap();
        world.write(&["orders", "clicks", "returns"], 30).await;
        assert_eq!(world.service.subscriptions(), 4, "one for each shard");
        assert!(streams.remove("clicks"));
        sleep(10 * SECOND).await;
        assert_eq!(world.service.subscriptions(), 3, "of `clicks` none is left");
    };
    let worker = world.worker(source.clone(), &streams);
    let report = worker.run(story).await.unwrap();
    assert_eq!(report.finished, 1);
    world.check(&["orders", "clicks", "returns"]);
    assert_eq!(world.consumers("returns").await, ["app"]);
    let expected = [
        of("clicks", 0),
        of("orders", 0),
        of("orders", 1),
        of("orders", 2),
        of("returns", 0),
    ];
    assert_eq!(
        world.book.0.lock().unwrap().shards,
        BTreeSet::from(expected)
    );
    assert_eq!(world.notes.failures(), []);
    assert_eq!(world.service.subscriptions(), 0, "who left holds nothing");
    // Each is deregistered by itself.
    source.deregister("clicks").await.unwrap();
    assert_eq!(world.consumers("clicks").await, [""; 0]);
    assert_eq!(world.consumers("orders").await, ["app"]);
}

#[tokio::test(start_paused = true)]
async fn of_given_consumers_each_stream_is_read_with_its_own_and_one_without_is_told() {
    let world = World::new(&["orders", "clicks", "returns"]).await;
    let arns = [
        world.register("clicks").await,
        world.register("orders").await,
    ];
    let streams = streams(&["orders", "clicks", "returns"]);
    let source = FanOut::registered_for_streams(&world.wire.sdk_config(), arns);
    let story = async {
        world.write(&["orders", "clicks", "returns"], 20).await;
        sleep(5 * SECOND).await;
    };
    let worker = world.worker(source.clone(), &streams);
    worker.run(story).await.unwrap();
    world.check(&["orders", "clicks"]);
    assert_eq!(world.book.of("returns"), [""; 0]);
    assert_eq!(world.wire.calls("RegisterStreamConsumer"), []);
    assert_eq!(world.wire.calls("DescribeStreamSummary"), []);
    let refusals = world.unreadable();
    // At once, and after 10 s.
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    for (shard, kind, message) in &refusals {
        assert_eq!((shard, kind), (&of("returns", 0), &ErrorKind::Invalid));
        assert!(
            message.contains("consumer to read stream returns"),
            "{message}"
        );
    }
    let error = source.deregister("returns").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_given_consumer_is_polled_if_there_is_a_fallback() {
    let world = World::new(&["orders", "clicks"]).await;
    let arn = world.register("orders").await;
    let streams = streams(&["orders", "clicks"]);
    let config = world.wire.sdk_config();
    let source = FanOut::registered(&config, arn).with_fallback(Polling::new(&config));
    let story = async {
        world.write(&["orders", "clicks"], 20).await;
        sleep(5 * SECOND).await;
    };
    world.worker(source, &streams).run(story).await.unwrap();
    world.check(&["orders", "clicks"]);
    assert_eq!(world.unreadable(), []);
    let changed = |event| {
        if let Event::RetrievalChanged { shard, to, .. } = event {
            Some((shard, to))
        } else {
            None
        }
    };
    let changes: Vec<_> = world.notes.all().into_iter().filter_map(changed).collect();
    assert_eq!(changes, [(of("clicks", 0), Retrieval::Polling)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_deleted_stops_no_other() {
    let world = World::new(&["orders", "clicks"]).await;
    let streams = streams(&["orders", "clicks"]);
    let source = FanOut::new(&world.wire.sdk_config(), "app");
    let story = async {
        world.write(&["orders", "clicks"], 10).await;
        let delete = world.client.delete_stream().stream_name("clicks");
        let delete = delete.enforce_consumer_deletion(true);
        delete.send().await.unwrap();
        world.write(&["orders"], 60).await;
    };
    let report = world.worker(source, &streams).run(story).await.unwrap();
    world.check(&["orders", "clicks"]);
    let refusals = world.unreadable();
    assert!(!refusals.is_empty());
    for (shard, kind, message) in refusals {
        assert_eq!((shard, kind), (of("clicks", 0), ErrorKind::NotFound));
        assert!(message.contains("clicks"), "{message}");
    }
    assert_eq!(report.released, 2, "both are given back in the end");
}

#[test]
fn consumers_that_are_not_one_for_each_stream_are_refused_when_the_worker_is_built() {
    let service = Service::new(Settings::default());
    let config = service.sdk_config();
    let build = |arns: &[&str]| {
        Worker::builder_for_streams("app", Streams::new())
            .with_source(FanOut::registered_for_streams(&config, arns.to_vec()))
            .with_ownership(DynamoLeases::new(&config))
            .with_processor(|_: &ShardContext| Book::default())
            .build()
            .unwrap_err()
            .to_string()
    };
    let orders = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/app:17";
    for (arns, part) in [
        (&[][..], "at least one"),
        (&[orders, orders], "a second consumer of stream orders"),
    ] {
        let told = build(arns);
        assert!(told.contains("fan_out.consumer.arn"), "{told}");
        assert!(told.contains(part), "{told}");
    }
}
