//! The sync: one task that sees to it that every shard has a row that needs one.
//!
//! Every worker runs it when it starts and when its bell rings, and the one that keeps the watch also from
//! time to time; creations are conditional, so it does not matter who is first. What to
//! create is decided in `plan::lineage`, what may go in `plan::cleanup`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt as _;
use futures::stream;
use kcl_core::env::Env;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::{Event, Events};
use kcl_core::model::{InitialPosition, Shard, ShardId, StreamName};
use kcl_core::planted;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::holdings::{Holdings, Phase};
use crate::plan::cleanup;
use crate::plan::forgotten::Forgotten;
use crate::plan::lineage::{self, Known, Start};
use crate::row::{LeaseRow, Row};
use crate::settings::LeaseSettings;
use crate::shards::ShardList;
use crate::store::{Freshness, LeaseStore, Outcome, StoreError};
use crate::trouble::Trouble;

/// Lists the shards and makes the rows that are missing.
#[derive(Debug)]
pub(crate) struct Sync<S, L> {
    pub(crate) store: Arc<S>,
    pub(crate) shards: Arc<L>,
    pub(crate) settings: LeaseSettings,
    pub(crate) stream: StreamName,
    pub(crate) initial_position: InitialPosition,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) env: Env,
    pub(crate) events: Events,
    pub(crate) forgotten: Forgotten,
}

/// Every row of a shard, by shard.
type Rows = BTreeMap<ShardId, LeaseRow>;
/// Every shard, by name.
type Listed = BTreeMap<ShardId, Shard>;

/// A bell that does not stop ringing is answered this often per scan interval at most.
const PASSES_PER_SCAN: u32 = 4;

/// No list of shards is older than so many lease times.
const LIST_LEASE_TIMES: u32 = 3;

impl<S: LeaseStore, L: ShardList> Sync<S, L> {
    /// The task. `listed` is a list from before the table was first read; it serves the first
    /// pass if the table has no rows yet.
    pub(crate) async fn run(mut self, listed: Vec<Shard>) -> Result<(), Error> {
        let mut rng = self.env.rng();
        let mut listed = Some(by_id(listed));
        let mut is_rung = true;
        let mut trouble = Trouble::new(self.settings.duration * 3);
        loop {
            let mut pause = self
                .settings
                .sync_interval
                .mul_f64(rng.f64().mul_add(0.2, 0.9));
            let is_due =
                std::mem::take(&mut is_rung) || self.holdings.keeps_watch.load(Ordering::Relaxed);
            let passed = if is_due {
                self.pass(listed.take()).await
            } else {
                Ok(())
            };
            match passed {
                Ok(()) => trouble.over(),
                Err(_) if planted!(SyncDiesSilently) => return Ok(()),
                Err(failure) => {
                    trouble.weigh("the shards cannot be brought up to date", failure)?;
                    is_rung = true;
                    pause = self.settings.scan_every();
                }
            }
            // Not more often than the floor, however often the bell rings.
            let floor = Instant::now() + self.settings.scan_every() / PASSES_PER_SCAN;
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
                } => is_rung = true,
                () = sleep_until(next) => {}
            }
        }
    }

    /// Brings the rows up to date once.
    async fn pass(&mut self, listed: Option<Listed>) -> Result<(), StoreError> {
        // ORDER: what is known before the rows, so that the rows cannot be older.
        let known = self.holdings.known();
        // ORDER: rows before shards; see `lineage::Known`.
        let rows = self.rows().await?;
        let listed = match listed.filter(|_| rows.is_empty()) {
            Some(listed) => listed,
            None => self.list(None).await?,
        };
        self.holdings.listed(&listed);
        self.tell_forgotten(&rows, &listed);
        let vanished = known.vanished(&rows, &listed);
        self.holdings
            .tell_vanished(&vanished)
            .map_err(StoreError::Fatal)?;
        self.holdings.keep_known(&rows, &listed);
        if self.create_missing(&rows, &listed).await? > 0 {
            self.holdings.plan.notify_one();
        }
        self.clean_up(&rows, &listed).await
    }

    fn tell_forgotten(&mut self, rows: &Rows, listed: &Listed) {
        let patience = self.settings.duration * LIST_LEASE_TIMES;
        for row in self.forgotten.judge(rows, listed, Instant::now(), patience) {
            self.events.emit(&Event::ShardForgotten {
                shard: row.shard.clone(),
                checkpoint: row.checkpoint.clone(),
            });
        }
    }

    async fn rows(&self) -> Result<Rows, StoreError> {
        let all = self.store.scan(Freshness::Consistent).await?;
        let leases = all.into_iter().filter_map(|row| match row {
            Row::Lease(row) => Some((row.shard.clone(), row)),
            Row::Worker(_) | Row::Start(_) | Row::Watch(_) => None,
        });
        Ok(leases.collect())
    }

    async fn list(&self, open_since: Option<std::time::SystemTime>) -> Result<Listed, StoreError> {
        let shards = self
            .shards
            .list(&self.stream, open_since)
            .await
            .map_err(as_store_error)?;
        Ok(by_id(shards))
    }

    async fn create_missing(&self, rows: &Rows, listed: &Listed) -> Result<usize, StoreError> {
        let mut listed = listed.clone();
        let start = self.start(rows, &mut listed).await?;
        let mut waves = lineage::missing(
            Known {
                rows,
                listed: &listed,
            },
            &start,
        );
        if lineage::rests_on_absence(
            Known {
                rows,
                listed: &listed,
            },
            &waves,
        ) {
            listed.extend(self.list(None).await?);
            waves = lineage::missing(
                Known {
                    rows,
                    listed: &listed,
                },
                &start,
            );
        }
        self.create(waves).await
    }

    /// Where shards start that nobody has read: asked for only if there is such a shard.
    async fn start(&self, rows: &Rows, listed: &mut Listed) -> Result<Start, StoreError> {
        let time = match self.initial_position {
            InitialPosition::TrimHorizon => return Ok(Start::TrimHorizon),
            InitialPosition::Latest => self.env.wall(),
            InitialPosition::AtTimestamp(time) => time,
        };
        if !lineage::needs_start(Known { rows, listed }) {
            return Ok(Start::At {
                time,
                covering: BTreeSet::new(),
            });
        }
        let time = self.store.fix_start(time).await?;
        let open_since = self.list(Some(time)).await?;
        let covering = open_since.keys().cloned().collect();
        // This list is the newer one. A shard that was split in between is in the older alone, and
        // its children in the newer alone: neither would get a row until the next sync.
        listed.extend(open_since);
        Ok(Start::At { time, covering })
    }

    async fn create(&self, waves: Vec<Vec<LeaseRow>>) -> Result<usize, StoreError> {
        let mut created = 0;
        for wave in waves {
            let mut outcomes = stream::iter(wave)
                .map(|row| async move {
                    let outcome = self.store.create_lease(&row).await?;
                    if outcome == Outcome::Applied(()) {
                        self.events.emit(&Event::LeaseCreated {
                            shard: row.shard,
                            checkpoint: row.checkpoint,
                        });
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

    async fn clean_up(&self, rows: &Rows, listed: &Listed) -> Result<(), StoreError> {
        let removable = cleanup::removable(rows, listed);
        if removable.is_empty() || planted!(NeverCleansUp) {
            return Ok(());
        }
        // One odd list must not pass for proof that a shard is gone.
        let again = self.list(None).await?;
        for (shard, counter) in removable
            .into_iter()
            .filter(|(id, _)| !again.contains_key(id) || planted!(CleansUpEarly))
        {
            if self.store.remove_ended(&shard, counter).await? == Outcome::Applied(()) {
                self.events.emit(&Event::LeaseRemoved { shard });
            }
        }
        Ok(())
    }
}

fn by_id(shards: Vec<Shard>) -> Listed {
    shards
        .into_iter()
        .map(|shard| (shard.id.clone(), shard))
        .collect()
}

pub(crate) fn as_store_error(error: Error) -> StoreError {
    if error.kind() == ErrorKind::Unavailable {
        StoreError::Unavailable(error)
    } else {
        StoreError::Fatal(error)
    }
}
