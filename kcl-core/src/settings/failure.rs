//! What happens when user code fails.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{TIME_MAX, optional_text, text};

/// What happens when a processor or a handler returns an error or panics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FailureSettings {
    /// Start again, stop the worker, or give records up. Default: start again.
    pub policy: FailurePolicy,
    /// The first pause before a new processor starts or a batch is tried again, at most. Default 200 ms. It
    /// doubles with each failure in a row; the pause is drawn evenly between nothing and this bound.
    #[serde(with = "text")]
    pub delay_min: Duration,
    /// The longest pause. Default 30 s. Longer spares a broken sink, and lets the shard fall behind.
    #[serde(with = "text")]
    pub delay_max: Duration,
    /// How often a handler is called with the same records, at most, the first call included. Default: no limit.
    /// At least 1. What follows says [`FailurePolicy`].
    pub attempts_max: Option<u32>,
    /// How old a record may be, by its arrival and this worker's clock, when it is tried once more. Default: no
    /// limit. More than 0.
    #[serde(with = "optional_text")]
    pub age_max: Option<Duration>,
    /// Whether a batch that failed as a whole is tried again in halves, until the records that fail stand alone.
    /// Halving does not count as an attempt. Default: no.
    pub bisect: bool,
    /// How long a call with records may take: `process_records`, a handler with a batch or with a record, a failure
    /// destination. Then it is cancelled, and has failed. Default: no limit. More than 0.
    #[serde(with = "optional_text")]
    pub call_max: Option<Duration>,
}

impl Default for FailureSettings {
    fn default() -> Self {
        Self {
            policy: FailurePolicy::default(),
            delay_min: Duration::from_millis(200),
            delay_max: Duration::from_secs(30),
            attempts_max: None,
            age_max: None,
            bisect: false,
            call_max: None,
        }
    }
}

/// What happens to records when a processor or a handler returns an error or panics. Nothing that failed is ever
/// counted as processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailurePolicy {
    /// As often as it takes. The shard stays with this worker: a failed batch is handed to the handler again after
    /// a pause. A processor is dropped, what it acknowledged is committed, and after a pause a new one gets everything
    /// behind it again.
    #[default]
    Restart,
    /// The worker drains its other shards, gives everything back, and `run` returns an error of
    /// kind [`Processor`](crate::ErrorKind::Processor). With a handler and a limit of attempts or age, when that is
    /// reached; else at the first failure.
    StopWorker,
    /// As `Restart` until a limit of attempts or age is reached; then the records go to the failure destination
    /// ([`with_failure_destination`](crate::WorkerBuilder::with_failure_destination)), and count as settled when it
    /// has taken them. For handlers.
    Divert,
}

impl FailureSettings {
    /// Checks each rule: whether it holds, for which setting, and in words.
    pub(super) fn check(&self, check: &mut dyn FnMut(bool, &str, &str)) {
        let failure = self;
        check(
            !failure.delay_min.is_zero(),
            "failure.delay_min",
            "must be more than 0",
        );
        check(
            (failure.delay_min..=TIME_MAX).contains(&failure.delay_max),
            "failure.delay_max",
            "must be at least failure.delay_min and at most one day",
        );
        check(
            failure.attempts_max != Some(0),
            "failure.attempts_max",
            "must be at least 1; leave it out for no limit",
        );
        for (setting, time) in [
            ("failure.age_max", failure.age_max),
            ("failure.call_max", failure.call_max),
        ] {
            let rule = "must be more than 0 and at most a year; leave it out for no limit";
            let ok = time.is_none_or(|time| !time.is_zero() && time <= 365 * TIME_MAX);
            check(ok, setting, rule);
        }
        let is_limited = failure.attempts_max.is_some() || failure.age_max.is_some();
        let rule = match failure.policy {
            FailurePolicy::Restart => {
                "restart has no limits; take failure.attempts_max and failure.age_max out, or name what \
                 follows on them: divert or stop_worker"
            }
            FailurePolicy::Divert => {
                "divert needs a limit to be reached: failure.attempts_max or failure.age_max"
            }
            FailurePolicy::StopWorker => "",
        };
        let ok = match failure.policy {
            FailurePolicy::Restart => !is_limited,
            FailurePolicy::Divert => is_limited,
            FailurePolicy::StopWorker => true,
        };
        check(ok, "failure.policy", rule);
    }
}
