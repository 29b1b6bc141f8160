//! Which way one shard is read, and when that changes. Pure: `feed` tells what happens and when.
//!
//! ```text
//!            nothing comes for too long, refused for good, or wanted
//!   FanOut ─────────────────────────────────────────────▶ Polling
//!     ▲                                                   ▲     │ time to try again
//!     └──── an event came ──── Trying ── anything else ───┘     │
//!                                ▲──────────────────────────────┘
//! ```

use std::time::Duration;

use kcl_core::event::Retrieval;
use tokio::time::Instant;

use crate::settings::FallbackSettings;

#[derive(Clone, Debug)]
pub(crate) struct Route {
    way: Way,
    /// How long polling goes on before the next try.
    pause: Duration,
    has_fallback: bool,
    settings: FallbackSettings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By subscriptions. Nothing came since then, if so.
    FanOut { failing_since: Option<Instant> },
    /// By a subscription again, which has to bring something by then.
    Trying { until: Instant },
    /// By the fallback; until then, if it is not what is wanted.
    Polling { until: Option<Instant> },
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The user wants this way.
    Wanted(Retrieval),
    /// A subscription brought something.
    Heard,
    /// An attempt failed.
    Failed,
    /// It is refused for good.
    Refused,
    /// The time of [`Route::next_deadline`] has come.
    Due,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Go on.
    Stay,
    /// Go on the other way.
    Change,
    /// There is no other way.
    GiveUp,
}

impl Route {
    pub(crate) fn new(
        now: Instant,
        wanted: Retrieval,
        has_fallback: bool,
        settings: FallbackSettings,
    ) -> Self {
        let way = match wanted {
            Retrieval::Polling if has_fallback => Way::Polling { until: None },
            Retrieval::Polling | Retrieval::FanOut => Way::FanOut {
                failing_since: Some(now),
            },
        };
        Self {
            way,
            pause: settings.return_after,
            has_fallback,
            settings,
        }
    }

    pub(crate) const fn retrieval(&self) -> Retrieval {
        match self.way {
            Way::FanOut { .. } | Way::Trying { .. } => Retrieval::FanOut,
            Way::Polling { .. } => Retrieval::Polling,
        }
    }

    /// When [`News::Due`] is to be told.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.way {
            Way::FanOut {
                failing_since: Some(since),
            } if self.has_fallback => Some(since + self.settings.after),
            Way::FanOut { .. } => None,
            Way::Trying { until } => Some(until),
            Way::Polling { until } => until,
        }
    }

    pub(crate) fn on(&mut self, now: Instant, news: News) -> Turn {
        match (self.way, news) {
            (Way::FanOut { .. } | Way::Trying { .. }, News::Heard) => {
                self.pause = self.settings.return_after;
                self.way = Way::FanOut {
                    failing_since: None,
                };
                Turn::Stay
            }
            (Way::FanOut { .. } | Way::Trying { .. }, News::Wanted(Retrieval::Polling)) => {
                self.way = Way::Polling { until: None };
                Turn::Change
            }
            (Way::FanOut { .. } | Way::Trying { .. }, News::Wanted(Retrieval::FanOut)) => {
                Turn::Stay
            }
            (Way::FanOut { .. }, News::Refused) if !self.has_fallback => Turn::GiveUp,
            (Way::FanOut { .. } | Way::Trying { .. }, News::Refused)
            | (Way::Trying { .. }, News::Failed) => self.fall_back(now),
            (Way::Trying { until }, News::Due) if now >= until => self.fall_back(now),
            (Way::FanOut { failing_since }, News::Failed | News::Due) => {
                let since = match (failing_since, news) {
                    (None, News::Due) => return Turn::Stay,
                    (since, _) => since.unwrap_or(now),
                };
                if self.has_fallback && now >= since + self.settings.after {
                    return self.fall_back(now);
                }
                self.way = Way::FanOut {
                    failing_since: Some(since),
                };
                Turn::Stay
            }
            (Way::Polling { .. }, News::Wanted(Retrieval::Polling)) => {
                self.way = Way::Polling { until: None };
                Turn::Stay
            }
            (Way::Polling { until: None }, News::Wanted(Retrieval::FanOut)) => {
                self.pause = self.settings.return_after;
                self.way = Way::FanOut {
                    failing_since: Some(now),
                };
                Turn::Change
            }
            (Way::Polling { until: Some(until) }, News::Due) if now >= until => {
                let time = self.settings.after.max(TRY_MIN);
                self.way = Way::Trying { until: now + time };
                Turn::Change
            }
            (Way::Trying { .. }, News::Due)
            | (
                Way::Polling { .. },
                News::Wanted(Retrieval::FanOut)
                | News::Heard
                | News::Failed
                | News::Refused
                | News::Due,
            ) => Turn::Stay,
        }
    }

    fn fall_back(&mut self, now: Instant) -> Turn {
        self.way = Way::Polling {
            until: Some(now + self.pause),
        };
        self.pause = (self.pause * 2).min(self.settings.return_after_max);
        Turn::Change
    }
}

/// A try has so long at least: the first event of a subscription comes within a second or two.
const TRY_MIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn route(now: Instant, has_fallback: bool) -> Route {
        let settings = FallbackSettings::default();
        Route::new(now, Retrieval::FanOut, has_fallback, settings)
    }

    fn turn(route: &mut Route, now: Instant, news: News) -> (Turn, Retrieval) {
        (route.on(now, news), route.retrieval())
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table is read as one piece")]
    fn every_way_answers_all_news_as_the_table_says() {
        let now = Instant::now();
        let (past, later) = (now - seconds(60), now + seconds(60));
        let good = Way::FanOut {
            failing_since: None,
        };
        let failing = Way::FanOut {
            failing_since: Some(now),
        };
        let failed = Way::FanOut {
            failing_since: Some(past),
        };
        let (trying, tried) = (Way::Trying { until: later }, Way::Trying { until: now });
        let wanted = Way::Polling { until: None };
        let (fallen, back) = (
            Way::Polling { until: Some(later) },
            Way::Polling { until: Some(now) },
        );
        let polling = Way::Polling {
            until: Some(now + seconds(60)),
        };
        let (to_polling, to_fan_out) = (
            News::Wanted(Retrieval::Polling),
            News::Wanted(Retrieval::FanOut),
        );
        let new_try = Way::Trying {
            until: now + seconds(20),
        };
        use News::{Due, Failed, Heard, Refused};
        use Turn::{Change, Stay};
        let table = [
            (good, to_polling, Change, wanted),
            (good, to_fan_out, Stay, good),
            (good, Heard, Stay, good),
            (good, Failed, Stay, failing),
            (good, Refused, Change, polling),
            (good, Due, Stay, good),
            (failing, Heard, Stay, good),
            (failing, Failed, Stay, failing),
            (failing, Due, Stay, failing),
            (failed, to_polling, Change, wanted),
            (failed, to_fan_out, Stay, failed),
            (failed, Heard, Stay, good),
            (failed, Failed, Change, polling),
            (failed, Refused, Change, polling),
            (failed, Due, Change, polling),
            (trying, to_polling, Change, wanted),
            (trying, to_fan_out, Stay, trying),
            (trying, Heard, Stay, good),
            (trying, Failed, Change, polling),
            (trying, Refused, Change, polling),
            (trying, Due, Stay, trying),
            (tried, Due, Change, polling),
            (wanted, to_polling, Stay, wanted),
            (wanted, to_fan_out, Change, failing),
            (wanted, Heard, Stay, wanted),
            (wanted, Failed, Stay, wanted),
            (wanted, Refused, Stay, wanted),
            (wanted, Due, Stay, wanted),
            (fallen, to_polling, Stay, wanted),
            (fallen, to_fan_out, Stay, fallen),
            (fallen, Heard, Stay, fallen),
            (fallen, Failed, Stay, fallen),
            (fallen, Refused, Stay, fallen),
            (fallen, Due, Stay, fallen),
            (back, Due, Change, new_try),
        ];
        for (way, news, expected, then) in table {
            let mut route = route(now, true);
            route.way = way;
            let answer = route.on(now, news);
            assert_eq!((answer, route.way), (expected, then), "{way:?} on {news:?}");
        }
    }

    #[test]
    fn without_a_fallback_only_a_refusal_for_good_ends_it() {
        let now = Instant::now();
        let mut route = route(now, false);
        assert_eq!(route.next_deadline(), None);
        for minute in 0..100 {
            let now = now + seconds(60 * minute);
            assert_eq!(route.on(now, News::Failed), Turn::Stay);
            assert_eq!(route.on(now, News::Due), Turn::Stay);
        }
        assert_eq!(route.on(now, News::Refused), Turn::GiveUp);
    }

    #[test]
    fn tries_that_fail_come_ever_more_seldom_and_one_that_succeeds_ends_that() {
        let mut now = Instant::now();
        let mut route = route(now, true);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert_eq!(
                turn(&mut route, now, News::Refused),
                (Turn::Change, Retrieval::Polling)
            );
            let until = route.next_deadline().unwrap();
            pauses.push((until - now).as_secs());
            now = until;
            assert_eq!(
                turn(&mut route, now, News::Due),
                (Turn::Change, Retrieval::FanOut)
            );
        }
        assert_eq!(pauses, [60, 120, 240, 480, 900, 900]);
        route.on(now, News::Heard);
        route.on(now, News::Refused);
        assert_eq!(route.next_deadline(), Some(now + seconds(60)));
    }
}
