//! A Lambda function in process beside a plain processor: the same records from an emulator in a process of its own, 256 B
//! each, four shards, both doing nothing with them. In turn, so that whatever else the machine does falls on both.

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
use tests::fleet::{EmulatorProcess, preload};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio::time::Instant;

const RECORDS: usize = 500_000;
const SHARDS: i32 = 4;
const ROUNDS: usize = 15;
const TO_REACH: f64 = 0.8;

/// Records in a batch of the function, at most: Lambda's default, one between, and Lambda's maximum, of which 6 MiB of
/// JSON hold about three quarters: events of 7 MB, which no cache holds. The processor is handed what an answer of the
/// service has.
const BATCHES: [usize; 3] = [100, 1_000, 10_000];

/// The argument of the process that is the emulator.
const SERVE: &str = "--serve";

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

/// Measures both, and fails if the function is too slow beside the processor.
pub async fn measure(allocator: &str) -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    if std::env::args().any(|argument| argument == SERVE) {
        return serve().await;
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SERVE);
    let emulator = EmulatorProcess::spawn(command).await?;
    let client = Client::new(&emulator.sdk_config());
    let create = client.create_stream().stream_name("orders");
    create.shard_count(SHARDS).send().await?;
    preload(&client, "orders", RECORDS, 256).await?;

    println!("both with {allocator}");
    let mut is_reached = true;
    for batch in BATCHES {
        is_reached &= compare(&emulator, batch).await? >= TO_REACH;
    }
    if !is_reached {
        return Err("a function in process is too slow beside a processor".into());
    }
    Ok(())
}

/// What the other process does.
async fn serve() -> Result<(), Failure> {
    let emulator = Emulator::start().await?;
    println!("listening on {}", emulator.endpoint());
    std::future::pending().await
}

/// The median of what the function reaches of the processor's records a second.
async fn compare(emulator: &EmulatorProcess, batch: usize) -> Result<f64, Failure> {
    let with_lambda = |builder, counter| with_lambda(builder, counter, batch);
    let mut all = Vec::new();
    for round in 0..=ROUNDS {
        // Now this one first, now that.
        let (plain, lambda) = if round % 2 == 0 {
            let plain = run(emulator, with_processor).await?;
            (plain, run(emulator, with_lambda).await?)
        } else {
            let lambda = run(emulator, with_lambda).await?;
            (run(emulator, with_processor).await?, lambda)
        };
        // The first round warms up.
        if round > 0 {
            all.push((lambda / plain, plain, lambda));
        }
    }
    all.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let (median, plain, lambda) = all[ROUNDS / 2];
    println!(
        "batches of {batch}: processor {plain:.0} records/s, KinesisEvent in process {lambda:.0}: {median:.2} ({:.2} to \
         {:.2}), to reach {TO_REACH}",
        all[0].0,
        all[ROUNDS - 1].0
    );
    Ok(median)
}

async fn run(
    emulator: &EmulatorProcess,
    door: impl Fn(WorkerBuilder, Counter) -> WorkerBuilder,
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

fn with_lambda(builder: WorkerBuilder, counter: Counter, batch: usize) -> WorkerBuilder {
    let source = EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders");
    let source = source.expect("it is an ARN");
    let settings = MappingSettings {
        batch_size: batch,
        ..MappingSettings::default()
    };
    let mapping =
        Mapping::new(source, FunctionSettings::in_process("bench")).with_settings(settings);
    let function = service_fn(move |event: LambdaEvent<KinesisEvent>| {
        let counter = counter.clone();
        async move {
            counter.add(std::hint::black_box(&event.payload.records).len());
            Ok::<_, lambda_runtime::Error>(())
        }
    });
    builder.with_lambda(mapping, function)
}
