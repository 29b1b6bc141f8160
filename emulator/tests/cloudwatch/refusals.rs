//! The constraints of the service's model and guide, with the codes and texts that break them.

use serde_json::{Value, json};

use crate::harness::{Metrics, START, extend};

const INVALID: &str = "InvalidParameterValue";
const MISSING: &str = "MissingParameter";
const COMBINATION: &str = "InvalidParameterCombination";

async fn datum_is_refused(metrics: &Metrics, more: Value, code: &str, text: &str) {
    let mut datum = json!({"MetricName": "m"});
    extend(&mut datum, more);
    let body = json!({"Namespace": "N", "MetricData": [datum]});
    let refused = metrics.refused("PutMetricData", body.clone()).await;
    let text = text.replace('@', "MetricData.member.1");
    assert_eq!(refused, (code.to_owned(), text), "{body}");
}

#[tokio::test]
async fn what_a_datum_says_is_checked() {
    let metrics = Metrics::new();
    let set = |count: f64, min: f64| json!({"StatisticValues": {"SampleCount": count, "Sum": 3, "Minimum": min, "Maximum": 2}});
    let many = vec![1; 151];
    for (more, code, text) in [
        (
            json!({}),
            COMBINATION,
            "At least one of the parameters must be specified.",
        ),
        (
            json!({"Value": 1, "Values": [1]}),
            COMBINATION,
            "The parameters @.Value and @.Values are mutually exclusive and you have specified both.",
        ),
        (
            json!({"Value": 1, "StatisticValues": {}}),
            COMBINATION,
            "The parameters @.Value and @.StatisticValues are mutually exclusive and you have specified both.",
        ),
        (
            json!({"Value": "NaN"}),
            INVALID,
            "The value NaN for parameter @.Value is invalid.",
        ),
        (
            json!({"Value": "-Infinity"}),
            INVALID,
            "The value -inf for parameter @.Value is invalid.",
        ),
        (
            json!({"Values": [1, "Infinity"]}),
            INVALID,
            "The value inf for parameter @.Values.member.2 is invalid.",
        ),
        (
            json!({"Values": [1, 2], "Counts": [1]}),
            INVALID,
            "The parameters @.Values and @.Counts must be of the same size.",
        ),
        (
            json!({"Values": [1], "Counts": [-1]}),
            INVALID,
            "The value -1 for parameter @.Counts.member.1 is invalid.",
        ),
        (
            json!({"Values": []}),
            MISSING,
            "The parameter @.Values is required.",
        ),
        (
            json!({"Values": many}),
            INVALID,
            "The collection @.Values must not have a size greater than 150.",
        ),
        (
            json!({"StatisticValues": {"Sum": 1, "Minimum": 1, "Maximum": 1}}),
            MISSING,
            "The parameter @.StatisticValues.SampleCount is required.",
        ),
        (
            set(0.0, 1.0),
            INVALID,
            "The value 0 for parameter @.StatisticValues.SampleCount is invalid.",
        ),
        (
            set(2.0, 3.0),
            INVALID,
            "The parameter @.StatisticValues.Minimum must be less than or equal to the parameter @.StatisticValues.Maximum.",
        ),
        (
            json!({"Value": 1, "StorageResolution": 30}),
            INVALID,
            "The parameter @.StorageResolution must be a value in the set [ 1, 60 ].",
        ),
        (
            json!({"Value": 1, "Timestamp": START - 14 * 86_400 - 1}),
            INVALID,
            "The parameter @.Timestamp must specify a time within the past two weeks.",
        ),
        (
            json!({"Value": 1, "Timestamp": START + 7201}),
            INVALID,
            "The parameter @.Timestamp must specify a time no more than two hours in the future.",
        ),
        (
            json!({"Value": 1, "Timestamp": -5}),
            INVALID,
            "The value -5 for parameter @.Timestamp is invalid.",
        ),
        (
            json!({"Value": 1, "MetricName": ""}),
            MISSING,
            "The parameter @.MetricName is required.",
        ),
        (
            json!({"Value": 1, "MetricName": "é"}),
            INVALID,
            "The value é for parameter @.MetricName contains non-ASCII characters.",
        ),
        (
            json!({"Value": 1, "MetricName": "m".repeat(256)}),
            INVALID,
            "The parameter @.MetricName must be shorter than 256 characters.",
        ),
    ] {
        datum_is_refused(&metrics, more, code, text).await;
    }
    let listed = metrics.ok("ListMetrics", json!({})).await;
    assert_eq!(listed["Metrics"], json!([]));
    for more in [START - 14 * 86_400, START + 7200] {
        metrics
            .put(json!([{"MetricName": "m", "Value": 1, "Timestamp": more}]))
            .await;
    }
}

#[tokio::test]
async fn units_and_dimensions_are_checked() {
    let metrics = Metrics::new();
    let dimension = |name: &str, value: &str| json!({"Name": name, "Value": value});
    let with = |dimensions: Vec<Value>| json!({"Value": 1, "Dimensions": dimensions});
    let (_, text) = metrics
        .refused(
            "PutMetricData",
            json!({"Namespace": "N", "MetricData": [
            {"MetricName": "m", "Value": 1, "Unit": "Parsecs"}]}),
        )
        .await;
    let expected = "The parameter MetricData.member.1.Unit must be a value in the set [ Seconds, ";
    assert!(text.starts_with(expected), "{text}");
    let many = (0..31)
        .map(|place| dimension(&format!("d{place}"), "x"))
        .collect();
    for (more, code, text) in [
        (
            with(many),
            INVALID,
            "The collection @.Dimensions must not have a size greater than 30.",
        ),
        (
            with(vec![dimension("a", ""), dimension("", "b")]),
            MISSING,
            "The parameter @.Dimensions.member.1.Value is required.\n\
          The parameter @.Dimensions.member.2.Name is required.",
        ),
        (
            with(vec![dimension(":a", "b")]),
            INVALID,
            "The value :a for parameter @.Dimensions.member.1.Name is invalid.",
        ),
        (
            with(vec![dimension("a", "b\n")]),
            INVALID,
            "The value b\n for parameter @.Dimensions.member.1.Value is invalid.",
        ),
        (
            with(vec![dimension("a", &"b".repeat(1025))]),
            INVALID,
            "The parameter @.Dimensions.member.1.Value must be shorter than 1025 characters.",
        ),
        (
            with(vec![dimension("a", "b"), dimension("a", "c")]),
            INVALID,
            "The value a for parameter @.Dimensions.member.2.Name is given twice.",
        ),
    ] {
        datum_is_refused(&metrics, more, code, text).await;
    }
}

#[tokio::test]
async fn a_request_of_data_is_checked_as_a_whole() {
    let metrics = Metrics::new();
    let data = |count: usize| vec![json!({"MetricName": "m", "Value": 1}); count];
    for (body, code, text) in [
        (
            json!({"MetricData": data(1)}),
            MISSING,
            "The parameter Namespace is required.",
        ),
        (
            json!({"Namespace": "N"}),
            MISSING,
            "The parameter MetricData is required.",
        ),
        (
            json!({"Namespace": "N", "MetricData": []}),
            MISSING,
            "The parameter MetricData is required.",
        ),
        (
            json!({"Namespace": "AWS/Kinesis", "MetricData": data(1)}),
            INVALID,
            "The value AWS/Kinesis for parameter Namespace is invalid.",
        ),
        (
            json!({"Namespace": ":N", "MetricData": data(1)}),
            INVALID,
            "The value :N for parameter Namespace is invalid.",
        ),
        (
            json!({"Namespace": "N", "MetricData": data(1001)}),
            INVALID,
            "The collection MetricData must not have a size greater than 1000.",
        ),
    ] {
        let refused = metrics.refused("PutMetricData", body).await;
        assert_eq!(refused, (code.to_owned(), text.to_owned()));
    }
    // Data of entities count and are kept, whatever their entity is.
    let entity = json!({"Entity": {"KeyAttributes": {"Type": "Service"}}, "MetricData": data(2)});
    let body =
        json!({"Namespace": "N", "EntityMetricData": [entity], "StrictEntityValidation": true});
    metrics.ok("PutMetricData", body).await;
    let sum = metrics.statistics(60, json!({"Statistics": ["Sum"]})).await;
    assert_eq!(sum[0]["Sum"], 2.0);
}

#[tokio::test]
async fn what_is_asked_of_statistics_is_checked() {
    let metrics = Metrics::new();
    let valid = json!({"Namespace": "N", "MetricName": "m", "StartTime": START, "EndTime": START + 60,
                       "Period": 60, "Statistics": ["Sum"]});
    metrics.ok("GetMetricStatistics", valid.clone()).await;
    for (more, code, text) in [
        (
            json!({"Namespace": null}),
            MISSING,
            "The parameter Namespace is required.",
        ),
        (
            json!({"StartTime": null, "EndTime": null}),
            MISSING,
            "The parameter StartTime is required.\nThe parameter EndTime is required.",
        ),
        (
            json!({"EndTime": START}),
            INVALID,
            "The parameter StartTime must be less than the parameter EndTime.",
        ),
        (
            json!({"Period": 45}),
            INVALID,
            "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60, and no more than a year.",
        ),
        (
            json!({"Period": -60}),
            INVALID,
            "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60, and no more than a year.",
        ),
        (
            json!({"EndTime": START + 86_400, "Period": 1}),
            COMBINATION,
            "You have requested up to 86400 datapoints, which exceeds the limit of 1440. You may reduce \
          the datapoints requested by increasing Period, or decreasing the time range.",
        ),
        (
            json!({"Statistics": null}),
            COMBINATION,
            "At least one of the parameters Statistics and ExtendedStatistics must be specified.",
        ),
        (
            json!({"ExtendedStatistics": ["p9"]}),
            COMBINATION,
            "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both.",
        ),
        (
            json!({"Statistics": ["Sum", "sum"]}),
            INVALID,
            "The parameter Statistics.member.2 must be a value in the set [ SampleCount, Average, Sum, Minimum, Maximum ].",
        ),
        (
            json!({"Statistics": null, "ExtendedStatistics": ["px"]}),
            INVALID,
            "The value px for parameter ExtendedStatistics.member.1 is invalid.",
        ),
        (
            json!({"Statistics": null, "ExtendedStatistics": ["tm99"]}),
            INVALID,
            "The value tm99 for parameter ExtendedStatistics.member.1 is not built into the emulator.",
        ),
    ] {
        let mut body = valid.clone();
        extend(&mut body, more);
        let refused = metrics.refused("GetMetricStatistics", body.clone()).await;
        assert_eq!(refused, (code.to_owned(), text.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn what_is_asked_of_data_is_checked() {
    let metrics = Metrics::new();
    let query = |id: &str, stat: &str| {
        json!({"Id": id, "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "m"}, "Period": 60, "Stat": stat}})
    };
    let body = |queries: Value| json!({"MetricDataQueries": queries, "StartTime": START, "EndTime": START + 60});
    let at = "MetricDataQueries.member.1";
    for (body, text) in [
        (body(json!([])), "The parameter MetricDataQueries is required.".to_owned()),
        (body(json!([query("A", "Sum")])),
         format!("The value A for parameter {at}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.")),
        (body(json!([query("a", "Sum"), query("a", "Sum")])),
         "The values for parameter id in MetricDataQueries are not unique.".to_owned()),
        (body(json!([query("a", "Most")])),
         format!("The value Most for parameter {at}.MetricStat.Stat is not a valid statistic.")),
        (body(json!([{"Id": "a", "Expression": "1+1"}])),
         format!("The parameter {at}.Expression is not built into the emulator: it reads metrics by \
                  MetricStat only, without metric math and Metrics Insights.")),
        (body(json!([{"Id": "a"}])),
         format!("At least one of the parameters {at}.Expression and {at}.MetricStat must be specified.")),
        (body(json!([{"Id": "a", "MetricStat": {}}])),
         format!("The parameter {at}.MetricStat.Metric is required.\n\
                  The parameter {at}.MetricStat.Period is required.\n\
                  The parameter {at}.MetricStat.Stat is required.")),
        (json!({"MetricDataQueries": [query("a", "Sum")], "StartTime": START, "EndTime": START,
                "ScanBy": "Sideways", "MaxDatapoints": 0}),
         "The parameter StartTime must be less than the parameter EndTime.\n\
          The parameter ScanBy must be a value in the set [ TimestampDescending, TimestampAscending ].\n\
          The parameter MaxDatapoints must be between 1 and 100800.".to_owned()),
    ] {
        let refused = metrics.refused("GetMetricData", body.clone()).await;
        assert_eq!(refused, ("ValidationError".to_owned(), text), "{body}");
    }
    let many: Vec<_> = (0..501)
        .map(|place| query(&format!("q{place}"), "Sum"))
        .collect();
    let (_, text) = metrics.refused("GetMetricData", body(json!(many))).await;
    assert_eq!(
        text,
        "The collection MetricDataQueries must not have a size greater than 500."
    );
}

#[tokio::test]
async fn tokens_that_were_not_given_out_are_refused() {
    let metrics = Metrics::new();
    for token in ["", "x", "AAAAAAAAAAE="] {
        let (code, _) = metrics
            .refused("ListMetrics", json!({"NextToken": token}))
            .await;
        assert_eq!(code, INVALID);
        let body = json!({"StartTime": START, "EndTime": START + 60, "NextToken": token,
            "MetricDataQueries": [{"Id": "a", "MetricStat": {
                "Metric": {"Namespace": "N", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}}]});
        let (code, _) = metrics.refused("GetMetricData", body).await;
        assert_eq!(code, "InvalidNextToken");
    }
    for (filter, code) in [
        (json!({"RecentlyActive": "PT4H"}), INVALID),
        (json!({"Dimensions": [{"Value": "x"}]}), MISSING),
    ] {
        assert_eq!(metrics.refused("ListMetrics", filter).await.0, code);
    }
}
