//! Experiments that are repeated, with a time per round: a cold start, kills, graceful stops, joins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stage::{Error, LOOK, PATIENCE, Stage, patience};
use super::{Delivery, Printer, Producer, preload};

const SHARDS: usize = 4;

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
        let stage = Stage::set(&binaries, SHARDS).await?;
        let sent = preload(&stage.client, "fleet", 1_000, 100).await?;
        let printer = stage.printer("cold")?;
        let started = printer.started();
        while stage.output.is_empty() {
            patience(started, &stage.output.last_logs(30).join("\n"))?;
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

/// `kill -9` of one of two under load, in turn the one that came last and the one that keeps the watch
/// over the leases. The time of a round: from the kill until the last of the victim's shards is delivered
/// from again.
///
/// # Errors
/// If a process cannot be started or the fleet does not come to rest.
pub async fn kills(binaries: PathBuf, rounds: usize) -> Result<Findings, Error> {
    let stage = Stage::set(&binaries, SHARDS).await?;
    let producer = Producer::start(stage.client.clone(), "fleet", 8, Duration::from_millis(20));
    let mut findings = Findings::default();
    let mut old = stage.printer("worker-0")?;
    for round in 1..=rounds {
        let new = stage.printer(&format!("worker-{round}"))?;
        let holds = stage.balanced(&[old.worker(), new.worker()]).await?;
        let keeps_watch = round % 2 == 0;
        let (victim, survivor) = if keeps_watch { (old, new) } else { (new, old) };
        let mut waiting = holds.get(victim.worker()).cloned().unwrap_or_default();
        victim.kill().await?;
        let killed = Instant::now();
        let mut from = stage.output.len();
        let mut longest = Duration::ZERO;
        while !waiting.is_empty() {
            for delivery in stage.output.since(from) {
                from += 1;
                if delivery.worker == survivor.worker() && waiting.remove(&delivery.shard) {
                    longest = longest.max(delivery.at - killed);
                }
            }
            patience(killed, &stage.output.last_logs(30).join("\n"))?;
            sleep(LOOK).await;
        }
        findings.times.push(longest);
        let who = if keeps_watch { "the watch" } else { "another" };
        println!("  kill {round:>2}, {who}: {:.3} s", longest.as_secs_f64());
        old = survivor;
    }
    conclude(findings, stage, producer, vec![old]).await
}

/// SIGTERM of one of two under load. The time of a round: the longest silence of any shard from
/// the signal until the fleet is balanced again.
///
/// # Errors
/// If a process cannot be started or the fleet does not come to rest.
pub async fn stops(binaries: PathBuf, rounds: usize) -> Result<Findings, Error> {
    let stage = Stage::set(&binaries, SHARDS).await?;
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

/// A fourth worker joins three that share twelve shards under load. The time of a round: from the start of
/// its process until each worker delivers from a quarter of the shards.
///
/// # Errors
/// If a process cannot be started or the fleet does not come to rest.
pub async fn joins(binaries: PathBuf, rounds: usize) -> Result<Findings, Error> {
    const MANY: usize = 12;
    let stage = Stage::set(&binaries, MANY).await?;
    let producer = Producer::start(stage.client.clone(), "fleet", 12, Duration::from_millis(20));
    let mut findings = Findings::default();
    let old = ["one", "two", "three"];
    let printers = old.iter().map(|name| stage.printer(name));
    let printers = printers.collect::<Result<Vec<_>, _>>()?;
    for round in 0..rounds {
        stage.balanced(&old).await?;
        let name = format!("joiner-{round}");
        let from = stage.output.len();
        let joiner = stage.printer(&name)?;
        let all = [old[0], old[1], old[2], &name];
        let settled = stage.settled(&all, from).await?;
        findings.times.push(settled - joiner.started());
        println!(
            "  join {:>2}: {:.3} s",
            round + 1,
            (settled - joiner.started()).as_secs_f64()
        );
        if joiner.stop(PATIENCE).await? != Some(0) {
            findings.bad_exits += 1;
        }
    }
    conclude(findings, stage, producer, printers).await
}

/// The longest time between two deliveries of one shard, the edges of the window included.
fn longest_silence(deliveries: &[Delivery], from: Instant, to: Instant) -> Duration {
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
