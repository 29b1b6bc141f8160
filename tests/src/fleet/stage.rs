//! What every experiment with processes begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use tokio::time::{Instant, sleep};

use super::{EmulatorProcess, Output, Printer, PrinterSettings};

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often the experiments look at what was delivered.
pub(super) const LOOK: Duration = Duration::from_millis(5);
/// How long anything may take before an experiment is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A stream on an emulator process of its own, and what printers deliver from it.
pub(super) struct Stage {
    pub(super) emulator: EmulatorProcess,
    pub(super) client: Client,
    pub(super) settings: PrinterSettings,
    pub(super) output: Output,
    shards: usize,
}

impl Stage {
    pub(super) async fn set(binaries: &Path, shards: usize) -> Result<Self, Error> {
        let emulator = EmulatorProcess::start(binaries).await?;
        let client = Client::new(&emulator.sdk_config());
        client
            .create_stream()
            .stream_name("fleet")
            .shard_count(i32::try_from(shards)?)
            .send()
            .await?;
        let waited = Instant::now();
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
            patience(waited, "the stream does not become active")?;
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
            shards,
        })
    }

    pub(super) fn printer(&self, worker: &str) -> Result<Printer, Error> {
        Printer::start(&self.settings, worker, &self.output)
    }

    /// Waits until each of the workers has lately delivered from its share of the shards.
    pub(super) async fn balanced(
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
            let share = self.shards / workers.len();
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

    /// When, after the `from`th delivery, each of the workers first was the last to deliver from its share of
    /// the shards.
    pub(super) async fn settled(
        &self,
        workers: &[&str],
        mut from: usize,
    ) -> Result<Instant, Error> {
        let began = Instant::now();
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        loop {
            for delivery in self.output.since(from) {
                from += 1;
                last.insert(delivery.shard, delivery.worker);
                let has_share = |worker: &&str| {
                    let held = last.values().filter(|holder| holder == worker).count();
                    held == self.shards / workers.len()
                };
                if last.len() == self.shards && workers.iter().all(has_share) {
                    return Ok(delivery.at);
                }
            }
            patience(began, &self.output.last_logs(30).join("\n"))?;
            sleep(LOOK).await;
        }
    }

    /// Waits until nothing that was sent is missing.
    pub(super) async fn drained(&self, sent: &BTreeSet<String>) -> usize {
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

pub(super) fn patience(since: Instant, what: &str) -> Result<(), Error> {
    if since.elapsed() > PATIENCE {
        Err(what.into())
    } else {
        Ok(())
    }
}
