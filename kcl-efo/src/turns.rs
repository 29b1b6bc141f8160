//! When each shard may be subscribed to again. The service refuses a second subscription of the same
//! consumer and shard within five seconds, also if the first is gone; so this outlives a feed that is
//! closed and opened again. Owned by the source, asked by its feeds.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kcl_core::{ShardId, StreamName};
use tokio::time::Instant;

type Turn = (StreamName, ShardId);

#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<Turn, Instant>>);

impl Turns {
    /// Nobody subscribes to this shard before then. What is past is forgotten.
    pub(crate) fn close_until(&self, now: Instant, turn: Turn, until: Instant) {
        let mut turns = self.turns();
        turns.retain(|_, until| now < *until);
        let latest = turns.entry(turn).or_insert(until);
        *latest = until.max(*latest);
    }

    /// When this shard may be subscribed to, if not now.
    pub(crate) fn next(&self, turn: &Turn) -> Option<Instant> {
        self.turns().get(turn).copied()
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<Turn, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_turn_only_moves_on_and_is_forgotten_when_it_is_over() {
        let (turns, now) = (Turns::default(), Instant::now());
        let turn = |shard: &str| (StreamName::new("s").unwrap(), ShardId::new(shard));
        let seconds = Duration::from_secs;
        turns.close_until(now, turn("a"), now + seconds(5));
        turns.close_until(now, turn("a"), now + seconds(1));
        assert_eq!(turns.next(&turn("a")), Some(now + seconds(5)));
        assert_eq!(turns.next(&turn("b")), None);
        turns.close_until(now + seconds(6), turn("b"), now + seconds(7));
        assert_eq!(turns.next(&turn("a")), None);
        assert_eq!(turns.turns().len(), 1);
    }
}
