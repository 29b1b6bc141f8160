//! What was seen of the leases: their rows, and since when each counter stands as it does.
//!
//! Time is the reader's own monotonic clock, from the moment *after* the read that first showed a value.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::model::{ShardId, WorkerId};
use tokio::time::Instant;

use super::row::JavaRow;

/// A lease, since when its counter was seen as it is, and since when it was seen to be handed over as it is.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) row: JavaRow,
    pub(crate) since: Instant,
    pub(crate) handed_over_since: Option<Instant>,
}

impl Seen {
    /// Whether anybody may have the lease: nobody holds it, or its holder lets it stand still.
    pub(crate) fn is_available(&self, now: Instant, failover: Duration) -> bool {
        self.row.holder().is_none() || now.duration_since(self.since) > failover
    }

    /// Who holds it.
    pub(crate) fn holder(&self) -> Option<&WorkerId> {
        self.row.holder()
    }
}

/// Every lease, by shard.
pub(crate) type View = BTreeMap<ShardId, Seen>;

/// What is remembered from one read to the next.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    last: View,
}

impl Observer {
    /// Takes in the leases of a read. `after` is a moment after its reply.
    pub(crate) fn observe(&mut self, rows: Vec<JavaRow>, after: Instant) -> &View {
        let mut view = View::new();
        for row in rows {
            let before = self.last.get(&row.lease.shard);
            // Any other value starts the count anew, even an older one of an older read.
            let since = before
                .filter(|seen| seen.row.lease.counter == row.lease.counter)
                .map_or(after, |seen| seen.since);
            let owners = |row: &JavaRow| (row.named().cloned(), row.checkpoint_owner.clone());
            let handed_over_since = row.is_handed_over().then(|| {
                before
                    .filter(|seen| owners(&seen.row) == owners(&row))
                    .and_then(|seen| seen.handed_over_since)
                    .unwrap_or(after)
            });
            let seen = Seen {
                row,
                since,
                handed_over_since,
            };
            view.insert(seen.row.lease.shard.clone(), seen);
        }
        self.last = view;
        &self.last
    }

    /// Who leads anew has seen nothing yet.
    pub(crate) fn forget(&mut self) {
        self.last.clear();
    }
}
