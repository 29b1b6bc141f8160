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
use kcl_core::event::{Event, Events, Failure};
use kcl_core::model::{InitialPosition, ShardId, StreamName};
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
use crate::tracked::{Listed, Tracked};
use crate::trouble::Trouble;

/// Lists the shards and makes the rows that are missing.
#[derive(Debug)]
pub(crate) struct Sync<S, L> {
    pub(crate) store: Arc<S>,
    pub(crate) shards: Arc<L>,
    pub(crate) settings: LeaseSettings,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) env: Env,
    pub(crate) events: Events,
    /// Of each stream, the shards that are missing and those that were told as forgotten.
    pub(crate) forgotten: BTreeMap<StreamName, Forgotten>,
    /// Of several streams, those that were told as failed.
    pub(crate) failed: BTreeSet<StreamName>,
}

/// Every row of a shard, by shard.
type Rows = BTreeMap<ShardId, LeaseRow>;
/// The shards of each stream, as listed at the start.
pub(crate) type Lists = BTreeMap<StreamName, Listed>;

/// A bell that does not stop ringing is answered this often per scan interval at most.
const PASSES_PER_SCAN: u32 = 4;

/// Why a pass is not whole.
enum Fault {
    Store(StoreError),
    /// A stream cannot be listed.
    List(Error),
    /// The table is not one that this worker can use.
    Table(Error),
}

impl From<StoreError> for Fault {
    fn from(failure: StoreError) -> Self {
        Self::Store(failure)
    }
}

/// No list of shards is older than so many lease times.
const LIST_LEASE_TIMES: u32 = 3;

impl<S: LeaseStore, L: ShardList> Sync<S, L> {
    /// The task. `listed` are lists from before the table was first read; they serve the first
    /// pass if the table has no rows yet.
    pub(crate) async fn run(mut self, listed: Lists) -> Result<(), Error> {
        let mut rng = self.env.rng();
        let mut listed = Some(listed);
        let mut is_rung = true;
        let mut trouble = Trouble::new(self.settings.duration * 3);
        loop {
            let mut pause = self
                .settings
                .sync_interval
                .mul_f64(rng.f64().mul_add(0.2, 0.9));
            let is_on_duty = self.holdings.keeps_watch.load(Ordering::Relaxed)
                || self.holdings.syncs.load(Ordering::Relaxed);
            let passed = if std::mem::take(&mut is_rung) || is_on_duty {
                self.pass(listed.take().unwrap_or_default()).await
            } else {
                Ok(())
            };
            // A stream that cannot be listed is this worker's to try again, whoever keeps the watch.
            is_rung |= !self.failed.is_empty();
            match passed {
                Ok(()) => trouble.over(),
                Err(Fault::Table(error)) => return Err(error),
                Err(fault) => {
                    let failure = match fault {
                        Fault::Store(failure) => failure,
                        Fault::List(error) | Fault::Table(error) => as_store_error(error),
                    };
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

    /// Brings the rows up to date once. Of several streams each on its own: one that cannot be listed does not
    /// keep the others waiting.
    async fn pass(&mut self, mut first: Lists) -> Result<(), Fault> {
        // ORDER: what is known before the rows, so that the rows cannot be older.
        let (mut known, held) = (self.holdings.known(), self.holdings.unfinished());
        // ORDER: rows before shards; see `lineage::Known`.
        let rows = self.rows().await?;
        if !rows.is_empty() {
            first.clear();
        }
        let streams = Tracked::all(&self.holdings.tracker);
        let is_read = |stream: &StreamName| streams.iter().any(|it| it.stream == *stream);
        self.failed.retain(is_read);
        self.forgotten.retain(|stream, _| is_read(stream));
        let mut later = None;
        let mut listed: Vec<(Tracked, Listed)> = Vec::new();
        for tracked in streams {
            let list = match first.remove(&tracked.stream) {
                Some(list) => Ok(list),
                None => self.list(&tracked, None).await,
            };
            match list {
                Ok(list) => listed.push((tracked, list)),
                Err(fault) => later = self.put_off(&tracked, fault)?.or(later),
            }
        }
        let all: Listed = listed.iter().flat_map(|(_, list)| list.clone()).collect();
        let is_listed = |shard: &ShardId| {
            let mut listed = listed.iter();
            listed.any(|(tracked, _)| tracked.qualifier() == shard.stream())
        };
        self.holdings.listed(&all);
        known.retain(is_listed);
        let vanished = known.vanished(&rows, &all);
        let rows = by_stream(rows);
        let none = Rows::new();
        let of = |tracked: &Tracked| rows.get(&tracked.qualifier().cloned()).unwrap_or(&none);
        for (tracked, list) in &listed {
            self.tell_forgotten(tracked, of(tracked), list);
        }
        self.holdings
            .tell_vanished(&vanished)
            .map_err(StoreError::Fatal)?;
        let there: Rows = rows.values().flat_map(|rows| rows.clone()).collect();
        self.holdings
            .miss(&held, &known, |shard| there.contains_key(shard));
        self.holdings.keep_known(&there, &all, is_listed);
        for (tracked, list) in &listed {
            match self.bring_up_to_date(tracked, of(tracked), list).await {
                Ok(()) => {
                    self.failed.remove(&tracked.stream);
                }
                Err(fault) => later = self.put_off(tracked, fault)?.or(later),
            }
        }
        later.map_or(Ok(()), Err)
    }

    /// One of several streams cannot be listed. Answers with what is worth another try at once.
    fn put_off(&mut self, tracked: &Tracked, fault: Fault) -> Result<Option<Fault>, Fault> {
        let error = match fault {
            Fault::List(error) if tracked.is_one_of_several => error,
            Fault::List(_) | Fault::Store(_) | Fault::Table(_) => return Err(fault),
        };
        if error.kind() == ErrorKind::Unavailable {
            return Ok(Some(Fault::List(error)));
        }
        if self.failed.insert(tracked.stream.clone()) {
            self.events.emit(&Event::StreamFailed {
                stream: tracked.stream.clone(),
                error: Failure::from(&error),
            });
        }
        Ok(None)
    }

    async fn bring_up_to_date(
        &self,
        tracked: &Tracked,
        rows: &Rows,
        listed: &Listed,
    ) -> Result<(), Fault> {
        if self.create_missing(tracked, rows, listed).await? > 0 {
            self.holdings.plan.notify_one();
        }
        self.clean_up(tracked, rows, listed).await
    }

    fn tell_forgotten(&mut self, tracked: &Tracked, rows: &Rows, listed: &Listed) {
        let patience = self.settings.duration * LIST_LEASE_TIMES;
        // A list of one stream says nothing of the others'.
        let forgotten = self.forgotten.entry(tracked.stream.clone()).or_default();
        for row in forgotten.judge(rows, listed, Instant::now(), patience) {
            self.events.emit(&Event::ShardForgotten {
                shard: row.shard.clone(),
                checkpoint: row.checkpoint.clone(),
            });
        }
    }

    async fn rows(&self) -> Result<Rows, Fault> {
        let all = self.store.scan(Freshness::Consistent).await?;
        let leases = all.into_iter().filter_map(|row| match row {
            Row::Lease(row) => Some((row.shard.clone(), row)),
            Row::Worker(_) | Row::Start(_) | Row::Watch(_) | Row::Streams(_) => None,
        });
        let rows: Rows = leases.collect();
        let has_several = self.holdings.tracker.single().is_none();
        match rows
            .keys()
            .find(|shard| shard.stream().is_some() != has_several)
        {
            Some(other) => Err(Fault::Table(wrong_table(other))),
            None => Ok(rows),
        }
    }

    async fn list(
        &self,
        tracked: &Tracked,
        open_since: Option<std::time::SystemTime>,
    ) -> Result<Listed, Fault> {
        let listed = tracked.list(self.shards.as_ref(), open_since).await;
        listed.map_err(Fault::List)
    }

    async fn create_missing(
        &self,
        tracked: &Tracked,
        rows: &Rows,
        listed: &Listed,
    ) -> Result<usize, Fault> {
        let mut listed = listed.clone();
        let start = self.start(tracked, rows, &mut listed).await?;
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
            listed.extend(self.list(tracked, None).await?);
            waves = lineage::missing(
                Known {
                    rows,
                    listed: &listed,
                },
                &start,
            );
        }
        Ok(self.create(waves).await?)
    }

    /// Where shards start that nobody has read: asked for only if there is such a shard.
    async fn start(
        &self,
        tracked: &Tracked,
        rows: &Rows,
        listed: &mut Listed,
    ) -> Result<Start, Fault> {
        let time = match tracked.initial_position {
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
        let time = if tracked.initial_position == InitialPosition::Latest {
            let reached = tracked.reached(self.shards.as_ref(), listed, time).await;
            reached.map_err(Fault::List)?
        } else {
            time
        };
        let time = self.store.fix_start(tracked.qualifier(), time).await?;
        let open_since = self.list(tracked, Some(time)).await?;
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

    async fn clean_up(&self, tracked: &Tracked, rows: &Rows, listed: &Listed) -> Result<(), Fault> {
        let removable = cleanup::removable(rows, listed);
        if removable.is_empty() || planted!(NeverCleansUp) {
            return Ok(());
        }
        // One odd list must not pass for proof that a shard is gone.
        let again = self.list(tracked, None).await?;
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

/// The rows of each stream.
fn by_stream(rows: Rows) -> BTreeMap<Option<StreamName>, Rows> {
    let mut of_streams: BTreeMap<_, Rows> = BTreeMap::new();
    for (shard, row) in rows {
        let of_stream = of_streams.entry(shard.stream().cloned()).or_default();
        of_stream.insert(shard, row);
    }
    of_streams
}

/// An application that reads one stream does not know of which stream its leases are.
fn wrong_table(other: &ShardId) -> Error {
    let (has, reads) = match other.stream() {
        Some(_) => ("of several streams", "one stream"),
        None => ("of one stream", "several"),
    };
    let message =
        format!("the lease table is {has} (it has {other}), and this worker reads {reads}");
    Error::new(ErrorKind::Invalid, message).with_hint(
        "an application is either of one stream (Worker::builder) or of several \
         (Worker::builder_for_streams): give one of them another name",
    )
}

pub(crate) fn as_store_error(error: Error) -> StoreError {
    if error.kind() == ErrorKind::Unavailable {
        StoreError::Unavailable(error)
    } else {
        StoreError::Fatal(error)
    }
}
