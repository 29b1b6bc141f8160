//! Rules about leases that move for their load: L, where loads differ.
//!
//! What a worker reads is taken from what was produced, not from what the library measured.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Verdict;
use crate::sim::history::{Event, LeaseRow};
use crate::sim::ledger::{Ledger, ShardLedger};
use crate::sim::scenario::Heavy;

/// Loads are taken over this last part of the time in which anything is produced.
const WINDOW: Duration = Duration::from_secs(120);

/// By how much of the fair load one move must make both workers better to be missed: three times the threshold,
/// because means and what was produced differ, and half of a threshold is left alone on purpose.
const MISSED: f64 = 0.24;

/// Below so many bytes per second and worker nothing moves, by the documentation 16 KiB; a little above, so that
/// both see the same.
const LOAD_MIN: f64 = 20.0 * 1024.0;

/// L5: a lease that was given to a worker for its load is not given on for that before it has rested.
pub(super) fn what_was_given_stays_for_a_while(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Lease {
        shard,
        before: Some(before),
        after: Some(after),
        ..
    } = event
    else {
        return Ok(());
    };
    let is_given_on = |after: &LeaseRow| {
        let other = after.given_to.as_ref();
        after.incarnation.is_none() && other.is_some_and(|to| Some(to) != before.given_to.as_ref())
    };
    let of = ledger.shards.get(shard).and_then(|of| of.given.as_ref());
    match of {
        Some((taker, at))
            if before.incarnation.as_ref() == Some(taker)
                && is_given_on(after)
                && ledger.now < *at + Heavy::REST =>
        {
            Err(format!(
                "{shard} was taken for its load at {:.3} s and is given on: {after:?}",
                at.as_secs_f64()
            ))
        }
        Some(_) | None => Ok(()),
    }
}

/// A worker as it stands at the end.
#[derive(Debug, Default)]
struct Standing {
    capacity: f64,
    shards: Vec<f64>,
}

impl Standing {
    fn off(&self) -> f64 {
        self.shards.iter().sum::<f64>() / self.capacity
    }
}

/// L5: at the end there is no lease whose move from the one that reads most for its capacity to the one that reads
/// least would make both clearly better.
pub(super) fn loads_are_as_even_as_one_move_can_make_them(
    ledger: &Ledger,
    event: &Event,
) -> Verdict {
    let (Some(heavy), Event::Finished) = (ledger.expect.heavy, event) else {
        return Ok(());
    };
    let fleet = standing(ledger, heavy);
    let workers = fleet.len() as f64;
    let capacity: f64 = fleet.iter().map(|worker| worker.capacity).sum();
    let load: f64 = fleet.iter().flat_map(|worker| &worker.shards).sum();
    let leases: usize = fleet.iter().map(|worker| worker.shards.len()).sum();
    let level = load / capacity;
    let is_too_much = |worker: &Standing| {
        worker
            .shards
            .iter()
            .any(|load| *load > level * worker.capacity)
    };
    let is_little = fleet.iter().map(Standing::off).sum::<f64>() < LOAD_MIN * workers;
    // A shard that alone is more than a fair load shifts what is fair for all.
    if is_little || fleet.iter().any(is_too_much) {
        return Ok(());
    }
    let by_off = |a: &&Standing, b: &&Standing| a.off().total_cmp(&b.off());
    let (Some(giver), Some(taker)) = (fleet.iter().max_by(by_off), fleet.iter().min_by(by_off))
    else {
        return Ok(());
    };
    // Nobody gives its last lease, or takes more than about twice its share by count.
    let share = leases as f64 * taker.capacity / capacity;
    if giver.shards.len() < 2 || taker.shards.len() as f64 > share.floor() {
        return Ok(());
    }
    let (above, below, margin) = (giver.off(), taker.off(), MISSED * level);
    let better = giver.shards.iter().find(|load| {
        let (giver, taker) = (
            above - *load / giver.capacity,
            below + *load / taker.capacity,
        );
        let range = below + margin..=above - margin;
        range.contains(&taker) && range.contains(&giver)
    });
    match better {
        None => Ok(()),
        Some(load) => Err(format!(
            "a lease of {load:.0} B/s should have moved: {level:.0} B/s are fair, {fleet:?}"
        )),
    }
}

/// What each running process reads.
fn standing(ledger: &Ledger, heavy: Heavy) -> Vec<Standing> {
    let running = ledger.processes.iter().filter(|(_, known)| known.running);
    let running = running.map(|(process, _)| {
        let standing = Standing {
            capacity: heavy.capacity(process.worker),
            shards: Vec::new(),
        };
        (*process, standing)
    });
    let mut fleet: BTreeMap<_, _> = running.collect();
    for of in ledger.shards.values().filter(|of| of.closed.is_none()) {
        let holder = of.row.as_ref().and_then(|row| ledger.holder(row));
        if let Some(holder) = holder.and_then(|process| fleet.get_mut(&process)) {
            holder.shards.push(load(ledger, heavy, of));
        }
    }
    fleet.into_values().collect()
}

/// Bytes per second that were put into a shard before production stopped.
fn load(ledger: &Ledger, heavy: Heavy, of: &ShardLedger) -> f64 {
    let since = ledger.expect.quiet.saturating_sub(WINDOW).as_millis();
    let records = of.records.iter().rev();
    let records = records.filter_map(|id| ledger.records.get(*id as usize));
    let recent = records.take_while(|record| u128::from(record.arrival) >= since);
    let bytes: usize = recent.map(|record| heavy.bytes(record.key)).sum();
    bytes as f64 / WINDOW.as_secs_f64()
}
