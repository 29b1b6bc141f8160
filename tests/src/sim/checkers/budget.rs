//! Rules about how much the fleet asks of the services: L8.

use std::time::Duration;

use super::Verdict;
use crate::sim::history::Event;
use crate::sim::ledger::Ledger;
use crate::sim::subject::Subject;

/// What a worker asks in ten seconds whatever it reads: proofs of life, looks at the watch and at the table, which come
/// every twelfth of the lease time.
const BASE: usize = 90;

/// What it asks besides when it starts: who is there, which shards there are, a row of its own.
const START: usize = 10;

/// What it asks for each shard that was made or closed just now: rows to make and to end, leases to take, looks.
const CHANGE: usize = 10;

/// What is just now: the ten seconds, and until all have seen it.
const JUST_NOW: Duration = Duration::from_secs(15);

/// Over how long its requests are counted.
const COUNTED: Duration = Duration::from_secs(10);

/// By how much it may be more while things fail and are tried again, and while all recovers.
const STORM: usize = 2;

/// How long all may take to recover.
const RECOVERS: Duration = Duration::from_secs(45);

/// How many lists of the shards of a stream a worker asks for in a minute at rest.
const LISTS: usize = 18;

/// How many more for each shard that was made or closed of late.
const LISTS_CHANGE: usize = 6;

/// What is of late.
const LATE: Duration = Duration::from_secs(120);

/// How many it asks for in a minute however much fails: a failed one is tried three times a second at most.
const LISTS_MAX: usize = 150;

/// The time over which lists are counted: those of a failure are among them for so long.
const LISTED_WITHIN: Duration = Duration::from_secs(60);

/// Whether nothing has failed for so long.
fn is_at_rest(ledger: &Ledger, since: Duration) -> bool {
    ledger.expect.clean || ledger.healed.is_some_and(|at| at + since < ledger.now)
}

/// How many shards were made or closed within this time.
fn changes(ledger: &Ledger, within: Duration) -> usize {
    let changes = ledger.changes.iter().rev();
    let late = changes.take_while(|at| **at + within > ledger.now);
    late.count()
}

/// L8: a worker reads a shard five times a second, as the service counts. Where a lease has just moved there may
/// be two who do, of which the service refuses one.
pub(super) fn no_shard_is_read_too_often(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Sent {
        process,
        subject: Subject::Records,
        shard: Some(shard),
        ..
    } = event
    else {
        return Ok(());
    };
    let Some(of) = ledger.shards.get(shard) else {
        return Ok(());
    };
    if of
        .reads
        .get(process)
        .is_some_and(|bucket| bucket.is_empty(ledger.now))
    {
        return Err(format!("{process} reads {shard} too often"));
    }
    Ok(())
}

/// L8: a worker does not ask more than what is due at rest, and not more than twice of it whatever fails.
pub(super) fn no_worker_asks_too_much(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Sent { process, .. } = event else {
        return Ok(());
    };
    let Some(known) = ledger.processes.get(process) else {
        return Ok(());
    };
    let (sent, shards) = (known.traffic.sent(ledger.now), known.traffic.shards());
    let changes = changes(ledger, JUST_NOW);
    let commits = match ledger.expect.commits_each {
        true => known.traffic.batches(ledger.now),
        false => 0,
    };
    let start = match known.started + COUNTED > ledger.now {
        true => START,
        false => 0,
    };
    // Each row that there is, once: before it reads the shards, and where it comes back after nobody was there, those
    // that were made and closed long ago.
    let rows = known.traffic.rows(ledger.now, ledger.shards.len());
    let due =
        BASE + start + rows + ledger.expect.shard_requests * shards + commits + CHANGE * changes;
    let most = if is_at_rest(ledger, RECOVERS) {
        due
    } else {
        STORM * due
    };
    if sent > most {
        return Err(format!(
            "{process} sent {sent} requests in ten seconds, with {shards} shards {most} are due"
        ));
    }
    Ok(())
}

/// L8: lists of shards are asked for when shards change, and hardly otherwise.
pub(super) fn shards_are_not_listed_too_often(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Sent {
        process,
        subject: Subject::Shards,
        ..
    } = event
    else {
        return Ok(());
    };
    let Some(known) = ledger.processes.get(process) else {
        return Ok(());
    };
    let lists = known.traffic.lists(ledger.now);
    let due = LISTS + LISTS_CHANGE * changes(ledger, LATE);
    let most = if is_at_rest(ledger, RECOVERS.max(LISTED_WITHIN)) {
        due
    } else {
        LISTS_MAX
    };
    // A change of one stream is looked for in all.
    let most = most * ledger.expect.streams;
    if lists > most {
        return Err(format!(
            "{process} listed the shards {lists} times in a minute"
        ));
    }
    Ok(())
}

/// How much faster than the runtime's the clock of a worker may go, and the time between its look at it and its
/// call.
const CLOCKS: f64 = 0.9;

/// The pause between two attempts at a subscription.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The pause from an accepted subscription to the next, below which the service refuses.
const ACCEPTED: Duration = Duration::from_secs(5);

/// L8: a worker subscribes to a shard once a second at most, and not within five seconds of having been accepted.
pub(super) fn subscriptions_keep_their_pauses(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Sent {
        process,
        subject: Subject::Subscribe,
        shard: Some(shard),
        ..
    } = event
    else {
        return Ok(());
    };
    let of = ledger.shards.get(shard);
    let Some(known) = of.and_then(|of| of.subscribers.get(process)) else {
        return Ok(());
    };
    let is_within = |since: Option<Duration>, pause: Duration| {
        since.is_some_and(|since| ledger.now < since + pause.mul_f64(CLOCKS))
    };
    if is_within(known.asked, ATTEMPT) || is_within(known.accepted, ACCEPTED) {
        return Err(format!(
            "{process} subscribes to {shard} too soon: {known:?}"
        ));
    }
    Ok(())
}
