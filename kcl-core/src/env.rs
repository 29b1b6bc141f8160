//! The one door to the wall clock and to randomness. It owns no state but the seed's generator.
//!
//! Monotonic time needs no door of its own: everything reads `tokio::time::Instant`, which a paused
//! runtime moves. The wall clock is needed only to fix `LATEST` to a point in time and to sign
//! requests (there the SDK reads its own); randomness only for jitter and names.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The wall clock and the random numbers of one worker. Cheap to clone; clones share the generator.
#[derive(Clone)]
pub struct Env {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    rng: Arc<Mutex<fastrand::Rng>>,
}

impl Env {
    /// The real clock, and a seed from the operating system.
    #[must_use]
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one reader of the wall clock"
        )]
        let wall = SystemTime::now;
        Self {
            wall: Arc::new(wall),
            rng: Arc::new(Mutex::new(fastrand::Rng::new())),
        }
    }

    /// A clock and a seed of your own: the same seed gives the same run.
    #[must_use]
    pub fn simulated(wall: impl Fn() -> SystemTime + Send + Sync + 'static, seed: u64) -> Self {
        Self {
            wall: Arc::new(wall),
            rng: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
        }
    }

    /// The wall clock now.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// A generator of its own for one task, split off in the order of the calls.
    #[must_use]
    pub fn rng(&self) -> fastrand::Rng {
        self.rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fork()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}
