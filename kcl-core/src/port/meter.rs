//! What is read by one grant, counted where it is read, for whoever granted the shard.
//!
//! It counts and decides nothing. The ownership makes it, the shard's task and its feed count on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Counts what is read by one grant. Cheap to clone; clones share the counts.
///
/// ```
/// # use kcl_core::port::Meter;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # use tokio::time::Instant;
/// let meter = Meter::default();
/// meter.asks(Instant::now());
/// assert!(meter.reading().asking_since.is_some());
/// meter.answered();
/// meter.read(4096);
/// assert_eq!(meter.reading().bytes, 4096);
/// assert_eq!(meter.reading().asking_since, None);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Reading>>);

/// The counts of a [`Meter`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// Bytes of records that came to the shard's task, since the grant was made.
    pub bytes: u64,
    /// Since when the service was asked without an answer; nothing while nothing is asked. Failures that are tried
    /// again do not move it.
    pub asking_since: Option<Instant>,
    /// How many answers there were.
    pub answers: u64,
}

impl Meter {
    fn inner(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts as they are now.
    #[must_use]
    pub fn reading(&self) -> Reading {
        *self.inner()
    }

    /// So many bytes came to the shard's task.
    pub fn read(&self, bytes: usize) {
        let mut inner = self.inner();
        inner.bytes = inner.bytes.saturating_add(bytes as u64);
    }

    /// The feed asks the service. Called before each call that it is stuck without, and not while it waits for its
    /// processor, for its pace or for new records: only so does that time not count against it.
    pub fn asks(&self, now: Instant) {
        self.inner().asking_since.get_or_insert(now);
    }

    /// The service answered, if only that it has nothing or that the feed is too fast: there is nothing that another
    /// worker would do better.
    pub fn answered(&self) {
        let mut inner = self.inner();
        inner.asking_since = None;
        inner.answers += 1;
    }

    /// The feed is closed, so nothing is asked any more.
    pub fn stops(&self) {
        self.inner().asking_since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_without_an_answer_begins_with_the_first_call_that_got_none() {
        let (meter, start) = (Meter::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        meter.asks(at(1));
        meter.asks(at(2));
        assert_eq!(meter.reading().asking_since, Some(at(1)));
        meter.answered();
        assert_eq!(meter.reading().asking_since, None);
        meter.asks(at(5));
        assert_eq!(meter.reading().asking_since, Some(at(5)));
        meter.stops();
        assert_eq!(meter.reading().asking_since, None);
        assert_eq!(meter.reading().answers, 1);
    }
}
