//! A Lambda function in process beside a plain processor: the same records from the emulator over HTTP, 256 B each, four
//! shards, both doing nothing with them. In turn, so that whatever else the machine does falls on both. To reach: 0.8.
//!
//! `cargo bench -p tests --bench lambda`

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_sdk_kinesis::Client;
use kcl_core::contract::FixedOwnership;
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::runtime_api::FunctionSettings;
use kcl_core::{
    Batch, Checkpointer, PollSettings, Polling, ProcessorResult, RecordProcessor, ShardContext,
    Worker, WorkerBuilder,
};
use kinesis_emulator::Emulator;
use lambda_runtime::{LambdaEvent, service_fn};
use tests::fleet::preload;
use tokio::sync::Notify;
use tokio::time::Instant;

const RECORDS: usize = 200_000;
const SHARDS: i32 = 4;
const ROUNDS: usize = 5;
const TO_REACH: f64 = 0.8;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Counts records, and says when all have come.
#[derive(Clone, Default)]
struct Counter(Arc<(AtomicUsize, Notify)>);

impl Counter {
    fn add(&self, records: usize) {
        if self.0.0.fetch_add(records, Ordering::Relaxed) + records >= RECORDS {
            self.0.1.notify_one();
        }
    }
}

struct Plain(Counter);

#[async_trait]
impl RecordProcessor for Plain {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        self.0.add(std::hint::black_box(&batch.records).len());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let emulator = Emulator::start().await?;
    let client = Client::new(&emulator.sdk_config());
    let create = client.create_stream().stream_name("orders");
    create.shard_count(SHARDS).send().await?;
    preload(&client, "orders", RECORDS, 256).await?;

    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let plain = run(&emulator, with_processor).await?;
        let lambda = run(&emulator, with_lambda).await?;
        // The first round warms up.
        if round > 0 {
            println!(
                "processor {plain:.0} records/s, KinesisEvent in process {lambda:.0} records/s: {:.2}",
                lambda / plain
            );
            ratios.push(lambda / plain);
        }
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    println!(
        "median {median:.2} (least {:.2}), to reach {TO_REACH}",
        ratios[0]
    );
    if median < TO_REACH {
        return Err("a function in process is too slow beside a processor".into());
    }
    Ok(())
}

async fn run(
    emulator: &Emulator,
    door: fn(WorkerBuilder, Counter) -> WorkerBuilder,
) -> Result<f64, Failure> {
    let counter = Counter::default();
    let polling = Polling::new(&emulator.sdk_config()).with_settings(PollSettings {
        calls_per_second: 1_000,
        calls_burst: 1_000,
        ..PollSettings::default()
    });
    let shards = (0..SHARDS).map(|at| format!("shardId-{at:012}"));
    let builder = Worker::builder("bench", "orders")
        .with_source(polling)
        .with_ownership(FixedOwnership::new(shards.map(kcl_core::ShardId::new)));
    let worker = door(builder, counter.clone()).build()?;
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let all = async {
        counter.0.1.notified().await;
        took = began.elapsed();
    };
    worker.run(all).await?;
    Ok(RECORDS as f64 / took.as_secs_f64())
}

fn with_processor(builder: WorkerBuilder, counter: Counter) -> WorkerBuilder {
    builder.with_processor(move |_: &ShardContext| Plain(counter.clone()))
}

fn with_lambda(builder: WorkerBuilder, counter: Counter) -> WorkerBuilder {
    let source = EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders");
    let source = source.expect("it is an ARN");
    let settings = MappingSettings {
        batch_size: 10_000,
        ..MappingSettings::default()
    };
    let mapping =
        Mapping::new(source, FunctionSettings::in_process("bench")).with_settings(settings);
    let function = service_fn(move |event: LambdaEvent<KinesisEvent>| {
        counter.add(std::hint::black_box(&event.payload.records).len());
        std::future::ready(Ok::<_, lambda_runtime::Error>(()))
    });
    builder.with_lambda(mapping, function)
}
