//! What is stored, and nothing local: the rows of the lease table as values.
//!
//! Owns the meaning of the rows, not their encoding (`store::dynamo::codec`) and not what was
//! observed of them (`plan::view`).

mod streams;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kcl_core::model::{
    Checkpoint, Epoch, HashKeyRange, PendingCheckpoint, Shard, ShardId, StreamName, WorkerId,
};

pub use self::streams::{StreamSet, StreamSetKey};

/// The random name of one life of a worker. A worker that was declared dead comes back under a
/// new one, so nothing it sent before can be taken for its new life.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(Arc<str>);

impl Incarnation {
    /// The longest name that is read back.
    const LEN_MAX: usize = 64;

    /// A name that nobody has used, from 128 random bits.
    #[must_use]
    pub fn random(rng: &mut fastrand::Rng) -> Self {
        Self(format!("{:032x}", rng.u128(..)).into())
    }

    /// Reads a stored name; nothing if it is none: 1 to 64 of `a-z A-Z 0-9 -`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty()
            && text.len() <= Self::LEN_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        valid.then(|| Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One life of one worker: the key of its row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerKey {
    /// The worker.
    pub worker: WorkerId,
    /// Which life of it.
    pub incarnation: Incarnation,
}

impl WorkerKey {
    /// How the keys of worker rows start. No other row has a key like this: see `store::dynamo::codec::key`.
    pub const PREFIX: &'static str = "worker/";

    /// The key as it is stored.
    #[must_use]
    pub fn row_key(&self) -> String {
        format!("{}{}/{}", Self::PREFIX, self.worker, self.incarnation)
    }

    /// Reads a stored key; nothing if it is not one. A worker id may have slashes, an incarnation
    /// has none.
    #[must_use]
    pub fn parse(row_key: &str) -> Option<Self> {
        let (worker, incarnation) = row_key.strip_prefix(Self::PREFIX)?.rsplit_once('/')?;
        let worker = WorkerId::new(worker).ok()?;
        Some(Self {
            worker,
            incarnation: Incarnation::parse(incarnation)?,
        })
    }
}

impl fmt::Display for WorkerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.worker, self.incarnation)
    }
}

impl fmt::Debug for WorkerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The worker.
    pub worker: WorkerId,
    /// Which life of it. Rows of other libraries have none.
    pub incarnation: Option<Incarnation>,
}

impl Owner {
    /// The row that proves this owner's life, if it is one of ours.
    #[must_use]
    pub fn key(&self) -> Option<WorkerKey> {
        let incarnation = self.incarnation.clone()?;
        Some(WorkerKey {
            worker: self.worker.clone(),
            incarnation,
        })
    }
}

impl From<WorkerKey> for Owner {
    fn from(key: WorkerKey) -> Self {
        Self {
            worker: key.worker,
            incarnation: Some(key.incarnation),
        }
    }
}

/// The row of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// The shard, and the key of the row.
    pub shard: ShardId,
    /// Who may read it; nobody when it is free or finished.
    pub owner: Option<Owner>,
    /// The epoch: changes when the lease changes hands and at no other time.
    pub counter: u64,
    /// What is durable.
    pub checkpoint: Checkpoint,
    /// A checkpoint that is announced and not made.
    pub pending: Option<PendingCheckpoint>,
    /// How often it changed hands since the last commit. For people who look at the table.
    pub switches: u64,
    /// The shards it came from. All of them must be finished, or have no row, before it is read.
    pub parents: BTreeSet<ShardId>,
    /// The shards that follow on it; known when it is finished.
    pub children: BTreeSet<ShardId>,
    /// What it takes in. Rows of other libraries may have none.
    pub range: Option<HashKeyRange>,
    /// Bytes per second that were read of it, as last known. A hint: nothing rests on it.
    pub load: Option<u64>,
    /// Between whom it moved last, if that was not to even out counts.
    pub moved: Option<Box<Moved>>,
}

/// A lease that its holder gave to a worker of its choice.
///
/// While `to` holds it, it excuses one lease by which the two differ in count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Who gave it up, or did so first if it moved on.
    pub from: WorkerKey,
    /// Who should take it.
    pub to: WorkerKey,
    /// The lease that `to` gives to `from` for it.
    pub in_return: Option<InReturn>,
}

/// A lease that comes back for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InReturn {
    /// Its shard.
    pub shard: ShardId,
    /// From whom the other lease once came, whose place this one takes in evening out counts.
    pub from: WorkerKey,
}

/// What a holder leaves to its successor in the row that it gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parting {
    /// Bytes per second that it read.
    pub load: Option<u64>,
    /// Who should take it, if it is given to somebody.
    pub moved: Option<Moved>,
}

/// How much a worker can do, in thousandths of an ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capacity(u32);

impl Capacity {
    /// That of an ordinary worker.
    pub const ONE: Self = Self(1000);
    /// The most and the least that make sense.
    pub(crate) const RANGE: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

    /// From a factor, rounded to thousandths and kept to 0.01 to 1,000.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within 10 and 1,000,000"
    )]
    pub fn new(factor: f64) -> Self {
        let factor = if factor.is_nan() { 1.0 } else { factor };
        let factor = factor.clamp(*Self::RANGE.start(), *Self::RANGE.end());
        Self((factor * 1000.0).round() as u32)
    }

    /// From thousandths; nothing for 0.
    #[must_use]
    pub const fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths == 0 {
            None
        } else {
            Some(Self(thousandths))
        }
    }

    /// In thousandths.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// As a factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl LeaseRow {
    /// The row of a shard that nobody has read yet.
    #[must_use]
    pub fn fresh(shard: &Shard, checkpoint: Checkpoint) -> Self {
        Self {
            shard: shard.id.clone(),
            owner: None,
            counter: 0,
            checkpoint,
            pending: None,
            switches: 0,
            parents: shard.parents.iter().cloned().collect(),
            children: BTreeSet::new(),
            range: Some(shard.range),
            load: None,
            moved: None,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            checkpoint: self.checkpoint.clone(),
            pending: self.pending.clone(),
        }
    }

    /// Whether the shard is finished.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.checkpoint.is_end()
    }

    /// Whether nothing of the shard has been processed.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        match self.checkpoint {
            Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp(_) => true,
            Checkpoint::Sequence { .. } | Checkpoint::ShardEnd => false,
        }
    }

    /// Whether this life of a worker holds it.
    #[must_use]
    pub fn is_held_by(&self, key: &WorkerKey) -> bool {
        self.owner.as_ref().is_some_and(|owner| {
            owner.worker == key.worker && owner.incarnation.as_ref() == Some(&key.incarnation)
        })
    }

    /// Whether the grant behind this fence is the one in force.
    #[must_use]
    pub fn is_fenced_by(&self, fence: &Fence) -> bool {
        self.counter == fence.epoch.get() && self.is_held_by(&fence.holder)
    }
}

/// How far a shard is: what is durable, and what is announced beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is durable.
    pub checkpoint: Checkpoint,
    /// A checkpoint that is announced and not made.
    pub pending: Option<PendingCheckpoint>,
}

/// The row of one life of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// Who.
    pub key: WorkerKey,
    /// Grows by one with each renewal.
    pub counter: u64,
    /// Whether it asks for no more leases.
    pub leaving: bool,
    /// How long it may stand still: the lease time this worker itself goes by.
    pub lease_time: Duration,
    /// How many leases it takes at most; nothing is no bound.
    pub leases_max: Option<u32>,
    /// How much it can do. Rows of older versions have none.
    pub capacity: Option<Capacity>,
    /// Bytes per second that it reads, as of its last renewal; nothing if it does not balance by load.
    pub load: Option<u64>,
    /// Which streams it reads, by the row that names them; nothing for a worker of one stream.
    pub serves: Option<StreamSetKey>,
}

/// Where the shards of a stream start that nobody has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRow {
    /// The stream; nothing in an application of one.
    pub stream: Option<StreamName>,
    /// The time, once for all workers.
    pub time: SystemTime,
}

/// The row of the watch: which worker looks at the whole table, so that the others need not.
///
/// It decides nothing: whoever sees that there is something to do does it, by conditional writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRow {
    /// Who watches, or watched last.
    pub owner: WorkerKey,
    /// Grows by one whenever the watch changes hands.
    pub term: u64,
    /// Grows while the watch is kept: whole looks at the table were taken.
    pub looks: u64,
    /// Grows when there is something to see for everybody.
    pub bell: u64,
    /// Bytes per second and capacity from which on a worker should look whether it reads too much.
    pub mark: Option<u64>,
}

/// Any row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Of a shard.
    Lease(LeaseRow),
    /// Of a worker.
    Worker(WorkerRow),
    /// Where shards start that nobody has read, fixed to a time once.
    Start(StartRow),
    /// Which streams some workers read.
    Streams(StreamSet),
    /// Of the watch.
    Watch(WatchRow),
}

/// The proof of a grant, which every write on behalf of it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The shard.
    pub shard: ShardId,
    /// The life of the worker that holds it.
    pub holder: WorkerKey,
    /// The number of the grant.
    pub epoch: Epoch,
}

/// A time as the table keeps it: whole milliseconds, not before 1970.
#[must_use]
pub fn whole_millis(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_worker_with_slashes_in_its_name_reads_back() {
        let key = WorkerKey {
            worker: WorkerId::new("host/7/orders").unwrap(),
            incarnation: Incarnation::random(&mut fastrand::Rng::with_seed(1)),
        };
        assert_eq!(WorkerKey::parse(&key.row_key()), Some(key));
    }

    #[test]
    fn keys_that_are_no_worker_keys_are_told_apart() {
        for bad in [
            "shardId-000",
            "worker/",
            "worker/a",
            "worker//x",
            "worker/a/",
            "worker/a/x y",
        ] {
            assert_eq!(WorkerKey::parse(bad), None, "{bad}");
        }
    }
}
