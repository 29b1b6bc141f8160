//! The three experiments with real processes: a cold start, kills and graceful stops.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use tokio::time::{Instant, sleep};

use super::{EmulatorProcess, Output, Printer, PrinterSettings, Producer, preload};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often the experiments look at what was delivered.
const LOOK: Duration = Duration::from_millis(5);
/// How long anything may take before an experiment is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream of four shards on an emulator process of its own.
struct Stage {
    emulator: EmulatorProcess,
    client: Client,
    settings: PrinterSettings,
    output: Output,
}

const SHARDS: usize = 4;

impl Stage {
    async fn set(binaries: &Path) -> Result<Self, Error> {
        let emulator = EmulatorProcess::start(binaries).await?;
        let client = Client::new(&emulator.sdk_config());
        client
            .create_stream()
            .stream_name("fleet")
            .shard_count(SHARDS as i32)
            .send()
            .await?;
        let mut waited = Instant::now();
        loop {
            let reply = client
                .describe_stream_summary()
                .stream_name("fleet")
                .send()
                .await?;
            let summary = reply.stream_description_summary().ok_or("no description")?;
            if summary.stream_status().as_str() == "ACTIVE" {
                break;
            }
            patience(&mut waited, "the stream does not become active")?;
            sleep(LOOK).await;
        }
        let settings = PrinterSettings {
            binaries: binaries.to_owned(),
            endpoint: emulator.endpoint().to_owned(),
            stream: "fleet".to_owned(),
            application: "fleet-app".to_owned(),
        };
        Ok(Self {
            emulator,
            client,
            settings,
            output: Output::default(),
        })
    }

    fn printer(&self, worker: &str) -> Result<Printer, Error> {
        Printer::start(&self.settings, worker, &self.output)
    }

    /// Waits until each of the workers has lately delivered from half of the shards.
    async fn balanced(
        &self,
        workers: &[&str],
    ) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
        let since = Instant::now();
        let mut from = self.output.len();
        loop {
            sleep(Duration::from_millis(1500)).await;
            let mut holds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            let mut last: BTreeMap<String, String> = BTreeMap::new();
            let fresh = self.output.since(from);
            from += fresh.len();
            for delivery in fresh {
                last.insert(delivery.shard, delivery.worker);
            }
            for (shard, worker) in last {
                holds.entry(worker).or_default().insert(shard);
            }
            let share = SHARDS / workers.len();
            if workers
                .iter()
                .all(|w| holds.get(*w).is_some_and(|shards| shards.len() == share))
            {
                return Ok(holds);
            }
            if since.elapsed() > PATIENCE {
                let logs = self.output.last_logs(30).join("\n");
                return Err(format!("not balanced, holds {holds:?}\n{logs}").into());
            }
        }
    }

    /// Waits until nothing that was sent is missing.
    async fn drained(&self, sent: &BTreeSet<String>) -> usize {
        let since = Instant::now();
        loop {
            let missing = self.output.missing(sent).len();
            if missing == 0 || since.elapsed() > PATIENCE {
                return missing;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn patience(since: &mut Instant, what: &str) -> Result<(), Error> {
    if since.elapsed() > PATIENCE {
        Err(what.into())
    } else {
        Ok(())
    }
}

/// What an experiment found. Times are per round.
#[derive(Debug, Default)]
pub struct Findings {
    /// The measured times, one per round (for stops and kills: the longest over the shards).
    pub times: Vec<Duration>,
    /// Records acknowledged to the producer.
    pub sent: usize,
    /// Of these, never delivered.
    pub lost: usize,
    /// Deliveries that were repeats.
    pub duplicates: usize,
    /// Output lines that break the contract.
    pub broken: Vec<String>,
    /// Exit codes that were not 0 where 0 was promised.
    pub bad_exits: usize,
}

impl Findings {
    /// The longest time.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.times.iter().max().copied().unwrap_or_default()
    }

    /// The middle time.
    #[must_use]
    pub fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} rounds: median {:.3} s, longest {:.3} s; sent {}, lost {}, duplicates {}, \
             broken lines {}, bad exits {}",
            self.times.len(),
            self.median().as_secs_f64(),
            self.max().as_secs_f64(),
            self.sent,
            self.lost,
            self.duplicates,
            self.broken.len(),
            self.bad_exits,
        )
    }
}

/// From the start of a `record-printer` on an empty lease table to its first line, with four
/// preloaded shards.
///
/// # Errors
/// If a process cannot be started or delivers nothing.
pub async fn cold_start(binaries: PathBuf, rounds: usize) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    for _ in 0..rounds {
        let stage = Stage::set(&binaries).await?;
        let sent = preload(&stage.client, "fleet", 1_000, 100).await?;
        let printer = stage.printer("cold")?;
        let mut started = printer.started();
        while stage.output.is_empty() {
            patience(&mut started, &stage.output.last_logs(30).join("\n"))?;
            sleep(Duration::from_millis(1)).await;
        }
        let first = stage.output.since(0)[0].at;
        findings.times.push(first - printer.started());
        findings.lost += stage.drained(&sent).await;
        findings.sent += sent.len();
        finish(&mut findings, &stage, vec![printer]).await?;
    }
    Ok(findings)
}

/// `kill -9` of one of two under load. The time of a round: from the kill until the last of the
/// victim's shards is delivered from again.
///
/// # Errors
/// If a process cannot be started or the fleet does not come to rest.
pub async fn kills(binaries: PathBuf, rounds: usize) -> Result<Findings, Error> {
    let stage = Stage::set(&binaries).await?;
    let producer = Producer::start(stage.client.clone(), "fleet", 8, Duration::from_millis(20));
    let mut findings = Findings::default();
    let survivor = stage.printer("survivor")?;
    for round in 0..rounds {
        let name = format!("victim-{round}");
        let victim = stage.printer(&name)?;
        let holds = stage.balanced(&["survivor", &name]).await?;
        victim.kill().await?;
        let killed = Instant::now();
        let mut waiting = holds.get(&name).cloned().unwrap_or_default();
        let mut from = stage.output.len();
        let mut longest = Duration::ZERO;
        while !waiting.is_empty() {
            for delivery in stage.output.since(from) {
                from += 1;
                if delivery.worker == "survivor" && waiting.remove(&delivery.shard) {
                    longest = longest.max(delivery.at - killed);
                }
            }
            patience(&mut killed.clone(), &stage.output.last_logs(30).join("\n"))?;
            sleep(LOOK).await;
        }
        findings.times.push(longest);
        println!("  kill {:>2}: {:.3} s", round + 1, longest.as_secs_f64());
    }
    conclude(findings, stage, producer, vec![survivor]).await
}

/// SIGTERM of one of two under load. The time of a round: the longest silence of any shard from
/// the signal until the fleet is balanced again.
///
/// # Errors
/// If a process cannot be started or the fleet does not come to rest.
pub async fn stops(binaries: PathBuf, rounds: usize) -> Result<Findings, Error> {
    let stage = Stage::set(&binaries).await?;
    let producer = Producer::start(stage.client.clone(), "fleet", 8, Duration::from_millis(20));
    let mut findings = Findings::default();
    let survivor = stage.printer("survivor")?;
    for round in 0..rounds {
        let name = format!("leaver-{round}");
        let leaver = stage.printer(&name)?;
        stage.balanced(&["survivor", &name]).await?;
        let from = stage.output.len();
        let signalled = Instant::now();
        if leaver.stop(PATIENCE).await? != Some(0) {
            findings.bad_exits += 1;
        }
        // Long enough for the survivor to have everything, and for a silence to show.
        sleep(Duration::from_secs(4)).await;
        let longest = longest_silence(&stage.output.since(from), signalled, Instant::now());
        findings.times.push(longest);
        println!("  stop {:>2}: {:.3} s", round + 1, longest.as_secs_f64());
    }
    conclude(findings, stage, producer, vec![survivor]).await
}

/// The longest time between two deliveries of one shard, the edges of the window included.
fn longest_silence(deliveries: &[super::Delivery], from: Instant, to: Instant) -> Duration {
    let mut last: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for delivery in deliveries {
        let before = last.insert(&delivery.shard, delivery.at).unwrap_or(from);
        longest = longest.max(delivery.at.saturating_duration_since(before));
    }
    if last.len() < SHARDS {
        return to - from;
    }
    last.values()
        .map(|at| to.saturating_duration_since(*at))
        .chain([longest])
        .max()
        .unwrap_or_default()
}

async fn conclude(
    mut findings: Findings,
    stage: Stage,
    producer: Producer,
    printers: Vec<Printer>,
) -> Result<Findings, Error> {
    let sent = producer.stop().await?;
    findings.lost = stage.drained(&sent).await;
    findings.sent = sent.len();
    finish(&mut findings, &stage, printers).await?;
    Ok(findings)
}

async fn finish(
    findings: &mut Findings,
    stage: &Stage,
    printers: Vec<Printer>,
) -> Result<(), Error> {
    for printer in printers {
        if printer.stop(PATIENCE).await? != Some(0) {
            findings.bad_exits += 1;
        }
    }
    findings.duplicates += stage.output.duplicates();
    findings.broken.extend(stage.output.broken());
    if stage.emulator.pid().is_none() {
        return Err("the emulator ended during the experiment".into());
    }
    Ok(())
}
