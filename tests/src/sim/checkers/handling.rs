//! Rules about calls of handlers, and what becomes of their records: S1, S5, S10 and P.
//!
//! What holds of calls in general, whoever is called, is in `delivery`.

use std::collections::BTreeSet;
use std::time::Duration;

use kcl_core::LaneChoice;
use kcl_core::model::ShardId;

use super::Verdict;
use crate::sim::history::{Errand, Event, HandlerCall, Step};
use crate::sim::ledger::{Chain, Deletion, Ledger, ShardLedger};
use crate::sim::scenario::{Door, Handling, Policy};

fn call(event: &Event) -> Option<&HandlerCall> {
    if let Event::HandlerCalled(call) = event {
        Some(call)
    } else {
        None
    }
}

/// A call with records to process, and how they are handled.
fn handing<'a>(ledger: &Ledger, event: &'a Event) -> Option<(&'a HandlerCall, Handling)> {
    let call = call(event).filter(|call| call.errand == Errand::Handle)?;
    Some((call, ledger.expect.handling?))
}

/// S5: by one grant the records of a key are handed over in order and without gaps, with one lane those of the shard.
/// A record waits for those before it: they are settled, or in the same call.
pub(super) fn records_are_handed_over_in_order(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((call, _)) = handing(ledger, event) else {
        return Ok(());
    };
    let shard = &call.shard;
    let (Some(records), Some(of)) = (ledger.records_of(&call.ids), ledger.shards.get(shard)) else {
        return Ok(());
    };
    let handed = ledger.handed_by(call);
    let mut before: BTreeSet<usize> = BTreeSet::new();
    for record in records {
        let (place, chain) = (record.place, ledger.chain(record));
        if before.last().is_some_and(|last| place <= *last) {
            return Err(format!(
                "{shard}: place {place} is not in order in its call"
            ));
        }
        let is_of_chain = |place: usize| chain_at(ledger, of, place) == Some(chain);
        let open = handed.into_iter().flat_map(|it| it.open.range(..place));
        if let Some(open) = open
            .filter(|it| is_of_chain(**it))
            .find(|it| !before.contains(it))
        {
            return Err(format!(
                "{shard}: place {place} is handed over while {open} of the same key is not settled"
            ));
        }
        let is_first = handed.is_none_or(|it| !it.records.contains_key(&place));
        if is_first && let Some(from) = due(ledger, call, chain) {
            let is_missed = |it: &usize| {
                is_of_chain(*it)
                    && !before.contains(it)
                    && *it >= of.loss.trimmed
                    && !of.is_excused(*it)
            };
            if place < from.0 || (from.1..place).any(|it| is_missed(&it)) {
                return Err(format!(
                    "{shard} e{}: place {place} of key {chain:?} where {from:?} is due",
                    call.epoch
                ));
            }
        }
        before.insert(place);
    }
    Ok(())
}

fn chain_at(ledger: &Ledger, of: &ShardLedger, place: usize) -> Option<Chain> {
    let record = ledger.records.get(*of.records.get(place)? as usize)?;
    Some(ledger.chain(record))
}

/// At which place a chain goes on, at least and at most: behind what was handed over by this grant, or what was
/// durable when it began.
fn due(ledger: &Ledger, call: &HandlerCall, chain: Chain) -> Option<(usize, usize)> {
    let reached = ledger.handed_by(call).and_then(|it| it.reached.get(&chain));
    if let Some(reached) = reached {
        return Some((*reached, *reached));
    }
    let of = ledger.shards.get(&call.shard)?;
    let grant = of.grants.get(&call.epoch)?;
    if ledger.incarnations.get(&grant.incarnation) != Some(&call.process) {
        return None;
    }
    of.covered(&grant.checkpoint, ledger.expect.wall_zero)
}

/// S5: a grant has no more calls at once than lanes, and no two with one key.
pub(super) fn no_key_is_in_two_calls(ledger: &Ledger, event: &Event) -> Verdict {
    let (Some(call), Some(handling)) = (call(event), ledger.expect.handling) else {
        return Ok(());
    };
    let is_beside = |other: &&HandlerCall| other.shard == call.shard && other.epoch == call.epoch;
    let beside: Vec<_> = ledger.calls_of(call.process).filter(is_beside).collect();
    if beside.len() >= handling.lanes {
        return Err(format!(
            "{}: {} calls run already, with {} lanes",
            call.shard,
            beside.len(),
            handling.lanes
        ));
    }
    let chains = |call: &HandlerCall| {
        let records = ledger.records_of(&call.ids).unwrap_or_default();
        let chains = records.into_iter().map(|record| ledger.chain(record));
        chains.collect::<BTreeSet<_>>()
    };
    let own = chains(call);
    match beside.iter().find(|other| !chains(other).is_disjoint(&own)) {
        None => Ok(()),
        Some(other) => Err(format!(
            "{}: call {} has a key that call {} has in hand",
            call.shard, call.number, other.number
        )),
    }
}

/// S5: a lane has one call at a time, and where each key has its lane, all calls of a grant with that key are in it.
pub(super) fn keys_keep_their_lane(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((call, handling)) = handing(ledger, event) else {
        return Ok(());
    };
    let (shard, Some(lane)) = (&call.shard, call.lane) else {
        return Ok(());
    };
    let is_beside = |other: &&HandlerCall| other.shard == *shard && other.epoch == call.epoch;
    let mut beside = ledger.calls_of(call.process).filter(is_beside);
    if let Some(other) = beside.find(|other| other.lane == Some(lane)) {
        return Err(format!(
            "{shard}: call {} is in lane {lane}, and so is call {}",
            call.number, other.number
        ));
    }
    if lane >= handling.lanes {
        return Err(format!("{shard}: there is no lane {lane}"));
    }
    if handling.lane_choice != LaneChoice::ByKey {
        return Ok(());
    }
    let records = ledger.records_of(&call.ids).unwrap_or_default();
    let handed = ledger.handed_by(call);
    for chain in records.into_iter().map(|record| ledger.chain(record)) {
        let before = handed.and_then(|it| it.lanes.get(&chain));
        if let Some(before) = before.filter(|before| **before != lane) {
            return Err(format!(
                "{shard} e{}: key {chain:?} is in lane {lane}, and was in lane {before}",
                call.epoch
            ));
        }
    }
    Ok(())
}

/// S10: what is settled is not handed over again by the same grant, whatever fails.
pub(super) fn what_is_settled_does_not_come_again(ledger: &Ledger, event: &Event) -> Verdict {
    let (Some(call), Some(handed)) = (
        call(event),
        call(event).and_then(|call| ledger.handed_by(call)),
    ) else {
        return Ok(());
    };
    let records = ledger.records_of(&call.ids).unwrap_or_default();
    let is_settled = |place: usize| handed.records.get(&place).is_some_and(|it| it.is_settled);
    match records.iter().find(|record| is_settled(record.place)) {
        None => Ok(()),
        Some(record) => Err(format!(
            "{} e{}: place {} is settled, and comes again for {:?}",
            call.shard, call.epoch, record.place, call.errand
        )),
    }
}

/// P: no record is tried more often than the policy says. Where batches are cut, a cut is no attempt.
pub(super) fn nothing_is_tried_too_often(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((call, handling)) = handing(ledger, event) else {
        return Ok(());
    };
    let Some(attempts) = handling.policy.attempts().filter(|_| !handling.bisect) else {
        return Ok(());
    };
    let Some(handed) = ledger.handed_by(call) else {
        return Ok(());
    };
    let records = ledger.records_of(&call.ids).unwrap_or_default();
    let failures = |place: usize| handed.records.get(&place).map_or(0, |it| it.failures);
    match records.iter().find(|it| failures(it.place) >= attempts) {
        None => Ok(()),
        Some(record) => Err(format!(
            "{}: place {} failed {} times, and is tried again",
            call.shard,
            record.place,
            failures(record.place)
        )),
    }
}

/// P: only poison is given up, after as many attempts as the policy says; and what shares a batch with it, where
/// batches are not cut and nothing says which of them failed.
pub(super) fn only_poison_is_given_up(ledger: &Ledger, event: &Event) -> Verdict {
    let (Some(call), Some(handling)) = (call(event), ledger.expect.handling) else {
        return Ok(());
    };
    if call.errand != Errand::GiveUp {
        return Ok(());
    }
    let (shard, ids) = (&call.shard, &call.ids);
    let Policy::GiveUp { attempts } = handling.policy else {
        return Err(format!(
            "{shard}: {ids:?} are given up, and nothing is to be"
        ));
    };
    let is_alone = handling.bisect || handling.door == Door::Record;
    let poison = ids.iter().filter(|id| handling.is_poison(**id)).count();
    // Who names what failed names each on its own, and several may have been named often enough at once.
    let is_named = handling.door == Door::Places && poison == ids.len();
    if poison == 0 || (is_alone && !is_named && ids.len() > 1) {
        return Err(format!(
            "{shard}: {ids:?} are given up, of which {poison} are poison"
        ));
    }
    let records = ledger.records_of(ids).unwrap_or_default();
    let handed = ledger.handed_by(call);
    let times = |place: usize| {
        let of = handed.and_then(|it| it.records.get(&place));
        of.map_or(0, |it| it.times)
    };
    match records.iter().find(|it| times(it.place) < attempts) {
        None => Ok(()),
        Some(record) => Err(format!(
            "{shard}: place {} is given up after {} attempts of {attempts}",
            record.place,
            times(record.place)
        )),
    }
}

/// P: at the end the failure destination has all poison that was ever handed over.
pub(super) fn poison_reaches_the_destination(ledger: &Ledger, event: &Event) -> Verdict {
    let Some(handling) = ledger.expect.handling.filter(|_| *event == Event::Finished) else {
        return Ok(());
    };
    if handling.is_mended() {
        return Ok(());
    }
    let is_missed = |id: &u32| {
        let record = ledger.records.get(*id as usize);
        let is_known = record.is_some_and(|it| it.deliveries > 0 && !ledger.is_gone(it));
        is_known && handling.is_poison(*id) && !ledger.handling.given_up.contains(id)
    };
    let all = 0..u32::try_from(ledger.records.len()).unwrap_or(u32::MAX);
    match all.into_iter().find(is_missed) {
        None => Ok(()),
        Some(id) => Err(format!("record {id} is poison, and was not given up")),
    }
}

/// How long a worker may take to end that has to stop, however badly things stand.
const HALTS: Duration = Duration::from_secs(60);

/// Whether the table itself was deleted, or the stream has forgotten a shard.
fn is_something_gone(ledger: &Ledger) -> bool {
    let is_of_all = |deletion: &Deletion| deletion.shard.is_none();
    let mut shards = ledger.shards.values();
    ledger.deletions.iter().any(is_of_all) || shards.any(|of| of.loss.forgotten.is_some())
}

/// P: where the policy is to stop, a worker that gives a record up ends with an error that names it. Several of its
/// shards may meet one; the error is of the shard that could be given back first.
pub(super) fn who_gives_up_stops(ledger: &Ledger, event: &Event) -> Verdict {
    let is_halting = |it: Handling| matches!(it.policy, Policy::Halt { .. });
    if !ledger.expect.handling.is_some_and(is_halting) {
        return Ok(());
    }
    if *event == Event::Finished {
        let running = |process| ledger.processes.get(process).is_some_and(|it| it.running);
        let mut all = ledger.handling.gave_up.iter();
        let late = all.find(|(process, (at, _))| running(process) && *at + HALTS < ledger.now);
        return match late {
            None => Ok(()),
            Some((process, (_, all))) => Err(format!("{process} gave {all:?} up, and goes on")),
        };
    }
    let Event::Life {
        process,
        step: Step::Exited(outcome),
    } = event
    else {
        return Ok(());
    };
    let Some((_, all)) = ledger.handling.gave_up.get(process) else {
        return Ok(());
    };
    match outcome {
        Err(error) if all.iter().any(|it| error.contains(it.as_str())) => Ok(()),
        // Without its table, or where a shard is gone, it has to end as well, and the error says that.
        Err(error) if error.contains("does not exist") && is_something_gone(ledger) => Ok(()),
        Ok(()) | Err(_) => Err(format!(
            "{process} gave {all:?} up, and ends with {outcome:?}"
        )),
    }
}

/// S5: a record of a later window comes after the last call of the one that is open, and that comes after all its
/// records are settled. The state that a function is handed is what came of the calls before.
pub(super) fn windows_follow_each_other(ledger: &Ledger, event: &Event) -> Verdict {
    let Some(call) = call(event).filter(|call| call.errand != Errand::GiveUp) else {
        return Ok(());
    };
    let is_windowed = |it: &Handling| it.door == Door::Windows;
    if ledger.expect.handling.filter(is_windowed).is_none() {
        return Ok(());
    }
    let shard = &call.shard;
    let handed = ledger.handed_by(call);
    let window = handed.and_then(|it| it.window);
    let counted = window.map_or(0, |it| it.records);
    if call.state != Some(counted) {
        return Err(format!(
            "{shard}: the function is handed {:?}, and counted {counted}",
            call.state
        ));
    }
    if call.errand == Errand::Close {
        return match (window, handed.and_then(|it| it.open.first())) {
            (Some(_), None) => Ok(()),
            (None, _) => Err(format!("{shard}: a window is closed that is not open")),
            (Some(_), Some(place)) => Err(format!(
                "{shard}: a window is closed before its place {place} is settled"
            )),
        };
    }
    let records = ledger.records_of(&call.ids).unwrap_or_default();
    let first = records.first().map(|record| ledger.turn(record));
    let turn = window.map(|it| it.turn).or(first);
    match records
        .iter()
        .find(|record| Some(ledger.turn(record)) > turn)
    {
        None => Ok(()),
        Some(record) => Err(format!(
            "{shard}: place {} is of a later window than the one that is open",
            record.place
        )),
    }
}

/// S1: no checkpoint covers a record of a window whose last call has not gone well.
pub(super) fn checkpoints_wait_for_windows(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Lease {
        by,
        shard,
        before: Some(before),
        after: Some(after),
        ..
    } = event
    else {
        return Ok(());
    };
    if before.checkpoint == after.checkpoint {
        return Ok(());
    }
    let window = ledger.handed(*by, shard, before.epoch);
    let Some(window) = window.and_then(|it| it.window) else {
        return Ok(());
    };
    let covered = covered(ledger, shard, after);
    if covered <= window.from {
        return Ok(());
    }
    Err(format!(
        "{shard}: the checkpoint covers {covered} records, and the window from place {} is open",
        window.from
    ))
}

fn covered(ledger: &Ledger, shard: &ShardId, row: &crate::sim::history::LeaseRow) -> usize {
    let covered = ledger.covered(shard, &row.checkpoint);
    covered.map_or(0, |(_, most)| most)
}
