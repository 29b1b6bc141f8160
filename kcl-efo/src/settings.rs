//! All settings of fan-out, their defaults and the relations between them. Data only: clients and
//! clocks are handed in elsewhere. Read by [`Session`](crate::Session) and
//! [`Consumer`](crate::Consumer).

use std::time::Duration;

use kcl_core::error::Problem;

/// The settings of fan-out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How the registered consumer is found and awaited.
    pub consumer: ConsumerSettings,
    /// How one subscription lives.
    pub subscription: SubscriptionSettings,
}

/// How the registered consumer is found and awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// How long a consumer may take to become active. Default 60 s; the service needs a few
    /// seconds. Too low: the first start of an application fails.
    pub ready_within: Duration,
    /// The pause between two looks at it. Default 1 s. Too low: the service answers with
    /// `LimitExceededException` (20 calls per second and stream, shared by all workers).
    pub look_pause: Duration,
}

/// How one subscription lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionSettings {
    /// When a subscription is replaced by a new one. Default 285 s: the service ends it after
    /// 300 s. Too high: the end comes unplanned and costs a round trip more. Too low: more calls.
    pub renew_after: Duration,
    /// How long a subscription may say nothing while we listen. Default 35 s: the service sends an
    /// empty event at least every few seconds, so more silence means a dead connection. Time that
    /// a slow processor takes does not count. Too low: needless resubscribing.
    pub silence_max: Duration,
    /// How long the service may take to accept a subscription. Default 10 s.
    pub open_within: Duration,
    /// The time from one accepted subscription to the next one. Default 5 s: the service refuses
    /// an earlier one with `ResourceInUseException`.
    pub reopen_after: Duration,
    /// The pause after `ResourceInUseException`, and the shortest of all pauses. Default 1 s; it
    /// does not grow, because the other subscription is over within seconds.
    pub retry_pause_min: Duration,
    /// The longest pause between failing attempts. Default 30 s.
    pub retry_pause_max: Duration,
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
            open_within: Duration::from_secs(10),
            reopen_after: Duration::from_secs(5),
            retry_pause_min: Duration::from_secs(1),
            retry_pause_max: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Everything that is wrong with them, at once.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let Self {
            consumer,
            subscription,
        } = self;
        let checks = [
            (
                consumer.look_pause.is_zero() || consumer.look_pause > consumer.ready_within,
                "fan_out.consumer.look_pause",
                "it must be more than zero and at most `ready_within`",
            ),
            (
                subscription.renew_after <= subscription.reopen_after,
                "fan_out.subscription.renew_after",
                "it must be more than `reopen_after`: an earlier renewal is refused",
            ),
            (
                subscription.renew_after >= SERVICE_ENDS_AFTER,
                "fan_out.subscription.renew_after",
                "it must be less than 300 s: the service ends a subscription then",
            ),
            (
                subscription.silence_max < SILENCE_MIN,
                "fan_out.subscription.silence_max",
                "it must be at least 10 s: an idle shard sends an event only every 5 s",
            ),
            (
                subscription.open_within.is_zero(),
                "fan_out.subscription.open_within",
                "it must be more than zero",
            ),
            (
                subscription.retry_pause_min.is_zero(),
                "fan_out.subscription.retry_pause_min",
                "it must be more than zero",
            ),
            (
                subscription.retry_pause_min > subscription.retry_pause_max,
                "fan_out.subscription.retry_pause_max",
                "it must be at least `retry_pause_min`",
            ),
        ];
        checks
            .into_iter()
            .filter(|(wrong, ..)| *wrong)
            .map(|(_, setting, rule)| Problem::new(setting, rule))
            .collect()
    }
}

/// The service ends every subscription after five minutes.
const SERVICE_ENDS_AFTER: Duration = Duration::from_secs(300);

/// Twice the time in which an idle shard sends an empty event.
const SILENCE_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(Settings::default().problems(), []);
    }

    #[test]
    fn all_problems_come_at_once_and_name_their_setting() {
        let mut settings = Settings::default();
        settings.consumer.look_pause = Duration::ZERO;
        settings.subscription.renew_after = Duration::from_secs(400);
        settings.subscription.silence_max = Duration::from_secs(1);
        settings.subscription.retry_pause_max = Duration::from_millis(1);
        let named: Vec<_> = settings.problems().into_iter().map(|p| p.setting).collect();
        assert_eq!(
            named,
            [
                "fan_out.consumer.look_pause",
                "fan_out.subscription.renew_after",
                "fan_out.subscription.silence_max",
                "fan_out.subscription.retry_pause_max",
            ]
        );
    }
}
