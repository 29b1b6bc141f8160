//! The tenure of one lease in this process: one task that has its pen, and so sends every write to it.
//!
//! ```text
//! Waiting ──parents ended──▶ Reading ──end of the shard──▶ Finished
//!    └──────────┬───────────────┴────────────┬───────────────┘
//!            given back                     lost
//! ```
//!
//! `look` begins tenures and joins them; the consumer of the shard speaks to one through
//! [`JavaRight`].

use std::sync::Arc;

use kcl_core::model::{Epoch, HashKeyRange, Shard, WorkerId};
use kcl_core::port::{CommitError, Grant, Meter, Standing};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::holdings::Holdings;
use super::pen::{Failure, Pen};
use super::right::{Ask, JavaRight, Work};
use super::row::JavaRow;
use super::settings::JavaSettings;
use super::table::JavaTable;
use crate::holdings::Phase;
use crate::store::StoreError;

/// Work that waits for the tenure: a right asks for one thing at a time, and one that was dropped halfway
/// may still be in line.
const ASKS_WAITING_MAX: usize = 2;

/// What all tenures of a worker share.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) table: Arc<JavaTable>,
    pub(crate) settings: Arc<JavaSettings>,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) me: WorkerId,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) grants: mpsc::Sender<Grant>,
}

/// How far the shard is.
#[derive(Debug)]
enum Stage {
    /// A parent is not finished.
    Waiting {
        /// When to look at the parents again.
        again: Instant,
    },
    /// There is a grant.
    Reading {
        asks: mpsc::Receiver<Ask>,
        standing: watch::Sender<Standing>,
    },
    /// It is finished; the lease is held until it is cleaned up.
    Finished,
}

/// Why a tenure is over.
#[derive(Debug)]
enum End {
    GivenBack,
    Lost,
}

/// One lease, held.
#[derive(Debug)]
pub(crate) struct Tenure {
    common: Common,
    pen: Pen,
}

enum Woken {
    Phase,
    Ask(Option<Ask>),
    Parents,
    Due,
}

impl Tenure {
    /// The tenure of a lease as a write of this worker has just left it; `sent` is before that write.
    pub(crate) fn new(common: Common, row: JavaRow, sent: Instant) -> Self {
        common.holdings.add(&row.lease.shard);
        let parts = (Arc::clone(&common.table), Arc::clone(&common.settings));
        let pen = Pen::new(parts, common.me.clone(), row, sent);
        Self { common, pen }
    }

    /// The task. Ends when the lease is given back or lost.
    pub(crate) async fn run(mut self) {
        let mut stage = if self.pen.row().is_ended() {
            Stage::Finished
        } else {
            Stage::Waiting {
                again: Instant::now(),
            }
        };
        let end = loop {
            match self.step(&mut stage).await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        let shard = self.pen.shard();
        match (end, &stage) {
            (End::GivenBack, _) => tracing::info!(%shard, "lease given back"),
            // Its row was cleaned up, or another worker counts it now.
            (End::Lost, Stage::Finished) => tracing::debug!(%shard, "finished lease gone"),
            (End::Lost, Stage::Waiting { .. } | Stage::Reading { .. }) => {
                tracing::warn!(%shard, "lease lost");
            }
        }
        if let Stage::Reading { standing, .. } = &stage {
            standing.send_replace(Standing::Lost);
        }
        self.common.holdings.remove(shard);
    }

    /// Waits for what is next, and does it.
    async fn step(&mut self, stage: &mut Stage) -> Result<(), End> {
        let phase = *self.common.phase.borrow_and_update();
        let is_wanted = phase == Phase::Sharing && !self.pen.row().is_handed_over();
        match stage {
            Stage::Waiting { .. } | Stage::Finished if !is_wanted => return self.give_back().await,
            Stage::Waiting { .. } | Stage::Reading { .. } | Stage::Finished => {}
        }
        let woken = self.next(stage).await;
        // After a stall this is the first line to run: what was held is over.
        if Instant::now() >= self.pen.until() {
            return Err(End::Lost);
        }
        match woken {
            Woken::Phase => Ok(()),
            Woken::Parents => self.begin_if_ready(stage).await,
            Woken::Ask(Some(Ask { work, answer })) => self.work(work, answer, stage).await,
            // Dropped without being given back.
            Woken::Ask(None) => self.give_back().await,
            Woken::Due => {
                self.renew().await?;
                self.publish(stage);
                Ok(())
            }
        }
    }

    async fn next(&mut self, stage: &mut Stage) -> Woken {
        let due = self.pen.due().min(self.pen.until());
        let phase = &mut self.common.phase;
        let ended = self.common.holdings.ended.notified();
        // ORDER: the end first, then what keeps the lease, then what others wait for.
        match stage {
            Stage::Waiting { again } => tokio::select! {
                biased;
                _ = phase.changed() => Woken::Phase,
                () = sleep_until(due) => Woken::Due,
                () = ended => Woken::Parents,
                () = sleep_until(*again) => Woken::Parents,
            },
            Stage::Reading { asks, .. } => tokio::select! {
                biased;
                () = sleep_until(due) => Woken::Due,
                ask = asks.recv() => Woken::Ask(ask),
            },
            Stage::Finished => tokio::select! {
                biased;
                _ = phase.changed() => Woken::Phase,
                () = sleep_until(due) => Woken::Due,
            },
        }
    }

    async fn renew(&mut self) -> Result<(), End> {
        match self.pen.renew().await {
            Ok(()) => Ok(()),
            Err(Failure::Lost) => Err(End::Lost),
            Err(Failure::Other(error)) => {
                let shard = self.pen.shard();
                tracing::warn!(%shard, %error, "a lease cannot be renewed for the moment");
                Ok(())
            }
        }
    }

    async fn give_back(&mut self) -> Result<(), End> {
        match self.pen.give_back().await {
            Ok(()) => Err(End::GivenBack),
            Err(Failure::Lost) => Err(End::Lost),
            Err(Failure::Other(error)) => {
                let shard = self.pen.shard();
                tracing::warn!(%shard, %error, "a lease is left to expire");
                Err(End::Lost)
            }
        }
    }

    /// Grants the shard if no parent is left to be read.
    async fn begin_if_ready(&mut self, stage: &mut Stage) -> Result<(), End> {
        // Not for longer than the lease can wait for its next renewal.
        let parents = timeout_at(self.pen.due(), self.has_open_parent());
        match parents.await.unwrap_or(Ok(true)) {
            Ok(false) => {}
            Ok(true) => {
                let again = Instant::now() + self.common.settings.parents_every();
                *stage = Stage::Waiting { again };
                return Ok(());
            }
            Err(failure) => {
                let (shard, error) = (self.pen.shard(), failure.into_error());
                tracing::warn!(%shard, %error, "the parents of a shard cannot be read");
                let again = Instant::now() + self.common.settings.renew_every();
                *stage = Stage::Waiting { again };
                return Ok(());
            }
        }
        let (standing, stands) = watch::channel(Standing::Held {
            until: self.pen.until(),
        });
        let (asks, inbox) = mpsc::channel(ASKS_WAITING_MAX);
        let shard = self.shard();
        let grant = Grant {
            epoch: Epoch::new(self.pen.row().lease.counter),
            checkpoint: self.pen.row().lease.checkpoint.clone(),
            pending: self.pen.row().lease.pending.clone(),
            standing: stands,
            meter: Meter::default(),
            right: Box::new(JavaRight {
                shard: shard.id.clone(),
                asks,
            }),
            shard,
        };
        *stage = Stage::Reading {
            asks: inbox,
            standing,
        };
        match timeout_at(self.pen.until(), self.common.grants.send(grant)).await {
            Ok(Ok(())) => Ok(()),
            // The worker stopped meanwhile.
            Ok(Err(_)) => self.give_back().await,
            Err(_) => Err(End::Lost),
        }
    }

    async fn has_open_parent(&self) -> Result<bool, StoreError> {
        for parent in &self.pen.row().lease.parents {
            let row = self.common.table.read(parent).await?;
            if row.is_some_and(|row| !row.is_ended()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn shard(&self) -> Shard {
        let row = &self.pen.row().lease;
        self.common
            .holdings
            .shard(&row.shard)
            .unwrap_or_else(|| Shard {
                id: row.shard.clone(),
                parents: row.parents.iter().cloned().collect(),
                // Only a row of an early KCL lacks it, and nothing is decided by it.
                range: row.range.unwrap_or(HashKeyRange {
                    start: 0,
                    end: u128::MAX,
                }),
                open: true,
            })
    }

    async fn work(
        &mut self,
        work: Work,
        answer: oneshot::Sender<Result<(), CommitError>>,
        stage: &mut Stage,
    ) -> Result<(), End> {
        let done = match &work {
            Work::Commit(to) => self.pen.commit(to).await,
            Work::Prepare(pending) => self.pen.prepare(pending).await,
            Work::Finish(children) => self.pen.finish(children).await,
            Work::Release => self.pen.give_back().await,
        };
        let fenced = || CommitError::Fenced {
            shard: self.pen.shard().clone(),
        };
        let (outcome, end) = match done {
            Ok(()) => (Ok(()), None),
            Err(Failure::Lost) => (Err(fenced()), Some(End::Lost)),
            Err(Failure::Other(error)) => (Err(error), None),
        };
        let is_done = outcome.is_ok();
        if answer.send(outcome).is_err() {
            tracing::debug!("nobody waits for the outcome of a write any more");
        }
        match (end, work) {
            (Some(end), _) => Err(end),
            (None, Work::Release) if is_done => Err(End::GivenBack),
            (None, Work::Finish(_)) if is_done => {
                *stage = Stage::Finished;
                self.common.holdings.ended.notify_waiters();
                self.common.holdings.sync.notify_one();
                self.common.holdings.look.notify_one();
                Ok(())
            }
            (None, Work::Commit(_) | Work::Prepare(_) | Work::Finish(_) | Work::Release) => {
                self.publish(stage);
                Ok(())
            }
        }
    }

    /// Tells the consumer how the grant stands.
    fn publish(&self, stage: &Stage) {
        if let Stage::Reading { standing, .. } = stage {
            let until = self.pen.until();
            standing.send_replace(if self.pen.row().is_handed_over() {
                Standing::HandOver { until }
            } else {
                Standing::Held { until }
            });
        }
    }
}
