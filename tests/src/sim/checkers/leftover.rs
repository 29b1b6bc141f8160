//! Rules about what is left of a process: L7.

use std::time::Duration;

use super::Verdict;
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
        let is_held = of.row.as_ref().and_then(|row| ledger.holder(row)) == Some(*process);
        let is_long_over = of.moved.is_some_and(|moved| moved + noticed < ledger.now);
        let open = of.subscribers.get(process).map_or(0, |it| it.open);
        if open > 0 && !is_held && is_long_over {
            return Err(format!(
                "{process} holds {open} subscriptions to {shard}, whose lease is not its own"
            ));
        }
    }
    Ok(())
}
