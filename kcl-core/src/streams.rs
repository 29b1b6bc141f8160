//! Which streams a worker reads: one that is given with it, or several that come and go while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::error::{Error, ErrorKind};
use crate::model::{InitialPosition, ShardId, StreamName};

/// How many streams one worker reads at most. Their names are kept in one row of the lease table, which has
/// room for three times as many of the longest.
const STREAMS_MAX: usize = 1000;

/// The streams of a worker of several streams. Clones share them: one goes to the worker, with
/// [`Worker::builder_for_streams`](crate::Worker::builder_for_streams), others add and remove streams while it
/// runs.
///
/// ```
/// use kcl_core::{InitialPosition, Streams};
///
/// # fn main() -> Result<(), kcl_core::Error> {
/// let streams = Streams::new();
/// streams.add("orders", InitialPosition::TrimHorizon)?;
/// streams.add("clicks", InitialPosition::Latest)?;
/// assert!(streams.remove("orders"));
/// assert_eq!(streams.list().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    streams: BTreeMap<StreamName, InitialPosition>,
    /// ORDER: a bell for each listener, rung in the order in which they came. The waiters of one would be woken
    /// in random order, and a simulated run must be the same every time.
    listeners: Vec<Weak<Notify>>,
}

impl Streams {
    /// No streams yet. A worker of no stream waits for one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stream: shards of it that the application has never read start at `position`. A running worker
    /// lists it at once, makes its leases if there are none, and takes its share of them. A stream that is there
    /// already gets the position, which then holds for shards that have no lease yet.
    ///
    /// # Errors
    /// Of kind [`Invalid`](ErrorKind::Invalid) if the name is not one, or there are a thousand streams.
    pub fn add(&self, stream: impl AsRef<str>, position: InitialPosition) -> Result<(), Error> {
        let stream = StreamName::new(stream).map_err(|cause| {
            Error::new(ErrorKind::Invalid, "a stream cannot be added").with_source(cause)
        })?;
        let mut inner = self.inner();
        if inner.streams.len() >= STREAMS_MAX && !inner.streams.contains_key(&stream) {
            let message = format!("stream {stream} cannot be added: there are {STREAMS_MAX}");
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("read the others with a worker of another application"));
        }
        inner.streams.insert(stream, position);
        inner.ring();
        Ok(())
    }

    /// Removes a stream; whether it was there. A running worker drains its shards, commits what was
    /// acknowledged, and gives them back. Their leases stay in the table, as they are, for workers that read the
    /// stream, and for the day on which it is added again.
    pub fn remove(&self, stream: &str) -> bool {
        let mut inner = self.inner();
        let Some(known) = StreamName::new(stream).ok() else {
            return false;
        };
        let removed = inner.streams.remove(&known).is_some();
        if removed {
            inner.ring();
        }
        removed
    }

    /// The streams, and where shards of each start that were never read.
    #[must_use]
    pub fn list(&self) -> BTreeMap<StreamName, InitialPosition> {
        self.inner().streams.clone()
    }

    /// Whether a stream is one of them.
    #[must_use]
    pub fn contains(&self, stream: &StreamName) -> bool {
        self.inner().streams.contains_key(stream)
    }

    /// A bell that rings after each change, for an [`Ownership`](crate::Ownership). It rings no more when it is
    /// dropped.
    #[must_use]
    pub fn changes(&self) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        let mut inner = self.inner();
        inner.listeners.retain(|other| other.strong_count() > 0);
        inner.listeners.push(Arc::downgrade(&bell));
        bell
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn ring(&self) {
        let listening = self.listeners.iter().filter_map(Weak::upgrade);
        listening.for_each(|bell| bell.notify_one());
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Streams")
            .field(&self.inner().streams)
            .finish()
    }
}

/// What a worker reads.
#[derive(Clone, Debug)]
pub enum StreamTracker {
    /// One stream, for as long as the worker lives. Its shards are known by their names alone.
    Single {
        /// The stream.
        stream: StreamName,
        /// Where shards start that nobody has ever read.
        initial_position: InitialPosition,
    },
    /// Any number of streams. Every shard is known by its stream and its name.
    Multi(Streams),
}

impl StreamTracker {
    /// Whether a shard is of a stream that is read now.
    #[must_use]
    pub fn serves(&self, shard: &ShardId) -> bool {
        match (self, shard.stream()) {
            (Self::Single { .. }, stream) => stream.is_none(),
            (Self::Multi(streams), Some(stream)) => streams.contains(stream),
            (Self::Multi(_), None) => false,
        }
    }

    /// The one stream, unless there may be several.
    #[must_use]
    pub const fn single(&self) -> Option<&StreamName> {
        match self {
            Self::Single { stream, .. } => Some(stream),
            Self::Multi(_) => None,
        }
    }

    /// The streams that are read now, and where each starts.
    #[must_use]
    pub fn list(&self) -> BTreeMap<StreamName, InitialPosition> {
        match self {
            Self::Single {
                stream,
                initial_position,
            } => BTreeMap::from([(stream.clone(), *initial_position)]),
            Self::Multi(streams) => streams.list(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const START: InitialPosition = InitialPosition::TrimHorizon;

    #[test]
    fn names_that_are_none_and_too_many_are_refused() {
        let streams = Streams::new();
        let error = streams.add("a/b", START).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.chain().contains("a-z A-Z 0-9 _ . -"),
            "{}",
            error.chain()
        );
        for n in 0..STREAMS_MAX {
            streams.add(format!("s{n}"), START).unwrap();
        }
        let error = streams.add("more", START).unwrap_err();
        assert!(error.to_string().contains("more"), "{error}");
        streams.add("s7", InitialPosition::Latest).unwrap();
        assert_eq!(streams.list().len(), STREAMS_MAX);
    }

    #[test]
    fn every_change_rings_for_each_listener_and_nothing_else_does() {
        let streams = Streams::new();
        let bells = [streams.changes(), streams.clone().changes()];
        let rung = || {
            bells
                .each_ref()
                .map(|bell| bell.notified().now_or_never().is_some())
        };
        assert_eq!(rung(), [false, false]);
        streams.add("a", START).unwrap();
        assert_eq!(rung(), [true, true]);
        assert!(!streams.remove("b") && !streams.remove("no name"));
        assert_eq!(rung(), [false, false]);
        assert!(streams.remove("a"));
        assert_eq!(rung(), [true, true]);
    }

    #[test]
    fn a_shard_is_served_by_the_worker_of_its_kind_alone() {
        let streams = Streams::new();
        streams.add("a", START).unwrap();
        let a = StreamName::new("a").unwrap();
        let single = StreamTracker::Single {
            stream: a.clone(),
            initial_position: START,
        };
        let multi = StreamTracker::Multi(streams.clone());
        let (bare, of_a) = (ShardId::new("s"), ShardId::of(a, "s"));
        let of_b = ShardId::of(StreamName::new("b").unwrap(), "s");
        let served = |tracker: &StreamTracker| [&bare, &of_a, &of_b].map(|id| tracker.serves(id));
        assert_eq!(served(&single), [true, false, false]);
        assert_eq!(served(&multi), [false, true, false]);
        streams.remove("a");
        assert_eq!(served(&multi), [false, false, false]);
    }
}
