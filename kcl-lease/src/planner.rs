//! The planner: one task that reads the table, plans, and carries the plan out.
//!
//! One worker of all keeps the watch and reads the table every interval; the others read two rows, and the
//! table only when something is new, see [`plan::watch`](crate::plan::watch).
//!
//! It decides nothing itself (`plan` does) and nothing rests on how fresh its reads are: each write
//! it sends is refused if the row is not as it was seen.

mod balancing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use kcl_core::error::Error;
use kcl_core::event::{Event, Events, Failure, HandOverReason};
use kcl_core::model::{Epoch, HashKeyRange, Shard, ShardId};
use kcl_core::planted;
use kcl_core::port::Grant;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

pub(crate) mod streams;

pub(crate) use self::balancing::Balancing;
use self::balancing::owed_for;
use self::streams::changed;
use crate::holdings::{Begin, Holdings, Life, Phase};
use crate::plan::classes::Reads;
use crate::plan::view::{Observer, View};
use crate::plan::watch::{Duty, Watching};
use crate::plan::{self, Me, Pick, Plan};
use crate::right::{LeaseRight, Retry};
use crate::row::{Fence, LeaseRow, Parting, Row, WorkerKey};
use crate::settings::LeaseSettings;
use crate::store::{Freshness, LeaseStore, Outcome, StoreError, Take};
use crate::trouble::Trouble;

/// Scans, plans, evicts, takes and hands over.
#[derive(Debug)]
pub(crate) struct Planner<S: LeaseStore> {
    pub(crate) store: Arc<S>,
    pub(crate) settings: LeaseSettings,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) grants: mpsc::Sender<Grant>,
    pub(crate) rng: fastrand::Rng,
    pub(crate) observer: Observer,
    /// The children without a row that the sync was last rung for.
    pub(crate) rung_for: BTreeSet<ShardId>,
    pub(crate) watching: Watching,
    pub(crate) balance: Balancing,
    /// Rings when the streams change, if there may be several.
    pub(crate) changes: Option<Arc<Notify>>,
    /// Who keeps the watch, as last seen.
    pub(crate) watch: Option<WorkerKey>,
    /// The term in which this worker keeps the watch, if it does.
    pub(crate) term: Option<u64>,
    /// When it last told that it does.
    pub(crate) kept: Option<Instant>,
    pub(crate) pace: Pace,
    /// Whether the others must be told to look.
    pub(crate) must_ring: bool,
    /// The life they were last told of.
    pub(crate) life: Option<WorkerKey>,
    pub(crate) events: Events,
}

/// How often this worker looks at the table.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Whether it need not look until something changes.
    is_settled: bool,
    /// Since when leases are about to come free for it, if they are.
    expects_since: Option<Instant>,
}

/// For so many scans a worker looks often for leases that are about to come free. Who gives them away is done by then,
/// or does not answer, and looking often does not bring him back.
const OFTEN_SCANS: u32 = 3;
/// An offer that stands for so many scans goes to the next in line.
const OFFER_SCANS: u32 = 3;
/// Who let an offer stand is passed over for so many lease times.
const REST_LEASE_TIMES: u32 = 3;
/// A set of streams that no worker referred to for so many lease times goes.
const UNUSED_LEASE_TIMES: u32 = 3;
/// Who keeps the watch and has not looked for so many lease times has lost it.
const WATCH_LEASE_TIMES: u32 = 1;

impl<S: LeaseStore> Planner<S> {
    /// The task. Ends with the worker, or with the reason why it cannot go on.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut trouble = Trouble::new(self.settings.duration * 3);
        let mut is_rung = true;
        loop {
            let phase = *self.phase.borrow_and_update();
            let next = match self.turn(phase, is_rung).await {
                Ok(next) => {
                    trouble.over();
                    next
                }
                Err(failure) => {
                    trouble.weigh("the lease table cannot be read", failure)?;
                    Instant::now() + self.settings.scan_every()
                }
            };
            if phase == Phase::Stopped {
                return Ok(());
            }
            let woken = tokio::select! {
                biased;
                changed = self.phase.changed() => changed.ok().map(|()| true),
                () = self.holdings.plan.notified() => Some(true),
                () = changed(self.changes.as_deref()) => {
                    self.holdings.sync.notify_one();
                    Some(true)
                }
                () = sleep_until(next) => Some(false),
            };
            match woken {
                Some(rung) => is_rung = rung,
                None => return Ok(()),
            }
        }
    }

    /// Looks at the table if that is due. Answers when to come back.
    async fn turn(&mut self, phase: Phase, is_rung: bool) -> Result<Instant, StoreError> {
        // What we were rung for stays due until a look has succeeded.
        self.pace.is_settled &= !is_rung;
        self.release_orphans().await?;
        let Some(life) = self.holdings.life().filter(|_| phase != Phase::Stopped) else {
            return Ok(Instant::now() + self.settings.scan_every());
        };
        let is_new = self.life.as_ref() != Some(&life.key);
        let has_news = self.holdings.has_news.swap(false, Ordering::Relaxed);
        if is_new || has_news {
            self.life = Some(life.key.clone());
            self.must_ring = true;
        }
        let silent = self.silent_readers();
        self.declare_streams().await?;
        let (duty, bell) = self.consult(&life, phase).await?;
        self.ring_if_due().await;
        let must_look = !silent.is_empty() || self.reads_too_much();
        let freshness = match duty {
            Duty::Rest(at) if self.pace.is_settled && !must_look => {
                return Ok(at.min(self.after_a_scan()));
            }
            Duty::Keep if !is_rung && !self.settings.consistent_scans => Freshness::Eventual,
            // What it was rung for is a write, which an old read would not show; and who goes to rest on an old
            // read may miss its part for good.
            Duty::Keep | Duty::Claim(_) | Duty::Look | Duty::Rest(_) => Freshness::Consistent,
        };
        let me = self.me(&life, phase, silent);
        let next = self.pass(&life, me, (freshness, is_rung)).await?;
        if let Some(bell) = bell {
            self.watching.heard(bell);
        }
        self.keep_watch().await;
        self.ring_if_due().await;
        Ok(next)
    }

    /// Reads how the watch stands, and claims it if nobody keeps it. With the bell as it stood.
    async fn consult(
        &mut self,
        life: &Life,
        phase: Phase,
    ) -> Result<(Duty, Option<u64>), StoreError> {
        let row = self.store.read_watch().await?;
        let keeper = match &row {
            Some(row) if row.owner != life.key => self.store.read_worker(&row.owner).await?,
            Some(_) | None => None,
        };
        let now = Instant::now();
        let bell = row.as_ref().map(|row| row.bell);
        let mut term = row.as_ref().map(|row| row.term);
        self.balance.mark = row.as_ref().and_then(|row| row.mark);
        let patience = self.settings.duration * WATCH_LEASE_TIMES;
        let mut duty = self
            .watching
            .judge(row.clone(), keeper.as_ref(), &life.key, now, patience);
        if let Duty::Claim(seen) = &duty
            && phase == Phase::Sharing
        {
            // A claim that gets no answer is not sent again here: the next turn shows it.
            match self.store.claim_watch(seen.as_ref(), &life.key).await? {
                Outcome::Applied(row) => {
                    self.events.emit(&Event::WatchClaimed { term: row.term });
                    if let Some((keeper, counter, since)) = self.watching.last_keeper() {
                        self.observer.watched(keeper, counter, since);
                    }
                    term = Some(row.term);
                    duty = Duty::Keep;
                }
                // Somebody else was first.
                Outcome::Refused(_) => duty = Duty::Look,
            }
        }
        self.term = term.filter(|_| duty == Duty::Keep);
        self.watch = match self.term {
            Some(_) => Some(life.key.clone()),
            None => row.map(|row| row.owner),
        };
        self.holdings
            .keeps_watch
            .store(self.term.is_some(), Ordering::Relaxed);
        Ok((duty, bell))
    }

    /// Tells from time to time that the watch is kept, after a look.
    async fn keep_watch(&mut self) {
        let Some(term) = self.term else {
            self.kept = None;
            return;
        };
        let now = Instant::now();
        let due = |at: Instant| now >= at + self.settings.renew_every();
        if !self.kept.is_none_or(due) {
            return;
        }
        match self.store.keep_watch(term, self.balance.own_mark).await {
            Ok(Outcome::Applied(()) | Outcome::Refused(_)) => self.kept = Some(now),
            Err(failure) => {
                tracing::debug!(error = %failure.into_error(), "cannot tell that the watch is kept");
            }
        }
    }

    async fn ring_if_due(&mut self) {
        if self.must_ring && !planted!(NeverRings) {
            match self.store.ring().await {
                Ok(()) => self.must_ring = false,
                Err(failure) => {
                    tracing::debug!(error = %failure.into_error(), "cannot ring for the others yet");
                }
            }
        }
    }

    /// One look at the table and what follows. Answers when to look again.
    async fn pass(
        &mut self,
        life: &Life,
        mut me: Me,
        (freshness, is_rung): (Freshness, bool),
    ) -> Result<Instant, StoreError> {
        let view = self.look(freshness).await?;
        // Shares are counted by what is seen: who counts a lease beside that holds too much, and gives another away.
        me.held.retain(|shard, _| view.leases.contains_key(shard));
        self.holdings
            .saw(view.leases.values().map(|seen| &seen.row));
        for seen in view.leases.values() {
            self.holdings.seen(&seen.row);
        }
        self.see_to_streams(&view).await?;
        let mut plan = plan::plan(&view, &me, Instant::now());
        if self.note_offers(&view, &plan, &me) {
            let view = View {
                idle: self.observer.idle().clone(),
                ..view.clone()
            };
            plan = plan::plan(&view, &me, Instant::now());
        }
        self.give_away(&mut plan);
        self.events.emit(&Event::Planned(plan.counts));
        self.holdings.syncs.store(plan.syncs, Ordering::Relaxed);
        self.ring_for_children(&view);
        if self.term.is_some() && self.watching.is_news(&view) {
            self.must_ring = true;
        }
        // What a change of our own makes free for others, they need not wait for the watch to see.
        self.must_ring |= is_rung && plan.offers.values().any(|to| *to != life.key);
        let dead = self.evict(&plan).await;
        self.must_ring |= !dead.is_empty();
        self.take(life, &plan, &dead).await;
        for shard in &plan.give_up {
            let why = if me.reads.covers(shard.stream()) {
                HandOverReason::Count
            } else {
                HandOverReason::StreamRemoved
            };
            self.hand_over(shard, None, why);
        }
        self.return_what_is_owed();
        // Who is passed over now gets its share later, and nobody rings for that.
        let is_waiting = !self.observer.idle().is_empty();
        self.pace.is_settled = plan.is_settled()
            && freshness == Freshness::Consistent
            && !is_waiting
            && self.balance.owed.is_empty();
        Ok(self.next_look(&plan))
    }

    async fn look(&mut self, freshness: Freshness) -> Result<View, StoreError> {
        // ORDER: what is known before the rows, so that the rows cannot be older.
        let is_consistent = freshness == Freshness::Consistent;
        let known = is_consistent.then(|| (self.holdings.known(), self.holdings.unfinished()));
        let rows = self.store.scan(freshness).await?;
        let after = Instant::now();
        for row in self.holdings.take_written() {
            self.observer.wrote(row, after);
        }
        if let Some((known, held)) = known {
            let leases = rows.iter().filter_map(|row| match row {
                Row::Lease(row) => Some((&row.shard, row)),
                Row::Worker(_) | Row::Start(_) | Row::Watch(_) | Row::Streams(_) => None,
            });
            let leases: BTreeMap<_, _> = leases.collect();
            let replaced = known.replaced(|shard| leases.get(shard).copied());
            self.observer.vanished(&replaced);
            self.holdings
                .tell_vanished(&replaced)
                .map_err(StoreError::Fatal)?;
            // The sync says whether it is all of them, and makes them anew.
            if self
                .holdings
                .miss(&held, &known, |shard| leases.contains_key(shard))
            {
                self.holdings.sync.notify_one();
            }
        }
        Ok(self.observer.observe(rows, after))
    }

    fn me(&self, life: &Life, phase: Phase, silent: BTreeSet<ShardId>) -> Me {
        let threshold = self.settings.load_threshold;
        let own = || self.holdings.own(Instant::now(), threshold);
        Me {
            key: life.key.clone(),
            held: self.holdings.held(),
            taking: phase == Phase::Sharing && !self.grants.is_closed(),
            leases_max: self.settings.leases_max,
            capacity: self.capacity(),
            own: self.settings.by_load().then(own),
            silent,
            reads: self
                .holdings
                .streams()
                .map_or(Reads::Single, Reads::Several),
            watch: self.watch.clone(),
            foreign_patience: self.settings.duration,
        }
    }

    fn note_offers(&mut self, view: &View, plan: &Plan, me: &Me) -> bool {
        let patience = self.settings.scan_every() * OFFER_SCANS;
        let rest = self.settings.duration * REST_LEASE_TIMES;
        self.observer
            .offered(view, plan, &me.key, Instant::now(), (patience, rest))
    }

    /// A finished shard of which a child has no row: whoever finished it may have died over it.
    fn ring_for_children(&mut self, view: &View) {
        let tracker = &self.holdings.tracker;
        let served = view.leases.values();
        let ended = served.filter(|seen| seen.row.is_ended() && tracker.serves(&seen.row.shard));
        let children = ended.flat_map(|seen| &seen.row.children);
        let rowless: BTreeSet<_> = children
            .filter(|id| !view.leases.contains_key(*id))
            .cloned()
            .collect();
        // Once for each set: a child that the service has forgotten never gets a row.
        if !rowless.is_subset(&self.rung_for) {
            self.holdings.sync.notify_one();
        }
        self.rung_for = rowless;
    }

    fn next_look(&mut self, plan: &Plan) -> Instant {
        let now = Instant::now();
        let scan = self.settings.scan_every();
        let next = if plan.expecting {
            let since = *self.pace.expects_since.get_or_insert(now);
            let is_soon = now < since + scan * OFTEN_SCANS;
            now + self.jittered(if is_soon { scan / 4 } else { scan / 2 })
        } else {
            self.pace.expects_since = None;
            self.after_a_scan()
        };
        // Who does not keep the watch has not seen since when the others stand still.
        let wake_at = plan.wake_at.filter(|_| self.term.is_some());
        // Not at once even if something is due: an eviction may have been refused.
        wake_at.map_or(next, |at| next.min(at.max(now + scan / 20)))
    }

    fn after_a_scan(&mut self) -> Instant {
        Instant::now() + self.jittered(self.settings.scan_every())
    }

    /// A tenth of jitter, so that the workers of a fleet do not all come at once.
    fn jittered(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(self.rng.f64().mul_add(0.1, 0.95))
    }

    /// Declares workers dead; answers who is proven so.
    async fn evict(&mut self, plan: &Plan) -> BTreeSet<WorkerKey> {
        let store = &self.store;
        let outcomes: Vec<_> = stream::iter(plan.evict.clone())
            .map(|(key, counter)| async move {
                let outcome = store.evict(&key, counter).await;
                (key, outcome)
            })
            .buffer_unordered(self.settings.writes_at_once)
            .collect()
            .await;
        let after = Instant::now();
        let mut dead = BTreeSet::new();
        for (key, outcome) in outcomes {
            match outcome {
                Ok(Outcome::Applied(())) => {
                    self.events.emit(&Event::WorkerEvicted {
                        worker: key.worker.clone(),
                        life: key.incarnation.to_string(),
                    });
                    dead.insert(key);
                }
                Ok(Outcome::Refused(Some(row))) => self.observer.met(&row, after),
                Ok(Outcome::Refused(None)) => {}
                Err(failure) => {
                    tracing::warn!(worker = %key, error = %failure.into_error(), "cannot evict a dead worker yet");
                }
            }
        }
        dead
    }

    async fn take(&mut self, life: &Life, plan: &Plan, dead: &BTreeSet<WorkerKey>) {
        let mut ready = plan.take.clone();
        ready.retain(|pick| {
            planted!(TakesBeforeEviction)
                || pick.after.as_ref().is_none_or(|key| dead.contains(key))
        });
        let store = &self.store;
        let mut taken = stream::iter(ready)
            .map(|pick| async move {
                let sent = Instant::now();
                let outcome = take(store.as_ref(), &life.key, &pick).await;
                (pick, outcome, sent.elapsed())
            })
            .buffer_unordered(self.settings.writes_at_once);
        // Each grant goes out as soon as it is there.
        while let Some((pick, outcome, took)) = taken.next().await {
            match outcome {
                Ok(Some(row)) => {
                    self.observer.wrote(row.clone(), Instant::now());
                    self.balance.owed.extend(owed_for(&row, &life.key));
                    let fence = fence(&life.key, &row);
                    // A stream may have been removed while the take was on its way, or a stray be of one.
                    let is_read = self.holdings.tracker.serves(&row.shard);
                    let grant = is_read
                        .then(|| grant(&self.store, &self.holdings, &self.settings, &fence, row))
                        .flatten();
                    let arrived = match grant {
                        Some(grant) => {
                            self.events.emit(&Event::LeaseTaken {
                                shard: grant.shard.id.clone(),
                                epoch: grant.epoch,
                                why: pick.why,
                                took,
                            });
                            self.grants.send(grant).await.is_ok()
                        }
                        None => {
                            self.events.emit(&Event::LeaseNotTaken {
                                shard: pick.row.shard,
                                error: None,
                                took,
                            });
                            false
                        }
                    };
                    // The worker stopped, or its life ended, while the take was on its way.
                    if !arrived {
                        give_back(store.as_ref(), &self.holdings, &fence).await;
                    }
                }
                Ok(None) => self.events.emit(&Event::LeaseNotTaken {
                    shard: pick.row.shard,
                    error: None,
                    took,
                }),
                Err(failure) => self.events.emit(&Event::LeaseNotTaken {
                    shard: pick.row.shard,
                    error: Some(Failure::from(failure.error())),
                    took,
                }),
            }
        }
    }

    /// Gives back what was dropped without being given back: its worker lives, so it would never
    /// expire.
    async fn release_orphans(&self) -> Result<(), StoreError> {
        for fence in self.holdings.orphans() {
            match self.store.release(&fence, &Parting::default()).await? {
                Outcome::Applied(()) | Outcome::Refused(_) => self.holdings.remove(&fence),
            }
        }
        Ok(())
    }
}

/// Takes one lease. Nothing if it is not to be had after all.
async fn take<S: LeaseStore>(
    store: &S,
    me: &WorkerKey,
    pick: &Pick,
) -> Result<Option<LeaseRow>, StoreError> {
    // The view may be older than the parents' rows. This read is not.
    for parent in &pick.unseen_parents {
        if planted!(TrustsOldParents) {
            break;
        }
        if store
            .read_lease(parent)
            .await?
            .is_some_and(|row| !row.is_ended())
        {
            return Ok(None);
        }
    }
    let take = Take {
        shard: pick.row.shard.clone(),
        counter: pick.row.counter,
        owner: pick.row.owner.clone(),
        to: me.clone(),
    };
    // A take that gets no answer is not sent again here: the next look at the table shows it.
    match store.take(&take).await? {
        Outcome::Applied(row) => Ok(Some(row)),
        // An earlier copy of this very request was applied.
        Outcome::Refused(Some(row)) if row.counter == take.counter + 1 && row.is_held_by(me) => {
            Ok(Some(row))
        }
        Outcome::Refused(_) => Ok(None),
    }
}

/// The fence of a lease as it was taken.
fn fence(me: &WorkerKey, row: &LeaseRow) -> Fence {
    Fence {
        shard: row.shard.clone(),
        holder: me.clone(),
        epoch: Epoch::new(row.counter),
    }
}

/// Gives back what was taken and has no use any more. Tried once: what stays behind is free as soon
/// as the worker's row is gone.
async fn give_back<S: LeaseStore>(store: &S, holdings: &Holdings, fence: &Fence) {
    match store.release(fence, &Parting::default()).await {
        Ok(Outcome::Applied(()) | Outcome::Refused(_)) => {}
        Err(failure) => {
            tracing::debug!(shard = %fence.shard, error = %failure.into_error(), "a lease that came too late is not given back");
        }
    }
    holdings.remove(fence);
}

/// Makes the grant that goes with a row as it was taken. Nothing if that life is over.
fn grant<S: LeaseStore>(
    store: &Arc<S>,
    holdings: &Arc<Holdings>,
    settings: &LeaseSettings,
    fence: &Fence,
    row: LeaseRow,
) -> Option<Grant> {
    let moved = row
        .moved
        .as_deref()
        .filter(|moved| moved.to == fence.holder);
    let begin = Begin {
        load: row.load,
        rests_until: moved.map(|_| Instant::now() + settings.load_rest()),
    };
    let (standing, meter) = holdings.add(fence, &begin)?;
    let shard = holdings.shard(&row.shard).unwrap_or_else(|| Shard {
        id: row.shard.clone(),
        parents: row.parents.iter().cloned().collect(),
        // Only a row of another library lacks it, and nothing is decided by it.
        range: row.range.unwrap_or(HashKeyRange {
            start: 0,
            end: u128::MAX,
        }),
        open: true,
    });
    let (checkpoint, pending) = (row.checkpoint.clone(), row.pending.clone());
    let retry = Retry {
        pause: Duration::from_millis(100),
        within: settings.renew_every(),
    };
    let epoch = fence.epoch;
    let (store, holdings, fence) = (Arc::clone(store), Arc::clone(holdings), fence.clone());
    let right = LeaseRight::new(store, holdings, fence, row, retry);
    Some(Grant {
        shard,
        epoch,
        checkpoint,
        pending,
        standing,
        meter,
        right: Box::new(right),
    })
}
