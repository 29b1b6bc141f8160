//! The keeper: one task that proves this worker's life and tells every grant how long it holds.
//!
//! It awaits nothing but its own row, through a client of its own, so neither a slow scan nor a
//! thousand takes can make the worker look dead.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::{Event, Events, Failure};
use kcl_core::model::WorkerId;
use kcl_core::planted;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::holdings::{Holdings, Phase};
use crate::row::{Capacity, Incarnation, StreamSetKey, WorkerKey, WorkerRow};
use crate::settings::LeaseSettings;
use crate::store::{LeaseStore, Outcome, StoreError};

/// Renews the worker row for as long as the worker runs, under as many incarnations as it takes.
#[derive(Debug)]
pub(crate) struct Keeper<S> {
    pub(crate) store: Arc<S>,
    pub(crate) settings: LeaseSettings,
    pub(crate) worker: WorkerId,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) rng: fastrand::Rng,
    pub(crate) events: Events,
}

/// A life that has just begun.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) key: WorkerKey,
    /// A moment before the row was sent.
    pub(crate) sent: Instant,
    says: Says,
}

/// How a life ended.
enum End {
    /// It could not be proven in time, or somebody declared it over.
    Dead(Option<StoreError>),
    /// The worker stops.
    Stopped,
}

/// What the row is known to say, and what is not known.
struct Pulse {
    key: WorkerKey,
    counter: u64,
    until: Instant,
    due: Instant,
    /// When the first renewal of this counter was sent that got no answer. If it turns out to have
    /// been applied, life counts from there.
    unanswered: Option<Instant>,
    /// What the row says beside the counter.
    told: Says,
    failure: Option<StoreError>,
}

/// What the others must know of this worker, and what may change while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Says {
    /// That it leaves.
    leaving: bool,
    /// Which streams it reads.
    serves: Option<StreamSetKey>,
}

impl<S: LeaseStore> Keeper<S> {
    /// Tells of a new life.
    pub(crate) fn joined(&self, joined: &Joined) {
        let life = joined.key.incarnation.to_string();
        self.events.emit(&Event::WorkerJoined { life });
    }

    /// Makes the row of a new life. Sent again until its fate is known, but not for ever.
    pub(crate) async fn join(&mut self) -> Result<Joined, StoreError> {
        let incarnation = Incarnation::random(&mut self.rng);
        let key = WorkerKey {
            worker: self.worker.clone(),
            incarnation,
        };
        let says = self.says();
        let row = WorkerRow {
            key: key.clone(),
            counter: 0,
            leaving: says.leaving,
            lease_time: self.settings.duration,
            leases_max: self.settings.leases_max,
            capacity: Some(Capacity::new(self.settings.capacity)),
            load: self.settings.by_load().then_some(0),
            serves: says.serves,
        };
        let sent = Instant::now();
        loop {
            match self.store.join(&row).await {
                // Refused by our own row: an earlier copy of the request was applied.
                Ok(Outcome::Applied(()) | Outcome::Refused(Some(_))) => {
                    return Ok(Joined {
                        key,
                        sent,
                        says: Says {
                            leaving: row.leaving,
                            serves: row.serves,
                        },
                    });
                }
                Ok(Outcome::Refused(None)) => {}
                Err(StoreError::Unavailable(_)) if sent.elapsed() < self.settings.renew_every() => {
                }
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(self.retry_pause()).await;
        }
    }

    /// The task. Ends with the worker, or with the reason why it cannot go on.
    pub(crate) async fn run(mut self, first: Joined) -> Result<(), Error> {
        let mut joined = first;
        loop {
            self.holdings
                .begin(joined.key.clone(), joined.sent + self.settings.hold_for());
            let end = self.live(&joined).await;
            if let End::Dead(failure) = &end {
                self.events.emit(&Event::LifeLost {
                    life: joined.key.incarnation.to_string(),
                    error: failure
                        .as_ref()
                        .map(|failure| Failure::from(failure.error())),
                });
                self.holdings.end_life();
            }
            match end {
                // What was dropped is still known, for the planner to give back.
                End::Stopped => return Ok(()),
                End::Dead(Some(StoreError::Fatal(_))) if planted!(MakesLostTable) => {
                    self.store
                        .ensure_table()
                        .await
                        .map_err(StoreError::into_error)?;
                }
                End::Dead(Some(StoreError::Fatal(error))) => return Err(error),
                End::Dead(_) => {}
            }
            match self.rejoin(&joined.key).await? {
                Some(next) => {
                    self.joined(&next);
                    joined = next;
                }
                None => return Ok(()),
            }
        }
    }

    /// Comes back under a new name. Nothing if the worker stops meanwhile.
    async fn rejoin(&mut self, dead: &WorkerKey) -> Result<Option<Joined>, Error> {
        loop {
            if *self.phase.borrow() == Phase::Stopped {
                return Ok(None);
            }
            // We know best that it is over; nobody needs to watch the row for a whole lease time.
            if let Err(failure) = self.store.leave(dead).await {
                tracing::debug!(worker = %dead, error = %failure.into_error(), "the row of a past life stays until others evict it");
            }
            match self.join().await {
                Ok(joined) => {
                    // A life that ended may have ended with the table.
                    self.holdings.sync.notify_one();
                    return Ok(Some(joined));
                }
                Err(StoreError::Fatal(error)) => return Err(error),
                Err(StoreError::Unavailable(error)) => {
                    tracing::warn!(worker = %self.worker, %error, "cannot join again yet");
                }
            }
            let pause = sleep_until(Instant::now() + self.settings.renew_every());
            tokio::select! {
                biased;
                changed = self.phase.changed() => if changed.is_err() { return Ok(None) },
                () = pause => {}
            }
        }
    }

    async fn live(&mut self, joined: &Joined) -> End {
        let mut pulse = Pulse {
            key: joined.key.clone(),
            counter: 0,
            until: joined.sent + self.settings.hold_for(),
            due: joined.sent + self.settings.renew_every(),
            unanswered: None,
            told: joined.says.clone(),
            failure: None,
        };
        loop {
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Stopped {
                return End::Stopped;
            }
            let says = self.says();
            if says == pulse.told {
                let stop = tokio::select! {
                    biased;
                    changed = self.phase.changed() => Some(changed.is_err()),
                    () = self.holdings.declare.notified() => Some(false),
                    () = sleep_until(pulse.due.min(pulse.until)) => None,
                };
                match stop {
                    Some(true) => return End::Stopped,
                    Some(false) => continue,
                    None => {}
                }
            }
            // After a stall this is the first line to run: what was held is over.
            if Instant::now() >= pulse.until {
                return End::Dead(pulse.failure);
            }
            if let Err(end) = self.renew(&mut pulse, says).await {
                return end;
            }
        }
    }

    /// What the row is to say now.
    fn says(&self) -> Says {
        Says {
            leaving: *self.phase.borrow() != Phase::Sharing,
            serves: self.holdings.declared(),
        }
    }

    async fn renew(&self, pulse: &mut Pulse, says: Says) -> Result<(), End> {
        let sent = Instant::now();
        let first_sent = *pulse.unanswered.get_or_insert(sent);
        let load = self.holdings.measure(sent);
        let load = self.settings.by_load().then_some(load);
        let serves = says.serves.as_ref();
        let renewal = self
            .store
            .renew(&pulse.key, pulse.counter, says.leaving, load, serves);
        let Ok(outcome) = timeout_at(pulse.until, renewal).await else {
            return Err(End::Dead(pulse.failure.take()));
        };
        match outcome {
            Ok(Outcome::Applied(())) => {
                self.told(pulse, says);
                self.proven(pulse, sent, sent);
            }
            // Only this worker writes this counter: an earlier copy of the renewal was applied,
            // at the earliest when the first one was sent.
            Ok(Outcome::Refused(Some(row))) if row.counter == pulse.counter + 1 => {
                let says = Says {
                    leaving: row.leaving,
                    serves: row.serves,
                };
                self.told(pulse, says);
                self.proven(pulse, first_sent, sent);
            }
            Ok(Outcome::Refused(_)) if planted!(IgnoresRefusedRenewal) => {
                self.holdings.prolong(sent + self.settings.hold_for());
                pulse.until = sent + self.settings.hold_for();
                pulse.due = sent + self.settings.renew_every();
            }
            Ok(Outcome::Refused(_)) => return Err(End::Dead(None)),
            Err(failure) => {
                self.events.emit(&Event::RenewalFailed {
                    took: sent.elapsed(),
                    error: Failure::from(failure.error()),
                });
                let gone = matches!(&failure, StoreError::Fatal(error) if error.kind() == ErrorKind::NotFound);
                pulse.failure = Some(failure);
                if gone {
                    return Err(End::Dead(pulse.failure.take()));
                }
                pulse.due = Instant::now() + self.retry_pause();
                // What could not be said goes with the next try.
                if says != pulse.told {
                    sleep_until(pulse.due.min(pulse.until)).await;
                }
            }
        }
        Ok(())
    }

    /// The row says this. If it is new, the others are to look at it.
    fn told(&self, pulse: &mut Pulse, says: Says) {
        let leaves = says.leaving && !pulse.told.leaving;
        if leaves || says.serves != pulse.told.serves {
            self.holdings.has_news.store(true, Ordering::Relaxed);
            self.holdings.plan.notify_one();
        }
        pulse.told = says;
    }

    /// Life counts from `at`; the answer is one to what left at `sent`.
    fn proven(&self, pulse: &mut Pulse, at: Instant, sent: Instant) {
        let now = Instant::now();
        let left = pulse.until.saturating_duration_since(now);
        self.events.emit(&Event::LifeRenewed {
            took: now.duration_since(sent),
            left,
            late: left < self.settings.renew_every(),
        });
        pulse.counter += 1;
        pulse.unanswered = None;
        pulse.failure = None;
        let at = if planted!(StampsRenewalAfterReply) {
            now
        } else {
            at
        };
        pulse.until = at + self.settings.hold_for();
        pulse.due = at + self.settings.renew_every();
        self.holdings.prolong(pulse.until);
    }

    fn retry_pause(&self) -> Duration {
        if planted!(StormsOnFailure) {
            return Duration::ZERO;
        }
        self.settings.duration / 50
    }
}
