//! What the doors cost, and what lanes bring, over a source in memory: the worker, its shard's task, settlement and
//! checkpoints, without a network.
//!
//! * Lanes: a handler that waits 5 ms for each record, one shard, 16 lanes against one. To reach: 12 times.
//! * Doors: records that are done at once, through a processor, a handler of batches, a stream and a closure. Only
//!   printed; what a network brings is an order of magnitude below.
//!
//! `cargo bench -p kcl-core --bench doors --features testing`

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::time::Duration;

use futures::StreamExt as _;
use kcl_core::contract::{FixedOwnership, ScriptedSource};
use kcl_core::*;
use tokio::time::{Instant, sleep};

const ROUNDS: usize = 5;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let ratio = lanes().await?;
    doors().await?;
    if ratio < 12.0 {
        return Err("16 lanes bring less than 12 times one".into());
    }
    Ok(())
}

/// A shard with so many records of 256 B and many keys, which is closed.
fn source(records: usize, batch_max: usize) -> ScriptedSource {
    let source = ScriptedSource::new().with_batch_max(batch_max);
    let payload = [7; 256];
    source.put_keyed(
        "s",
        (0..records).map(|at| (format!("key-{}", at % 1_000), payload)),
    );
    source.close("s", &[]);
    source
}

fn builder(source: ScriptedSource, lanes: usize) -> WorkerBuilder {
    let mut settings = Settings::default();
    settings.handler.lanes = lanes;
    Worker::builder("bench", "stream")
        .with_source(source)
        .with_ownership(FixedOwnership::new(["s"]))
        .with_settings(settings)
}

async fn run(worker: WorkerBuilder, expected: usize) -> Outcome<Duration> {
    let worker = worker.build()?;
    let started = Instant::now();
    let report = worker.run(std::future::pending()).await?;
    assert_eq!((report.finished, report.records), (1, expected as u64));
    Ok(started.elapsed())
}

async fn slow(lanes: usize, records: usize) -> Outcome<f64> {
    let worker = builder(source(records, 1_000), lanes);
    let worker = worker.with_record_handler(|_: Record, _: HandlerContext| async {
        sleep(Duration::from_millis(5)).await;
        Ok(())
    });
    Ok(records as f64 / run(worker, records).await?.as_secs_f64())
}

async fn lanes() -> Outcome<f64> {
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (one, many) = (slow(1, 200).await?, slow(16, 3_200).await?);
        println!("5 ms for each record: one lane {one:.0} records/s, 16 lanes {many:.0} records/s");
        ratios.push(many / one);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    println!(
        "16 lanes to one: median {median:.1} (least {:.1}), to reach 12",
        ratios[0]
    );
    Ok(median)
}

struct Count;

#[async_trait]
impl RecordProcessor for Count {
    async fn process_records(
        &mut self,
        _: &ShardContext,
        batch: &Batch,
        _: &Checkpointer,
    ) -> ProcessorResult {
        std::hint::black_box(&batch.records);
        Ok(())
    }
}

async fn door(name: &str, lanes: usize, records: usize) -> Outcome<Duration> {
    let builder = builder(source(records, 10_000), lanes);
    match name {
        "processor" => run(builder.with_processor(|_: &ShardContext| Count), records).await,
        "batch handler" => {
            let handler = |batch: HandlerBatch| async move {
                std::hint::black_box(batch.records());
                Ok(())
            };
            run(builder.with_batch_handler(handler), records).await
        }
        "record handler" => {
            let handler = |record: Record, _: HandlerContext| async move {
                std::hint::black_box(&record);
                Ok(())
            };
            run(builder.with_record_handler(handler), records).await
        }
        _ => {
            let (builder, mut batches) = builder.with_batch_stream();
            let reader = async {
                while let Some(batch) = batches.next().await {
                    std::hint::black_box(batch.records());
                    batch.ack()?;
                }
                Ok::<_, Error>(())
            };
            let (took, read) = tokio::join!(run(builder, records), reader);
            read?;
            took
        }
    }
}

async fn doors() -> Outcome<()> {
    let records = 500_000;
    let doors = [
        ("processor", 1),
        ("batch handler", 1),
        ("batch handler", 16),
        ("stream", 1),
        ("record handler", 1),
        ("record handler", 16),
    ];
    // In turn, so that whatever else the machine does falls on all of them; the first round warms up.
    let mut rates = vec![Vec::new(); doors.len()];
    for round in 0..=ROUNDS {
        for ((name, lanes), rates) in doors.into_iter().zip(&mut rates) {
            let took = door(name, lanes, records).await?;
            if round > 0 {
                rates.push(records as f64 / took.as_secs_f64());
            }
        }
    }
    let plain = rates[0].clone();
    for ((name, lanes), rates) in doors.into_iter().zip(rates) {
        let ratios = rates.iter().zip(&plain).map(|(rate, plain)| rate / plain);
        let (rate, ratio) = (median(rates.clone()), median(ratios.collect()));
        println!("{name}, {lanes} lanes: {rate:.0} records/s, {ratio:.2} of a processor");
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
