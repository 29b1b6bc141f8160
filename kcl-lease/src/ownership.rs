//! `Ownership` made of the three tasks: keeper, planner and sync.
//!
//! Owns joining and leaving. The tasks hang from one `JoinSet`; dropping it is what a crash does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kcl_core::StreamTracker;
use kcl_core::error::{Error, ErrorKind, Problem};
use kcl_core::planted;
use kcl_core::port::{Ownership, OwnershipControl, OwnershipRun, OwnershipStart};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::holdings::{Holdings, Phase};
use crate::keeper::{Joined, Keeper};
use crate::plan::view::Observer;
use crate::plan::watch::Watching;
use crate::planner::streams::add_streams;
use crate::planner::{Balancing, Pace, Planner};
use crate::settings::LeaseSettings;
use crate::shards::ShardList;
use crate::store::{LeaseStore, StoreError};
use crate::sync::{Lists, Sync};
use crate::tracked::Tracked;

/// Leases kept in any store, for the shards of any list.
///
/// [`DynamoLeases`](crate::DynamoLeases) and [`MemoryLeases`](crate::MemoryLeases) are this with a
/// store made ready.
#[derive(Debug)]
pub struct Leases<S, L> {
    store: S,
    shards: L,
    settings: LeaseSettings,
}

/// Grants that wait for the worker to pick them up. A worker picks them up at once; this many only
/// keep the planner from waiting for it.
const GRANTS_WAITING_MAX: usize = 256;

/// The pauses between tries at the start.
const START_PAUSE_FIRST: Duration = Duration::from_millis(50);
const START_PAUSE_LAST: Duration = Duration::from_secs(2);

impl<S: LeaseStore, L: ShardList> Leases<S, L> {
    /// Leases in `store` for the shards that `shards` lists.
    #[must_use]
    pub fn new(store: S, shards: L) -> Self {
        Self {
            store,
            shards,
            settings: LeaseSettings::default(),
        }
    }

    /// With these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: LeaseSettings) -> Self {
        self.settings = settings;
        self
    }
}

#[async_trait]
impl<S: LeaseStore, L: ShardList> Ownership for Leases<S, L> {
    fn problems(&self) -> Vec<Problem> {
        self.settings.problems()
    }

    fn is_multi_stream(&self) -> bool {
        true
    }

    async fn start(self: Box<Self>, start: OwnershipStart) -> Result<OwnershipRun, Error> {
        let Self {
            store,
            shards,
            settings,
        } = *self;
        let (store, shards) = (Arc::new(store), Arc::new(shards));
        // ORDER: a channel for each task. The receivers of one would be woken in random order, and
        // a simulated run must be the same every time.
        let (to_keeper, keeper_phase) = watch::channel(Phase::Sharing);
        let (to_planner, planner_phase) = watch::channel(Phase::Sharing);
        let (to_sync, sync_phase) = watch::channel(Phase::Sharing);
        let events = start.events.clone();
        let holdings = Arc::new(Holdings::new(events.clone(), start.tracker.clone()));

        let mut keeper = Keeper {
            store: Arc::clone(&store),
            settings: settings.clone(),
            worker: start.worker.clone(),
            holdings: Arc::clone(&holdings),
            phase: keeper_phase,
            rng: start.env.rng(),
            events: events.clone(),
        };
        let (listed, joined) = enter(&*shards, &start, &settings, &mut keeper).await?;
        keeper.joined(&joined);
        // The keeper does this too, but the planner may run before it.
        holdings.begin(joined.key.clone(), joined.sent + settings.hold_for());

        let (sender, grants) = mpsc::channel(GRANTS_WAITING_MAX);
        let planner = Planner {
            store: Arc::clone(&store),
            settings: settings.clone(),
            holdings: Arc::clone(&holdings),
            phase: planner_phase,
            grants: sender,
            rng: start.env.rng(),
            observer: Observer::default(),
            rung_for: BTreeSet::new(),
            watching: Watching::default(),
            balance: Balancing::default(),
            changes: changes(&start.tracker),
            watch: None,
            term: None,
            kept: None,
            pace: Pace::default(),
            must_ring: false,
            life: None,
            events: events.clone(),
        };
        let sync = Sync {
            store: Arc::clone(&store),
            shards,
            settings: settings.clone(),
            holdings: Arc::clone(&holdings),
            phase: sync_phase,
            env: start.env.clone(),
            events,
            forgotten: BTreeMap::new(),
            failed: BTreeSet::new(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(start.env.task(keeper.run(joined)));
        tasks.spawn(start.env.task(sync.run(listed)));
        tasks.spawn(start.env.task(planner.run()));
        let control = Control {
            store,
            settings,
            holdings,
            phases: [to_keeper, to_planner, to_sync],
            tasks,
        };
        Ok(OwnershipRun {
            grants,
            control: Box::new(control),
        })
    }
}

/// Looks at the stream, makes the table, joins. Tries for a while if nothing answers.
async fn enter<S: LeaseStore, L: ShardList>(
    shards: &L,
    start: &OwnershipStart,
    settings: &LeaseSettings,
    keeper: &mut Keeper<S>,
) -> Result<(Lists, Joined), Error> {
    let deadline = Instant::now() + settings.start_timeout;
    let mut pause = START_PAUSE_FIRST;
    loop {
        let attempt = async {
            // The streams first: a name with a slip in it must not leave a table behind.
            let listed = list_all(shards, &start.tracker).await?;
            keeper
                .store
                .ensure_table()
                .await
                .map_err(StoreError::into_error)?;
            if let Some(set) = keeper.holdings.streams() {
                // ORDER: before the row of the worker, which refers to it.
                ready(add_streams(keeper.store.as_ref(), &set).await)?;
                keeper.holdings.declare(&set);
            }
            Ok((listed, ready(keeper.join().await)?))
        };
        let error: Error = match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(entered)) => return Ok(entered),
            Ok(Err(error)) => error,
            Err(_) => Error::new(
                ErrorKind::Unavailable,
                format!(
                    "worker {} could not join within {:?}",
                    start.worker, settings.start_timeout
                ),
            )
            .with_hint(
                "check the region, the endpoint and the network, or raise lease.start_timeout",
            ),
        };
        if error.kind() != ErrorKind::Unavailable || Instant::now() + pause >= deadline {
            return Err(error);
        }
        tracing::warn!(%error, "cannot join yet");
        sleep(pause).await;
        pause = (pause * 2).min(START_PAUSE_LAST);
    }
}

/// A table that was only just made may be unknown to some of its servers.
fn ready<T>(written: Result<T, StoreError>) -> Result<T, Error> {
    match written.map_err(StoreError::into_error) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::new(
            ErrorKind::Unavailable,
            "the lease table is not ready yet",
        )
        .with_source(error)),
        written => written,
    }
}

/// What rings when the streams change, if they can.
fn changes(tracker: &StreamTracker) -> Option<Arc<Notify>> {
    match tracker {
        StreamTracker::Single { .. } => None,
        StreamTracker::Multi(streams) => Some(streams.changes()),
    }
}

/// How many streams are listed at a time at the start.
const LISTS_AT_ONCE: usize = 8;

/// The shards of every stream. Each of them must be there at the start.
async fn list_all<L: ShardList>(shards: &L, tracker: &StreamTracker) -> Result<Lists, Error> {
    let list = |tracked: Tracked| async move {
        let listed = tracked.list(shards, None).await?;
        Ok((tracked.stream, listed))
    };
    let lists = stream::iter(Tracked::all(tracker)).map(list);
    lists.buffered(LISTS_AT_ONCE).try_collect().await
}

/// The worker's hold on its tasks.
struct Control<S> {
    store: Arc<S>,
    settings: LeaseSettings,
    holdings: Arc<Holdings>,
    /// One for each task.
    phases: [watch::Sender<Phase>; 3],
    tasks: JoinSet<Result<(), Error>>,
}

impl<S> fmt::Debug for Control<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("phase", &*self.phases[0].borrow())
            .finish_non_exhaustive()
    }
}

impl<S> Drop for Control<S> {
    fn drop(&mut self) {
        self.holdings.end();
    }
}

/// What the end of a task means.
pub(crate) fn outcome(ended: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    match ended {
        Ok(outcome) => outcome,
        Err(cause) if cause.is_cancelled() => Ok(()),
        Err(cause) => {
            Err(Error::new(ErrorKind::Internal, "a task of the leases panicked").with_source(cause))
        }
    }
}

/// Why the worker cannot go on without a task that ended although nobody asked it to.
pub(crate) fn ended_early(ended: Result<Result<(), Error>, JoinError>) -> Error {
    outcome(ended).err().unwrap_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "a task of the leases ended although the worker runs",
        )
        .with_hint("this is a mistake in the library: please report it")
    })
}

#[async_trait]
impl<S: LeaseStore> OwnershipControl for Control<S> {
    fn stop_taking(&mut self) {
        for phase in &self.phases {
            phase.send_if_modified(|phase| {
                let sharing = *phase == Phase::Sharing;
                *phase = (*phase).max(Phase::Leaving);
                sharing
            });
        }
    }

    async fn failed(&mut self) -> Error {
        // None of them ends before `leave` says so.
        match self.tasks.join_next().await {
            Some(ended) => {
                // Nothing can be renewed, taken or found any more: hold on to nothing.
                self.holdings.end();
                ended_early(ended)
            }
            None => std::future::pending().await,
        }
    }

    async fn leave(mut self: Box<Self>) -> Result<(), Error> {
        for phase in &self.phases {
            phase.send_replace(Phase::Stopped);
        }
        // The tasks end by themselves once the call they are in has returned.
        let patience = self.settings.duration / 2;
        let joined = timeout(patience, async {
            let mut first = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                first = first.and(outcome(ended));
            }
            first
        });
        let ended = joined.await.unwrap_or(Ok(()));
        self.tasks.shutdown().await;
        // ORDER: the row goes last. Without it this worker is dead to the others.
        self.holdings.end();
        if let Some(key) = self.holdings.last()
            && !planted!(LeavesRowBehind)
        {
            let deadline = Instant::now() + patience;
            while let Err(failure) = self.store.leave(&key).await {
                let pause = self.settings.duration / 50;
                match failure {
                    StoreError::Unavailable(_) if Instant::now() + pause < deadline => {
                        sleep(pause).await;
                    }
                    StoreError::Unavailable(error) | StoreError::Fatal(error) => return Err(error),
                }
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryTable;
    use kcl_core::event::Events;
    use kcl_core::model::{InitialPosition, StreamName};

    fn control(
        phase: Phase,
        task: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Control<MemoryTable> {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        tasks.spawn(std::future::pending());
        let tracker = StreamTracker::Single {
            stream: StreamName::new("orders").expect("a name"),
            initial_position: InitialPosition::TrimHorizon,
        };
        Control {
            store: Arc::new(MemoryTable::new()),
            settings: LeaseSettings::default(),
            holdings: Arc::new(Holdings::new(Events::default(), tracker)),
            phases: [0; 3].map(|_| watch::Sender::new(phase)),
            tasks,
        }
    }

    #[tokio::test]
    async fn a_task_that_ends_unasked_ends_the_worker_even_without_an_error() {
        for phase in [Phase::Sharing, Phase::Leaving] {
            let error = control(phase, async { Ok(()) }).failed().await;
            assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
            assert!(error.to_string().contains("ended although"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_the_worker() {
        let error = control(Phase::Sharing, async { panic!("scripted") })
            .failed()
            .await;
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.to_string().contains("panicked"), "{error}");
    }
}
