//! Who is told of events, and how.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Event, log};
use crate::model::{ApplicationName, StreamName, WorkerId};

/// Which worker an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its application.
    pub application: ApplicationName,
    /// The stream it reads; nothing if it may read several. Then every shard says its own.
    pub stream: Option<StreamName>,
    /// The worker.
    pub worker: WorkerId,
}

/// Is told of every event of a worker, as it happens. Given by
/// [`WorkerBuilder::with_observer`](crate::WorkerBuilder::with_observer).
///
/// It is called in the task that the event happened in, on any thread of the runtime, and may be
/// called by several at once. It must return at once: while it runs, that task stands still, and it
/// may be the one that proves the worker's life. Whoever wants to wait sends the event on to a task
/// of his own. A panic in it is caught and logged.
///
/// A function of `&Event` is an observer.
pub trait Observer: Send + Sync + 'static {
    /// Something happened to this worker.
    fn on_event(&self, origin: &Origin, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, _: &Origin, event: &Event) {
        self(event);
    }
}

/// Where events go: to the log, and to the observers of one worker. Cheap to clone.
///
/// The default is the log alone.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<Inner>>);

struct Inner {
    origin: Origin,
    observers: Vec<Arc<dyn Observer>>,
}

impl Events {
    /// To these observers, as events of this worker.
    #[must_use]
    pub fn new(origin: Origin, observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(Some(Arc::new(Inner { origin, observers })))
    }

    /// Tells everybody. For what happens seldom.
    pub fn emit(&self, event: &Event) {
        log::write(self.0.as_ref().map(|inner| &inner.origin), event);
        self.tell(event);
    }

    /// Tells the observers, and not the log. For what happens with every batch: the event is not
    /// even made if nobody listens.
    pub fn emit_with(&self, event: impl FnOnce() -> Event) {
        if self.is_observed() {
            self.tell(&event());
        }
    }

    /// Whether anybody listens beside the log.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|inner| !inner.observers.is_empty())
    }

    fn tell(&self, event: &Event) {
        let Some(inner) = &self.0 else { return };
        for observer in &inner.observers {
            // A broken observer must not take the proof of life down with it.
            let told = AssertUnwindSafe(|| observer.on_event(&inner.origin, event));
            if catch_unwind(told).is_err() {
                tracing::error!(
                    "an observer panicked at an event; it is called again for the next"
                );
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("observed", &self.is_observed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn origin() -> Origin {
        Origin {
            application: ApplicationName::new("app").unwrap(),
            stream: Some(StreamName::new("stream").unwrap()),
            worker: WorkerId::new("w").unwrap(),
        }
    }

    #[test]
    fn an_event_that_nobody_listens_to_is_not_made() {
        let quiet = [Events::default(), Events::new(origin(), Vec::new())];
        for events in quiet {
            events.emit_with(|| unreachable!("nobody listens"));
        }
    }

    #[test]
    fn an_observer_that_panics_does_not_keep_the_others_from_hearing() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        let observers: Vec<Arc<dyn Observer>> = vec![
            Arc::new(|event: &Event| panic!("{event:?}")),
            Arc::new(move |event: &Event| notes.lock().unwrap().push(event.clone())),
        ];
        let events = Events::new(origin(), observers);
        events.emit(&Event::WorkerStarted);
        events.emit_with(|| Event::WatchClaimed { term: 2 });
        let expected = [Event::WorkerStarted, Event::WatchClaimed { term: 2 }];
        assert_eq!(*heard.lock().unwrap(), expected);
    }
}
