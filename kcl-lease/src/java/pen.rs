//! The pen of one held lease: its counter, until when it counts as held, and every write to it.
//!
//! Owned by the lease's tenure, which uses it for one thing at a time; that makes the chain of writes. What a
//! refusal means is `chain`'s.

use std::collections::BTreeSet;
use std::sync::Arc;

use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::{Checkpoint, ChildShard, PendingCheckpoint, Shard, ShardId, WorkerId};
use kcl_core::port::CommitError;
use tokio::time::{Instant, sleep, timeout_at};

use super::chain::{Verdict, Write, judge};
use super::row::JavaRow;
use super::settings::JavaSettings;
use super::table::JavaTable;
use crate::row::LeaseRow;
use crate::store::{Outcome, StoreError};

/// How a write failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Lost,
    Other(CommitError),
}

/// Writes to one lease while it is held.
#[derive(Debug)]
pub(crate) struct Pen {
    table: Arc<JavaTable>,
    settings: Arc<JavaSettings>,
    me: WorkerId,
    /// The row as the last write left it.
    row: JavaRow,
    /// Until when it counts as held.
    until: Instant,
    /// When the next renewal is due.
    due: Instant,
}

impl Pen {
    /// The pen of a lease as a write of this worker has just left it; `sent` is before that write.
    pub(crate) fn new(
        (table, settings): (Arc<JavaTable>, Arc<JavaSettings>),
        me: WorkerId,
        row: JavaRow,
        sent: Instant,
    ) -> Self {
        Self {
            until: sent + settings.hold_for(),
            due: sent + settings.renew_every(),
            table,
            settings,
            me,
            row,
        }
    }

    /// The row as the last write left it.
    pub(crate) const fn row(&self) -> &JavaRow {
        &self.row
    }

    /// The shard.
    pub(crate) const fn shard(&self) -> &ShardId {
        &self.row.lease.shard
    }

    /// Until when the lease counts as held.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// When the next renewal is due.
    pub(crate) const fn due(&self) -> Instant {
        self.due
    }

    /// Proves life once. If that fails for the moment, it is due again soon.
    pub(crate) async fn renew(&mut self) -> Result<(), Failure> {
        let renewed = self.write(&Write::Renew, Instant::now()).await;
        if let Err(Failure::Other(_)) = renewed {
            self.due = Instant::now() + self.settings.retry_pause();
        }
        renewed
    }

    /// Gives the lease to the one who is to have it next, or to nobody.
    pub(crate) async fn give_back(&mut self) -> Result<(), Failure> {
        self.write(&Write::GiveBack, self.deadline()).await
    }

    /// Moves the checkpoint. An equal one costs nothing.
    pub(crate) async fn commit(&mut self, to: &Checkpoint) -> Result<(), Failure> {
        match to.partial_cmp(&self.row.lease.checkpoint) {
            Some(std::cmp::Ordering::Equal) => Ok(()),
            Some(std::cmp::Ordering::Greater) if !to.is_end() => {
                self.write(&Write::Commit(to.clone()), self.deadline())
                    .await
            }
            // The end is marked by `finish` alone.
            Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Less) | None => {
                Err(self.goes_back(self.row.lease.checkpoint.clone(), to))
            }
        }
    }

    /// Announces a checkpoint. One at the checkpoint that is durable costs nothing.
    pub(crate) async fn prepare(&mut self, pending: &PendingCheckpoint) -> Result<(), Failure> {
        match pending.checkpoint.partial_cmp(&self.row.lease.checkpoint) {
            Some(std::cmp::Ordering::Equal) => Ok(()),
            Some(std::cmp::Ordering::Greater) => {
                self.write(&Write::Prepare(pending.clone()), self.deadline())
                    .await
            }
            Some(std::cmp::Ordering::Less) | None => {
                Err(self.goes_back(self.row.lease.checkpoint.clone(), &pending.checkpoint))
            }
        }
    }

    /// Makes the leases of the children, and marks the shard as finished.
    pub(crate) async fn finish(&mut self, children: &[ChildShard]) -> Result<(), Failure> {
        let deadline = self.deadline();
        loop {
            let made = timeout_at(deadline, self.create_children(children)).await;
            match made.unwrap_or_else(|_| Err(too_late())) {
                Ok(()) => break,
                Err(failure) => self.pause(failure, deadline).await?,
            }
        }
        let ids: BTreeSet<ShardId> = children.iter().map(|child| child.id.clone()).collect();
        self.write(&Write::Finish(ids), deadline).await
    }

    /// Makes the rows of the children whose parents all have one. The sync makes the others.
    async fn create_children(&self, children: &[ChildShard]) -> Result<(), StoreError> {
        let me = self.shard();
        for child in children {
            let mut ready = child.parents.contains(me);
            for parent in child.parents.iter().filter(|parent| *parent != me) {
                ready = ready && self.table.read(parent).await?.is_some();
            }
            if !ready {
                continue;
            }
            let shard = Shard {
                id: child.id.clone(),
                parents: child.parents.clone(),
                range: child.range,
                open: true,
            };
            let row = LeaseRow::fresh(&shard, Checkpoint::TrimHorizon);
            // That it is there already is as good.
            self.table.create(&row).await?;
        }
        Ok(())
    }

    /// Sends a write until its fate is known, but not after `deadline`.
    async fn write(&mut self, write: &Write, deadline: Instant) -> Result<(), Failure> {
        loop {
            let sent = Instant::now();
            let me = &self.me;
            let reply = timeout_at(self.until, self.table.write(me, &self.row, write)).await;
            match reply.map_err(|_| Failure::Lost)? {
                Ok(Outcome::Applied(row)) => {
                    self.row = row;
                    self.until = sent + self.settings.hold_for();
                    self.due = sent + self.settings.renew_every();
                    return Ok(());
                }
                Ok(Outcome::Refused(found)) => {
                    let verdict = judge(me, &self.row, write, found.as_ref());
                    if let (Verdict::Done | Verdict::Again | Verdict::GoesBack(_), Some(row)) =
                        (&verdict, found)
                    {
                        // When the copy was sent that made this row is not known for certain, so it
                        // proves nothing of now. The next renewal does.
                        self.row = row;
                        self.due = sent;
                    }
                    match verdict {
                        Verdict::Done => return Ok(()),
                        Verdict::Again => {}
                        Verdict::Lost => return Err(Failure::Lost),
                        Verdict::Nonsense => return Err(self.nonsense()),
                        Verdict::GoesBack(durable) => {
                            let to = match write {
                                Write::Commit(to) => to,
                                Write::Prepare(pending) => &pending.checkpoint,
                                Write::Renew | Write::Finish(_) | Write::GiveBack => {
                                    return Err(self.nonsense());
                                }
                            };
                            return Err(self.goes_back(durable, to));
                        }
                    }
                }
                Err(failure) => self.pause(failure, deadline).await?,
            }
        }
    }

    async fn pause(&self, failure: StoreError, deadline: Instant) -> Result<(), Failure> {
        let pause = self.settings.retry_pause();
        let error = match failure {
            StoreError::Fatal(error) => CommitError::Fatal(Arc::new(error)),
            StoreError::Unavailable(error) => CommitError::Unavailable(Arc::new(error)),
        };
        let is_final = matches!(error, CommitError::Fatal(_));
        if is_final || Instant::now() + pause >= deadline.min(self.until) {
            return Err(Failure::Other(error));
        }
        sleep(pause).await;
        Ok(())
    }

    /// A write that others wait for is tried this long; then its outcome is not known.
    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.renew_every()
    }

    fn goes_back(&self, durable: Checkpoint, asked: &Checkpoint) -> Failure {
        Failure::Other(CommitError::GoesBack {
            shard: self.shard().clone(),
            durable,
            asked: asked.clone(),
        })
    }

    fn nonsense(&self) -> Failure {
        let shard = self.shard();
        let message =
            format!("the table refuses a write to row {shard:?} although its condition holds");
        Failure::Other(CommitError::Fatal(Arc::new(Error::new(
            ErrorKind::Data,
            message,
        ))))
    }
}

fn too_late() -> StoreError {
    StoreError::Unavailable(Error::new(
        ErrorKind::Unavailable,
        "the leases of the children could not be made in time",
    ))
}
