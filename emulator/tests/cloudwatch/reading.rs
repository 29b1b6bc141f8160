//! GetMetricStatistics and GetMetricData: what is published is read back, by period, unit and page.

use serde_json::{Value, json};

use crate::harness::{Metrics, START, extend};

#[tokio::test]
async fn values_sets_and_arrays_come_back_as_statistics() {
    let metrics = Metrics::new();
    metrics
        .put(json!([
            {"MetricName": "m", "Value": 1.5, "Timestamp": START},
            {"MetricName": "m", "Values": [2, 10], "Counts": [3, 1], "Timestamp": START + 59},
            {"MetricName": "m", "Values": [4.0], "Timestamp": START + 60},
            {"MetricName": "m", "Timestamp": START + 120,
             "StatisticValues": {"SampleCount": 4, "Sum": 20, "Minimum": 1, "Maximum": 9}},
        ]))
        .await;
    let all = json!({"Statistics": ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]});
    let expected = json!([
        {"Timestamp": START as f64, "SampleCount": 5.0, "Average": 3.5, "Sum": 17.5, "Minimum": 1.5,
         "Maximum": 10.0, "Unit": "None"},
        {"Timestamp": (START + 60) as f64, "SampleCount": 1.0, "Average": 4.0, "Sum": 4.0,
         "Minimum": 4.0, "Maximum": 4.0, "Unit": "None"},
        {"Timestamp": (START + 120) as f64, "SampleCount": 4.0, "Average": 5.0, "Sum": 20.0,
         "Minimum": 1.0, "Maximum": 9.0, "Unit": "None"},
    ]);
    assert_eq!(metrics.statistics(180, all).await, expected);
    let sum = json!({"Statistics": ["Sum"], "Period": 300});
    let expected = json!([{"Timestamp": START as f64, "Sum": 21.5, "Unit": "None"}]);
    assert_eq!(metrics.statistics(120, sum).await, expected);
}

#[tokio::test]
async fn percentiles_are_those_of_the_values_and_not_of_a_set() {
    let metrics = Metrics::new();
    let values: Vec<u32> = (1..=100).collect();
    metrics
        .put(json!([
            {"MetricName": "m", "Values": values, "Unit": "Milliseconds"},
            {"MetricName": "m", "Timestamp": START + 60, "Unit": "Milliseconds",
             "StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2}},
        ]))
        .await;
    let asked = json!({"ExtendedStatistics": ["p50", "p99.9"]});
    let expected = json!([{"Timestamp": START as f64, "Unit": "Milliseconds",
                           "ExtendedStatistics": {"p50": 50.0, "p99.9": 100.0}}]);
    assert_eq!(metrics.statistics(120, asked).await, expected);
}

#[tokio::test]
async fn a_high_resolution_is_read_by_the_second_for_three_hours() {
    let metrics = Metrics::new();
    metrics
        .put(json!([
            {"MetricName": "m", "Value": 1, "Timestamp": START + 5, "StorageResolution": 1},
            {"MetricName": "m", "Value": 2, "Timestamp": START + 14, "StorageResolution": 1},
        ]))
        .await;
    let fine = json!({"Statistics": ["Sum"], "Period": 10});
    let at = |second: u64, sum: f64| json!({"Timestamp": (START + second) as f64, "Sum": sum, "Unit": "None"});
    let expected = json!([at(0, 1.0), at(10, 2.0)]);
    assert_eq!(metrics.statistics(60, fine.clone()).await, expected);
    metrics.advance(3 * 3600 + 600);
    // Something has to come for the old to go.
    metrics
        .put(json!([{"MetricName": "other", "Value": 1}]))
        .await;
    assert_eq!(metrics.statistics(60, fine).await, json!([at(0, 3.0)]));
    let minutes = json!({"Statistics": ["Sum"]});
    metrics.advance(15 * 24 * 3600);
    metrics
        .put(json!([{"MetricName": "other", "Value": 1}]))
        .await;
    assert_eq!(metrics.statistics(60, minutes).await, json!([]));
}

#[tokio::test]
async fn units_come_apart_or_are_asked_for() {
    let metrics = Metrics::new();
    metrics
        .put(json!([
            {"MetricName": "m", "Value": 1, "Unit": "Seconds"},
            {"MetricName": "m", "Value": 5, "Unit": "Count"},
            {"MetricName": "m", "Value": 10},
        ]))
        .await;
    let sums = |reply: &Value| -> Vec<(String, f64)> {
        let all = reply.as_array().unwrap().iter();
        let sum = |one: &Value| {
            (
                one["Unit"].as_str().unwrap().to_owned(),
                one["Sum"].as_f64().unwrap(),
            )
        };
        all.map(sum).collect()
    };
    let found = metrics.statistics(60, json!({"Statistics": ["Sum"]})).await;
    let expected = [("Count", 5.0), ("None", 10.0), ("Seconds", 1.0)];
    assert_eq!(
        sums(&found),
        expected.map(|(unit, sum)| (unit.to_owned(), sum))
    );
    let asked = json!({"Statistics": ["Sum"], "Unit": "Seconds"});
    assert_eq!(
        sums(&metrics.statistics(60, asked).await),
        [("Seconds".to_owned(), 1.0)]
    );
    let asked = json!({"Statistics": ["Sum"], "Unit": "Bytes"});
    assert_eq!(metrics.statistics(60, asked).await, json!([]));
    let reply = data(&metrics, &["Sum"], json!({})).await;
    let message = &reply["MetricDataResults"][0]["Messages"][0];
    assert_eq!(
        message["Value"],
        "Multiple units returned: '[Count, None, Seconds]'"
    );
    assert_eq!(reply["MetricDataResults"][0]["Values"], json!([5.0]));
}

#[tokio::test]
async fn only_the_very_dimensions_of_a_metric_find_it() {
    let metrics = Metrics::new();
    let dimension = |name: &str, value: &str| json!({"Name": name, "Value": value});
    metrics
        .put(json!([
            {"MetricName": "m", "Value": 1},
            {"MetricName": "m", "Value": 2, "Dimensions": [dimension("A", "x"), dimension("B", "y")]},
        ]))
        .await;
    for (dimensions, expected) in [
        (json!([]), json!([1.0])),
        (
            json!([dimension("B", "y"), dimension("A", "x")]),
            json!([2.0]),
        ),
        (json!([dimension("A", "x")]), json!([])),
        (json!([dimension("A", "x"), dimension("B", "z")]), json!([])),
    ] {
        let more = json!({"Statistics": ["Sum"], "Dimensions": dimensions});
        let found = metrics.statistics(60, more).await;
        let sums: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["Sum"].clone())
            .collect();
        assert_eq!(Value::from(sums), expected, "{dimensions}");
    }
}

/// One query of the metric `m` for each statistic, over five minutes.
async fn data(metrics: &Metrics, statistics: &[&str], more: Value) -> Value {
    let query = |(place, stat): (usize, &&str)| {
        let metric = json!({"Namespace": "N", "MetricName": "m"});
        json!({"Id": format!("q{place}"), "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}})
    };
    let queries: Vec<_> = statistics.iter().enumerate().map(query).collect();
    let mut body = json!({
        "MetricDataQueries": queries, "StartTime": START, "EndTime": START + 300,
    });
    extend(&mut body, more);
    metrics.ok("GetMetricData", body).await
}

#[tokio::test]
async fn data_come_newest_first_unless_they_are_asked_for_otherwise() {
    let metrics = Metrics::new();
    for minute in 0..3 {
        let at = START + minute * 60;
        metrics
            .put(json!([{"MetricName": "m", "Value": minute, "Timestamp": at}]))
            .await;
    }
    let reply = data(&metrics, &["Maximum"], json!({})).await;
    let times = [120, 60, 0].map(|second| (START + second) as f64);
    let expected = json!({
        "MetricDataResults": [{"Id": "q0", "Label": "m", "StatusCode": "Complete",
                               "Timestamps": times, "Values": [2.0, 1.0, 0.0]}],
        "Messages": [],
    });
    assert_eq!(reply, expected);
    let reply = data(
        &metrics,
        &["Maximum"],
        json!({"ScanBy": "TimestampAscending"}),
    )
    .await;
    assert_eq!(
        reply["MetricDataResults"][0]["Values"],
        json!([0.0, 1.0, 2.0])
    );
    let reply = data(&metrics, &["p50", "Sum"], json!({})).await;
    let labels = [0, 1].map(|place| reply["MetricDataResults"][place]["Label"].clone());
    assert_eq!(labels, ["m p50", "m Sum"]);
}

#[tokio::test]
async fn pages_tell_everything_once() {
    let metrics = Metrics::new();
    for minute in 0..5 {
        let at = START + minute * 60;
        metrics
            .put(json!([{"MetricName": "m", "Value": minute, "Timestamp": at}]))
            .await;
    }
    for order in ["TimestampAscending", "TimestampDescending"] {
        for size in 1..=11 {
            let mut more = json!({"ScanBy": order, "MaxDatapoints": size});
            let mut values = [Vec::new(), Vec::new()];
            let mut pages = 0;
            loop {
                let reply = data(&metrics, &["Sum", "Average"], more.clone()).await;
                pages += 1;
                let mut count = 0;
                for result in reply["MetricDataResults"].as_array().unwrap() {
                    let place = usize::from(result["Id"] == "q1");
                    let page = result["Values"].as_array().unwrap();
                    count += page.len();
                    values[place].extend(page.iter().map(|value| value.as_f64().unwrap()));
                    let is_whole = result["StatusCode"] == "Complete";
                    assert_eq!(
                        is_whole,
                        values[place].len() == 5,
                        "{order} {size} {result}"
                    );
                }
                assert!(count <= size);
                match reply.get("NextToken") {
                    Some(token) => extend(&mut more, json!({"NextToken": token})),
                    None => break,
                }
            }
            assert_eq!(pages, 10_usize.div_ceil(size), "{order} {size}");
            let mut expected = [0.0, 1.0, 2.0, 3.0, 4.0];
            if order == "TimestampDescending" {
                expected.reverse();
            }
            assert_eq!(values, [expected, expected], "{order} {size}");
        }
    }
}

#[tokio::test]
async fn a_query_that_is_not_returned_is_not_there_and_one_without_data_is_empty() {
    let metrics = Metrics::new();
    let query = |id: &str, is_returned: bool| {
        json!({"Id": id, "ReturnData": is_returned, "Label": "mine", "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "none"}, "Period": 60, "Stat": "Sum"}})
    };
    let body = json!({
        "MetricDataQueries": [query("a", false), query("b", true)],
        "StartTime": START, "EndTime": START + 300,
    });
    let reply = metrics.ok("GetMetricData", body).await;
    let expected = json!([{"Id": "b", "Label": "mine", "Timestamps": [], "Values": [],
                           "StatusCode": "Complete"}]);
    assert_eq!(reply["MetricDataResults"], expected);
}
