//! What comes before any operation: methods, bodies, content types, targets, headers.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use kinesis_emulator::{Body, Service};

const JSON: &str = "application/x-amz-json-1.1";

async fn send(
    method: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> (http::response::Parts, Bytes) {
    let mut request = Request::builder().method(method).uri("/any/path");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let answer: Response<Body> = Service::default().serve(request).await;
    let (head, body) = answer.into_parts();
    (head, body.into_bytes())
}

async fn text(method: &str, headers: &[(&str, &str)], body: &'static str) -> (u16, String) {
    let (head, body) = send(method, headers, body).await;
    (
        head.status.as_u16(),
        String::from_utf8_lossy(&body).into_owned(),
    )
}

#[tokio::test]
async fn only_post_reaches_the_service() {
    for method in ["GET", "PUT", "DELETE", "HEAD", "PATCH"] {
        let (status, text) = text(method, &[("content-type", JSON)], "{}").await;
        assert_eq!(status, 403, "{method}");
        assert!(
            text.contains("Unable to determine service/operation name"),
            "{method}: {text}"
        );
    }
}

#[tokio::test]
async fn unknown_content_types_are_refused_by_what_else_is_known() {
    let target = ("x-amz-target", "Kinesis_20131202.ListStreams");
    assert_eq!(text("POST", &[], "{}").await.0, 403);
    assert_eq!(
        text("POST", &[("content-type", "text/plain"), target], "{}").await,
        (404, "<UnknownOperationException/>\n".to_owned())
    );
    let json = ("content-type", "application/json");
    let (status, body) = text("POST", &[json, target], "{}").await;
    let expected = r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;
    assert_eq!((status, body.as_str()), (404, expected));
    let (status, body) = text("POST", &[json, target], "{").await;
    let expected = r#"{"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"}"#;
    assert_eq!((status, body.as_str()), (400, expected));
}

#[tokio::test]
async fn parameters_of_the_content_type_are_ignored() {
    let kind = ("content-type", "application/x-amz-json-1.1; charset=utf-8");
    let target = ("x-amz-target", "Kinesis_20131202.ListStreams");
    assert_eq!(text("POST", &[kind, target], "{}").await.0, 200);
}

#[tokio::test]
async fn an_unknown_target_is_refused_after_the_body_is_read() {
    let kind = ("content-type", JSON);
    for target in [
        "Kinesis_20131202.Nothing",
        "Kinesis_20131201.ListStreams",
        "ListStreams",
        "",
    ] {
        let target = ("x-amz-target", target);
        let expected = r#"{"__type":"UnknownOperationException"}"#.to_owned();
        assert_eq!(text("POST", &[kind, target], "{}").await, (400, expected));
        let expected = r#"{"__type":"SerializationException"}"#.to_owned();
        assert_eq!(text("POST", &[kind, target], "{,}").await, (400, expected));
    }
}

#[tokio::test]
async fn an_empty_body_is_refused_in_cbor_unless_json_is_spoken() {
    let target = ("x-amz-target", "Kinesis_20131202.ListStreams");
    let expected = r#"{"__type":"SerializationException"}"#.to_owned();
    assert_eq!(
        text("POST", &[("content-type", JSON), target], "").await,
        (400, expected)
    );
    let (head, body) = send("POST", &[target], "").await;
    assert_eq!(head.headers["content-type"], "application/x-amz-cbor-1.1");
    let expected = [
        b"\xbf\x66__type\x76".as_slice(),
        b"SerializationException",
        b"\xff",
    ]
    .concat();
    assert_eq!(body, expected);
}

#[tokio::test]
async fn every_answer_has_its_ids_and_void_ones_are_empty() {
    let headers = [
        ("content-type", JSON),
        ("x-amz-target", "Kinesis_20131202.CreateStream"),
    ];
    let (head, body) = send("POST", &headers, r#"{"StreamName":"s","ShardCount":1}"#).await;
    assert_eq!((head.status.as_u16(), body.len()), (200, 0));
    assert_eq!(head.headers["content-type"], JSON);
    assert_eq!(head.headers["x-amzn-requestid"].len(), 36);
    assert_eq!(head.headers["x-amz-id-2"].len(), 96);
}

#[tokio::test]
async fn browsers_are_let_in() {
    let asked = [
        ("origin", "http://a"),
        ("access-control-request-headers", "x-amz-target"),
        ("access-control-request-method", "POST"),
    ];
    let (head, _) = send("OPTIONS", &asked, "").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["access-control-allow-headers"], "x-amz-target");
    assert_eq!(head.headers["access-control-max-age"], "172800");
    assert!(!head.headers.contains_key("x-amz-id-2"));
    let headers = [
        ("origin", "http://a"),
        ("content-type", JSON),
        ("x-amz-target", "Kinesis_20131202.ListStreams"),
    ];
    let (head, _) = send("POST", &headers, "{}").await;
    assert_eq!(head.headers["access-control-allow-origin"], "*");
    assert!(head.headers.contains_key("access-control-expose-headers"));
}

#[tokio::test]
async fn accounts_and_regions_do_not_see_each_other() {
    let service = Service::default();
    let call = async |key: &str, region: &str, operation: &str, body: &'static str| {
        let credential = format!("{key}/20260101/{region}/kinesis/aws4_request");
        let request = Request::post("/")
            .header("content-type", JSON)
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={credential}, x=y"),
            )
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let body = service.serve(request).await.into_body().into_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let create = r#"{"StreamName":"s","ShardCount":1}"#;
    assert_eq!(
        call("111111111111", "eu-west-1", "CreateStream", create).await,
        ""
    );
    let mine = call("111111111111", "eu-west-1", "ListStreams", "{}").await;
    assert!(
        mine.contains("arn:aws:kinesis:eu-west-1:111111111111:stream/s"),
        "{mine}"
    );
    for (key, region) in [("111111111111", "eu-west-2"), ("222222222222", "eu-west-1")] {
        let other = call(key, region, "ListStreams", "{}").await;
        assert!(other.contains(r#""StreamNames":[]"#), "{other}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let request = Request::post("/")
        .header("content-type", JSON)
        .header("x-amz-target", "Kinesis_20131202.PutRecord")
        .body(Full::new(Bytes::from(vec![b' '; (16 << 20) + 1])))
        .unwrap();
    assert_eq!(Service::default().serve(request).await.status(), 413);
}
