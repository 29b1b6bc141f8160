//! The settings of a shared table, with what each is good for. Those that Java workers have too must be
//! the same on both sides.

use std::time::Duration;

use kcl_core::error::Problem;
use serde::{Deserialize, Serialize};

/// Which protocol the Java workers of the fleet follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JavaFleet {
    /// The KCL 2.x, and a KCL 3.x that is told to be compatible with it (`CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X`):
    /// each worker takes leases for itself.
    #[default]
    V2,
    /// The KCL 3.x as it defaults: a leader assigns leases.
    V3,
}

/// How leases are kept in a table that Java workers share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JavaSettings {
    /// Which protocol the fleet follows. Default: that of the KCL 2.x.
    ///
    /// What the table says against it ends the worker with an error.
    pub fleet: JavaFleet,
    /// The KCL's `failoverTimeMillis`: how long a lease may stand still before others take it. Default 10 s.
    ///
    /// Must be that of the Java workers: each judges the others' leases by its own. A held lease is renewed
    /// every third of it.
    pub failover: Duration,
    /// How often the table is read, for leases to take or to be given. Default: `failover`.
    ///
    /// Too low: each read costs one unit per 8 KB of rows. Too high: free leases wait that long, and a
    /// worker that joins takes one in that time.
    pub look_interval: Option<Duration>,
    /// How often the stream is asked for shards nobody knows yet, and finished leases are cleaned up.
    /// Default 60 s.
    pub sync_interval: Duration,
    /// How many leases this worker holds at most, the KCL's `maxLeasesForWorker`. Default: no bound.
    ///
    /// The KCL counts finished shards until their leases are cleaned up, and so does this.
    pub leases_max: Option<u32>,
    /// How many leases it takes from a living worker at one look, the KCL's `maxLeasesToStealAtOneTime`.
    /// Default 1. Only where no leader assigns.
    pub steals_max: u32,
    /// Whether the regular reads of the table are consistent, at twice the price. Default no, as the KCL's.
    pub consistent_reads: bool,
    /// How many leases are taken or made at a time when many are due at once. Default 32.
    pub writes_at_once: usize,
    /// How long to try to join the application before giving up with an error. Default 10 s.
    pub start_timeout: Duration,
    /// How often this worker tells that it lives, the KCL's `workerMetricsReporterFreqInMillis`. Default 30 s.
    ///
    /// Must be that of the Java workers: a leader does not count who was silent for twice as long.
    pub report_interval: Duration,
    /// How long the lock of a leader may stand still,
    /// the KCL's `dynamoDbLockBasedLeaderLeaseDurationInMillis`. Default 120 s.
    pub leader_lease: Duration,
    /// How often a leader renews its lock and the others look at it,
    /// the KCL's `dynamoDbLockBasedLeaderHeartbeatPeriodInMillis`. Default 30 s.
    pub leader_heartbeat: Duration,
    /// How often a leader assigns, the KCL's `leaseAssignmentIntervalMillis`. Default: twice `failover`.
    pub assignment_interval: Option<Duration>,
    /// How long the reader of a shard has to hand it over before a leader takes it away,
    /// the KCL's `gracefulLeaseHandoffTimeoutMillis`. Default 30 s.
    pub handover_max: Duration,
}

impl Default for JavaSettings {
    fn default() -> Self {
        Self {
            fleet: JavaFleet::V2,
            failover: Duration::from_secs(10),
            look_interval: None,
            sync_interval: Duration::from_secs(60),
            leases_max: None,
            steals_max: 1,
            consistent_reads: false,
            writes_at_once: 32,
            start_timeout: Duration::from_secs(10),
            report_interval: Duration::from_secs(30),
            leader_lease: Duration::from_secs(120),
            leader_heartbeat: Duration::from_secs(30),
            assignment_interval: None,
            handover_max: Duration::from_secs(30),
        }
    }
}

impl JavaSettings {
    /// How often the table is read.
    #[must_use]
    pub fn look_every(&self) -> Duration {
        self.look_interval.unwrap_or(self.failover)
    }

    /// How often a leader assigns.
    #[must_use]
    pub fn assign_every(&self) -> Duration {
        self.assignment_interval.unwrap_or(self.failover * 2)
    }

    /// How often a held lease is renewed.
    pub(crate) fn renew_every(&self) -> Duration {
        self.failover / 3
    }

    /// How long after a proof of life was sent deliveries may start: the failover time less a twentieth,
    /// for clocks that run at different rates.
    pub(crate) fn hold_for(&self) -> Duration {
        self.failover - self.failover / 20
    }

    /// How long to wait before a write is tried again.
    pub(crate) fn retry_pause(&self) -> Duration {
        self.failover / 50
    }

    /// How often a shard that waits for its parents looks at them.
    pub(crate) fn parents_every(&self) -> Duration {
        (self.failover / 10).min(Duration::from_secs(1))
    }

    /// What is wrong, all at once.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let second = Duration::from_secs(1);
        let hour = second * 3600;
        let tenth = Duration::from_millis(100);
        let rules = [
            (
                "java.failover",
                (second..=hour).contains(&self.failover),
                "must be 1 s to 1 h",
            ),
            (
                "java.look_interval",
                self.look_every() >= tenth,
                "must be 100 ms or more",
            ),
            (
                "java.sync_interval",
                self.sync_interval >= second,
                "must be 1 s or more",
            ),
            (
                "java.leases_max",
                self.leases_max != Some(0),
                "must be 1 or more, or not be set",
            ),
            ("java.steals_max", self.steals_max >= 1, "must be 1 or more"),
            (
                "java.writes_at_once",
                (1..=1000).contains(&self.writes_at_once),
                "must be 1 to 1000",
            ),
            (
                "java.start_timeout",
                self.start_timeout >= second,
                "must be 1 s or more",
            ),
            (
                "java.report_interval",
                self.report_interval >= second,
                "must be 1 s or more",
            ),
            (
                "java.leader_heartbeat",
                self.leader_heartbeat >= second && self.leader_heartbeat * 2 < self.leader_lease,
                "must be 1 s or more, and less than half of leader_lease",
            ),
            (
                "java.assignment_interval",
                self.assign_every() >= tenth,
                "must be 100 ms or more",
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
        assert_eq!(JavaSettings::default().problems(), []);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let settings = JavaSettings {
            failover: Duration::ZERO,
            look_interval: Some(Duration::ZERO),
            leader_heartbeat: Duration::from_secs(60),
            assignment_interval: Some(Duration::from_secs(1)),
            ..JavaSettings::default()
        };
        let named: Vec<_> = settings.problems().into_iter().map(|p| p.setting).collect();
        assert_eq!(
            named,
            [
                "java.failover",
                "java.look_interval",
                "java.leader_heartbeat"
            ]
        );
    }
}
