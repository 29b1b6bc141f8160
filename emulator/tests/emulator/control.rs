//! The control interface under `/_emulator/`: what it shows, what it changes, and what it refuses.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::caller::Caller;

impl Caller {
    /// Calls the control interface.
    pub(crate) async fn control(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://localhost/_emulator/{path}"))
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let answer = self.service.serve(request).await;
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body = answer.into_body().into_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The answer to a request that is accepted.
    pub(crate) async fn controlled(&self, method: &str, path: &str, body: Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = self.control(method, path, &text).await;
        assert_eq!(status, 200, "{method} {path} {body}: {answer}");
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn health_and_version_are_told() {
    let caller = Caller::new();
    for path in ["health", "health/live", "health/ready", "/health/"] {
        let health = caller.controlled("GET", path, Value::Null).await;
        assert_eq!(health, json!({"live": true, "ready": true}), "{path}");
    }
    let version = caller.controlled("GET", "version", Value::Null).await;
    assert_eq!(version["name"], "kinesis-emulator");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_frozen_advanced_run_and_resumed() {
    let caller = Caller::new();
    let start = json!({"now": "2023-11-14T22:13:20.000Z", "epochMillis": 1_700_000_000_000_u64,
        "rate": 1.0, "frozen": false});
    assert_eq!(caller.controlled("GET", "clock", Value::Null).await, start);
    let frozen = caller.controlled("POST", "clock/freeze", json!({})).await;
    assert_eq!(
        (&frozen["frozen"], &frozen["rate"]),
        (&json!(true), &json!(0.0))
    );
    tokio::time::advance(Duration::from_secs(10)).await;
    let still = caller.controlled("GET", "clock", Value::Null).await;
    assert_eq!(still["epochMillis"], start["epochMillis"]);
    for (by, millis) in [("5m", 300_000), ("PT5M", 600_000), ("250ms", 600_250)] {
        let clock = caller
            .controlled("POST", "clock/advance", json!({"by": by}))
            .await;
        assert_eq!(clock["epochMillis"], 1_700_000_000_000_u64 + millis, "{by}");
    }
    caller
        .controlled("POST", "clock/rate", json!({"rate": 60}))
        .await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let run = caller.controlled("POST", "clock/resume", Value::Null).await;
    assert_eq!(run["epochMillis"], 1_700_000_660_250_u64);
    assert_eq!((&run["frozen"], &run["rate"]), (&json!(false), &json!(1.0)));
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_and_says_why() {
    let caller = Caller::new();
    for (method, path, body, status, words) in [
        ("GET", "", "", 404, "There are: health"),
        ("GET", "helth", "", 404, "/_emulator/helth"),
        ("DELETE", "clock", "", 405, "It takes GET"),
        ("GET", "clock/advance", "", 405, "It takes POST"),
        ("POST", "health", "", 405, "It takes GET, HEAD"),
        ("POST", "clock/stop", "", 404, "cannot stop"),
        ("POST", "clock/advance", "", 400, "missing field `by`"),
        ("POST", "clock/advance", "{", 400, "EOF"),
        (
            "POST",
            "clock/advance",
            r#"{"by":5}"#,
            400,
            "expected a string",
        ),
        ("POST", "clock/advance", r#"{"by":"soon"}"#, 400, "ISO 8601"),
        (
            "POST",
            "clock/advance",
            r#"{"by":"-5m"}"#,
            400,
            "no length of time",
        ),
        (
            "POST",
            "clock/advance",
            r#"{"by":"P300000D"}"#,
            400,
            "100 years",
        ),
        (
            "POST",
            "clock/advance",
            r#"{"by":"1s","to":"x"}"#,
            400,
            "unknown field `to`",
        ),
        ("POST", "clock/rate", r#"{"rate":-1}"#, 400, "from 0"),
        ("POST", "clock/rate", r#"{"rate":1e9}"#, 400, "86400"),
        (
            "POST",
            "clock/freeze",
            r#"{"for":"5m"}"#,
            400,
            "unknown field `for`",
        ),
    ] {
        let (answered, problem) = caller.control(method, path, body).await;
        let text = problem["error"].as_str().unwrap();
        assert_eq!(answered, status, "{method} {path} {body}: {text}");
        assert!(text.contains(words), "{method} {path} {body}: {text}");
    }
    let clock = caller.controlled("GET", "clock", Value::Null).await;
    assert_eq!(clock["epochMillis"], 1_700_000_000_000_u64);
}
