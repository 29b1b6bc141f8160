//! What happens to a stream by itself when its time comes: passing states end, and what is on demand
//! follows its load. Called by [`super::stream`] before anything else is done to the stream.

use crate::clock::Moment;

use super::on_demand::{Observed, Scaler};
use super::stream::{Mode, State, Status};
use super::topology::Topology;

impl State {
    /// Carries out all that is due at `now`, in the order it was due.
    pub(super) fn advance(&mut self, now: Moment) {
        while !matches!(self.status, Status::Deleting { .. }) {
            let (status, scaling) = (self.status.until(), self.scaling_due());
            if status.min(scaling) > now {
                break;
            }
            if status <= scaling {
                self.finish();
            } else {
                self.scale(now);
            }
        }
    }

    /// Ends a passing state, as of the instant that was due.
    pub(super) fn finish(&mut self) {
        match std::mem::replace(&mut self.status, Status::Active) {
            // The shards exist since the stream does, so that its horizon always has a complete set.
            Status::Creating {
                since,
                until,
                shards,
                second,
            } => {
                self.topology = Topology::uniform(shards, since, second);
                if self.mode == Mode::OnDemand {
                    self.start_scaling(until);
                }
            }
            Status::Updating { until, change } => self.apply(change, until),
            Status::Active => {}
            gone @ Status::Deleting { .. } => self.status = gone,
        }
    }

    /// When an on-demand stream next looks at its load.
    pub(super) fn scaling_due(&self) -> Moment {
        self.scaler.as_ref().map_or(Moment::NEVER, Scaler::due)
    }

    /// Looks at the load of the window that is over, and at the empty ones after it up to `now`.
    fn scale(&mut self, now: Moment) {
        let observed = self.observed();
        self.reset_loads();
        let Some(scaler) = &mut self.scaler else {
            return;
        };
        let at = scaler.due();
        let steps = scaler.observe(&observed, self.warm.current);
        if steps.is_empty() {
            // All that was written before `now` was in the window that is over: every call after its
            // end comes here first.
            scaler.skip(now, observed.len(), self.warm.current);
        }
        self.topology.carry_out(&steps, at);
    }

    pub(super) fn start_scaling(&mut self, at: Moment) {
        self.reset_loads();
        let observed = self.observed();
        let mut scaler = Scaler::new(at, self.window, observed.len());
        self.warm.current = self.warm.target;
        // Without warm throughput a stream that was provisioned starts with the shards that it has.
        let steps = match self.warm.target {
            0 => Vec::new(),
            target => scaler.warm(at, &observed, target, false),
        };
        self.scaler = Some(scaler);
        self.topology.carry_out(&steps, at);
    }

    /// The open shards with what was written to them in the current window.
    pub(super) fn observed(&self) -> Vec<Observed> {
        let open = self.topology.open().iter();
        let observed = open.map(|shard| Observed {
            range: shard.range,
            load: shard.log.lock().load(),
        });
        observed.collect()
    }

    fn reset_loads(&self) {
        for shard in self.topology.open() {
            shard.log.lock().reset_load();
        }
    }
}
