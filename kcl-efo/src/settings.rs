//! All settings of fan-out, their defaults and the relations between them. Data only: clients and
//! clocks are handed in elsewhere.
//!
//! `docs/settings.md` is written from the defaults here and a test keeps it in step.

use std::time::Duration;

use kcl_core::error::Problem;
use serde::{Deserialize, Serialize};

/// The settings of fan-out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FanOutSettings {
    /// How the registered consumer is found and awaited.
    pub consumer: ConsumerSettings,
    /// How one subscription lives.
    pub subscription: SubscriptionSettings,
    /// How much is read ahead of the processors.
    pub memory: MemorySettings,
    /// When shards are polled instead, if there is a fallback.
    pub fallback: FallbackSettings,
}

/// How the registered consumer is found and awaited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerSettings {
    /// How long a consumer may take to become active. Default 60 s; the service needs a few
    /// seconds. Too low: the first start of an application fails.
    #[serde(with = "text")]
    pub ready_within: Duration,
    /// The pause between two looks at it. Default 1 s. Too low: the service answers with
    /// `LimitExceededException` (20 calls per second and stream, shared by all workers).
    #[serde(with = "text")]
    pub look_pause: Duration,
}

/// How one subscription lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscriptionSettings {
    /// When a subscription is replaced by a new one. Default 285 s: the service ends it after
    /// 300 s. Too high: the end comes unplanned and costs a round trip more. Too low: more calls.
    #[serde(with = "text")]
    pub renew_after: Duration,
    /// How long a subscription may say nothing while we listen. Default 35 s: the service sends an
    /// empty event at least every few seconds, so more silence means a dead connection. Time that
    /// a slow processor takes does not count. Too low: needless resubscribing.
    #[serde(with = "text")]
    pub silence_max: Duration,
    /// How long a subscription is held while the processor takes nothing more. Default 20 s. Then it is
    /// closed, and the next one starts at the cursor as soon as there is room. Too high: what is not
    /// read fills the buffers on the way, and several subscriptions may share them. Too low: more
    /// calls.
    #[serde(with = "text")]
    pub hold_max: Duration,
    /// How long the service may take to accept a subscription. Default 10 s.
    #[serde(with = "text")]
    pub open_within: Duration,
    /// The time from one accepted subscription to the next one. Default 5 s: the service refuses
    /// an earlier one with `ResourceInUseException`.
    #[serde(with = "text")]
    pub reopen_after: Duration,
    /// The pause after `ResourceInUseException`, and the shortest of all pauses. Default 1 s; it
    /// does not grow, because the other subscription is over within seconds.
    #[serde(with = "text")]
    pub retry_pause_min: Duration,
    /// The longest pause between failing attempts. Default 30 s.
    #[serde(with = "text")]
    pub retry_pause_max: Duration,
}

/// How much is read ahead of the processors. An event counts with its size on the wire, which is about a
/// third more than its records have, from before it is read from the socket until its batch is taken by
/// the shard; what does not fit stays in the socket, and the service waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Bytes of records that wait for one processor. Default 4 MiB. One event may exceed it.
    pub shard_bytes_max: usize,
    /// Bytes of events that all shards of the worker have in hand together. Default 64 MiB. A shard that
    /// cannot get its share for a second, because processors of others stand still, may read one
    /// event beyond it. So no shard stands still for another, and the worker holds at most this and
    /// one event for each shard.
    pub worker_bytes_max: usize,
    /// The largest event. Default 24 MiB, which holds the largest record there is (10 MiB). A larger
    /// one is taken for a broken stream of bytes.
    pub event_bytes_max: usize,
}

/// When a shard is read by the fallback, and when it comes back to fan-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackSettings {
    /// How long fan-out may fail, with nothing arriving, before the fallback takes over. Default 20 s. A
    /// refusal that no repetition changes is not waited for. Shorter gains little: after a take-over
    /// the other subscription is over after 5 s at most.
    #[serde(with = "text")]
    pub after: Duration,
    /// How long a shard is polled before fan-out is tried again. Default 60 s. It doubles with each try
    /// that fails. A try costs one call and a moment without polling.
    #[serde(with = "text")]
    pub return_after: Duration,
    /// The longest such time. Default 15 min.
    #[serde(with = "text")]
    pub return_after_max: Duration,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            ready_within: Duration::from_secs(60),
            look_pause: Duration::from_secs(1),
        }
    }
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        Self {
            renew_after: Duration::from_secs(285),
            silence_max: Duration::from_secs(35),
            hold_max: Duration::from_secs(20),
            open_within: Duration::from_secs(10),
            reopen_after: Duration::from_secs(5),
            retry_pause_min: Duration::from_secs(1),
            retry_pause_max: Duration::from_secs(30),
        }
    }
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            shard_bytes_max: 4 * 1024 * 1024,
            worker_bytes_max: 64 * 1024 * 1024,
            event_bytes_max: 24 * 1024 * 1024,
        }
    }
}

impl Default for FallbackSettings {
    fn default() -> Self {
        Self {
            after: Duration::from_secs(20),
            return_after: Duration::from_secs(60),
            return_after_max: Duration::from_secs(15 * 60),
        }
    }
}

impl FanOutSettings {
    /// Everything that is wrong with them, at once.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.consumer.problems();
        problems.extend(self.subscription.problems());
        problems.extend(self.memory.problems());
        problems.extend(self.fallback.problems());
        problems
    }
}

/// Longer than any of these times can sensibly be, and short enough for arithmetic on instants.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The service ends every subscription after five minutes.
const SERVICE_ENDS_AFTER: Duration = Duration::from_secs(300);

/// Twice the time in which an idle shard sends an empty event.
const SILENCE_MIN: Duration = Duration::from_secs(10);

/// The largest event with the smallest headroom: a record of 10 MiB in base64, and its names.
const EVENT_MIN: usize = 14 * 1024 * 1024;

/// What a semaphore of kilobytes can count, with room to spare.
const BYTES_MAX: usize = 1 << 40;

fn broken(checks: impl IntoIterator<Item = (bool, &'static str, &'static str)>) -> Vec<Problem> {
    let wrong = checks.into_iter().filter(|(is_right, ..)| !is_right);
    wrong
        .map(|(_, setting, rule)| Problem::new(format!("fan_out.{setting}"), rule))
        .collect()
}

impl ConsumerSettings {
    fn problems(&self) -> Vec<Problem> {
        broken([
            (
                !self.look_pause.is_zero() && self.look_pause <= self.ready_within,
                "consumer.look_pause",
                "must be more than 0 and at most fan_out.consumer.ready_within",
            ),
            (
                self.ready_within <= TIME_MAX,
                "consumer.ready_within",
                "must be at most one day",
            ),
        ])
    }
}

impl SubscriptionSettings {
    fn problems(&self) -> Vec<Problem> {
        broken([
            (
                self.renew_after > self.reopen_after,
                "subscription.renew_after",
                "must be more than fan_out.subscription.reopen_after: an earlier renewal is refused",
            ),
            (
                self.renew_after < SERVICE_ENDS_AFTER,
                "subscription.renew_after",
                "must be less than 300 s: the service ends a subscription then",
            ),
            (
                self.silence_max >= SILENCE_MIN && self.silence_max <= TIME_MAX,
                "subscription.silence_max",
                "must be at least 10 s, because an idle shard sends an event only every 5 s, and at \
                 most one day",
            ),
            (
                !self.hold_max.is_zero() && self.hold_max <= TIME_MAX,
                "subscription.hold_max",
                "must be more than 0 and at most one day",
            ),
            (
                !self.open_within.is_zero() && self.open_within <= TIME_MAX,
                "subscription.open_within",
                "must be more than 0 and at most one day",
            ),
            (
                !self.retry_pause_min.is_zero(),
                "subscription.retry_pause_min",
                "must be more than 0",
            ),
            (
                (self.retry_pause_min..=TIME_MAX).contains(&self.retry_pause_max),
                "subscription.retry_pause_max",
                "must be at least fan_out.subscription.retry_pause_min and at most one day",
            ),
        ])
    }
}

impl MemorySettings {
    fn problems(&self) -> Vec<Problem> {
        broken([
            (
                (1..=BYTES_MAX).contains(&self.shard_bytes_max),
                "memory.shard_bytes_max",
                "must be 1 byte to 1 TiB",
            ),
            (
                (1..=BYTES_MAX).contains(&self.worker_bytes_max),
                "memory.worker_bytes_max",
                "must be 1 byte to 1 TiB",
            ),
            (
                (EVENT_MIN..=BYTES_MAX).contains(&self.event_bytes_max),
                "memory.event_bytes_max",
                "must be at least 14 MiB, so that the largest record fits, and at most 1 TiB",
            ),
        ])
    }
}

impl FallbackSettings {
    fn problems(&self) -> Vec<Problem> {
        broken([
            (
                self.after <= TIME_MAX,
                "fallback.after",
                "must be at most one day",
            ),
            (
                !self.return_after.is_zero(),
                "fallback.return_after",
                "must be more than 0",
            ),
            (
                (self.return_after..=TIME_MAX).contains(&self.return_after_max),
                "fallback.return_after_max",
                "must be at least fan_out.fallback.return_after and at most one day",
            ),
        ])
    }
}

/// Durations as people write them: `5s`, `1m 30s`.
mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(FanOutSettings::default().problems(), []);
    }

    #[test]
    fn all_problems_come_at_once_and_name_their_setting() {
        let mut settings = FanOutSettings::default();
        settings.consumer.look_pause = Duration::ZERO;
        settings.subscription.renew_after = Duration::from_secs(400);
        settings.subscription.silence_max = Duration::from_secs(1);
        settings.subscription.retry_pause_max = Duration::from_millis(1);
        settings.memory.event_bytes_max = 1 << 20;
        settings.fallback.return_after_max = Duration::ZERO;
        let named: Vec<_> = settings.problems().into_iter().map(|p| p.setting).collect();
        assert_eq!(
            named,
            [
                "fan_out.consumer.look_pause",
                "fan_out.subscription.renew_after",
                "fan_out.subscription.silence_max",
                "fan_out.subscription.retry_pause_max",
                "fan_out.memory.event_bytes_max",
                "fan_out.fallback.return_after_max",
            ]
        );
    }

    #[test]
    fn settings_can_be_written_by_hand_in_part() {
        let text = r#"{"subscription": {"silence_max": "1m"}, "fallback": {"after": "5s"}}"#;
        let settings: FanOutSettings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.subscription.silence_max, Duration::from_secs(60));
        assert_eq!(settings.fallback.after, Duration::from_secs(5));
        assert_eq!(settings.memory, MemorySettings::default());
        assert!(serde_json::from_str::<FanOutSettings>(r#"{"silence_max": "1m"}"#).is_err());
    }
}
