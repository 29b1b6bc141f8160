//! The one clock of the emulator: a wall instant plus what tokio's time has moved since, at a rate.
//!
//! Under paused tokio it stands still until the test moves time; otherwise it runs with the machine.
//! It can be frozen, moved ahead and run faster or slower. Nothing else in the crate reads time. Read
//! once per request by [`crate::Service`]; the engine only ever gets a [`Moment`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A virtual clock. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    face: RwLock<Face>,
    /// Wakes sleepers when the clock is set.
    is_set: Notify,
}

/// What the clock showed at an instant, and how fast it goes since.
#[derive(Clone, Copy, Debug)]
struct Face {
    shown: SystemTime,
    since: Instant,
    rate: f64,
}

impl Face {
    fn now(&self) -> SystemTime {
        let elapsed = self.since.elapsed();
        // Exact where nothing was set, and never a panic for a rate or a time out of range.
        let elapsed = if self.rate == 1.0 {
            elapsed
        } else {
            Duration::try_from_secs_f64(elapsed.as_secs_f64() * self.rate).unwrap_or_default()
        };
        self.shown.checked_add(elapsed).unwrap_or(self.shown)
    }
}

impl Clock {
    /// The fastest a clock runs: a day in a second is about as much as anything here can follow.
    pub const RATE_MAX: f64 = 86_400.0;

    /// Starts at the machine's wall time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the wall clock"
    )]
    pub fn system() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// Starts at `wall`, and moves with tokio's time from now on.
    pub fn starting_at(wall: SystemTime) -> Self {
        let face = Face {
            shown: wall,
            since: Instant::now(),
            rate: 1.0,
        };
        let inner = Inner {
            face: RwLock::new(face),
            is_set: Notify::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The time it shows.
    pub fn now(&self) -> SystemTime {
        self.inner.face.read().now()
    }

    /// Jumps ahead by whole milliseconds of `by`, for everyone who holds this clock.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX / 2);
        let by = Duration::from_millis(millis);
        self.set(|face| face.shown = face.shown.checked_add(by).unwrap_or(face.shown));
    }

    /// How fast it goes, as a multiple of the machine's time; 0 is frozen.
    pub fn rate(&self) -> f64 {
        self.inner.face.read().rate
    }

    /// Goes at `rate` times the machine's time from here on; 0 freezes it, 1 is the start. What is
    /// not a number counts as 0, and no rate is above [`Self::RATE_MAX`].
    pub fn set_rate(&self, rate: f64) {
        let rate = if rate.is_nan() { 0.0 } else { rate };
        self.set(|face| face.rate = rate.clamp(0.0, Self::RATE_MAX));
    }

    /// Stands still until it is advanced or [`Self::set_rate`] starts it again.
    pub fn freeze(&self) {
        self.set_rate(0.0);
    }

    fn set(&self, change: impl FnOnce(&mut Face)) {
        let mut face = self.inner.face.write();
        face.shown = face.now();
        face.since = Instant::now();
        change(&mut face);
        drop(face);
        self.inner.is_set.notify_waiters();
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::from_wall(self.now())
    }

    /// Lets `latency` pass after `now`, and says what time it is then.
    pub(crate) async fn pass(&self, now: Moment, latency: Duration) -> Moment {
        if latency.is_zero() {
            return now;
        }
        self.sleep_until(now.after(latency)).await;
        self.moment()
    }

    /// Waits until the clock shows `moment`, however it gets there.
    #[allow(
        dead_code,
        reason = "latency and subscriptions wait by it, and come next"
    )]
    pub(crate) async fn sleep_until(&self, moment: Moment) {
        loop {
            let mut is_set = std::pin::pin!(self.inner.is_set.notified());
            // Before the clock is read, so that a setting in between is not missed.
            is_set.as_mut().enable();
            let face = *self.inner.face.read();
            let missing = moment.millis_since(Moment::from_wall(face.now()));
            if missing == 0 {
                return;
            }
            let wait = Duration::try_from_secs_f64(missing as f64 / 1000.0 / face.rate);
            match wait {
                Ok(wait) => {
                    let passed = tokio::time::timeout(wait, is_set).await;
                    tracing::trace!(is_set = passed.is_ok(), "the clock moved");
                }
                // Frozen, or further away than a timer can say.
                Err(_) => is_set.await,
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// An instant of the virtual clock: milliseconds since the Unix epoch, the service's resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// Never reached.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn from_wall(wall: SystemTime) -> Self {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// From seconds with a fraction, as the wire has them. Before the epoch is the epoch.
    pub(crate) fn from_seconds(seconds: f64) -> Self {
        // `as` saturates, and takes not-a-number for zero, which is what is wanted here.
        Self((seconds * 1000.0).round() as u64)
    }

    pub(crate) fn millis(self) -> u64 {
        self.0
    }

    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1000
    }

    pub(crate) fn after(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    pub(crate) fn before(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// Milliseconds from `earlier` to here; 0 if it is not earlier.
    pub(crate) fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Moment {
    /// `2015-01-22T01:22:02.000Z`.
    pub(crate) fn to_rfc3339(self) -> String {
        let (year, month, day) = civil(self.seconds() / 86_400);
        let second = self.seconds() % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let millis = self.0 % 1000;
        format!(
            "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z",
            month + 1
        )
    }
}

/// As the service prints times in its messages: `Thu Jan 22 01:22:02 UTC 2015`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let (days, second) = (self.seconds() / 86_400, self.seconds() % 86_400);
        let weekday = DAYS[usize::try_from(days % 7).unwrap_or_default()];
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let month = MONTHS[month];
        write!(
            f,
            "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}"
        )
    }
}

/// Year, month (from 0) and day of month of the day `days` after 1970-01-01.
fn civil(days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    // 400 years are always 146,097 days, so that the loops below stay short.
    let mut year = 1970 + days / 146_097 * 400;
    let mut rest = days % 146_097;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if rest < length {
            break;
        }
        rest -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while rest >= lengths[month] {
        rest -= lengths[month];
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_the_service_prints_them() {
        assert_eq!(
            Moment(1_421_889_722_000).to_string(),
            "Thu Jan 22 01:22:02 UTC 2015"
        );
        assert_eq!(
            Moment(1_709_164_800_000).to_string(),
            "Thu Feb 29 00:00:00 UTC 2024"
        );
        assert_eq!(
            Moment(1_704_067_199_999).to_string(),
            "Sun Dec 31 23:59:59 UTC 2023"
        );
    }

    #[test]
    fn times_print_as_rfc_3339_has_them() {
        let time = Moment(1_709_164_800_007);
        assert_eq!(time.to_rfc3339(), "2024-02-29T00:00:00.007Z");
        let last = Moment(1_704_067_199_999);
        assert_eq!(last.to_rfc3339(), "2023-12-31T23:59:59.999Z");
    }

    #[test]
    fn wire_seconds_keep_their_milliseconds() {
        assert_eq!(
            Moment::from_seconds(1_538_160_219.636),
            Moment(1_538_160_219_636)
        );
        assert_eq!(Moment::from_seconds(-1.0), Moment(0));
        assert_eq!(Moment::from_seconds(f64::NAN), Moment(0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_moves_with_paused_time_and_by_hand_only() {
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(100));
        assert_eq!(clock.moment(), Moment(100_000));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.moment(), Moment(101_500));
        clock.advance(Duration::from_secs(3600));
        assert_eq!(clock.clone().moment(), Moment(3_701_500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_can_be_frozen_and_run_at_a_rate() {
        let clock = Clock::starting_at(UNIX_EPOCH);
        clock.freeze();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.moment(), Moment(0));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.moment(), Moment(1000));
        clock.set_rate(60.0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.moment(), Moment(61_000));
        clock.set_rate(f64::NAN);
        assert_eq!(clock.rate(), 0.0);
        clock.set_rate(-3.0);
        assert_eq!(clock.rate(), 0.0);
        clock.set_rate(f64::INFINITY);
        assert_eq!(clock.rate(), Clock::RATE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn sleepers_wake_when_the_clock_gets_there_however_it_does() {
        let clock = Clock::starting_at(UNIX_EPOCH);
        let start = Instant::now();
        clock.sleep_until(Moment(2000)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        clock.set_rate(10.0);
        clock.sleep_until(Moment(12_000)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        clock.freeze();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(Moment(100_000)).await }
        });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(88));
        sleeper.await.unwrap();
        assert_eq!(clock.moment(), Moment(100_000));
    }
}
