//! A service to fuzz: always the same, on a clock that stands still, with a stream, records, children
//! and a consumer to find.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use ciborium::Value as Cbor;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use kinesis_emulator::{Auth, Body, Clock, Key, Keys, Service, Settings};
use tokio::runtime::Runtime;

pub(crate) const JSON: &str = "application/x-amz-json-1.1";
pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";
/// The stream of every service, its second shard being one of two children.
pub(crate) const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

pub(crate) const OPERATIONS: [&str; 39] = [
    "AddTagsToStream",
    "CreateStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteResourcePolicy",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeAccountSettings",
    "DescribeLimits",
    "DescribeStream",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetRecords",
    "GetResourcePolicy",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreamConsumers",
    "ListStreams",
    "ListTagsForResource",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "PutResourcePolicy",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "SplitShard",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateAccountSettings",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
    "UpdateStreamMode",
    "UpdateStreamWarmThroughput",
];

/// An answer, taken apart.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// None of a stream of events.
    pub(crate) body: Option<Bytes>,
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime needs no resources but memory")
    })
}

fn settings() -> Settings {
    let _in = runtime().enter();
    let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    clock.freeze();
    Settings {
        clock,
        seed: Some(1),
        shard_limit: 100,
        ..Settings::default()
    }
}

/// A service without streams.
pub(crate) fn empty() -> Service {
    Service::new(settings())
}

/// A service that checks signatures, and so never changes.
pub(crate) fn guarded() -> &'static Service {
    static GUARDED: OnceLock<Service> = OnceLock::new();
    GUARDED.get_or_init(make_guarded)
}

fn make_guarded() -> Service {
    let key = Key {
        access_key: "AKID".to_owned(),
        secret: "secret".to_owned(),
        account: "000000000000".to_owned(),
        session_token: None,
        expires_at: None,
    };
    let keys = Keys::new([key]).expect("this key is one");
    Service::new(Settings {
        auth: Auth::SigV4(keys),
        ..settings()
    })
}

/// Asks a service with the stream `s`, which is a new one unless all that was asked of it before was
/// refused: what is refused changes nothing.
pub(crate) fn ask_furnished(request: Request<Full<Bytes>>) -> Answer {
    thread_local! {
        static KEPT: Cell<Option<Service>> = const { Cell::new(None) };
    }
    let service = KEPT.take().unwrap_or_else(furnished);
    let answer = take_apart(serve(&service, request));
    if answer.status.is_client_error() {
        KEPT.set(Some(service));
    }
    answer
}

/// A service with the stream `s`: one shard with records, split in two.
pub(crate) fn furnished() -> Service {
    let service = empty();
    for (operation, body) in [
        ("CreateStream", r#"{"StreamName":"s","ShardCount":1}"#),
        (
            "PutRecord",
            r#"{"StreamName":"s","PartitionKey":"k","Data":"YQ=="}"#,
        ),
        (
            "SplitShard",
            r#"{"StreamName":"s","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"170141183460469231731687303715884105728"}"#,
        ),
        (
            "PutRecord",
            r#"{"StreamName":"s","PartitionKey":"a","Data":"YmM="}"#,
        ),
        (
            "RegisterStreamConsumer",
            r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","ConsumerName":"c"}"#,
        ),
    ] {
        let answer = call(
            &service,
            JSON,
            operation,
            Bytes::from_static(body.as_bytes()),
        );
        assert_eq!(answer.status, 200, "{operation}: {:?}", answer.body);
    }
    service
}

pub(crate) fn request(kind: &str, operation: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::post("/")
        .header("content-type", kind)
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::new(body))
        .expect("all of this is sound")
}

pub(crate) fn serve(service: &Service, request: Request<Full<Bytes>>) -> http::Response<Body> {
    runtime().block_on(service.serve(request))
}

pub(crate) fn call(service: &Service, kind: &str, operation: &str, body: Bytes) -> Answer {
    take_apart(serve(service, request(kind, operation, body)))
}

pub(crate) fn take_apart(answer: http::Response<Body>) -> Answer {
    let (head, body) = answer.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.try_into_bytes().ok(),
    }
}

impl Answer {
    pub(crate) fn content_type(&self) -> &str {
        let kind = self.headers.get("content-type");
        kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default()
    }

    /// Type and text of a refusal, in whichever encoding it came; none if it is no refusal.
    pub(crate) fn refusal(&self) -> Option<(String, String)> {
        if self.status == 200 {
            return None;
        }
        let body = self.body.as_ref().expect("a refusal has a body");
        let (kind, text) = if self.content_type() == CBOR {
            let body: Cbor = ciborium::from_reader(&body[..]).expect("a refusal is CBOR");
            let members = body.as_map().expect("a refusal is a map");
            let member = |name: &str| {
                let mut found = members
                    .iter()
                    .filter(|(key, _)| key.as_text() == Some(name));
                found
                    .next()
                    .and_then(|(_, value)| value.as_text().map(str::to_owned))
            };
            (
                member("__type"),
                member("message").or_else(|| member("Message")),
            )
        } else {
            let body: serde_json::Value = serde_json::from_slice(body).expect("a refusal is JSON");
            let member = |name: &str| body.get(name)?.as_str().map(str::to_owned);
            (
                member("__type"),
                member("message").or_else(|| member("Message")),
            )
        };
        Some((
            kind.expect("a refusal has a type"),
            text.unwrap_or_default(),
        ))
    }

    /// Whether a call was answered as every call must be, whatever was in it.
    pub(crate) fn check(&self, kind: &str) {
        if let Some((name, text)) = self.refusal() {
            assert_eq!(self.status, 400, "{name}: {text}");
            assert_eq!(self.content_type(), kind, "{name}: {text}");
            assert_ne!(name, "InternalFailureException", "{text}");
        }
    }
}
