//! One shard: what it is, when it lived, and its log.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::clock::Moment;

use super::audience::Audience;
use super::hash::HashRange;
use super::limits::ShardBudget;
use super::log::Log;
use super::metrics::ShardMetrics;
use super::sequence::{INDEX_END, Sequence};

/// See the module. Closed at most once, under the stream's write lock.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) index: u32,
    pub(crate) range: HashRange,
    /// The second in its sequence numbers: may run ahead of the clock, so that a child's numbers are
    /// above its parents' even if both are made within one second.
    pub(crate) created: u64,
    /// When it opened, to the millisecond.
    pub(crate) opened: Moment,
    pub(crate) parent: Option<u32>,
    pub(crate) adjacent_parent: Option<u32>,
    pub(crate) closed: OnceLock<Closed>,
    pub(crate) log: Mutex<Log>,
    /// Nothing until a limited call comes.
    pub(crate) budget: Mutex<Option<Box<ShardBudget>>>,
    pub(crate) metrics: ShardMetrics,
    pub(crate) audience: Audience,
}

/// How a shard ended.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) at: Moment,
    /// The second in its ending number.
    pub(crate) second: u64,
    pub(crate) children: Vec<Arc<Shard>>,
}

impl Shard {
    pub(crate) fn new(index: u32, range: HashRange, created: u64, opened: Moment) -> Self {
        Self {
            index,
            range,
            created,
            opened,
            parent: None,
            adjacent_parent: None,
            closed: OnceLock::new(),
            log: Mutex::new(Log::new(opened)),
            budget: Mutex::new(None),
            metrics: ShardMetrics::default(),
            audience: Audience::default(),
        }
    }

    pub(crate) fn id(&self) -> String {
        id(self.index)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.get().is_none()
    }

    /// The number of the record `index` that arrived at `arrival`.
    pub(crate) fn sequence(&self, index: u64, arrival: Moment) -> Sequence {
        Sequence::new(
            self.created,
            self.index,
            index,
            arrival.seconds().max(self.created),
        )
    }

    pub(crate) fn starting_sequence(&self) -> Sequence {
        Sequence::new(self.created, self.index, 0, self.created)
    }

    pub(crate) fn ending_sequence(&self) -> Option<Sequence> {
        let closed = self.closed.get()?;
        Some(Sequence::new(
            self.created,
            self.index,
            INDEX_END,
            closed.second,
        ))
    }

    /// The counter of the first record at `number`, which is one of this shard's, or above it; with
    /// `is_after` of the first above it. A number that no record has is a place between two.
    pub(crate) fn seek(&self, number: Sequence, is_after: bool) -> u64 {
        let is_before = match self.log.lock().arrival_of(number.index) {
            Some(arrival) => {
                let own = self.sequence(number.index, arrival);
                own < number || is_after && own == number
            }
            None => is_after,
        };
        number.index + u64::from(is_before)
    }
}

/// `shardId-000000000007`.
pub(crate) fn id(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// The index a shard id names: the service looks only at what follows the last hyphen.
pub(crate) fn parse_id(id: &str) -> Option<u32> {
    let number = id.rsplit('-').next()?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let index = number.parse::<u32>().ok()?;
    i32::try_from(index).is_ok().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_leniently_as_the_service_does() {
        for id in ["shardId-000000000007", "shard-7", "foo-bar-7", "-0007", "7"] {
            assert_eq!(parse_id(id), Some(7), "{id}");
        }
        for id in [
            "",
            "shardId-",
            "shardId",
            "shardId-2147483648",
            "shardId-99999999999999",
            "1x",
        ] {
            assert_eq!(parse_id(id), None, "{id}");
        }
        assert_eq!(id(7), "shardId-000000000007");
    }
}
