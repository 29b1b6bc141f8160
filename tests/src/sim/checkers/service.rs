//! Rules about the services, on which all others rest: S14.

use super::Verdict;
use crate::sim::history::Event;
use crate::sim::ledger::Ledger;

/// S14: what was put can be read, in the order and by the numbers that the producer was told, for as long as
/// the stream keeps it.
pub(super) fn what_was_put_is_there(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Reread { shard, records } = event else {
        return Ok(());
    };
    let Some(of) = ledger.shards.get(shard) else {
        return Err(format!("{shard} has records, and nobody put any"));
    };
    let kept = of.records.get(of.loss.trimmed..).unwrap_or_default();
    if kept.len() != records.len() {
        return Err(format!(
            "{shard} has {} records of {}",
            records.len(),
            kept.len()
        ));
    }
    for (id, (read, sequence)) in kept.iter().zip(records) {
        let told = of
            .places
            .get(sequence)
            .and_then(|place| of.records.get(*place));
        if id != read || told != Some(id) {
            return Err(format!(
                "{shard} has record {read} at {sequence}, where {id} is due"
            ));
        }
    }
    Ok(())
}

/// S14: a conditional write is carried out if its condition holds for the row as it stands, and else refused.
pub(super) fn conditions_are_judged_by_what_stands(_: &Ledger, event: &Event) -> Verdict {
    let Event::Judged {
        by,
        key,
        holds,
        applied,
    } = event
    else {
        return Ok(());
    };
    if holds == applied {
        return Ok(());
    }
    let was = if *applied { "carried out" } else { "refused" };
    Err(format!(
        "a write of {by} to {key} was {was} against its condition"
    ))
}

/// S14: a read shows what stands, unless it need not and a fault makes it old.
pub(super) fn reads_show_what_stands(_: &Ledger, event: &Event) -> Verdict {
    let Event::ReadOld {
        by,
        key,
        consistent,
        at_fault,
    } = event
    else {
        return Ok(());
    };
    if *at_fault && !*consistent {
        return Ok(());
    }
    Err(format!("{by} reads {key} as it was once"))
}
