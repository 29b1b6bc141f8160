//! How long to wait after a failure: exponential, with full jitter from a generator that is given.
//!
//! The only module that names the `backoff` crate. The growth of the interval is the crate's; its
//! own jitter is off, because it draws from the operating system, and its clock is the time that is
//! handed in, because its default reads the real one. Neither would replay from a seed.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{Clock, exponential::ExponentialBackoff};
use tokio::time::Instant;

/// A wait that doubles with each failure in a row, from `min` up to `max`, each time drawn evenly
/// between nothing and that bound, so that workers which failed together do not return together.
#[derive(Debug)]
pub struct Backoff {
    growth: ExponentialBackoff<Given>,
}

/// The time that the caller gave.
#[derive(Clone, Copy, Debug)]
struct Given(Instant);

impl Clock for Given {
    fn now(&self) -> std::time::Instant {
        self.0.into_std()
    }
}

impl Backoff {
    /// A wait that starts at `min` and is at most `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration, now: Instant) -> Self {
        Self {
            growth: ExponentialBackoff {
                current_interval: min,
                initial_interval: min,
                randomization_factor: 0.0,
                multiplier: 2.0,
                max_interval: max.max(min),
                max_elapsed_time: None,
                clock: Given(now),
                start_time: now.into_std(),
            },
        }
    }

    /// How long to wait after one more failure.
    pub fn after_failure(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Duration {
        self.growth.clock = Given(now);
        // Without a limit on the elapsed time the crate always has an answer. It adds up to a
        // nanosecond of its own randomness, which the cut to microseconds takes off.
        let bound = self
            .growth
            .next_backoff()
            .unwrap_or(self.growth.max_interval);
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(rng.u64(..=micros))
    }

    /// Starts again from the shortest wait, after a success.
    pub fn reset(&mut self, now: Instant) {
        self.growth.clock = Given(now);
        self.growth.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(seed: u64, count: usize) -> Vec<Duration> {
        let now = Instant::now();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10), now);
        (0..count)
            .map(|_| backoff.after_failure(now, &mut rng))
            .collect()
    }

    #[test]
    fn the_bound_doubles_and_stops_at_the_maximum() {
        for seed in 0..200 {
            for (failure, wait) in waits(seed, 12).into_iter().enumerate() {
                let bound = (100_u64 << failure).min(10_000);
                assert!(
                    wait <= Duration::from_millis(bound),
                    "failure {failure}: {wait:?}"
                );
            }
        }
    }

    #[test]
    fn the_jitter_uses_the_whole_range() {
        let late: Vec<_> = (0..200).map(|seed| waits(seed, 10)[9]).collect();
        assert!(late.iter().any(|wait| *wait < Duration::from_secs(1)));
        assert!(late.iter().any(|wait| *wait > Duration::from_secs(9)));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        assert_eq!(waits(7, 20), waits(7, 20));
        assert_ne!(waits(7, 20), waits(8, 20));
    }

    #[test]
    fn a_success_starts_again_from_the_shortest_wait() {
        let now = Instant::now();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10), now);
        for _ in 0..10 {
            backoff.after_failure(now, &mut rng);
        }
        backoff.reset(now);
        assert!(backoff.after_failure(now, &mut rng) <= Duration::from_millis(100));
    }
}
