//! Who is alive, by counters that move; and which leases can be had.

use kcl_core::planted;
use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Me;
use super::view::{Seen, View};
use crate::row::{Capacity, LeaseRow, WorkerKey};

/// How a worker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It lives and takes its share. Counts as dead at the given time if it stands still.
    Sharing {
        leases_max: Option<u32>,
        /// Nothing for a worker of an older version.
        capacity: Option<Capacity>,
        still_at: Option<Instant>,
    },
    /// It lives and wants no more. What it has will come free.
    Leaving { still_at: Option<Instant> },
    /// It lives and did not take what it was offered. What it has stays with it.
    Idle { still_at: Option<Instant> },
    /// It has stood still for its whole lease time.
    Still,
}

/// How a lease stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nobody has it.
    Free,
    /// A living worker has it.
    By(WorkerKey),
    /// A worker has it that stands still or has no row. Free once that is proven.
    ByDead(WorkerKey),
    /// Another library has it, and its counter still moves.
    ByForeign,
    /// This life of this worker has it in the table, without a grant: a take whose reply was lost,
    /// or a grant that was dropped.
    Stray,
}

impl Hold {
    /// Whether it can be dealt to anyone.
    pub(crate) fn is_free(&self) -> bool {
        match self {
            Self::Free | Self::ByDead(_) => true,
            Self::By(_) | Self::ByForeign | Self::Stray => false,
        }
    }
}

/// How each worker stands. This one always lives: its own death is the keeper's business.
pub(crate) fn lives(view: &View, me: &Me, now: Instant) -> BTreeMap<WorkerKey, Life> {
    let mut lives = BTreeMap::new();
    for (key, seen) in &view.workers {
        let mut lease_time = seen.row.lease_time;
        if planted!(ExpiresEarly) {
            lease_time /= 2;
        }
        if planted!(NeverExpires) {
            lease_time *= 1_000;
        }
        let still_at = seen.since + lease_time;
        let life = if still_at <= now {
            Life::Still
        } else if seen.row.leaving {
            Life::Leaving {
                still_at: Some(still_at),
            }
        } else if view.idle.get(key).is_some_and(|until| *until > now) {
            Life::Idle {
                still_at: Some(still_at),
            }
        } else {
            Life::Sharing {
                leases_max: seen.row.leases_max,
                capacity: seen.row.capacity,
                still_at: Some(still_at),
            }
        };
        lives.insert(key.clone(), life);
    }
    let mine = if me.taking {
        Life::Sharing {
            leases_max: me.leases_max,
            capacity: Some(me.capacity),
            still_at: None,
        }
    } else {
        Life::Leaving { still_at: None }
    };
    lives.insert(me.key.clone(), mine);
    lives
}

/// When the next living worker would count as dead.
pub(crate) fn wake_at(lives: &BTreeMap<WorkerKey, Life>) -> Option<Instant> {
    let still_at = |life: &Life| match life {
        Life::Sharing { still_at, .. } | Life::Leaving { still_at } | Life::Idle { still_at } => {
            *still_at
        }
        Life::Still => None,
    };
    lives.values().filter_map(still_at).min()
}

/// How a lease that is not finished stands.
pub(crate) fn hold(
    seen: &Seen<LeaseRow>,
    me: &Me,
    lives: &BTreeMap<WorkerKey, Life>,
    now: Instant,
) -> Hold {
    if me.held.contains_key(&seen.row.shard) {
        return Hold::By(me.key.clone());
    }
    let Some(owner) = &seen.row.owner else {
        return Hold::Free;
    };
    // Another library's worker moves the counter of each lease while it lives.
    let Some(key) = owner.key() else {
        let still = now.duration_since(seen.since) >= me.foreign_patience;
        return if still { Hold::Free } else { Hold::ByForeign };
    };
    if key == me.key {
        return Hold::Stray;
    }
    match lives.get(&key) {
        Some(Life::Sharing { .. } | Life::Leaving { .. } | Life::Idle { .. }) => Hold::By(key),
        Some(Life::Still) | None => Hold::ByDead(key),
    }
}
