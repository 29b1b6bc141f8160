//! Subscriptions over real connections: chunks of HTTP/1.1 and streams of HTTP/2, readers that go
//! away, and readers that do not read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinesis_emulator::Emulator;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::caller::{data, shard};
use crate::events::{Frame, STREAM_ARN};

/// How long a socket may take for what it does at once.
const SOON: Duration = Duration::from_secs(20);

fn request(operation: &str, body: &Value) -> http::Request<Full<Bytes>> {
    http::Request::post("http://localhost/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

/// A connection of HTTP/2 by prior knowledge.
struct Http2 {
    sender: SendRequest<Full<Bytes>>,
}

impl Http2 {
    async fn connect(emulator: &Emulator) -> Self {
        let socket = TcpStream::connect(emulator.address()).await.unwrap();
        let io = TokioIo::new(socket);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    async fn call(&mut self, operation: &str, body: Value) -> http::Response<Incoming> {
        let answer = self.sender.send_request(request(operation, &body));
        tokio::time::timeout(SOON, answer).await.unwrap().unwrap()
    }

    async fn ok(&mut self, operation: &str, body: Value) -> Value {
        let answer = self.call(operation, body).await;
        assert_eq!(answer.status(), 200, "{operation}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// Makes the stream `s` and its consumers.
    async fn consumers(&mut self, names: &[&str]) -> Vec<String> {
        self.ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
            .await;
        let mut arns = Vec::new();
        for name in names {
            let body = json!({"StreamARN": STREAM_ARN, "ConsumerName": name});
            let reply = self.ok("RegisterStreamConsumer", body).await;
            arns.push(
                reply["Consumer"]["ConsumerARN"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        arns
    }

    async fn put(&mut self, text: &str) {
        let data = base64_simd::STANDARD.encode_to_string(text);
        let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": data});
        self.ok("PutRecord", body).await;
    }

    async fn subscribe(&mut self, consumer: &str) -> Frames {
        let answer = self.call("SubscribeToShard", subscription(consumer)).await;
        assert_eq!(answer.status(), 200);
        let mut frames = Frames {
            body: answer.into_body(),
            rest: BytesMut::new(),
        };
        let first = frames.next().await.unwrap();
        assert_eq!(first.header(":event-type"), Some("initial-response"));
        frames
    }
}

fn subscription(consumer: &str) -> Value {
    let position = json!({"Type": "TRIM_HORIZON"});
    json!({"ConsumerARN": consumer, "ShardId": shard(0), "StartingPosition": position})
}

/// Frames out of pieces of any size.
struct Frames {
    body: Incoming,
    rest: BytesMut,
}

impl Frames {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(len) = self.rest.first_chunk::<4>() {
                let len = usize::try_from(u32::from_be_bytes(*len)).unwrap();
                if self.rest.len() >= len {
                    return Some(Frame::decode(self.rest.split_to(len).freeze()));
                }
            }
            let piece = tokio::time::timeout(SOON, self.body.frame())
                .await
                .unwrap()?;
            self.rest
                .extend_from_slice(&piece.unwrap().into_data().unwrap());
        }
    }

    /// The data of the next event that has any.
    async fn data(&mut self) -> Vec<String> {
        loop {
            let data = data(&self.next().await.unwrap().event());
            if !data.is_empty() {
                return data;
            }
        }
    }
}

async fn until(emulator: &Emulator, subscriptions: usize) {
    let reached = async {
        while emulator.service().subscriptions() != subscriptions {
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(SOON, reached).await;
    assert!(
        reached.is_ok(),
        "{} are open",
        emulator.service().subscriptions()
    );
}

#[tokio::test]
async fn subscriptions_share_a_connection_of_http_2_and_end_alone() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Http2::connect(&emulator).await;
    let consumers = client.consumers(&["c", "d"]).await;
    let mut first = client.subscribe(&consumers[0]).await;
    let mut second = client.subscribe(&consumers[1]).await;
    client.put("a").await;
    assert_eq!(first.data().await, ["a"]);
    assert_eq!(second.data().await, ["a"]);
    until(&emulator, 2).await;
    // Dropping a body resets its stream.
    drop(first);
    until(&emulator, 1).await;
    client.put("b").await;
    assert_eq!(second.data().await, ["b"]);
    drop(client);
    drop(second);
    until(&emulator, 0).await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nobody() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Http2::connect(&emulator).await;
    let consumers = client.consumers(&["lazy", "busy"]).await;
    let mut lazy = client.subscribe(&consumers[0]).await;
    let mut busy = client.subscribe(&consumers[1]).await;
    // Far more than the windows of the stream and of the connection hold.
    let large = "x".repeat(200_000);
    for number in 0..30 {
        let text = format!("{number} {large}");
        client.put(&text).await;
        assert!(busy.data().await == [text]);
    }
    let (mut next, mut events) = (0, 0);
    while next < 30 {
        for text in lazy.data().await {
            assert!(text == format!("{next} {large}"));
            next += 1;
        }
        events += 1;
    }
    assert!(events < 30, "what waited came in batches: {events}");
}

#[tokio::test]
async fn a_subscription_in_chunks_of_http_1_ends_with_its_connection() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Http2::connect(&emulator).await;
    let consumers = client.consumers(&["c"]).await;
    let socket = TcpStream::connect(emulator.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut request = request("SubscribeToShard", &subscription(&consumers[0]));
    *request.uri_mut() = "/".parse().unwrap();
    request
        .headers_mut()
        .insert("host", "localhost".parse().unwrap());
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_11);
    assert_eq!(answer.headers()["transfer-encoding"], "chunked");
    assert_eq!(
        answer.headers()["content-type"],
        "application/vnd.amazon.eventstream"
    );
    assert!(answer.headers().contains_key("x-amzn-requestid"));
    let mut frames = Frames {
        body: answer.into_body(),
        rest: BytesMut::new(),
    };
    let first = frames.next().await.unwrap();
    assert_eq!(first.header(":event-type"), Some("initial-response"));
    client.put("a").await;
    assert_eq!(frames.data().await, ["a"]);
    until(&emulator, 1).await;
    // The client is killed while nothing is being sent.
    connection.abort();
    until(&emulator, 0).await;
}

#[tokio::test]
async fn a_stopping_emulator_does_not_wait_for_its_subscriptions() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Http2::connect(&emulator).await;
    let consumers = client.consumers(&["c"]).await;
    let mut frames = client.subscribe(&consumers[0]).await;
    let service = emulator.service().clone();
    tokio::time::timeout(SOON, emulator.stop()).await.unwrap();
    assert_eq!(service.subscriptions(), 0);
    let left = tokio::time::timeout(SOON, async {
        while let Some(Ok(piece)) = frames.body.frame().await {
            drop(piece);
        }
    });
    left.await.unwrap();
}
