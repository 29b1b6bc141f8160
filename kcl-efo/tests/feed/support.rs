//! A stream in an emulator in this process, for the tests of fan-out.

mod wire;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::event::{Event, Events, Origin, ReadFailure};
use kcl_core::model::Position;
use kcl_core::port::{Feed, Meter, OpenFeed};
use kcl_core::{ApplicationName, Env, RecordSource, SequenceNumber, ShardId, StreamName, WorkerId};
use kinesis_emulator::{Clock, Service, Settings};
use tokio::time::timeout;

pub(crate) use wire::Wire;

pub(crate) const STREAM: &str = "stream";
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn stream() -> StreamName {
    StreamName::new(STREAM).unwrap()
}

pub(crate) fn shard() -> ShardId {
    ShardId::new("shardId-000000000000")
}

/// An emulator with a stream of so many shards.
pub(crate) async fn emulated(shards: i32) -> (Service, Client) {
    // The same time in every run, so that runs can be compared.
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let service = Service::new(Settings {
        clock: Clock::starting_at(noon),
        ..Settings::default()
    });
    let client = Client::new(&service.sdk_config());
    let made = client.create_stream().stream_name(STREAM);
    made.shard_count(shards).send().await.unwrap();
    (service, client)
}

pub(crate) async fn put(client: &Client, payload: &str) -> SequenceNumber {
    let put = client.put_record().stream_name(STREAM).partition_key("key");
    let put = put.data(Blob::new(payload)).send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    SequenceNumber::new(put.sequence_number).unwrap()
}

/// Splits the first shard, and names what follows.
pub(crate) async fn split(client: &Client) -> Vec<ShardId> {
    let split = client
        .split_shard()
        .stream_name(STREAM)
        .shard_to_split(shard().name())
        .new_starting_hash_key((1_u128 << 126).to_string());
    split.send().await.unwrap();
    let shards = client.list_shards().stream_name(STREAM).send().await;
    let shards = shards.unwrap();
    let is_child =
        |found: &&aws_sdk_kinesis::types::Shard| found.parent_shard_id() == Some(shard().name());
    let children = shards.shards().iter().filter(is_child);
    children
        .map(|child| ShardId::new(&child.shard_id))
        .collect()
}

/// What a feed told.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Event>>>);

impl Notes {
    pub(crate) fn events(&self) -> Events {
        let origin = Origin {
            application: ApplicationName::new("app").unwrap(),
            stream: Some(stream()),
            worker: WorkerId::new("w1").unwrap(),
        };
        let notes = self.clone();
        let note = move |event: &Event| notes.note(event);
        Events::new(origin, vec![Arc::new(note)])
    }

    pub(crate) fn note(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// The failures, in order.
    pub(crate) fn failures(&self) -> Vec<ReadFailure> {
        let why = |event: &Event| {
            if let Event::ReadFailed { why, .. } = event {
                Some(*why)
            } else {
                None
            }
        };
        self.all().iter().filter_map(why).collect()
    }

    /// Waits until something was told.
    pub(crate) async fn until(&self, is: impl Fn(&Event) -> bool) {
        let told = async {
            while !self.all().iter().any(&is) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, told)
            .await
            .unwrap_or_else(|_| panic!("it was never told: {:#?}", self.all()));
    }
}

/// The emulator's clock for a worker.
pub(crate) fn env(service: &Service) -> Env {
    let clock = service.clock().clone();
    Env::simulated(move || clock.now(), 1)
}

pub(crate) fn open(source: &dyn RecordSource, from: Position, notes: &Notes) -> Feed {
    open_metered(source, from, notes, &Meter::default())
}

pub(crate) fn open_metered(
    source: &dyn RecordSource,
    from: Position,
    notes: &Notes,
    meter: &Meter,
) -> Feed {
    source.open(OpenFeed {
        stream: stream(),
        shard: shard(),
        from,
        env: Env::system(),
        events: notes.events(),
        meter: meter.clone(),
    })
}

/// The numbers of the next records, at least so many; it fails if they do not grow.
pub(crate) async fn read(feed: &mut Feed, count: usize) -> Vec<SequenceNumber> {
    let mut read: Vec<SequenceNumber> = Vec::new();
    while read.len() < count {
        let batch = timeout(PATIENCE, feed.next())
            .await
            .expect("records come")
            .unwrap();
        read.extend(
            batch
                .records
                .into_iter()
                .map(|record| record.sequence_number),
        );
    }
    assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
    read
}
