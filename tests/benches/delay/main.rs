//! From a put to the processor: by fan-out, by polling, and beside them kcl-rs of the Python package index.
//!
//! Three processes: the emulator, the worker, and this one, which puts 50 records a second into a stream of two
//! shards. Each record carries the time at which its put began, and the worker compares it with the time
//! at which the record is in the hands of the processor. One contender runs at a time, on a stream of its
//! own. Every record must arrive, or there is no figure.
//!
//! `cargo bench -p tests --bench delay` ends with 1 if a figure of ours is missed. `DELAY_SECONDS` says how long
//! each contender is measured (30), `DELAY_ONLY` which, by a part of its name.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

mod contender;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::Env;
use tests::fleet::{EmulatorProcess, binaries};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::contender::{Contender, Running};

type Error = Box<dyn std::error::Error + Send + Sync>;

const RECORDS_PER_SECOND: u32 = 50;
const SHARDS: i32 = 2;
/// kcl-rs needs a minute before it reads anything.
const START_MAX: Duration = Duration::from_secs(180);
/// What polling is set to: the default of both.
const IDLE: Duration = Duration::from_millis(500);

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["--worker", endpoint, stream, mode] => {
            runtime.block_on(contender::work(endpoint, stream, mode))
        }
        arguments if arguments.contains(&"--test") => Ok(()),
        _ => runtime.block_on(measure()),
    }
}

async fn measure() -> Result<(), Error> {
    let binaries = binaries().await?;
    let only = std::env::var("DELAY_ONLY").unwrap_or_default();
    let mut good = true;
    let half_idle = IDLE / 2;
    let millis = Duration::from_millis;
    let contenders = [
        (Contender::FanOut, Some((millis(3), Some(millis(15))))),
        (Contender::Polling, Some((half_idle, None))),
        (Contender::KclRsFanOut, None),
        (Contender::KclRsPolling { idle: None }, None),
        (Contender::KclRsPolling { idle: Some(IDLE) }, None),
    ];
    let chosen = contenders
        .into_iter()
        .filter(|(contender, _)| contender.to_string().contains(&only));
    for (number, (contender, limit)) in chosen.enumerate() {
        match one(&binaries, &contender, number).await {
            Ok(delays) => good &= report(&contender, delays, limit),
            // A stranger that does not run here is said so, and is no failure of ours.
            Err(error) if limit.is_none() => println!("{contender}: no figure, because {error}"),
            Err(error) => return Err(format!("{contender}: {error}").into()),
        }
    }
    if good {
        Ok(())
    } else {
        Err("a figure was missed".into())
    }
}

/// The delays of one contender, shortest first.
async fn one(
    binaries: &Path,
    contender: &Contender,
    number: usize,
) -> Result<Vec<Duration>, Error> {
    let emulator = EmulatorProcess::start(binaries).await?;
    let client = Client::new(&emulator.sdk_config());
    let stream = format!("delay-{number}");
    client
        .create_stream()
        .stream_name(&stream)
        .shard_count(SHARDS)
        .send()
        .await?;
    let mut running = Running::start(contender, emulator.endpoint(), &stream).await?;
    warm_up(&client, &stream, &mut running).await?;
    let seconds = std::env::var("DELAY_SECONDS").ok();
    let seconds: u32 = seconds.map_or(Ok(30), |text| text.parse())?;
    let count = RECORDS_PER_SECOND * seconds;
    let mut ticks = interval(Duration::from_secs(1) / RECORDS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=count {
        ticks.tick().await;
        put(&client, &stream, number).await?;
    }
    let mut delays = BTreeMap::new();
    while delays.len() < count as usize {
        let (number, delay) = timeout(Duration::from_secs(30), running.next()).await??;
        // Zero is the warm-up. What comes twice counts with its first time.
        if number > 0 {
            delays.entry(number).or_insert(delay);
        }
    }
    let mut delays: Vec<_> = delays.into_values().collect();
    delays.sort_unstable();
    Ok(delays)
}

/// Until both shards flow, and a moment longer.
async fn warm_up(client: &Client, stream: &str, running: &mut Running) -> Result<(), Error> {
    let since = Instant::now();
    let (mut put_so_far, mut heard) = (0, 0);
    while heard < 20 {
        if since.elapsed() > START_MAX {
            return Err(format!("it read nothing within {START_MAX:?}").into());
        }
        put(client, stream, 0).await?;
        put_so_far += 1;
        while let Ok(next) = timeout(Duration::from_millis(200), running.next()).await {
            next?;
            heard += 1;
        }
    }
    while heard < put_so_far {
        timeout(Duration::from_secs(30), running.next()).await??;
        heard += 1;
    }
    sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn put(client: &Client, stream: &str, number: u32) -> Result<(), Error> {
    let hash = u128::MAX / 2 + u128::from(number % 2);
    let sent = Env::system().wall().duration_since(UNIX_EPOCH)?.as_nanos();
    client
        .put_record()
        .stream_name(stream)
        .partition_key("key")
        .explicit_hash_key(hash.to_string())
        .data(Blob::new(format!("{number} {sent}")))
        .send()
        .await?;
    Ok(())
}

/// Prints the figures, and says whether they are within the limits of the median and of 99 %.
fn report(
    contender: &Contender,
    delays: Vec<Duration>,
    limit: Option<(Duration, Option<Duration>)>,
) -> bool {
    let at = |share: usize| delays[(delays.len() - 1) * share / 100];
    let (good, wanted) = match limit {
        None => (true, String::new()),
        Some((median, None)) => (at(50) <= median, format!(" (to be at most {median:?})")),
        Some((median, Some(most))) => (
            at(50) < median && at(99) < most,
            format!(" (to be under {median:?} and {most:?})"),
        ),
    };
    let verdict = match (limit, good) {
        (None, _) => "",
        (Some(_), true) => ": good",
        (Some(_), false) => ": MISSED",
    };
    println!(
        "{contender}: p50 {:.2?}, p99 {:.2?}, most {:.2?} of {} records{wanted}{verdict}",
        at(50),
        at(99),
        at(100),
        delays.len(),
    );
    good
}
