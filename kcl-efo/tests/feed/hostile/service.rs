//! A service on a raw socket that does with each subscription what a script says, and ends the shard when there
//! is no script left. It knows the two calls that are made of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support;

pub(super) const ARN: &str =
    "arn:aws:kinesis:eu-north-1:000000000000:stream/stream/consumer/app:1700000000";

/// What the service does with one subscription.
#[derive(Clone)]
pub(super) enum Script {
    /// Sends these bytes as the body and closes the connection in order.
    Send(Vec<u8>),
    /// Sends these bytes and then nothing, with the connection open.
    Hang(Vec<u8>),
    /// Sends these bytes and breaks the connection off.
    Reset(Vec<u8>),
    /// Answers with an error of this code.
    Refuse(&'static str),
    /// Answers with this, and status 200.
    Garbage(&'static str),
}

pub(super) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (name, value) in headers {
        encoded.push(u8::try_from(name.len()).unwrap());
        encoded.extend(name.as_bytes());
        encoded.push(7);
        encoded.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        encoded.extend(value.as_bytes());
    }
    let total = u32::try_from(12 + encoded.len() + payload.len() + 4).unwrap();
    let mut frame = total.to_be_bytes().to_vec();
    frame.extend(u32::try_from(encoded.len()).unwrap().to_be_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(encoded);
    frame.extend(payload);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

pub(super) fn event(kind: &str, payload: &Value) -> Vec<u8> {
    let headers = [
        (":content-type", "application/json"),
        (":event-type", kind),
        (":message-type", "event"),
    ];
    frame(&headers, payload.to_string().as_bytes())
}

pub(super) fn opening() -> Vec<u8> {
    event("initial-response", &json!({}))
}

pub(super) fn body(numbers: &[u32]) -> Value {
    let record = |number: &u32| json!({"SequenceNumber": number.to_string(), "Data": "ZGF0YQ==", "PartitionKey": "key"});
    let records: Vec<_> = numbers.iter().map(record).collect();
    json!({"Records": records, "MillisBehindLatest": 0})
}

/// An event with these records, and the last of them as the way on.
pub(super) fn records(numbers: &[u32]) -> Vec<u8> {
    let mut body = body(numbers);
    body["ContinuationSequenceNumber"] = numbers.last().unwrap().to_string().into();
    event("SubscribeToShardEvent", &body)
}

pub(super) fn last(children: bool) -> Vec<u8> {
    let mut body = body(&[99]);
    if children {
        let range = json!({"StartingHashKey": "0", "EndingHashKey": "9"});
        let parents = [support::shard().to_string()];
        body["ChildShards"] =
            json!([{"ShardId": "shard-1", "ParentShards": parents, "HashKeyRange": range}]);
    }
    event("SubscribeToShardEvent", &body)
}

pub(super) fn exception(kind: &str, payload: &str) -> Vec<u8> {
    let headers = [
        (":message-type", "exception"),
        (":exception-type", kind),
        (":content-type", "application/json"),
    ];
    frame(&headers, payload.as_bytes())
}

/// The service: one script for each subscription, then it ends the shard.
pub(super) struct Service {
    endpoint: String,
    /// The positions that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Service {
    pub(super) async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let scripts: VecDeque<_> = scripts.into_iter().collect();
        let scripts = Arc::new(Mutex::new(scripts));
        let mut tasks = JoinSet::new();
        let notes = asked.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, scripts.clone(), notes.clone()));
            }
        });
        Self {
            endpoint,
            asked,
            _tasks: tasks,
        }
    }

    pub(super) fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new("key", "secret", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-north-1"))
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    scripts: Arc<Mutex<VecDeque<Script>>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    while let Some((operation, body)) = request(&mut socket).await {
        if operation == "DescribeStreamConsumer" {
            let found = json!({"ConsumerDescription": {
                "ConsumerName": "app", "ConsumerARN": ARN, "ConsumerStatus": "ACTIVE",
                "ConsumerCreationTimestamp": 1.0, "StreamARN": ARN,
            }});
            answer(&mut socket, "200 OK", &found.to_string()).await;
            continue;
        }
        assert_eq!(operation, "SubscribeToShard");
        let position = &body["StartingPosition"];
        let number = position["SequenceNumber"].as_str().unwrap_or_default();
        let kind = position["Type"].as_str().unwrap();
        asked
            .lock()
            .unwrap()
            .push(format!("{kind} {number}").trim().to_owned());
        let script = scripts.lock().unwrap().pop_front();
        let script = script.unwrap_or_else(|| Script::Send([opening(), last(true)].concat()));
        match script {
            Script::Send(bytes) => {
                stream(&mut socket, &bytes).await;
                socket.write_all(b"0\r\n\r\n").await.unwrap();
            }
            Script::Hang(bytes) => {
                stream(&mut socket, &bytes).await;
                // Until the other side has had enough.
                assert_eq!(socket.read(&mut [0]).await.unwrap_or_default(), 0);
                return;
            }
            Script::Reset(bytes) => {
                stream(&mut socket, &bytes).await;
                return;
            }
            Script::Refuse(code) => {
                let body = json!({"__type": code, "message": "scripted"});
                answer(&mut socket, "400 Bad Request", &body.to_string()).await;
            }
            Script::Garbage(text) => answer(&mut socket, "200 OK", text).await,
        }
    }
}

async fn request(socket: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let header = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    let length: usize = header("content-length:").parse().unwrap();
    while bytes.len() < head + length {
        socket.read_buf(&mut bytes).await.ok()?;
    }
    let operation = match header("x-amz-target:").rsplit('.').next().unwrap() {
        "subscribetoshard" => "SubscribeToShard",
        "describestreamconsumer" => "DescribeStreamConsumer",
        other => panic!("{other}"),
    };
    let body = serde_json::from_slice(&bytes[head..]).unwrap();
    Some((operation.to_owned(), body))
}

async fn answer(socket: &mut TcpStream, status: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + body).as_bytes()).await.unwrap();
}

async fn stream(socket: &mut TcpStream, bytes: &[u8]) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    // In small pieces: where a chunk ends says nothing of where a frame does.
    for piece in bytes.chunks(37) {
        let chunk = format!("{:x}\r\n", piece.len());
        let chunk = [chunk.as_bytes(), piece, b"\r\n"].concat();
        socket.write_all(&chunk).await.unwrap();
    }
}
