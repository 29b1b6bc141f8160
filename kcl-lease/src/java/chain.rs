//! The chain of writes of one held lease: what each write is, and what a refusal means. Pure.
//!
//! Each write moves the counter by one on condition of the value before, and nobody else leaves a row
//! that this worker holds at the next counter: so a row that looks like that was made by an earlier copy
//! of a write of our own.

use std::collections::BTreeSet;

use kcl_core::model::{Checkpoint, PendingCheckpoint, ShardId, WorkerId};

use super::row::JavaRow;

/// A write to a held lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Only proves life.
    Renew,
    /// Moves the checkpoint.
    Commit(Checkpoint),
    /// Announces a checkpoint.
    Prepare(PendingCheckpoint),
    /// Marks the shard as finished and names its children.
    Finish(BTreeSet<ShardId>),
    /// Gives the lease to the one who is to have it next, or to nobody.
    GiveBack,
}

/// What the row says about a write that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An earlier copy was applied.
    Done,
    /// The lease is still ours; the write is to be sent again from this row.
    Again,
    /// The checkpoint had moved further than was known.
    GoesBack(Checkpoint),
    /// The lease is not ours any more.
    Lost,
    /// The condition holds by the row that came back, and was refused.
    Nonsense,
}

/// Judges a `write` that followed on `before` and was refused by `found`.
pub(crate) fn judge(
    me: &WorkerId,
    before: &JavaRow,
    write: &Write,
    found: Option<&JavaRow>,
) -> Verdict {
    let Some(found) = found else {
        return Verdict::Lost;
    };
    let (known, counter) = (before.lease.counter, found.lease.counter);
    let is_next = counter == known + 1;
    if found.holder() != Some(me) {
        let gone_as_meant =
            is_next && !found.is_handed_over() && found.named() == successor(me, before);
        return match write {
            Write::GiveBack if gone_as_meant => Verdict::Done,
            Write::GiveBack | Write::Renew => Verdict::Lost,
            Write::Commit(_) | Write::Prepare(_) | Write::Finish(_) => Verdict::Lost,
        };
    }
    if !is_next && counter != known {
        return Verdict::Lost;
    }
    let durable = &found.lease.checkpoint;
    match write {
        Write::Renew if is_next => Verdict::Done,
        Write::Commit(to) if durable == to => Verdict::Done,
        Write::Prepare(pending) if found.lease.pending.as_ref() == Some(pending) => Verdict::Done,
        Write::Finish(_) if found.is_ended() => Verdict::Done,
        Write::Commit(to) if durable > to => Verdict::GoesBack(durable.clone()),
        Write::Prepare(pending) if *durable >= pending.checkpoint => {
            Verdict::GoesBack(durable.clone())
        }
        _ if !is_next && found == before => Verdict::Nonsense,
        Write::Renew | Write::Commit(_) | Write::Prepare(_) => Verdict::Again,
        Write::Finish(_) | Write::GiveBack => Verdict::Again,
    }
}

/// Whose the lease is after it is given back.
pub(crate) fn successor<'a>(me: &WorkerId, row: &'a JavaRow) -> Option<&'a WorkerId> {
    row.named()
        .filter(|named| row.is_handed_over() && *named != me)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::LeaseRow;
    use kcl_core::model::{HashKeyRange, SequenceNumber, Shard};

    fn at(number: u32) -> Checkpoint {
        Checkpoint::at(SequenceNumber::new(number.to_string()).unwrap())
    }

    fn worker(name: &str) -> WorkerId {
        WorkerId::new(name).unwrap()
    }

    fn row(counter: u64, owner: Option<&str>, checkpoint_owner: Option<&str>) -> JavaRow {
        let shard = Shard {
            id: "s".into(),
            parents: Vec::new(),
            range: HashKeyRange { start: 0, end: 9 },
            open: true,
        };
        let lease = LeaseRow {
            counter,
            owner: owner.map(|name| JavaRow::owner(&worker(name))),
            ..LeaseRow::fresh(&shard, at(5))
        };
        JavaRow {
            lease,
            checkpoint_owner: checkpoint_owner.map(worker),
        }
    }

    fn with(mut row: JavaRow, checkpoint: Checkpoint) -> JavaRow {
        row.lease.checkpoint = checkpoint;
        row
    }

    fn announced(number: u32) -> PendingCheckpoint {
        PendingCheckpoint {
            checkpoint: at(number),
            state: None,
        }
    }

    fn announcing(mut row: JavaRow, pending: PendingCheckpoint) -> JavaRow {
        row.lease.pending = Some(pending);
        row
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn every_refusal_has_one_meaning() {
        let finish = || Write::Finish(BTreeSet::new());
        let mine = |counter| row(counter, Some("me"), None);
        let leaving = |counter| row(counter, Some("next"), Some("me"));
        let end = Checkpoint::ShardEnd;
        // What was known, what was written, what was found, what follows.
        let table = [
            (mine(7), Write::Renew, None, Verdict::Lost),
            (mine(7), Write::Renew, Some(mine(8)), Verdict::Done),
            (mine(7), Write::Renew, Some(leaving(8)), Verdict::Done),
            (mine(7), Write::Renew, Some(leaving(7)), Verdict::Again),
            (mine(7), Write::Renew, Some(mine(7)), Verdict::Nonsense),
            (mine(7), Write::Renew, Some(mine(9)), Verdict::Lost),
            (mine(7), Write::Renew, Some(mine(6)), Verdict::Lost),
            (
                mine(7),
                Write::Renew,
                Some(row(8, Some("other"), None)),
                Verdict::Lost,
            ),
            (
                mine(7),
                Write::Renew,
                Some(row(8, None, None)),
                Verdict::Lost,
            ),
            (
                mine(7),
                Write::Renew,
                Some(row(8, Some("me"), Some("other"))),
                Verdict::Lost,
            ),
            (
                mine(7),
                Write::Commit(at(6)),
                Some(with(mine(8), at(6))),
                Verdict::Done,
            ),
            (mine(7), Write::Commit(at(6)), Some(mine(8)), Verdict::Again),
            (
                mine(7),
                Write::Commit(at(6)),
                Some(leaving(7)),
                Verdict::Again,
            ),
            (
                mine(7),
                Write::Commit(at(6)),
                Some(with(mine(8), at(9))),
                Verdict::GoesBack(at(9)),
            ),
            (
                mine(7),
                Write::Commit(at(6)),
                Some(with(row(8, Some("other"), None), at(6))),
                Verdict::Lost,
            ),
            (
                mine(7),
                Write::Prepare(announced(6)),
                Some(announcing(mine(8), announced(6))),
                Verdict::Done,
            ),
            (
                mine(7),
                Write::Prepare(announced(6)),
                Some(announcing(mine(8), announced(9))),
                Verdict::Again,
            ),
            (
                mine(7),
                Write::Prepare(announced(6)),
                Some(with(mine(8), at(6))),
                Verdict::GoesBack(at(6)),
            ),
            (
                mine(7),
                finish(),
                Some(with(mine(8), end.clone())),
                Verdict::Done,
            ),
            (
                mine(7),
                finish(),
                Some(with(mine(8), at(6))),
                Verdict::Again,
            ),
            (
                mine(7),
                Write::GiveBack,
                Some(row(8, None, None)),
                Verdict::Done,
            ),
            (mine(7), Write::GiveBack, Some(mine(8)), Verdict::Again),
            (mine(7), Write::GiveBack, Some(leaving(7)), Verdict::Again),
            (
                mine(7),
                Write::GiveBack,
                Some(row(8, Some("other"), None)),
                Verdict::Lost,
            ),
            (
                mine(7),
                Write::GiveBack,
                Some(row(9, None, None)),
                Verdict::Lost,
            ),
            (
                leaving(7),
                Write::GiveBack,
                Some(row(8, Some("next"), None)),
                Verdict::Done,
            ),
            (
                leaving(7),
                Write::GiveBack,
                Some(row(8, Some("other"), None)),
                Verdict::Lost,
            ),
            (
                leaving(7),
                Write::GiveBack,
                Some(row(8, Some("next"), Some("other"))),
                Verdict::Lost,
            ),
        ];
        for (before, write, found, verdict) in table {
            let judged = judge(&worker("me"), &before, &write, found.as_ref());
            assert_eq!(
                judged, verdict,
                "{write:?} after {before:?} found {found:?}"
            );
        }
    }
}
