//! Whatever comes is answered, in the protocol it came in.

use http::Request;
use http::request::Builder;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{Metrics, START, bytes};

const OPERATIONS: [&str; 4] = [
    "PutMetricData",
    "ListMetrics",
    "GetMetricData",
    "GetMetricStatistics",
];

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Query,
    Json,
    Cbor,
}

/// A request with everything that an operation reads.
fn full(operation: &str) -> Value {
    let dimensions = json!([{"Name": "A", "Value": "x"}, {"Name": "B", "Value": "y"}]);
    let metric = json!({"Namespace": "N", "MetricName": "m", "Dimensions": dimensions});
    let set = json!({"SampleCount": 2, "Sum": 3.5, "Minimum": 1, "Maximum": 2.5});
    match operation {
        "PutMetricData" => json!({"Namespace": "N", "MetricData": [
            {"MetricName": "m", "Dimensions": dimensions, "Value": 1, "StorageResolution": 1},
            {"MetricName": "m", "Values": [1, 2.5], "Counts": [2, 1], "Unit": "Count"},
            {"MetricName": "m", "StatisticValues": set, "Timestamp": START}]}),
        "ListMetrics" => json!({"Namespace": "N", "MetricName": "m", "Dimensions": dimensions,
            "RecentlyActive": "PT3H", "IncludeLinkedAccounts": true, "OwningAccount": "1"}),
        "GetMetricData" => json!({"StartTime": START, "EndTime": START + 60, "MaxDatapoints": 1,
            "ScanBy": "TimestampAscending", "MetricDataQueries": [{"Id": "a", "ReturnData": true,
            "Label": "l", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p99"}}]}),
        _ => json!({"Namespace": "N", "MetricName": "m", "Dimensions": dimensions,
            "StartTime": START, "EndTime": START + 60, "Period": 10, "Unit": "None",
            "ExtendedStatistics": ["p50", "p99.9"]}),
    }
}

/// As a form has it.
fn form(path: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                form(&format!("{path}{dot}{name}"), value, out);
            }
        }
        Value::Array(members) => {
            for (place, value) in (1..).zip(members) {
                form(&format!("{path}.member.{place}"), value, out);
            }
        }
        Value::String(text) => out.push(format!("{path}={text}")),
        Value::Number(_) if path.ends_with("Time") || path.ends_with("Timestamp") => {
            let minute = if value == START { 14 } else { 15 };
            out.push(format!("{path}=2023-11-14T22:{minute}:00Z"));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push(format!("{path}={value}")),
    }
}

fn request(protocol: Protocol, operation: &str) -> (Builder, Vec<u8>) {
    let value = full(operation);
    match protocol {
        Protocol::Query => {
            let mut out = vec![format!("Action={operation}&Version=2010-08-01")];
            form("", &value, &mut out);
            let head =
                Request::post("/").header("content-type", "application/x-www-form-urlencoded");
            (head, out.join("&").into_bytes())
        }
        Protocol::Json => {
            let target = format!("GraniteServiceVersion20100801.{operation}");
            let head = Request::post("/").header("x-amz-target", target);
            (head, value.to_string().into_bytes())
        }
        Protocol::Cbor => {
            let path = format!("/service/GraniteServiceVersion20100801/operation/{operation}");
            let head = Request::post(path).header("smithy-protocol", "rpc-v2-cbor");
            let mut out = Vec::new();
            ciborium::into_writer(&value, &mut out).unwrap();
            (head, out)
        }
    }
}

fn serve(protocol: Protocol, operation: &str, change: impl FnOnce(&mut Vec<u8>)) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let metrics = Metrics::new();
        let (head, mut body) = request(protocol, operation);
        change(&mut body);
        let answer = metrics.serve(head, &body).await;
        let status = answer.status().as_u16();
        let is_refused = status != 200;
        assert!(matches!(status, 200 | 400 | 403), "{status}");
        let reply = bytes(answer);
        match protocol {
            Protocol::Query => {
                assert!(reply.starts_with(b"<") && reply.trim_ascii_end().ends_with(b">"))
            }
            Protocol::Json => {
                let reply: Value = serde_json::from_slice(&reply).unwrap();
                assert_eq!(reply["message"].is_string(), is_refused);
            }
            Protocol::Cbor if reply.is_empty() => assert!(!is_refused),
            Protocol::Cbor => {
                let reply: ciborium::Value = ciborium::from_reader(&reply[..]).unwrap();
                assert!(reply.is_map());
            }
        }
        status
    })
}

#[test]
fn requests_with_everything_are_accepted() {
    for protocol in [Protocol::Query, Protocol::Json, Protocol::Cbor] {
        for operation in OPERATIONS {
            assert_eq!(
                serve(protocol, operation, |_| {}),
                200,
                "{protocol:?} {operation}"
            );
        }
    }
}

proptest! {
    #[test]
    fn requests_with_something_wrong_are_answered(
        protocol in prop::sample::select(vec![Protocol::Query, Protocol::Json, Protocol::Cbor]),
        operation in prop::sample::select(&OPERATIONS[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        serve(protocol, operation, |body| {
            for (place, byte, how) in changes {
                let place = place.index(body.len());
                match how {
                    0 => body[place] = byte,
                    1 => body.insert(place, byte),
                    _ => body.truncate(place.max(1)),
                }
            }
        });
    }

    #[test]
    fn bodies_of_any_bytes_are_answered(
        protocol in prop::sample::select(vec![Protocol::Query, Protocol::Json, Protocol::Cbor]),
        operation in prop::sample::select(&OPERATIONS[..]),
        body in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        serve(protocol, operation, |whole| *whole = body);
    }
}
