//! The rows of a table that Java workers share, as values.
//!
//! Owns what the rows mean, not their encoding (`codec`) and not what was seen of them (`view`).

use kcl_core::model::{Checkpoint, WorkerId};

use crate::row::LeaseRow;

/// The row of one shard, with what the KCL 3.x has beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JavaRow {
    /// As in every table. The counter is the KCL's: its holder moves it all the time.
    pub(crate) lease: LeaseRow,
    /// Who still reads the shard while the lease already names the next one. Only during a hand-over.
    pub(crate) checkpoint_owner: Option<WorkerId>,
}

impl JavaRow {
    /// Who the row names as the owner. During a hand-over that is the next one.
    pub(crate) fn named(&self) -> Option<&WorkerId> {
        self.lease.owner.as_ref().map(|owner| &owner.worker)
    }

    /// Who may read the shard and write its checkpoint.
    pub(crate) fn holder(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or_else(|| self.named())
    }

    /// Whether a hand-over is under way.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.checkpoint_owner.is_some()
    }

    /// Whether the shard is finished.
    pub(crate) fn is_ended(&self) -> bool {
        self.lease.is_ended()
    }

    /// A worker as the owner of a row.
    #[cfg(test)]
    pub(crate) fn owner(worker: &WorkerId) -> crate::row::Owner {
        crate::row::Owner {
            worker: worker.clone(),
            incarnation: None,
        }
    }

    /// Whether somebody has begun to read the shard, as the KCL's cleanup sees it.
    pub(crate) fn is_started(&self) -> bool {
        match self.lease.checkpoint {
            Checkpoint::TrimHorizon | Checkpoint::AtTimestamp(_) | Checkpoint::Latest => false,
            Checkpoint::Sequence { .. } | Checkpoint::ShardEnd => true,
        }
    }
}

/// The row of the leader's lock, as the DynamoDB lock client keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockRow {
    /// Who leads, or led last.
    pub(crate) owner: String,
    /// Another text with each heartbeat.
    pub(crate) version: String,
    /// How long it may stand still, by its owner's own word.
    pub(crate) lease: std::time::Duration,
    /// Whether its owner gave it up and left the row.
    pub(crate) is_released: bool,
}

/// What a worker of the 3.x line tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportRow {
    /// Who.
    pub(crate) worker: WorkerId,
    /// When it told, in seconds since 1970 by its own clock.
    pub(crate) at: u64,
}

/// Which protocol the table says the fleet follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Every worker takes for itself.
    Taking,
    /// A leader assigns.
    Led,
}

/// Any row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// Of a shard.
    Lease(Box<JavaRow>),
    /// Of the leader's lock.
    Lock(LockRow),
    /// Of a worker.
    Report(ReportRow),
    /// Of the protocol.
    Version(Version),
    /// Of a worker that keeps to the protocol of tables of our own, with its key.
    Native(String),
}
