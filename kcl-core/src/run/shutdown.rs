//! Drain, then kill: the order in which a worker leaves.
//!
//! 1. ask for no more shards;
//! 2. tell every shard to stop, in the order of their names;
//! 3. wait until all are back, at most for `shutdown.drain_max`;
//! 4. abort what is left;
//! 5. leave.
//!
//! `run::worker` goes through it; here is only why and until when.

use std::time::Duration;

use tokio::time::Instant;

use super::report::EndReason;
use crate::error::Error;
use crate::settings::ShutdownSettings;

/// Leaving may take this long where draining used up all the time: long enough for one write, and
/// for nobody to notice.
const LEAVE_MIN: Duration = Duration::from_secs(1);

/// Why a worker drains.
#[derive(Debug)]
pub(crate) enum Why {
    Ends(EndReason),
    Fails(Error),
}

/// A worker that drains, and until when.
#[derive(Debug)]
pub(crate) struct Drain {
    why: Why,
    until: Instant,
}

impl Drain {
    pub(crate) fn new(why: Why, settings: &ShutdownSettings, now: Instant) -> Self {
        Self {
            why,
            until: now + settings.drain_max,
        }
    }

    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Until when the goodbye to the ownership may take.
    pub(crate) fn leave_until(&self, now: Instant) -> Instant {
        self.until.max(now + LEAVE_MIN)
    }

    /// A failure while draining counts, unless there was one already.
    pub(crate) fn also(&mut self, error: Error) {
        match &self.why {
            Why::Ends(_) => self.why = Why::Fails(error),
            Why::Fails(_) => {
                tracing::warn!(error = %error.chain(), "another failure while the worker drains")
            }
        }
    }

    pub(crate) fn into_why(self) -> Why {
        self.why
    }
}
