//! Rules about calls into user code: C, K, S4, S5, S6, S10, S12.
//!
//! C and the order within a shard are about processors, which have one call at a time. Of handlers, which may have
//! several, `handling` has the order. All other rules are the same for both.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::model::ShardId;

use super::Verdict;
use crate::sim::history::{Call, Errand, Event, HandlerCall, RecordId};
use crate::sim::ledger::{Ledger, Over, ShardLedger};
use crate::sim::scenario::Door;

/// C: one call at a time, and none after a failed call or `lease_lost`; after a cancelled one or
/// `shard_ended` only `lease_lost`.
pub(super) fn calls_keep_their_order(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Called {
        instance,
        call,
        shard,
        epoch,
        ..
    } = event
    else {
        return Ok(());
    };
    let Some(known) = ledger.instances.get(instance) else {
        return match call {
            Call::Initialize => Ok(()),
            other => Err(format!(
                "processor {instance} of {shard}: first call is {other:?}"
            )),
        };
    };
    if let Some(running) = &known.call {
        return Err(format!(
            "processor {instance}: {call:?} while {running:?} still runs"
        ));
    }
    if let Some(over) = known.over
        && (*call != Call::LeaseLost || matches!(over, Over::Failed | Over::Lost))
    {
        return Err(format!("processor {instance}: {call:?} after {over:?}"));
    }
    if *call == Call::Initialize {
        return Err(format!("processor {instance}: initialized twice"));
    }
    if known.shard != *shard || known.epoch != *epoch {
        return Err(format!(
            "processor {instance} of {} e{} is called for {shard} e{epoch}",
            known.shard, known.epoch
        ));
    }
    Ok(())
}

/// K: a killed, exited or frozen process sends nothing and calls nothing.
pub(super) fn the_dead_do_nothing(ledger: &Ledger, event: &Event) -> Verdict {
    let (Event::Called { process, .. }
    | Event::Sent { process, .. }
    | Event::HandlerCalled(HandlerCall { process, .. })) = event
    else {
        return Ok(());
    };
    match ledger.processes.get(process) {
        Some(known) if known.running && !known.frozen => Ok(()),
        _ => Err(format!("{process} does not run, yet: {event}")),
    }
}

/// The records of a delivery, with its shard and epoch.
fn delivery(event: &Event) -> Option<(&ShardId, u64, &[RecordId])> {
    if let Event::Called {
        shard,
        epoch,
        call: Call::Process(ids),
        ..
    }
    | Event::HandlerCalled(HandlerCall {
        shard,
        epoch,
        errand: Errand::Handle,
        ids,
        ..
    }) = event
    {
        Some((shard, *epoch, ids))
    } else {
        None
    }
}

/// S12: every record of a delivery exists, and is in the shard it is delivered for.
pub(super) fn records_come_from_their_shard(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((shard, _, ids)) = delivery(event) else {
        return Ok(());
    };
    for id in ids {
        match ledger.records.get(*id as usize) {
            None => return Err(format!("record {id} was never produced")),
            Some(record) if record.shard != *shard => {
                return Err(format!(
                    "record {id} of {} is delivered for {shard}",
                    record.shard
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// For how long a process may not know that a rival took its lease: the protocol gives no notice of what it
/// does not allow, so this is how long a look at the table or a proof of life can take.
pub(super) const THEFT_UNNOTICED: Duration = Duration::from_secs(25);

/// For how long a process may not know that an operator deleted its lease, if it writes nothing meanwhile: until the next
/// sync, which is once a minute, give or take a tenth.
const DELETION_UNNOTICED: Duration = Duration::from_secs(70);

/// S4: a call starts only while the table says that its epoch is the current one, its process the owner;
/// the call that was running when a process froze may end later. A lease that a rival took is excused for
/// a while.
pub(super) fn no_call_for_an_epoch_that_is_over(ledger: &Ledger, event: &Event) -> Verdict {
    let (process, shard, epoch, call) = match event {
        Event::Called {
            process,
            shard,
            epoch,
            call,
            ..
        } if *call != Call::LeaseLost => (process, shard, epoch, format!("{call:?}")),
        // The failure destination as well: what it takes counts as settled.
        Event::HandlerCalled(call) => {
            let what = format!("{:?} {:?}", call.errand, call.ids);
            (&call.process, &call.shard, &call.epoch, what)
        }
        _ => return Ok(()),
    };
    let of = ledger.shards.get(shard);
    let deleted = of.and_then(|of| of.loss.deleted);
    if deleted.is_some_and(|at| ledger.now < at + DELETION_UNNOTICED) {
        return Ok(());
    }
    let Some(row) = of.and_then(|of| of.row.as_ref()) else {
        return Err(format!(
            "{process} calls {call} for {shard} e{epoch}, which has no lease"
        ));
    };
    if row.epoch == *epoch && ledger.holder(row) == Some(*process) {
        return Ok(());
    }
    let grant = of.and_then(|of| of.grants.get(epoch));
    let stolen = grant.and_then(|grant| grant.stolen);
    if stolen.is_some_and(|at| ledger.now < at + THEFT_UNNOTICED) {
        return Ok(());
    }
    // Clocks that are further apart than the library allows for: it has a moment more from when the lease was taken,
    // whatever the taker did since.
    let next = epoch + 1;
    let taken = of.and_then(|of| of.grants.get(&next)).map(|it| it.since);
    let moved = of.filter(|_| row.epoch == next).and_then(|of| of.moved);
    let lost = taken.or(moved);
    if lost.is_some_and(|at| ledger.now < at + ledger.expect.overlap) {
        return Ok(());
    }
    Err(format!(
        "{process} calls {call} for {shard} e{epoch}, but the lease stands at {row:?}"
    ))
}

/// S5, S10: within a shard records come one after the other. The first batch of a processor goes on
/// behind what is acknowledged in its epoch or else durable, and every later one behind the last.
pub(super) fn records_come_in_order_without_gaps(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((shard, epoch, ids)) = delivery(event) else {
        return Ok(());
    };
    let Event::Called { instance, .. } = event else {
        return Ok(());
    };
    let Some(records) = ledger.records_of(ids) else {
        return Ok(());
    };
    let (Some(first), Some(of)) = (records.first(), ledger.shards.get(shard)) else {
        return Ok(());
    };
    for pair in records.windows(2) {
        let (last, next) = (pair[0].place + 1, pair[1].place);
        if next != last && next > of.loss.trimmed {
            return Err(format!(
                "{shard}: place {} after {}",
                pair[1].place, pair[0].place
            ));
        }
    }
    if let Some(reached) = ledger
        .instances
        .get(instance)
        .and_then(|known| known.reached)
    {
        // A reader that runs may tell of it a little later, if the service does not let it look: at the end
        // whatever is not told of is missed.
        return if (reached..=reached.max(of.loss.trimmed)).contains(&first.place) {
            Ok(())
        } else {
            Err(format!(
                "{shard} e{epoch}: place {} where {reached} is due",
                first.place
            ))
        };
    }
    let Some(grant) = of.grants.get(&epoch) else {
        return Ok(());
    };
    let covered = |checkpoint| of.covered(checkpoint, ledger.expect.wall_zero);
    let granted = covered(&grant.checkpoint).unwrap_or_default();
    let durable = of
        .row
        .as_ref()
        .and_then(|row| covered(&row.checkpoint))
        .unwrap_or_default();
    let least = grant.acknowledged.unwrap_or(granted.0);
    let most = least.max(durable.1);
    if (least..=most).contains(&first.place) || is_gap(of, most, first.place) {
        return Ok(());
    }
    Err(format!(
        "{shard} e{epoch}: a new processor starts at place {}, due is {least} to {most}",
        first.place
    ))
}

/// Whether everything from one place to another is gone, and the application knows.
fn is_gap(of: &ShardLedger, from: usize, to: usize) -> bool {
    from < to && (from..to).all(|place| of.is_excused(place))
}

/// S5: first deliveries of a key keep the order of production, across splits and merges.
pub(super) fn keys_keep_their_order(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((shard, _, ids)) = delivery(event) else {
        return Ok(());
    };
    let Some(records) = ledger.records_of(ids) else {
        return Ok(());
    };
    let mut reached = BTreeMap::new();
    for record in records.into_iter().filter(|record| record.deliveries == 0) {
        let next = reached
            .get(&record.key)
            .copied()
            .or_else(|| ledger.keys.get(&record.key).and_then(|key| key.next));
        let is_excused = |next: u32| {
            let key = ledger.keys.get(&record.key);
            let skipped = next as usize..record.key_place as usize;
            let skipped = key.and_then(|key| key.records.get(skipped));
            skipped.is_some_and(|skipped| {
                let mut records = skipped
                    .iter()
                    .filter_map(|id| ledger.records.get(*id as usize));
                records.all(|it| ledger.is_gone(it) || ledger.is_before_start(it))
            })
        };
        // What was given up when its lease was deleted comes late, if the lease is made anew after all, or from a holder
        // that does not know yet.
        let loss = ledger.shards.get(shard).map(|of| &of.loss);
        let late = loss.and_then(|loss| loss.late.or(loss.abandoned));
        let is_late = late.is_some_and(|from| record.place >= from);
        // So does what came before the start, if its shard is made anew when its parents are finished.
        let is_made_anew = loss.is_some_and(|loss| loss.deleted.is_some());
        let is_old = is_made_anew && ledger.is_before_start(record);
        if (is_late || is_old) && next.is_some_and(|next| record.key_place < next) {
            continue;
        }
        if next.is_some_and(|next| next != record.key_place && !is_excused(next)) {
            return Err(format!(
                "{shard}: key {} gets its record {} where {next:?} is due",
                record.key, record.key_place
            ));
        }
        reached.insert(record.key, record.key_place + 1);
    }
    Ok(())
}

/// S6: every parent is durably finished. Only a parent that was closed before the application
/// first started, and that it was not asked to read, may have no lease at all.
pub(super) fn parents_are_finished_first(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((shard, ..)) = delivery(event) else {
        return Ok(());
    };
    let Some(of) = ledger.shards.get(shard) else {
        return Ok(());
    };
    for parent in &of.parents {
        let Some(known) = ledger.shards.get(parent) else {
            continue;
        };
        let unread = ledger.is_unread(known);
        // Whose lease was deleted goes on for a moment.
        let deleted = of.loss.deleted;
        if deleted.is_some_and(|at| ledger.now < at + THEFT_UNNOTICED) {
            continue;
        }
        // Nobody can finish what is gone: it was told, or never begun, or an operator deleted it.
        let forgotten = known.loss.is_told_forgotten
            || (known.loss.forgotten.is_some() && known.first.is_none());
        let gone = known.is_abandoned() || (known.row.is_none() && forgotten);
        if !known.ended && !unread && !gone {
            return Err(format!(
                "{shard} is delivered before its parent {parent} is finished"
            ));
        }
    }
    Ok(())
}

/// S10: in a run where nothing fails, no record is delivered twice.
pub(super) fn nothing_twice_when_nothing_fails(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((shard, epoch, ids)) = delivery(event) else {
        return Ok(());
    };
    if !ledger.expect.clean {
        return Ok(());
    }
    // A window that was open begins again with who takes its shard over, as documented; by one grant nothing comes
    // again that is settled, which `handling` sees to.
    if let Event::HandlerCalled(call) = event
        && ledger
            .expect
            .handling
            .is_some_and(|it| it.door == Door::Windows)
        && ledger.handed_by(call).is_none_or(|it| {
            let places = ledger.records_of(ids).unwrap_or_default();
            places
                .iter()
                .all(|record| !it.records.contains_key(&record.place))
        })
    {
        return Ok(());
    }
    let again = |id: &&RecordId| {
        ledger
            .records
            .get(**id as usize)
            .is_some_and(|record| record.deliveries > 0)
    };
    match ids.iter().find(again) {
        None => Ok(()),
        Some(id) => Err(format!("record {id} of {shard} comes again in e{epoch}")),
    }
}
