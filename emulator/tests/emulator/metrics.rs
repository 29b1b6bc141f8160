//! Metrics and the overview of streams: that they say what has happened, and start again at nothing.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::{Action, Clock, Fault, Limits, Service, Settings};
use serde_json::{Value, json};

use crate::caller::{Caller, START, shard};

/// The samples by their name with labels, and the help of each family.
struct Metrics {
    samples: BTreeMap<String, f64>,
    help: BTreeMap<String, String>,
}

async fn metrics(caller: &Caller) -> Metrics {
    let request = http::Request::get("/_emulator/metrics")
        .body(Full::new(Bytes::new()))
        .unwrap();
    let answer = caller.service.serve(request).await;
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let body = answer.into_body().into_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let (mut samples, mut help) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').unwrap();
            assert_eq!(
                help.insert(name.to_owned(), text.to_owned()),
                None,
                "{name}"
            );
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let value = value.parse().unwrap();
            assert_eq!(samples.insert(name.to_owned(), value), None, "{name}");
        }
    }
    Metrics { samples, help }
}

impl Metrics {
    /// A sample of the stream `s`.
    fn of_stream(&self, name: &str) -> f64 {
        self.get(name, "")
    }

    /// A sample of the stream `s` with more labels.
    fn get(&self, name: &str, more: &str) -> f64 {
        let name = format!(
            "kinesis_{name}{{account=\"000000000000\",region=\"us-east-1\",stream=\"s\"{more}}}"
        );
        *self
            .samples
            .get(&name)
            .unwrap_or_else(|| panic!("no {name}"))
    }

    fn request(&self, service: &str, operation: &str, outcome: &str) -> Option<f64> {
        let name = format!(
            "kinesis_emulator_requests_total{{service=\"{service}\",operation=\"{operation}\",\
             outcome=\"{outcome}\"}}"
        );
        self.samples.get(&name).copied()
    }
}

async fn caller(limits: Limits) -> Caller {
    let settings = Settings {
        clock: Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START)),
        limits,
        seed: Some(1),
        ..Settings::default()
    };
    let caller = Caller {
        service: Service::new(settings),
    };
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 2}))
        .await;
    caller
}

fn batch(count: usize) -> Value {
    let record = json!({"PartitionKey": "key", "ExplicitHashKey": "0", "Data": "eHh4"});
    json!({"StreamName": "s", "Records": vec![record; count]})
}

#[tokio::test(start_paused = true)]
async fn what_goes_in_and_out_is_counted_under_cloudwatchs_names() {
    let caller = caller(Limits::Off).await;
    caller.put("a", "12345").await;
    caller.ok("PutRecords", batch(10)).await;
    caller.advance(Duration::from_secs(3));
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    caller.records(&iterator).await;
    caller
        .refused("GetRecords", json!({"ShardIterator": "x"}))
        .await;
    let metrics = metrics(&caller).await;
    for (name, expected) in [
        ("incoming_bytes_total", 66.0),
        ("incoming_records_total", 11.0),
        ("put_record_bytes_total", 6.0),
        ("put_record_success_total", 1.0),
        ("put_record_latency_milliseconds_count", 1.0),
        ("put_records_bytes_total", 60.0),
        ("put_records_success_total", 1.0),
        ("put_records_total_records_total", 10.0),
        ("put_records_successful_records_total", 10.0),
        ("put_records_failed_records_total", 0.0),
        ("put_records_throttled_records_total", 0.0),
        ("get_records_bytes_total", 66.0),
        ("get_records_records_total", 11.0),
        ("get_records_success_total", 1.0),
        ("get_records_iterator_age_milliseconds", 3000.0),
        ("write_provisioned_throughput_exceeded_total", 0.0),
        ("read_provisioned_throughput_exceeded_total", 0.0),
    ] {
        assert_eq!(metrics.of_stream(name), expected, "{name}");
    }
    for (name, original) in [
        ("kinesis_incoming_bytes_total", "CloudWatch IncomingBytes"),
        (
            "kinesis_get_records_iterator_age_milliseconds",
            "CloudWatch GetRecords.IteratorAgeMilliseconds",
        ),
    ] {
        assert!(metrics.help[name].starts_with(original), "{name}");
    }
    assert_eq!(metrics.request("kinesis", "PutRecord", "ok"), Some(1.0));
    let invalid = "InvalidArgumentException";
    assert_eq!(metrics.request("kinesis", "GetRecords", invalid), Some(1.0));
    assert_eq!(metrics.request("kinesis", "ListShards", "ok"), None);
    assert_eq!(
        metrics.samples["kinesis_emulator_clock_seconds"],
        (START + 3) as f64
    );
    assert!(
        !metrics
            .samples
            .keys()
            .any(|name| name.contains("kinesis_shard_"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_and_what_would_have_been_are_counted_apart() {
    // Per case the counts of calls beyond their limit: what is enforced, and what is observed.
    let mut counts = Vec::new();
    for limits in [Limits::Enforce, Limits::Observe] {
        let caller = caller(limits).await;
        let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
        let mut failed = 0;
        for _ in 0..4 {
            for _ in 0..3 {
                let reply = caller.ok("PutRecords", batch(450)).await;
                failed += reply["FailedRecordCount"].as_u64().unwrap();
            }
            for _ in 0..9 {
                let body = json!({"ShardIterator": iterator, "Limit": 1});
                caller.raw("GetRecords", &body.to_string()).await;
            }
            for _ in 0..7 {
                caller.raw("ListStreams", "{}").await;
            }
            caller.advance(Duration::from_millis(700));
        }
        let metrics = metrics(&caller).await;
        let prefix = if limits == Limits::Enforce {
            ""
        } else {
            "observed_"
        };
        let other = if limits == Limits::Enforce {
            "observed_"
        } else {
            ""
        };
        let throughput = |prefix: &str, what: &str| {
            metrics.of_stream(&format!(
                "{prefix}{what}_provisioned_throughput_exceeded_total"
            ))
        };
        assert_eq!(throughput(other, "write") + throughput(other, "read"), 0.0);
        if limits == Limits::Enforce {
            assert_eq!(throughput("", "write"), failed as f64);
            assert_eq!(
                metrics.of_stream("put_records_throttled_records_total"),
                failed as f64
            );
        } else {
            assert_eq!(failed, 0);
        }
        let enforced = limits == Limits::Enforce;
        let lists = format!(
            "kinesis_emulator_rate_exceeded_total{{operation=\"ListStreams\",enforced=\"{enforced}\"}}"
        );
        counts.push((
            throughput(prefix, "write"),
            throughput(prefix, "read"),
            metrics.samples[&lists],
        ));
    }
    assert_eq!(counts[0], counts[1]);
    assert!(
        counts[0].0 > 1000.0 && counts[0].1 > 10.0 && counts[0].2 > 5.0,
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn shards_are_counted_apart_where_enhanced_monitoring_asks_for_it() {
    let caller = caller(Limits::Off).await;
    let two = json!({"StreamName": "s", "ShardLevelMetrics": ["IncomingRecords", "OutgoingBytes"]});
    caller.ok("EnableEnhancedMonitoring", two).await;
    caller.ok("PutRecords", batch(5)).await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    caller.records(&iterator).await;
    caller.records(&iterator).await;
    let metrics = metrics(&caller).await;
    let (first, second) = (shard(0), shard(1));
    let of = |name: &str, shard: &str| metrics.get(name, &format!(",shard=\"{shard}\""));
    assert_eq!(of("shard_incoming_records_total", &first), 5.0);
    assert_eq!(of("shard_incoming_records_total", &second), 0.0);
    assert_eq!(of("shard_outgoing_bytes_total", &first), 60.0);
    let is_asked =
        |name: &String| name.contains("incoming_records") || name.contains("outgoing_bytes");
    let of_shards = metrics
        .samples
        .keys()
        .filter(|name| name.contains("kinesis_shard_"));
    assert_eq!(of_shards.filter(|name| !is_asked(name)).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_counted_for_their_consumer() {
    let caller = caller(Limits::Enforce).await;
    let consumer = caller.consumer("c").await;
    caller.ok("PutRecords", batch(5)).await;
    let position = json!({"Type": "TRIM_HORIZON"});
    let mut events = caller.subscribe(&consumer, "0", position.clone()).await;
    events.event().await;
    let body = json!({"ConsumerARN": consumer, "ShardId": "0", "StartingPosition": position});
    let (kind, text) = caller.refused("SubscribeToShard", body).await;
    assert_eq!(kind, "LimitExceededException");
    assert_eq!(
        text,
        "Rate exceeded for stream s under account 000000000000."
    );
    let during = metrics(&caller).await;
    let of = |name: &str| during.get(name, ",consumer=\"c\"");
    assert_eq!(of("subscribe_to_shard_success_total"), 1.0);
    assert_eq!(of("subscribe_to_shard_rate_exceeded_total"), 1.0);
    assert_eq!(of("subscribe_to_shard_event_success_total"), 1.0);
    assert_eq!(of("subscribe_to_shard_event_records_total"), 5.0);
    assert_eq!(of("subscribe_to_shard_event_bytes_total"), 30.0);
    assert_eq!(during.samples["kinesis_emulator_subscriptions"], 1.0);
    drop(events);
    let after = metrics(&caller).await;
    assert_eq!(after.samples["kinesis_emulator_subscriptions"], 0.0);
}

#[tokio::test(start_paused = true)]
async fn faults_and_lost_answers_are_counted() {
    let caller = caller(Limits::Off).await;
    let lost = Fault::new(Action::ResetAfter).on("PutRecords").times(2);
    caller.service.faults().add(lost).unwrap();
    for _ in 0..3 {
        caller.raw("PutRecords", &batch(1).to_string()).await;
    }
    let metrics = metrics(&caller).await;
    assert_eq!(metrics.request("kinesis", "PutRecords", "lost"), Some(2.0));
    assert_eq!(metrics.request("kinesis", "PutRecords", "ok"), Some(1.0));
    assert_eq!(metrics.of_stream("incoming_records_total"), 3.0);
    let name = "kinesis_emulator_faults_struck_total{fault=\"1\",\
                action=\"emulator:connection-reset-after-apply\"}";
    assert_eq!(metrics.samples[name], 2.0);
}

#[tokio::test]
async fn open_connections_are_counted() {
    let emulator = kinesis_emulator::Emulator::start().await.unwrap();
    let caller = Caller {
        service: emulator.service().clone(),
    };
    let count = async || metrics(&caller).await.samples["kinesis_emulator_connections"];
    assert_eq!(count().await, 0.0);
    let connection = tokio::net::TcpStream::connect(emulator.address())
        .await
        .unwrap();
    let until = async |wanted: f64| {
        while count().await != wanted {
            tokio::task::yield_now().await;
        }
    };
    let second = Duration::from_secs(10);
    tokio::time::timeout(second, until(1.0)).await.unwrap();
    drop(connection);
    tokio::time::timeout(second, until(0.0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_overview_shows_streams_and_reset_drops_everything_but_time() {
    let caller = caller(Limits::Off).await;
    let consumer = caller.consumer("c").await;
    caller.ok("PutRecords", batch(5)).await;
    let latest = json!({"Type": "LATEST"});
    let events = caller.subscribe(&consumer, "0", latest.clone()).await;
    let overview = caller.controlled("GET", "streams", Value::Null).await;
    let expected = json!({"streams": [{"name": "s", "account": "000000000000",
        "region": "us-east-1", "status": "ACTIVE", "openShards": 2, "records": 5, "bytes": 30,
        "consumers": 1, "subscriptions": 1, "shards": [
            {"id": shard(0), "open": true, "records": 5, "bytes": 30, "subscriptions": 1},
            {"id": shard(1), "open": true, "records": 0, "bytes": 0, "subscriptions": 0}]}]});
    assert_eq!(overview, expected);
    caller.advance(Duration::from_secs(24 * 3600 + 1));
    let overview = caller.controlled("GET", "streams", Value::Null).await;
    assert_eq!(overview["streams"][0]["records"], 0, "trimmed");
    let fault = Fault::new(Action::InternalError).on("ListTables");
    caller.service.faults().add(fault).unwrap();
    drop(events);
    let mut events = caller.subscribe(&consumer, "0", latest).await;
    let before = caller.service.clock().now();
    let dropped = caller.controlled("POST", "reset", Value::Null).await;
    assert_eq!(dropped, json!({"streams": 1, "tables": 0}));
    let overview = caller.controlled("GET", "streams", Value::Null).await;
    assert_eq!(overview, json!({"streams": []}));
    assert!(caller.service.faults().list().is_empty());
    assert_eq!(caller.service.clock().now(), before);
    let (kind, _) = events.frame().await.unwrap().exception();
    assert_eq!(kind, "ResourceNotFoundException");
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
}
