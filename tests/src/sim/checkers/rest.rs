//! Rules about the end of a run, when everything must have come to rest: S1, S8, L.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::model::ShardId;

use super::Verdict;
use crate::sim::history::{Event, Process, Step};
use crate::sim::ledger::{Ledger, ShardLedger, Start};

/// For how long no lease may have moved at the end of a run.
const STILL: Duration = Duration::from_secs(45);

/// How long the fleet may take to settle in a run where nothing happens.
const SETTLED: Duration = Duration::from_secs(60);

/// The same where leases move for their load as well, which must be measured first.
const SETTLED_BY_LOAD: Duration = Duration::from_secs(300);

/// How long a stop may take where nothing fails.
const STOP_MAX: Duration = Duration::from_secs(35);

/// Whether the shard will never be finished: the stream has forgotten it, or its lease was deleted after its
/// children had theirs.
fn is_over(of: &ShardLedger) -> bool {
    let is_told = of.loss.is_told_forgotten || of.first.is_none();
    of.is_abandoned() || (of.row.is_none() && of.loss.forgotten.is_some() && is_told)
}

/// S1: at the end, every record from the start on is processed.
pub(super) fn everything_is_processed(ledger: &Ledger, event: &Event) -> Verdict {
    if *event != Event::Finished {
        return Ok(());
    }
    for (shard, of) in &ledger.shards {
        let from = of
            .first
            .as_ref()
            .and_then(|first| of.covered(first, ledger.expect.wall_zero));
        let from = match (from, ledger.expect.start) {
            (Some((_, from)), _) => from,
            (None, _) if ledger.is_unread(of) => of.records.len(),
            (None, Start::TrimHorizon | Start::Latest | Start::At(_)) => 0,
        };
        let lost = |id: &&u32| {
            let record = ledger.records.get(**id as usize);
            record.is_some_and(|record| {
                record.place >= from && !record.done && !of.is_excused(record.place)
            })
        };
        let lost: Vec<_> = of.records.iter().filter(lost).collect();
        if let Some(first) = lost.first() {
            return Err(format!(
                "{shard}: {} of {} records are not processed, the first is {first}; row {:?}",
                lost.len(),
                of.records.len(),
                of.row
            ));
        }
    }
    Ok(())
}

/// S8, L1: at the end every open shard is held by a running process, every closed one is finished.
pub(super) fn every_shard_has_its_lease(ledger: &Ledger, event: &Event) -> Verdict {
    if *event != Event::Finished {
        return Ok(());
    }
    for (shard, of) in &ledger.shards {
        if of.ended || ledger.is_unread(of) || is_over(of) {
            continue;
        }
        if of.closed.is_some() {
            return Err(format!(
                "{shard} is closed but never finished: {:?}",
                of.row
            ));
        }
        let process = of.row.as_ref().and_then(|row| ledger.holder(row));
        if !process.is_some_and(|process| ledger.processes[&process].running) {
            return Err(format!("{shard} is held by nobody who runs: {:?}", of.row));
        }
    }
    Ok(())
}

/// L: at the end the checkpoint of every open shard covers all of it.
pub(super) fn everything_is_durable(ledger: &Ledger, event: &Event) -> Verdict {
    if *event != Event::Finished {
        return Ok(());
    }
    for (shard, of) in ledger.shards.iter().filter(|(_, of)| of.closed.is_none()) {
        let row = of.row.as_ref();
        let durable = row.and_then(|row| of.covered(&row.checkpoint, ledger.expect.wall_zero));
        let is_lost = |from: usize| (from..of.records.len()).all(|place| of.is_excused(place));
        if durable.is_none_or(|(_, durable)| !is_lost(durable)) {
            return Err(format!(
                "{shard}: {durable:?} of {} are durable",
                of.records.len()
            ));
        }
    }
    Ok(())
}

/// L3: at the end no lease has moved for a while; where nothing happens at all, none moves once
/// the fleet has settled. Where loads differ, none moves once all has been well for so long, until production
/// stops: that is a change of all loads.
pub(super) fn leases_stand_still(ledger: &Ledger, event: &Event) -> Verdict {
    let expect = &ledger.expect;
    if let Event::Lease {
        before: Some(before),
        after: Some(after),
        shard,
        ..
    } = event
        && !ledger.finished
        && before.epoch != after.epoch
    {
        let since = match (expect.still, expect.heavy) {
            (true, None) => Some(ledger.first_start.unwrap_or_default() + SETTLED),
            (true, Some(_)) => Some(ledger.first_start.unwrap_or_default() + SETTLED_BY_LOAD),
            (false, None) => None,
            // As long as after a start: runs of ten minutes have not so much time before production stops.
            (false, Some(_)) => ledger.healed.map(|at| at + SETTLED_BY_LOAD),
        };
        let is_over = expect.heavy.is_some() && ledger.now >= expect.quiet;
        if since.is_some_and(|since| ledger.now > since) && !is_over {
            return Err(format!(
                "{shard} moves although nothing happened: {before:?} to {after:?}"
            ));
        }
    }
    if *event != Event::Finished || expect.heavy.is_some() {
        return Ok(());
    }
    let moved = |of: &ShardLedger| of.moved.filter(|moved| *moved + STILL > ledger.now);
    match ledger
        .shards
        .iter()
        .find_map(|(shard, of)| moved(of).map(|at| (shard, at)))
    {
        None => Ok(()),
        Some((shard, at)) => Err(format!("{shard} still moved at {:.3} s", at.as_secs_f64())),
    }
}

/// For how long a lease that may go can stay: the longest time between two looks at the list of shards, and
/// a failure or two.
const CLEANED_UP: Duration = Duration::from_secs(150);

/// S8: at the end, no lease is left that nobody needs.
pub(super) fn nothing_is_left_over(ledger: &Ledger, event: &Event) -> Verdict {
    if *event != Event::Finished {
        return Ok(());
    }
    let children = ledger.children();
    for (shard, of) in &ledger.shards {
        let is_old = |at: Option<Duration>| at.is_some_and(|at| at + CLEANED_UP < ledger.now);
        if !of.row.as_ref().is_some_and(|row| row.checkpoint.is_end())
            || !is_old(of.loss.forgotten)
            || !is_old(of.moved)
        {
            continue;
        }
        let has_row = |id: &ShardId| ledger.shards.get(id).is_some_and(|it| it.row.is_some());
        let mut of_it = children.get(shard).into_iter().flatten();
        let is_read = |child: &ShardLedger| {
            let row = child.row.as_ref();
            row.is_some_and(|row| !row.is_untouched()) && is_old(child.moved)
        };
        if !of.parents.iter().any(has_row)
            && of_it.clone().next().is_some()
            && of_it.all(|(_, child)| is_read(child))
        {
            return Err(format!("the lease of {shard} is left, and nobody needs it"));
        }
    }
    Ok(())
}

/// L4: at the end the shares of the running processes differ by at most one.
pub(super) fn shares_are_even(ledger: &Ledger, event: &Event) -> Verdict {
    // Where loads differ, `load` has its own rule.
    if *event != Event::Finished || ledger.expect.heavy.is_some() {
        return Ok(());
    }
    let running = ledger.processes.iter().filter(|(_, known)| known.running);
    let mut shares: BTreeMap<Process, usize> = running.map(|(process, _)| (*process, 0)).collect();
    for of in ledger.shards.values().filter(|of| of.closed.is_none()) {
        let holder = of.row.as_ref().and_then(|row| ledger.holder(row));
        let share = holder.and_then(|process| shares.get_mut(&process));
        if let Some(share) = share {
            *share += 1;
        }
    }
    let (least, most) = (shares.values().min(), shares.values().max());
    match (least, most) {
        (Some(least), Some(most)) if most - least > 1 => Err(format!("shares are {shares:?}")),
        _ => Ok(()),
    }
}

/// L6: where nothing fails, and at the end where nothing fails any more, a process runs until it is asked to
/// stop, stops in time without an error, and leaves nothing behind.
pub(super) fn exits_are_clean(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Life {
        process,
        step: Step::Exited(outcome),
    } = event
    else {
        return Ok(());
    };
    let Some(known) = ledger
        .processes
        .get(process)
        .filter(|_| ledger.expect.clean || ledger.finished)
    else {
        return Ok(());
    };
    if let Err(error) = outcome {
        return Err(format!("{process} failed although nothing did: {error}"));
    }
    let Some(asked) = known.asked else {
        return Err(format!("{process} ended although nobody asked it to"));
    };
    if ledger.now > asked + STOP_MAX {
        return Err(format!(
            "{process} took {:?} to stop",
            ledger.now.saturating_sub(asked)
        ));
    }
    let own = |incarnation: &&String| ledger.incarnations.get(*incarnation) == Some(process);
    if ledger.workers.keys().any(|incarnation| own(&incarnation)) {
        return Err(format!("{process} left its worker row behind"));
    }
    let held = ledger.shards.iter().find(|(_, of)| {
        let holder = of.row.as_ref().and_then(|row| ledger.holder(row));
        holder == Some(*process)
    });
    match held {
        None => Ok(()),
        Some((shard, _)) => Err(format!("{process} ended and still holds {shard}")),
    }
}
