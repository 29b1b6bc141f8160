//! What the emulator counts about streams is there under AWS's names, in the namespace AWS/Kinesis.

use kinesis_emulator::Limits;
use serde_json::{Value, json};

use crate::harness::{Metrics, START};

/// A metric of the stream `s`: samples, sum, minimum, maximum and unit, over ten minutes.
async fn found(
    metrics: &Metrics,
    name: &str,
    more: &[(&str, &str)],
) -> Option<(f64, f64, f64, f64, String)> {
    let dimension = |(name, value): &(&str, &str)| json!({"Name": name, "Value": value});
    let mut dimensions = vec![dimension(&("StreamName", "s"))];
    dimensions.extend(more.iter().map(dimension));
    let body = json!({
        "Namespace": "AWS/Kinesis", "MetricName": name, "Dimensions": dimensions, "Period": 600,
        "StartTime": START, "EndTime": START + 600,
        "Statistics": ["SampleCount", "Sum", "Minimum", "Maximum"],
    });
    let reply = metrics.ok("GetMetricStatistics", body).await;
    let one = reply["Datapoints"].as_array().unwrap().first()?.clone();
    let number = |name: &str| one[name].as_f64().unwrap();
    let unit = one["Unit"].as_str().unwrap().to_owned();
    Some((
        number("SampleCount"),
        number("Sum"),
        number("Minimum"),
        number("Maximum"),
        unit,
    ))
}

async fn expect(metrics: &Metrics, more: &[(&str, &str)], all: &[(&str, [f64; 4], &str)]) {
    for (name, [count, sum, min, max], unit) in all {
        let found = found(metrics, name, more).await;
        assert_eq!(
            found,
            Some((*count, *sum, *min, *max, (*unit).to_owned())),
            "{name} {more:?}"
        );
    }
}

async fn ok(metrics: &Metrics, operation: &str, body: Value) -> Value {
    let (status, reply) = metrics.kinesis(operation, body).await;
    assert_eq!(status, 200, "{operation}: {reply}");
    reply
}

async fn stream(metrics: &Metrics, shards: u32) {
    ok(
        metrics,
        "CreateStream",
        json!({"StreamName": "s", "ShardCount": shards}),
    )
    .await;
}

fn record(data: &str) -> Value {
    json!({"PartitionKey": "k", "Data": base64_simd::STANDARD.encode_to_string(data)})
}

async fn read(metrics: &Metrics) -> (u16, Value) {
    let asked = json!({"StreamName": "s", "ShardId": "shardId-000000000000",
                       "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = ok(metrics, "GetShardIterator", asked).await;
    metrics
        .kinesis(
            "GetRecords",
            json!({"ShardIterator": iterator["ShardIterator"]}),
        )
        .await
}

#[tokio::test]
async fn puts_and_reads_are_samples_of_the_stream() {
    let metrics = Metrics::new();
    stream(&metrics, 1).await;
    let mut one = record("abc");
    one["StreamName"] = "s".into();
    ok(&metrics, "PutRecord", one).await;
    metrics.advance(60);
    let many = json!({"StreamName": "s", "Records": [record("a"), record("abcde")]});
    ok(&metrics, "PutRecords", many).await;
    metrics.advance(1);
    assert_eq!(read(&metrics).await.0, 200);
    expect(
        &metrics,
        &[],
        &[
            ("IncomingBytes", [2.0, 12.0, 4.0, 8.0], "Bytes"),
            ("IncomingRecords", [2.0, 3.0, 1.0, 2.0], "Count"),
            ("PutRecord.Bytes", [1.0, 4.0, 4.0, 4.0], "Bytes"),
            ("PutRecord.Success", [1.0, 1.0, 1.0, 1.0], "Count"),
            ("PutRecords.Bytes", [1.0, 8.0, 8.0, 8.0], "Bytes"),
            ("PutRecords.Success", [1.0, 1.0, 1.0, 1.0], "Count"),
            ("PutRecords.TotalRecords", [1.0, 2.0, 2.0, 2.0], "Count"),
            (
                "PutRecords.SuccessfulRecords",
                [1.0, 2.0, 2.0, 2.0],
                "Count",
            ),
            ("PutRecords.FailedRecords", [1.0, 0.0, 0.0, 0.0], "Count"),
            ("PutRecords.ThrottledRecords", [1.0, 0.0, 0.0, 0.0], "Count"),
            (
                "WriteProvisionedThroughputExceeded",
                [2.0, 0.0, 0.0, 0.0],
                "Count",
            ),
            ("GetRecords.Bytes", [1.0, 12.0, 12.0, 12.0], "Bytes"),
            ("GetRecords.Records", [1.0, 3.0, 3.0, 3.0], "Count"),
            ("GetRecords.Success", [1.0, 1.0, 1.0, 1.0], "Count"),
            (
                "GetRecords.IteratorAgeMilliseconds",
                [1.0, 1000.0, 1000.0, 1000.0],
                "Milliseconds",
            ),
            (
                "ReadProvisionedThroughputExceeded",
                [1.0, 0.0, 0.0, 0.0],
                "Count",
            ),
        ],
    )
    .await;
    for name in [
        "PutRecord.Latency",
        "PutRecords.Latency",
        "GetRecords.Latency",
    ] {
        let (count, _, min, _, unit) = found(&metrics, name, &[]).await.unwrap();
        assert_eq!((count, unit.as_str()), (1.0, "Milliseconds"), "{name}");
        assert!(min >= 0.0);
    }
    // Minutes stay apart.
    let body = json!({
        "Namespace": "AWS/Kinesis", "MetricName": "IncomingRecords", "Period": 60, "StartTime": START,
        "EndTime": START + 600, "Statistics": ["Sum"], "Dimensions": [{"Name": "StreamName", "Value": "s"}],
    });
    let reply = metrics.ok("GetMetricStatistics", body).await;
    let sums: Vec<_> = reply["Datapoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["Sum"])
        .collect();
    assert_eq!(sums, [&json!(1.0), &json!(2.0)]);
    assert_eq!(
        found(
            &metrics,
            "IncomingBytes",
            &[("ShardId", "shardId-000000000000")]
        )
        .await,
        None
    );
}

#[tokio::test]
async fn what_is_refused_is_counted_where_limits_are_enforced() {
    let metrics = Metrics::with_limits(Limits::Enforce);
    stream(&metrics, 1).await;
    let monitored = json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]});
    ok(&metrics, "EnableEnhancedMonitoring", monitored).await;
    let records: Vec<_> = (0..500).map(|_| record("a")).collect();
    for _ in 0..2 {
        ok(
            &metrics,
            "PutRecords",
            json!({"StreamName": "s", "Records": records}),
        )
        .await;
    }
    let reply = ok(
        &metrics,
        "PutRecords",
        json!({"StreamName": "s", "Records": records}),
    )
    .await;
    assert_eq!(reply["FailedRecordCount"], 500);
    let mut one = record("abc");
    one["StreamName"] = "s".into();
    assert_eq!(metrics.kinesis("PutRecord", one).await.0, 400);
    for _ in 0..5 {
        assert_eq!(read(&metrics).await.0, 200);
    }
    expect(
        &metrics,
        &[],
        &[
            ("PutRecords.Success", [3.0, 2.0, 0.0, 1.0], "Count"),
            (
                "PutRecords.ThrottledRecords",
                [3.0, 500.0, 0.0, 500.0],
                "Count",
            ),
            ("PutRecord.Success", [1.0, 0.0, 0.0, 0.0], "Count"),
            (
                "WriteProvisionedThroughputExceeded",
                [4.0, 501.0, 0.0, 500.0],
                "Count",
            ),
        ],
    )
    .await;
    let shard = [("ShardId", "shardId-000000000000")];
    expect(
        &metrics,
        &shard,
        &[
            ("IncomingRecords", [2.0, 1000.0, 500.0, 500.0], "Count"),
            (
                "WriteProvisionedThroughputExceeded",
                [4.0, 501.0, 0.0, 500.0],
                "Count",
            ),
            ("OutgoingRecords", [5.0, 5000.0, 1000.0, 1000.0], "Count"),
        ],
    )
    .await;
}

#[tokio::test]
async fn reads_beyond_their_rate_are_samples_of_one() {
    let metrics = Metrics::with_limits(Limits::Enforce);
    stream(&metrics, 1).await;
    let only =
        json!({"StreamName": "s", "ShardLevelMetrics": ["ReadProvisionedThroughputExceeded"]});
    ok(&metrics, "EnableEnhancedMonitoring", only).await;
    let asked = json!({"StreamName": "s", "ShardId": "shardId-000000000000",
                       "ShardIteratorType": "LATEST"});
    let iterator = ok(&metrics, "GetShardIterator", asked).await;
    let body = json!({"ShardIterator": iterator["ShardIterator"]});
    for call in 0..7 {
        let (status, _) = metrics.kinesis("GetRecords", body.clone()).await;
        assert_eq!(status, if call < 5 { 200 } else { 400 });
    }
    expect(
        &metrics,
        &[],
        &[
            ("GetRecords.Success", [7.0, 5.0, 0.0, 1.0], "Count"),
            (
                "ReadProvisionedThroughputExceeded",
                [7.0, 2.0, 0.0, 1.0],
                "Count",
            ),
        ],
    )
    .await;
    let shard = [("ShardId", "shardId-000000000000")];
    expect(
        &metrics,
        &shard,
        &[(
            "ReadProvisionedThroughputExceeded",
            [7.0, 2.0, 0.0, 1.0],
            "Count",
        )],
    )
    .await;
    assert_eq!(found(&metrics, "OutgoingRecords", &shard).await, None);
}

#[tokio::test]
async fn a_streams_metrics_outlive_it() {
    let metrics = Metrics::new();
    stream(&metrics, 2).await;
    let all = json!({"StreamName": "s", "ShardLevelMetrics": ["IncomingBytes"]});
    ok(&metrics, "EnableEnhancedMonitoring", all).await;
    ok(
        &metrics,
        "PutRecords",
        json!({"StreamName": "s", "Records": [record("a")]}),
    )
    .await;
    ok(&metrics, "DeleteStream", json!({"StreamName": "s"})).await;
    expect(
        &metrics,
        &[],
        &[("IncomingRecords", [1.0, 1.0, 1.0, 1.0], "Count")],
    )
    .await;
    let listed = metrics
        .ok("ListMetrics", json!({"Dimensions": [{"Name": "ShardId"}]}))
        .await;
    assert_eq!(listed["Metrics"].as_array().unwrap().len(), 1);
    assert_eq!(listed["Metrics"][0]["MetricName"], "IncomingBytes");
}

#[tokio::test]
async fn subscriptions_are_samples_of_their_consumer_and_their_stream() {
    let metrics = Metrics::new();
    stream(&metrics, 1).await;
    let all = json!({"StreamName": "s", "ShardLevelMetrics": ["OutgoingBytes", "OutgoingRecords"]});
    ok(&metrics, "EnableEnhancedMonitoring", all).await;
    let stream_arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let made = json!({"StreamARN": stream_arn, "ConsumerName": "c"});
    let consumer = ok(&metrics, "RegisterStreamConsumer", made).await;
    ok(
        &metrics,
        "PutRecords",
        json!({"StreamName": "s", "Records": [record("ab"), record("c")]}),
    )
    .await;
    metrics.advance(2);
    let subscribe = json!({
        "ConsumerARN": consumer["Consumer"]["ConsumerARN"], "ShardId": "shardId-000000000000",
        "StartingPosition": {"Type": "TRIM_HORIZON"},
    });
    let request = http::Request::post("/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "Kinesis_20131202.SubscribeToShard");
    let answer = metrics
        .serve(request, subscribe.to_string().as_bytes())
        .await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    for _ in 0..2 {
        use http_body_util::BodyExt;
        body.frame().await.unwrap().unwrap();
    }
    // While one is open another is refused.
    assert_eq!(metrics.kinesis("SubscribeToShard", subscribe).await.0, 400);
    for more in [&[][..], &[("ConsumerName", "c")][..]] {
        expect(
            &metrics,
            more,
            &[
                ("SubscribeToShard.Success", [2.0, 1.0, 0.0, 1.0], "Count"),
                (
                    "SubscribeToShard.RateExceeded",
                    [1.0, 1.0, 1.0, 1.0],
                    "Count",
                ),
                ("SubscribeToShardEvent.Bytes", [1.0, 5.0, 5.0, 5.0], "Bytes"),
                (
                    "SubscribeToShardEvent.Records",
                    [1.0, 2.0, 2.0, 2.0],
                    "Count",
                ),
                (
                    "SubscribeToShardEvent.MillisBehindLatest",
                    [1.0, 0.0, 0.0, 0.0],
                    "Milliseconds",
                ),
                (
                    "SubscribeToShardEvent.Success",
                    [1.0, 1.0, 1.0, 1.0],
                    "Count",
                ),
            ],
        )
        .await;
    }
    expect(
        &metrics,
        &[("ShardId", "shardId-000000000000")],
        &[
            ("OutgoingBytes", [1.0, 5.0, 5.0, 5.0], "Bytes"),
            ("OutgoingRecords", [1.0, 2.0, 2.0, 2.0], "Count"),
        ],
    )
    .await;
}
