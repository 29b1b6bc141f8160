//! The play, act by act: fill, split, merge, kill, take over, drain. It decides when things happen
//! and waits until they have; it judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use kcl_core::model::ShardId;
use kinesis_emulator::Emulator;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::fleet::{Fleet, LEASE, WORKERS, name};
use crate::input::{Error, Input};
use crate::ledger::{Failover, Ledger};
use crate::producer::{Gate, Producer, Progress};
use crate::screen::{Screen, short};
use crate::stream;

/// What the table needs beside the verdict.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) failover: Failover,
    pub(crate) flow: Duration,
    pub(crate) best_rate: f64,
}

const SHARDS: i32 = 4;

/// How long any single step may take before the run is given up.
const STEP_MAX: Duration = Duration::from_secs(60);

/// How long nothing may arrive before what is missing counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(15);

pub(crate) async fn play(input: &Input, ledger: &Ledger) -> Result<Outcome, Error> {
    let emulator = Emulator::start().await?;
    let client = Client::new(&emulator.sdk_config());
    stream::create(&client, SHARDS).await?;
    let progress = Arc::new(Progress::default());
    let (gate, gated) = watch::channel(Gate::default());
    let producer = Producer {
        client: Client::new(&emulator.sdk_config()),
        stream: stream::STREAM,
        gate: gated,
        progress: Arc::clone(&progress),
    };
    let mut stage = Stage {
        lines: input.lines,
        ledger,
        client,
        gate,
        progress,
        producer: Some(tokio::spawn(producer.run(input.texts.clone()))),
        fleet: Fleet::start(&emulator, ledger)?,
        screen: Screen::new(input.lines)?,
    };
    stage.screen.say(&format!(
        "emulator at {}, stream of {SHARDS} shards",
        emulator.endpoint()
    ));
    stage.fill().await?;
    stage.reshard().await?;
    stage.kill().await?;
    let flow = stage.drain().await?;
    let Stage { fleet, screen, .. } = stage;
    fleet.stop().await?;
    let failover = ledger.failover().ok_or("no worker was killed")?;
    screen.say("the workers drained, checkpointed and left");
    Ok(Outcome {
        failover,
        flow,
        best_rate: screen.finish(),
    })
}

struct Stage<'a> {
    lines: u64,
    ledger: &'a Ledger,
    client: Client,
    gate: watch::Sender<Gate>,
    progress: Arc<Progress>,
    producer: Option<JoinHandle<Result<(), Error>>>,
    fleet: Fleet,
    screen: Screen,
}

impl Stage<'_> {
    async fn fill(&mut self) -> Result<(), Error> {
        let shards = stream::open_in_order(&self.client).await?;
        let ledger = self.ledger;
        self.until("every shard has a worker", || {
            shards.iter().all(|s| ledger.is_held(s))
        })
        .await?;
        self.screen.say(&format!(
            "{WORKERS} workers hold the {SHARDS} shards between them"
        ));
        self.produce_to(0.3, Duration::from_secs(2));
        self.until_sent("the first part is sent").await
    }

    /// Splits the busiest shard and merges two others while records flow.
    async fn reshard(&mut self) -> Result<(), Error> {
        self.produce_to(0.5, Duration::from_secs(3));
        let shards = stream::open_in_order(&self.client).await?;
        let deliveries = self.ledger.deliveries();
        let busiest = shards
            .iter()
            .max_by_key(|s| deliveries.get(*s).copied().unwrap_or(0));
        let busiest = busiest.ok_or("the stream has no shards")?.clone();
        let mut children = stream::split(&self.client, &busiest).await?;
        self.screen.say(&format!(
            "split shard {} into {}",
            number(&busiest),
            numbers(&children)
        ));
        // Four shards in a row: beside the one that was split there are always two neighbours.
        let neighbours = shards.windows(2).find(|pair| !pair.contains(&busiest));
        let Some([lower, upper]) = neighbours else {
            return Err("no neighbours to merge".into());
        };
        let merged = stream::merge(&self.client, lower, upper).await?;
        self.screen.say(&format!(
            "merged shards {} and {} into {}",
            number(lower),
            number(upper),
            numbers(&merged)
        ));
        children.extend(merged);
        let ledger = self.ledger;
        self.until("the new shards have workers", || {
            children.iter().all(|s| ledger.is_held(s))
        })
        .await?;
        self.screen
            .say("the old shards are read to their ends, the new ones have workers");
        self.until_sent("the second part is sent").await
    }

    /// Kills the worker that has most to do, in the middle of it.
    async fn kill(&mut self) -> Result<(), Error> {
        let before = self.ledger.deliveries();
        self.produce_to(0.85, LEASE + Duration::from_secs(3));
        self.rest(Duration::from_millis(800)).await?;
        let victim = self.busiest_since(&before);
        self.fleet.kill(victim);
        self.ledger.killed(victim);
        let shards = match self
            .ledger
            .failover()
            .map_or(0, |failover| failover.shards())
        {
            1 => "1 shard waits".to_owned(),
            many => format!("{many} shards wait"),
        };
        self.screen.say(&format!(
            "killed {} without warning; {shards} until its lease of {} s is over",
            name(victim),
            LEASE.as_secs()
        ));
        let ledger = self.ledger;
        self.until("the others took over", || {
            ledger
                .failover()
                .is_some_and(|f| f.shards() == 0 || f.held_after().is_some())
        })
        .await?;
        let after = ledger.failover().and_then(|failover| failover.held_after());
        let seconds = after.unwrap_or_default().as_secs_f64();
        self.screen
            .say(&format!("the others took over after {seconds:.1} s"));
        Ok(())
    }

    /// Sends the rest as fast as it goes and waits for the last record. Answers how long records
    /// flowed in all.
    async fn drain(&mut self) -> Result<Duration, Error> {
        // To the end of the files and not to the count of before: a file that has grown meanwhile
        // must not look like a loss in the others.
        self.gate.send_replace(Gate {
            upto: u64::MAX,
            pace: None,
        });
        self.until_sent("everything is sent").await?;
        let ledger = self.ledger;
        let sent = self.progress.sent();
        let mut last = (Instant::now(), ledger.distinct());
        let silent = || {
            let now = ledger.distinct();
            if now != last.1 {
                last = (Instant::now(), now);
            }
            now >= sent || last.0.elapsed() > SILENCE_MAX
        };
        self.wait(silent).await?;
        Ok(self.screen.elapsed())
    }

    /// The worker with most deliveries since `before`.
    fn busiest_since(&self, before: &BTreeMap<ShardId, u64>) -> usize {
        let now = self.ledger.deliveries();
        let news = |worker| {
            let held = self.ledger.held_by(worker);
            let new = |shard: &ShardId| {
                let of = |when: &BTreeMap<_, _>| when.get(shard).copied();
                of(&now).unwrap_or(0) - of(before).unwrap_or(0)
            };
            (held.iter().map(new).sum::<u64>(), held.len())
        };
        (0..WORKERS)
            .max_by_key(|worker| news(*worker))
            .unwrap_or_default()
    }

    fn produce_to(&self, part: f64, at_least: Duration) {
        let upto = (self.lines as f64 * part) as u64;
        let left = upto.saturating_sub(self.progress.sent());
        let pace = Some((left as f64 / at_least.as_secs_f64()).max(1.0));
        self.gate.send_replace(Gate { upto, pace });
    }

    async fn until_sent(&mut self, what: &str) -> Result<(), Error> {
        let (progress, upto) = (Arc::clone(&self.progress), self.gate.borrow().upto);
        self.until(what, || progress.has_reached(upto)).await
    }

    async fn rest(&mut self, time: Duration) -> Result<(), Error> {
        let over = Instant::now() + time;
        self.wait(|| Instant::now() >= over).await
    }

    async fn until(&mut self, what: &str, is_so: impl FnMut() -> bool) -> Result<(), Error> {
        let waited = timeout(STEP_MAX, self.wait(is_so)).await;
        waited.map_err(|_| format!("given up after {STEP_MAX:?}: waited until {what}"))?
    }

    /// Shows how things stand until `is_so`, and notices when somebody fails meanwhile.
    async fn wait(&mut self, mut is_so: impl FnMut() -> bool) -> Result<(), Error> {
        let mut ticks = interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !is_so() {
            ticks.tick().await;
            self.screen.show(self.ledger, &self.fleet);
            self.fleet.check().await?;
            if let Some(producer) = self.producer.take_if(|producer| producer.is_finished()) {
                producer.await??;
            }
        }
        Ok(())
    }
}

fn number(shard: &ShardId) -> String {
    short(shard.name())
}

fn numbers(shards: &[ShardId]) -> String {
    shards.iter().map(number).collect::<Vec<_>>().join(" and ")
}
