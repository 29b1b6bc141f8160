//! Describes a worker and checks the description, all at once, without any I/O. Lambda functions are in `lambda`.

#[cfg(feature = "lambda")]
mod lambda;

use std::fmt;
use std::sync::Arc;

use crate::env::Env;
use crate::error::{Error, ErrorKind, Problem};
use crate::event::Observer;
#[cfg(feature = "lambda")]
use crate::lambda::mapping::Mapping;
use crate::model::Record;
use crate::model::{ApplicationName, InitialPosition, InvalidName, StreamName, WorkerId};
use crate::port::{
    BatchHandler, FailureDestination, HandlerContext, Ownership, ProcessorResult, RecordProcessor,
    RecordSource, ShardContext,
};
use crate::run::door::{BatchDoor, Door, Filter, Handler, HandlerDoor, MakeHandler, RecordDoor};
use crate::run::stream::{self, BatchStream};
use crate::run::worker::Worker;
use crate::settings::{CheckpointPolicy, FailurePolicy, Settings};
use crate::streams::{StreamTracker, Streams};

/// Describes a [`Worker`]. A source, an ownership, and one of a processor, a handler of records or batches, and a
/// stream of batches are required. If several of the last are given, the last one counts.
#[must_use]
pub struct WorkerBuilder {
    application: String,
    streams: Given,
    worker: Option<String>,
    initial_position: Option<InitialPosition>,
    source: Option<Arc<dyn RecordSource>>,
    ownership: Option<Box<dyn Ownership>>,
    front: Option<Front>,
    filter: Option<Filter>,
    destination: Option<Arc<dyn FailureDestination>>,
    #[cfg(feature = "lambda")]
    mapping: Option<(Arc<Mapping>, lambda::Runs)>,
    settings: Settings,
    env: Env,
    observers: Vec<Arc<dyn Observer>>,
}

/// What the worker is to read, as it was given.
#[derive(Debug)]
pub(crate) enum Given {
    One(String),
    Several(Streams),
}

impl WorkerBuilder {
    pub(crate) fn new(application: String, streams: Given) -> Self {
        Self {
            application,
            streams,
            worker: None,
            initial_position: None,
            source: None,
            ownership: None,
            front: None,
            filter: None,
            destination: None,
            #[cfg(feature = "lambda")]
            mapping: None,
            settings: Settings::default(),
            env: Env::system(),
            observers: Vec::new(),
        }
    }

    /// Where records come from: [`Polling`](crate::Polling), or fan-out from `kcl-efo`. Required.
    pub fn with_source(mut self, source: impl RecordSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Who says which shards this worker may read: the leases of `kcl-lease`. Required.
    pub fn with_ownership(mut self, ownership: impl Ownership) -> Self {
        self.ownership = Some(Box::new(ownership));
        self
    }

    /// Makes a processor for each grant of a shard, and again after a failure.
    pub fn with_processor<P: RecordProcessor>(
        self,
        make: impl Fn(&ShardContext) -> P + Send + Sync + 'static,
    ) -> Self {
        let factory = Arc::new(move |shard: &ShardContext| Box::new(make(shard)) as _);
        self.front(Front::Processor(Door::Processor(factory)))
    }

    /// Calls this function with each record; `Ok` settles it. It is called by up to
    /// [`handler.lanes`](crate::HandlerSettings) lanes of each shard at once, in order for each partition key, and
    /// again when it fails. A record that fails holds up no other but those of its key.
    ///
    /// ```
    /// use kcl_core::contract::{FixedOwnership, ScriptedSource};
    /// use kcl_core::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Error> {
    /// let source = ScriptedSource::new();
    /// source.put("shard-0", ["one", "two"]);
    /// source.close("shard-0", &[]);
    ///
    /// let worker = Worker::builder("app", "stream")
    ///     .with_source(source)
    ///     .with_ownership(FixedOwnership::new(["shard-0"]))
    ///     .with_record_handler(|record: Record, context: HandlerContext| async move {
    ///         println!("{}: {:?}", context.shard().shard(), record.data);
    ///         Ok(())
    ///     })
    ///     .build()?;
    /// let report = worker.run(std::future::pending()).await?;
    /// assert_eq!(report.records, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_record_handler<F, Fut>(self, handle: F) -> Self
    where
        F: Fn(Record, HandlerContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ProcessorResult> + Send + 'static,
    {
        self.with_handler(RecordDoor(Arc::new(handle)))
    }

    /// Calls this handler with batches of records. It says which are settled, and is called again with the others.
    /// See [`BatchHandler`], which a function of a [`HandlerBatch`](crate::HandlerBatch) is as well.
    ///
    /// ```
    /// use kcl_core::contract::{FixedOwnership, ScriptedSource};
    /// use kcl_core::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Error> {
    /// let source = ScriptedSource::new();
    /// source.put("shard-0", ["one", "two", "three"]);
    /// source.close("shard-0", &[]);
    ///
    /// let worker = Worker::builder("app", "stream")
    ///     .with_source(source)
    ///     .with_ownership(FixedOwnership::new(["shard-0"]))
    ///     .with_batch_handler(|batch: HandlerBatch| async move {
    ///         // At the first attempt the second record does not succeed.
    ///         let failed = if batch.context().attempt() == 1 { vec![1] } else { vec![] };
    ///         Ok(BatchOutcome::Failed { records: failed, error: None })
    ///     })
    ///     .build()?;
    /// let report = worker.run(std::future::pending()).await?;
    /// assert_eq!(report.records, 3 + 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_batch_handler(self, handler: impl BatchHandler) -> Self {
        self.with_handler(BatchDoor(Arc::new(handler)))
    }

    /// Hands batches out as a [`Stream`](futures::Stream), each to be acknowledged. The worker runs beside it.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use kcl_core::contract::{FixedOwnership, ScriptedSource};
    /// use kcl_core::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = ScriptedSource::new();
    /// source.put("shard-0", ["one", "two"]);
    /// source.close("shard-0", &[]);
    ///
    /// let (builder, mut batches) = Worker::builder("app", "stream")
    ///     .with_source(source)
    ///     .with_ownership(FixedOwnership::new(["shard-0"]))
    ///     .with_batch_stream();
    /// let worker = tokio::spawn(builder.build()?.run(std::future::pending()));
    /// while let Some(batch) = batches.next().await {
    ///     println!("{} records", batch.records().len());
    ///     batch.ack()?;
    /// }
    /// assert_eq!(worker.await??.finished, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_batch_stream(self) -> (Self, BatchStream) {
        let (door, batches) = stream::batches();
        (self.with_handler(door), batches)
    }

    fn with_handler(self, handler: impl Handler + 'static) -> Self {
        let handler = Arc::new(handler);
        self.front(Front::Handler(Arc::new(move |_| handler.clone())))
    }

    fn front(mut self, front: Front) -> Self {
        self.front = Some(front);
        #[cfg(feature = "lambda")]
        {
            self.mapping = None;
        }
        self
    }

    /// Drops records before they are put into batches: those for which this says `false` count as settled at
    /// once. It must return at once. If it panics at a record, the record is kept and an event tells of it. For
    /// handlers and streams.
    pub fn with_filter(mut self, keep: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(keep));
        self
    }

    /// Where records go that cannot be processed, with [`FailurePolicy::Divert`]. For handlers and streams.
    pub fn with_failure_destination(mut self, destination: impl FailureDestination) -> Self {
        self.destination = Some(Arc::new(destination));
        self
    }

    /// The name of this worker, unique among the running workers of the application. Default: the
    /// host's name, if `HOSTNAME` is set when the worker runs, and a random number.
    pub fn with_worker_id(mut self, worker: impl Into<String>) -> Self {
        self.worker = Some(worker.into());
        self
    }

    /// Where shards start that the application has never read. Default: the oldest record. With several
    /// streams it is said for each, by [`Streams::add`].
    pub fn with_initial_position(mut self, position: InitialPosition) -> Self {
        self.initial_position = Some(position);
        self
    }

    /// All settings that are not about the source or the ownership.
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// A wall clock and random numbers of your own, for simulation. Default: the system's.
    pub fn with_env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    /// Is told of everything that happens, as it happens: an [`Observer`], or a function of
    /// `&Event`. It must return at once. May be called several times; each is told, in this order.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Checks everything. Touches neither the network nor the environment.
    ///
    /// # Errors
    /// One error of kind [`Invalid`](ErrorKind::Invalid) that names every problem there is.
    #[cfg_attr(
        not(feature = "lambda"),
        expect(unused_mut, reason = "a mapping changes the settings")
    )]
    pub fn build(mut self) -> Result<Worker, Error> {
        let mut problems = Problems(self.settings.problems());
        #[cfg(feature = "lambda")]
        problems.0.extend(self.apply_mapping());
        let application = problems.name("application", ApplicationName::new(&self.application));
        let tracker = problems.tracker(self.streams, self.initial_position);
        let worker = match &self.worker {
            Some(worker) => problems.name("worker_id", WorkerId::new(worker)).map(Some),
            None => Some(None),
        };
        let source = problems.required("source", "with_source", self.source);
        let ownership = problems.required("ownership", "with_ownership", self.ownership);
        problems.check_front(
            self.front.as_ref(),
            self.filter.is_some(),
            self.destination.is_some(),
            &self.settings,
        );
        let doors = "with_processor, with_record_handler, with_batch_handler, with_batch_stream or with_lambda";
        let front = problems.required("processor", doors, self.front);
        let door = front.map(|front| front.door(self.filter, self.destination));
        problems
            .0
            .extend(source.iter().flat_map(|source| source.problems()));
        problems
            .0
            .extend(ownership.iter().flat_map(|ownership| ownership.problems()));
        problems.of_several_streams(tracker.as_ref(), ownership.as_deref());
        match (application, tracker, worker, source, ownership, door) {
            (
                Some(application),
                Some(tracker),
                Some(worker),
                Some(source),
                Some(ownership),
                Some(door),
            ) if problems.0.is_empty() => Ok(Worker {
                application,
                tracker,
                worker,
                source,
                ownership,
                door,
                settings: Arc::new(self.settings),
                env: self.env,
                observers: self.observers,
            }),
            _ => Err(problems.into_error()),
        }
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("application", &self.application)
            .field("streams", &self.streams)
            .field("worker", &self.worker)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What records are handed to.
enum Front {
    Processor(Door),
    Handler(MakeHandler),
}

impl Front {
    fn door(
        self,
        filter: Option<Filter>,
        destination: Option<Arc<dyn FailureDestination>>,
    ) -> Door {
        match self {
            Self::Processor(door) => door,
            Self::Handler(handler) => Door::Handler(HandlerDoor {
                handler,
                filter,
                destination,
            }),
        }
    }
}

struct Problems(Vec<Problem>);

impl Problems {
    /// What does not go together with a processor, or with a handler.
    fn check_front(
        &mut self,
        front: Option<&Front>,
        has_filter: bool,
        has_destination: bool,
        settings: &Settings,
    ) {
        let failure = &settings.failure;
        let diverts = failure.policy == FailurePolicy::Divert;
        let mut check = |is_wrong: bool, setting: &str, rule: &str| {
            if is_wrong {
                self.0.push(Problem::new(setting, rule));
            }
        };
        match front {
            Some(Front::Processor(_)) => {
                let rule = "is for handlers and streams; a processor gets every record";
                check(has_filter, "filter", rule);
                let rule = "is for handlers and streams; a processor restarts or stops the worker";
                check(diverts, "failure.policy", rule);
                let is_limited = failure.attempts_max.is_some() || failure.age_max.is_some();
                let rule = "are for handlers and streams; a processor restarts, or stops the worker at once";
                check(
                    is_limited && !diverts,
                    "failure.attempts_max and failure.age_max",
                    rule,
                );
                check(
                    failure.bisect,
                    "failure.bisect",
                    "is for handlers and streams",
                );
            }
            Some(Front::Handler(_)) => check(
                settings.commit.policy == CheckpointPolicy::Manual,
                "commit.policy",
                "must be automatic with a handler or a stream, whose records are committed as they settle",
            ),
            None => {}
        }
        let rule = "is missing; give one by with_failure_destination, or another failure.policy";
        check(diverts && !has_destination, "failure_destination", rule);
        let rule = "is never used; set failure.policy to divert and a limit";
        check(!diverts && has_destination, "failure_destination", rule);
    }

    fn name<T>(&mut self, setting: &str, name: Result<T, InvalidName>) -> Option<T> {
        match name {
            Ok(name) => Some(name),
            Err(error) => {
                self.0.push(Problem::new(setting, error.to_string()));
                None
            }
        }
    }

    fn tracker(
        &mut self,
        streams: Given,
        initial_position: Option<InitialPosition>,
    ) -> Option<StreamTracker> {
        match streams {
            Given::One(stream) => {
                let stream = self.name("stream", StreamName::new(&stream))?;
                Some(StreamTracker::Single {
                    stream,
                    initial_position: initial_position.unwrap_or_default(),
                })
            }
            Given::Several(streams) => {
                if initial_position.is_some() {
                    let rule = "is said for each of several streams, by Streams::add";
                    self.0.push(Problem::new("initial_position", rule));
                }
                Some(StreamTracker::Multi(streams))
            }
        }
    }

    fn of_several_streams(
        &mut self,
        tracker: Option<&StreamTracker>,
        ownership: Option<&dyn Ownership>,
    ) {
        if let (Some(StreamTracker::Multi(_)), Some(ownership)) = (tracker, ownership)
            && !ownership.is_multi_stream()
        {
            let rule = "reads one stream only; use Worker::builder, or another ownership";
            self.0.push(Problem::new("ownership", rule));
        }
    }

    fn required<T>(&mut self, setting: &str, method: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.0.push(Problem::new(
                setting,
                format!("is missing; give one by {method}"),
            ));
        }
        value
    }

    fn into_error(self) -> Error {
        let list: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        Error::new(
            ErrorKind::Invalid,
            format!("the worker cannot be built: {}", list.join("; ")),
        )
    }
}
