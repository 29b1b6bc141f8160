//! What goes over the wire in a form with XML, in CBOR and in JSON, and compressed.

use std::io::Write as _;

use ciborium::Value as Cbor;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use http::request::Builder;
use serde_json::json;

use crate::harness::{Metrics, START, bytes, text};

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

fn form() -> Builder {
    Request::post("/").header(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    )
}

fn smithy(operation: &str) -> Builder {
    let service = "GraniteServiceVersion20100801";
    Request::post(format!("/service/{service}/operation/{operation}"))
        .header("smithy-protocol", "rpc-v2-cbor")
        .header("content-type", "application/cbor")
        .header("accept", "application/cbor")
}

fn cbor(value: &Cbor) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

fn map<const N: usize>(members: [(&str, Cbor); N]) -> Cbor {
    let members = members.into_iter();
    Cbor::Map(
        members
            .map(|(name, value)| (Cbor::from(name), value))
            .collect(),
    )
}

fn time(second: f64) -> Cbor {
    Cbor::Tag(1, Box::new(Cbor::from(second)))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_form_is_answered_in_xml() {
    let metrics = Metrics::new();
    let put = "Action=PutMetricData&Version=2010-08-01&Namespace=N&MetricData.member.1.MetricName=m\
               &MetricData.member.1.Dimensions.member.1.Name=A&MetricData.member.1.Dimensions.member.1.Value=%3Cx%3E\
               &MetricData.member.1.Value=2.5&MetricData.member.1.Timestamp=2023-11-14T22%3A14%3A00Z\
               &MetricData.member.1.Unit=Count%2FSecond";
    let answer = metrics.serve(form(), put.as_bytes()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/xml".parse().unwrap())
    );
    let id = answer.headers()["x-amzn-requestid"]
        .to_str()
        .unwrap()
        .to_owned();
    let expected = format!(
        "<PutMetricDataResponse xmlns=\"{NAMESPACE}\"><ResponseMetadata><RequestId>{id}</RequestId>\
         </ResponseMetadata></PutMetricDataResponse>"
    );
    assert_eq!(text(answer), expected);
    let get = "Action=GetMetricStatistics&Version=2010-08-01&Namespace=N&MetricName=m&Period=60\
               &Dimensions.member.1.Name=A&Dimensions.member.1.Value=%3Cx%3E&StartTime=2023-11-14T22%3A14%3A00Z\
               &EndTime=2023-11-14T22%3A15%3A00Z&ExtendedStatistics.member.1=p90";
    let reply = text(metrics.serve(form(), get.as_bytes()).await);
    let expected = "<GetMetricStatisticsResult><Label>m</Label><Datapoints><member>\
                    <Timestamp>2023-11-14T22:14:00Z</Timestamp><Unit>Count/Second</Unit>\
                    <ExtendedStatistics><entry><key>p90</key><value>2.5</value></entry></ExtendedStatistics>\
                    </member></Datapoints></GetMetricStatisticsResult>";
    assert!(reply.contains(expected), "{reply}");
    // A GET with the same parameters is the same call.
    let list = "/?Action=ListMetrics&Version=2010-08-01&Namespace=N";
    let reply = text(metrics.serve(Request::get(list), b"").await);
    let expected = "<Metrics><member><Namespace>N</Namespace><MetricName>m</MetricName><Dimensions><member>\
                    <Name>A</Name><Value>&lt;x&gt;</Value></member></Dimensions></member></Metrics>";
    assert!(reply.contains(expected), "{reply}");
}

#[tokio::test]
async fn refusals_of_a_form_are_in_xml() {
    let metrics = Metrics::new();
    for (body, code, message) in [
        (
            "Action=PutMetricData&Version=2010-08-01&Namespace=N",
            "MissingParameter",
            "The parameter MetricData is required.",
        ),
        (
            "Action=PutMetricAlarm&Version=2010-08-01",
            "InvalidAction",
            "Could not find operation PutMetricAlarm for version 2010-08-01",
        ),
        (
            "Action=%3C%26%3E&Version=2010-08-01",
            "InvalidAction",
            "Could not find operation &lt;&amp;&gt; for version 2010-08-01",
        ),
        (
            "Action=GetMetricStatistics&Version=2010-08-01&StartTime=today",
            "MalformedInput",
            "timestamp must follow ISO8601",
        ),
        (
            "Action=ListMetrics&Version=2010-08-01&Namespace=N&Namespace.x=1",
            "MalformedInput",
            "the parameter Namespace.x is both a value and a structure",
        ),
    ] {
        let answer = metrics.serve(form(), body.as_bytes()).await;
        assert_eq!(answer.status(), 400, "{body}");
        let id = answer.headers()["x-amzn-requestid"]
            .to_str()
            .unwrap()
            .to_owned();
        let expected = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
        );
        assert_eq!(text(answer), expected, "{body}");
    }
}

#[tokio::test]
async fn cbor_has_times_in_seconds_under_their_tag() {
    let metrics = Metrics::new();
    let datum = map([
        ("MetricName", "m".into()),
        ("Value", 7.into()),
        ("Timestamp", time(START as f64 + 1.5)),
    ]);
    let put = map([
        ("Namespace", "N".into()),
        ("MetricData", Cbor::Array(vec![datum])),
    ]);
    let answer = metrics.serve(smithy("PutMetricData"), &cbor(&put)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["smithy-protocol"], "rpc-v2-cbor");
    // What has no output has neither a body nor a type of it.
    assert!(!answer.headers().contains_key("content-type"));
    assert!(bytes(answer).is_empty());
    let get = map([
        ("Namespace", "N".into()),
        ("MetricName", "m".into()),
        ("StartTime", time(START as f64)),
        ("EndTime", Cbor::Tag(1, Box::new((START + 60).into()))),
        ("Period", 60.into()),
        ("Statistics", Cbor::Array(vec!["Maximum".into()])),
    ]);
    let answer = metrics
        .serve(smithy("GetMetricStatistics"), &cbor(&get))
        .await;
    assert_eq!(answer.headers()["content-type"], "application/cbor");
    assert_eq!(answer.headers()["smithy-protocol"], "rpc-v2-cbor");
    let reply: Cbor = ciborium::from_reader(&bytes(answer)[..]).unwrap();
    let datapoint = map([
        ("Timestamp", time(START as f64)),
        ("Maximum", 7.0.into()),
        ("Unit", "None".into()),
    ]);
    let expected = map([
        ("Label", "m".into()),
        ("Datapoints", Cbor::Array(vec![datapoint])),
    ]);
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn refusals_name_the_shape_and_the_code_that_xml_had() {
    let metrics = Metrics::new();
    let answer = metrics
        .serve(
            smithy("ListMetrics"),
            &cbor(&map([("Namespace", "".into())])),
        )
        .await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.headers()["x-amzn-query-error"],
        "MissingParameter;Sender"
    );
    assert_eq!(answer.headers()["smithy-protocol"], "rpc-v2-cbor");
    let reply: Cbor = ciborium::from_reader(&bytes(answer)[..]).unwrap();
    let expected = map([
        (
            "__type",
            "com.amazonaws.cloudwatch#MissingRequiredParameterException".into(),
        ),
        ("message", "The parameter Namespace is required.".into()),
    ]);
    assert_eq!(reply, expected);
    let answer = metrics.answer("test", "PutDashboard", &json!({})).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.headers()["content-type"],
        "application/x-amz-json-1.0"
    );
    assert_eq!(
        answer.headers()["x-amzn-query-error"],
        "InvalidAction;Sender"
    );
    let expected = r#"{"__type":"com.amazon.coral.service#UnknownOperationException","message":"Could not find operation PutDashboard for version 2010-08-01"}"#;
    assert_eq!(text(answer), expected);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_as_such() {
    let metrics = Metrics::new();
    let nested = vec![0x81; 100_000];
    let bodies: [&[u8]; 7] = [
        b"\xff",
        b"\xa1",
        b"\x80",
        b"\xa0\xa0",
        b"\xbf",
        &nested,
        b"{}",
    ];
    for body in bodies {
        let answer = metrics.serve(smithy("ListMetrics"), body).await;
        assert_eq!(answer.status(), 400, "{:?}", &body[..1]);
        assert_eq!(
            answer.headers()["x-amzn-query-error"],
            "MalformedInput;Sender"
        );
    }
    for body in ["", "{"] {
        let json =
            Request::post("/").header("x-amz-target", "GraniteServiceVersion20100801.ListMetrics");
        let expected = if body.is_empty() { 200 } else { 400 };
        assert_eq!(
            metrics.serve(json, body.as_bytes()).await.status(),
            expected
        );
    }
    let empty = metrics.serve(smithy("ListMetrics"), b"").await;
    assert_eq!(empty.status(), 200);
    let path = "/service/GraniteServiceVersion20100801/operation/ListMetrics";
    let answer = metrics.serve(Request::post(path), b"\xa0").await;
    assert_eq!(answer.status(), 400);
    for wrong in [
        json!([]),
        json!({"Namespace": 5}),
        json!({"Dimensions": [null]}),
        json!({"Dimensions": {}}),
    ] {
        let (code, _) = metrics.refused("ListMetrics", wrong).await;
        assert_eq!(code, "MalformedInput");
    }
}

#[tokio::test]
async fn compressed_bodies_are_expanded_up_to_a_bound() {
    let metrics = Metrics::new();
    let put = br#"{"Namespace":"N","MetricData":[{"MetricName":"m","Value":1}]}"#;
    let target = |encoding: &str| {
        Request::post("/")
            .header(
                "x-amz-target",
                "GraniteServiceVersion20100801.PutMetricData",
            )
            .header("content-encoding", encoding)
    };
    let answer = metrics.serve(target("gzip"), &gzip(put)).await;
    assert_eq!(answer.status(), 200);
    let query =
        b"Action=PutMetricData&Version=2010-08-01&Namespace=N&MetricData.member.1.MetricName=n\
                  &MetricData.member.1.Value=1";
    let answer = metrics
        .serve(form().header("content-encoding", "gzip"), &gzip(query))
        .await;
    assert_eq!(answer.status(), 200);
    let listed = metrics.ok("ListMetrics", json!({})).await;
    assert_eq!(listed["Metrics"].as_array().unwrap().len(), 2);
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    for (encoding, body, status, code) in [
        ("gzip", &bomb[..], 413, "RequestEntityTooLarge;Sender"),
        ("gzip", put, 400, "MalformedInput;Sender"),
        ("gzip", &gzip(put)[..20], 400, "MalformedInput;Sender"),
        ("br", put, 400, "MalformedInput;Sender"),
        (
            "gzip",
            &vec![0; (1 << 20) + 1],
            413,
            "RequestEntityTooLarge;Sender",
        ),
    ] {
        let answer = metrics.serve(target(encoding), body).await;
        let found = &answer.headers()["x-amzn-query-error"];
        assert_eq!(
            (answer.status().as_u16(), found.to_str().unwrap()),
            (status, code)
        );
    }
    let answer = metrics
        .serve(
            form().header("content-encoding", "gzip"),
            b"Action=ListMetrics",
        )
        .await;
    assert!(text(answer).contains("<Code>MalformedInput</Code>"));
}

#[tokio::test]
async fn what_is_not_of_cloudwatch_is_left_to_the_other_services() {
    let metrics = Metrics::new();
    for request in [
        form(),
        Request::post("/service/Other/operation/ListMetrics"),
        Request::get("/?Action=ListMetrics"),
        Request::get("/"),
    ] {
        let answer = metrics
            .serve(request, b"Action=GetCallerIdentity&Version=2011-06-15")
            .await;
        assert_eq!(answer.status(), 403);
        assert!(text(answer).contains("AccessDeniedException"));
    }
}
