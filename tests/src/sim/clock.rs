//! The clocks of a run. All time is the runtime's, which is paused; here is how it looks from elsewhere: the
//! calendar that all services share and that can be moved on by a day, and the clocks of a worker, which are
//! wrong and go at a rate of their own.
//!
//! The library reads the runtime's clock, of which there is one. That a worker's clock goes faster is
//! simulated by giving it all durations so much shorter, and by translating those that workers tell each other
//! ([`Net`](super::net::Net)): nothing but the pauses between some retries is left that could tell the two
//! apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use tokio::time::{Instant, sleep};

/// The wall clock of the services at the start of every run: whole seconds, in 2026.
#[must_use]
pub fn wall_zero() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

/// What the services' wall clock shows. Cheap to clone; clones show the same.
#[derive(Clone, Debug)]
pub struct Calendar {
    zero: Instant,
    /// By how many milliseconds it was moved on.
    passed: Arc<AtomicU64>,
}

impl Calendar {
    /// Starts now, at [`wall_zero`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            zero: Instant::now(),
            passed: Arc::default(),
        }
    }

    /// Moves it on, for everyone. Nothing that only waits notices: it is as if all had slept.
    pub fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a few days");
        self.passed.fetch_add(millis, Ordering::Relaxed);
    }

    /// By how much it was moved on.
    #[must_use]
    pub fn passed(&self) -> Duration {
        Duration::from_millis(self.passed.load(Ordering::Relaxed))
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new()
    }
}

/// By how many thousandths a clock is too fast; below zero, too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate(pub i32);

impl Rate {
    /// How often a second of this clock is in one of the runtime's.
    #[must_use]
    pub fn factor(self) -> f64 {
        1.0 + f64::from(self.0) / 1_000.0
    }

    /// How long it takes until this clock says that so much time is over.
    #[must_use]
    pub fn takes(self, time: Duration) -> Duration {
        if self.0 == 0 {
            time
        } else {
            time.div_f64(self.factor())
        }
    }
}

/// The wall clock of one worker.
#[derive(Clone, Debug)]
pub struct WallClock {
    /// The right time.
    pub calendar: Calendar,
    /// How fast it goes.
    pub rate: Rate,
    /// By how many milliseconds it was wrong at the start of the run.
    pub skew: Arc<AtomicI64>,
}

impl WallClock {
    /// What it shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let off = self.skew.load(Ordering::Relaxed);
        let skew = Duration::from_millis(off.unsigned_abs());
        let elapsed = self.calendar.zero.elapsed();
        let elapsed = match self.rate {
            Rate(0) => elapsed,
            rate => elapsed.mul_f64(rate.factor()),
        };
        let shown = wall_zero() + elapsed + self.calendar.passed();
        if off < 0 { shown - skew } else { shown + skew }
    }
}

impl TimeSource for WallClock {
    fn now(&self) -> SystemTime {
        Self::now(self)
    }
}

/// The SDK's timers, on the clock of a worker.
#[derive(Debug)]
pub struct VirtualSleep(pub Rate);

impl AsyncSleep for VirtualSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(sleep(self.0.takes(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_too_fast_is_through_with_a_minute_before_the_minute_is_over() {
        let minute = Duration::from_secs(60);
        assert_eq!(Rate(0).takes(minute), minute);
        assert_eq!(Rate(200).takes(minute), Duration::from_secs(50));
        assert_eq!(Rate(-200).takes(minute), Duration::from_secs(75));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_goes_at_its_rate_and_a_day_passes_for_all() {
        let calendar = Calendar::new();
        let clock = |rate, skew| WallClock {
            calendar: calendar.clone(),
            rate: Rate(rate),
            skew: Arc::new(AtomicI64::new(skew)),
        };
        let (fast, behind) = (clock(20, 0), clock(0, -5_000));
        sleep(Duration::from_secs(100)).await;
        let since = |clock: &WallClock| clock.now().duration_since(wall_zero()).unwrap();
        assert_eq!(since(&fast), Duration::from_secs(102));
        assert_eq!(since(&behind), Duration::from_secs(95));
        calendar.pass(Duration::from_secs(86_400));
        assert_eq!(since(&fast), Duration::from_secs(86_502));
        assert_eq!(since(&behind), Duration::from_secs(86_495));
    }
}
