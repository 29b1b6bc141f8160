//! Calls a service in process with plain JSON, on a clock that only the test moves.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::{Body, Clock, Delays, Service, Settings};
use serde_json::{Value, json};

/// Where the clock of every test starts.
pub(crate) const START: u64 = 1_700_000_000;

pub(crate) struct Caller {
    pub(crate) service: Service,
}

impl Caller {
    pub(crate) fn new() -> Self {
        Self::with_delays(Delays::default())
    }

    pub(crate) fn with_delays(delays: Delays) -> Self {
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START));
        let settings = Settings {
            clock,
            delays,
            seed: Some(1),
            ..Settings::default()
        };
        Self {
            service: Service::new(settings),
        }
    }

    /// A caller with the stream `s` of so many shards.
    pub(crate) async fn with_stream(shards: u32) -> Self {
        let caller = Self::new();
        caller
            .ok(
                "CreateStream",
                json!({"StreamName": "s", "ShardCount": shards}),
            )
            .await;
        caller
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.service.clock().advance(by);
    }

    /// The same service, called with an access key in a region.
    pub(crate) fn with_key<'a>(&'a self, key: &str, region: &str) -> Other<'a> {
        let scope = format!("{key}/20231114/{region}/kinesis/aws4_request");
        Other {
            caller: self,
            authorization: format!(
                "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"
            ),
        }
    }

    /// Sends a body as it is.
    pub(crate) async fn raw(&self, operation: &str, body: &str) -> (u16, String) {
        self.send(operation, body, None).await
    }

    /// The status of an answer, and its body if it is refused: an accepted one may have no end.
    pub(crate) async fn status(&self, operation: &str, body: &str) -> (u16, String) {
        let answer = self.answer(operation, body, None).await;
        let status = answer.status().as_u16();
        if status == 200 {
            return (status, String::new());
        }
        let body = answer.into_body().into_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn send(&self, operation: &str, body: &str, by: Option<&str>) -> (u16, String) {
        let answer = self.answer(operation, body, by).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().into_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn answer(&self, operation: &str, body: &str, by: Option<&str>) -> http::Response<Body> {
        let mut request = http::Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"));
        if let Some(by) = by {
            request = request.header("authorization", by);
        }
        let body = Full::new(Bytes::from(body.to_owned()));
        let request = request.body(body).unwrap();
        self.service.serve(request).await
    }

    /// The reply of a call that is accepted; null if it is void.
    pub(crate) async fn ok(&self, operation: &str, body: Value) -> Value {
        accepted(
            operation,
            &body,
            self.raw(operation, &body.to_string()).await,
        )
    }

    /// Type and text of a call that is refused.
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> (String, String) {
        refusal(
            operation,
            &body,
            self.raw(operation, &body.to_string()).await,
        )
    }

    pub(crate) async fn put(&self, key: &str, data: &str) -> Value {
        let data = base64_simd::STANDARD.encode_to_string(data);
        self.ok(
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": key, "Data": data}),
        )
        .await
    }

    /// An iterator of the stream `s`.
    pub(crate) async fn iterator(&self, shard: &str, kind: &str, more: Value) -> String {
        let mut body = json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let reply = self.ok("GetShardIterator", body).await;
        reply["ShardIterator"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn records(&self, iterator: &str) -> Value {
        self.ok("GetRecords", json!({"ShardIterator": iterator}))
            .await
    }

    /// The data of all records from a position on.
    pub(crate) async fn data_from(&self, shard: &str, kind: &str, more: Value) -> Vec<String> {
        let iterator = self.iterator(shard, kind, more).await;
        data(&self.records(&iterator).await)
    }
}

/// A caller with an access key of his own; one of twelve digits is of that account.
pub(crate) struct Other<'a> {
    caller: &'a Caller,
    authorization: String,
}

impl Other<'_> {
    /// As [`Caller::ok`].
    pub(crate) async fn ok(&self, operation: &str, body: Value) -> Value {
        accepted(operation, &body, self.raw(operation, &body).await)
    }

    /// As [`Caller::refused`].
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> (String, String) {
        refusal(operation, &body, self.raw(operation, &body).await)
    }

    async fn raw(&self, operation: &str, body: &Value) -> (u16, String) {
        let by = Some(self.authorization.as_str());
        self.caller.send(operation, &body.to_string(), by).await
    }
}

fn accepted(operation: &str, body: &Value, (status, text): (u16, String)) -> Value {
    assert_eq!(status, 200, "{operation} {body}: {text}");
    if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap()
    }
}

fn refusal(operation: &str, body: &Value, (status, text): (u16, String)) -> (String, String) {
    assert_eq!(status, 400, "{operation} {body}: {text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    let kind = body["__type"].as_str().unwrap().to_owned();
    let message = body.get("message").or(body.get("Message"));
    (
        kind,
        message
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
    )
}

/// The data of a reply's records.
pub(crate) fn data(reply: &Value) -> Vec<String> {
    let decode = |record: &Value| {
        let data = base64_simd::STANDARD.decode_to_vec(record["Data"].as_str().unwrap());
        String::from_utf8(data.unwrap()).unwrap()
    };
    reply["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(decode)
        .collect()
}

pub(crate) fn shard(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// The ids of a listing's shards.
pub(crate) fn ids(listing: &Value) -> Vec<u32> {
    let id = |shard: &Value| shard["ShardId"].as_str().unwrap()[8..].parse().unwrap();
    listing["Shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(id)
        .collect()
}
