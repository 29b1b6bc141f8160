//! Changes of a stream that take their time: accepted while it is ACTIVE, UPDATING until they hold.
//!
//! Who may ask for which is decided by the operations, with the stream's state in hand.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::refusal::Refusal;

use super::monitoring::Monitored;
use super::resize::Step;
use super::shard::Shard;
use super::stream::{Mode, State, Status, Stream, Warm};

/// A change that has been accepted.
#[derive(Debug)]
pub(crate) enum Change {
    Split {
        shard: Arc<Shard>,
        key: u128,
    },
    Merge {
        lower: Arc<Shard>,
        upper: Arc<Shard>,
    },
    /// Of the number of shards.
    Resize(Vec<Step>),
    /// With the warm throughput of a stream that goes on demand.
    Mode {
        mode: Mode,
        warm: u32,
    },
    Warm(u32),
    /// In bytes.
    RecordSize(usize),
    Retention(Duration),
    Monitoring(Monitored),
    /// The key, or none to stop encrypting.
    Encryption(Option<Arc<str>>),
}

impl Stream {
    /// Changes the stream, if it is ACTIVE and `decide` finds a change to make. `decide` must take no
    /// stream's lock, as this one's is held.
    pub(crate) fn change(
        &self,
        (now, delay): (Moment, Duration),
        decide: impl FnOnce(&mut State) -> Result<Option<Change>, Refusal>,
    ) -> Result<(), Refusal> {
        let mut state = self.settled(now);
        if !matches!(state.status, Status::Active) {
            return Err(self.not_active(&state.status));
        }
        if let Some(change) = decide(&mut state)? {
            self.begin(&mut state, (now, delay), change);
        }
        Ok(())
    }

    /// Lets a change that was accepted take its time.
    pub(super) fn begin(
        &self,
        state: &mut State,
        (now, delay): (Moment, Duration),
        change: Change,
    ) {
        state.status = Status::Updating {
            until: now.after(delay),
            change,
        };
        if delay.is_zero() {
            state.finish();
        }
        self.set_due(state);
    }
}

impl State {
    /// Makes a change hold from `at` on.
    pub(super) fn apply(&mut self, change: Change, at: Moment) {
        match change {
            Change::Split { shard, key } => self.topology.split(&shard, key, at),
            Change::Merge { lower, upper } => self.topology.merge(&lower, &upper, at),
            Change::Resize(steps) => self.topology.carry_out(&steps, at),
            Change::Mode { mode, warm } => {
                self.mode = mode;
                self.scaler = None;
                self.warm = Warm {
                    target: warm,
                    current: 0,
                };
                if mode == Mode::OnDemand {
                    self.start_scaling(at);
                }
            }
            Change::Warm(target) => self.warm_to(target, at),
            Change::RecordSize(size) => self.record_size_max = size,
            Change::Retention(retention) => self.retain(retention, at),
            Change::Monitoring(monitored) => self.monitored = monitored,
            Change::Encryption(key) => self.key = key,
        }
    }

    /// Sets how long records are kept. What is past the shorter of both periods is gone for good: a
    /// longer one does not bring back what nobody has trimmed yet.
    fn retain(&mut self, retention: Duration, at: Moment) {
        let oldest = at.before(self.retention.min(retention));
        for shard in self.topology.listed(None) {
            shard.log.lock().trim(oldest);
        }
        self.topology.expire(at, self.retention.min(retention));
        self.horizon = self.horizon.max(oldest);
        self.retention = retention;
    }

    fn warm_to(&mut self, target: u32, at: Moment) {
        let releases = target <= self.warm.current;
        self.warm = Warm {
            target,
            current: target,
        };
        let observed = self.observed();
        if let Some(scaler) = &mut self.scaler {
            let steps = scaler.warm(at, &observed, target, releases);
            self.topology.carry_out(&steps, at);
        }
    }
}
