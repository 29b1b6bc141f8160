//! How far one shard is: delivered, acknowledged, durable; and when a commit is due.
//!
//! ```text
//! durable  <=  acknowledged  <=  delivered
//! ```
//!
//! Pure. Called by [`super::shard`] only. It decides what to write next; the machine decides
//! whether it may be written at all.

use tokio::time::Instant;

use crate::model::{Checkpoint, PendingCheckpoint};
use crate::settings::CheckpointPolicy;

/// Names one request of user code for a checkpoint, so that it can be answered.
pub(crate) type AskId = u64;

/// Why a request for a checkpoint is refused at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AskRefused {
    /// The record was not delivered to this processor yet.
    NotDelivered,
    /// The record lies before the last checkpoint.
    GoesBack { durable: Checkpoint },
}

#[derive(Debug)]
pub(crate) struct Progress {
    policy: CheckpointPolicy,
    delivered: Checkpoint,
    acknowledged: Checkpoint,
    durable: Checkpoint,
    /// What is announced beside the durable checkpoint.
    pending: Option<PendingCheckpoint>,
    /// When acknowledged progress must be written. Nothing while there is none to write, or the
    /// user has not asked for it.
    due: Option<Instant>,
    /// Automatic commits are not sooner than this.
    quiet_until: Instant,
    asks: Vec<(AskId, Checkpoint)>,
}

impl Progress {
    pub(crate) fn new(policy: CheckpointPolicy, durable: Checkpoint, now: Instant) -> Self {
        let mut progress = Self {
            policy,
            delivered: durable.clone(),
            acknowledged: durable.clone(),
            durable,
            pending: None,
            due: None,
            quiet_until: now,
            asks: Vec::new(),
        };
        progress.be_quiet(now);
        progress
    }

    /// With what a former holder announced.
    pub(crate) fn with_pending(mut self, pending: Option<PendingCheckpoint>) -> Self {
        self.pending = pending;
        self
    }

    /// The processor gets everything up to here.
    pub(crate) fn deliver(&mut self, end: Checkpoint) {
        debug_assert!(self.delivered <= end || self.delivered.partial_cmp(&end).is_none());
        self.delivered = end;
    }

    /// The processor said `Ok` to everything delivered. With the manual policy that says nothing
    /// about what may be forgotten: the processor may still hold it.
    pub(crate) fn acknowledge(&mut self, now: Instant) {
        if let CheckpointPolicy::Automatic { .. } = self.policy {
            self.acknowledged = self.delivered.clone();
            self.owe(now);
        }
    }

    /// Everything up to here is settled, whatever is delivered beyond it.
    pub(crate) fn settle(&mut self, upto: &Checkpoint, now: Instant) {
        if *upto > self.acknowledged {
            self.acknowledged = upto.clone();
            self.owe(now);
        }
    }

    fn owe(&mut self, now: Instant) {
        if self.owed().is_some() && self.due.is_none() {
            self.due = Some(self.quiet_until.max(now));
        }
    }

    /// User code wants everything up to `upto` durable, or all that was delivered. `Ok(true)` if
    /// it already is; `Ok(false)` if the answer has to wait for a commit.
    pub(crate) fn ask(
        &mut self,
        id: AskId,
        upto: Option<Checkpoint>,
        now: Instant,
    ) -> Result<bool, AskRefused> {
        let upto = upto.unwrap_or_else(|| self.delivered.clone());
        if upto == self.durable {
            return Ok(true);
        }
        self.check(&upto)?;
        if upto > self.acknowledged {
            self.acknowledged = upto.clone();
        }
        self.asks.push((id, upto));
        self.due = Some(now);
        Ok(false)
    }

    /// Whether a checkpoint may be asked for at this place.
    pub(crate) fn check(&self, upto: &Checkpoint) -> Result<(), AskRefused> {
        if *upto < self.durable {
            return Err(AskRefused::GoesBack {
                durable: self.durable.clone(),
            });
        }
        if !upto.is_end() && *upto > self.delivered {
            return Err(AskRefused::NotDelivered);
        }
        Ok(())
    }

    /// This is announced now.
    pub(crate) fn prepared(&mut self, pending: PendingCheckpoint) {
        self.pending = Some(pending);
    }

    /// Everything in the shard is processed, and the processor agrees that it is over.
    pub(crate) fn end(&mut self, now: Instant) {
        self.acknowledged = Checkpoint::ShardEnd;
        self.due = Some(now);
    }

    /// This is durable now. Returns the requests that are thereby answered.
    pub(crate) fn committed(&mut self, upto: Checkpoint, now: Instant) -> Vec<AskId> {
        if upto > self.durable {
            self.durable = upto;
        }
        let durable = &self.durable;
        self.pending
            .take_if(|pending| pending.checkpoint <= *durable);
        self.be_quiet(now);
        let durable = &self.durable;
        let answered = self.asks.extract_if(.., |(_, upto)| *upto <= *durable);
        let answered = answered.map(|(id, _)| id).collect();
        self.due = match (self.owed(), self.asks.is_empty()) {
            (None, _) => None,
            (Some(_), false) => Some(now),
            (Some(_), true) => Some(self.quiet_until),
        };
        answered
    }

    /// Somebody else moved the durable checkpoint forward, to `durable`.
    pub(crate) fn overtaken(&mut self, durable: Checkpoint, now: Instant) -> Vec<AskId> {
        if durable > self.acknowledged {
            self.acknowledged = durable.clone();
        }
        if durable > self.delivered {
            self.delivered = durable.clone();
        }
        self.committed(durable, now)
    }

    /// The processor is gone; its successor gets everything after the acknowledged part again.
    pub(crate) fn rewind(&mut self) {
        self.delivered = self.acknowledged.clone();
    }

    /// All requests that still wait; they are the caller's to answer.
    pub(crate) fn take_asks(&mut self) -> Vec<AskId> {
        self.asks.drain(..).map(|(id, _)| id).collect()
    }

    /// What is acknowledged and not durable yet.
    pub(crate) fn owed(&self) -> Option<&Checkpoint> {
        (self.acknowledged > self.durable).then_some(&self.acknowledged)
    }

    /// When [`Progress::owed`] has to be written; nothing while it need not be.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.owed().and(self.due)
    }

    pub(crate) const fn delivered(&self) -> &Checkpoint {
        &self.delivered
    }

    pub(crate) const fn acknowledged(&self) -> &Checkpoint {
        &self.acknowledged
    }

    pub(crate) const fn pending(&self) -> Option<&PendingCheckpoint> {
        self.pending.as_ref()
    }

    pub(crate) const fn durable(&self) -> &Checkpoint {
        &self.durable
    }

    fn be_quiet(&mut self, now: Instant) {
        if let CheckpointPolicy::Automatic { every } = self.policy {
            self.quiet_until = now + every;
        }
    }
}
