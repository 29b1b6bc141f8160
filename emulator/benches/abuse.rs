//! What hostile clients cost a good one. A server process, 2,000 connections that are slow, silent or
//! half open, senders of oversized, nested and broken bodies, and one client whose 99th percentile is
//! taken before and meanwhile.
//!
//! `cargo bench -p kinesis-emulator --bench abuse` ends with 1 if the percentile more than doubles, the
//! memory is out of bounds, or the server panics or dies. `KINESIS_EMULATOR_BIN` names another server.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Connections of each of the four slow kinds.
const EACH: usize = 500;
const REQUESTS: usize = 3000;
const RATIO_MAX: f64 = 2.0;
/// Both accounts of the listener full, and what lives besides.
const MEMORY_MAX_MIB: u64 = 600;

fn main() -> Result<(), Error> {
    // `cargo bench` says so; `cargo test --benches` only wants to see that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    open_many_files()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

fn open_many_files() -> Result<(), Error> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, all)?)
}

async fn run() -> Result<(), Error> {
    let (mut server, address) = start().await?;
    let mut good = Good::connect(address).await?;
    good.call("CreateStream", r#"{"StreamName":"s","ShardCount":1}"#)
        .await?;
    good.percentile(REQUESTS / 3).await?;
    let before = good.percentile(REQUESTS).await?;
    let idle = resident_mib(&server)?;
    let mut hostile = JoinSet::new();
    for number in 0..EACH {
        hostile.spawn(slow_head(address));
        hostile.spawn(slow_body(address));
        hostile.spawn(silent(address));
        hostile.spawn(half_open(address, number));
    }
    sleep(Duration::from_secs(3)).await;
    let slow = good.percentile(REQUESTS).await?;
    hostile.spawn(bodies(address));
    hostile.spawn(garbage(address));
    let all = good.percentile(REQUESTS).await?;
    let new = Good::connect(address).await?.percentile(100).await?;
    let memory = resident_mib(&server)?;
    let open = hostile.len();
    hostile.shutdown().await;
    let (slow_ratio, all_ratio) = (ratio(slow, before), ratio(all, before));
    println!("hostile connections                    {open}");
    println!("p99 of PutRecord before                {before:?}");
    println!("p99 with slow and silent connections   {slow:?}, ratio {slow_ratio:.2}");
    println!("p99 with hostile bodies besides        {all:?}, ratio {all_ratio:.2}");
    println!("p99 of a client that comes meanwhile   {new:?}");
    println!("memory before and meanwhile            {idle} MiB, {memory} MiB");
    let panics = end(&mut server).await?;
    println!("panics                                 {panics}");
    if slow_ratio.max(all_ratio) > RATIO_MAX || memory > MEMORY_MAX_MIB || panics > 0 {
        return Err("a figure was missed".into());
    }
    Ok(())
}

fn ratio(now: Duration, before: Duration) -> f64 {
    now.as_secs_f64() / before.as_secs_f64()
}

async fn start() -> Result<(Child, SocketAddr), Error> {
    let own = env!("CARGO_BIN_EXE_kinesis-emulator").to_owned();
    let program = std::env::var("KINESIS_EMULATOR_BIN").unwrap_or(own);
    let mut server = Command::new(program)
        .args(["--port", "0", "--log", "error"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = server.stdout.take().ok_or("no output")?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    let line = line.ok_or("the server does not start")?;
    let address = line.rsplit("//").next().unwrap_or_default().parse()?;
    Ok((server, address))
}

/// Stops the server; how many panics it has told of.
async fn end(server: &mut Child) -> Result<usize, Error> {
    if let Some(status) = server.try_wait()? {
        return Err(format!("the server has died: {status}").into());
    }
    server.kill().await?;
    let mut told = String::new();
    let mut stderr = server.stderr.take().ok_or("no errors")?;
    stderr.read_to_string(&mut told).await?;
    Ok(told.matches("panicked").count())
}

fn resident_mib(server: &Child) -> Result<u64, Error> {
    let id = server.id().ok_or("the server has died")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.ok_or("no VmRSS")?.parse::<u64>()? / 1024)
}

fn head(operation: &str, kind: &str, length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-{kind}\r\n\
         x-amz-target: Kinesis_20131202.{operation}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// A client that behaves.
struct Good {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Good {
    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            answer: vec![0; 8192],
        })
    }

    async fn call(&mut self, operation: &str, body: &str) -> Result<Duration, Error> {
        let request = head(operation, "json-1.1", body.len()) + body;
        let started = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        let read = timeout(Duration::from_secs(30), self.stream.read(&mut self.answer));
        let length = read.await??;
        let taken = started.elapsed();
        if !self.answer[..length].starts_with(b"HTTP/1.1 200 OK") {
            let text = String::from_utf8_lossy(&self.answer[..length]).into_owned();
            return Err(format!("the good client is refused: {text}").into());
        }
        Ok(taken)
    }

    /// The 99th percentile of so many puts.
    async fn percentile(&mut self, count: usize) -> Result<Duration, Error> {
        let body = r#"{"StreamName":"s","PartitionKey":"k","Data":"AAAAAAAAAAAAAAAA"}"#;
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(self.call("PutRecord", body).await?);
            // Not as fast as it can: the tail is wanted, not the throughput.
            sleep(Duration::from_millis(1)).await;
        }
        all.sort();
        Ok(all[count * 99 / 100])
    }
}

/// Opens again whatever is closed.
async fn again<F: Future<Output = std::io::Result<()>>>(mut once: impl FnMut() -> F) {
    loop {
        let ended = once().await;
        sleep(Duration::from_millis(if ended.is_ok() { 100 } else { 500 })).await;
    }
}

async fn slow_head(address: SocketAddr) {
    again(async || {
        let mut stream = TcpStream::connect(address).await?;
        loop {
            stream.write_all(b"P").await?;
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}

async fn slow_body(address: SocketAddr) {
    again(async || {
        let mut stream = TcpStream::connect(address).await?;
        let head = head("PutRecords", "json-1.1", 10 << 20);
        stream.write_all(head.as_bytes()).await?;
        // As much as it may hold of the server's memory, and then little by little.
        stream.write_all(&vec![b' '; 256 << 10]).await?;
        loop {
            stream.write_all(b"  ").await?;
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}

async fn silent(address: SocketAddr) {
    again(async || {
        let mut stream = TcpStream::connect(address).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    })
    .await;
}

/// Asks for something and is not there for the answer.
async fn half_open(address: SocketAddr, number: usize) {
    again(async || {
        let mut stream = TcpStream::connect(address).await?;
        let body = r#"{"StreamName":"s"}"#;
        let request = head("DescribeStream", "json-1.1", body.len()) + body;
        stream.write_all(request.as_bytes()).await?;
        sleep(Duration::from_secs(20 + number as u64 % 20)).await;
        Ok(())
    })
    .await;
}

/// Oversized and deeply nested bodies, one after the other.
async fn bodies(address: SocketAddr) {
    let nested = [
        ("json-1.1", vec![b'['; 1 << 20]),
        ("json-1.1", b"{\"Records\":".repeat(100_000)),
        ("cbor-1.1", vec![0x81; 1 << 20]),
        ("cbor-1.1", vec![0x9f; 1 << 20]),
        ("json-1.1", vec![b' '; 17 << 20]),
    ];
    let mut turn = 0;
    loop {
        let (kind, body) = &nested[turn % nested.len()];
        turn += 1;
        let sent = async {
            let mut stream = TcpStream::connect(address).await?;
            let head = head("PutRecords", kind, body.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            stream.read(&mut [0; 1024]).await
        };
        drop(sent.await);
        sleep(Duration::from_millis(50)).await;
    }
}

async fn garbage(address: SocketAddr) {
    let mut random = fastrand::Rng::with_seed(7);
    loop {
        let mut bytes: Vec<u8> = (0..4096).map(|_| random.u8(..)).collect();
        if random.bool() {
            bytes.splice(..0, *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        }
        let sent = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&bytes).await
        };
        drop(sent.await);
        sleep(Duration::from_millis(20)).await;
    }
}
