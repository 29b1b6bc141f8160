//! Bytes that the shards of a worker have in hand together. It owns two kinds of semaphores and no bytes:
//! `frames` takes a share before it reads an event from the socket, and the share goes with the event
//! until its batch leaves the feed.
//!
//! INVARIANT: no shard waits for another one's processor. Whoever gets no share for a while reads one
//! event beyond the budget; a second one only when the first has left.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Bytes are counted in units of this size, because a semaphore counts to 2^32 at most.
const UNIT: usize = 1024;

/// How long a shard waits for its share before it reads beyond the budget. Processors that get on give
/// shares back sooner than that.
const PATIENCE: Duration = Duration::from_secs(1);

/// The budget of a worker. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    shares: Arc<Semaphore>,
    units: u32,
}

/// What one shard pays with.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    budget: Budget,
    /// The one event beyond the budget.
    overdraft: Arc<Semaphore>,
}

/// What an event in hand has taken. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        // On machines of 32 bits a semaphore counts less far than that.
        let units = units.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            shares: Arc::new(Semaphore::new(units as usize)),
            units,
        }
    }

    /// The purse of one shard.
    pub(crate) fn purse(&self) -> Purse {
        Purse {
            budget: self.clone(),
            overdraft: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Purse {
    /// Waits until there is a share for an event of this size. One that is larger than the whole budget
    /// takes all of it. None never comes: no semaphore here is ever closed.
    pub(crate) async fn pay(self, bytes: usize) -> Option<Share> {
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        let units = units.min(self.budget.units);
        let beyond = async {
            sleep(PATIENCE).await;
            self.overdraft.acquire_owned().await
        };
        let permit = tokio::select! {
            biased; // ORDER: the budget before what is beyond it
            share = self.budget.shares.acquire_many_owned(units) => share,
            share = beyond => share,
        };
        permit.ok().map(Share)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shares_are_given_back_and_none_is_larger_than_the_budget() {
        let budget = Budget::new(10 * UNIT);
        let purse = budget.purse();
        let whole = purse.clone().pay(usize::MAX).await;
        assert_eq!(budget.shares.available_permits(), 0);
        drop(whole);
        assert_eq!(budget.shares.available_permits(), 10);
        let start = Instant::now();
        let (_one, _two) = (purse.clone().pay(5 * UNIT).await, purse.pay(5 * UNIT).await);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_reads_one_event_beyond_what_others_hold_and_no_second() {
        let budget = Budget::new(10 * UNIT);
        let _stuck = budget.purse().pay(10 * UNIT).await.unwrap();
        let mine = budget.purse();
        let start = Instant::now();
        let beyond = mine.clone().pay(3 * UNIT).await.unwrap();
        assert_eq!(start.elapsed(), PATIENCE);
        let second = mine.clone().pay(UNIT);
        assert!(timeout(10 * PATIENCE, second).await.is_err());
        drop(beyond);
        assert!(mine.pay(UNIT).await.is_some());
    }
}
