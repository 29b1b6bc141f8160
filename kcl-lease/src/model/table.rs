//! What the conditions of the table mean, as `store::memory` has them, for rows of the small world.

use super::state::{Bug, Done, Fence, LeaseRow, Life, Lineage, Table, Write};

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Applied,
    /// With the lease row or the worker's counter as it stands.
    Refused(Option<LeaseRow>, Option<u8>),
}

impl LeaseRow {
    pub(super) fn is_fenced_by(&self, fence: Fence) -> bool {
        self.owner == Some(fence.holder) && self.counter == fence.epoch
    }
}

impl Table {
    pub(super) fn lease(&self, shard: u8) -> Option<LeaseRow> {
        self.leases[usize::from(shard)]
    }

    pub(super) fn life(&self, life: Life) -> Option<u8> {
        self.lives[usize::from(life.worker)][usize::from(life.number)]
    }

    /// Carries a write out, or does not.
    pub(super) fn apply(&mut self, write: Write, bug: Option<Bug>) -> Outcome {
        let has = |it| bug == Some(it);
        match write {
            Write::Create { shard } => {
                let row = &mut self.leases[usize::from(shard)];
                if row.is_some() {
                    return Outcome::Refused(*row, None);
                }
                *row = Some(LeaseRow {
                    owner: None,
                    counter: 0,
                    done: Done::Nothing,
                });
                Outcome::Applied
            }
            Write::Join { life } => self.change_life(life, |row| row.is_none(), Some(0)),
            Write::Renew { life, counter } => {
                self.change_life(life, |row| row == Some(counter), Some(counter + 1))
            }
            Write::Leave { life } => self.change_life(life, |_| true, None),
            Write::Evict { life, counter } => {
                self.change_life(life, |row| row.is_none() || row == counter, None)
            }
            Write::Take {
                shard,
                counter,
                owner,
                to,
            } => self.change(
                shard,
                |row| {
                    let is_as_seen = row.counter == counter && row.owner == owner;
                    (is_as_seen || has(Bug::TakesWhateverTheOwner)) && row.done != Done::End
                },
                |row| {
                    row.owner = Some(to);
                    row.counter += 1;
                },
            ),
            Write::Commit { fence, from, to } => self.change(
                fence.shard,
                |row| {
                    (row.is_fenced_by(fence) || has(Bug::CommitsWithoutFence))
                        && (row.done == from || has(Bug::CommitsFromAnywhere))
                },
                |row| row.done = to,
            ),
            Write::Finish { fence, from } => self.change(
                fence.shard,
                |row| {
                    let holds = row.is_fenced_by(fence) && row.done == from;
                    holds || has(Bug::FinishesWithoutFence)
                },
                |row| {
                    row.done = Done::End;
                    row.owner = None;
                    row.counter += 1;
                },
            ),
            Write::Release { fence } => self.change(
                fence.shard,
                |row| row.is_fenced_by(fence) || has(Bug::ReleasesWithoutFence),
                |row| {
                    row.owner = None;
                    row.counter += 1;
                },
            ),
        }
    }

    fn change_life(
        &mut self,
        life: Life,
        condition: impl FnOnce(Option<u8>) -> bool,
        to: Option<u8>,
    ) -> Outcome {
        let row = &mut self.lives[usize::from(life.worker)][usize::from(life.number)];
        if !condition(*row) {
            return Outcome::Refused(None, *row);
        }
        *row = to;
        Outcome::Applied
    }

    fn change(
        &mut self,
        shard: u8,
        condition: impl FnOnce(&LeaseRow) -> bool,
        change: impl FnOnce(&mut LeaseRow),
    ) -> Outcome {
        match &mut self.leases[usize::from(shard)] {
            Some(row) if condition(row) => {
                change(row);
                Outcome::Applied
            }
            other => Outcome::Refused(*other, None),
        }
    }

    /// Whether every parent of a shard is finished.
    pub(super) fn parents_are_done(&self, lineage: Lineage, shard: u8) -> bool {
        lineage
            .parents(usize::from(shard))
            .iter()
            .all(|parent| self.leases[*parent].is_some_and(|row| row.done == Done::End))
    }
}
