//! What can be set on a worker, with defaults, units and effects. Data only: clients, clocks and
//! names go to the builder. Polling has its own in `poll`.
//!
//! `docs/settings.md` is written from the defaults here and a test keeps it in step.

mod decode;
mod failure;
mod handler;
pub(crate) mod optional_text;
pub(crate) mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::decode::DecodeSettings;
pub use self::failure::{FailurePolicy, FailureSettings};
pub use self::handler::{HandlerSettings, LaneChoice, LaneCommit};
use crate::error::Problem;

/// All settings of a worker that are not about one source or one lease store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// When progress becomes durable.
    pub commit: CommitSettings,
    /// What happens to records before user code gets them.
    pub decode: DecodeSettings,
    /// What happens when a processor or a handler fails.
    pub failure: FailureSettings,
    /// How records are handed to a handler.
    pub handler: HandlerSettings,
    /// How long leaving may take.
    pub shutdown: ShutdownSettings,
}

/// When progress becomes durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommitSettings {
    /// Who says what may be written. Default: automatic, every 5 s.
    pub policy: CheckpointPolicy,
}

/// Who says what may be written as a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CheckpointPolicy {
    /// `Ok` from `process_records` acknowledges the batch, and acknowledged progress is written at
    /// most this often, and always when the shard ends, is handed over or the worker shuts down.
    /// User code may ask for more through its `Checkpointer`.
    Automatic {
        /// The time between two commits of one shard. Default 5 s; 0 commits after each batch.
        /// Shorter means fewer repeated records after a crash and more writes to the lease store.
        #[serde(with = "text")]
        every: Duration,
    },
    /// Only what user code asks for through its `Checkpointer` is written. A processor that fails
    /// starts again behind its own last checkpoint. `shard_ended` must call `checkpoint`, or the
    /// children of the shard never start.
    Manual,
}

impl Default for CheckpointPolicy {
    fn default() -> Self {
        Self::Automatic {
            every: Duration::from_secs(5),
        }
    }
}

/// How long leaving may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownSettings {
    /// How long the calls in hand and `shutdown_requested` of a shard may take before they are
    /// cancelled, so that the shard can still be given back. Default 20 s.
    #[serde(with = "text")]
    pub call_max: Duration,
    /// How long draining may take in all; then everything is dropped, and shards that were not
    /// given back wait for their lease time to be over. Default 30 s; more than `call_max`.
    #[serde(with = "text")]
    pub drain_max: Duration,
    /// How long the call in hand may go on after the shard was lost, and then how long
    /// `lease_lost` may take. Default 2 s.
    #[serde(with = "text")]
    pub lost_max: Duration,
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self {
            call_max: Duration::from_secs(20),
            drain_max: Duration::from_secs(30),
            lost_max: Duration::from_secs(2),
        }
    }
}

/// Longer than any of these times can sensibly be, and short enough for arithmetic on instants.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Settings {
    /// What is wrong, all at once.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |ok: bool, setting: &str, rule: &str| {
            if !ok {
                problems.push(Problem::new(setting, rule));
            }
        };
        if let CheckpointPolicy::Automatic { every } = self.commit.policy {
            check(
                every <= TIME_MAX,
                "commit.policy.automatic.every",
                "must be at most one day",
            );
        }
        self.decode.check(&mut check);
        self.failure.check(&mut check);
        self.handler.check(&mut check);
        let shutdown = &self.shutdown;
        check(
            shutdown.call_max < shutdown.drain_max && shutdown.drain_max <= TIME_MAX,
            "shutdown.drain_max",
            "must be more than shutdown.call_max, so that there is time to commit and release, \
             and at most one day",
        );
        check(
            shutdown.lost_max <= TIME_MAX,
            "shutdown.lost_max",
            "must be at most one day",
        );
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().problems(), []);
    }

    #[test]
    fn every_broken_relation_is_named() {
        let settings = Settings {
            failure: FailureSettings {
                delay_min: Duration::ZERO,
                ..FailureSettings::default()
            },
            shutdown: ShutdownSettings {
                call_max: Duration::from_secs(40),
                ..ShutdownSettings::default()
            },
            ..Settings::default()
        };
        let problems = settings.problems();
        let named: Vec<_> = problems
            .iter()
            .map(|problem| problem.setting.as_str())
            .collect();
        assert_eq!(named, ["failure.delay_min", "shutdown.drain_max"]);
    }

    #[test]
    fn settings_can_be_written_by_hand_in_part() {
        let text = r#"{"commit": {"policy": {"automatic": {"every": "1m 30s"}}}}"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        let every = Duration::from_secs(90);
        assert_eq!(
            settings.commit.policy,
            CheckpointPolicy::Automatic { every }
        );
        assert_eq!(settings.shutdown, ShutdownSettings::default());
        assert!(serde_json::from_str::<Settings>(r#"{"comit": {}}"#).is_err());
    }
}
