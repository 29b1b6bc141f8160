//! One function in three ways: in this process, in processes of this very program behind the Runtime API, and in Python
//! ones. Each gets the same records through a worker that is killed, another that takes over, and a split; each has to see
//! the same, in the same order for each key, and the same records have to be given up.
//!
//! ```sh
//! cargo run -p tests --bin lambda-ways -- target/interop/python/bin/python   # without a Python, two ways
//! ```

#![expect(
    clippy::print_stdout,
    reason = "the suites of tests/interop print what they have checked"
)]

mod handler;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use kcl_core::lambda::event::EventSource;
use kcl_core::lambda::mapping::{Mapping, MappingSettings};
use kcl_core::lambda::on_failure::OnFailureMessage;
use kcl_core::lambda::runtime_api::FunctionSettings;
use kcl_core::{PollSettings, Polling, Worker, WorkerBuilder};
use kcl_lease::{DynamoLeases, LeaseSettings};
use kinesis_emulator::Emulator;
use lambda_runtime::service_fn;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(120);
const RECORDS: usize = 400;
const KEYS: usize = 10;

type Failure = Box<dyn std::error::Error>;

/// What a way has to have in common with the others.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// By partition key: the records in the order in which they were first seen, with what else was in the event.
    seen: BTreeMap<String, Vec<String>>,
    given_up: BTreeSet<String>,
}

/// How the function is run.
#[derive(Clone)]
enum Way {
    InProcess,
    Process(Vec<String>),
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        let served = lambda_runtime::run(service_fn(handler::handler)).await;
        return served.map_err(|error| error as Failure);
    }
    let Some(sink) = std::env::var_os("SINK").map(PathBuf::from) else {
        return begin_again().await;
    };
    let program = std::env::current_exe()?.display().to_string();
    let mut ways = vec![
        ("in process", Way::InProcess),
        ("in processes", Way::Process(vec![program])),
    ];
    if let Some(python) = std::env::args().nth(1) {
        let command = [python.as_str(), "-m", "awslambdaric", "handler.handler"];
        let command = command.map(ToOwned::to_owned).to_vec();
        ways.push(("in Python", Way::Process(command)));
    }
    let mut outcomes = Vec::new();
    for (name, way) in ways {
        let began = Instant::now();
        let outcome = story(&way, &sink)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        check(&outcome).map_err(|error| format!("{name}: {error}"))?;
        println!(
            "ok {name}: {RECORDS} records, {} given up, {:?}",
            outcome.given_up.len(),
            began.elapsed()
        );
        outcomes.push(outcome);
    }
    for (first, other) in outcomes.iter().zip(&outcomes[1..]) {
        if first != other {
            return Err(format!("two ways differ:\n{first:?}\n{other:?}").into());
        }
    }
    println!("ok all {} ways have seen the same", outcomes.len());
    Ok(())
}

/// Starts this program with the variable that the function in it reads: a program cannot set its own.
async fn begin_again() -> Result<(), Failure> {
    let sink = std::env::temp_dir().join(format!("lambda-ways-{}", std::process::id()));
    let mut again = tokio::process::Command::new(std::env::current_exe()?);
    let status = again
        .args(std::env::args().skip(1))
        .env("SINK", &sink)
        .status()
        .await?;
    std::fs::remove_file(sink)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("it failed: {status}").into())
    }
}

/// The record with this number: its key and its payload.
fn record(number: usize) -> (String, String) {
    let key = format!("key-{}", number % KEYS);
    let text = match number {
        250 => "die".to_owned(),
        _ if number % 97 == 50 => format!("{number} bad"),
        _ => number.to_string(),
    };
    (key, text)
}

/// The payloads that are never processed.
fn bad() -> BTreeSet<String> {
    let all = (0..RECORDS).map(|number| record(number).1);
    all.filter(|text| text.ends_with("bad")).collect()
}

/// Everything was seen, in order, and what is bad was given up.
fn check(outcome: &Outcome) -> Result<(), Failure> {
    for at in 0..KEYS {
        let key = format!("key-{at}");
        let expected: Vec<_> = (at..RECORDS)
            .step_by(KEYS)
            .map(|number| record(number).1)
            .collect();
        let seen = outcome.seen.get(&key).into_iter().flatten();
        let seen: Vec<_> = seen.filter_map(|line| line.split('\t').next()).collect();
        if seen != expected {
            return Err(format!("{key}: saw {seen:?}, not {expected:?}").into());
        }
    }
    if outcome.given_up != bad() {
        return Err(format!("given up: {:?}", outcome.given_up).into());
    }
    Ok(())
}

/// What the workers of one way write to.
struct Sinks {
    seen: PathBuf,
    given_up: Arc<Mutex<BTreeSet<String>>>,
}

impl Sinks {
    /// What was seen, each record once.
    fn seen(&self) -> std::io::Result<BTreeMap<String, Vec<String>>> {
        let text = std::fs::read_to_string(&self.seen)?;
        let (mut seen, mut known) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
        for line in text.lines().filter(|line| known.insert(line.to_owned())) {
            if let Some((key, rest)) = line.split_once('\t') {
                seen.entry(key.to_owned())
                    .or_default()
                    .push(rest.to_owned());
            }
        }
        Ok(seen)
    }

    fn count(&self) -> std::io::Result<usize> {
        Ok(self.seen()?.values().map(Vec::len).sum())
    }

    fn given_up(&self) -> BTreeSet<String> {
        let given_up = self.given_up.lock();
        given_up.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many records were seen, and so many given up.
    async fn until(&self, count: usize, given_up: usize) -> Result<(), Failure> {
        let began = Instant::now();
        while self.count()? < count || self.given_up().len() < given_up {
            if began.elapsed() > PATIENCE {
                let (seen, left) = (self.count()?, self.given_up().len());
                return Err(format!("{seen} of {count} records were seen, {left} given up").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn story(way: &Way, sink: &Path) -> Result<Outcome, Failure> {
    std::fs::write(sink, "")?;
    let sinks = Sinks {
        seen: sink.to_owned(),
        given_up: Arc::default(),
    };
    let emulator = Emulator::start().await?;
    let client = Client::new(&emulator.sdk_config());
    client
        .create_stream()
        .stream_name("orders")
        .shard_count(2)
        .send()
        .await?;
    put(&client, 0..RECORDS / 2).await?;

    // Dropping its future is a kill: nothing is committed, its leases run out.
    tokio::select! {
        biased;
        ended = worker(&emulator, way, &sinks, "w1")?.run(std::future::pending()) => {
            return Err(format!("the first worker ended: {:?}", ended?).into());
        }
        seen = sinks.until(RECORDS / 4, 0) => seen?,
    }
    let split = client.split_shard().stream_name("orders");
    let split = split.shard_to_split("shardId-000000000000");
    split
        .new_starting_hash_key((1_u128 << 125).to_string())
        .send()
        .await?;
    put(&client, RECORDS / 2..RECORDS).await?;

    let mut failed = None;
    let all = async {
        failed = sinks.until(RECORDS, bad().len()).await.err();
    };
    let report = worker(&emulator, way, &sinks, "w2")?.run(all).await?;
    if let Some(error) = failed {
        return Err(error);
    }
    if report.finished == 0 {
        return Err("no shard was read to its end".into());
    }
    let mark = mark(sink);
    if let Way::Process(_) = way {
        // It is made by the process that died.
        std::fs::remove_file(mark)?;
    }
    Ok(Outcome {
        seen: sinks.seen()?,
        given_up: sinks.given_up(),
    })
}

/// What tells the function's processes that one of them has died.
fn mark(sink: &Path) -> PathBuf {
    sink.with_extension("died")
}

async fn put(client: &Client, numbers: std::ops::Range<usize>) -> Result<(), Failure> {
    for (key, text) in numbers.map(record) {
        let put = client.put_record().stream_name("orders").partition_key(key);
        put.data(text.into_bytes().into()).send().await?;
    }
    Ok(())
}

fn worker(emulator: &Emulator, way: &Way, sinks: &Sinks, name: &str) -> Result<Worker, Failure> {
    let aws = emulator.sdk_config();
    let polling = Polling::new(&aws).with_settings(PollSettings {
        idle: Duration::from_millis(100),
        ..PollSettings::default()
    });
    let leases = DynamoLeases::new(&aws).with_settings(LeaseSettings {
        duration: Duration::from_secs(3),
        ..LeaseSettings::default()
    });
    let builder = Worker::builder("billing", "orders")
        .with_source(polling)
        .with_ownership(leases)
        .with_worker_id(name);
    Ok(with_function(builder, way, sinks)?.build()?)
}

fn with_function(
    builder: WorkerBuilder,
    way: &Way,
    sinks: &Sinks,
) -> Result<WorkerBuilder, Failure> {
    let source = EventSource::new("arn:aws:kinesis:us-east-1:123456789012:stream/orders")?;
    let settings = MappingSettings {
        batch_size: 10,
        parallelization_factor: 2,
        bisect_batch_on_function_error: true,
        maximum_retry_attempts: Some(1),
        report_batch_item_failures: true,
        ..MappingSettings::default()
    };
    let function = match way {
        Way::InProcess => FunctionSettings::in_process("billing"),
        Way::Process(command) => {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/lambda");
            let mut function = FunctionSettings::new("billing", command.clone());
            function.environment = BTreeMap::from([
                (
                    "DIES_ONCE".to_owned(),
                    mark(&sinks.seen).display().to_string(),
                ),
                ("LAMBDA_TASK_ROOT".to_owned(), folder.to_owned()),
                ("PYTHONPATH".to_owned(), folder.to_owned()),
                ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
            ]);
            function.timeout = Duration::from_secs(30);
            function.init_max = Duration::from_secs(60);
            function
        }
    };
    let given_up = sinks.given_up.clone();
    let mapping = Mapping::new(source, function).with_settings(settings);
    let mapping = mapping.with_on_failure(move |message: OnFailureMessage| {
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        let records = message.records.iter().map(|record| text(&record.data));
        given_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(records);
        std::future::ready(Ok(()))
    });
    Ok(match way {
        Way::InProcess => builder.with_lambda(mapping, service_fn(handler::handler)),
        Way::Process(_) => builder.with_lambda_process(mapping),
    })
}
