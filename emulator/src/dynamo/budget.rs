//! What a table or an index may still read and write at once, where limits are looked at.
//!
//! The service's way: capacity that is not used is kept for up to five minutes, a request passes while
//! anything is left, and what it turns out to cost may bring the balance below zero.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

/// For how long unused capacity is kept.
const KEPT: f64 = 300.0;
/// Units per second of an on-demand table: the service's default quota of a table.
pub(crate) const ON_DEMAND_UNITS: i64 = 40_000;

/// Which of the two throughputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

/// Both balances.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    read: Mutex<Balance>,
    write: Mutex<Balance>,
}

/// What is left, and as of when. A new one has one second's worth.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    units: f64,
    since: Option<SystemTime>,
}

impl Budget {
    fn side(&self, side: Side) -> &Mutex<Balance> {
        match side {
            Side::Read => &self.read,
            Side::Write => &self.write,
        }
    }

    /// Whether anything is left at `rate` units per second.
    pub(crate) fn admits(&self, side: Side, rate: i64, now: SystemTime) -> bool {
        let mut balance = self.side(side).lock();
        balance.fill(rate as f64, now);
        balance.units > 0.0
    }

    /// Takes what a request has cost.
    pub(crate) fn spend(&self, side: Side, units: f64) {
        self.side(side).lock().units -= units;
    }
}

impl Balance {
    fn fill(&mut self, rate: f64, now: SystemTime) {
        let Some(since) = self.since else {
            *self = Self {
                units: rate,
                since: Some(now),
            };
            return;
        };
        let elapsed = now.duration_since(since).unwrap_or(Duration::ZERO);
        if elapsed > Duration::ZERO {
            self.units = (self.units + rate * elapsed.as_secs_f64()).min(rate * KEPT);
            self.since = Some(now);
        }
    }
}

impl Clone for Budget {
    fn clone(&self) -> Self {
        Self {
            read: Mutex::new(*self.read.lock()),
            write: Mutex::new(*self.write.lock()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_balance_may_go_below_zero_and_has_to_come_back() {
        let budget = Budget::default();
        assert!(budget.admits(Side::Write, 10, at(0.0)));
        budget.spend(Side::Write, 25.0);
        assert!(!budget.admits(Side::Write, 10, at(1.0)));
        assert!(!budget.admits(Side::Write, 10, at(1.5)));
        assert!(budget.admits(Side::Write, 10, at(1.6)));
        assert!(
            budget.admits(Side::Read, 1, at(0.0)),
            "reads have their own"
        );
    }

    #[test]
    fn five_minutes_of_capacity_are_kept_and_no_more() {
        let budget = Budget::default();
        assert!(budget.admits(Side::Read, 2, at(0.0)));
        assert!(budget.admits(Side::Read, 2, at(100_000.0)));
        budget.spend(Side::Read, 599.0);
        assert!(budget.admits(Side::Read, 2, at(100_000.0)));
        budget.spend(Side::Read, 1.0);
        assert!(!budget.admits(Side::Read, 2, at(100_000.0)));
    }
}
