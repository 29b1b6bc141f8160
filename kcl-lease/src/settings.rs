//! The settings of the leases, with what each is good for.

use std::time::Duration;

use kcl_core::error::Problem;
use serde::{Deserialize, Serialize};

use crate::row::Capacity;

/// What workers share evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Balance {
    /// Counts of shards, for the capacity of each worker.
    Count,
    /// Counts, and when they are even what is read of the shards.
    #[default]
    CountAndLoad,
}

/// How leases are kept, found and shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseSettings {
    /// How long a worker may be silent before others take its shards. Default 10 s.
    ///
    /// It proves its life every third of this. Too low: a slow network or a busy machine costs a
    /// worker all its shards. Too high: the shards of a crashed worker wait that long. Workers
    /// with different values can share an application: each is judged by its own.
    pub duration: Duration,
    /// How often one worker of all reads the whole table, and the others two rows of it. Default: a
    /// twelfth of `duration`, so that with what a handover takes beside, the next worker has a shard within a tenth.
    ///
    /// Too low: the table is read for nothing (each read of the whole costs one unit per 8 KB of rows).
    /// Too high: free shards wait that long, or twice. Less than half of `duration`.
    pub scan_interval: Option<Duration>,
    /// How often the stream is asked for shards nobody knows yet. Default 60 s.
    ///
    /// The end of a shard asks at once, so this only finds what a worker could not record before it
    /// died. Too low: calls for nothing. Too high: such shards wait that long.
    pub sync_interval: Duration,
    /// How many shards this worker reads at most. Default: no bound.
    ///
    /// If all workers are full, the shards that are left wait.
    pub leases_max: Option<u32>,
    /// How much this worker can do, beside others of the application. Default 1.
    ///
    /// A machine that is twice as large has 2, and gets twice the shards or twice the load. 0.01 to 1,000. Too low:
    /// it idles while others work. Too high: it falls behind.
    pub capacity: f64,
    /// What is shared evenly. Default: counts of shards, and then what is read of them.
    ///
    /// All workers of an application must balance by load for any of them to do so.
    pub balance: Balance,
    /// How far from its fair load a worker may be before shards move for it, as a part of that load. Default 0.08,
    /// which with the noise of a measured mean keeps a fleet within a tenth.
    ///
    /// Too low: shards move for what would have evened out by itself. Too high: one worker falls behind while
    /// another idles. 0.01 to 1.
    pub load_threshold: f64,
    /// For how long that must have been so. Default: six times `duration`.
    ///
    /// Too low: shards move for a burst. Too high: it takes that long for each step. A shard that moved for its load
    /// stays where it is for five times as long. At least `duration`, so that what others read is known.
    pub load_patience: Option<Duration>,
    /// How long the reader of a shard may go without any answer from the service before another worker should try,
    /// while this one reads other shards well. Default 5 minutes; half of it, and the reader is told of.
    ///
    /// Too low: shards move for an outage that others would meet as well. Too high: a worker that cannot read one
    /// shard keeps it that long. Time in which a slow processor holds the reader back does not count. At least 10 s.
    pub silence_max: Duration,
    /// Whether the regular reads of the table, by the one worker that keeps the watch, are consistent.
    /// Default no.
    ///
    /// Twice the price, and decisions that are based on fresher rows. Correctness does not rest on
    /// it: every write has its condition.
    pub consistent_scans: bool,
    /// How many writes to the table run at a time when many are due at once. Default 32.
    ///
    /// Too low: taking a thousand shards takes long. Too high: a small table throttles.
    pub writes_at_once: usize,
    /// How long to try to join the application before giving up with an error. Default 10 s.
    ///
    /// Too low: a short outage fails the start. Too high: a wrong endpoint takes long to show.
    pub start_timeout: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(10),
            scan_interval: None,
            sync_interval: Duration::from_secs(60),
            leases_max: None,
            capacity: 1.0,
            balance: Balance::default(),
            load_threshold: 0.08,
            load_patience: None,
            silence_max: Duration::from_secs(300),
            consistent_scans: false,
            writes_at_once: 32,
            start_timeout: Duration::from_secs(10),
        }
    }
}

impl LeaseSettings {
    /// How often the table is read.
    #[must_use]
    pub fn scan_every(&self) -> Duration {
        self.scan_interval.unwrap_or(self.duration / 12)
    }

    /// Whether shards move for what is read of them.
    pub(crate) const fn by_load(&self) -> bool {
        match self.balance {
            Balance::Count => false,
            Balance::CountAndLoad => true,
        }
    }

    /// For how long a worker must be off its fair load.
    pub(crate) fn load_patience(&self) -> Duration {
        self.load_patience.unwrap_or(self.duration * 6)
    }

    /// How long a shard that moved for its load stays where it is.
    pub(crate) fn load_rest(&self) -> Duration {
        self.load_patience() * 5
    }

    /// How often the worker proves its life.
    pub(crate) fn renew_every(&self) -> Duration {
        self.duration / 3
    }

    /// How long after a proof of life was sent deliveries may start: the lease time less a
    /// twentieth, for clocks that run at different rates.
    pub(crate) fn hold_for(&self) -> Duration {
        self.duration - self.duration / 20
    }

    /// What is wrong, all at once.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let second = Duration::from_secs(1);
        let hour = Duration::from_secs(3600);
        let scan = self.scan_every();
        let rules = [
            (
                "lease.duration",
                (second..=hour).contains(&self.duration),
                "must be 1 s to 1 h",
            ),
            (
                "lease.scan_interval",
                scan >= Duration::from_millis(10),
                "must be 10 ms or more",
            ),
            (
                "lease.scan_interval",
                scan * 2 < self.duration,
                "must be less than half of duration",
            ),
            (
                "lease.sync_interval",
                self.sync_interval >= second,
                "must be 1 s or more",
            ),
            (
                "lease.leases_max",
                self.leases_max != Some(0),
                "must be 1 or more, or not be set",
            ),
            (
                "lease.capacity",
                Capacity::RANGE.contains(&self.capacity),
                "must be 0.01 to 1000",
            ),
            (
                "lease.load_threshold",
                (0.01..=1.0).contains(&self.load_threshold),
                "must be 0.01 to 1",
            ),
            (
                "lease.load_patience",
                (self.duration..=hour * 24).contains(&self.load_patience()),
                "must be duration to 24 h",
            ),
            (
                "lease.silence_max",
                (second * 10..=hour * 24).contains(&self.silence_max),
                "must be 10 s to 24 h",
            ),
            (
                "lease.writes_at_once",
                (1..=1000).contains(&self.writes_at_once),
                "must be 1 to 1000",
            ),
            (
                "lease.start_timeout",
                self.start_timeout >= second,
                "must be 1 s or more",
            ),
        ];
        let broken = rules.into_iter().filter(|(_, holds, _)| !holds);
        broken
            .map(|(setting, _, rule)| Problem::new(setting, rule))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(LeaseSettings::default().problems(), []);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let settings = LeaseSettings {
            duration: Duration::from_millis(100),
            scan_interval: Some(Duration::from_millis(60)),
            leases_max: Some(0),
            capacity: f64::NAN,
            load_threshold: 0.0,
            silence_max: Duration::ZERO,
            ..LeaseSettings::default()
        };
        let named: Vec<_> = settings.problems().into_iter().map(|p| p.setting).collect();
        assert_eq!(
            named,
            [
                "lease.duration",
                "lease.scan_interval",
                "lease.leases_max",
                "lease.capacity",
                "lease.load_threshold",
                "lease.silence_max"
            ]
        );
    }
}
