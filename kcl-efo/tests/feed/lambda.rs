//! Functions written for AWS Lambda behind fan-out, against the emulator, in paused time, without a socket. These are rows of
//! the index in `kcl-core/tests/lambda/rows.rs`, whose check looks for them here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::support::{STREAM, Wire, emulated, env, put, split};
use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_sdk_kinesis::Client;
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::Mapping;
use kcl_core::lambda::runtime_api::FunctionSettings;
use kcl_core::*;
use kcl_efo::{Consumer, ConsumerSettings, FanOut};
use kcl_lease::DynamoLeases;
use kinesis_emulator::Service;
use lambda_runtime::{LambdaEvent, service_fn};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// What a function got.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<KinesisEvent>>>);

impl Got {
    fn texts(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let records = events.iter().flat_map(|event| &event.records);
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        records.map(|record| text(&record.kinesis.data)).collect()
    }

    /// What these say of all records.
    fn all<T: Ord>(
        &self,
        of: impl Fn(&aws_lambda_events::event::kinesis::KinesisEventRecord) -> T,
    ) -> BTreeSet<T> {
        let events = self.0.lock().unwrap();
        let records = events.iter().flat_map(|event| &event.records);
        records.map(of).collect()
    }

    /// A worker with a function that keeps what it gets, and says that it is a mapping of this.
    fn worker(&self, service: &Service, arn: &str) -> WorkerBuilder {
        let got = self.clone();
        let function = service_fn(move |event: LambdaEvent<KinesisEvent>| {
            got.0.lock().unwrap().push(event.payload);
            std::future::ready(Ok::<(), lambda_runtime::Error>(()))
        });
        let source = EventSource::new(arn).unwrap();
        Worker::builder("app", STREAM)
            .with_ownership(DynamoLeases::new(&service.sdk_config()))
            .with_env(env(service))
            .with_lambda(
                Mapping::new(source, FunctionSettings::in_process("orders")),
                function,
            )
    }
}

async fn stream_arn(client: &Client) -> String {
    let summary = client.describe_stream_summary().stream_name(STREAM);
    let summary = summary.send().await.unwrap().stream_description_summary;
    summary.unwrap().stream_arn
}

/// The ARN of a consumer that is registered for the mapping, as a user of Lambda does it.
async fn consumer_arn(client: &Client) -> String {
    let consumer = Consumer::named(STREAM, "orders");
    let ready = consumer
        .ready(client, &ConsumerSettings::default())
        .await
        .unwrap();
    ready.arn().to_owned()
}

/// 6.3 fan-out: records are pushed to a mapping of a consumer, across a split; its events name the consumer.
#[tokio::test(start_paused = true)]
async fn a_mapping_of_a_consumer_gets_what_is_pushed() {
    let (service, client) = emulated(1).await;
    let (wire, got) = (Wire::new(&service), Got::default());
    let arn = consumer_arn(&client).await;
    let source = FanOut::registered(&wire.sdk_config(), &arn);
    let worker = got.worker(&service, &arn).with_source(source);
    let story = async {
        for number in 0..20 {
            if number == 10 {
                split(&client).await;
            }
            put(&client, &number.to_string()).await;
            sleep(SECOND).await;
        }
        sleep(30 * SECOND).await;
    };
    let report = worker.build().unwrap().run(story).await.unwrap();
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!((got.texts(), report.finished), (expected, 1));
    let named = got.all(|record| record.event_source_arn.clone());
    assert_eq!(named, BTreeSet::from([Some(arn)]));
    let shards = got.all(|record| {
        let id = record.event_id.as_deref().unwrap();
        id.split(':').next().unwrap().to_owned()
    });
    assert_eq!(
        shards.len(),
        2,
        "of the parent, and of the child that the key went to: {shards:?}"
    );
    assert!(wire.operations().contains("SubscribeToShard"));
    assert_eq!(wire.calls("GetRecords"), []);
}

/// 6.1 StartingPosition: the oldest record, a time, and now.
#[tokio::test(start_paused = true)]
async fn a_mapping_starts_where_it_is_told() {
    // Every emulator's clock starts here.
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let rows: [(InitialPosition, &[&str]); 3] = [
        (InitialPosition::TrimHorizon, &["early", "late", "new"]),
        (
            InitialPosition::AtTimestamp(noon + 10 * SECOND),
            &["late", "new"],
        ),
        (InitialPosition::Latest, &["new"]),
    ];
    for (position, expected) in rows {
        let (service, client) = emulated(1).await;
        put(&client, "early").await;
        sleep(20 * SECOND).await;
        put(&client, "late").await;
        sleep(20 * SECOND).await;
        let got = Got::default();
        let arn = stream_arn(&client).await;
        let worker = got
            .worker(&service, &arn)
            .with_source(FanOut::new(&service.sdk_config(), "orders"))
            .with_initial_position(position);
        let story = async {
            sleep(20 * SECOND).await;
            put(&client, "new").await;
            sleep(20 * SECOND).await;
        };
        worker.build().unwrap().run(story).await.unwrap();
        assert_eq!(got.texts(), expected, "{position:?}");
    }
}

/// Of Lambda's managed policy for Kinesis.
const PERMITTED: [&str; 7] = [
    "DescribeStream",
    "DescribeStreamSummary",
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "ListStreams",
    "SubscribeToShard",
];

/// 6.1 Permissions: those of Lambda's managed policy are enough, but for a look at a consumer that was named by its ARN.
#[tokio::test(start_paused = true)]
async fn a_mapping_needs_no_more_permissions_than_with_lambda() {
    for fan_out in [false, true] {
        let (service, client) = emulated(2).await;
        let (wire, got) = (Wire::new(&service), Got::default());
        put(&client, "one").await;
        let arn = consumer_arn(&client).await;
        // The table is another service's, and has permissions of its own.
        let config = wire.sdk_config();
        let worker = got.worker(&service, &arn);
        let worker = if fan_out {
            worker.with_source(FanOut::registered(&config, &arn))
        } else {
            worker.with_source(Polling::new(&config))
        };
        let worker = worker.with_ownership(DynamoLeases::new(&config));
        let story = async {
            sleep(30 * SECOND).await;
            split(&client).await;
            put(&client, "two").await;
            sleep(60 * SECOND).await;
        };
        worker.build().unwrap().run(story).await.unwrap();
        assert_eq!(got.texts(), ["one", "two"]);
        let called = wire.operations();
        let beyond: Vec<_> = called
            .iter()
            .filter(|called| !PERMITTED.contains(&called.as_str()) && !is_of_table(called))
            .collect();
        let expected: &[&str] = if fan_out {
            &["DescribeStreamConsumer"]
        } else {
            &[]
        };
        assert_eq!(beyond, expected, "fan-out: {fan_out}");
    }
}

fn is_of_table(operation: &str) -> bool {
    ["Item", "Table", "Scan", "Query", "TimeToLive", "Backups"]
        .iter()
        .any(|word| operation.contains(word))
}
