//! The look: one task that reads the table, takes what this worker should have, and keeps the tenures.
//!
//! What to take is decided in `taker`; nothing rests on how fresh a read is, because each take is refused
//! if the lease is not as it was seen.

use futures::StreamExt as _;
use futures::stream;
use kcl_core::env::Env;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::WorkerId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::row::{JavaRow, Row, Version};
use super::settings::JavaFleet;
use super::taker::{self, Limits, Why};
use super::tenure::{Common, Tenure};
use super::view::Observer;
use crate::holdings::Phase;
use crate::store::{Freshness, Outcome, StoreError};
use crate::trouble::Trouble;

/// Reads the table, takes leases, joins their tenures.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) common: Common,
    pub(crate) observer: Observer,
    pub(crate) tenures: JoinSet<()>,
    pub(crate) rng: fastrand::Rng,
    pub(crate) env: Env,
}

/// A lease to take, as it was seen.
#[derive(Debug)]
struct Pick {
    row: JavaRow,
    why: Why,
}

/// A bell that does not stop ringing is answered this often per failover time at most.
const LOOKS_PER_FAILOVER: u32 = 20;

impl Look {
    /// The task. Ends with the worker, when every lease is given back, or with the reason why it cannot go on.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut trouble = Trouble::new(self.common.settings.failover * 3);
        let mut is_rung = false;
        loop {
            let phase = *self.common.phase.borrow_and_update();
            match phase {
                Phase::Sharing => match self.turn(is_rung).await? {
                    Ok(()) => trouble.over(),
                    Err(failure) => trouble.weigh("the lease table cannot be read", failure)?,
                },
                Phase::Leaving => {}
                Phase::Stopped => {
                    // Each gives its lease back by itself.
                    while self.tenures.join_next().await.is_some() {}
                    return Ok(());
                }
            }
            is_rung = self.rest(phase).await;
        }
    }

    /// Waits for the next look. Tells whether something asked for it.
    async fn rest(&mut self, phase: Phase) -> bool {
        let settings = &self.common.settings;
        let jitter = self.rng.f64().mul_add(0.1, 0.95);
        let next = Instant::now() + settings.look_every().mul_f64(jitter);
        let floor = Instant::now() + settings.failover / LOOKS_PER_FAILOVER;
        let holdings = &self.common.holdings;
        loop {
            tokio::select! {
                biased;
                _ = self.common.phase.changed() => return true,
                Some(_) = self.tenures.join_next() => {}
                () = async {
                    sleep_until(floor).await;
                    holdings.look.notified().await;
                }, if phase == Phase::Sharing => return true,
                () = sleep_until(next) => return false,
            }
        }
    }

    /// One look and what follows. The outer error is one that waiting cannot cure.
    async fn turn(&mut self, is_rung: bool) -> Result<Result<(), StoreError>, Error> {
        let freshness = if is_rung || self.common.settings.consistent_reads {
            Freshness::Consistent
        } else {
            Freshness::Eventual
        };
        let fleet = self.common.settings.fleet;
        if fleet == JavaFleet::V3
            && let Some(found) = self.named().await.transpose()
        {
            return Ok(match found {
                Ok(rows) => {
                    self.pick_up(rows).await;
                    Ok(())
                }
                Err(failure) => Err(failure),
            });
        }
        let rows = match self.common.table.scan(freshness).await {
            Ok(rows) => rows,
            Err(failure) => return Ok(Err(failure)),
        };
        let after = Instant::now();
        let leases = leases(rows, fleet)?;
        match fleet {
            JavaFleet::V2 => self.take_own_share(leases, after, is_rung).await,
            JavaFleet::V3 => self.pick_up(leases).await,
        }
        Ok(Ok(()))
    }

    /// The leases that name this worker and are not held, by the KCL's index. Nothing if there is none.
    async fn named(&self) -> Result<Option<Vec<JavaRow>>, StoreError> {
        let (table, me) = (&self.common.table, &self.common.me);
        let Some(shards) = table.named(me).await? else {
            return Ok(None);
        };
        let held = self.common.holdings.held();
        let mut rows = Vec::new();
        for shard in shards.iter().filter(|shard| !held.contains(*shard)) {
            rows.extend(table.read(shard).await?);
        }
        Ok(Some(rows))
    }

    /// Takes what a leader has assigned to this worker, and nobody has to hand over any more.
    async fn pick_up(&mut self, leases: Vec<JavaRow>) {
        let (me, held) = (&self.common.me, self.common.holdings.held());
        let is_assigned = |row: &JavaRow| row.named() == Some(me) && !row.is_handed_over();
        let picks = leases
            .into_iter()
            .filter(|row| is_assigned(row) && !held.contains(&row.lease.shard));
        let picks = picks.map(|row| Pick {
            row,
            why: Why::Ours,
        });
        self.take(picks.collect()).await;
    }

    async fn take_own_share(&mut self, leases: Vec<JavaRow>, after: Instant, is_rung: bool) {
        let settings = &self.common.settings;
        let limits = Limits {
            failover: settings.failover,
            leases_max: settings.leases_max.map_or(usize::MAX, |max| max as usize),
            // From the living only at the regular pace: they are to settle in between.
            steals_max: if is_rung {
                0
            } else {
                settings.steals_max as usize
            },
        };
        let held = self.common.holdings.held();
        let view = self.observer.observe(leases, after);
        let picks = taker::picks(view, &self.common.me, &held, limits, after, &mut self.rng);
        let picks = picks.into_iter().filter_map(|(shard, why)| {
            let row = view.get(&shard)?.row.clone();
            Some(Pick { row, why })
        });
        let picks = picks.collect();
        self.take(picks).await;
    }

    /// Takes leases, each as it was seen.
    async fn take(&mut self, picks: Vec<Pick>) {
        let common = &self.common;
        let mut taken = stream::iter(picks)
            .map(|pick| async move {
                let sent = Instant::now();
                let outcome = take(common, &pick.row).await;
                (outcome, pick, sent)
            })
            .buffer_unordered(common.settings.writes_at_once);
        // Each tenure begins as soon as it is there.
        while let Some((outcome, pick, sent)) = taken.next().await {
            let shard = &pick.row.lease.shard;
            match outcome {
                Ok(Some(row)) => {
                    tracing::info!(%shard, counter = row.lease.counter, why = reason(pick.why), "lease taken");
                    let tenure = Tenure::new(common.clone(), row, sent);
                    self.tenures.spawn(self.env.task(tenure.run()));
                }
                Ok(None) => {}
                Err(failure) => {
                    tracing::warn!(%shard, error = %failure.into_error(), "cannot take a lease yet");
                }
            }
        }
    }
}

/// The leases among the rows. An error if the fleet follows another protocol than this worker.
pub(crate) fn leases(rows: Vec<Row>, fleet: JavaFleet) -> Result<Vec<JavaRow>, Error> {
    let mut leases = Vec::new();
    for row in rows {
        match (row, fleet) {
            (Row::Lease(row), _) => leases.push(*row),
            (Row::Native(key), _) => return Err(native(&key)),
            (Row::Version(Version::Led), JavaFleet::V2)
            | (Row::Version(Version::Taking), JavaFleet::V3) => return Err(wrong_fleet(fleet)),
            (Row::Version(Version::Led), JavaFleet::V3)
            | (Row::Version(Version::Taking), JavaFleet::V2)
            | (Row::Lock(_) | Row::Report(_), _) => {}
        }
    }
    Ok(leases)
}

/// The table says that the fleet follows the other protocol.
pub(crate) fn wrong_fleet(fleet: JavaFleet) -> Error {
    let (told, other) = match fleet {
        JavaFleet::V2 => ("each worker takes leases for itself", "V3"),
        JavaFleet::V3 => ("a leader assigns leases", "V2"),
    };
    let message = format!("this worker is told that {told}, and the table says otherwise");
    Error::new(ErrorKind::Invalid, message).with_hint(format!(
        "the row Migration3.0 says so, or its absence beside leases: set `JavaSettings::fleet` to `JavaFleet::{other}`, or finish the migration of the Java workers first"
    ))
}

/// A worker of the other protocol of this library would take these leases, and these workers its.
pub(crate) fn native(key: &str) -> Error {
    let message = format!("the row {key:?} is of a worker that does not share tables with Java");
    Error::new(ErrorKind::Invalid, message).with_hint(
        "stop all workers with `DynamoLeases` first; if none runs, one died and this row can be deleted",
    )
}

const fn reason(why: Why) -> &'static str {
    match why {
        Why::Ours => "it is ours by the table, and nobody here reads it",
        Why::Free => "nobody has it, or it stands still",
        Why::Stolen => "its worker has more than others",
    }
}

/// Takes one lease. Nothing if it is not to be had after all.
async fn take(common: &Common, seen: &JavaRow) -> Result<Option<JavaRow>, StoreError> {
    match common.table.take(seen, &common.me).await? {
        Outcome::Applied(row) => Ok(Some(row)),
        // An earlier copy of this very request was applied.
        Outcome::Refused(Some(row)) if is_taken(seen, &row, &common.me) => Ok(Some(row)),
        Outcome::Refused(_) => Ok(None),
    }
}

fn is_taken(seen: &JavaRow, found: &JavaRow, me: &WorkerId) -> bool {
    let step = if seen.named() == Some(me) { 2 } else { 1 };
    found.holder() == Some(me) && found.lease.counter == seen.lease.counter + step
}
