//! One worker against a bare `GetRecords` loop over the same data, in one run.
//!
//! The emulator is a process of its own. The bare loop is the fastest that the SDK allows without a
//! framework: one task per shard, each asking for the next page as soon as it has the last, and
//! counting the records. The worker does all that a worker does: joins, takes leases, reads ahead,
//! calls the processor and checkpoints. Both are timed from nothing to the last record, in turn.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use kcl_core::{
    Batch, Checkpointer, Polling, ProcessorResult, RecordProcessor, ShardContext, Worker,
};
use kcl_lease::DynamoLeases;
use tests::fleet::{EmulatorProcess, binaries, preload};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

type Error = Box<dyn std::error::Error + Send + Sync>;

const SHARDS: i32 = 4;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Error> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let folder = binaries().await?;
    let mut good = true;
    for (count, bytes) in [(500_000, 256), (50_000, 4096)] {
        good &= compare(&folder, count, bytes).await?;
    }
    if good {
        Ok(())
    } else {
        Err("below 0.8 of the bare loop".into())
    }
}

async fn compare(binaries: &Path, count: usize, bytes: usize) -> Result<bool, Error> {
    let emulator = EmulatorProcess::start(binaries).await?;
    let client = Client::new(&emulator.sdk_config());
    client
        .create_stream()
        .stream_name("bench")
        .shard_count(SHARDS)
        .send()
        .await?;
    preload(&client, "bench", count, bytes).await?;
    let (mut bare, mut worker, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let a = bare_loop(&client, count).await?;
        let b = one_worker(&emulator, count, round).await?;
        // The first round warms up both.
        if round > 0 {
            bare.push(a);
            worker.push(b);
            ratios.push(a.as_secs_f64() / b.as_secs_f64());
        }
    }
    let per_second = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        count as f64 / times[times.len() / 2].as_secs_f64()
    };
    ratios.sort_unstable_by(f64::total_cmp);
    println!(
        "{count} records of {bytes} B: bare loop {:.0} records/s, worker {:.0} records/s; \
         ratio median {:.2} (min {:.2}, max {:.2}), to reach 0.80",
        per_second(&mut bare),
        per_second(&mut worker),
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
    );
    Ok(ratios[ratios.len() / 2] >= 0.8)
}

async fn bare_loop(client: &Client, expected: usize) -> Result<Duration, Error> {
    let started = Instant::now();
    let shards = client.list_shards().stream_name("bench").send().await?;
    let total = Arc::new(AtomicUsize::new(0));
    let mut tasks: JoinSet<Result<(), Error>> = JoinSet::new();
    for shard in shards.shards() {
        let (client, shard, total) = (client.clone(), shard.shard_id().to_owned(), total.clone());
        tasks.spawn(async move {
            let reply = client
                .get_shard_iterator()
                .stream_name("bench")
                .shard_id(shard)
                .shard_iterator_type(ShardIteratorType::TrimHorizon)
                .send()
                .await?;
            let mut iterator = reply.shard_iterator;
            while total.load(Ordering::Relaxed) < expected {
                let page = client
                    .get_records()
                    .set_shard_iterator(iterator)
                    .send()
                    .await?;
                total.fetch_add(page.records().len(), Ordering::Relaxed);
                iterator = page.next_shard_iterator;
                if page.millis_behind_latest == Some(0) {
                    break;
                }
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    assert_eq!(
        total.load(Ordering::Relaxed),
        expected,
        "the bare loop read something else"
    );
    Ok(started.elapsed())
}

struct Count {
    left: Arc<AtomicUsize>,
    done: Arc<Notify>,
}

#[async_trait]
impl RecordProcessor for Count {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        if self.left.fetch_sub(batch.records.len(), Ordering::Relaxed) == batch.records.len() {
            self.done.notify_one();
        }
        Ok(())
    }
}

async fn one_worker(
    emulator: &EmulatorProcess,
    expected: usize,
    round: usize,
) -> Result<Duration, Error> {
    let started = Instant::now();
    let config = emulator.sdk_config();
    let (left, done) = (
        Arc::new(AtomicUsize::new(expected)),
        Arc::new(Notify::new()),
    );
    let (seen, signal) = (left.clone(), done.clone());
    let worker = Worker::builder(format!("bench-{round}"), "bench")
        .with_source(Polling::new(&config))
        .with_ownership(DynamoLeases::new(&config))
        .with_processor(move |_: &ShardContext| Count {
            left: seen.clone(),
            done: signal.clone(),
        })
        .build()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut running = JoinSet::new();
    running.spawn(worker.run(async move {
        // A dropped sender is a stop as well.
        drop(stopped.await);
    }));
    done.notified().await;
    let took = started.elapsed();
    drop(stop);
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    assert_eq!(
        left.load(Ordering::Relaxed),
        0,
        "the worker read something else"
    );
    Ok(took)
}
