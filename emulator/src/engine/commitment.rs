//! The minimum throughput billing commitment of an account in a region: what the service calls
//! on-demand Advantage. Pure.
//!
//! ```text
//! DISABLED ──enable──▶ ENABLED ──disable──▶ DISABLED, if a day has passed
//!                        ▲  │                  ▲
//!                 enable │  ▼ disable          │ at the end of that day
//!                 ENABLED_UNTIL_EARLIEST_ALLOWED_END
//! ```

use std::time::Duration;

use crate::clock::Moment;

/// How long a commitment lasts at least.
const MINIMUM: Duration = Duration::from_secs(24 * 3600);

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Commitment {
    /// Never made.
    #[default]
    None,
    Enabled {
        since: Moment,
    },
    /// Ends by itself when its minimum is over.
    Ending {
        since: Moment,
    },
    Ended {
        since: Moment,
        at: Moment,
    },
}

impl Commitment {
    /// As it stands at `now`.
    pub(crate) fn at(self, now: Moment) -> Self {
        match self {
            Self::Ending { since } if since.after(MINIMUM) <= now => Self::Ended {
                since,
                at: since.after(MINIMUM),
            },
            Self::None | Self::Enabled { .. } | Self::Ending { .. } | Self::Ended { .. } => self,
        }
    }

    /// After it was asked for at `now`.
    pub(crate) fn enable(self, now: Moment) -> Self {
        match self.at(now) {
            Self::None | Self::Ended { .. } => Self::Enabled { since: now },
            Self::Enabled { since } | Self::Ending { since } => Self::Enabled { since },
        }
    }

    /// After its end was asked for at `now`.
    pub(crate) fn disable(self, now: Moment) -> Self {
        match self.at(now) {
            Self::Enabled { since } if since.after(MINIMUM) <= now => {
                Self::Ended { since, at: now }
            }
            Self::Enabled { since } => Self::Ending { since },
            other @ (Self::None | Self::Ending { .. } | Self::Ended { .. }) => other,
        }
    }

    /// Whether it is in force.
    pub(crate) fn is_on(self, now: Moment) -> bool {
        matches!(self.at(now), Self::Enabled { .. } | Self::Ending { .. })
    }

    /// When it may end at the earliest.
    pub(crate) fn earliest_end(self) -> Option<Moment> {
        match self {
            Self::Enabled { since } | Self::Ending { since } => Some(since.after(MINIMUM)),
            Self::None | Self::Ended { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn an_early_end_waits_for_the_minimum_and_can_be_taken_back() {
        let enabled = Commitment::None.enable(Moment(5));
        assert_eq!(enabled.earliest_end(), Some(Moment(DAY + 5)));
        let ending = enabled.disable(Moment(10));
        assert_eq!(ending, Commitment::Ending { since: Moment(5) });
        assert!(ending.is_on(Moment(DAY + 4)) && !ending.is_on(Moment(DAY + 5)));
        assert_eq!(ending.enable(Moment(20)), enabled);
        let ended = Commitment::Ended {
            since: Moment(5),
            at: Moment(DAY + 5),
        };
        assert_eq!(ending.at(Moment(2 * DAY)), ended);
        assert_eq!(ended.disable(Moment(2 * DAY)), ended);
        let again = ending.enable(Moment(2 * DAY));
        assert_eq!(
            again,
            Commitment::Enabled {
                since: Moment(2 * DAY)
            }
        );
    }

    #[test]
    fn after_its_minimum_a_commitment_ends_at_once() {
        let enabled = Commitment::None.enable(Moment(0));
        let ended = enabled.disable(Moment(DAY));
        assert_eq!(
            ended,
            Commitment::Ended {
                since: Moment(0),
                at: Moment(DAY)
            }
        );
        assert_eq!(Commitment::None.disable(Moment(9)), Commitment::None);
    }
}
