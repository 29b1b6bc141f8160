//! How fast something grows, smoothed over about a minute. Pure: times and counts come as arguments.
//!
//! `holdings` has one for each grant.

use std::time::Duration;

use tokio::time::Instant;

/// A mean in which what is a minute old counts about a third.
const SMOOTHED_OVER: Duration = Duration::from_secs(60);

/// A rate is known when so much of it rests on what was measured: after about a minute and a half.
const KNOWN_WEIGHT: f64 = 0.75;

/// The rate of a count that only grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    count: u64,
    at: Instant,
    mean: f64,
    /// How much of the mean rests on what was measured, up to 1. Divided by, so that a short time does not pass for
    /// a low rate.
    weight: f64,
}

impl Rate {
    /// Nothing is known.
    pub(crate) const fn unknown(now: Instant) -> Self {
        Self {
            count: 0,
            at: now,
            mean: 0.0,
            weight: 0.0,
        }
    }

    /// Another measured it before.
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes per second far below 2^52"
    )]
    pub(crate) const fn known(per_second: u64, now: Instant) -> Self {
        Self {
            count: 0,
            at: now,
            mean: per_second as f64,
            weight: 1.0,
        }
    }

    /// Takes in what the count is now.
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of some seconds far below 2^52"
    )]
    pub(crate) fn measure(&mut self, count: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        let rate = count.saturating_sub(self.count) as f64 / passed;
        let share = passed / (SMOOTHED_OVER.as_secs_f64() + passed);
        self.mean += (rate - self.mean) * share;
        self.weight += (1.0 - self.weight) * share;
        (self.count, self.at) = (count, now);
    }

    /// Per second, rounded.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and is not negative"
    )]
    pub(crate) fn per_second(&self) -> u64 {
        if self.weight > 0.0 {
            (self.mean / self.weight).round() as u64
        } else {
            0
        }
    }

    /// Whether it was measured for long enough.
    pub(crate) const fn is_known(&self) -> bool {
        self.weight >= KNOWN_WEIGHT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures every 3 s what grows by so much per second.
    fn after(rate: &mut Rate, start: Instant, seconds: std::ops::Range<u64>, per_second: u64) {
        for second in seconds.step_by(3) {
            let count = rate.count
                + per_second
                    * (start + Duration::from_secs(second))
                        .duration_since(rate.at)
                        .as_secs();
            rate.measure(count, start + Duration::from_secs(second));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_rate_is_right_at_once_and_known_after_a_while() {
        let start = Instant::now();
        let mut rate = Rate::unknown(start);
        after(&mut rate, start, 3..6, 1000);
        assert_eq!(rate.per_second(), 1000);
        assert!(!rate.is_known());
        after(&mut rate, start, 6..99, 1000);
        assert_eq!(rate.per_second(), 1000);
        assert!(rate.is_known());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_former_holder_measured_is_known_and_fades() {
        let start = Instant::now();
        let mut rate = Rate::known(8000, start);
        assert!(rate.is_known());
        assert_eq!(rate.per_second(), 8000);
        after(&mut rate, start, 3..63, 0);
        let faded = rate.per_second();
        assert!((2500..4000).contains(&faded), "{faded}");
        after(&mut rate, start, 63..600, 0);
        assert!(rate.per_second() < 5, "{}", rate.per_second());
    }

    #[tokio::test(start_paused = true)]
    async fn noise_of_a_fifth_is_smoothed_to_a_fiftieth_on_average() {
        let start = Instant::now();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut rate = Rate::known(1_000_000, start);
        let (mut count, mut off) = (0, 0);
        for step in 1..1000_u64 {
            count += rng.u64(2_400_000..3_600_000);
            rate.measure(count, start + Duration::from_secs(3 * step));
            off += rate.per_second().abs_diff(1_000_000);
        }
        assert!(off / 999 < 20_000, "{}", off / 999);
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_and_counts_that_go_back_are_no_trouble() {
        let start = Instant::now();
        let mut rate = Rate::unknown(start);
        assert_eq!(rate.per_second(), 0);
        rate.measure(500, start);
        assert_eq!(rate.per_second(), 0);
        rate.measure(500, start + Duration::from_secs(1));
        rate.measure(10, start + Duration::from_secs(2));
        assert!(rate.per_second() <= 500);
    }
}
