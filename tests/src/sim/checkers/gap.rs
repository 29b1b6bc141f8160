//! Rules about losses: S13. What is lost is told, what is told is lost, and a table that is gone stays gone until
//! somebody starts a worker.

use super::Verdict;
use crate::sim::history::{Event, Notice, Step};
use crate::sim::ledger::Ledger;
use crate::sim::subject::Subject;

/// S13: what a worker tells is so.
pub(super) fn what_is_told_to_be_lost_is(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Told { process, notice } = event else {
        return Ok(());
    };
    let (Notice::Trimmed { shard, .. }
    | Notice::Forgotten { shard, .. }
    | Notice::Vanished { shard, .. }) = notice
    else {
        return judge(!ledger.deletions.is_empty(), || {
            format!("{process} misses the table, and nobody deleted a row of it")
        });
    };
    let Some(of) = ledger.shards.get(shard) else {
        return Err(format!("{process} misses {shard}, which is no shard"));
    };
    match notice {
        Notice::Trimmed { after, next, .. } => {
            let place = |sequence| of.places.get(sequence).copied();
            let next = match next {
                None => Some(of.records.len()),
                Some(next) => place(next),
            };
            let (after, gone) = (place(after), of.loss.trimmed);
            // That which was read last is gone, and all between it and the next.
            let is_so = |after: usize, next: usize| {
                after < gone && (after + 1..=gone.max(after + 1)).contains(&next)
            };
            judge(
                after
                    .zip(next)
                    .is_some_and(|(after, next)| is_so(after, next)),
                || {
                    format!(
                        "{process} misses what is between {after:?} and {next:?} of {shard}, of which {gone} are gone"
                    )
                },
            )
        }
        Notice::Forgotten { .. } => judge(of.loss.forgotten.is_some(), || {
            format!("{process} says that {shard} is forgotten, and the stream has it")
        }),
        Notice::Vanished { .. } | Notice::TableGone => judge(of.loss.deleted.is_some(), || {
            format!("{process} misses the lease of {shard}, which nobody deleted")
        }),
    }
}

fn judge(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// S13: only a worker that starts makes the table.
pub(super) fn a_lost_table_is_not_made_again(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Sent {
        process,
        subject: Subject::MakeTable,
        ..
    } = event
    else {
        return Ok(());
    };
    judge(
        !ledger.processes.get(process).is_some_and(|it| it.joined),
        || format!("{process} makes the table, long after it started"),
    )
}

/// S13: who held a lease that was deleted, or kept the watch, or knew a table that was, and ran ever since, tells of
/// it in the end; with the table gone it does not go on, and does not end as if all were well.
pub(super) fn what_was_deleted_is_told(ledger: &Ledger, event: &Event) -> Verdict {
    if let Event::Life {
        process,
        step: Step::Exited(Ok(())),
    } = event
    {
        let mut all = ledger.deletions.iter().filter(|it| it.shard.is_none());
        return judge(!all.any(|it| it.witnesses.contains(process)), || {
            format!("{process} ends as if its table were there")
        });
    }
    if *event != Event::Finished {
        return Ok(());
    }
    for deletion in &ledger.deletions {
        let Some(witness) = deletion.witnesses.first() else {
            continue;
        };
        if deletion.shard.is_none() {
            return Err(format!("{witness} goes on without its table"));
        }
        if !deletion.is_told {
            return Err(format!(
                "the lease of {:?} was deleted, and {witness} says nothing",
                deletion.shard
            ));
        }
    }
    Ok(())
}
