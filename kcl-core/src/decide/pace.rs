//! When the next call to the service may go: a token bucket, kept as the one instant at which it
//! would be full again. Called by `poll::feed` only; owns no timer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// At most `burst` calls at once, and one more for every `interval`.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    interval: Duration,
    slack: Duration,
    full_at: Instant,
}

impl Pace {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            slack: interval * (burst.max(1) - 1),
            full_at: now,
        }
    }

    /// Whether it is as full as a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// Takes a token, and says from when on it is good.
    pub(crate) fn take(&mut self, now: Instant) -> Instant {
        let at = match self.full_at.checked_duration_since(now) {
            Some(debt) if debt > self.slack => now + (debt - self.slack),
            Some(_) | None => now,
        };
        self.full_at = self.full_at.max(at) + self.interval;
        at
    }

    /// Gives the last token back.
    pub(crate) fn give_back(&mut self) {
        self.full_at = self
            .full_at
            .checked_sub(self.interval)
            .unwrap_or(self.full_at);
    }
}

/// The buckets of shards that were read of late, for whoever reads them next: a reader that starts anew has not
/// paused. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Paces<K>(Arc<Mutex<BTreeMap<K, Pace>>>);

impl<K: Ord> Paces<K> {
    /// The bucket that the last reader left, or a full one.
    pub(crate) fn take_over(&self, key: &K, full: impl FnOnce() -> Pace) -> Pace {
        let left = self.paces().remove(key);
        left.unwrap_or_else(full)
    }

    /// A reader ends. A bucket that is full again says nothing and is forgotten.
    pub(crate) fn leave(&self, key: K, pace: Pace, now: Instant) {
        let mut paces = self.paces();
        paces.insert(key, pace);
        paces.retain(|_, pace| !pace.is_full(now));
    }

    fn paces(&self) -> MutexGuard<'_, BTreeMap<K, Pace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for Paces<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(5, 5, now);
        let waits: Vec<_> = (0..8).map(|_| (pace.take(now) - now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 200, 400, 600]);
    }

    #[test]
    fn who_reads_a_shard_next_has_what_is_left_of_its_second() {
        let (now, paces) = (Instant::now(), Paces::default());
        let second = Duration::from_secs(1);
        let full = || Pace::new(5, 5, now);
        let mut first = paces.take_over(&"a", full);
        for _ in 0..5 {
            assert_eq!(first.take(now), now);
        }
        paces.leave("a", first, now);
        let mut next = paces.take_over(&"a", full);
        assert_eq!(next.take(now), now + second / 5);
        assert_eq!(paces.take_over(&"b", full).take(now), now, "another shard");
        paces.leave("a", next, now + second * 2);
        assert!(paces.paces().is_empty(), "a full bucket is not kept");
    }

    #[test]
    fn a_token_that_is_given_back_is_good_at_once() {
        let now = Instant::now();
        let mut pace = Pace::new(5, 2, now);
        for _ in 0..20 {
            assert_eq!(pace.take(now), now);
            pace.give_back();
        }
        let waits: Vec<_> = (0..3).map(|_| (pace.take(now) - now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 200]);
    }

    proptest! {
        #[test]
        fn no_window_has_more_calls_than_rate_and_burst_allow(
            gaps in prop::collection::vec(0_u64..500, 1..60), rate in 1_u32..20, burst in 1_u32..10,
        ) {
            let start = Instant::now();
            let mut pace = Pace::new(rate, burst, start);
            let mut now = start;
            let mut calls = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                now = pace.take(now);
                calls.push(now);
            }
            for (first, begin) in calls.iter().enumerate() {
                for (count, end) in calls[first..].iter().enumerate() {
                    let allowed = f64::from(burst) + (*end - *begin).as_secs_f64() * f64::from(rate);
                    prop_assert!(f64::from(u32::try_from(count).unwrap()) < allowed + 1e-6);
                }
            }
        }
    }
}
