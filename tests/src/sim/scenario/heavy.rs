//! Runs in which keys weigh differently and workers can do differently much, so that leases move for their load.

use std::time::Duration;

use fastrand::Rng;

/// The most workers of a run.
const WORKERS_MAX: usize = 4;

/// What weighs how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heavy {
    /// Bytes of a record of key 0. One of key n has that divided by n + 1.
    pub heaviest: usize,
    /// How much each worker can do, in hundredths of an ordinary one.
    pub capacities: [u32; WORKERS_MAX],
}

impl Heavy {
    /// For how long a worker must be off its fair load, in these runs: the longest lease time there is.
    pub const PATIENCE: Duration = Duration::from_secs(15);

    /// How long a lease that moved for its load stays where it is: five times that, as documented.
    pub const REST: Duration = Duration::from_secs(75);

    /// How many keys there are. All in turn, so that what a shard carries is steady.
    pub const KEYS: u32 = 24;

    /// How often the producer puts its few records.
    pub const EVERY: Duration = Duration::from_millis(200);

    /// What is read once the fleet has settled: long enough before the end for loads to be known, and to move.
    #[must_use]
    pub fn heal(length: Duration) -> Duration {
        length.mul_f64(0.4)
    }

    pub(super) fn draw(rng: &mut Rng) -> Self {
        let sizes = [50, 100, 100, 100, 200];
        Self {
            heaviest: rng.usize(40_000..80_000),
            capacities: [(); WORKERS_MAX].map(|()| *rng.choice(&sizes).expect("five")),
        }
    }

    /// Bytes of a record of this key.
    #[must_use]
    pub fn bytes(&self, key: u32) -> usize {
        self.heaviest / (key as usize + 1)
    }

    /// How much a worker can do, beside an ordinary one.
    #[must_use]
    pub fn capacity(&self, worker: u8) -> f64 {
        let hundredths = self.capacities.get(usize::from(worker));
        f64::from(hundredths.copied().unwrap_or(100)) / 100.0
    }
}
