//! Critical moments in the life of a process: when a fault does the most harm.
//!
//! The plan lies in wait for them, and the coverage counts which fault struck in which.

use std::fmt;
use std::time::Duration;

use super::history::{Call, Process};
use super::ledger::Ledger;
use super::subject::Subject;

/// What a process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// It was started and has no row yet.
    Joins,
    /// A proof of life is on its way.
    Renews,
    /// A lease is being taken.
    Takes,
    /// A checkpoint is on its way.
    Commits,
    /// The end of a shard is on its way.
    Finishes,
    /// A lease is being given back.
    Releases,
    /// A dead worker is being evicted.
    Evicts,
    /// The row of a shard is being made.
    Makes,
    /// All rows are being read.
    Looks,
    /// User code has records in hand.
    Processes,
    /// A write of it was applied, and it does not know.
    Doubts,
    /// It was asked to stop and has not ended.
    Stops,
    /// It keeps the watch.
    Watches,
    /// It reads a shard that is closed, and not yet to its end.
    Drains,
    /// It reads a parent of a merge of which the other parent is finished.
    Waits,
    /// It still has a processor for a shard that was granted anew since.
    Lags,
    /// It runs while another worker is dead and not yet evicted.
    Mourns,
    /// It runs while there are leases of an evicted worker.
    Inherits,
    /// It is frozen.
    Frozen,
}

/// After so long a request without an answer is no longer under way: the SDK has given it up.
const GIVEN_UP: Duration = Duration::from_millis(1_500);

impl Moment {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Joins,
        Self::Renews,
        Self::Takes,
        Self::Commits,
        Self::Finishes,
        Self::Releases,
        Self::Evicts,
        Self::Makes,
        Self::Looks,
        Self::Processes,
        Self::Doubts,
        Self::Stops,
        Self::Watches,
        Self::Drains,
        Self::Waits,
        Self::Lags,
        Self::Mourns,
        Self::Inherits,
        Self::Frozen,
    ];

    /// Its name in counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joins => "it joins",
            Self::Renews => "it renews",
            Self::Takes => "it takes",
            Self::Commits => "it commits",
            Self::Finishes => "it finishes a shard",
            Self::Releases => "it releases",
            Self::Evicts => "it evicts",
            Self::Makes => "it makes a lease",
            Self::Looks => "it looks",
            Self::Processes => "it processes",
            Self::Doubts => "it is in doubt",
            Self::Stops => "it stops",
            Self::Watches => "it keeps the watch",
            Self::Drains => "it drains a closed shard",
            Self::Waits => "the other parent is finished",
            Self::Lags => "it does not know its loss",
            Self::Mourns => "another is dead",
            Self::Inherits => "leases are orphaned",
            Self::Frozen => "it is frozen",
        }
    }

    /// Whether this is what the process, which runs, is at.
    #[must_use]
    pub fn is_now(self, ledger: &Ledger, process: Process) -> bool {
        let Some(known) = ledger.processes.get(&process).filter(|it| it.running) else {
            return false;
        };
        match self {
            Self::Joins => !known.joined,
            Self::Renews => is_under_way(ledger, process, Subject::Renew),
            Self::Takes => is_under_way(ledger, process, Subject::Take),
            Self::Commits => is_under_way(ledger, process, Subject::Commit),
            Self::Finishes => is_under_way(ledger, process, Subject::Finish),
            Self::Releases => is_under_way(ledger, process, Subject::Release),
            Self::Evicts => is_under_way(ledger, process, Subject::Evict),
            Self::Makes => is_under_way(ledger, process, Subject::Make),
            Self::Looks => is_under_way(ledger, process, Subject::Scan),
            Self::Processes => {
                let mut instances = ledger.instances_of(process);
                let is_processing = |call: &Call| matches!(call, Call::Process(_));
                instances.any(|it| it.call.as_ref().is_some_and(is_processing))
                    || ledger.calls_of(process).next().is_some()
            }
            Self::Doubts => ledger.doubts.iter().any(|(by, ..)| *by == process),
            Self::Stops => known.asked.is_some(),
            Self::Watches => ledger.watch_keeper() == Some(process),
            Self::Drains => ledger
                .held_by(process)
                .any(|(_, of)| of.closed.is_some() && !of.ended),
            Self::Waits => ledger.held_by(process).any(|(shard, of)| {
                !of.ended
                    && ledger.shards.values().any(|child| {
                        child.parents.len() == 2
                            && child.parents.contains(shard)
                            && child.parents.iter().any(|it| ledger.is_ended(it))
                    })
            }),
            Self::Lags => {
                let is_newer = |shard, epoch| {
                    let row = ledger.shards.get(shard).and_then(|of| of.row.as_ref());
                    row.is_some_and(|row| row.epoch > epoch && !row.checkpoint.is_end())
                };
                let mut instances = ledger.instances_of(process);
                instances.any(|it| it.over.is_none() && is_newer(&it.shard, it.epoch))
                    || ledger
                        .calls_of(process)
                        .any(|it| is_newer(&it.shard, it.epoch))
            }
            Self::Mourns => ledger.incarnations.iter().any(|(incarnation, of)| {
                let is_running = |it: &super::ledger::ProcessLedger| it.running;
                *of != process
                    && ledger.workers.contains_key(incarnation)
                    && !ledger.processes.get(of).is_some_and(is_running)
            }),
            Self::Inherits => ledger.shards.values().any(|of| {
                let owner = of.row.as_ref().and_then(|row| row.incarnation.as_ref());
                owner.is_some_and(|owner| !ledger.workers.contains_key(owner))
            }),
            Self::Frozen => known.frozen,
        }
    }
}

fn is_under_way(ledger: &Ledger, process: Process, subject: Subject) -> bool {
    ledger.under_way.values().any(|(by, what, since)| {
        *by == process && *what == subject && *since + GIVEN_UP > ledger.now
    })
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
