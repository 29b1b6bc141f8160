//! Rules about what is left of a process: L7.

use std::time::Duration;

use super::Verdict;
use super::delivery::THEFT_UNNOTICED;
use crate::sim::history::{Event, Leftovers};
use crate::sim::ledger::Ledger;
use crate::sim::subject::Subject;

/// L7: of a process that has ended in whatever way, nothing is left.
pub(super) fn nothing_is_left_of_the_dead(_: &Ledger, event: &Event) -> Verdict {
    let Event::Left { process, leftovers } = event else {
        return Ok(());
    };
    if *leftovers == Leftovers::default() {
        Ok(())
    } else {
        Err(format!("{process} has ended and leaves {leftovers:?}"))
    }
}

/// How long a worker that runs may need to notice that a lease is no longer its own, beside the lease time.
const NOTICES: Duration = Duration::from_secs(5);

/// L7: no subscription is held for longer than its lease. A worker's own proof of life is when it is looked at.
pub(super) fn no_subscription_outlives_its_lease(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Sent {
        process,
        subject: Subject::Renew,
        ..
    } = event
    else {
        return Ok(());
    };
    let noticed = ledger.expect.lease_max + NOTICES;
    for (shard, of) in &ledger.shards {
        // One that an operator deletes is noticed with the next look, however long ago it last moved.
        let Some(row) = of.row.as_ref() else { continue };
        let is_held = ledger.holder(row) == Some(*process);
        let is_long_over = of.moved.is_some_and(|moved| moved + noticed < ledger.now);
        let open = of.subscribers.get(process).map_or(0, |it| it.open);
        // Of a theft nobody tells it, if who keeps the watch cannot look.
        let stolen = of.grants.values().filter_map(|grant| grant.stolen).max();
        let is_stolen = stolen.is_some_and(|at| ledger.now < at + THEFT_UNNOTICED);
        if open > 0 && !is_held && is_long_over && !is_stolen {
            return Err(format!(
                "{process} holds {open} subscriptions to {shard}, whose lease is not its own"
            ));
        }
    }
    Ok(())
}
