//! ListMetrics: filters, pages, what is recent, and whose metrics they are.

use serde_json::{Value, json};

use crate::harness::Metrics;

fn names(reply: &Value) -> Vec<&str> {
    let metrics = reply["Metrics"].as_array().unwrap();
    metrics
        .iter()
        .filter_map(|metric| metric["MetricName"].as_str())
        .collect()
}

#[tokio::test]
async fn filters_narrow_a_listing_down() {
    let metrics = Metrics::new();
    let dimensions = json!([{"Name": "B", "Value": "y"}, {"Name": "A", "Value": "x"}]);
    metrics
        .put(json!([
            {"MetricName": "one", "Value": 1, "Dimensions": dimensions},
            {"MetricName": "two", "Value": 1, "Dimensions": [{"Name": "A", "Value": "z"}]},
            {"MetricName": "three", "Value": 1},
        ]))
        .await;
    let other = json!({"Namespace": "M", "MetricData": [{"MetricName": "one", "Value": 1}]});
    metrics.ok("PutMetricData", other).await;
    for (filter, expected) in [
        (json!({}), vec!["one", "two", "three", "one"]),
        (json!({"Namespace": "N"}), vec!["one", "two", "three"]),
        (json!({"MetricName": "one"}), vec!["one", "one"]),
        (json!({"Namespace": "M", "MetricName": "two"}), vec![]),
        (json!({"Dimensions": [{"Name": "A"}]}), vec!["one", "two"]),
        (
            json!({"Dimensions": [{"Name": "A", "Value": "z"}]}),
            vec!["two"],
        ),
        (
            json!({"Dimensions": [{"Name": "A"}, {"Name": "B"}]}),
            vec!["one"],
        ),
        (
            json!({"OwningAccount": "000000000000", "MetricName": "two"}),
            vec!["two"],
        ),
        (json!({"OwningAccount": "000000000001"}), vec![]),
    ] {
        let reply = metrics.ok("ListMetrics", filter.clone()).await;
        assert_eq!(names(&reply), expected, "{filter}");
        assert!(reply.get("NextToken").is_none());
    }
    let reply = metrics
        .ok(
            "ListMetrics",
            json!({"MetricName": "one", "Namespace": "N"}),
        )
        .await;
    let dimensions = json!([{"Name": "A", "Value": "x"}, {"Name": "B", "Value": "y"}]);
    let expected = json!([{"Namespace": "N", "MetricName": "one", "Dimensions": dimensions}]);
    assert_eq!(reply["Metrics"], expected);
    let linked = json!({"MetricName": "one", "IncludeLinkedAccounts": true});
    let reply = metrics.ok("ListMetrics", linked).await;
    assert_eq!(
        reply["OwningAccounts"],
        json!(["000000000000", "000000000000"])
    );
}

#[tokio::test]
async fn five_hundred_metrics_come_in_one_answer() {
    let metrics = Metrics::new();
    let datum = |place: u32| json!({"MetricName": format!("m{place}"), "Value": 1});
    metrics.put((0..1000).map(datum).collect()).await;
    metrics.put((1000..1201).map(datum).collect()).await;
    let (mut seen, mut sizes, mut body) = (Vec::new(), Vec::new(), json!({}));
    loop {
        let reply = metrics.ok("ListMetrics", body).await;
        let page = names(&reply);
        sizes.push(page.len());
        seen.extend(page.into_iter().map(str::to_owned));
        match reply.get("NextToken") {
            Some(token) => body = json!({"NextToken": token}),
            None => break,
        }
    }
    assert_eq!(sizes, [500, 500, 201]);
    let expected: Vec<_> = (0..1201).map(|place| format!("m{place}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_metric_without_data_is_listed_for_two_weeks_and_recent_for_three_hours() {
    let metrics = Metrics::new();
    metrics.put(json!([{"MetricName": "m", "Value": 1}])).await;
    let recent = || json!({"RecentlyActive": "PT3H"});
    metrics.advance(3 * 3600);
    assert_eq!(names(&metrics.ok("ListMetrics", recent()).await), ["m"]);
    metrics.advance(1);
    assert!(names(&metrics.ok("ListMetrics", recent()).await).is_empty());
    metrics.advance(13 * 24 * 3600);
    assert_eq!(names(&metrics.ok("ListMetrics", json!({})).await), ["m"]);
    metrics.advance(24 * 3600);
    assert!(names(&metrics.ok("ListMetrics", json!({})).await).is_empty());
}

#[tokio::test]
async fn accounts_do_not_see_each_other_and_reset_clears_all() {
    let metrics = Metrics::new();
    metrics
        .put(json!([{"MetricName": "mine", "Value": 1}]))
        .await;
    let theirs = json!({"Namespace": "N", "MetricData": [{"MetricName": "theirs", "Value": 1}]});
    metrics.ok_by("000000000007", "PutMetricData", theirs).await;
    let list = |by| metrics.ok_by(by, "ListMetrics", json!({}));
    assert_eq!(names(&list("test").await), ["mine"]);
    assert_eq!(names(&list("000000000007").await), ["theirs"]);
    let reset = metrics
        .serve(http::Request::post("/_emulator/reset"), b"")
        .await;
    assert_eq!(reset.status(), 200);
    assert!(names(&list("test").await).is_empty());
    assert!(names(&list("000000000007").await).is_empty());
}
