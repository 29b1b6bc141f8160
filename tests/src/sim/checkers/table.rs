//! Rules about changes of the lease table: S1, S2, S3, S7, S8, S9.

use std::time::Duration;

use kcl_core::model::{Checkpoint, ShardId};

use super::Verdict;
use crate::sim::history::{Event, LeaseRow, Process};
use crate::sim::ledger::{Ledger, OPERATOR, RIVAL, ShardLedger, Start, millis};

/// A change of a lease row.
struct Change<'a> {
    by: Process,
    sent: u64,
    shard: &'a ShardId,
    before: Option<&'a LeaseRow>,
    after: Option<&'a LeaseRow>,
}

impl<'a> Change<'a> {
    fn of(event: &'a Event) -> Option<Self> {
        let Event::Lease {
            by,
            sent,
            shard,
            before,
            after,
            ..
        } = event
        else {
            return None;
        };
        let (before, after) = (before.as_ref(), after.as_ref());
        Some(Self {
            by: *by,
            sent: *sent,
            shard,
            before,
            after,
        })
    }

    /// The rows before and after, if the checkpoint is another one now.
    fn of_checkpoint(event: &'a Event) -> Option<(Self, &'a LeaseRow, &'a LeaseRow)> {
        let change = Self::of(event)?;
        let (before, after) = (change.before?, change.after?);
        (before.checkpoint != after.checkpoint).then_some((change, before, after))
    }
}

/// S1: every record that the new checkpoint covers is processed.
pub(super) fn what_a_checkpoint_covers_is_processed(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((change, before, after)) = Change::of_checkpoint(event) else {
        return Ok(());
    };
    let Some(of) = ledger.shards.get(change.shard) else {
        return Ok(());
    };
    let covered = |row: &LeaseRow| of.covered(&row.checkpoint, ledger.expect.wall_zero);
    let Some((_, now)) = covered(after) else {
        return Err(format!(
            "{}: no record is at {}",
            change.shard, after.checkpoint
        ));
    };
    let (_, known) = covered(before).unwrap_or_default();
    let open = (known..now).find(|place| {
        let id = of.records[*place];
        let record = ledger.records.get(id as usize);
        record.is_none_or(|record| !record.done && !ledger.is_gone(record))
    });
    match open {
        None => Ok(()),
        Some(place) => Err(format!(
            "{}: the checkpoint {} covers {now} records, place {place} is not processed",
            change.shard, after.checkpoint
        )),
    }
}

/// A row may be deleted between a write and its answer, which comes so much later at most.
const DELETED_UNDER_WAY: Duration = Duration::from_secs(60);

/// S11: when user code hears that its checkpoint was made, the table has it.
pub(super) fn what_is_told_to_be_durable_is(ledger: &Ledger, event: &Event) -> Verdict {
    let Event::Acknowledged {
        instance,
        upto,
        ok: true,
    } = event
    else {
        return Ok(());
    };
    let Some(known) = ledger.instances.get(instance) else {
        return Ok(());
    };
    let Some(of) = ledger.shards.get(&known.shard) else {
        return Ok(());
    };
    let asked = match upto {
        None => of.records.len(),
        Some(record) => match ledger.records.get(*record as usize) {
            Some(record) => record.place + 1,
            None => return Ok(()),
        },
    };
    let row = of.row.as_ref();
    let durable = row.and_then(|row| of.covered(&row.checkpoint, ledger.expect.wall_zero));
    if durable.is_some_and(|(_, durable)| durable >= asked) {
        return Ok(());
    }
    let deleted = of.loss.deleted;
    if deleted.is_some_and(|at| ledger.now < at + DELETED_UNDER_WAY) {
        return Ok(());
    }
    Err(format!(
        "{}: processor {instance} is told that {asked} records are durable, the row says {row:?}",
        known.shard
    ))
}

/// S2: a checkpoint only grows, an epoch too, and a lease is not removed before the shard's end, but by
/// an operator.
pub(super) fn checkpoints_never_go_back(_: &Ledger, event: &Event) -> Verdict {
    let Some(change) = Change::of(event) else {
        return Ok(());
    };
    let Some(before) = change.before else {
        return Ok(());
    };
    let Some(after) = change.after else {
        return if before.checkpoint.is_end() || change.by == OPERATOR {
            Ok(())
        } else {
            Err(format!(
                "{}: the lease is removed at {before:?}",
                change.shard
            ))
        };
    };
    let grows = before.checkpoint <= after.checkpoint;
    if !grows || after.epoch < before.epoch {
        return Err(format!("{}: {before:?} becomes {after:?}", change.shard));
    }
    if after.incarnation.is_some()
        && after.incarnation != before.incarnation
        && after.epoch == before.epoch
    {
        return Err(format!(
            "{}: a new owner without a new epoch, {after:?}",
            change.shard
        ));
    }
    Ok(())
}

/// S3: a checkpoint is written by the process that holds the lease, with a request it sent after
/// it was granted.
pub(super) fn only_the_holder_writes(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((change, before, after)) = Change::of_checkpoint(event) else {
        return Ok(());
    };
    let (by, shard) = (change.by, change.shard);
    if ledger.holder(before) != Some(by) {
        return Err(format!("{shard}: {by} makes {before:?} into {after:?}"));
    }
    let grant = ledger
        .shards
        .get(shard)
        .and_then(|of| of.grants.get(&before.epoch));
    match grant {
        Some(grant) if change.sent >= grant.number => Ok(()),
        _ => Err(format!(
            "{shard}: a write of {by} from before the grant e{} makes {after:?}",
            before.epoch
        )),
    }
}

/// S3: a lease changes from one owner to another only when the first one's worker row is gone. A rival
/// takes what it likes.
pub(super) fn nothing_is_taken_from_the_living(ledger: &Ledger, event: &Event) -> Verdict {
    let Some(change) = Change::of(event) else {
        return Ok(());
    };
    let (Some(before), Some(after)) = (change.before, change.after) else {
        return Ok(());
    };
    let Some(owner) = &before.incarnation else {
        return Ok(());
    };
    if change.by == RIVAL {
        return Ok(());
    }
    let by_owner = ledger.incarnations.get(owner) == Some(&change.by);
    let moved = after.incarnation.as_ref() != Some(owner) || after.epoch != before.epoch;
    if moved && !by_owner && ledger.workers.contains_key(owner) {
        return Err(format!(
            "{}: {} takes it from the living {owner}",
            change.shard, change.by
        ));
    }
    Ok(())
}

/// How long it may take from the first look at the other parent of a child to the end that is written.
const FINISH_MAX: Duration = Duration::from_secs(6);

/// S7: `SHARD_END` is written only for a closed shard, when every record is processed and the
/// processor of that epoch agreed.
pub(super) fn the_end_is_true(ledger: &Ledger, event: &Event) -> Verdict {
    let Some((change, before, after)) = Change::of_checkpoint(event) else {
        return Ok(());
    };
    if !after.checkpoint.is_end() {
        return Ok(());
    }
    let shard = change.shard;
    let Some(of) = ledger.shards.get(shard) else {
        return Ok(());
    };
    if of.closed.is_none() {
        return Err(format!("{shard} is finished but open"));
    }
    // A handler is not asked: S1 sees to it that all is processed, and that no window is open.
    let agreed = |epoch| of.grants.get(epoch).is_some_and(|grant| grant.end_agreed);
    if ledger.expect.handling.is_none() && !agreed(&before.epoch) {
        return Err(format!(
            "{shard} is finished, but no processor of e{} agreed",
            before.epoch
        ));
    }
    // The child of a merge may wait for the lease of its other parent, which may have been made since the one
    // who finishes this one looked for it.
    let leased = |id: &ShardId| {
        let of = ledger.shards.get(id);
        let at = of.and_then(|of| of.leased);
        at.is_some_and(|at| id == shard || ledger.now >= at + FINISH_MAX)
    };
    let children = ledger
        .shards
        .iter()
        .filter(|(_, child)| child.parents.contains(shard) && child.parents.iter().all(leased));
    match children
        .into_iter()
        .find(|(_, child)| child.first.is_none())
    {
        None => Ok(()),
        Some((child, _)) => Err(format!("{shard} is finished before {child} has a lease")),
    }
}

/// S8: a finished shard never gets a lease again, but from a request that was on its way since before it was cleaned up.
pub(super) fn the_finished_are_not_made_again(ledger: &Ledger, event: &Event) -> Verdict {
    let Some(change) = Change::of(event) else {
        return Ok(());
    };
    let of = ledger.shards.get(change.shard);
    let ended = of.is_some_and(|of| of.ended && of.gone.is_none_or(|gone| gone <= change.sent));
    if change.before.is_none() && ended {
        return Err(format!("{}: a finished lease is made again", change.shard));
    }
    Ok(())
}

/// S8: a finished lease goes only when the stream has forgotten its shard, when the lease of each child was read
/// from or is gone, and after those of its parents. An operator does as he likes.
pub(super) fn leases_go_in_order(ledger: &Ledger, event: &Event) -> Verdict {
    let Some(change) = Change::of(event) else {
        return Ok(());
    };
    let shard = change.shard;
    if change.after.is_some() || change.by == OPERATOR {
        return Ok(());
    }
    let Some(of) = ledger.shards.get(shard) else {
        return Ok(());
    };
    if of.loss.forgotten.is_none() {
        return Err(format!(
            "the lease of {shard} goes, and the stream has the shard"
        ));
    }
    let has_row = |id: &&ShardId| ledger.shards.get(*id).is_some_and(|it| it.row.is_some());
    if let Some(parent) = of.parents.iter().find(has_row) {
        return Err(format!(
            "the lease of {shard} goes before that of its parent {parent}"
        ));
    }
    let is_waiting = |child: &ShardLedger| {
        child.parents.contains(shard)
            && match &child.row {
                Some(row) => row.is_untouched(),
                None => !child.ended && child.loss.forgotten.is_none(),
            }
    };
    let mut shards = ledger.shards.iter();
    match shards.find(|(_, child)| is_waiting(child)) {
        None => Ok(()),
        Some((child, it)) => Err(format!(
            "the lease of {shard} goes before {child} is read: {:?}",
            it.row
        )),
    }
}

/// How old what a worker knows of the parents of a shard can be when it makes the row of that.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// S9: the initial position holds for shards that nobody ever read; their children start at their
/// first record, or at that position while nothing of their parents was read.
pub(super) fn leases_start_where_they_should(ledger: &Ledger, event: &Event) -> Verdict {
    let Some(change) = Change::of(event) else {
        return Ok(());
    };
    let (None, Some(row)) = (change.before, change.after) else {
        return Ok(());
    };
    let now = ledger.wall();
    let first = ledger.first_start.unwrap_or_default().as_millis();
    let at = |time| millis(time, ledger.expect.wall_zero);
    let parents = ledger.shards.get(change.shard).map(|of| &of.parents);
    let parents = parents.into_iter().flatten();
    let leased = parents
        .filter_map(|parent| ledger.shards.get(parent))
        .filter(|of| of.first.is_some());
    let leased: Vec<_> = leased.collect();
    let follows = !leased.is_empty();
    // Who sees no row of the parent, because an operator deleted it, takes the shard for one that nobody ever read.
    let is_read = leased.iter().any(|of| {
        let begun = of.begun.filter(|_| of.loss.deleted.is_none());
        begun.is_some_and(|begun| ledger.now >= begun + KNOWN_FOR)
    });
    let right = match (ledger.expect.start, &row.checkpoint) {
        (_, Checkpoint::TrimHorizon) if follows => true,
        (Start::TrimHorizon, Checkpoint::TrimHorizon) => true,
        (Start::Latest, Checkpoint::AtTimestamp(time)) => {
            // Fixed once, for all shards: what is written before another worker finds one is not lost.
            let is_fixed = ledger.shards.values().all(|of| match &of.first {
                Some(Checkpoint::AtTimestamp(other)) => other == time,
                Some(_) | None => true,
            });
            let at = at(*time);
            // The service tells its time in whole seconds.
            is_fixed && !is_read && at <= now && u128::from(at) + 1_000 > first
        }
        (Start::At(start), Checkpoint::AtTimestamp(time)) => at(*time) == start && !is_read,
        (Start::TrimHorizon | Start::Latest | Start::At(_), _) => false,
    };
    if right {
        return Ok(());
    }
    Err(format!(
        "{} (follows on a shard with a lease: {follows}) gets its first lease at {:?}",
        change.shard, row.checkpoint
    ))
}
