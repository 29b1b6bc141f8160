//! The contract of the binary: its one line, its port, its end.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(20);

struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

async fn start(arguments: &[&str]) -> Started {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kinesis-emulator"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(LONG, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let address = line
        .strip_prefix("listening on http://")
        .expect(&line)
        .to_owned();
    Started {
        child,
        lines,
        address,
    }
}

async fn ask(address: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.1\r\n\
                   x-amz-target: Kinesis_20131202.ListStreams\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(LONG, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    (
        stream,
        String::from_utf8_lossy(&answer[..length]).into_owned(),
    )
}

async fn ends_within_a_second_with_0(signal: &str) {
    let mut started = start(&["--port", "0"]).await;
    // Three open connections: silent, used once, and in the middle of a request.
    let silent = TcpStream::connect(&started.address).await.unwrap();
    let (used, answer) = ask(&started.address).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let mut halfway = TcpStream::connect(&started.address).await.unwrap();
    halfway
        .write_all(b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc")
        .await
        .unwrap();
    let pid = started.child.id().unwrap().to_string();
    let sent = Instant::now();
    assert!(
        Command::new("kill")
            .args([signal, &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let status = timeout(LONG, started.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(
        sent.elapsed() < Duration::from_secs(1),
        "{:?}",
        sent.elapsed()
    );
    assert_eq!(
        started.lines.next_line().await.unwrap(),
        None,
        "one line and no more"
    );
    drop((silent, used, halfway));
}

#[tokio::test]
async fn sigterm_ends_it_within_a_second_with_0() {
    ends_within_a_second_with_0("-TERM").await;
}

#[tokio::test]
async fn sigint_ends_it_within_a_second_with_0() {
    ends_within_a_second_with_0("-INT").await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_one_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_kinesis-emulator"))
        .args(["--port", &port])
        .env_remove("RUST_LOG")
        .output();
    let output = timeout(LONG, output).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{text}"
    );
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_on_one_port() {
    let started = start(&["--host", "127.0.0.1", "--port", "0"]).await;
    assert!(ask(&started.address).await.1.starts_with("HTTP/1.1 200 OK"));
    let mut stream = TcpStream::connect(&started.address).await.unwrap();
    // The preface and an empty SETTINGS frame: HTTP/2 by prior knowledge.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let mut frame = [0; 9];
    timeout(LONG, stream.read_exact(&mut frame))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(frame[3], 4, "the first frame back is SETTINGS: {frame:?}");
}

/// What a start that fails says, in one line.
async fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kinesis-emulator"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .output();
    let output = timeout(LONG, output).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "nothing is announced");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn another_address_is_refused_without_signatures() {
    let text = refused(&["--host", "0.0.0.0", "--port", "0"]).await;
    assert!(text.contains("add --auth sigv4"), "{text}");
}

#[tokio::test]
async fn what_is_named_for_the_start_is_there_when_the_port_is_announced() {
    let name = format!("kinesis-emulator-{:x}.toml", fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    let path = path.to_str().unwrap();
    std::fs::write(
        path,
        "[[stream]]\nStreamName = \"orders\"\nShardCount = 1\n",
    )
    .unwrap();
    let started = start(&["--port", "0", "--init", path, "--delay-create", "1h"]).await;
    let (_stream, answer) = ask(&started.address).await;
    assert!(answer.contains(r#""StreamStatus":"ACTIVE""#), "{answer}");
    std::fs::write(path, "[[stream]]\nStreamName = \"?\"\n").unwrap();
    let text = refused(&["--port", "0", "--init", path]).await;
    std::fs::remove_file(path).unwrap();
    assert!(text.contains("stream 1 (?): ValidationException"), "{text}");
}

#[tokio::test]
async fn open_subscriptions_do_not_hold_up_the_end() {
    let mut started = start(&["--port", "0"]).await;
    let stream = r#"{"StreamName":"s","ShardCount":1}"#;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let consumer = format!(r#"{{"StreamARN":"{arn}","ConsumerName":"c"}}"#);
    call(&started.address, "CreateStream", stream).await;
    let (_, answer) = call(&started.address, "RegisterStreamConsumer", &consumer).await;
    let (_, arn) = answer.split_once(r#""ConsumerARN":""#).unwrap();
    let arn = arn.split('"').next().unwrap();
    let subscribe = format!(
        r#"{{"ConsumerARN":"{arn}","ShardId":"shardId-000000000000","StartingPosition":{{"Type":"LATEST"}}}}"#
    );
    let (_open, answer) = call(&started.address, "SubscribeToShard", &subscribe).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let pid = started.child.id().unwrap().to_string();
    let sent = Instant::now();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(killed.unwrap().success());
    let status = timeout(LONG, started.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(
        sent.elapsed() < Duration::from_secs(1),
        "{:?}",
        sent.elapsed()
    );
}

async fn call(address: &str, operation: &str, body: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{operation}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = timeout(LONG, stream.read(&mut answer)).await;
    let length = read.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    (stream, answer)
}
