//! Rules about how fast the fleet recovers once nothing happens any more: L1, L5.

use std::time::Duration;

use super::Verdict;
use crate::sim::history::Event;
use crate::sim::ledger::{InstanceLedger, Ledger, ShardLedger};
use crate::sim::subject::Subject;

/// How long a lease may lie free that somebody could take: two looks at the table, and then some.
const FREE_MAX: Duration = Duration::from_secs(7);

/// How long a backlog may stand still that somebody reads: the longest idle poll of a plan, and then some.
const STILL_MAX: Duration = Duration::from_secs(15);

/// How long after the healing the rules begin: what was under way may arrive so late.
const SETTLES: Duration = Duration::from_secs(45);

/// The workers' proofs of life serve as the clock of these rules.
fn is_tick(ledger: &Ledger, event: &Event) -> bool {
    let is_settled = ledger
        .healed
        .is_some_and(|healed| ledger.now > healed + SETTLES);
    let is_renewal = matches!(
        event,
        Event::Sent {
            subject: Subject::Renew,
            ..
        }
    );
    is_settled && !ledger.finished && is_renewal
}

/// L1: a lease that is free, or whose holder has ended, is soon taken.
pub(super) fn nothing_lies_idle_for_long(ledger: &Ledger, event: &Event) -> Verdict {
    if !is_tick(ledger, event) {
        return Ok(());
    }
    let running = ledger.processes.values().filter(|it| it.running);
    let sharing = running.filter(|it| it.asked.is_none());
    // Whoever has run longest saw who was alive before all others.
    let Some(watched) = sharing.map(|it| it.started).min() else {
        return Ok(());
    };
    for (shard, of) in &ledger.shards {
        let Some(row) = of.row.as_ref().filter(|row| !row.checkpoint.is_end()) else {
            continue;
        };
        if !of.parents.iter().all(|parent| ledger.is_ended(parent)) {
            continue;
        }
        let (since, most) = match ledger.holder(row) {
            None => (of.moved, free_max(ledger)),
            Some(holder) => {
                let ended = ledger.processes.get(&holder).and_then(|it| it.ended);
                (ended, ledger.expect.lease_max + FREE_MAX)
            }
        };
        // Its last parent may have ended just now.
        let since = since.map(|since| since.max(last_end(ledger, of)).max(watched));
        if let Some(since) = since.filter(|since| ledger.now > *since + most) {
            let idle = ledger.now.saturating_sub(since);
            return Err(format!("{shard} lies idle for {idle:?}: {row:?}"));
        }
    }
    Ok(())
}

/// Who has the least is offered a lease first, and while it is not known to be dead, it may be: then the next is offered
/// it. That ends when they are known to be.
fn free_max(ledger: &Ledger) -> Duration {
    let is_dead = |incarnation: &&String| {
        let process = ledger.incarnations.get(*incarnation);
        let known = process.and_then(|process| ledger.processes.get(process));
        known.is_some_and(|known| !known.running)
    };
    let dead = ledger.workers.keys().filter(is_dead).count();
    let dead = u32::try_from(dead).unwrap_or(u32::MAX).max(1);
    let known = ledger.expect.lease_max + FREE_MAX;
    FREE_MAX.saturating_mul(dead).min(known)
}

/// When the last of a shard's parents was finished.
fn last_end(ledger: &Ledger, of: &ShardLedger) -> Duration {
    let parents = of.parents.iter().filter_map(|it| ledger.shards.get(it));
    let moved = parents.filter_map(|it| it.moved);
    moved.max().unwrap_or_default()
}

/// L5: where there are records to deliver, a holder that runs, and no call under way, records are delivered.
pub(super) fn nothing_waits_for_long(ledger: &Ledger, event: &Event) -> Verdict {
    if !is_tick(ledger, event) {
        return Ok(());
    }
    for (shard, of) in &ledger.shards {
        let Some(row) = of.row.as_ref().filter(|row| !row.checkpoint.is_end()) else {
            continue;
        };
        // Whose lease outlives its holder, L1 looks at.
        let holder = ledger.holder(row);
        let Some(holder) =
            holder.filter(|it| ledger.processes.get(it).is_some_and(|it| it.running))
        else {
            continue;
        };
        let from = of.reached.max(
            of.covered(&row.checkpoint, ledger.expect.wall_zero)
                .map_or(0, |(_, most)| most),
        );
        let from = from.max(of.loss.trimmed);
        let Some(next) = of.records.get(from) else {
            continue;
        };
        let is_in_call = |it: &InstanceLedger| it.shard == *shard && it.call.is_some();
        let is_handled = ledger.calls_of(holder).any(|it| it.shard == *shard);
        if is_handled || ledger.instances_of(holder).any(is_in_call) {
            continue;
        }
        let arrived = ledger.records.get(*next as usize);
        let arrived = arrived.map_or(ledger.now, |record| record.produced);
        let since = [
            Some(arrived),
            of.delivered,
            of.moved,
            ledger.healed.map(|healed| healed + SETTLES),
        ];
        let since = since.into_iter().flatten().max().unwrap_or_default();
        if ledger.now > since + STILL_MAX {
            let still = ledger.now.saturating_sub(since);
            return Err(format!(
                "{shard} stands still for {still:?} at {from} of {} with {holder}",
                of.records.len()
            ));
        }
    }
    Ok(())
}
