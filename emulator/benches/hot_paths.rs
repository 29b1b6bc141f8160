//! The paths that every record takes, one by one: the log, the numbers, and whole requests through
//! `serve` without a socket. `cargo bench -p kinesis-emulator --features bench --bench hot_paths`.

use std::time::Duration;

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use http_body_util::Full;
use kinesis_emulator::hot::{HotLog, parse, render};
use kinesis_emulator::{Body, Service};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

#[divan::bench(args = [128, 1024, 65_536])]
fn append(bencher: Bencher<'_, '_>, size: usize) {
    let payload = Bytes::from(vec![7; size + 8]);
    let (mut log, mut time) = (HotLog::default(), 0);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        time += 1;
        // So that a long run does not fill the memory.
        if time % 100_000 == 0 {
            log = HotLog::default();
        }
        log.append(time, payload.clone(), 8)
    });
}

fn filled() -> HotLog {
    let mut log = HotLog::default();
    for time in 0..1_000_000 {
        log.append(time, Bytes::from_static(b"datakey"), 3);
    }
    log
}

#[divan::bench]
fn seek_among_a_million(bencher: Bencher<'_, '_>) {
    let (log, mut time) = (filled(), 0);
    bencher.bench_local(|| {
        time = (time + 7_919) % 1_000_000;
        log.seek(black_box(time))
    });
}

#[divan::bench]
fn read_handles_of_a_thousand(bencher: Bencher<'_, '_>) {
    let log = filled();
    let count = ItemsCount::new(1000_usize);
    bencher
        .counter(count)
        .bench_local(|| log.read(black_box(500_000), 1000));
}

#[divan::bench]
fn render_a_number(bencher: Bencher<'_, '_>) {
    let mut index = 0;
    bencher.bench_local(|| {
        index += 1;
        render(black_box(index))
    });
}

#[divan::bench]
fn parse_a_number(bencher: Bencher<'_, '_>) {
    let number = render(123_456);
    bencher.bench_local(|| parse(black_box(&number)));
}

/// A service with one stream and a way to call it.
struct Served {
    runtime: Runtime,
    service: Service,
}

impl Served {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime without threads or sockets starts");
        let served = Self {
            runtime,
            service: Service::default(),
        };
        served.call(
            "CreateStream",
            r#"{"StreamName":"s","ShardCount":1}"#.into(),
        );
        served
    }

    fn call(&self, operation: &str, body: Bytes) -> Bytes {
        let request = http::Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Full::new(body))
            .expect("the request is well-formed");
        let answer: http::Response<Body> = self.runtime.block_on(self.service.serve(request));
        assert_eq!(answer.status(), 200, "{operation}");
        answer.into_body().into_bytes()
    }
}

fn batch(count: usize, size: usize) -> Bytes {
    let data = base64_simd::STANDARD.encode_to_string(vec![7; size]);
    let record = |number: usize| format!(r#"{{"PartitionKey":"key-{number}","Data":"{data}"}}"#);
    let records: Vec<_> = (0..count).map(record).collect();
    format!(r#"{{"StreamName":"s","Records":[{}]}}"#, records.join(",")).into()
}

#[divan::bench]
fn put_record_of_128_bytes(bencher: Bencher<'_, '_>) {
    let served = Served::new();
    let data = base64_simd::STANDARD.encode_to_string(vec![7; 128]);
    let body = format!(r#"{{"StreamName":"s","PartitionKey":"key","Data":"{data}"}}"#);
    let body = Bytes::from(body);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        served.service.clock().advance(Duration::from_secs(1));
        served.call("PutRecord", body.clone())
    });
}

#[divan::bench]
fn put_records_500_of_1_kib(bencher: Bencher<'_, '_>) {
    let served = Served::new();
    let body = batch(500, 1024);
    bencher
        .counter(BytesCount::new(500 * 1024_usize))
        .bench_local(|| {
            // Retention trims what a long run would pile up.
            served.service.clock().advance(Duration::from_secs(600));
            served.call("PutRecords", body.clone())
        });
}

#[divan::bench]
fn get_records_1000_of_1_kib(bencher: Bencher<'_, '_>) {
    let served = Served::new();
    for _ in 0..2 {
        served.call("PutRecords", batch(500, 1024));
    }
    let ask = r#"{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}"#;
    let reply = served.call("GetShardIterator", ask.into());
    let reply = std::str::from_utf8(&reply).expect("a reply is text");
    let iterator = reply.split('"').nth(3).expect("a reply has an iterator");
    let body = Bytes::from(format!(r#"{{"ShardIterator":"{iterator}","Limit":1000}}"#));
    let bytes = BytesCount::new(1000 * 1024_usize);
    bencher
        .counter(bytes)
        .bench_local(|| served.call("GetRecords", body.clone()));
}
