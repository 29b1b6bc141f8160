//! The sync: one task that sees to it that every shard has a lease that needs one, and removes finished ones.
//!
//! What to make is decided in `plan::lineage`, as for tables of our own; what may go in `cleanup`, as the
//! KCL has it. Creations are conditional, so it does not matter who is first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use kcl_core::env::Env;
use kcl_core::error::Error;
use kcl_core::model::{Checkpoint, InitialPosition, Shard, ShardId, StreamName, WorkerId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::cleanup;
use super::holdings::Holdings;
use super::look::native;
use super::row::{JavaRow, Row};
use super::settings::JavaSettings;
use super::table::JavaTable;
use crate::holdings::Phase;
use crate::plan::lineage::{self, Known, Start};
use crate::row::LeaseRow;
use crate::shards::ShardList;
use crate::store::{Freshness, StoreError};
use crate::sync::as_store_error;
use crate::trouble::Trouble;

/// Lists the shards, makes the leases that are missing, removes those that are finished.
#[derive(Debug)]
pub(crate) struct Sync<L> {
    pub(crate) table: Arc<JavaTable>,
    pub(crate) shards: Arc<L>,
    pub(crate) settings: Arc<JavaSettings>,
    pub(crate) stream: StreamName,
    pub(crate) initial_position: InitialPosition,
    pub(crate) me: WorkerId,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) env: Env,
}

/// Every shard, by name.
type Listed = BTreeMap<ShardId, Shard>;

impl<L: ShardList> Sync<L> {
    /// The task.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut rng = self.env.rng();
        let mut trouble = Trouble::new(self.settings.failover * 3);
        loop {
            let jitter = rng.f64().mul_add(0.2, 0.9);
            let mut pause = self.settings.sync_interval.mul_f64(jitter);
            match self.pass().await {
                Ok(()) => trouble.over(),
                Err(failure) => {
                    trouble.weigh("the shards cannot be brought up to date", failure)?;
                    pause = self.settings.renew_every();
                }
            }
            // Not more often than the floor, however often the bell rings.
            let floor = Instant::now() + self.settings.failover / 20;
            let next = Instant::now() + pause;
            tokio::select! {
                biased;
                changed = self.phase.wait_for(|phase| *phase == Phase::Stopped) => {
                    let _either_way = changed;
                    return Ok(());
                }
                () = async {
                    sleep_until(floor).await;
                    self.holdings.sync.notified().await;
                } => {}
                () = sleep_until(next) => {}
            }
        }
    }

    async fn pass(&self) -> Result<(), StoreError> {
        // ORDER: rows before shards; see `lineage::Known`.
        let rows = self.rows().await?;
        let mut listed = self.list(None).await?;
        self.holdings.listed(&listed);
        let leases: BTreeMap<ShardId, LeaseRow> = rows
            .iter()
            .map(|(shard, row)| (shard.clone(), row.lease.clone()))
            .collect();
        let start = self.start(&leases, &mut listed).await?;
        let mut waves = missing(&leases, &listed, &start);
        let known = Known {
            rows: &leases,
            listed: &listed,
        };
        if lineage::rests_on_absence(known, &waves) {
            // One odd list must not pass for proof that a shard is gone.
            listed.extend(self.list(None).await?);
            waves = missing(&leases, &listed, &start);
        }
        if self.create(waves).await? > 0 {
            self.holdings.look.notify_one();
        }
        for shard in cleanup::removable(&rows, &self.me) {
            if self.table.remove_ended(&shard).await? {
                tracing::info!(%shard, "finished lease removed: its children are being read");
            }
        }
        Ok(())
    }

    async fn rows(&self) -> Result<BTreeMap<ShardId, JavaRow>, StoreError> {
        let mut leases = BTreeMap::new();
        for row in self.table.scan(Freshness::Consistent).await? {
            match row {
                Row::Lease(row) => drop(leases.insert(row.lease.shard.clone(), *row)),
                Row::Native(key) => return Err(StoreError::Fatal(native(&key))),
                Row::Lock(_) | Row::Report(_) | Row::Version(_) => {}
            }
        }
        Ok(leases)
    }

    async fn list(&self, open_since: Option<std::time::SystemTime>) -> Result<Listed, StoreError> {
        let shards = self.shards.list(&self.stream, open_since).await;
        let shards = shards.map_err(as_store_error)?;
        let by_id = |shard: Shard| (shard.id.clone(), shard);
        Ok(shards.into_iter().map(by_id).collect())
    }

    /// Where shards start that nobody has read: asked for only if there is such a shard.
    async fn start(
        &self,
        rows: &BTreeMap<ShardId, LeaseRow>,
        listed: &mut Listed,
    ) -> Result<Start, StoreError> {
        let time = match self.initial_position {
            InitialPosition::TrimHorizon => return Ok(Start::TrimHorizon),
            InitialPosition::Latest => self.env.wall(),
            InitialPosition::AtTimestamp(time) => time,
        };
        let mut covering = BTreeSet::new();
        if lineage::needs_start(Known { rows, listed }) {
            let open = self.list(Some(time)).await?;
            covering.extend(open.keys().cloned());
            listed.extend(open);
        }
        Ok(Start::At { time, covering })
    }

    async fn create(&self, waves: Vec<Vec<LeaseRow>>) -> Result<usize, StoreError> {
        let mut created = 0;
        for wave in as_the_kcl_starts(waves, &self.initial_position) {
            let mut outcomes = stream::iter(wave)
                .map(|row| async move {
                    if self.table.create(&row).await? {
                        tracing::info!(shard = %row.shard, from = %row.checkpoint, "lease created");
                    }
                    Ok::<_, StoreError>(())
                })
                .buffer_unordered(self.settings.writes_at_once);
            // A wave that is not whole ends it here: no child without its parents.
            while let Some(outcome) = outcomes.next().await {
                outcome?;
                created += 1;
            }
        }
        Ok(created)
    }
}

/// `LATEST` stays a word: a Java worker would not know which time another one stands for. Not so for a shard that follows
/// on one that is made with it: the word means the time at which it is first read, and what came before its parent was
/// read to the end would be skipped.
fn as_the_kcl_starts(
    mut waves: Vec<Vec<LeaseRow>>,
    initial_position: &InitialPosition,
) -> Vec<Vec<LeaseRow>> {
    if *initial_position == InitialPosition::Latest {
        for (generation, wave) in waves.iter_mut().enumerate() {
            let word = match generation {
                0 => Checkpoint::Latest,
                _ => Checkpoint::TrimHorizon,
            };
            let timed = |row: &&mut LeaseRow| matches!(row.checkpoint, Checkpoint::AtTimestamp(_));
            for row in wave.iter_mut().filter(timed) {
                row.checkpoint = word.clone();
            }
        }
    }
    waves
}

fn missing(
    rows: &BTreeMap<ShardId, LeaseRow>,
    listed: &Listed,
    start: &Start,
) -> Vec<Vec<LeaseRow>> {
    lineage::missing(Known { rows, listed }, start)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use kcl_core::model::HashKeyRange;

    use super::*;

    #[test]
    fn a_child_that_is_made_with_its_parent_at_latest_starts_at_its_first_record() {
        let shard = |name: &str, parents: &[&str]| Shard {
            id: name.into(),
            parents: parents.iter().map(|parent| (*parent).into()).collect(),
            range: HashKeyRange { start: 0, end: 1 },
            open: parents.is_empty(),
        };
        // It was split while the worker started: both are listed as open since then.
        let all = [shard("parent", &[]), shard("child", &["parent"])];
        let listed: Listed = all.into_iter().map(|it| (it.id.clone(), it)).collect();
        let start = Start::At {
            time: SystemTime::UNIX_EPOCH,
            covering: listed.keys().cloned().collect(),
        };
        let waves = missing(&BTreeMap::new(), &listed, &start);
        let rows = as_the_kcl_starts(waves, &InitialPosition::Latest).concat();
        let starts: Vec<_> = rows
            .iter()
            .map(|row| (row.shard.name(), &row.checkpoint))
            .collect();
        let expected = [
            ("parent", &Checkpoint::Latest),
            ("child", &Checkpoint::TrimHorizon),
        ];
        assert_eq!(starts, expected);
    }
}
