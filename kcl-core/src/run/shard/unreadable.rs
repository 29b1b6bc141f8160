//! A shard that the service refuses to let be read, in a worker of several streams.
//!
//! Its stream is gone, or not permitted. The worker keeps the shard and tries again from time to time: were
//! it to stop, one stream would stop all; were it to give the shard back, whoever takes it would be refused
//! as well, and the lease would go round for nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::ShardTask;
use crate::error::Error;
use crate::event::{Event, Failure};

/// The pause after the first refusal. It doubles with each in a row.
const PAUSE_MIN: Duration = Duration::from_secs(10);
/// The longest pause: what a stream that is there again waits for, at most.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Refusals in a row.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    refusals: u32,
    retry_at: Option<Instant>,
}

impl Unreadable {
    /// When to try again, if there is anything to try.
    pub(super) const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The feed was opened again, or must not be.
    pub(super) const fn no_retry(&mut self) {
        self.retry_at = None;
    }

    fn refused(&mut self, now: Instant) -> Duration {
        let doubled = PAUSE_MIN * 2_u32.saturating_pow(self.refusals.min(8));
        let pause = doubled.min(PAUSE_MAX);
        self.refusals = self.refusals.saturating_add(1);
        self.retry_at = Some(now + pause);
        pause
    }
}

impl ShardTask {
    /// The feed ended because the service refuses.
    pub(super) fn refused(&mut self, error: &Error) {
        self.feed = None;
        let retry_in = self.unreadable.refused(Instant::now());
        self.shared.events.emit(&Event::ShardUnreadable {
            shard: self.context.shard.clone(),
            epoch: self.context.epoch,
            error: Failure::from(error),
            retry_in,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_pause_doubles_up_to_five_minutes() {
        let (mut unreadable, now) = (Unreadable::default(), Instant::now());
        let pauses: Vec<_> = (0..8).map(|_| unreadable.refused(now).as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(unreadable.retry_at(), Some(now + PAUSE_MAX));
        unreadable.no_retry();
        assert_eq!(unreadable.retry_at(), None);
    }
}
