//! Clients that are slow, greedy, lost or hostile, and what they cost the others: nothing.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::{Bounds, Emulator, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(20);
const LIST: &str = "POST / HTTP/1.1\r\nhost: localhost\r\n\
    content-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.ListStreams\r\n\
    content-length: 2\r\n\r\n{}";

/// Small, so that tests need not wait.
fn bounds() -> Bounds {
    Bounds {
        first_byte: Duration::from_millis(300),
        head: Duration::from_millis(200),
        body_pause: Duration::from_millis(200),
        body_total: Duration::from_millis(800),
        idle: Duration::from_millis(400),
        write_pause: Duration::from_millis(500),
        ..Bounds::default()
    }
}

async fn start(bounds: Bounds) -> Emulator {
    Emulator::builder().bounds(bounds).start().await.unwrap()
}

async fn open(emulator: &Emulator, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// All that still comes before the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut all)).await;
    // A reset is as good an end as any.
    drop(read.expect("the server does not close the connection"));
    String::from_utf8_lossy(&all).into_owned()
}

/// The head of the next answer, with as much of its body as comes along.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 64 << 10];
    let read = timeout(LONG, stream.read(&mut bytes)).await;
    let length = read.expect("the server does not answer").unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

async fn is_well(emulator: &Emulator) {
    let mut good = open(emulator, LIST.as_bytes()).await;
    assert!(answer(&mut good).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn who_says_nothing_or_does_not_end_his_head_is_cut() {
    let emulator = start(bounds()).await;
    let mut silent = open(&emulator, b"").await;
    let mut slow = open(&emulator, b"POST / HTTP/1.1\r\nx-").await;
    let mut dripping = open(&emulator, b"POST / HTTP/1.1\r\n").await;
    let drip = async {
        // A byte now and then does not prolong it.
        let started = Instant::now();
        while dripping.write_all(b"x").await.is_ok() && started.elapsed() < LONG {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(5));
    };
    tokio::join!(rest(&mut silent), rest(&mut slow), drip);
    is_well(&emulator).await;
}

#[tokio::test]
async fn a_body_that_stands_still_gets_an_answer_and_an_end() {
    let emulator = start(bounds()).await;
    let head = LIST.replace("length: 2", "length: 100");
    let mut stream = open(&emulator, head.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 408 Request Timeout"),
        "{answer}"
    );
    assert!(
        answer.contains(r#""__type":"RequestTimeoutException""#),
        "{answer}"
    );
    is_well(&emulator).await;
}

#[tokio::test]
async fn a_slow_body_that_gets_on_is_served_and_one_without_end_is_not() {
    let emulator = start(bounds()).await;
    let head = LIST.replace("length: 2\r\n\r\n{}", "length: 6\r\n\r\n");
    let mut slow = open(&emulator, head.as_bytes()).await;
    for byte in b"{    }" {
        tokio::time::sleep(Duration::from_millis(60)).await;
        slow.write_all(&[*byte]).await.unwrap();
    }
    assert!(answer(&mut slow).await.starts_with("HTTP/1.1 200 OK"));
    let mut endless = open(
        &emulator,
        head.replace("length: 6", "length: 999").as_bytes(),
    )
    .await;
    let started = Instant::now();
    while endless.write_all(b" ").await.is_ok() && started.elapsed() < LONG {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_a_while_and_then_closed() {
    let emulator = start(bounds()).await;
    let mut stream = open(&emulator, LIST.as_bytes()).await;
    assert!(answer(&mut stream).await.contains("200 OK"));
    tokio::time::sleep(Duration::from_millis(250)).await;
    stream.write_all(LIST.as_bytes()).await.unwrap();
    assert!(
        answer(&mut stream).await.contains("200 OK"),
        "longer than a head may take"
    );
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn connections_over_the_cap_cost_the_idle_ones_and_not_the_new_one() {
    let bounds = Bounds {
        connections: 10,
        ..Bounds::default()
    };
    let emulator = start(bounds).await;
    let mut kept = open(&emulator, LIST.as_bytes()).await;
    assert!(answer(&mut kept).await.contains("200 OK"));
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(open(&emulator, b"P").await);
    }
    is_well(&emulator).await;
    let closed = rest(&mut silent[0]).await;
    assert_eq!(closed, "", "the oldest silent one made room");
    kept.write_all(LIST.as_bytes()).await.unwrap();
    assert!(
        answer(&mut kept).await.contains("200 OK"),
        "who had asked was spared"
    );
}

#[tokio::test]
async fn parts_of_bodies_do_not_take_all_memory() {
    let bounds = Bounds {
        memory: 4 << 20,
        ..Bounds::default()
    };
    let emulator = start(bounds).await;
    let head = LIST.replace("length: 2\r\n\r\n{}", "length: 2000000\r\n\r\n");
    let mut hoarders = Vec::new();
    for _ in 0..8 {
        let mut stream = open(&emulator, head.as_bytes()).await;
        stream.write_all(&vec![b' '; 1 << 20]).await.unwrap();
        hoarders.push(stream);
    }
    let answer = rest(&mut hoarders[0]).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Unavailable"),
        "{answer}"
    );
    is_well(&emulator).await;
}

#[tokio::test]
async fn who_waits_for_a_continue_gets_one() {
    let emulator = start(bounds()).await;
    let head = LIST.replace("\r\n\r\n{}", "\r\nexpect: 100-continue\r\n\r\n");
    let mut stream = open(&emulator, head.as_bytes()).await;
    assert!(
        answer(&mut stream)
            .await
            .starts_with("HTTP/1.1 100 Continue")
    );
    stream.write_all(b"{}").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut() {
    let emulator = start(bounds()).await;
    let client = aws_sdk_kinesis::Client::new(&emulator.sdk_config());
    let create = client.create_stream().stream_name("s").shard_count(1);
    create.send().await.unwrap();
    for _ in 0..10 {
        let data = aws_sdk_kinesis::primitives::Blob::new(vec![0; 1_000_000]);
        let put = client.put_record().stream_name("s").partition_key("k");
        put.data(data).send().await.unwrap();
    }
    let iterator = client.get_shard_iterator().stream_name("s");
    let iterator = iterator
        .shard_id("shardId-000000000000")
        .shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
    let body = format!("{{\"ShardIterator\":\"{iterator}\"}}");
    let length = format!("length: {}\r\n\r\n{body}", body.len());
    let request = LIST
        .replace("ListStreams", "GetRecords")
        .replace("length: 2\r\n\r\n{}", &length);
    let socket = TcpSocket::new_v4().unwrap();
    // Or else the kernel takes the whole answer in.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(emulator.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    timeout(LONG, stream.readable()).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let got = rest(&mut stream).await;
    assert!(got.starts_with("HTTP/1.1 200 OK"));
    assert!(
        got.len() < 13_000_000,
        "the rest was given up: {}",
        got.len()
    );
    is_well(&emulator).await;
}

async fn status(body: Vec<u8>, kind: &str) -> u16 {
    let request = http::Request::post("/")
        .header("content-type", kind)
        .header("x-amz-target", "Kinesis_20131202.PutRecords")
        .body(Full::new(Bytes::from(body)));
    let answer = Service::default().serve(request.unwrap()).await;
    answer.status().as_u16()
}

#[tokio::test]
async fn nested_and_broken_bodies_are_refused_and_no_crash() {
    let (json, cbor) = ("application/x-amz-json-1.1", "application/x-amz-cbor-1.1");
    let deep = 2_000_000;
    for (kind, body) in [
        (json, vec![b'['; deep]),
        (json, b"{\"a\":".repeat(deep / 5)),
        (
            json,
            [b"{\"Records\":".as_slice(), &vec![b'['; deep]].concat(),
        ),
        (json, vec![b'"'; 3]),
        (json, vec![0xff; 1000]),
        (cbor, vec![0x81; deep]),
        (cbor, vec![0x9f; deep]),
        (cbor, b"\xa1\x61a".repeat(deep / 3)),
        (cbor, vec![0xc1; deep]),
        (cbor, b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        (
            cbor,
            b"\xa1\x67Records\x5b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        (cbor, vec![0xff; 1000]),
    ] {
        let start = body.get(..4).unwrap_or_default().to_vec();
        assert_eq!(status(body, kind).await, 400, "{kind} {start:?}");
    }
}

#[tokio::test]
async fn garbage_on_the_socket_harms_nobody() {
    let emulator = start(bounds()).await;
    let mut random = fastrand::Rng::with_seed(5);
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend((0..2000).map(|_| random.u8(..)));
    let mut streams = vec![open(&emulator, &preface).await];
    for length in [1, 10, 1000, 100_000] {
        let garbage: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
        // The server may have closed before all of it is sent.
        drop(stream.write_all(&garbage).await);
        streams.push(stream);
    }
    for line in ["\r\n\r\n\r\n", "GET\r\n", "POST / HTTP/9.9\r\n\r\n"] {
        streams.push(open(&emulator, line.as_bytes()).await);
    }
    let long = format!("POST / HTTP/1.1\r\nx-long: {}", "x".repeat(300_000));
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    drop(stream.write_all(long.as_bytes()).await);
    streams.push(stream);
    for mut stream in streams {
        rest(&mut stream).await;
    }
    is_well(&emulator).await;
}

#[tokio::test]
async fn other_hosts_and_other_sites_are_refused_before_anything_else() {
    let builder = Emulator::builder().allow_hosts(["app.test".to_owned()]);
    let emulator = builder.start().await.unwrap();
    for (host, more, expected) in [
        ("localhost", "", "200 OK"),
        ("app.test:80", "", "200 OK"),
        ("evil.test", "", "403 Forbidden"),
        ("localhost", "origin: http://localhost:3000\r\n", "200 OK"),
        ("localhost", "origin: https://app.test\r\n", "200 OK"),
        ("localhost", "origin: http://evil.test\r\n", "403 Forbidden"),
        (
            "localhost",
            "sec-fetch-site: cross-site\r\n",
            "403 Forbidden",
        ),
    ] {
        let named = format!("host: {host}\r\n{more}");
        for request in [
            LIST.replace("host: localhost\r\n", &named),
            format!("GET /_emulator/clock HTTP/1.1\r\n{named}\r\n"),
        ] {
            let mut stream = open(&emulator, request.as_bytes()).await;
            let answer = answer(&mut stream).await;
            assert!(answer.contains(expected), "{request}: {answer}");
        }
    }
}
