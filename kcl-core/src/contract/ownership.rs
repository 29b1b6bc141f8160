//! Leases in memory, given and taken by a test.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::error::{Error, Problem};
use crate::model::{
    Checkpoint, ChildShard, Epoch, HashKeyRange, PendingCheckpoint, Shard, ShardId,
};
use crate::port::{
    CommitError, Grant, Meter, Ownership, OwnershipControl, OwnershipRun, OwnershipStart, Right,
    Standing,
};

/// Grants that may wait for their worker. No test has more shards.
const GRANTS_WAITING_MAX: usize = 4096;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A write that reached the leases and was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// A checkpoint became durable.
    Commit(ShardId, Checkpoint),
    /// A checkpoint was announced.
    Prepare(ShardId, PendingCheckpoint),
    /// A shard was finished.
    Finish(ShardId),
    /// A shard was given back.
    Release(ShardId),
}

/// Leases in memory. Clones share them: keep one to script and to look, give others to workers,
/// one after the other or at once. A worker that starts gets every lease that nobody holds.
///
/// When every shard is finished there is nothing more to grant, and a worker ends by itself.
#[derive(Clone)]
pub struct FixedOwnership {
    leases: Arc<Mutex<Leases>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Leases {
    shards: BTreeMap<ShardId, Lease>,
    grants: Option<mpsc::Sender<Grant>>,
    written: Vec<Written>,
    failed: Option<Error>,
    write_delay: Duration,
    taking: bool,
    left: u32,
}

#[derive(Debug)]
struct Lease {
    checkpoint: Checkpoint,
    pending: Option<PendingCheckpoint>,
    epoch: Epoch,
    range: HashKeyRange,
    /// Somebody holds it, and hears of it here.
    holder: Option<watch::Sender<Standing>>,
    refusals: VecDeque<CommitError>,
}

impl Lease {
    const fn new(checkpoint: Checkpoint) -> Self {
        Self {
            checkpoint,
            pending: None,
            epoch: Epoch::new(0),
            range: HashKeyRange {
                start: 0,
                end: u128::MAX,
            },
            holder: None,
            refusals: VecDeque::new(),
        }
    }
}

impl FixedOwnership {
    /// Leases on these shards, at their oldest record.
    #[must_use]
    pub fn new<S: Into<ShardId>>(shards: impl IntoIterator<Item = S>) -> Self {
        let lease = |shard: S| (shard.into(), Lease::new(Checkpoint::TrimHorizon));
        let shards = shards.into_iter().map(lease).collect();
        let leases = Leases {
            shards,
            ..Leases::default()
        };
        Self {
            leases: Arc::new(Mutex::new(leases)),
            changed: Arc::default(),
        }
    }

    /// What is durable for a shard.
    #[must_use]
    pub fn checkpoint(&self, shard: impl Into<ShardId>) -> Option<Checkpoint> {
        self.leases()
            .shards
            .get(&shard.into())
            .map(|lease| lease.checkpoint.clone())
    }

    /// What is announced for a shard.
    #[must_use]
    pub fn pending(&self, shard: impl Into<ShardId>) -> Option<PendingCheckpoint> {
        let leases = self.leases();
        leases.shards.get(&shard.into())?.pending.clone()
    }

    /// Sets what is durable for a shard, before it is granted.
    pub fn set_checkpoint(&self, shard: impl Into<ShardId>, checkpoint: Checkpoint) {
        self.leases()
            .shards
            .insert(shard.into(), Lease::new(checkpoint));
    }

    /// Sets what a shard takes in, before it is granted. Default: everything.
    pub fn set_range(&self, shard: impl Into<ShardId>, range: HashKeyRange) {
        if let Some(lease) = self.leases().shards.get_mut(&shard.into()) {
            lease.range = range;
        }
    }

    /// Whether somebody holds the lease of a shard.
    #[must_use]
    pub fn is_held(&self, shard: impl Into<ShardId>) -> bool {
        self.leases()
            .shards
            .get(&shard.into())
            .is_some_and(|lease| lease.holder.is_some())
    }

    /// Every write that was accepted, in order.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        self.leases().written.clone()
    }

    /// How many workers have left in order.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.leases().left
    }

    /// Grants a shard that nobody holds to the worker that started last.
    pub fn grant(&self, shard: impl Into<ShardId>) {
        self.leases().grant(&self.clone(), &shard.into());
    }

    /// Takes a shard away: its holder is told, and all its writes are refused.
    pub fn lose(&self, shard: impl Into<ShardId>) {
        self.stand(shard, Standing::Lost);
    }

    /// Takes a shard away without a word: only its next write finds out.
    pub fn fence(&self, shard: impl Into<ShardId>) {
        if let Some(lease) = self.leases().shards.get_mut(&shard.into()) {
            lease.epoch = lease.epoch.next();
        }
    }

    /// Asks the holder of a shard to hand it over.
    pub fn hand_over(&self, shard: impl Into<ShardId>) {
        self.stand(
            shard,
            Standing::HandOver {
                until: Instant::now() + LONG,
            },
        );
    }

    /// No call for the shard may start at or after this time, until the next change.
    pub fn prove_until(&self, shard: impl Into<ShardId>, until: Instant) {
        self.stand(shard, Standing::Held { until });
    }

    /// Refuses the next write of a shard with this error. May be called several times.
    pub fn refuse(&self, shard: impl Into<ShardId>, error: CommitError) {
        if let Some(lease) = self.leases().shards.get_mut(&shard.into()) {
            lease.refusals.push_back(error);
        }
    }

    /// Lets every write take this long.
    pub fn delay_writes(&self, delay: Duration) {
        self.leases().write_delay = delay;
    }

    /// Lets coordination fail for good.
    pub fn fail(&self, error: Error) {
        self.leases().failed = Some(error);
        self.changed.notify_waiters();
    }

    fn stand(&self, shard: impl Into<ShardId>, standing: Standing) {
        let mut leases = self.leases();
        let Some(lease) = leases.shards.get_mut(&shard.into()) else {
            return;
        };
        if let Some(holder) = &lease.holder {
            holder.send_replace(standing);
        }
        if standing == Standing::Lost {
            lease.holder = None;
        }
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FixedOwnership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedOwnership")
            .field("shards", &self.leases().shards)
            .finish()
    }
}

impl Leases {
    fn grant(&mut self, all: &FixedOwnership, shard: &ShardId) {
        let (Some(grants), Some(lease)) = (&self.grants, self.shards.get_mut(shard)) else {
            return;
        };
        if lease.holder.is_some() || lease.checkpoint.is_end() {
            return;
        }
        let (holder, standing) = watch::channel(Standing::Held {
            until: Instant::now() + LONG,
        });
        lease.epoch = lease.epoch.next();
        lease.holder = Some(holder);
        let grant = Grant {
            shard: Shard {
                id: shard.clone(),
                parents: Vec::new(),
                range: lease.range,
                open: true,
            },
            epoch: lease.epoch,
            checkpoint: lease.checkpoint.clone(),
            pending: lease.pending.clone(),
            standing,
            meter: Meter::default(),
            right: Box::new(FixedRight {
                leases: all.clone(),
                shard: shard.clone(),
                epoch: lease.epoch,
            }),
        };
        if let Err(error) = grants.try_send(grant) {
            tracing::warn!(%error, %shard, "a scripted grant found no worker");
        }
    }

    fn grant_all(&mut self, all: &FixedOwnership) {
        let shards: Vec<_> = self.shards.keys().cloned().collect();
        for shard in &shards {
            self.grant(all, shard);
        }
    }

    /// The lease of a writer that still holds it.
    fn held(&mut self, shard: &ShardId, epoch: Epoch) -> Result<&mut Lease, CommitError> {
        let fenced = CommitError::Fenced {
            shard: shard.clone(),
        };
        let lease = self.shards.get_mut(shard).ok_or_else(|| fenced.clone())?;
        match lease.refusals.pop_front() {
            Some(error) => Err(error),
            None if lease.epoch == epoch && lease.holder.is_some() => Ok(lease),
            None => Err(fenced),
        }
    }

    fn finish(&mut self, all: &FixedOwnership, children: &[ChildShard]) {
        for child in children {
            let is_over = |parent| {
                self.shards
                    .get(parent)
                    .is_none_or(|lease: &Lease| lease.checkpoint.is_end())
            };
            if child.parents.iter().all(is_over) {
                let start = || Lease::new(Checkpoint::TrimHorizon);
                self.shards.entry(child.id.clone()).or_insert_with(start);
                if self.taking {
                    self.grant(all, &child.id);
                }
            }
        }
        if self.shards.values().all(|lease| lease.checkpoint.is_end()) {
            self.grants = None;
        }
    }
}

#[async_trait]
impl Ownership for FixedOwnership {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    fn is_multi_stream(&self) -> bool {
        true
    }

    async fn start(self: Box<Self>, _: OwnershipStart) -> Result<OwnershipRun, Error> {
        let (sender, grants) = mpsc::channel(GRANTS_WAITING_MAX);
        {
            let mut leases = self.leases();
            leases.grants = Some(sender);
            leases.taking = true;
            leases.grant_all(&self);
        }
        Ok(OwnershipRun {
            grants,
            control: Box::new(Control(*self)),
        })
    }
}

#[derive(Debug)]
struct Control(FixedOwnership);

#[async_trait]
impl OwnershipControl for Control {
    fn stop_taking(&mut self) {
        self.0.leases().taking = false;
    }

    async fn failed(&mut self) -> Error {
        loop {
            let changed = self.0.changed.notified();
            if let Some(error) = self.0.leases().failed.take() {
                return error;
            }
            changed.await;
        }
    }

    async fn leave(self: Box<Self>) -> Result<(), Error> {
        self.0.leases().left += 1;
        Ok(())
    }
}

#[derive(Debug)]
struct FixedRight {
    leases: FixedOwnership,
    shard: ShardId,
    epoch: Epoch,
}

impl FixedRight {
    async fn take_time(&self) {
        let delay = self.leases.leases().write_delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }
}

#[async_trait]
impl Right for FixedRight {
    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), CommitError> {
        self.take_time().await;
        let mut leases = self.leases.leases();
        let lease = leases.held(&self.shard, self.epoch)?;
        if *checkpoint < lease.checkpoint {
            return Err(CommitError::GoesBack {
                shard: self.shard.clone(),
                durable: lease.checkpoint.clone(),
                asked: checkpoint.clone(),
            });
        }
        lease
            .pending
            .take_if(|pending| pending.checkpoint <= *checkpoint);
        lease.checkpoint = checkpoint.clone();
        leases
            .written
            .push(Written::Commit(self.shard.clone(), checkpoint.clone()));
        Ok(())
    }

    async fn prepare(&mut self, pending: &PendingCheckpoint) -> Result<(), CommitError> {
        self.take_time().await;
        let mut leases = self.leases.leases();
        let lease = leases.held(&self.shard, self.epoch)?;
        if pending.checkpoint < lease.checkpoint {
            return Err(CommitError::GoesBack {
                shard: self.shard.clone(),
                durable: lease.checkpoint.clone(),
                asked: pending.checkpoint.clone(),
            });
        }
        if pending.checkpoint > lease.checkpoint {
            lease.pending = Some(pending.clone());
            let written = Written::Prepare(self.shard.clone(), pending.clone());
            leases.written.push(written);
        }
        Ok(())
    }

    async fn finish(&mut self, children: &[ChildShard]) -> Result<(), CommitError> {
        self.take_time().await;
        let mut leases = self.leases.leases();
        let lease = leases.held(&self.shard, self.epoch)?;
        lease.checkpoint = Checkpoint::ShardEnd;
        lease.pending = None;
        lease.holder = None;
        leases.written.push(Written::Finish(self.shard.clone()));
        leases.finish(&self.leases, children);
        Ok(())
    }

    async fn release(&mut self) -> Result<(), CommitError> {
        self.take_time().await;
        let mut leases = self.leases.leases();
        leases.held(&self.shard, self.epoch)?.holder = None;
        leases.written.push(Written::Release(self.shard.clone()));
        Ok(())
    }
}
