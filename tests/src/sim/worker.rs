//! One worker of a fleet and its lives: started, killed, stopped, and started again.
//!
//! A life is an unmodified [`Worker`] with unmodified SDK clients; only their HTTP client, clock and
//! sleep are the simulation's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::config::SharedHttpClient;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use fastrand::Rng;
use kcl_core::env::{Env, Gate};
use kcl_core::model::ShardId;
use kcl_core::{
    CheckpointPolicy, CommitSettings, ErrorKind, PollSettings, Polling, Settings, ShardContext,
    ShutdownSettings, Streams, Worker, event,
};
use kcl_efo::{FanOut, FanOutSettings, SubscriptionSettings, Switch};
use kcl_lease::{DynamoLeases, LeaseSettings};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::clock::{Calendar, Rate, VirtualSleep, WallClock};
use super::handler::{Handlers, Read};
use super::history::{Event, History, Leftovers, Notice, Process, Step};
use super::ledger::Start;
use super::net::{Line, Net};
use super::processor::Processors;
use super::scenario::{Heavy, Retrieval};
use super::world::{APPLICATION, SECOND, STREAM, initial_position, settle};

/// How long a worker that ended by itself stays down.
const BACK_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// What is done to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Dropped without warning.
    Kill {
        /// When it comes back.
        back_after: Duration,
    },
    /// Asked to stop.
    Stop {
        /// When it comes back, from its end.
        back_after: Duration,
    },
    /// Held up.
    Freeze {
        /// For how long.
        length: Duration,
    },
    /// Its wall clock is set.
    ClockJump {
        /// By so many milliseconds.
        by: i64,
    },
}

/// Keeps one worker running, and carries out commands.
#[derive(Debug)]
pub struct Supervisor {
    /// Which worker.
    pub worker: u8,
    /// Where its lives are written down.
    pub history: History,
    /// The network.
    pub net: Net,
    /// Its user's code.
    pub processors: Processors,
    /// The handlers, if records go to those.
    pub handlers: Option<Handlers>,
    /// The seed of its lives.
    pub rng: Rng,
    /// What the services' wall clock shows.
    pub calendar: Calendar,
    /// How fast its clocks go.
    pub rate: Rate,
    /// By how many milliseconds its wall clock is off at first.
    pub skew: i64,
    /// Its name.
    pub name: String,
    /// How long its leases last.
    pub lease_time: Duration,
    /// How long it waits after an empty page.
    pub poll_idle: Duration,
    /// How it reads.
    pub retrieval: Retrieval,
    /// How long it waits between two checkpoints of a shard.
    pub commit_every: Duration,
    /// How often it asks for shards that nobody knows.
    pub sync_every: Duration,
    /// How long a call may take while a shard is given back, and then all of that.
    pub drain: (Duration, Duration),
    /// The SDK's time-out for the first byte, if set.
    pub read_timeout: Option<Duration>,
    /// Where the application starts.
    pub start: Start,
    /// How much it can do, where loads differ.
    pub capacity: Option<f64>,
    /// Whether it reads the second stream as well.
    pub reads_two: bool,
}

/// What ends the wait for a life.
enum Woken {
    Exited(Result<Result<(), String>, tokio::task::JoinError>),
    Told(Option<Command>),
    Thaw,
}

/// How a life ended.
enum Ended {
    BackAfter(Duration),
    ForGood,
}

impl Supervisor {
    /// Runs until the commands end, then stops the worker gracefully.
    pub async fn run(mut self, first: Duration, mut commands: mpsc::Receiver<Command>) {
        sleep(first).await;
        let skew = Arc::new(AtomicI64::new(self.skew));
        for life in 0.. {
            let process = Process {
                worker: self.worker,
                life,
            };
            let clock = WallClock {
                calendar: self.calendar.clone(),
                // LATEST is fixed by the worker's wall clock, unless that is ahead: one that falls behind starts behind.
                rate: match self.start {
                    Start::Latest => Rate(self.rate.0.max(0)),
                    Start::TrimHorizon | Start::At(_) => self.rate,
                },
                skew: Arc::clone(&skew),
            };
            match self.live(process, clock, &mut commands).await {
                Ended::ForGood => return,
                Ended::BackAfter(wait) => sleep(wait).await,
            }
        }
    }

    async fn live(
        &mut self,
        process: Process,
        clock: WallClock,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Ended {
        self.add(process, Step::Started);
        let (stop, stopped) = oneshot::channel::<()>();
        let mut stop = Some(stop);
        let gate = Gate::default();
        let line = self.net.line(process, self.rate, self.rng.fork());
        let run = self.start(
            process,
            clock.clone(),
            (gate.clone(), line.clone()),
            stopped,
        );
        let mut task = tokio::spawn(run);
        let mut back_after = None;
        let mut last = false;
        let mut thaws = None;
        loop {
            let woken = tokio::select! {
                biased;
                exited = &mut task => Woken::Exited(exited),
                command = commands.recv(), if !last => Woken::Told(command),
                () = at(thaws) => Woken::Thaw,
            };
            match woken {
                Woken::Thaw => {
                    thaws = None;
                    self.add(process, Step::Thawed);
                    gate.open(&mut self.rng);
                }
                Woken::Told(Some(Command::Freeze { length })) => {
                    if thaws.is_none() {
                        thaws = Some(Instant::now() + length);
                        self.add(process, Step::Frozen);
                        gate.close();
                    }
                }
                Woken::Told(Some(Command::ClockJump { by })) => {
                    clock.skew.fetch_add(by, Ordering::Relaxed);
                }
                Woken::Exited(exited) => {
                    let outcome = exited.unwrap_or_else(|error| Err(format!("panic: {error}")));
                    settle().await;
                    self.tell_forgotten(process, &outcome);
                    self.add(process, Step::Exited(outcome));
                    self.look_for_leftovers(process, &gate, &line);
                    return match last {
                        true => Ended::ForGood,
                        false => Ended::BackAfter(back_after.unwrap_or(BACK_AFTER_FAILURE)),
                    };
                }
                Woken::Told(Some(Command::Kill { back_after })) => {
                    task.abort();
                    drop((&mut task).await);
                    settle().await;
                    self.add(process, Step::Killed);
                    self.look_for_leftovers(process, &gate, &line);
                    return Ended::BackAfter(back_after);
                }
                Woken::Told(command) => {
                    last = command.is_none();
                    if let Some(Command::Stop { back_after: wait }) = command {
                        back_after.get_or_insert(wait);
                    }
                    if let Some(stop) = stop.take() {
                        self.add(process, Step::StopAsked);
                        drop(stop);
                    }
                }
            }
        }
    }

    fn add(&self, process: Process, step: Step) {
        self.history.add(Event::Life { process, step });
    }

    /// A worker that ends because its shard is no longer there says so with its error.
    fn tell_forgotten(&self, process: Process, outcome: &Result<(), String>) {
        let Err(error) = outcome else { return };
        let name = |error: &str| {
            let (_, rest) = error.split_once("(shard ")?;
            let (shard, rest) = rest.split_once(')')?;
            (error.starts_with("NotFound") && rest.contains("does not exist"))
                .then(|| ShardId::new(shard))
        };
        let Some(shard) = name(error) else { return };
        let checkpoint = self.history.read(|oracle| {
            let of = oracle.ledger().shards.get(&shard);
            let row = of.and_then(|of| of.row.as_ref());
            row.map(|row| row.checkpoint.clone())
        });
        if let Some(checkpoint) = checkpoint {
            let notice = Notice::Forgotten { shard, checkpoint };
            self.history.add(Event::Told { process, notice });
        }
    }

    fn look_for_leftovers(&self, process: Process, gate: &Gate, line: &Line) {
        let leftovers = Leftovers {
            tasks: gate.tasks(),
            requests: line.open(),
            processors: self.processors.alive(process),
        };
        self.history.add(Event::Left { process, leftovers });
    }

    /// One life of the worker, ready to be polled.
    fn start(
        &mut self,
        process: Process,
        clock: WallClock,
        (gate, line): (Gate, Line),
        stopped: oneshot::Receiver<()>,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let config = self.config(line, clock.clone());
        let rng = Mutex::new(self.rng.fork());
        let processors = self.processors.clone();
        // By its own clock, see `clock`.
        let takes = |time| self.rate.takes(time);
        let policy = CheckpointPolicy::Automatic {
            every: takes(self.commit_every),
        };
        let shutdown = ShutdownSettings {
            call_max: takes(self.drain.0),
            drain_max: takes(self.drain.1),
            ..ShutdownSettings::default()
        };
        let mut settings = Settings {
            commit: CommitSettings { policy },
            shutdown,
            ..Settings::default()
        };
        let handlers = self.handlers.as_ref();
        let handler = handlers.map(|it| it.of(process, self.rate));
        if let Some(handler) = &handler {
            handler.apply(&mut settings);
        }
        let poll = PollSettings {
            idle: takes(self.poll_idle),
            ..PollSettings::default()
        };
        let lease = LeaseSettings {
            duration: takes(self.lease_time),
            sync_interval: takes(self.sync_every),
            start_timeout: takes(LeaseSettings::default().start_timeout),
            capacity: self.capacity.unwrap_or(1.0),
            load_patience: self.capacity.map(|_| takes(Heavy::PATIENCE)),
            ..LeaseSettings::default()
        };
        let history = self.history.clone();
        let env = Env::simulated(move || clock.now(), self.rng.u64(..)).with_gate(gate);
        let polling = Polling::new(&config).with_settings(poll);
        let start = initial_position(self.start);
        let builder = if self.reads_two {
            let streams = Streams::new();
            for stream in [STREAM, SECOND] {
                streams.add(stream, start).expect("two streams");
            }
            Worker::builder_for_streams(APPLICATION, streams)
        } else {
            Worker::builder(APPLICATION, STREAM).with_initial_position(start)
        };
        let (builder, switch) = match self.retrieval {
            Retrieval::Polling => (builder.with_source(polling), None),
            Retrieval::FanOut => (builder.with_source(self.fan_out(&config)), None),
            Retrieval::Either => {
                let source = self.fan_out(&config).with_fallback(polling);
                (builder.with_source(source), None)
            }
            Retrieval::Switched => {
                let source = self.fan_out(&config).with_fallback(polling);
                let switch = source.switch();
                (builder.with_source(source), Some(switch))
            }
        };
        let switched = switched(switch.map(|switch| (switch, self.rng.fork())));
        let told = handler.clone();
        let builder = builder
            .with_settings(settings)
            .with_worker_id(&self.name)
            .with_ownership(DynamoLeases::new(&config).with_settings(lease))
            .with_env(env.clone())
            .with_observer(move |event: &event::Event| {
                if let Some(notice) = notice(event) {
                    history.add(Event::Told { process, notice });
                }
                if let Some(handler) = &told {
                    handler.hears(event);
                }
            });
        let (builder, read) = match handler {
            Some(handler) => handler.open(builder),
            None => {
                let make = move |_: &ShardContext| {
                    let rng = rng.lock().unwrap_or_else(PoisonError::into_inner).fork();
                    processors.make(process, rng)
                };
                (builder.with_processor(make), None)
            }
        };
        let worker = builder.build();
        env.task(async move {
            let worker = worker.map_err(|error| error.to_string())?;
            let shutdown = async {
                // Dropping the sender is the signal.
                drop(stopped.await);
            };
            let run = worker.run(shutdown);
            let outcome = tokio::select! {
                biased; // ORDER: an end before a change that it makes vain
                outcome = run => outcome,
                never = switched => match never {},
                () = reads(read) => return Err("the stream of batches ended before its worker".into()),
            };
            outcome.map(drop).map_err(|error| describe(&error))
        })
    }

    /// Reading by fan-out, by this worker's clock.
    fn fan_out(&self, config: &SdkConfig) -> FanOut {
        let takes = |time| self.rate.takes(time);
        let usual = SubscriptionSettings::default();
        let subscription = SubscriptionSettings {
            // One that is slow by much is overtaken by the end that the service sets.
            renew_after: takes(usual.renew_after).min(Duration::from_secs(299)),
            silence_max: takes(usual.silence_max),
            hold_max: takes(usual.hold_max),
            reopen_after: takes(usual.reopen_after),
            retry_pause_min: takes(usual.retry_pause_min),
            ..usual
        };
        FanOut::new(config, APPLICATION).with_settings(FanOutSettings {
            subscription,
            ..FanOutSettings::default()
        })
    }

    fn config(&self, line: Line, clock: WallClock) -> SdkConfig {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "simulation");
        let timeouts = {
            let mut timeouts = TimeoutConfig::builder();
            timeouts.set_read_timeout(self.read_timeout);
            timeouts
        };
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url("http://emulator")
            .http_client(SharedHttpClient::new(line))
            .sleep_impl(VirtualSleep(self.rate))
            .time_source(clock)
            .timeout_config(timeouts.build())
            .build()
    }
}

/// What a worker tells its application of a loss.
fn notice(event: &event::Event) -> Option<Notice> {
    Some(match event {
        event::Event::RecordsTrimmed(gap) => Notice::Trimmed {
            shard: gap.shard.clone(),
            after: gap.after.clone(),
            next: gap.next.clone(),
        },
        event::Event::ShardForgotten { shard, checkpoint } => Notice::Forgotten {
            shard: shard.clone(),
            checkpoint: checkpoint.clone(),
        },
        event::Event::LeaseVanished { shard, checkpoint } => Notice::Vanished {
            shard: shard.clone(),
            checkpoint: checkpoint.clone(),
        },
        event::Event::CoordinationFailed { error } if error.kind == ErrorKind::NotFound => {
            Notice::TableGone
        }
        _ => return None,
    })
}

/// An error with its causes, on one line.
fn describe(error: &kcl_core::error::Error) -> String {
    let mut text = format!("{:?}: {error}", error.kind());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Somebody changes now and then how a worker reads.
async fn switched(switch: Option<(Switch, Rng)>) -> std::convert::Infallible {
    let Some((switch, mut rng)) = switch else {
        return std::future::pending().await;
    };
    loop {
        sleep(Duration::from_millis(rng.u64(500..90_000))).await;
        let to = match switch.wanted() {
            event::Retrieval::FanOut => event::Retrieval::Polling,
            event::Retrieval::Polling => event::Retrieval::FanOut,
        };
        switch
            .to(to)
            .expect("the source of this worker has a fallback");
    }
}

/// Reads a stream of batches, if there is one.
async fn reads(read: Option<Read>) {
    match read {
        Some(read) => read.await,
        None => std::future::pending().await,
    }
}

/// Nothing: never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
