//! One run: the emulator, the network, the stream and the fleet, in one runtime with paused time.
//!
//! It carries out a [`Plan`]; the [`History`] judges what comes of it. [`run`](super::run) calls it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kinesis_emulator::{Clock, Delays, Service, Settings};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::checkers::Oracle;
use super::clock::{Calendar, Rate, wall_zero};
use super::control::Control;
use super::handler::Handlers;
use super::history::{Event, History};
use super::ledger::{Expectations, Start};
use super::net::Net;
use super::processor::Processors;
use super::scenario::{Kind, Plan};
use super::stream::Stream;
use super::striker::Striker;
use super::trace::Trace;
use super::worker::{Command, Supervisor};

/// The name of the stream of every run.
pub const STREAM: &str = "orders";

/// The name of the second stream of some runs. It makes for keys that look like those of other rows.
pub const SECOND: &str = "worker";

/// The name of the application, and of its table.
pub const APPLICATION: &str = "billing";

/// How long the fleet gets to stop at the end.
const STOP: Duration = Duration::from_secs(60);

/// A run under way.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    history: History,
    net: Net,
    stream: Stream,
    processors: Processors,
    handlers: Option<Handlers>,
    rng: Rng,
    zero: Instant,
    clock: Clock,
    calendar: Calendar,
}

impl World {
    /// A world at its start. To be called in a runtime with paused time.
    #[must_use]
    pub fn new(plan: Plan, show: Option<fn(&str)>) -> Self {
        let expect = Expectations {
            wall_zero: wall_zero(),
            start: plan.start,
            clean: plan.kind != Kind::Chaos,
            still: plan.kind == Kind::Still,
            heavy: plan.heavy,
            quiet: plan.quiet,
            lease_max: longest(&plan),
            overlap: overlap(&plan),
            shard_requests: shard_requests(&plan),
            commits_each: plan.commit_every.is_zero(),
            streams: 1 + usize::from(plan.second.is_some()),
            handling: plan.handling,
        };
        let clock = Clock::starting_at(wall_zero());
        let history = History::new(Trace::new(show), Oracle::new(expect));
        let mut rng = Rng::with_seed(plan.seed ^ 0x5eed_7e57);
        let reshard = Duration::from_millis(rng.u64(..4_000));
        let settings = Settings {
            clock: clock.clone(),
            delays: Delays {
                reshard,
                ..Delays::default()
            },
            seed: Some(plan.seed),
            ..Settings::default()
        };
        let service = Arc::new(Service::new(settings));
        let control = Control::new(service.clone());
        let mut stream = Stream::new(control, history.clone(), STREAM, plan.heavy);
        let mut streams = vec![STREAM];
        if plan.second.is_some() {
            stream = stream.with_second(SECOND);
            streams.push(SECOND);
        }
        Self {
            net: Net::new(service, history.clone(), APPLICATION, &streams),
            stream,
            processors: Processors::new(history.clone(), plan.temper),
            handlers: plan.handling.map(|it| Handlers::new(history.clone(), it)),
            zero: Instant::now(),
            calendar: Calendar::new(),
            clock,
            history,
            plan,
            rng,
        }
    }

    /// Its history.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Runs it to its end, and says how many requests there were.
    ///
    /// # Errors
    /// If the experiment itself failed, which says nothing about what it tests.
    pub async fn run(mut self) -> Result<u64, String> {
        self.stream.make(self.plan.shards).await?;
        if let (Some(second), Some(shards)) = (self.stream.second(), self.plan.second) {
            second.make(shards).await?;
        }
        self.net.refresh().await;
        self.net.set_weather(self.plan.weather);
        self.net.set_sabotage(self.plan.sabotage);
        let mut side = JoinSet::new();
        self.feed(&mut side);
        let mut fleet = JoinSet::new();
        let commands = self.start_fleet(&mut fleet);
        let striker = Striker {
            history: self.history.clone(),
            net: self.net.clone(),
            stream: self.stream.clone(),
            clocks: (self.clock.clone(), self.calendar.clone()),
            commands,
            reshards: Arc::default(),
            on_call: self.zero + self.plan.quiet,
        };
        self.age(&mut side);
        self.perform(&striker, &mut side).await;
        sleep_until(self.zero + self.plan.heal).await;
        self.heal();
        sleep_until(self.zero + self.plan.length).await;
        while let Some(ended) = side.join_next().await {
            ended.map_err(|error| format!("a task of the experiment: {error}"))??;
        }
        self.net.refresh().await;
        self.history.add(Event::Finished);
        self.stream.reread().await?;
        drop(striker);
        let stopped = tokio::time::timeout(STOP, async {
            while let Some(ended) = fleet.join_next().await {
                ended.map_err(|error| format!("a supervisor: {error}"))?;
            }
            Ok::<_, String>(())
        });
        stopped
            .await
            .map_err(|_| "the fleet does not stop".to_owned())??;
        let (exchanges, panics) = self.net.counts();
        if panics > 0 {
            return Err(format!("{panics} exchanges panicked"));
        }
        Ok(exchanges)
    }

    fn feed(&mut self, side: &mut JoinSet<Result<(), String>>) {
        let (stream, rng) = (self.stream.clone(), self.rng.fork());
        let (every, keys) = (self.plan.produce_every, self.plan.keys);
        let until = self.zero + self.plan.quiet;
        side.spawn(async move { stream.feed(rng, every, keys, until).await });
    }

    /// The stream gets a past, of which the fleet knows nothing.
    fn age(&mut self, side: &mut JoinSet<Result<(), String>>) {
        let (stream, net, mut rng) = (self.stream.clone(), self.net.clone(), self.rng.fork());
        let reshards = self.plan.aged;
        side.spawn(async move {
            for _ in 0..reshards {
                sleep(Duration::from_millis(rng.u64(..400))).await;
                match rng.u8(..4) {
                    0 => stream.merge(rng.u8(..)).await,
                    _ => stream.split(rng.u8(..)).await,
                };
                net.refresh().await;
            }
            Ok(())
        });
    }

    fn start_fleet(&mut self, fleet: &mut JoinSet<()>) -> BTreeMap<u8, mpsc::Sender<Command>> {
        let mut commands = BTreeMap::new();
        for (worker, first) in (0_u8..).zip(self.plan.starts.clone()) {
            let (sender, receiver) = mpsc::channel(16);
            let supervisor = Supervisor {
                worker,
                history: self.history.clone(),
                net: self.net.clone(),
                processors: self.processors.clone(),
                handlers: self.handlers.clone(),
                rng: self.rng.fork(),
                calendar: self.calendar.clone(),
                rate: self.plan.rates[usize::from(worker)],
                skew: self.plan.skew[usize::from(worker)],
                name: self.name(worker),
                lease_time: self.plan.lease_times[usize::from(worker)],
                poll_idle: self.plan.poll_idle,
                retrieval: self.plan.retrieval[usize::from(worker)],
                commit_every: self.plan.commit_every,
                sync_every: self.plan.sync_every,
                drain: self.plan.drain,
                read_timeout: self.plan.read_timeout,
                start: self.plan.start,
                capacity: self.plan.heavy.map(|heavy| heavy.capacity(worker)),
                reads_two: self.plan.second.is_some(),
            };
            fleet.spawn(supervisor.run(first, receiver));
            commands.insert(worker, sender);
        }
        commands
    }

    fn name(&self, worker: u8) -> String {
        if self.plan.one_name {
            "worker".to_owned()
        } else {
            format!("worker-{worker}")
        }
    }

    async fn perform(&mut self, striker: &Striker, side: &mut JoinSet<Result<(), String>>) {
        for planned in self.plan.incidents.clone() {
            sleep_until(self.zero + planned.at).await;
            let (striker, rng) = (striker.clone(), self.rng.fork());
            let until = self.zero + self.plan.heal;
            // Beside whatever else happens: it may have to wait, and reshards take their time.
            side.spawn(striker.perform(planned, rng, until));
        }
    }

    fn heal(&self) {
        self.net.heal();
        self.processors.heal();
        if let Some(handlers) = &self.handlers {
            handlers.heal();
        }
        self.history.add(Event::Healed);
    }
}

/// The longest lease time of the fleet, by the slowest clock of it.
fn longest(plan: &Plan) -> Duration {
    let longest = plan.lease_times.iter().max().copied().unwrap_or_default();
    slowest(plan).takes(longest)
}

fn slowest(plan: &Plan) -> Rate {
    plan.rates
        .iter()
        .min_by_key(|rate| rate.0)
        .copied()
        .unwrap_or_default()
}

/// What reading one shard takes in ten seconds: five reads a second where there is something to read, and
/// checkpoints, unless there is one for each batch.
fn shard_requests(plan: &Plan) -> usize {
    let commits = match plan.commit_every.as_secs() {
        0 => 0,
        seconds => 10 / usize::try_from(seconds).unwrap_or(10),
    };
    50 + commits
}

/// For how long two workers can both take a lease for theirs, because their clocks are further apart than the
/// twentieth that the library allows for.
fn overlap(plan: &Plan) -> Duration {
    let longest = plan.lease_times.iter().max().copied().unwrap_or_default();
    let fastest = plan
        .rates
        .iter()
        .max_by_key(|rate| rate.0)
        .copied()
        .unwrap_or_default();
    let held = slowest(plan).takes(longest - longest / 20);
    held.saturating_sub(fastest.takes(longest))
}

/// Waits at least one tick, so that what was cancelled just now is gone.
pub(super) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// The initial position of a run, as a worker is told.
#[must_use]
pub fn initial_position(start: Start) -> kcl_core::model::InitialPosition {
    use kcl_core::model::InitialPosition;
    match start {
        Start::TrimHorizon => InitialPosition::TrimHorizon,
        Start::Latest => InitialPosition::Latest,
        Start::At(millis) => {
            InitialPosition::AtTimestamp(wall_zero() + Duration::from_millis(millis))
        }
    }
}
