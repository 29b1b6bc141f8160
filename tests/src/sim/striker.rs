//! Makes happen what the plan says: when its time comes, or at the first critical moment after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kinesis_emulator::Clock;
use tokio::sync::{RwLock, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use super::clock::Calendar;
use super::history::{Event, History, Process};
use super::net::Net;
use super::scenario::{Blow, Incident, Planned};
use super::stream::Stream;
use super::strike::Strike;
use super::worker::Command;

/// A day and an hour: nothing is kept for so long.
const DAY: Duration = Duration::from_secs(25 * 60 * 60);

/// How often the operator looks at what the workers say, and how long he takes to act on it.
const OPERATOR_LOOKS: Duration = Duration::from_secs(4);

/// The hand that strikes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Striker {
    /// Where it is written down.
    pub history: History,
    /// What is disturbed.
    pub net: Net,
    /// What is split and merged.
    pub stream: Stream,
    /// The services' clock, and the calendar of all.
    pub clocks: (Clock, Calendar),
    /// Who is stopped, killed and frozen.
    pub commands: BTreeMap<u8, mpsc::Sender<Command>>,
    /// Shared by reshards, and alone by a day that passes: one that is under way closes its shards before or after it.
    pub reshards: Arc<RwLock<()>>,
    /// Until when the operator acts on what he is told: workers name one lost shard after the other.
    pub on_call: Instant,
}

impl Striker {
    /// Performs one incident, or gives up waiting for its moment at `until`.
    ///
    /// # Errors
    /// If the experiment itself fails.
    pub async fn perform(
        self,
        planned: Planned,
        mut rng: Rng,
        until: Instant,
    ) -> Result<(), String> {
        let mut whom = None;
        if let Some(moment) = planned.when {
            let told = self.history.lie_in_wait(moment, None);
            let latest = until - planned.incident.needs();
            match timeout_at(latest, told).await {
                Ok(process) => whom = process.ok(),
                Err(_elapsed) => return Ok(()),
            }
            // What freezes thaws before the end of all incidents.
            if Instant::now() >= latest {
                return Ok(());
            }
        }
        let incident = &planned.incident;
        let text = format!("{incident:?} when {:?}", planned.when);
        self.history.add(Event::Incident(text));
        match *incident {
            Incident::Worker { worker, blow } => self.strike(worker, whom, blow, until),
            Incident::Outage { side, cut, length } => {
                self.struck(Strike::Outage, None);
                for worker in self.commands.keys() {
                    self.net.cut(*worker, side, cut, length);
                }
            }
            Incident::Theft { leases } => {
                self.struck(Strike::Theft, None);
                self.net.steal(leases, &mut rng).await?;
            }
            Incident::Burial { worker } => {
                let worker = whom.map_or(worker, |process| process.worker);
                let running = self.history.read(|oracle| oracle.ledger().running(worker));
                if let Some(process) = running {
                    self.struck(Strike::Burial, Some(process));
                    self.net.bury(process).await?;
                }
            }
            Incident::RowDeleted => {
                if self.net.delete_row(whom).await? {
                    self.struck(Strike::RowDeleted, None);
                }
            }
            Incident::TableDeleted => {
                // Told before, as it is while all is still there.
                self.struck(Strike::TableDeleted, None);
                self.net.delete_table().await?;
            }
            Incident::Day => {
                self.struck(Strike::Day, None);
                let alone = self.reshards.write().await;
                self.stream.settle_all().await?;
                self.pass_a_day().await;
                drop(alone);
                self.clean_up_after_losses().await?;
            }
            Incident::Split(place) => {
                self.struck(Strike::Reshard, None);
                self.reshard(place, true).await;
            }
            Incident::Merge(place) => {
                self.struck(Strike::Reshard, None);
                self.reshard(place, false).await;
            }
            Incident::Storm { reshards } => {
                self.struck(Strike::Storm, None);
                for _ in 0..reshards {
                    if Instant::now() < until {
                        self.reshard(rng.u8(..), rng.u8(..3) > 0).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// All sleep for a day: no worker's clock moves but the one on the wall.
    async fn pass_a_day(&self) {
        self.net.refresh().await;
        let (clock, calendar) = &self.clocks;
        clock.advance(DAY);
        calendar.pass(DAY);
        self.history.add(Event::DayPassed { by: DAY });
    }

    /// Where a shard is gone before it was read, the workers say so, and go on without it only once somebody
    /// deletes its lease, as `docs/gaps.md` has it.
    async fn clean_up_after_losses(&self) -> Result<(), String> {
        while Instant::now() + OPERATOR_LOOKS < self.on_call {
            sleep(OPERATOR_LOOKS).await;
            let lost: Vec<_> = self.history.read(|oracle| {
                let shards = oracle.ledger().shards.iter();
                let lost = shards.filter(|(_, of)| {
                    let is_open = of.row.as_ref().is_some_and(|row| !row.checkpoint.is_end());
                    is_open && of.loss.is_told_forgotten && of.loss.forgotten.is_some()
                });
                lost.map(|(shard, _)| shard.clone()).collect()
            });
            for shard in lost {
                self.net.delete_lease(&shard).await?;
            }
        }
        Ok(())
    }

    fn struck(&self, strike: Strike, process: Option<Process>) {
        self.history.add(Event::Struck { strike, process });
    }

    fn strike(&self, worker: u8, whom: Option<Process>, blow: Blow, until: Instant) {
        let worker = whom.map_or(worker, |process| process.worker);
        let running = self.history.read(|oracle| oracle.ledger().running(worker));
        let Some(process) = running else {
            return;
        };
        self.struck(blow.strike(), Some(process));
        let command = match blow {
            Blow::Kill { back_after } => Command::Kill { back_after },
            Blow::Stop { back_after } | Blow::Deploy { back_after } => Command::Stop { back_after },
            Blow::Freeze { length } => Command::Freeze {
                length: length.min(until.saturating_duration_since(Instant::now())),
            },
            Blow::ClockJump { by } => Command::ClockJump { by },
            Blow::Cut { side, cut, length } => return self.net.cut(worker, side, cut, length),
        };
        if let Some(commands) = self.commands.get(&worker)
            && commands.try_send(command).is_err()
        {
            let text = "skipped: the supervisor is busy".to_owned();
            self.history.add(Event::Incident(text));
        }
    }

    async fn reshard(&self, place: u8, is_split: bool) {
        let _among_others = self.reshards.read().await;
        let done = if is_split {
            self.stream.split(place).await
        } else {
            self.stream.merge(place).await
        };
        let text = format!("resharded {done}");
        self.history.add(Event::Incident(text));
        self.net.refresh().await;
    }
}
