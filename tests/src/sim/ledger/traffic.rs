//! How much a process asks of the services.

use std::collections::VecDeque;
use std::time::Duration;

use crate::sim::subject::Subject;

/// The window in which requests are counted.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The window in which lists of shards are counted.
pub const LISTS_WINDOW: Duration = Duration::from_secs(60);

/// The requests of one process of late.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    sent: VecDeque<Duration>,
    lists: VecDeque<Duration>,
    /// Rows that it made, took or ended.
    rows: VecDeque<(Duration, Subject)>,
    batches: VecDeque<Duration>,
    /// The most shards that it held, or that its processors were for, within the window before.
    shards: VecDeque<(Duration, usize)>,
}

impl Traffic {
    /// Adds a request. `shards` is how many it reads.
    pub fn add(&mut self, now: Duration, is_list: bool, shards: usize) {
        push(&mut self.sent, now, WINDOW);
        if is_list {
            push(&mut self.lists, now, LISTS_WINDOW);
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

    /// Adds an attempt to make, take or end the row of a shard, which is a request as well.
    pub fn add_row(&mut self, now: Duration, write: Subject) {
        self.rows.push_back((now, write));
        while self.rows.front().is_some_and(|(at, _)| *at + WINDOW <= now) {
            self.rows.pop_front();
        }
    }

    /// Adds a batch of records that it hands over.
    pub fn add_batch(&mut self, now: Duration) {
        push(&mut self.batches, now, WINDOW);
    }

    /// How many requests there were within the window before this time.
    #[must_use]
    pub fn sent(&self, now: Duration) -> usize {
        count(&self.sent, now, WINDOW)
    }

    /// How many lists of shards there were within their window before this time.
    #[must_use]
    pub fn lists(&self, now: Duration) -> usize {
        count(&self.lists, now, LISTS_WINDOW)
    }

    /// How many rows it tried to make, to take and to end within the window before this time, each of so many shards
    /// once.
    #[must_use]
    pub fn rows(&self, now: Duration, shards: usize) -> usize {
        let late = self.rows.iter().filter(|(at, _)| *at + WINDOW > now);
        let of = |write| late.clone().filter(|(_, it)| *it == write).count();
        let writes = [Subject::Make, Subject::Take, Subject::Finish];
        writes.map(|write| of(write).min(shards)).iter().sum()
    }

    /// How many batches it handed over within the window before this time.
    #[must_use]
    pub fn batches(&self, now: Duration) -> usize {
        count(&self.batches, now, WINDOW)
    }

    /// The most shards that it read at a time.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.front().map_or(0, |(_, of)| *of)
    }
}

/// Adds what happens now, and drops what is out of the window.
fn push(times: &mut VecDeque<Duration>, now: Duration, window: Duration) {
    times.push_back(now);
    while times.front().is_some_and(|at| *at + window <= now) {
        times.pop_front();
    }
}

fn count(times: &VecDeque<Duration>, now: Duration, window: Duration) -> usize {
    let late = times.iter().rev();
    late.take_while(|at| **at + window > now).count()
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
            traffic.add_batch(second(at));
            traffic.add(second(at), at % 2 == 0, if at == 12 { 4 } else { 1 });
        }
        assert_eq!(
            (
                traffic.sent(second(29)),
                traffic.lists(second(29)),
                traffic.batches(second(29)),
                traffic.shards()
            ),
            (10, 15, 10, 1)
        );
        traffic.add(second(100), false, 0);
        for at in [0, 90, 91, 92] {
            traffic.add_row(second(at), Subject::Make);
        }
        traffic.add_row(second(92), Subject::Finish);
        assert_eq!(
            (
                traffic.rows(second(92), 2),
                traffic.rows(second(92), 5),
                traffic.rows(second(101), 5)
            ),
            (3, 4, 2)
        );
        assert_eq!(
            (
                traffic.sent(second(100)),
                traffic.lists(second(80)),
                traffic.batches(second(30)),
                traffic.shards()
            ),
            (1, 4, 9, 0)
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
