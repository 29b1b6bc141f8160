//! One worker of a fleet and its lives: started, killed, stopped, and started again.
//!
//! A life is an unmodified [`Worker`] with unmodified SDK clients; only their HTTP client, clock and
//! sleep are the simulation's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::config::SharedHttpClient;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use fastrand::Rng;
use kcl_core::env::{Env, Gate};
use kcl_core::{
    CheckpointPolicy, CommitSettings, PollSettings, Polling, Settings, Streams, Worker,
};
use kcl_lease::{DynamoLeases, LeaseSettings};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::history::{Event, History, Process, Step};
use super::ledger::Start;
use super::net::Net;
use super::processor::Processors;
use super::scenario::Heavy;
use super::world::{APPLICATION, SECOND, STREAM, initial_position, settle, wall_zero};

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
    /// The seed of its lives.
    pub rng: Rng,
    /// The start of the run.
    pub zero: Instant,
    /// By how many milliseconds its wall clock is off at first.
    pub skew: i64,
    /// Its name.
    pub name: String,
    /// How long its leases last.
    pub lease_time: Duration,
    /// How long it waits after an empty page.
    pub poll_idle: Duration,
    /// How long it waits between two checkpoints of a shard.
    pub commit_every: Duration,
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
                zero: self.zero,
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
        let run = self.start(process, clock.clone(), gate.clone(), stopped);
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
                    self.add(process, Step::Exited(outcome));
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

    /// One life of the worker, ready to be polled.
    fn start(
        &mut self,
        process: Process,
        clock: WallClock,
        gate: Gate,
        stopped: oneshot::Receiver<()>,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let config = self.config(process, clock.clone());
        let rng = Mutex::new(self.rng.fork());
        let processors = self.processors.clone();
        let policy = CheckpointPolicy::Automatic {
            every: self.commit_every,
        };
        let settings = Settings {
            commit: CommitSettings { policy },
            ..Settings::default()
        };
        let poll = PollSettings {
            idle: self.poll_idle,
            ..PollSettings::default()
        };
        let lease = LeaseSettings {
            duration: self.lease_time,
            capacity: self.capacity.unwrap_or(1.0),
            load_patience: self.capacity.map(|_| Heavy::PATIENCE),
            ..LeaseSettings::default()
        };
        let env = Env::simulated(move || clock.now(), self.rng.u64(..)).with_gate(gate);
        let start = initial_position(self.start);
        let worker = if self.reads_two {
            let streams = Streams::new();
            for stream in [STREAM, SECOND] {
                streams.add(stream, start).expect("two streams");
            }
            Worker::builder_for_streams(APPLICATION, streams)
        } else {
            Worker::builder(APPLICATION, STREAM).with_initial_position(start)
        };
        let worker = worker
            .with_settings(settings)
            .with_worker_id(&self.name)
            .with_source(Polling::new(&config).with_settings(poll))
            .with_ownership(DynamoLeases::new(&config).with_settings(lease))
            .with_env(env.clone())
            .with_processor(move |_| {
                let rng = rng.lock().unwrap_or_else(PoisonError::into_inner).fork();
                processors.make(process, rng)
            })
            .build();
        env.task(async move {
            let worker = worker.map_err(|error| error.to_string())?;
            let shutdown = async {
                // Dropping the sender is the signal.
                drop(stopped.await);
            };
            worker
                .run(shutdown)
                .await
                .map(drop)
                .map_err(|error| describe(&error))
        })
    }

    fn config(&mut self, process: Process, clock: WallClock) -> SdkConfig {
        let line = self.net.line(process, self.rng.fork());
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
            .sleep_impl(VirtualSleep)
            .time_source(clock)
            .timeout_config(timeouts.build())
            .build()
    }
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

/// Nothing: never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The wall clock of one worker.
#[derive(Clone, Debug)]
struct WallClock {
    zero: Instant,
    /// In milliseconds.
    skew: Arc<AtomicI64>,
}

impl WallClock {
    fn now(&self) -> SystemTime {
        let off = self.skew.load(Ordering::Relaxed);
        let skew = Duration::from_millis(off.unsigned_abs());
        let right = wall_zero() + self.zero.elapsed();
        if off < 0 { right - skew } else { right + skew }
    }
}

impl TimeSource for WallClock {
    fn now(&self) -> SystemTime {
        Self::now(self)
    }
}

/// The SDK's timers, on tokio's time.
#[derive(Debug)]
struct VirtualSleep;

impl AsyncSleep for VirtualSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(sleep(duration))
    }
}
