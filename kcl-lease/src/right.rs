//! The pen of one grant: commits, the end of the shard, the release.
//!
//! Every write carries the whole fence and the checkpoint it follows on, so a call whose outcome is
//! unknown is simply sent again. If the condition then fails, the row that comes back says what
//! became of the first one: while the fence stands nobody else writes, so whatever checkpoint is
//! there was written by this grant. That also covers calls that were dropped halfway, and copies of
//! a request that arrive late.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::{Event, LossReason};
use kcl_core::model::{Checkpoint, ChildShard, PendingCheckpoint, Shard, ShardId};
use kcl_core::planted;
use kcl_core::port::{CommitError, Right};
use tokio::time::Instant;

use crate::holdings::Holdings;
use crate::plan::lineage;
use crate::row::{Fence, LeaseRow, Progress};
use crate::store::{LeaseStore, Outcome, StoreError};

/// The writer of one shard's row while its grant lasts.
#[derive(Debug)]
pub(crate) struct LeaseRight<S: LeaseStore> {
    store: Arc<S>,
    holdings: Arc<Holdings>,
    fence: Fence,
    /// The row as far as it is known for certain.
    row: LeaseRow,
    retry: Retry,
    /// Whether a write was begun of which the outcome is not known.
    in_doubt: bool,
    given_back: bool,
}

/// How long and how often a write is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) pause: Duration,
    pub(crate) within: Duration,
}

/// What the row says about a write that was refused.
enum Verdict {
    /// It was applied, by an earlier attempt.
    Done,
    /// The checkpoint had moved further than was known; the write is to be sent again from there.
    Again,
}

impl<S: LeaseStore> LeaseRight<S> {
    /// The right that goes with `row`, as it was taken.
    pub(crate) fn new(
        store: Arc<S>,
        holdings: Arc<Holdings>,
        fence: Fence,
        row: LeaseRow,
        retry: Retry,
    ) -> Self {
        Self {
            store,
            holdings,
            fence,
            row,
            retry,
            in_doubt: false,
            given_back: false,
        }
    }

    fn shard(&self) -> &ShardId {
        &self.fence.shard
    }

    fn fenced(&mut self) -> CommitError {
        self.given_back = true;
        self.holdings.lose(&self.fence, LossReason::Fenced);
        CommitError::Fenced {
            shard: self.shard().clone(),
        }
    }

    /// The row is gone: somebody deleted it, as it was of a shard that is not finished.
    fn gone(&mut self) -> CommitError {
        self.given_back = true;
        self.holdings.tell_gone(&self.fence, &self.row.checkpoint);
        CommitError::Fenced {
            shard: self.shard().clone(),
        }
    }

    /// Sends nothing for a grant that is over: the worker was told, and others may already read.
    fn check_held(&mut self) -> Result<(), CommitError> {
        if !self.given_back && self.holdings.holds(&self.fence) {
            Ok(())
        } else {
            Err(self.fenced())
        }
    }

    /// Learns from the row that made a commit to `to` fail.
    fn judge(&mut self, row: Option<LeaseRow>, to: &Checkpoint) -> Result<Verdict, CommitError> {
        // An end that was applied after all may have been cleaned up since.
        if row.is_none() && !to.is_end() {
            return Err(self.gone());
        }
        let Some(row) = row.filter(|row| row.is_fenced_by(&self.fence)) else {
            return Err(self.fenced());
        };
        if planted!(TakesRefusalForDone) {
            self.row.checkpoint = to.clone();
            return Ok(Verdict::Done);
        }
        let durable = row.checkpoint.clone();
        let moved = row.progress() != self.row.progress();
        self.row = row;
        if durable == *to {
            Ok(Verdict::Done)
        } else if !moved {
            // Fence and checkpoint are as the condition asked, and it failed all the same.
            Err(CommitError::Fatal(Arc::new(self.nonsense())))
        } else if durable < *to {
            Ok(Verdict::Again)
        } else {
            let shard = self.shard().clone();
            Err(CommitError::GoesBack {
                shard,
                durable,
                asked: to.clone(),
            })
        }
    }

    /// What stays announced when this is durable.
    fn pending_beyond(&self, checkpoint: &Checkpoint) -> Option<PendingCheckpoint> {
        let pending = self.row.pending.as_ref();
        pending
            .filter(|pending| pending.checkpoint > *checkpoint)
            .cloned()
    }

    async fn send_commit(&self, to: &Checkpoint) -> Result<Outcome<LeaseRow>, StoreError> {
        match self.pending_beyond(to) {
            None => {
                let from = &self.row.checkpoint;
                let load = self.holdings.load(&self.fence);
                self.store.commit(&self.fence, from, to, load).await
            }
            pending @ Some(_) => {
                let to = Progress {
                    checkpoint: to.clone(),
                    pending,
                };
                let from = self.row.progress();
                self.store.prepare(&self.fence, &from, &to).await
            }
        }
    }

    fn nonsense(&self) -> Error {
        Error::new(
            ErrorKind::Data,
            format!(
                "the lease table refuses a write to row {:?} although its condition holds",
                self.shard()
            ),
        )
    }

    async fn pause(&self, failure: StoreError, deadline: Instant) -> Result<(), CommitError> {
        match failure {
            StoreError::Fatal(error) => Err(CommitError::Fatal(Arc::new(error))),
            StoreError::Unavailable(error) => {
                // Half as long again as it has taken so far: all shards of a worker fail together.
                let left = deadline.saturating_duration_since(Instant::now());
                let so_far = self.retry.within.saturating_sub(left);
                let pause = self.retry.pause.max(so_far / 2);
                if pause >= left {
                    return Err(CommitError::Unavailable(Arc::new(error)));
                }
                tracing::debug!(shard = %self.shard(), %error, "a write is tried again");
                tokio::time::sleep(pause).await;
                Ok(())
            }
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.retry.within
    }

    /// The grant is over by our own doing.
    fn give_back(&mut self, row: LeaseRow) {
        self.given_back = true;
        self.holdings.wrote(row);
        self.holdings.remove(&self.fence);
        self.holdings.plan.notify_one();
    }

    /// The row after this grant, by our own hand.
    fn row_after(&self, checkpoint: Checkpoint) -> LeaseRow {
        let counter = self.fence.epoch.next().get();
        LeaseRow {
            owner: None,
            counter,
            checkpoint,
            ..self.row.clone()
        }
    }

    /// Makes the rows of the children whose parents all have one. The sync makes the others.
    async fn create_children(&self, children: &[ChildShard]) -> Result<(), StoreError> {
        for child in children {
            if planted!(FinishesWithoutChildren) {
                continue;
            }
            if !child.parents.contains(self.shard()) {
                continue;
            }
            let mut parents = vec![self.row.checkpoint.clone()];
            let others = child.parents.iter();
            for parent in others.filter(|parent| *parent != self.shard()) {
                let row = self.store.read_lease(parent).await?;
                parents.extend(row.map(|row| row.checkpoint));
            }
            if parents.len() < child.parents.len() {
                continue;
            }
            let shard = Shard {
                id: child.id.clone(),
                parents: child.parents.clone(),
                range: child.range,
                open: true,
            };
            let row = LeaseRow::fresh(&shard, lineage::after(&parents));
            // Refused is as good: it is there.
            if self.store.create_lease(&row).await? == Outcome::Applied(()) {
                self.holdings.events.emit(&Event::LeaseCreated {
                    shard: row.shard,
                    checkpoint: row.checkpoint,
                });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<S: LeaseStore> Right for LeaseRight<S> {
    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), CommitError> {
        self.check_held()?;
        let deadline = self.deadline();
        loop {
            match checkpoint.partial_cmp(&self.row.checkpoint) {
                // It was durable once, and checkpoints never go back: no doubt can change that.
                Some(std::cmp::Ordering::Equal) => return Ok(()),
                Some(std::cmp::Ordering::Greater) if !checkpoint.is_end() => {}
                // The end is marked by `finish` alone.
                Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Less) | None => {
                    return Err(CommitError::GoesBack {
                        shard: self.shard().clone(),
                        durable: self.row.checkpoint.clone(),
                        asked: checkpoint.clone(),
                    });
                }
            }
            self.in_doubt = true;
            match self.send_commit(checkpoint).await {
                Ok(Outcome::Applied(())) => {
                    self.row.checkpoint = checkpoint.clone();
                    self.row.pending = self.pending_beyond(checkpoint);
                    self.in_doubt = false;
                    return Ok(());
                }
                Ok(Outcome::Refused(row)) => match self.judge(row, checkpoint)? {
                    Verdict::Done => return Ok(()),
                    Verdict::Again => {}
                },
                Err(_) if planted!(TakesDoubtForDone) => {
                    self.row.checkpoint = checkpoint.clone();
                    return Ok(());
                }
                Err(failure) => self.pause(failure, deadline).await?,
            }
        }
    }

    /// Every announcement follows on the one before, as it follows on the checkpoint: a copy of a
    /// request that arrives late cannot take the place of a newer one. (But of an equal one that was
    /// announced twice, with another in between.)
    async fn prepare(&mut self, pending: &PendingCheckpoint) -> Result<(), CommitError> {
        self.check_held()?;
        let deadline = self.deadline();
        loop {
            match pending.checkpoint.partial_cmp(&self.row.checkpoint) {
                Some(std::cmp::Ordering::Equal) => return Ok(()),
                Some(std::cmp::Ordering::Greater) => {}
                Some(std::cmp::Ordering::Less) | None => {
                    return Err(CommitError::GoesBack {
                        shard: self.shard().clone(),
                        durable: self.row.checkpoint.clone(),
                        asked: pending.checkpoint.clone(),
                    });
                }
            }
            let from = self.row.progress();
            let to = Progress {
                checkpoint: from.checkpoint.clone(),
                pending: Some(pending.clone()),
            };
            self.in_doubt = true;
            match self.store.prepare(&self.fence, &from, &to).await {
                Ok(Outcome::Applied(())) => {
                    self.row.pending = to.pending;
                    self.in_doubt = false;
                    return Ok(());
                }
                Ok(Outcome::Refused(None)) => return Err(self.gone()),
                Ok(Outcome::Refused(Some(row))) if !row.is_fenced_by(&self.fence) => {
                    return Err(self.fenced());
                }
                Ok(Outcome::Refused(Some(row))) => {
                    let moved = row.progress() != from;
                    self.row = row;
                    if self.row.progress() == to {
                        return Ok(());
                    }
                    if !moved {
                        return Err(CommitError::Fatal(Arc::new(self.nonsense())));
                    }
                }
                Err(failure) => self.pause(failure, deadline).await?,
            }
        }
    }

    async fn finish(&mut self, children: &[ChildShard]) -> Result<(), CommitError> {
        self.check_held()?;
        self.holdings.ending(&self.fence);
        let deadline = self.deadline();
        while let Err(failure) = self.create_children(children).await {
            self.pause(failure, deadline).await?;
        }
        let ids: BTreeSet<ShardId> = children.iter().map(|child| child.id.clone()).collect();
        let mut after = self.row_after(Checkpoint::ShardEnd);
        after.children.clone_from(&ids);
        after.pending = None;
        loop {
            self.in_doubt = true;
            match self
                .store
                .finish(&self.fence, &self.row.checkpoint, &ids)
                .await
            {
                Ok(Outcome::Applied(())) => break,
                // Ended by the grant of this very number, which is this one.
                Ok(Outcome::Refused(Some(row)))
                    if row.is_ended() && row.counter == after.counter =>
                {
                    break;
                }
                Ok(Outcome::Refused(row)) => match self.judge(row, &Checkpoint::ShardEnd)? {
                    Verdict::Done => break,
                    Verdict::Again => {}
                },
                Err(failure) => self.pause(failure, deadline).await?,
            }
        }
        self.give_back(after);
        self.holdings.sync.notify_one();
        Ok(())
    }

    async fn release(&mut self) -> Result<(), CommitError> {
        self.check_held()?;
        let deadline = self.deadline();
        let mut again = self.in_doubt;
        let parting = self.holdings.parting(&self.fence);
        loop {
            self.in_doubt = true;
            match self.store.release(&self.fence, &parting).await {
                Ok(Outcome::Applied(())) => break,
                Ok(Outcome::Refused(Some(row))) => {
                    let free = row.owner.is_none() && row.counter == self.fence.epoch.next().get();
                    // Our release may have been applied, and the lease taken since.
                    if free || (again && row.counter > self.fence.epoch.next().get()) {
                        break;
                    }
                    return Err(self.fenced());
                }
                Ok(Outcome::Refused(None)) if again => return Err(self.fenced()),
                Ok(Outcome::Refused(None)) => return Err(self.gone()),
                Err(failure) => {
                    again = true;
                    self.pause(failure, deadline).await?;
                }
            }
        }
        // A commit in doubt may have moved the checkpoint on; the row of the table wins by then,
        // because only the counter of this copy is looked at.
        let mut after = self.row_after(self.row.checkpoint.clone());
        after.load = parting.load.or(after.load);
        after.moved = parting.moved.map(Box::new);
        self.give_back(after);
        Ok(())
    }
}

/// The row says who holds the lease, and its worker lives on: somebody must release it.
impl<S: LeaseStore> Drop for LeaseRight<S> {
    fn drop(&mut self) {
        if !self.given_back {
            self.holdings.dropped(&self.fence);
        }
    }
}
