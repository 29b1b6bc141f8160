//! The lead: one task of a worker in a led fleet. It tells that the worker lives, watches the lock of the
//! leader, takes it when nobody does, and then assigns.
//!
//! When the lock may be claimed is `lock`'s to decide, who should have what is `assign`'s. Each write has its
//! condition, so a leader that is one no more can do little harm in the moment before it knows.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use futures::stream;
use kcl_core::env::Env;
use kcl_core::error::Error;
use kcl_core::model::WorkerId;
use tokio::time::{Instant, sleep_until};

use super::assign::{self, Rules, Step};
use super::coordination::Home;
use super::lock::{Claim, Held, Watch};
use super::look::{native, wrong_fleet};
use super::row::{JavaRow, LockRow, ReportRow, Row, Version};
use super::settings::JavaFleet;
use super::tenure::Common;
use super::view::Observer;
use crate::holdings::Phase;
use crate::store::{Freshness, Outcome, StoreError};
use crate::trouble::Trouble;

/// Reports, watches the lock, and assigns if it has it.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(crate) common: Common,
    pub(crate) home: Home,
    pub(crate) env: Env,
    pub(crate) rng: fastrand::Rng,
    pub(crate) observer: Observer,
    pub(crate) watch: Watch,
    pub(crate) held: Option<Held>,
    /// A claim of which the outcome is not known.
    pub(crate) claimed: Option<(String, Instant)>,
    pub(crate) due: Due,
}

/// When each thing is to be done next.
#[derive(Debug)]
pub(crate) struct Due {
    report: Instant,
    lock: Instant,
    assign: Instant,
}

/// So many heartbeats a lock must have been free, so that every Java worker has looked at it before.
const FREE_HEARTBEATS: u32 = 2;
/// Who was silent for so many intervals is not counted, as in the KCL.
const SILENT_INTERVALS: u32 = 2;

impl Due {
    /// Everything at once.
    pub(crate) const fn now(now: Instant) -> Self {
        Self {
            report: now,
            lock: now,
            assign: now,
        }
    }
}

impl Lead {
    /// The task. Ends with the worker, or with the reason why it cannot go on.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut trouble = Trouble::new(self.common.settings.failover * 3);
        loop {
            let phase = *self.common.phase.borrow_and_update();
            if phase != Phase::Sharing {
                self.resign().await;
                return Ok(());
            }
            let next = match self.turn().await? {
                Ok(()) => {
                    trouble.over();
                    self.next()
                }
                Err(failure) => {
                    trouble.weigh("the fleet cannot be coordinated", failure)?;
                    Instant::now() + self.common.settings.retry_pause()
                }
            };
            tokio::select! {
                biased;
                _ = self.common.phase.changed() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn next(&self) -> Instant {
        let assign = self.held.as_ref().map(|_| self.due.assign);
        let next = self.due.report.min(self.due.lock);
        assign.map_or(next, |assign| next.min(assign))
    }

    /// Does what is due. The outer error is one that waiting cannot cure.
    async fn turn(&mut self) -> Result<Result<(), StoreError>, Error> {
        if let Err(failure) = self.report_if_due().await {
            return Ok(Err(failure));
        }
        if Instant::now() >= self.due.lock {
            // ORDER: before anything is assigned by the wrong protocol.
            match self.common.table.read_version(&self.home).await {
                Ok(Some(Version::Taking)) => return Err(wrong_fleet(JavaFleet::V3)),
                Ok(Some(Version::Led) | None) => {}
                Err(failure) => return Ok(Err(failure)),
            }
            let kept = match &self.held {
                Some(_) => self.beat().await,
                None => self.watch_lock().await,
            };
            if let Err(failure) = kept {
                return Ok(Err(failure));
            }
        }
        if self.leads() && Instant::now() >= self.due.assign {
            self.due.assign = Instant::now() + self.common.settings.assign_every();
            return Ok(self.assign().await);
        }
        Ok(Ok(()))
    }

    async fn report_if_due(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if now < self.due.report {
            return Ok(());
        }
        let row = ReportRow {
            worker: self.common.me.clone(),
            at: seconds(self.env.wall()),
        };
        self.common.table.report(&self.home, &row).await?;
        self.due.report = now + self.common.settings.report_interval;
        Ok(())
    }

    /// Whether this worker may act as the leader now. Forgets the lock when its time is over.
    fn leads(&mut self) -> bool {
        let now = Instant::now();
        if self.held.as_ref().is_some_and(|held| !held.leads(now)) {
            tracing::warn!(worker = %self.common.me, "this worker could not keep the leader's lock in time");
            self.held = None;
        }
        self.held.is_some()
    }

    /// Renews the lock. A heartbeat without an answer is sent again as it was.
    async fn beat(&mut self) -> Result<(), StoreError> {
        if !self.leads() {
            return Ok(());
        }
        let version = self.version();
        let Some(held) = &mut self.held else {
            return Ok(());
        };
        let now = Instant::now();
        let (next, first) = held.next.get_or_insert((version, now)).clone();
        let before = held.version.clone();
        let row = self.lock(&next);
        if self.common.table.beat(&self.home, &row, &before).await? {
            self.hold(next, now);
            return Ok(());
        }
        // Refused: by another's lock, or by an earlier copy of this heartbeat.
        match self.common.table.read_lock(&self.home).await? {
            Some(found) if found.owner == row.owner && found.version == next => {
                self.hold(next, first);
            }
            Some(_) | None => {
                tracing::warn!(worker = %self.common.me, "another worker has the leader's lock");
                self.held = None;
                self.due.lock = now + self.common.settings.leader_heartbeat;
            }
        }
        Ok(())
    }

    /// Looks at another's lock, and claims it if it may.
    async fn watch_lock(&mut self) -> Result<(), StoreError> {
        let row = self.common.table.read_lock(&self.home).await?;
        let now = Instant::now();
        let heartbeat = self.common.settings.leader_heartbeat;
        self.due.lock = now + heartbeat;
        // A claim that got no answer was applied.
        if let Some((version, sent)) = self.claimed.take()
            && row.as_ref().is_some_and(|row| row.version == version)
        {
            self.begin(version, sent);
            return Ok(());
        }
        if let Some((claim, since)) = self.watch.judge(row.as_ref(), now) {
            let is_ripe = now.duration_since(since) >= heartbeat * FREE_HEARTBEATS;
            if is_ripe || self.is_alone().await? {
                self.claim(&claim).await?;
            }
        }
        Ok(())
    }

    /// Whether no other worker has told that it lives, so that nobody has to be given the chance to lead.
    async fn is_alone(&self) -> Result<bool, StoreError> {
        let (_, reports) = self.look().await?;
        Ok(self.living(reports).len() == 1)
    }

    async fn claim(&mut self, claim: &Claim) -> Result<(), StoreError> {
        let version = self.version();
        let sent = Instant::now();
        self.claimed = Some((version.clone(), sent));
        let row = self.lock(&version);
        let is_ours = self
            .common
            .table
            .claim_lock(&self.home, &row, claim)
            .await?;
        // Refused by somebody else's, or by an earlier copy: the next look tells.
        if is_ours {
            self.claimed = None;
            self.begin(version, sent);
        }
        Ok(())
    }

    fn begin(&mut self, version: String, sent: Instant) {
        tracing::info!(worker = %self.common.me, "this worker leads the fleet: no Java worker does");
        self.hold(version, sent);
        self.watch = Watch::default();
        self.observer.forget();
        self.due.assign = sent;
    }

    fn hold(&mut self, version: String, sent: Instant) {
        let settings = &self.common.settings;
        let held = Held::new(
            version,
            sent,
            (settings.leader_lease, settings.leader_heartbeat),
        );
        self.due.lock = held.due;
        self.held = Some(held);
    }

    fn version(&mut self) -> String {
        format!("{:032x}", self.rng.u128(..))
    }

    fn lock(&self, version: &str) -> LockRow {
        LockRow {
            owner: self.common.me.to_string(),
            version: version.to_owned(),
            lease: self.common.settings.leader_lease,
            is_released: false,
        }
    }

    /// One look at the table, and what follows.
    async fn assign(&mut self) -> Result<(), StoreError> {
        let (leases, reports) = self.look().await?;
        let after = Instant::now();
        let living = self.living(reports);
        let settings = &self.common.settings;
        let rules = Rules {
            failover: settings.failover,
            leases_max: settings.leases_max.map_or(usize::MAX, |max| max as usize),
            handover_max: settings.handover_max,
        };
        let view = self.observer.observe(leases, after);
        let steps = assign::plan(view, &living, rules, after);
        self.carry_out(steps).await;
        Ok(())
    }

    /// Every lease, and what every worker told.
    async fn look(&self) -> Result<(Vec<JavaRow>, Vec<ReportRow>), StoreError> {
        let mut reports = Vec::new();
        let mut leases = Vec::new();
        for row in self.common.table.scan(Freshness::Consistent).await? {
            match row {
                Row::Lease(row) => leases.push(*row),
                Row::Report(row) => reports.push(row),
                Row::Native(key) => return Err(StoreError::Fatal(native(&key))),
                Row::Lock(_) | Row::Version(_) => {}
            }
        }
        if !self.home.is_single() {
            reports = self.common.table.reports(&self.home).await?;
        }
        Ok((leases, reports))
    }

    fn living(&self, reports: Vec<ReportRow>) -> BTreeSet<WorkerId> {
        let silence = self.common.settings.report_interval * SILENT_INTERVALS;
        let now = seconds(self.env.wall());
        let is_fresh = |row: &ReportRow| now.saturating_sub(row.at) <= silence.as_secs().max(1);
        let others = reports.into_iter().filter(is_fresh).map(|row| row.worker);
        others.chain([self.common.me.clone()]).collect()
    }

    async fn carry_out(&mut self, steps: Vec<Step>) {
        // A scan may have taken long.
        if !self.leads() {
            return;
        }
        let table = &self.common.table;
        let mut outcomes = stream::iter(steps)
            .map(|step| async move {
                let outcome = table.carry_out(&step).await;
                (step, outcome)
            })
            .buffer_unordered(self.common.settings.writes_at_once);
        while let Some((step, outcome)) = outcomes.next().await {
            let (Step::Assign(row, to) | Step::HandOver(row, to)) = &step;
            let shard = &row.lease.shard;
            match outcome {
                Ok(Outcome::Applied(_)) => {
                    let at_once = matches!(step, Step::Assign(..));
                    tracing::info!(%shard, %to, at_once, "lease assigned");
                    if *to == self.common.me {
                        self.common.holdings.look.notify_one();
                    }
                }
                Ok(Outcome::Refused(_)) => {}
                Err(failure) => {
                    tracing::warn!(%shard, error = %failure.into_error(), "a lease cannot be assigned yet");
                }
            }
        }
    }

    /// Lets others lead, and no longer counts. Tried once: both would be over by themselves.
    async fn resign(&mut self) {
        let table = &self.common.table;
        if let Err(failure) = table.remove_report(&self.home, &self.common.me).await {
            tracing::debug!(error = %failure.into_error(), "the report of this worker stays until it is old");
        }
        let Some(held) = self.held.take() else {
            return;
        };
        // A heartbeat without an answer may have been applied.
        let versions = [Some(held.version), held.next.map(|(version, _)| version)];
        for version in versions.into_iter().flatten() {
            match table
                .release_lock(&self.home, &self.common.me, &version)
                .await
            {
                Ok(true) => tracing::info!(worker = %self.common.me, "this worker leads no more"),
                Ok(false) => {}
                Err(failure) => {
                    tracing::debug!(error = %failure.into_error(), "the leader's lock stays until it is over");
                }
            }
        }
    }
}

fn seconds(wall: SystemTime) -> u64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}
