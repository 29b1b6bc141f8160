//! The emulator against a bare hyper server, and its memory against what it stores.
//!
//! Both servers run in this process, each on a runtime of its own with the same number of threads,
//! behind the same kind of listener. The bare one reads the whole body and answers a constant: a
//! copy of what the emulator answered to the same request, so it sends as many bytes. The client is
//! the same for both: raw keep-alive HTTP/1.1 connections. Rounds alternate; the median counts.
//!
//! `cargo bench -p kinesis-emulator --bench versus_bare` ends with 1 if a ratio or the memory is
//! missed.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::convert::Infallible;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kinesis_emulator::Emulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::Instant;

type Error = Box<dyn std::error::Error + Send + Sync>;

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 16;
const STREAM: &str = "bench";

fn main() -> Result<(), Error> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let mut good = true;
    let servers = Servers::start()?;
    let client = runtime()?;
    for case in [put_record(), put_records(), get_records()] {
        good &= client.block_on(case.run(&servers))?;
    }
    drop(servers);
    for (count, bytes) in [(1_000_000, 128), (300_000, 1024), (3_000, 100_000)] {
        good &= client.block_on(memory(count, bytes))?;
    }
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

/// Both servers, each on its own runtime.
struct Servers {
    // Dropping it would stop the listener.
    _emulator: Emulator,
    emulator_address: String,
    bare_address: String,
    answer: Arc<parking_lot::Mutex<Bytes>>,
    _runtimes: [Runtime; 2],
}

impl Servers {
    fn start() -> Result<Self, Error> {
        let (ours, theirs) = (runtime()?, runtime()?);
        let emulator = ours.block_on(Emulator::start())?;
        let emulator_address = emulator.endpoint().trim_start_matches("http://").to_owned();
        let listener = theirs.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let bare_address = listener.local_addr()?.to_string();
        let answer = Arc::new(parking_lot::Mutex::new(Bytes::new()));
        theirs.spawn(bare(listener, answer.clone()));
        Ok(Self {
            _emulator: emulator,
            emulator_address,
            bare_address,
            answer,
            _runtimes: [ours, theirs],
        })
    }
}

async fn bare(listener: TcpListener, answer: Arc<parking_lot::Mutex<Bytes>>) {
    while let Ok((socket, _)) = listener.accept().await {
        if socket.set_nodelay(true).is_err() {
            continue;
        }
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let answer = answer.clone();
                async move {
                    let body = request
                        .into_body()
                        .collect()
                        .await
                        .map(|body| body.to_bytes());
                    let known = body.map(|_| answer.lock().clone()).unwrap_or_default();
                    let reply = http::Response::builder()
                        .header("content-type", "application/x-amz-json-1.1")
                        .body(Full::new(known));
                    Ok::<_, Infallible>(reply.unwrap_or_default())
                }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that goes away is the normal end of a connection.
            drop(server.serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

/// One kind of request, and how much of the bare server's speed is to be reached.
struct Case {
    name: &'static str,
    target: &'static str,
    requests: usize,
    payload: usize,
    floor: f64,
    fill: usize,
    body: fn(&str) -> String,
}

fn put_record() -> Case {
    Case {
        name: "PutRecord, 128 B",
        target: "PutRecord",
        requests: 40_000,
        payload: 128,
        floor: 0.6,
        fill: 0,
        body: |_| {
            let data = encode(128);
            format!(r#"{{"StreamName":"{STREAM}","PartitionKey":"key-17","Data":"{data}"}}"#)
        },
    }
}

fn put_records() -> Case {
    Case {
        name: "PutRecords, 500 x 1 KiB",
        target: "PutRecords",
        requests: 400,
        payload: 500 * 1024,
        floor: 0.25,
        fill: 0,
        body: |_| records(500, 1024),
    }
}

fn get_records() -> Case {
    Case {
        name: "GetRecords, 1,000 x 1 KiB",
        target: "GetRecords",
        requests: 600,
        payload: 1000 * 1024,
        floor: 0.4,
        fill: 2,
        body: |iterator| format!(r#"{{"ShardIterator":"{iterator}","Limit":1000}}"#),
    }
}

fn encode(bytes: usize) -> String {
    let data: Vec<u8> = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
    base64_simd::STANDARD.encode_to_string(data)
}

fn records(count: usize, bytes: usize) -> String {
    let data = encode(bytes);
    let records: Vec<String> = (0..count)
        .map(|i| format!(r#"{{"PartitionKey":"key-{i}","Data":"{data}"}}"#))
        .collect();
    format!(
        r#"{{"StreamName":"{STREAM}","Records":[{}]}}"#,
        records.join(",")
    )
}

impl Case {
    async fn run(&self, servers: &Servers) -> Result<bool, Error> {
        let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
        for round in 0..=ROUNDS {
            let mut control = Connection::open(&servers.emulator_address).await?;
            let create = format!(r#"{{"StreamName":"{STREAM}","ShardCount":1}}"#);
            control.call("CreateStream", &create).await?;
            for _ in 0..self.fill {
                control.call("PutRecords", &records(500, 1024)).await?;
            }
            let body = (self.body)(&iterator(&mut control).await?);
            let answer = control.call(self.target, &body).await?;
            *servers.answer.lock() = answer.into();
            let a = self.round(&servers.emulator_address, &body).await?;
            let b = self.round(&servers.bare_address, &body).await?;
            control
                .call("DeleteStream", &format!(r#"{{"StreamName":"{STREAM}"}}"#))
                .await?;
            // The first round warms up both.
            if round > 0 {
                ours.push(self.requests as f64 / a.as_secs_f64());
                theirs.push(self.requests as f64 / b.as_secs_f64());
                ratios.push(b.as_secs_f64() / a.as_secs_f64());
            }
        }
        let [a, b, ratio] = [&mut ours, &mut theirs, &mut ratios].map(|figures| {
            figures.sort_unstable_by(f64::total_cmp);
            figures[figures.len() / 2]
        });
        let mega = self.payload as f64 / 1e6;
        println!(
            "{}: emulator {a:.0}/s ({:.0} MB/s), bare server {b:.0}/s ({:.0} MB/s); \
             ratio {ratio:.3} (min {:.3}, max {:.3}), to reach {}",
            self.name,
            a * mega,
            b * mega,
            ratios[0],
            ratios[ratios.len() - 1],
            self.floor,
        );
        Ok(ratio >= self.floor)
    }

    async fn round(&self, address: &str, body: &str) -> Result<Duration, Error> {
        let request: Arc<[u8]> = request(self.target, body).into();
        let each = self.requests / CONNECTIONS;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(address).await?);
        }
        let started = Instant::now();
        let mut tasks: JoinSet<Result<(), Error>> = JoinSet::new();
        for mut connection in connections {
            let request = request.clone();
            tasks.spawn(async move {
                for _ in 0..each {
                    connection.exchange(&request).await?;
                }
                Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(started.elapsed())
    }
}

async fn iterator(control: &mut Connection) -> Result<String, Error> {
    let body = format!(
        r#"{{"StreamName":"{STREAM}","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}}"#
    );
    let reply: serde_json::Value =
        serde_json::from_slice(&control.call("GetShardIterator", &body).await?)?;
    Ok(reply["ShardIterator"]
        .as_str()
        .ok_or("no iterator")?
        .to_owned())
}

fn request(target: &str, body: &str) -> Vec<u8> {
    let mut request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{target}\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, \
         Signature={:064}\r\nx-amz-date: 20260101T000000Z\r\ncontent-length: {}\r\n\r\n",
        0,
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body.as_bytes());
    request
}

/// A raw keep-alive connection that knows just enough HTTP to find the end of an answer.
struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Result<Self, Error> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            buffer: vec![0; 1 << 16],
        })
    }

    async fn call(&mut self, target: &str, body: &str) -> Result<Vec<u8>, Error> {
        let (head, length) = self.exchange(&request(target, body)).await?;
        Ok(self.buffer[head..head + length].to_vec())
    }

    /// Sends the request, reads the whole answer; where its body starts and how long it is.
    async fn exchange(&mut self, request: &[u8]) -> Result<(usize, usize), Error> {
        self.socket.write_all(request).await?;
        let mut filled = 0;
        let mut found = None;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let read = self.socket.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            filled += read;
            if found.is_none() {
                found = head(&self.buffer[..filled])?;
                if let Some((head, length)) = found {
                    self.buffer.resize(self.buffer.len().max(head + length), 0);
                }
            }
            if let Some((head, length)) = found
                && filled >= head + length
            {
                return Ok((head, length));
            }
        }
    }
}

/// Where the head ends and how long the body is, once the head is there.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end])?;
    if !text.starts_with("HTTP/1.1 200") {
        return Err(format!("refused: {}", String::from_utf8_lossy(bytes)).into());
    }
    let length = text
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .ok_or("no content length")?;
    Ok(Some((end + 4, length)))
}

/// Fills the real binary and compares its resident memory with what it holds.
async fn memory(count: usize, bytes: usize) -> Result<bool, Error> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_kinesis-emulator"))
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .spawn()?;
    let outcome = fill(&mut process, count, bytes).await;
    process.kill()?;
    process.wait()?;
    let (idle, full) = outcome?;
    let limit = count as f64 * (bytes as f64 * 1.3 + 96.0);
    println!(
        "memory, {count} records of {bytes} B: {:.1} MB resident ({:.1} MB before the first \
         record), limit {:.1} MB",
        full / 1e6,
        idle / 1e6,
        limit / 1e6,
    );
    Ok(full <= limit)
}

async fn fill(
    process: &mut std::process::Child,
    count: usize,
    bytes: usize,
) -> Result<(f64, f64), Error> {
    let mut line = String::new();
    let stdout = process.stdout.as_mut().ok_or("no standard output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    let address = line
        .trim()
        .trim_start_matches("listening on http://")
        .to_owned();
    let mut control = Connection::open(&address).await?;
    let create = format!(r#"{{"StreamName":"{STREAM}","ShardCount":4}}"#);
    control.call("CreateStream", &create).await?;
    let idle = resident(process.id())?;
    let each = (5_000_000 / bytes).clamp(1, 500);
    let body = records(each, bytes);
    for _ in 0..count / each {
        control.call("PutRecords", &body).await?;
    }
    let rest = count % each;
    if rest > 0 {
        control.call("PutRecords", &records(rest, bytes)).await?;
    }
    Ok((idle, resident(process.id())?))
}

fn resident(pid: u32) -> Result<f64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kilobytes * 1024.0)
}
