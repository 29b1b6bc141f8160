//! How records are handed to a handler.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text;

/// Which lane of a shard a partition key goes to. Either way a key is in one call at a time, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneChoice {
    /// Whichever is free: a record that takes long or fails holds up its own key alone, and what a lane keeps in memory
    /// is about any key.
    #[default]
    Free,
    /// Always the same, by a hash of the key, as long as the worker has the shard: what a lane keeps in memory, such as
    /// the process of a function, sees all records of its keys. A record that takes long or fails holds up all keys
    /// of its lane.
    ByKey,
}

/// Up to where a shard with several lanes is committed. Either way everything before that place is settled, and what was
/// processed behind it comes again after a crash. A shard that is given back is committed up to the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneCommit {
    /// Before the oldest record that is not settled.
    #[default]
    Record,
    /// Behind the newest page before that of which all records are settled, so what comes again is what a poller would
    /// have that hands a page to its lanes and waits for all of them: up to a page more. A page is what one answer of
    /// the service brought, or a piece of it where aggregated records are taken apart and it grows too large.
    Page,
}

/// How records are handed to a handler: a [`BatchHandler`](crate::BatchHandler), a closure, a stream. A
/// [`RecordProcessor`](crate::RecordProcessor) gets whole pages, one after the other, and none of this applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HandlerSettings {
    /// Calls that one shard may have at once. Default 1: the order of the whole shard. With more, the order is that
    /// of each partition key. 1 to 1,000.
    pub lanes: usize,
    /// Which of them a partition key goes to. Default: whichever is free.
    pub lane_choice: LaneChoice,
    /// Up to where the shard is committed, with more than one. Default: before the oldest record that is not settled.
    pub lane_commit: LaneCommit,
    /// Records in one call, at most. Default 100. A handler of single records is called for each of them, and
    /// this says how many at most are counted as settled together. 1 to 10,000.
    pub batch_records_max: usize,
    /// Bytes in one call, payloads and partition keys, at most. Default 4 MiB. A record that is larger comes
    /// alone. At least 1.
    pub batch_bytes_max: usize,
    /// How long a batch that is not full waits for more records. Default 0: not at all. At most 5 minutes.
    #[serde(with = "text")]
    pub batch_window: Duration,
    /// Records of one shard from the oldest unsettled one to the newest taken in, at most, settled ones
    /// between them included: what may come again after a crash. Default 20,000. At least `lanes`. The last page
    /// may exceed it.
    pub unsettled_records_max: usize,
    /// Bytes of unsettled records of one shard, at most. Default 32 MiB. At least 1. The last page may exceed it.
    pub unsettled_bytes_max: usize,
}

impl Default for HandlerSettings {
    fn default() -> Self {
        Self {
            lanes: 1,
            lane_choice: LaneChoice::Free,
            lane_commit: LaneCommit::Record,
            batch_records_max: 100,
            batch_bytes_max: 4 * 1024 * 1024,
            batch_window: Duration::ZERO,
            unsettled_records_max: 20_000,
            unsettled_bytes_max: 32 * 1024 * 1024,
        }
    }
}

impl HandlerSettings {
    /// Checks each rule: whether it holds, for which setting, and in words.
    pub(super) fn check(&self, check: &mut dyn FnMut(bool, &str, &str)) {
        let handler = self;
        check(
            (1..=1_000).contains(&handler.lanes),
            "handler.lanes",
            "must be 1 to 1,000",
        );
        check(
            (1..=10_000).contains(&handler.batch_records_max),
            "handler.batch_records_max",
            "must be 1 to 10,000",
        );
        check(
            handler.batch_bytes_max > 0,
            "handler.batch_bytes_max",
            "must be at least 1",
        );
        check(
            handler.batch_window <= Duration::from_secs(300),
            "handler.batch_window",
            "must be at most 5 minutes",
        );
        check(
            handler.unsettled_records_max >= handler.lanes,
            "handler.unsettled_records_max",
            "must be at least handler.lanes, or lanes stay empty",
        );
        check(
            handler.unsettled_bytes_max > 0,
            "handler.unsettled_bytes_max",
            "must be at least 1",
        );
    }
}
