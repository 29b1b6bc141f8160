//! What subscriptions cost while nothing happens, and how soon one hears of a put.
//!
//! Idle: 1,000 subscriptions, 20 consumers on each of 50 shards, held by a client in another process
//! over HTTP/2, and then each over a connection of HTTP/1.1. The processor time is that of this
//! process only, all its threads, over 20 seconds; the client counts what it gets, so that a server
//! that sends nothing does not look cheap. Memory is what this process has grown by.
//!
//! Latency: from before a PutRecord is sent until its record is in a subscriber's hands, both in this
//! process: without a socket, and over sockets.
//!
//! `cargo bench -p kinesis-emulator --bench fan_out` ends with 1 if a figure is missed.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinesis_emulator::{Emulator, Service};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

type Error = Box<dyn std::error::Error + Send + Sync>;

const SHARDS: usize = 50;
const CONSUMERS: usize = 20;
const SUBSCRIPTIONS: usize = SHARDS * CONSUMERS;
/// Streams of one connection, where there are several.
const PER_CONNECTION: usize = 100;
const IDLE: Duration = Duration::from_secs(20);
/// Shares of one core.
const IDLE_LIMIT: f64 = 0.02;
const PUTS: usize = 5_000;
const LATENCY_LIMIT: Duration = Duration::from_millis(1);

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    if let [_, role, address, version] = arguments.as_slice()
        && role == "--hold"
    {
        return runtime()?.block_on(hold(address, version));
    }
    let mut good = true;
    for version in ["h2", "h1"] {
        good &= runtime()?.block_on(idle(version))?;
    }
    good &= runtime()?.block_on(in_process())?;
    good &= runtime()?.block_on(over_sockets())?;
    if good {
        Ok(())
    } else {
        Err("a figure was missed".into())
    }
}

fn runtime() -> Result<Runtime, Error> {
    Ok(Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

fn request(operation: &str, body: &Value) -> http::Request<Full<Bytes>> {
    let request = http::Request::post("http://localhost/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("host", "localhost")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::new(Bytes::from(body.to_string())));
    request.unwrap_or_default()
}

fn shard(index: usize) -> String {
    format!("shardId-{index:012}")
}

fn subscription(consumer: &Value, shard: &str) -> Value {
    let position = json!({"Type": "LATEST"});
    json!({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": position})
}

async fn call(service: &Service, operation: &str, body: &Value) -> Result<Value, Error> {
    let answer = service.serve(request(operation, body)).await;
    let status = answer.status();
    let body = answer.into_body().into_bytes();
    if !status.is_success() {
        return Err(format!("{operation}: {status} {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// Makes the stream `s` and says its consumers' ARNs.
async fn prepare(service: &Service, shards: usize, consumers: usize) -> Result<Vec<Value>, Error> {
    let stream = json!({"StreamName": "s", "ShardCount": shards});
    call(service, "CreateStream", &stream).await?;
    let summary = call(
        service,
        "DescribeStreamSummary",
        &json!({"StreamName": "s"}),
    )
    .await?;
    let arn = &summary["StreamDescriptionSummary"]["StreamARN"];
    let mut arns = Vec::new();
    for number in 0..consumers {
        let consumer = json!({"StreamARN": arn, "ConsumerName": format!("c{number}")});
        let reply = call(service, "RegisterStreamConsumer", &consumer).await?;
        arns.push(reply["Consumer"]["ConsumerARN"].clone());
    }
    Ok(arns)
}

/// Processor time of all threads of this process so far.
fn cpu() -> Result<Duration, Error> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let ran = text.split_whitespace().next().unwrap_or_default();
        total += ran.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

/// Resident memory in bytes.
fn resident() -> Result<usize, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no VmRSS")?.parse::<usize>()? << 10)
}

async fn idle(version: &str) -> Result<bool, Error> {
    let emulator = Emulator::start().await?;
    let consumers = prepare(emulator.service(), SHARDS, CONSUMERS).await?;
    let address = emulator.address().to_string();
    let mut client = Command::new(std::env::current_exe()?)
        .args(["--hold", &address, version])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut to = client.stdin.take().ok_or("no pipe")?;
    let from = client.stdout.take().ok_or("no pipe")?;
    let mut from = BufReader::new(from).lines();
    let before = resident()?;
    to.write_all(format!("{}\n", json!(consumers)).as_bytes())
        .await?;
    from.next_line().await?.ok_or("the client ended")?;
    let open = emulator.service().subscriptions();
    let grown = resident()?.saturating_sub(before);
    // Past the first events, which come half a second after each call.
    time::sleep(Duration::from_secs(1)).await;
    let (start, used) = (Instant::now(), cpu()?);
    to.write_all(b"count\n").await?;
    time::sleep(IDLE).await;
    let (used, elapsed) = (cpu()?.saturating_sub(used), start.elapsed());
    to.write_all(b"count\n").await?;
    let frames = from.next_line().await?.ok_or("the client ended")?;
    let (fewest, total) = frames.split_once(' ').ok_or("no counts")?;
    let share = used.as_secs_f64() / elapsed.as_secs_f64();
    // At least one event in every five seconds, or nobody is being served.
    let is_served = open == SUBSCRIPTIONS && fewest.parse::<usize>()? >= 4;
    let good = share < IDLE_LIMIT && is_served;
    println!(
        "idle {version}: {open} subscriptions, {total} heartbeats in {elapsed:.0?}, the fewest of one \
         {fewest}: {used:.0?} of processor time = {:.2} % of a core (limit {:.0} %), {} KiB each: {}",
        share * 100.0,
        IDLE_LIMIT * 100.0,
        grown / SUBSCRIPTIONS / 1024,
        verdict(good),
    );
    Ok(good)
}

fn verdict(good: bool) -> &'static str {
    if good { "good" } else { "MISSED" }
}

/// The client's process: subscribes, says so, and counts frames between two lines.
async fn hold(address: &str, version: &str) -> Result<(), Error> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let consumers = lines.next_line().await?.ok_or("no consumers")?;
    let consumers: Vec<Value> = serde_json::from_str(&consumers)?;
    let mut wanted = Vec::new();
    for index in 0..SHARDS {
        for consumer in &consumers {
            wanted.push(request(
                "SubscribeToShard",
                &subscription(consumer, &shard(index)),
            ));
        }
    }
    let mut held = Vec::new();
    // A sender that is dropped may end its connection.
    let mut senders = Vec::new();
    while !wanted.is_empty() {
        let many = if version == "h2" { PER_CONNECTION } else { 1 };
        let batch = wanted.split_off(wanted.len().saturating_sub(many));
        let mut sender = Sender::connect(address, version).await?;
        for request in batch {
            held.push(sender.send(request).await?.into_body());
        }
        senders.push(sender);
    }
    let counts: Vec<_> = held
        .into_iter()
        .map(|mut body| {
            let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let mine = std::sync::Arc::clone(&count);
            tokio::spawn(async move {
                while let Some(Ok(_)) = body.frame().await {
                    mine.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
            count
        })
        .collect();
    println!("holding");
    let now = || -> Vec<usize> {
        let load = |count: &std::sync::Arc<std::sync::atomic::AtomicUsize>| {
            count.load(std::sync::atomic::Ordering::Relaxed)
        };
        counts.iter().map(load).collect()
    };
    lines.next_line().await?;
    let before = now();
    lines.next_line().await?;
    let got: Vec<usize> = now()
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    let fewest = got.iter().min().copied().unwrap_or_default();
    println!("{fewest} {}", got.iter().sum::<usize>());
    lines.next_line().await?;
    drop(senders);
    Ok(())
}

/// A connection of either version.
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn connect(address: &str, version: &str) -> Result<Self, Error> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let io = TokioIo::new(socket);
        if version == "h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Ok(Self::Two(sender))
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Ok(Self::One(sender))
        }
    }

    async fn send(
        &mut self,
        mut request: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, Error> {
        let answer = match self {
            Self::One(sender) => {
                *request.uri_mut() = http::Uri::from_static("/");
                // It gets ready a moment after the answer before has been read.
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => sender.send_request(request).await?,
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let body = answer.into_body().collect().await?.to_bytes();
        Err(String::from_utf8_lossy(&body).into_owned().into())
    }
}

fn put(number: usize) -> http::Request<Full<Bytes>> {
    let body = json!({"StreamName": "s", "PartitionKey": number.to_string(), "Data": "YQ=="});
    request("PutRecord", &body)
}

/// Whether a piece is of an event with records: heartbeats come in between.
fn has_record(piece: &[u8]) -> bool {
    piece.windows(15).any(|part| part == b"\"SequenceNumber")
}

async fn in_process() -> Result<bool, Error> {
    let service = Service::default();
    let consumers = prepare(&service, 1, 1).await?;
    let subscribe = subscription(&consumers[0], &shard(0));
    let mut body = service
        .serve(request("SubscribeToShard", &subscribe))
        .await
        .into_body();
    let (heard, mut hear) = tokio::sync::mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            let at = Instant::now();
            let is_record = frame.data_ref().is_some_and(|piece| has_record(piece));
            if is_record && heard.send(at).await.is_err() {
                break;
            }
        }
    });
    let mut latencies = Vec::with_capacity(PUTS);
    for number in 0..PUTS {
        let put = put(number);
        let start = Instant::now();
        let answer = service.serve(put).await;
        if !answer.status().is_success() {
            return Err("a put was refused".into());
        }
        let at = hear.recv().await.ok_or("the subscription ended")?;
        latencies.push(at - start);
    }
    Ok(report("in process", latencies))
}

async fn over_sockets() -> Result<bool, Error> {
    let emulator = Emulator::start().await?;
    let consumers = prepare(emulator.service(), 1, 1).await?;
    let address = emulator.address().to_string();
    let mut subscriber = Sender::connect(&address, "h2").await?;
    let subscribe = subscription(&consumers[0], &shard(0));
    let answer = subscriber
        .send(request("SubscribeToShard", &subscribe))
        .await?;
    let mut body = answer.into_body();
    let mut producer = Sender::connect(&address, "h1").await?;
    let (heard, mut hear) = tokio::sync::mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut pending = BytesMut::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            pending.extend_from_slice(&piece);
            while let Some(len) = pending.first_chunk::<4>() {
                let len = u32::from_be_bytes(*len) as usize;
                if pending.len() < len {
                    break;
                }
                let frame = pending.split_to(len);
                if has_record(&frame) && heard.send(Instant::now()).await.is_err() {
                    return;
                }
            }
        }
    });
    let mut latencies = Vec::with_capacity(PUTS);
    for number in 0..PUTS {
        let put = put(number);
        let start = Instant::now();
        let answer = producer.send(put).await?;
        answer.into_body().collect().await?;
        let at = hear.recv().await.ok_or("the subscription ended")?;
        latencies.push(at - start);
    }
    Ok(report("over sockets", latencies))
}

/// Prints the latencies and says whether half of them are short enough.
fn report(name: &str, mut latencies: Vec<Duration>) -> bool {
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 1000];
    let good = at(500) < LATENCY_LIMIT;
    println!(
        "put to subscriber {name}: p50 {:.0?} (limit {LATENCY_LIMIT:.0?}), p99 {:.0?}, p99.9 {:.0?}, \
         {} puts: {}",
        at(500),
        at(990),
        at(999),
        latencies.len(),
        verdict(good),
    );
    good
}
