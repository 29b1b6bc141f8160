//! The life of one shard's subscription, as a pure state machine. It owns the cursor and every
//! deadline; it does no I/O, reads no clock and holds no records. The shell that carries it out
//! tells it what happened and does what it answers.
//!
//! ```text
//!                    Subscribe                accepted
//!   Idle ──Start──▶ Opening ─────────────────────────────▶ Listening ◀─delivered─┐
//!                    ▲   │ refused, broken, slow           │  │   └──event──▶ Delivering
//!                    │   ▼                 closed, silent  │  │                  │
//!                    └─ Waiting ◀──────────────────────────┘  │ last event       │
//!                    ▲                                        ▼                  │
//!                    └──────────── renew ◀──────────────── (renew time is over) ─┘
//!                                                           Ended
//! ```
//!
//! Two rules keep it from losing or repeating anything. The cursor moves only with the
//! continuation number of an event, and every subscription starts at the cursor. And a shard has
//! ended only when the service names its children and gives no continuation; a subscription that
//! merely stops has ended nothing.

use std::time::{Duration, SystemTime};

use kcl_core::model::{Position, SequenceNumber};
use tokio::time::Instant;

use crate::settings::SubscriptionSettings;

/// One shard's subscription.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    state: State,
    /// Where the next subscription starts. `LATEST` is asked for until it is accepted, and is a point in
    /// time from then on.
    cursor: Position,
    /// Attempts in a row that brought no event. It sets the length of the pauses.
    fruitless: u32,
    /// No subscription is asked for before this time.
    closed_until: Option<Instant>,
    settings: SubscriptionSettings,
}

/// Where the subscription stands, in the order of its normal life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Opening {
        until: Instant,
    },
    Listening {
        silent_at: Instant,
        renew_at: Instant,
        heard: bool,
    },
    Delivering {
        renew_at: Instant,
        /// When the connection is given up, if it still stands.
        let_go_at: Option<Instant>,
    },
    Waiting {
        until: Instant,
    },
    Ended,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The shell is ready.
    Start,
    /// The service accepted the subscription that was asked for at this time of the wall clock.
    Accepted {
        /// Before the request left.
        asked: SystemTime,
    },
    /// An event of the subscription arrived.
    Received(Arrival),
    /// Something moved at this time although no whole event has come: bytes of one came, or none were read because
    /// there was no room for them. Silence begins then.
    Alive(Instant),
    /// The records of the last event were handed on; the shell listens again.
    Delivered,
    /// The subscription is over: it ended, the connection broke, or a frame was not readable.
    Closed,
    /// The service said no, at once or in the middle of the subscription.
    Refused(Refusal),
    /// The time of [`Session::next_deadline`] has come.
    Due,
}

/// What an event of the subscription says, without its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Where a new subscription would go on. Missing only at the end of the shard.
    pub(crate) continuation: Option<SequenceNumber>,
    /// Whether there are records in it.
    pub(crate) has_records: bool,
    /// Whether it names the shards that follow on this one.
    pub(crate) has_children: bool,
}

/// Why the service said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another subscription of this consumer and shard is active (`ResourceInUseException`).
    InUse,
    /// Too many calls (`LimitExceededException`).
    Throttled,
    /// It failed for the moment: an internal error, a broken connection.
    Unavailable,
    /// The service takes an argument for wrong (`InvalidArgumentException`).
    Argument,
    /// It will not change by trying again: not found, not permitted.
    Final,
}

/// What the shell does next. [`Action::Subscribe`] and [`Action::Wait`] drop the open
/// subscription first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Subscribe from here.
    Subscribe(Position),
    /// Read the next event of the subscription, until the deadline.
    Listen,
    /// Hand on the records of the event, then say [`Event::Delivered`].
    Deliver,
    /// Close the subscription, and go on handing on.
    LetGo,
    /// Hand on the event as the last one of the shard.
    DeliverLast,
    /// Do nothing until the deadline.
    Wait,
    /// Give up: the refusal is final.
    Fail,
    /// Go on as before: the news came too late or too early to change anything.
    Ignore,
}

impl Session {
    /// A subscription that will start here, and not be asked for before `not_before`: the service
    /// refuses one that follows too soon on another of the same consumer and shard.
    #[must_use]
    pub(crate) fn new(
        from: Position,
        not_before: Option<Instant>,
        settings: SubscriptionSettings,
    ) -> Self {
        Self {
            state: State::Idle,
            cursor: from,
            fruitless: 0,
            closed_until: not_before,
            settings,
        }
    }

    /// Takes in what happened and says what to do.
    pub(crate) fn on(&mut self, now: Instant, event: &Event, rng: &mut fastrand::Rng) -> Action {
        match self.state {
            State::Idle => match event {
                Event::Start => self.subscribe(now),
                Event::Accepted { .. }
                | Event::Received(_)
                | Event::Alive(_)
                | Event::Delivered
                | Event::Closed
                | Event::Refused(_)
                | Event::Due => Action::Ignore,
            },
            State::Opening { until } => self.on_opening(now, until, event, rng),
            State::Listening {
                silent_at,
                renew_at,
                heard,
            } => {
                let deadlines = Deadlines {
                    silent_at,
                    renew_at,
                };
                self.on_listening(now, deadlines, heard, event, rng)
            }
            State::Delivering {
                renew_at,
                let_go_at,
            } => match event {
                Event::Delivered => self.listen_or_renew(now, renew_at),
                // What is not read fills the buffers on the way, which several subscriptions may share.
                Event::Due if let_go_at.is_some_and(|at| now >= at) => {
                    self.state = State::Delivering {
                        renew_at: now,
                        let_go_at: None,
                    };
                    Action::LetGo
                }
                // A slow processor is not a silent service: nothing else runs out while it works, and
                // whatever the connection has to say is found when the shell listens again.
                Event::Start
                | Event::Accepted { .. }
                | Event::Received(_)
                | Event::Alive(_)
                | Event::Closed
                | Event::Refused(_)
                | Event::Due => Action::Ignore,
            },
            State::Waiting { until } => match event {
                Event::Due if now >= until => self.subscribe(now),
                Event::Start
                | Event::Accepted { .. }
                | Event::Received(_)
                | Event::Alive(_)
                | Event::Delivered
                | Event::Closed
                | Event::Refused(_)
                | Event::Due => Action::Ignore,
            },
            State::Ended => Action::Ignore,
        }
    }

    /// When [`Event::Due`] is to be told, if nothing else happens before.
    #[must_use]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle | State::Ended => None,
            State::Delivering { let_go_at, .. } => let_go_at,
            State::Opening { until } | State::Waiting { until } => Some(until),
            State::Listening {
                silent_at,
                renew_at,
                ..
            } => Some(silent_at.min(renew_at)),
        }
    }

    /// Where the next subscription would start.
    #[must_use]
    pub(crate) const fn cursor(&self) -> &Position {
        &self.cursor
    }

    fn on_opening(
        &mut self,
        now: Instant,
        until: Instant,
        event: &Event,
        rng: &mut fastrand::Rng,
    ) -> Action {
        match event {
            Event::Accepted { asked } => {
                if self.cursor == Position::Latest {
                    // One that breaks before its first event would otherwise start again at a later tip.
                    self.cursor = Position::AtTimestamp(*asked);
                }
                self.closed_until = Some(now + self.settings.reopen_after);
                self.state = State::Listening {
                    silent_at: now + self.settings.silence_max,
                    renew_at: now + self.settings.renew_after,
                    heard: false,
                };
                Action::Listen
            }
            Event::Refused(refusal) => self.refused(now, *refusal, rng),
            Event::Closed => self.back_off(now, rng),
            Event::Due if now >= until => self.back_off(now, rng),
            Event::Start | Event::Received(_) | Event::Alive(_) | Event::Delivered | Event::Due => {
                Action::Ignore
            }
        }
    }

    fn on_listening(
        &mut self,
        now: Instant,
        deadlines: Deadlines,
        heard: bool,
        event: &Event,
        rng: &mut fastrand::Rng,
    ) -> Action {
        match event {
            Event::Received(arrival) => self.received(now, deadlines.renew_at, arrival, rng),
            Event::Refused(refusal) => self.refused(now, *refusal, rng),
            // The service ends each subscription after five minutes; one that brought something
            // is simply taken up again.
            Event::Closed if heard => self.subscribe(now),
            Event::Closed => self.back_off(now, rng),
            Event::Due if now >= deadlines.renew_at => self.subscribe(now),
            Event::Due if now >= deadlines.silent_at => {
                // All that silence was a pause already, whatever failed before.
                self.fruitless = self.fruitless.saturating_add(1);
                self.wait_a_moment(now, rng)
            }
            Event::Alive(_) if now >= deadlines.renew_at => self.subscribe(now),
            Event::Alive(at) => {
                self.state = State::Listening {
                    silent_at: *at + self.settings.silence_max,
                    renew_at: deadlines.renew_at,
                    heard,
                };
                Action::Listen
            }
            Event::Start | Event::Accepted { .. } | Event::Delivered | Event::Due => Action::Ignore,
        }
    }

    fn received(
        &mut self,
        now: Instant,
        renew_at: Instant,
        arrival: &Arrival,
        rng: &mut fastrand::Rng,
    ) -> Action {
        match &arrival.continuation {
            None if arrival.has_children => {
                self.state = State::Ended;
                Action::DeliverLast
            }
            Some(continuation) if self.goes_forward(continuation, arrival.has_records) => {
                self.cursor = Position::AfterSequence(continuation.clone());
                self.fruitless = 0;
                if arrival.has_records {
                    self.state = State::Delivering {
                        renew_at,
                        let_go_at: Some(now + self.settings.hold_max),
                    };
                    Action::Deliver
                } else {
                    self.listen_or_renew(now, renew_at)
                }
            }
            // Neither an end nor a way on, or a way back: taking its records would mean to skip or
            // to repeat some. The cursor still stands before them, so nothing is lost.
            None | Some(_) => self.back_off(now, rng),
        }
    }

    /// Whether an event leads on from the cursor. One without records may repeat it.
    fn goes_forward(&self, continuation: &SequenceNumber, has_records: bool) -> bool {
        match &self.cursor {
            Position::AfterSequence(done) => {
                continuation > done || (continuation == done && !has_records)
            }
            Position::AtSequence(first) => continuation >= first || !has_records,
            Position::TrimHorizon | Position::Latest | Position::AtTimestamp(_) => true,
        }
    }

    fn listen_or_renew(&mut self, now: Instant, renew_at: Instant) -> Action {
        if now >= renew_at {
            return self.subscribe(now);
        }
        let silent_at = now + self.settings.silence_max;
        self.state = State::Listening {
            silent_at,
            renew_at,
            heard: true,
        };
        Action::Listen
    }

    fn subscribe(&mut self, now: Instant) -> Action {
        match self.closed_until {
            Some(until) if now < until => self.wait(until),
            Some(_) | None => {
                self.closed_until = Some(now + self.settings.retry_pause_min);
                self.state = State::Opening {
                    until: now + self.settings.open_within,
                };
                Action::Subscribe(self.cursor.clone())
            }
        }
    }

    fn refused(&mut self, now: Instant, refusal: Refusal, rng: &mut fastrand::Rng) -> Action {
        match refusal {
            // The other subscription ends or yields within seconds: a growing pause would only
            // leave the shard unread for longer.
            Refusal::InUse => self.wait_a_moment(now, rng),
            Refusal::Throttled | Refusal::Unavailable => self.back_off(now, rng),
            // A clock is ahead of the service's, which takes no time that is yet to come. The newest
            // record of now is before that time, so starting behind it skips nothing.
            Refusal::Argument if matches!(self.cursor, Position::AtTimestamp(_)) => {
                self.cursor = Position::Latest;
                self.back_off(now, rng)
            }
            Refusal::Argument | Refusal::Final => {
                self.state = State::Ended;
                Action::Fail
            }
        }
    }

    /// The shortest pause, and up to a quarter, so that the shards of a worker do not all come back at once.
    fn wait_a_moment(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Action {
        let floor = self.settings.retry_pause_min;
        self.wait(now + floor + floor.mul_f64(rng.f64() / 4.0))
    }

    fn back_off(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Action {
        let pause = self.pause(rng);
        self.fruitless = self.fruitless.saturating_add(1);
        self.wait(now + pause)
    }

    /// Doubles with each fruitless attempt up to the longest pause, less up to a quarter, so that
    /// the shards of a worker do not all come back at once.
    fn pause(&self, rng: &mut fastrand::Rng) -> Duration {
        let SubscriptionSettings {
            retry_pause_min: min,
            retry_pause_max: max,
            ..
        } = self.settings;
        let full = min.saturating_mul(1 << self.fruitless.min(16)).min(max);
        full.mul_f64(1.0 - rng.f64() / 4.0).max(min)
    }

    fn wait(&mut self, until: Instant) -> Action {
        let until = self.closed_until.map_or(until, |closed| closed.max(until));
        self.state = State::Waiting { until };
        Action::Wait
    }
}

#[derive(Clone, Copy)]
struct Deadlines {
    silent_at: Instant,
    renew_at: Instant,
}

#[cfg(test)]
mod tests;
