//! Faults strike the calls for metrics, the counts of calls have them, and signatures are checked.

use http::Request;
use kinesis_emulator::{Action, Api, Auth, Fault, Key, Keys, Lost, Service, Settings};
use serde_json::json;

use crate::harness::{Metrics, text};

#[tokio::test]
async fn faults_strike_by_operation_and_by_service() {
    let metrics = Metrics::new();
    let faults = metrics.service.faults();
    let list = || json!({});
    faults
        .add(Fault::new(Action::Throttle).on("ListMetrics").times(1))
        .unwrap();
    let (code, message) = metrics.refused("ListMetrics", list()).await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("Throttling", "Rate exceeded")
    );
    metrics.ok("ListMetrics", list()).await;
    for (action, status, header) in [
        (Action::InternalError, 500, "InternalServiceError;Receiver"),
        (Action::Unavailable, 503, "ServiceUnavailable;Receiver"),
    ] {
        faults
            .add(Fault::new(action).api(Api::CloudWatch).times(1))
            .unwrap();
        let answer = metrics.answer("test", "ListMetrics", &list()).await;
        let found = &answer.headers()["x-amzn-query-error"];
        assert_eq!(
            (answer.status().as_u16(), found.to_str().unwrap()),
            (status, header)
        );
    }
    faults
        .add(Fault::new(Action::ResetAfter).on("PutMetricData"))
        .unwrap();
    let put = json!({"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1}]});
    let answer = metrics.answer("test", "PutMetricData", &put).await;
    assert!(answer.extensions().get::<Lost>().is_some());
    let listed = metrics.ok("ListMetrics", list()).await;
    assert_eq!(listed["Metrics"].as_array().unwrap().len(), 1);
    assert!(
        faults
            .add(
                Fault::new(Action::Throttle)
                    .on("ListMetrics")
                    .api(Api::DynamoDb)
            )
            .is_err()
    );
    assert!(
        faults
            .add(Fault::new(Action::ThroughputExceeded).on("ListMetrics"))
            .is_err()
    );
}

#[tokio::test]
async fn the_control_interface_knows_the_service_and_counts_its_calls() {
    let metrics = Metrics::new();
    let fault =
        br#"{"action": "aws:fis:inject-api-throttle-error", "service": "cloudwatch", "times": 1}"#;
    let made = metrics
        .serve(Request::post("/_emulator/faults"), fault)
        .await;
    assert_eq!(made.status(), 201);
    assert!(text(made).contains(r#""service":"cloudwatch""#));
    metrics.refused("ListMetrics", json!({})).await;
    metrics.ok("ListMetrics", json!({})).await;
    metrics.refused("DescribeAlarms", json!({})).await;
    let counted = text(metrics.serve(Request::get("/_emulator/metrics"), b"").await);
    for (operation, outcome) in [
        ("ListMetrics", "ok"),
        ("ListMetrics", "Throttling"),
        ("unknown", "InvalidAction"),
    ] {
        let line = format!(
            "kinesis_emulator_requests_total{{service=\"cloudwatch\",operation=\"{operation}\",outcome=\"{outcome}\"}} 1\n"
        );
        assert!(counted.contains(&line), "{line}{counted}");
    }
}

#[tokio::test]
async fn unsigned_calls_are_refused_where_signatures_are_checked() {
    let key = Key {
        access_key: "AKIA".to_owned(),
        secret: "secret".to_owned(),
        account: "000000000001".to_owned(),
        session_token: None,
        expires_at: None,
    };
    let settings = Settings {
        auth: Auth::SigV4(Keys::new([key]).unwrap()),
        ..Settings::default()
    };
    let metrics = Metrics {
        service: Service::new(settings),
    };
    let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    let answer = metrics
        .serve(form, b"Action=ListMetrics&Version=2010-08-01")
        .await;
    assert_eq!(answer.status(), 403);
    let reply = text(answer);
    assert!(
        reply.contains("<Code>MissingAuthenticationToken</Code>"),
        "{reply}"
    );
}
