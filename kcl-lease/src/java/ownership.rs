//! `Ownership` made of the tasks: the look with its tenures, and the sync. Owns joining and leaving.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_types::SdkConfig;
use kcl_core::StreamTracker;
use kcl_core::error::{Error, ErrorKind, Problem};
use kcl_core::model::{InitialPosition, StreamName};
use kcl_core::port::{Ownership, OwnershipControl, OwnershipRun, OwnershipStart};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::coordination::Home;
use super::holdings::Holdings;
use super::lead::{Due, Lead};
use super::lock::Watch;
use super::look::{Look, leases, wrong_fleet};
use super::row::Version;
use super::settings::{JavaFleet, JavaSettings};
use super::sync::Sync;
use super::table::JavaTable;
use super::tenure::Common;
use super::view::Observer;
use crate::holdings::Phase;
use crate::leases::{Clients, table_name_problem};
use crate::ownership::{ended_early, outcome};
use crate::shards::{KinesisShards, ShardList as _};
use crate::store::{Freshness, StoreError};

/// Grants that wait for the worker to pick them up. A worker picks them up at once.
const GRANTS_WAITING_MAX: usize = 256;

/// The pauses between tries at the start.
const START_PAUSE_FIRST: Duration = Duration::from_millis(50);
const START_PAUSE_LAST: Duration = Duration::from_secs(2);

/// Leases in the table of a Java KCL application, shared with its workers. The table is named after the
/// application, as the KCL names it, and is made if there is none.
///
/// Stream, application, initial position and [`JavaSettings`] must be those of the Java workers. A worker id
/// must be unique among all workers, of both kinds.
#[derive(Debug)]
pub struct JavaLeases {
    clients: Clients,
    table_name: Option<String>,
    settings: JavaSettings,
}

impl JavaLeases {
    /// With clients of their own, made from this configuration: short time-outs, and a retry
    /// budget that nothing else can use up.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::with_clients(Clients::FromConfig(Box::new(config.clone())))
    }

    /// With these clients as they are. Their time-outs should be well below the failover time.
    #[must_use]
    pub fn from_clients(
        dynamodb: aws_sdk_dynamodb::Client,
        kinesis: aws_sdk_kinesis::Client,
    ) -> Self {
        Self::with_clients(Clients::Given { dynamodb, kinesis })
    }

    fn with_clients(clients: Clients) -> Self {
        Self {
            clients,
            table_name: None,
            settings: JavaSettings::default(),
        }
    }

    /// In a table of this name.
    #[must_use]
    pub fn with_table_name(mut self, name: impl Into<String>) -> Self {
        self.table_name = Some(name.into());
        self
    }

    /// With these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: JavaSettings) -> Self {
        self.settings = settings;
        self
    }
}

#[async_trait]
impl Ownership for JavaLeases {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.settings.problems();
        problems.extend(self.table_name.as_deref().and_then(table_name_problem));
        problems
    }

    async fn start(self: Box<Self>, start: OwnershipStart) -> Result<OwnershipRun, Error> {
        let Self {
            clients,
            table_name,
            settings,
        } = *self;
        let table_name = table_name.unwrap_or_else(|| start.application.to_string());
        if let Some(problem) = table_name_problem(&table_name) {
            return Err(Error::new(ErrorKind::Invalid, problem.to_string())
                .with_hint("set another with `with_table_name`"));
        }
        let StreamTracker::Single {
            stream,
            initial_position,
        } = start.tracker.clone()
        else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "leases that Java workers share are of one stream only",
            )
            .with_hint("make the worker with Worker::builder"));
        };
        let names = ["kcl-lease-java-table", "kcl-lease-java-held"];
        let (inner, shards) = clients.make(table_name, names, settings.failover);
        let at = match initial_position {
            InitialPosition::AtTimestamp(time) => Some(time),
            InitialPosition::TrimHorizon | InitialPosition::Latest => None,
        };
        let table = JavaTable { inner, at };
        let home = enter(&table, (&shards, &stream), &start, &settings).await?;
        tracing::info!(worker = %start.worker, application = %start.application, "worker joins a fleet of Java workers");
        let from = (stream, initial_position);
        Ok(run((table, home), (shards, from), start, settings))
    }
}

fn run(
    (table, home): (JavaTable, Option<Home>),
    (shards, (stream, initial_position)): (KinesisShards, (StreamName, InitialPosition)),
    start: OwnershipStart,
    settings: JavaSettings,
) -> OwnershipRun {
    let (phase, phases) = watch::channel(Phase::Sharing);
    let (sender, grants) = mpsc::channel(GRANTS_WAITING_MAX);
    let common = Common {
        table: Arc::new(table),
        settings: Arc::new(settings),
        holdings: Arc::new(Holdings::default()),
        me: start.worker,
        phase: phases,
        grants: sender,
    };
    let sync = Sync {
        table: Arc::clone(&common.table),
        shards: Arc::new(shards),
        settings: Arc::clone(&common.settings),
        stream,
        initial_position,
        me: common.me.clone(),
        holdings: Arc::clone(&common.holdings),
        phase: common.phase.clone(),
        env: start.env.clone(),
    };
    let look = Look {
        common: common.clone(),
        observer: Observer::default(),
        tenures: JoinSet::new(),
        rng: start.env.rng(),
        env: start.env.clone(),
    };
    let env = start.env.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(env.task(sync.run()));
    tasks.spawn(env.task(look.run()));
    if let Some(home) = home {
        let lead = Lead {
            common: common.clone(),
            home,
            rng: start.env.rng(),
            env: start.env,
            observer: Observer::default(),
            watch: Watch::default(),
            held: None,
            claimed: None,
            due: Due::now(Instant::now()),
        };
        tasks.spawn(env.task(lead.run()));
    }
    let patience = common.settings.failover / 2;
    OwnershipRun {
        grants,
        control: Box::new(Control {
            patience,
            phase,
            tasks,
        }),
    }
}

/// Looks at the stream, makes the table, asks whether the fleet follows the protocol. Tries for a while if
/// nothing answers.
async fn enter(
    table: &JavaTable,
    (shards, stream): (&KinesisShards, &StreamName),
    start: &OwnershipStart,
    settings: &JavaSettings,
) -> Result<Option<Home>, Error> {
    let deadline = Instant::now() + settings.start_timeout;
    let mut pause = START_PAUSE_FIRST;
    loop {
        let attempt = async {
            // The stream first: a name with a slip in it must not leave a table behind.
            shards.list(stream, None).await?;
            table.ensure().await.map_err(StoreError::into_error)?;
            agree(table, start, settings.fleet).await
        };
        let error: Error = match timeout_at(deadline, attempt).await {
            Ok(Ok(home)) => return Ok(home),
            Ok(Err(error)) => error,
            Err(_) => {
                let message = format!(
                    "worker {} could not join within {:?}",
                    start.worker, settings.start_timeout
                );
                Error::new(ErrorKind::Unavailable, message).with_hint(
                    "check the region, the endpoint and the network, or raise java.start_timeout",
                )
            }
        };
        if error.kind() != ErrorKind::Unavailable || Instant::now() + pause >= deadline {
            return Err(error);
        }
        tracing::warn!(%error, "cannot join yet");
        sleep(pause).await;
        pause = (pause * 2).min(START_PAUSE_LAST);
    }
}

/// Whether the table is of a fleet that this worker can join. Answers where its coordination is kept, if it
/// has any.
async fn agree(
    table: &JavaTable,
    start: &OwnershipStart,
    fleet: JavaFleet,
) -> Result<Option<Home>, Error> {
    let rows = table.scan(Freshness::Consistent).await;
    let leases = leases(rows.map_err(StoreError::into_error)?, fleet)?;
    let home = match Home::find(table, &start.application).await {
        Ok(home) => home,
        // Such a fleet has no such table, so it needs no permission for it.
        Err(StoreError::Fatal(error))
            if fleet == JavaFleet::V2 && error.kind() == ErrorKind::Denied =>
        {
            return Ok(None);
        }
        Err(failure) => return Err(failure.into_error()),
    };
    let version = table.read_version(&home).await;
    match (fleet, version.map_err(StoreError::into_error)?) {
        (JavaFleet::V2, Some(Version::Taking) | None) => Ok(None),
        (JavaFleet::V3, Some(Version::Led)) => Ok(Some(home)),
        (JavaFleet::V3, None) if leases.is_empty() && home.is_single() => {
            // Refused is as good: the next look tells what another worker wrote.
            let written = table.write_version(&start.worker, start.env.wall()).await;
            written.map_err(StoreError::into_error)?;
            Ok(Some(home))
        }
        (JavaFleet::V2, Some(Version::Led)) | (JavaFleet::V3, Some(Version::Taking) | None) => {
            Err(wrong_fleet(fleet))
        }
    }
}

/// The worker's hold on its tasks.
struct Control {
    patience: Duration,
    phase: watch::Sender<Phase>,
    tasks: JoinSet<Result<(), Error>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("phase", &*self.phase.borrow())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl OwnershipControl for Control {
    fn stop_taking(&mut self) {
        self.phase.send_if_modified(|phase| {
            let sharing = *phase == Phase::Sharing;
            *phase = (*phase).max(Phase::Leaving);
            sharing
        });
    }

    async fn failed(&mut self) -> Error {
        loop {
            match self.tasks.join_next().await {
                // Who leads gives that up, and ends, as soon as the worker leaves.
                Some(Ok(Ok(()))) if *self.phase.borrow() != Phase::Sharing => {}
                Some(ended) => {
                    // Nothing can be taken or found any more: hold on to nothing.
                    self.tasks.abort_all();
                    return ended_early(ended);
                }
                None => return std::future::pending().await,
            }
        }
    }

    async fn leave(mut self: Box<Self>) -> Result<(), Error> {
        self.phase.send_replace(Phase::Stopped);
        // The tasks end by themselves once what they hold is given back.
        let joined = timeout(self.patience, async {
            let mut first = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                first = first.and(outcome(ended));
            }
            first
        });
        let ended = joined.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unavailable,
                "some leases could not be given back in time; they expire",
            ))
        });
        self.tasks.shutdown().await;
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(
        phase: Phase,
        task: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Control {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        tasks.spawn(std::future::pending());
        Control {
            patience: Duration::from_secs(1),
            phase: watch::Sender::new(phase),
            tasks,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_unasked_ends_the_worker_even_without_an_error() {
        let error = control(Phase::Sharing, async { Ok(()) }).failed().await;
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.to_string().contains("ended although"), "{error}");

        let mut leaving = control(Phase::Leaving, async { Ok(()) });
        let waited = timeout(Duration::from_secs(60), leaving.failed()).await;
        assert!(waited.is_err(), "who leads ends when the worker leaves");
    }
}
