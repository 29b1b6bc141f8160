//! The ready destinations: what they keep of a record that cannot be processed, and that nothing is settled before
//! they have it. In paused time; the stream is the emulator's, without a socket.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::*;
use kinesis_emulator::Service;
use serde_json::{Value, json};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A worker that fails at `bad`, and gives it up after two attempts.
fn worker(
    source: &ScriptedSource,
    leases: &FixedOwnership,
    destination: impl FailureDestination,
) -> Worker {
    finish(
        Worker::builder("app", "stream"),
        (source, leases),
        destination,
    )
}

fn finish(
    builder: WorkerBuilder,
    (source, leases): (&ScriptedSource, &FixedOwnership),
    destination: impl FailureDestination,
) -> Worker {
    let failure = FailureSettings {
        policy: FailurePolicy::Divert,
        attempts_max: Some(2),
        ..FailureSettings::default()
    };
    builder
        .with_source(source.clone())
        .with_ownership(leases.clone())
        .with_worker_id("w1")
        .with_env(Env::simulated(|| SystemTime::UNIX_EPOCH + 60 * SECOND, 7))
        .with_settings(Settings {
            failure,
            ..Settings::default()
        })
        .with_failure_destination(destination)
        .with_record_handler(|record: Record, _: HandlerContext| async move {
            if record.data == "bad" {
                Err("cannot read it".into())
            } else {
                Ok(())
            }
        })
        .build()
        .unwrap()
}

fn stage() -> (ScriptedSource, FixedOwnership) {
    let source = ScriptedSource::new();
    source.put_keyed(
        "s",
        [("a", "good"), ("b", "bad"), ("c", "good"), ("d", "bad")],
    );
    source.close("s", &[]);
    (source, FixedOwnership::new(["s"]))
}

/// What is kept of the second record.
fn expected() -> Value {
    json!({
        "application": "app",
        "stream": "stream",
        "shardId": "s",
        "worker": "w1",
        "epoch": 1,
        "reason": "attempts_exhausted",
        "attempts": 2,
        "cause": "error",
        "error": "the handler of shard s failed: cannot read it",
        "batchSize": 1,
        "startSequenceNumber": "2",
        "endSequenceNumber": "2",
        "givenUpAt": "1970-01-01T00:01:00Z",
        "record": {
            "sequenceNumber": "2",
            "subSequenceNumber": 0,
            "partitionKey": "b",
            "data": "YmFk",
            "approximateArrivalTimestamp": "1970-01-01T00:00:00.002Z",
        },
    })
}

/// A path of this test and process alone.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("kcl-core-{}-{name}", std::process::id()))
}

#[tokio::test(start_paused = true)]
async fn a_file_gets_a_line_for_each_record_with_payload_and_reason() {
    let (path, (source, leases)) = (path("lines"), stage());
    std::fs::write(&path, "what was there before\n").unwrap();
    let worker = worker(&source, &leases, JsonLinesFile::new(&path));
    assert_eq!(
        worker.run(std::future::pending()).await.unwrap().finished,
        1
    );
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], "what was there before");
    assert_eq!(serde_json::from_str::<Value>(lines[1]).unwrap(), expected());
    let last: Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(last["record"]["partitionKey"], "d");
}

#[tokio::test(start_paused = true)]
async fn of_several_streams_a_line_names_the_stream_and_the_shard_apart() {
    let path = path("streams");
    let source = ScriptedSource::new();
    let shard = ShardId::of(StreamName::new("orders").unwrap(), "s");
    source.put(shard.clone(), ["bad"]);
    source.close(shard.clone(), &[]);
    let leases = FixedOwnership::new([shard]);
    let builder = Worker::builder_for_streams("app", Streams::new());
    let worker = finish(builder, (&source, &leases), JsonLinesFile::new(&path));
    worker.run(std::future::pending()).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["stream"], &line["shardId"]),
        (&json!("orders"), &json!("s"))
    );
}

#[tokio::test(start_paused = true)]
async fn records_wait_until_the_file_can_be_written() {
    let (path, (source, leases)) = (path("folder"), stage());
    // A folder cannot be appended to.
    std::fs::create_dir(&path).unwrap();
    let worker = worker(&source, &leases, JsonLinesFile::new(&path));
    let running = tokio::spawn(worker.run(std::future::pending()));
    sleep(10 * SECOND).await;
    assert_eq!(leases.checkpoint("s").unwrap().to_string(), "1");
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(running.await.unwrap().unwrap().finished, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
}

async fn kept(client: &Client) -> Vec<(String, Value)> {
    let iterator = client
        .get_shard_iterator()
        .stream_name("failures")
        .shard_id("shardId-000000000000")
        .shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.unwrap().shard_iterator;
    let page = client.get_records().set_shard_iterator(iterator);
    let records = page.send().await.unwrap().records;
    let read = |data: &[u8]| serde_json::from_slice(data).unwrap();
    let records = records.into_iter();
    records
        .map(|record| (record.partition_key.unwrap(), read(record.data.as_ref())))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_gets_each_record_under_its_key_once_the_stream_is_there() {
    let config = Service::default().sdk_config();
    let client = Client::new(&config);
    let (source, leases) = stage();
    let worker = worker(
        &source,
        &leases,
        KinesisDestination::new(&config, "failures"),
    );
    let running = tokio::spawn(worker.run(std::future::pending()));
    sleep(10 * SECOND).await;
    assert_eq!(
        leases.checkpoint("s").unwrap().to_string(),
        "1",
        "there is no stream yet"
    );
    let create = client
        .create_stream()
        .stream_name("failures")
        .shard_count(1);
    create.send().await.unwrap();
    assert_eq!(running.await.unwrap().unwrap().finished, 1);
    let kept = kept(&client).await;
    let keys: Vec<_> = kept.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["b", "d"]);
    assert_eq!(kept[0].1, expected());
}
