//! What some runs have beside the weather: a fleet that starts at one moment, a stream with a past, clocks that
//! go at different rates, time-outs that are met, and an operator. Each is drawn from a generator of its own.

use std::time::Duration;

use fastrand::Rng;

use super::draw::ms;
use super::{Blow, Cut, Incident, Kind, OPERATOR_NEEDS, Plan, Planned, Retrieval, Side};
use crate::sim::clock::Rate;
use crate::sim::ledger::Start;
use crate::sim::moment::Moment;

/// How far off clocks are at most, in thousandths, where nothing may come of it: the library allows for a
/// twentieth between any two.
const RATE: i32 = 24;

/// How far off they are where it may: then a call can start late, and nothing else is excused.
const RATE_WILD: i32 = 100;

/// How long a stream gets to have a past.
const PAST: Duration = Duration::from_secs(16);

impl Plan {
    /// Draws everything but incidents.
    pub(super) fn draw_circumstances(&mut self, rng: &mut Rng) {
        if rng.u8(..4) == 0 {
            let first = self.starts.iter().min().copied().unwrap_or_default();
            self.starts.fill(first);
            // Nobody is settled when the others come.
            if self.kind == Kind::Chaos && rng.bool() {
                self.weather.stale_scans = 500;
            }
        }
        if rng.u8(..3) == 0 {
            self.aged = rng.u8(1..4);
            self.starts.iter_mut().for_each(|start| *start += PAST);
        }
        self.draw_rates(rng);
        if self.kind == Kind::Chaos && rng.u8(..3) == 0 {
            let call_max = ms(rng, 300, 3_000);
            self.drain = (call_max, call_max + ms(rng, 50, 1_500));
            // Long enough to be cut off, and often enough.
            (self.temper.slow, self.temper.slow_max) = (60, 6_000);
        }
        if rng.u8(..3) == 0 {
            self.sync_every = Duration::from_secs(10);
        }
    }

    fn draw_rates(&mut self, rng: &mut Rng) {
        let most = match rng.u8(..8) {
            0 if self.kind == Kind::Chaos => RATE_WILD,
            0..=4 => RATE,
            _ => return,
        };
        for rate in &mut self.rates {
            // The ends are what matters.
            *rate = Rate(*rng.choice(&[-most, -most, 0, most, most]).expect("five"));
        }
    }

    /// Whether the clocks are further apart than the library allows for.
    #[must_use]
    pub fn has_wild_clocks(&self) -> bool {
        self.rates.iter().any(|rate| rate.0.abs() > RATE)
    }

    /// Every other fleet reads by fan-out, or some of its workers do.
    pub(super) fn draw_retrieval(&mut self, rng: &mut Rng) {
        if !self.seed.is_multiple_of(2) {
            return;
        }
        let ways = [
            Retrieval::FanOut,
            Retrieval::FanOut,
            Retrieval::Either,
            Retrieval::Switched,
            Retrieval::Polling,
        ];
        for retrieval in &mut self.retrieval {
            *retrieval = *rng.choice(&ways).expect("five");
        }
        if self.kind == Kind::Chaos {
            self.weather.push_faults = *rng.choice(&[0, 300, 700, 1_000]).expect("four");
        }
        // A running reader by fan-out that is overtaken says nothing: docs/gaps.md.
        self.incidents
            .retain(|planned| planned.incident != Incident::Day);
    }

    /// Draws what an operator does, and whether a day passes.
    pub(super) fn draw_operator(&mut self, rng: &mut Rng) {
        if self.kind != Kind::Chaos {
            return;
        }
        let last = self.heal.saturating_sub(OPERATOR_NEEDS);
        if last <= Duration::from_secs(60) {
            return;
        }
        let mut time = || {
            ms(
                rng,
                60_000,
                u64::try_from(last.as_millis()).expect("minutes"),
            )
        };
        let (at, again) = (time(), time());
        // LATEST is a new time in a new table, and what came before that is lost by the user's own will.
        let has_fixed_start = self.start != Start::Latest;
        match rng.u8(..20) {
            0..=1 | 9 if has_fixed_start => self.add(at, rng, Incident::TableDeleted),
            2..=4 | 10..=13 => {
                if rng.bool() {
                    self.starve(at, rng);
                }
                self.add(at, rng, Incident::Day);
            }
            5..=8 => {
                self.add(at, rng, Incident::RowDeleted);
                self.add(again, rng, Incident::RowDeleted);
            }
            _ => {}
        }
        self.incidents.sort_by_key(|planned| planned.at);
    }

    /// Nobody reads for a while before that time, so that there is something to lose.
    fn starve(&mut self, at: Duration, rng: &mut Rng) {
        let before = ms(rng, 5_000, 30_000);
        let incident = Incident::Outage {
            side: Side::Kinesis,
            cut: Cut::Refused,
            length: before + ms(rng, 0, 10_000),
        };
        let (at, when) = (at.saturating_sub(before), None);
        self.incidents.push(Planned { at, when, incident });
        if rng.bool() {
            let worker = u8::try_from(rng.usize(..self.starts.len())).expect("a few workers");
            let back_after = before + ms(rng, 0, 10_000);
            let blow = Blow::Kill { back_after };
            let incident = Incident::Worker { worker, blow };
            self.incidents.push(Planned { at, when, incident });
        }
    }

    fn add(&mut self, at: Duration, rng: &mut Rng, incident: Incident) {
        // In turn, so that all are met: there are few of these.
        let place = usize::try_from(self.seed % 97).expect("small") + rng.usize(..2);
        let when = Some(Moment::ALL[place % Moment::ALL.len()]);
        let when = when.filter(|_| rng.u8(..4) > 0);
        self.incidents.push(Planned { at, when, incident });
    }
}
