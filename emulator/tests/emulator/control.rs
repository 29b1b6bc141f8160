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

/// One command of the document and the answer below it, if it shows one.
struct Example {
    method: String,
    path: String,
    body: String,
    answer: Option<Value>,
}

/// The commands that `docs/control.md` shows. They keep to what is read here.
fn examples() -> Vec<Example> {
    let text = include_str!("../../../docs/control.md");
    let mut examples: Vec<Example> = Vec::new();
    for block in text.split("```").skip(1).step_by(2) {
        if let Some(command) = block.strip_prefix("sh\n") {
            examples.push(command_of(command.trim()));
        } else if let Some(answer) = block.strip_prefix("json\n") {
            let example = examples.last_mut().unwrap();
            example.answer = Some(serde_json::from_str(answer).unwrap());
        }
    }
    examples
}

fn command_of(command: &str) -> Example {
    let rest = command.strip_prefix("curl ").unwrap();
    let (options, path) = rest
        .rsplit_once("http://127.0.0.1:4567/_emulator/")
        .unwrap();
    let body = options
        .split_once("-d '")
        .map_or("", |(_, rest)| rest.trim_end().strip_suffix('\'').unwrap());
    let method = match options.split_once("-X ") {
        Some((_, method)) => method.trim(),
        None if body.is_empty() => "GET",
        None => "POST",
    };
    Example {
        method: method.to_owned(),
        path: path.to_owned(),
        body: body.to_owned(),
        answer: None,
    }
}

#[tokio::test(start_paused = true)]
async fn every_example_of_the_document_answers_as_it_shows() {
    let caller = Caller::new();
    let examples = examples();
    assert!(examples.len() > 15);
    for Example {
        method,
        path,
        body,
        answer,
    } in examples
    {
        let request = http::Request::builder()
            .method(method.as_str())
            .uri(format!("/_emulator/{path}"))
            .body(Full::new(Bytes::from(body.clone())))
            .unwrap();
        let found = caller.service.serve(request).await;
        let status = found.status().as_u16();
        assert!(
            matches!(status, 200 | 201),
            "{method} {path} {body}: {status}"
        );
        if let Some(answer) = answer {
            let found: Value = serde_json::from_slice(&found.into_body().into_bytes()).unwrap();
            assert_eq!(found, answer, "{method} {path} {body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn advancing_over_http_ages_iterators_records_quotas_and_subscriptions() {
    let caller = Caller::with_stream(1).await;
    caller.controlled("POST", "clock/freeze", Value::Null).await;
    let advance = async |by: &str| {
        let body = json!({ "by": by });
        caller.controlled("POST", "clock/advance", body).await;
    };
    let consumer = caller.consumer("c").await;
    caller.put("k", "old").await;
    let iterator = caller.iterator("0", "TRIM_HORIZON", json!({})).await;
    let mut events = caller
        .subscribe(&consumer, "0", json!({"Type": "LATEST"}))
        .await;
    // Frozen, an idle subscription is silent; its heart beats as soon as the clock says so.
    assert!(events.ready().await.is_none());
    for _ in 0..3 {
        advance("5s").await;
        assert_eq!(events.event().await["Records"], json!([]));
        assert!(events.ready().await.is_none());
    }
    advance("PT4M45S").await;
    caller.records(&iterator).await;
    assert!(events.frame().await.is_none(), "five minutes are over");
    advance("1ms").await;
    let (kind, _) = caller
        .refused("GetRecords", json!({"ShardIterator": iterator}))
        .await;
    assert_eq!(kind, "ExpiredIteratorException");

    for place in 0..11 {
        let body = json!({"StreamName": "s", "ScalingType": "UNIFORM_SCALING",
            "TargetShardCount": 1 + (place + 1) % 2});
        if place < 10 {
            caller.ok("UpdateShardCount", body).await;
        } else {
            let (kind, _) = caller.refused("UpdateShardCount", body.clone()).await;
            assert_eq!(kind, "LimitExceededException");
            advance("23h").await;
            caller.refused("UpdateShardCount", body.clone()).await;
            let old = caller.data_from("0", "TRIM_HORIZON", json!({})).await;
            assert_eq!(old, ["old"]);
            advance("1h").await;
            caller.ok("UpdateShardCount", body).await;
        }
    }
    // A day after it was put, the record is gone, and its shard with it.
    let listing = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    assert!(!crate::caller::ids(&listing).is_empty());
    let shards = caller.controlled("GET", "streams", Value::Null).await;
    assert_eq!(shards["streams"][0]["records"], 0);
}
