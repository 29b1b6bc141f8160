//! The root task: starts the ownership, turns each grant into a shard task, and leaves in order.
//!
//! It owns the set of shard tasks and the hold on the ownership. It reads no record and writes no
//! checkpoint. [`crate::builder`] makes it.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Instrument;

use super::door::Door;
use super::report::{Counters, EndReason, Report};
use super::shard::{self, CutShort, Shared};
use super::shutdown::{Drain, Why};
use crate::builder::{Given, WorkerBuilder};
use crate::decide::shard::End;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Events, Failure, Observer, Origin, StopReason};
use crate::model::{ApplicationName, Epoch, ShardId, StreamName, WorkerId};
use crate::port::{
    Grant, Ownership, OwnershipControl, OwnershipRun, OwnershipStart, RecordSource, ShardContext,
};
use crate::settings::Settings;
use crate::streams::{StreamTracker, Streams};

/// A consumer of one stream or several, in one process of one application. Made by [`Worker::builder`]
/// or [`Worker::builder_for_streams`], run once by [`Worker::run`].
pub struct Worker {
    pub(crate) application: ApplicationName,
    pub(crate) tracker: StreamTracker,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) source: Arc<dyn RecordSource>,
    pub(crate) ownership: Box<dyn Ownership>,
    pub(crate) door: Door,
    pub(crate) settings: Arc<Settings>,
    pub(crate) env: Env,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
}

impl Worker {
    /// Starts to describe a worker of this application on this stream. Names are checked by
    /// [`WorkerBuilder::build`], with everything else.
    pub fn builder(application: impl Into<String>, stream: impl Into<String>) -> WorkerBuilder {
        WorkerBuilder::new(application.into(), Given::One(stream.into()))
    }

    /// Starts to describe a worker of this application on several streams, which may come and go
    /// while it runs. Workers of one application may read different ones; each is given shards of its own
    /// streams alone. An application reads either one stream or several: its lease table is of one kind.
    ///
    /// ```
    /// # fn main() -> Result<(), kcl_core::Error> {
    /// # use kcl_core::contract::{FixedOwnership, ScriptedSource};
    /// # use kcl_core::*;
    /// # struct Ignore;
    /// # #[async_trait]
    /// # impl RecordProcessor for Ignore {
    /// #     async fn process_records(
    /// #         &mut self, _: &ShardContext, _: &Batch, _: &Checkpointer,
    /// #     ) -> ProcessorResult { Ok(()) }
    /// # }
    /// let streams = Streams::new();
    /// streams.add("orders", InitialPosition::TrimHorizon)?;
    /// streams.add("clicks", InitialPosition::Latest)?;
    /// let worker = Worker::builder_for_streams("shop", streams.clone())
    /// #     .with_source(ScriptedSource::new())
    /// #     .with_ownership(FixedOwnership::new(["shard-0"]))
    /// #     .with_processor(|_: &ShardContext| Ignore)
    ///     .build()?;
    /// streams.remove("clicks"); // at any time
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_for_streams(application: impl Into<String>, streams: Streams) -> WorkerBuilder {
        WorkerBuilder::new(application.into(), Given::Several(streams))
    }

    /// Reads shards until `shutdown` resolves, then drains: calls in hand finish, processors get
    /// `shutdown_requested`, what is acknowledged is committed and every shard is given back. It
    /// returns when every task has ended.
    ///
    /// Dropping the future is a crash: nothing is committed or given back, and the shards wait for
    /// their lease time to be over.
    ///
    /// # Errors
    /// If the application cannot be joined, if the stream or the lease table is gone or not
    /// permitted, or if a processor failed and [`FailurePolicy`](crate::FailurePolicy) says to
    /// stop. What could be drained has been drained then as well.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Report, Error> {
        let mut shutdown = pin!(shutdown);
        let worker = self.worker.unwrap_or_else(|| name(&self.env));
        let origin = Origin {
            application: self.application.clone(),
            stream: self.tracker.single().cloned(),
            worker: worker.clone(),
        };
        let events = Events::new(origin, self.observers);
        let start = OwnershipStart {
            application: self.application.clone(),
            tracker: self.tracker.clone(),
            worker: worker.clone(),
            env: self.env.clone(),
            events: events.clone(),
        };
        let counters = Arc::new(Counters::default());
        let mut root = Root {
            shared: Shared {
                source: self.source,
                door: self.door,
                settings: self.settings,
                env: self.env,
                counters,
                events,
                cut_short: CutShort::default(),
            },
            application: self.application,
            stream: self.tracker.single().cloned(),
            worker,
            tasks: JoinSet::new(),
            names: BTreeMap::new(),
            shards: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ended: Ended::default(),
            drain: None,
        };
        let events = root.shared.events.clone();
        events.emit(&Event::WorkerStarted);
        let patience = root.shared.settings.shutdown.lost_max;
        let joined = join(self.ownership, start, shutdown.as_mut(), patience).await;
        let ended = match joined {
            None | Some((Err(_), true)) => Ok(root.report(EndReason::Shutdown)),
            Some((Err(error), false)) => Err(error),
            Some((Ok(run), is_asked)) => {
                let shutdown = pin!(async {
                    if !is_asked {
                        shutdown.await;
                    }
                });
                let OwnershipRun {
                    mut grants,
                    mut control,
                } = run;
                root.work(&mut grants, control.as_mut(), shutdown).await;
                // ORDER: grants that came too late to be read are dropped while the ownership still
                // runs, so that it can give them back.
                drop(grants);
                root.leave(control).await
            }
        };
        events.emit(&match &ended {
            Ok(report) => Event::WorkerEnded(report.clone()),
            Err(error) => Event::WorkerFailed {
                error: Failure::from(error),
            },
        });
        ended
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("application", &self.application)
            .field("tracker", &self.tracker)
            .field("worker", &self.worker)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Joins the application, unless the worker is asked to stop; tells whether it was. Nothing if that is all
/// there is to tell.
///
/// Who has begun to join may have told the others already, and they would wait for it to expire. So it gets
/// `patience` to come to the end of it, and then leaves in order.
async fn join(
    ownership: Box<dyn Ownership>,
    start: OwnershipStart,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    patience: Duration,
) -> Option<(Result<OwnershipRun, Error>, bool)> {
    if shutdown.as_mut().now_or_never().is_some() {
        return None;
    }
    let mut starting = ownership.start(start);
    tokio::select! {
        biased;
        () = &mut shutdown => {
            let joined = timeout_at(Instant::now() + patience, starting).await;
            joined.ok().map(|run| (run, true))
        }
        run = &mut starting => Some((run, false)),
    }
}

/// A name that is most likely unique: the host's, if the environment has it, and a random number.
fn name(env: &Env) -> WorkerId {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let host = if host.is_empty() { "worker" } else { &host };
    let number = env.rng().u32(..);
    WorkerId::new(format!("{host}-{number:08x}"))
        .or_else(|_| WorkerId::new(format!("worker-{number:08x}")))
        .expect("a word and a number are a valid worker id")
}

/// How many shards ended in which way.
#[derive(Debug, Default)]
struct Ended {
    finished: u64,
    released: u64,
    lost: u64,
    abandoned: u64,
}

struct Root {
    shared: Shared,
    application: ApplicationName,
    /// The one stream; nothing if there may be several.
    stream: Option<StreamName>,
    worker: WorkerId,
    tasks: JoinSet<End>,
    /// What each task reads, by which grant.
    names: BTreeMap<Id, (ShardId, Epoch)>,
    /// The running shards, and the way to stop each.
    shards: BTreeMap<ShardId, oneshot::Sender<()>>,
    /// Grants of shards whose former task has not ended yet: a processor that lost its shard may
    /// still be at work, and must not meet its successor.
    waiting: BTreeMap<ShardId, (StreamName, Grant)>,
    ended: Ended,
    drain: Option<Drain>,
}

impl Root {
    /// Until there is nothing more to do, or no more time for it.
    async fn work(
        &mut self,
        grants: &mut mpsc::Receiver<Grant>,
        control: &mut dyn OwnershipControl,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) {
        enum Woken {
            Shutdown,
            Failed(Error),
            Joined(Result<(Id, End), JoinError>),
            Granted(Option<Grant>),
            Time,
        }
        let (mut running, mut granting) = (true, true);
        loop {
            if self.tasks.is_empty() && (self.drain.is_some() || !granting) {
                return;
            }
            let until = self.drain.as_ref().map(Drain::until);
            // ORDER: stop, control, ends of shards before grants of the same ones, time.
            let woken = tokio::select! {
                biased;
                () = &mut shutdown, if running && self.drain.is_none() => Woken::Shutdown,
                error = control.failed(), if running => Woken::Failed(error),
                Some(joined) = self.tasks.join_next_with_id() => Woken::Joined(joined),
                grant = grants.recv(), if granting => Woken::Granted(grant),
                () = deadline(until) => Woken::Time,
            };
            let why = match woken {
                Woken::Shutdown => Some(Why::Ends(EndReason::Shutdown)),
                Woken::Failed(error) => {
                    running = false;
                    self.shared.events.emit(&Event::CoordinationFailed {
                        error: Failure::from(&error),
                    });
                    Some(Why::Fails(error))
                }
                Woken::Joined(joined) => self.joined(joined).map(Why::Fails),
                Woken::Granted(Some(grant)) => self.granted(grant).map(Why::Fails),
                Woken::Granted(None) => {
                    granting = false;
                    None
                }
                Woken::Time => return,
            };
            if let Some(why) = why {
                self.start_drain(why, control);
            }
        }
    }

    fn start_drain(&mut self, why: Why, control: &mut dyn OwnershipControl) {
        match (&mut self.drain, why) {
            (Some(drain), Why::Fails(error)) => return drain.also(error),
            (Some(_), Why::Ends(_)) => return,
            (drain @ None, why) => {
                let settings = &self.shared.settings.shutdown;
                *drain = Some(Drain::new(why, settings, Instant::now()));
            }
        }
        control.stop_taking();
        let shards = self.shards.len();
        self.shared.events.emit(&Event::WorkerDraining { shards });
        self.stop_shards();
    }

    /// An error if the worker has to stop for it.
    fn granted(&mut self, grant: Grant) -> Option<Error> {
        let shard = grant.shard.id.clone();
        let Some(stream) = shard.stream().or(self.stream.as_ref()).cloned() else {
            // Dropped without being read, it is for the ownership to give back.
            let message = format!("shard {shard} was granted without the stream it is of");
            return Some(Error::new(ErrorKind::Internal, message));
        };
        if self.names.values().any(|(running, _)| *running == shard) {
            self.waiting.insert(shard, (stream, grant));
        } else {
            self.start(stream, grant);
        }
        None
    }

    fn start(&mut self, stream: StreamName, grant: Grant) {
        let shard = grant.shard.id.clone();
        self.shared.events.emit(&Event::ShardStarted {
            shard: shard.clone(),
            epoch: grant.epoch,
            checkpoint: grant.checkpoint.clone(),
        });
        let context = ShardContext {
            application: self.application.clone(),
            stream,
            worker: self.worker.clone(),
            shard: shard.clone(),
            epoch: grant.epoch,
            checkpoint: grant.checkpoint.clone(),
            pending: grant.pending.clone(),
            lag: None,
        };
        let (stop, stopped) = oneshot::channel();
        self.shards.insert(shard.clone(), stop);
        let span = tracing::info_span!("shard", %shard, epoch = %grant.epoch);
        let epoch = grant.epoch;
        let task = shard::run(self.shared.clone(), grant, context, stopped).instrument(span);
        let id = self.tasks.spawn(self.shared.env.task(task)).id();
        self.names.insert(id, (shard, epoch));
        if planted!(LeavesTaskBehind) {
            drop(tokio::spawn(
                self.shared.env.task(std::future::pending::<()>()),
            ));
        }
        if self.drain.is_some() {
            // It came too late, and only passes through to be given back.
            self.stop_shards();
        }
    }

    fn stop_shards(&mut self) {
        for (shard, stop) in std::mem::take(&mut self.shards) {
            if stop.send(()).is_err() {
                tracing::debug!(%shard, "the shard ended before it could be told to");
            }
        }
    }

    /// Counts the end of a shard. An error if the worker has to stop for it.
    fn joined(&mut self, joined: Result<(Id, End), JoinError>) -> Option<Error> {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let (shard, epoch) = self.names.remove(&id)?;
        self.shards.remove(&shard);
        let (how, error) = match joined {
            Ok((_, end)) => self.ended(end),
            Err(error) => (
                StopReason::Failed,
                Some(
                    Error::new(
                        ErrorKind::Internal,
                        format!("the task of shard {shard} panicked"),
                    )
                    .with_source(error),
                ),
            ),
        };
        self.stopped(shard.clone(), epoch, how);
        if let Some((stream, grant)) = self.waiting.remove(&shard) {
            self.start(stream, grant);
        }
        error
    }

    /// Counts how a shard ended. With an error if the worker has to stop for it.
    fn ended(&mut self, end: End) -> (StopReason, Option<Error>) {
        let (count, how) = match end {
            End::Finished => (&mut self.ended.finished, StopReason::Finished),
            End::Released => (&mut self.ended.released, StopReason::Released),
            End::Lost => (&mut self.ended.lost, StopReason::Lost),
            End::Abandoned => (&mut self.ended.abandoned, StopReason::Abandoned),
            End::Failed(error) => return (StopReason::Failed, Some(error)),
        };
        *count += 1;
        (how, None)
    }

    fn stopped(&self, shard: ShardId, epoch: Epoch, how: StopReason) {
        let events = &self.shared.events;
        events.emit(&Event::ShardStopped { shard, epoch, how });
    }

    /// Kills what did not drain, and leaves the application.
    async fn leave(mut self, control: Box<dyn OwnershipControl>) -> Result<Report, Error> {
        let left = self.tasks.len() + self.waiting.len();
        if left > 0 {
            tracing::warn!(
                left,
                "the time for draining is over; what is left is dropped"
            );
            self.ended.abandoned += left as u64;
        }
        self.waiting.clear();
        self.tasks.shutdown().await;
        for (shard, epoch) in std::mem::take(&mut self.names).into_values() {
            self.stopped(shard, epoch, StopReason::Abandoned);
        }
        let mut drain = self.drain.take().unwrap_or_else(|| {
            let why = Why::Ends(EndReason::NothingLeft);
            Drain::new(why, &self.shared.settings.shutdown, Instant::now())
        });
        for error in self.shared.cut_short.take() {
            drain.also(error);
        }
        match timeout_at(drain.leave_until(Instant::now()), control.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %error.chain(), "the other workers could not be told")
            }
            Err(_) => tracing::warn!("there was no time to tell the other workers"),
        }
        match drain.into_why() {
            Why::Ends(reason) => Ok(self.report(reason)),
            Why::Fails(error) => Err(error),
        }
    }

    fn report(&self, reason: EndReason) -> Report {
        Report {
            worker: self.worker.clone(),
            reason,
            records: self.shared.counters.records(),
            batches: self.shared.counters.batches(),
            finished: self.ended.finished,
            released: self.ended.released,
            lost: self.ended.lost,
            abandoned: self.ended.abandoned,
        }
    }
}

async fn deadline(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
