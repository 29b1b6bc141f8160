//! Describes a worker and checks the description, all at once, without any I/O.

use std::fmt;
use std::sync::Arc;

use crate::env::Env;
use crate::error::{Error, ErrorKind, Problem};
use crate::event::Observer;
use crate::model::{ApplicationName, InitialPosition, InvalidName, StreamName, WorkerId};
use crate::port::{Ownership, RecordProcessor, RecordSource, ShardContext};
use crate::run::guard::Factory;
use crate::run::worker::Worker;
use crate::settings::Settings;
use crate::streams::{StreamTracker, Streams};

/// Describes a [`Worker`]. A source, an ownership and a processor are required.
#[must_use]
pub struct WorkerBuilder {
    application: String,
    streams: Given,
    worker: Option<String>,
    initial_position: Option<InitialPosition>,
    source: Option<Arc<dyn RecordSource>>,
    ownership: Option<Box<dyn Ownership>>,
    factory: Option<Factory>,
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
            factory: None,
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

    /// Makes a processor for each grant of a shard, and again after a failure. Required.
    pub fn with_processor<P: RecordProcessor>(
        mut self,
        make: impl Fn(&ShardContext) -> P + Send + Sync + 'static,
    ) -> Self {
        self.factory = Some(Arc::new(move |shard| Box::new(make(shard))));
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
    pub fn build(self) -> Result<Worker, Error> {
        let mut problems = Problems(self.settings.problems());
        let application = problems.name("application", ApplicationName::new(&self.application));
        let tracker = problems.tracker(self.streams, self.initial_position);
        let worker = match &self.worker {
            Some(worker) => problems.name("worker_id", WorkerId::new(worker)).map(Some),
            None => Some(None),
        };
        let source = problems.required("source", "with_source", self.source);
        let ownership = problems.required("ownership", "with_ownership", self.ownership);
        let factory = problems.required("processor", "with_processor", self.factory);
        problems
            .0
            .extend(source.iter().flat_map(|source| source.problems()));
        problems
            .0
            .extend(ownership.iter().flat_map(|ownership| ownership.problems()));
        problems.of_several_streams(tracker.as_ref(), ownership.as_deref());
        match (application, tracker, worker, source, ownership, factory) {
            (
                Some(application),
                Some(tracker),
                Some(worker),
                Some(source),
                Some(ownership),
                Some(factory),
            ) if problems.0.is_empty() => Ok(Worker {
                application,
                tracker,
                worker,
                source,
                ownership,
                factory,
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

struct Problems(Vec<Problem>);

impl Problems {
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
