//! One worker that reads by fan-out against a bare loop of subscriptions over the same data, in one run; and
//! what a worker of 200 shards weighs.
//!
//! The emulator is a process of its own. The bare loop is the fastest that the SDK allows without a
//! framework: one task per shard, each counting the records of its subscription. The worker does all that a
//! worker does. Both are timed from nothing to the last record, in turn, each time with a consumer of
//! their own: the service keeps a shard from the same one for five seconds.
//!
//! The memory is that of a worker's process alone, all of it, at its highest: while 200 subscriptions bring
//! 1,000 records a second, and while each of them catches up with a backlog.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{
    ShardIteratorType, StartingPosition, SubscribeToShardEventStream as Pushes,
};
use aws_types::SdkConfig;
use aws_types::region::Region;
use kcl_core::{Batch, Checkpointer, ProcessorResult, RecordProcessor, ShardContext, Worker};
use kcl_efo::{Consumer, ConsumerSettings, FanOut};
use kcl_lease::DynamoLeases;
use tests::fleet::{EmulatorProcess, Producer, binaries, preload};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

type Error = Box<dyn std::error::Error + Send + Sync>;

const SHARDS: i32 = 4;
const ROUNDS: usize = 5;
const MANY_SHARDS: i32 = 200;
const MEMORY_MAX: usize = 200 << 20;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["--hold", endpoint, count] => return hold(endpoint, count.parse()?).await,
        arguments if arguments.contains(&"--test") => return Ok(()),
        _ => {}
    }
    let folder = binaries().await?;
    let mut good = true;
    for (count, bytes) in [(500_000, 256), (50_000, 4096)] {
        good &= compare(&folder, count, bytes).await?;
    }
    good &= weigh(&folder, Load::Live).await?;
    good &= weigh(&folder, Load::Backlog).await?;
    if good {
        Ok(())
    } else {
        Err("a figure was missed".into())
    }
}

async fn compare(binaries: &Path, count: usize, bytes: usize) -> Result<bool, Error> {
    let emulator = EmulatorProcess::start(binaries).await?;
    let client = Client::new(&emulator.sdk_config());
    make(&client, SHARDS).await?;
    preload(&client, "bench", count, bytes).await?;
    let (mut bare, mut worker, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let a = bare_loop(&client, count, round).await?;
        let b = one_worker(&emulator.sdk_config(), count, round).await?;
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
        "{count} records of {bytes} B: bare subscriptions {:.0} records/s, worker {:.0} records/s; \
         ratio median {:.2} (min {:.2}, max {:.2}), to reach 0.80",
        per_second(&mut bare),
        per_second(&mut worker),
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
    );
    Ok(ratios[ratios.len() / 2] >= 0.8)
}

async fn make(client: &Client, shards: i32) -> Result<(), Error> {
    client
        .create_stream()
        .stream_name("bench")
        .shard_count(shards)
        .send()
        .await?;
    Ok(())
}

async fn bare_loop(client: &Client, expected: usize, round: usize) -> Result<Duration, Error> {
    let started = Instant::now();
    let consumer = Consumer::named("bench", format!("bare-{round}"));
    let consumer = consumer.ready(client, &ConsumerSettings::default()).await?;
    let shards = client.list_shards().stream_name("bench").send().await?;
    let total = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(Notify::new());
    let mut tasks: JoinSet<Result<(), Error>> = JoinSet::new();
    for shard in shards.shards() {
        let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
        let call = client
            .subscribe_to_shard()
            .consumer_arn(consumer.arn())
            .shard_id(shard.shard_id())
            .starting_position(position.build()?);
        let (total, done) = (total.clone(), done.clone());
        tasks.spawn(async move {
            let mut events = call.send().await?.event_stream;
            while let Some(event) = events.recv().await? {
                let Pushes::SubscribeToShardEvent(event) = event else {
                    return Err("an event of an unknown type".into());
                };
                let count = event.records.len();
                if total.fetch_add(count, Ordering::Relaxed) + count == expected {
                    done.notify_one();
                }
            }
            Ok(())
        });
    }
    timeout(Duration::from_secs(120), done.notified()).await?;
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
        let count = batch.records.len();
        if count > 0 && self.left.fetch_sub(count, Ordering::Relaxed) == count {
            self.done.notify_one();
        }
        Ok(())
    }
}

async fn one_worker(config: &SdkConfig, expected: usize, round: usize) -> Result<Duration, Error> {
    let started = Instant::now();
    let left = Arc::new(AtomicUsize::new(expected));
    let done = Arc::new(Notify::new());
    let name = format!("bench-{round}");
    let worker = worker(config, &name, (left.clone(), done.clone()))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = JoinSet::new();
    running.spawn(worker.run(async move {
        // A dropped sender is a stop as well.
        drop(stopped.await);
    }));
    timeout(Duration::from_secs(120), done.notified()).await?;
    let took = started.elapsed();
    drop(stop);
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(took)
}

fn worker(
    config: &SdkConfig,
    name: &str,
    (left, done): (Arc<AtomicUsize>, Arc<Notify>),
) -> Result<Worker, Error> {
    Ok(Worker::builder(name, "bench")
        .with_source(FanOut::new(config, name))
        .with_ownership(DynamoLeases::new(config))
        .with_processor(move |_: &ShardContext| Count {
            left: left.clone(),
            done: done.clone(),
        })
        .build()?)
}

#[derive(Clone, Copy)]
enum Load {
    /// 1,000 records of 100 bytes a second.
    Live,
    /// 1 MiB for each shard, before anybody reads.
    Backlog,
}

async fn weigh(binaries: &Path, load: Load) -> Result<bool, Error> {
    let emulator = EmulatorProcess::start(binaries).await?;
    let client = Client::new(&emulator.sdk_config());
    make(&client, MANY_SHARDS).await?;
    let (expected, what) = match load {
        Load::Live => (10_000, "1,000 records/s"),
        Load::Backlog => {
            let each = 4096;
            let count = MANY_SHARDS as usize * (1 << 20) / each;
            preload(&client, "bench", count, each).await?;
            (count, "a backlog of 1 MiB each")
        }
    };
    let mut process = Command::new(std::env::current_exe()?)
        .args(["--hold", emulator.endpoint(), &expected.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = process.stdout.take().ok_or("no standard output")?;
    let mut lines = BufReader::new(output).lines();
    let producer = match load {
        Load::Live => {
            // Once all shards are subscribed to.
            sleep(Duration::from_secs(5)).await;
            Some(Producer::start(
                client.clone(),
                "bench",
                10,
                Duration::from_millis(10),
            ))
        }
        Load::Backlog => None,
    };
    let within = Duration::from_secs(120);
    let line = timeout(within, lines.next_line())
        .await??
        .ok_or("the worker ended")?;
    let (highest, resident) = line.split_once(' ').ok_or("not the promised line")?;
    let (highest, resident): (usize, usize) = (highest.parse()?, resident.parse()?);
    drop(producer);
    let good = highest < MEMORY_MAX;
    println!(
        "{MANY_SHARDS} shards on one worker, {what}: {} MiB at the highest, {} MiB in the end \
         (limit {} MiB): {}",
        highest >> 20,
        resident >> 20,
        MEMORY_MAX >> 20,
        if good { "good" } else { "MISSED" },
    );
    Ok(good)
}

/// The worker's process: reads so many records, and says what it weighs.
async fn hold(endpoint: &str, expected: usize) -> Result<(), Error> {
    let config = SdkConfig::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(aws_sdk_kinesis::config::SharedCredentialsProvider::new(
            Credentials::new("test", "test", None, None, "bench"),
        ))
        .build();
    let left = Arc::new(AtomicUsize::new(expected));
    let done = Arc::new(Notify::new());
    let worker = worker(&config, "hold", (left, done.clone()))?;
    let read = async {
        done.notified().await;
        // What is given back late counts too.
        sleep(Duration::from_secs(3)).await;
        match (status("VmHWM:"), status("VmRSS:")) {
            (Ok(highest), Ok(resident)) => println!("{highest} {resident}"),
            (Err(error), _) | (_, Err(error)) => println!("no figure: {error}"),
        }
        drop(tokio::io::stdin().read_to_end(&mut Vec::new()).await);
    };
    worker.run(read).await?;
    Ok(())
}

/// A figure of this process in bytes.
fn status(name: &str) -> Result<usize, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no such figure")?.parse::<usize>()? << 10)
}
