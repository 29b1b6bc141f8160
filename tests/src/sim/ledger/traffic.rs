//! How much a process asks of the services.

use std::collections::VecDeque;
use std::time::Duration;

/// The window in which requests are counted.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The window in which lists of shards are counted.
pub const LISTS_WINDOW: Duration = Duration::from_secs(60);

/// The requests of one process of late.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    sent: VecDeque<Duration>,
    lists: VecDeque<Duration>,
    /// The most shards that it held, or that its processors were for, within the window before.
    shards: VecDeque<(Duration, usize)>,
}

impl Traffic {
    /// Adds a request. `shards` is how many it reads.
    pub fn add(&mut self, now: Duration, is_list: bool, shards: usize) {
        self.sent.push_back(now);
        while self.sent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.sent.pop_front();
        }
        if is_list {
            self.lists.push_back(now);
            while self
                .lists
                .front()
                .is_some_and(|at| *at + LISTS_WINDOW <= now)
            {
                self.lists.pop_front();
            }
        }
        while self.shards.back().is_some_and(|(_, of)| *of <= shards) {
            self.shards.pop_back();
        }
        self.shards.push_back((now, shards));
        while self
            .shards
            .front()
            .is_some_and(|(at, _)| *at + WINDOW <= now)
        {
            self.shards.pop_front();
        }
    }

    /// How many requests there were within the window before the last one, that one included.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// How many lists of shards there were.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    /// The most shards that it read at a time.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.front().map_or(0, |(_, of)| *of)
    }
}

/// What one second allows, as the service counts: so many at once, and as many again every second. With one to
/// spare, because who paces his calls does not know when each is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// When it is full again.
    full_at: Duration,
}

impl Bucket {
    /// Calls of `GetRecords` that a shard answers per second.
    pub const READS: u32 = 5;

    /// Whether one more is too many now.
    #[must_use]
    pub fn is_empty(&self, now: Duration) -> bool {
        let debt = self.full_at.saturating_sub(now);
        // One may have been held up on its way to the line.
        debt > Self::interval() * Self::READS + Duration::from_millis(1)
    }

    /// Whether nothing was taken of late.
    #[must_use]
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }

    /// Takes one.
    pub fn take(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now) + Self::interval();
    }

    fn interval() -> Duration {
        Duration::from_secs(1) / Self::READS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides() {
        let second = |at| Duration::from_secs(at);
        let mut traffic = Traffic::default();
        for at in 0..30 {
            traffic.add(second(at), at % 2 == 0, if at == 12 { 4 } else { 1 });
        }
        assert_eq!(
            (traffic.sent(), traffic.lists(), traffic.shards()),
            (10, 15, 1)
        );
        traffic.add(second(100), false, 0);
        assert_eq!(
            (traffic.sent(), traffic.lists(), traffic.shards()),
            (1, 15, 0)
        );
    }

    #[test]
    fn a_bucket_gives_five_at_once_and_one_that_was_held_up_and_five_a_second() {
        let mut bucket = Bucket::default();
        let mut taken = 0;
        for tenth in 0..20 {
            let now = Duration::from_millis(tenth * 100);
            while !bucket.is_empty(now) {
                bucket.take(now);
                taken += 1;
            }
        }
        assert_eq!(taken, 6 + 9);
    }
}
