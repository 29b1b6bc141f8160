//! A client of the metrics, in one line per call, on a clock that only the test moves.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use kinesis_emulator::{Body, Clock, Limits, Service, Settings};
use serde_json::{Value, json};

/// Where the clock of every test starts: a whole minute.
pub(crate) const START: u64 = 1_700_000_040;

pub(crate) struct Metrics {
    pub(crate) service: Service,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::Off)
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START));
        clock.freeze();
        let settings = Settings {
            clock,
            limits,
            seed: Some(1),
            ..Settings::default()
        };
        Self {
            service: Service::new(settings),
        }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.service.clock().advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn serve(
        &self,
        request: http::request::Builder,
        body: &[u8],
    ) -> Response<Body> {
        let body = Full::new(Bytes::copy_from_slice(body));
        self.service.serve(request.body(body).unwrap()).await
    }

    /// An answer to a call in JSON by an access key; one of twelve digits is of that account.
    pub(crate) async fn answer(&self, by: &str, operation: &str, body: &Value) -> Response<Body> {
        let scope = format!("{by}/20231114/us-east-1/monitoring/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00");
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.0")
            .header(
                "x-amz-target",
                format!("GraniteServiceVersion20100801.{operation}"),
            )
            .header("authorization", authorization);
        self.serve(request, body.to_string().as_bytes()).await
    }

    pub(crate) async fn ok_by(&self, by: &str, operation: &str, body: Value) -> Value {
        let answer = self.answer(by, operation, &body).await;
        let status = answer.status();
        let reply = text(answer);
        assert_eq!(status, 200, "{operation} {body}: {reply}");
        serde_json::from_str(&reply).unwrap()
    }

    pub(crate) async fn ok(&self, operation: &str, body: Value) -> Value {
        self.ok_by("test", operation, body).await
    }

    /// The code that clients know a refusal by, and its text.
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> (String, String) {
        let answer = self.answer("test", operation, &body).await;
        assert_eq!(answer.status(), 400, "{operation} {body}");
        let code = answer.headers()["x-amzn-query-error"].to_str().unwrap();
        let code = code.strip_suffix(";Sender").unwrap().to_owned();
        let reply: Value = serde_json::from_str(&text(answer)).unwrap();
        (code, reply["message"].as_str().unwrap().to_owned())
    }

    /// Publishes data in the namespace `N`.
    pub(crate) async fn put(&self, data: Value) {
        let body = json!({"Namespace": "N", "MetricData": data});
        assert_eq!(self.ok("PutMetricData", body).await, json!({}));
    }

    /// The statistics of the metric `m` in the namespace `N`, up to so many seconds after the start.
    pub(crate) async fn statistics(&self, seconds: u64, more: Value) -> Value {
        let mut body = json!({
            "Namespace": "N", "MetricName": "m", "Period": 60,
            "StartTime": START, "EndTime": START + seconds,
        });
        extend(&mut body, more);
        self.ok("GetMetricStatistics", body).await["Datapoints"].take()
    }

    /// A call of the streams.
    pub(crate) async fn kinesis(&self, operation: &str, body: Value) -> (u16, Value) {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"));
        let answer = self.serve(request, body.to_string().as_bytes()).await;
        let status = answer.status().as_u16();
        let body = text(answer);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }
}

pub(crate) fn extend(body: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        unreachable!("members are an object")
    };
    body.as_object_mut().unwrap().extend(more);
}

pub(crate) fn text(answer: Response<Body>) -> String {
    String::from_utf8(bytes(answer)).unwrap()
}

pub(crate) fn bytes(answer: Response<Body>) -> Vec<u8> {
    answer.into_body().into_bytes().to_vec()
}
