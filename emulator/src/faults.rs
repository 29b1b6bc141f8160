//! Faults on purpose: errors, silence and lies that clients have to survive, told in advance.
//!
//! Owns the list of faults and decides which call, record or event one of them strikes; what a strike
//! does is carried out by [`crate::Service`], by the operation, or by the subscription. While no fault
//! is there a call costs one comparison. Chance comes from the service's seed and the number of the
//! match, so that the same faults and the same requests meet in the same places.

mod action;
mod fault;
mod strike;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::Clock;
use crate::clock::Moment;
use crate::engine::token::mix;

pub use self::action::{Action, Api, EventException};
pub use self::fault::{Fault, Unfit};
pub use self::strike::Lost;
use self::strike::Place;
pub(crate) use self::strike::{End, EventFault, Stale, aborted};

/// Faults at once. More are more likely a loop that forgets to remove them.
const FAULTS_MAX: usize = 1000;

/// The faults of one service. A clone is the same list.
#[derive(Clone, Debug)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    seed: u64,
    /// Whether there are any, readable without the lock.
    is_armed: AtomicBool,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    last_id: u64,
    armed: Vec<Armed>,
}

/// A fault that is in force, or was.
#[derive(Debug)]
struct Armed {
    id: u64,
    fault: Fault,
    until: Moment,
    matched: u64,
    struck: u64,
}

/// How a fault is doing.
#[derive(Clone, Debug)]
pub struct FaultReport {
    /// Which one, for [`Faults::remove`].
    pub id: u64,
    /// What was asked for.
    pub fault: Fault,
    /// How many calls, records or events it was meant for have come by.
    pub matched: u64,
    /// How many of them it has struck.
    pub struck: u64,
    /// Whether it can still strike: neither used up nor past its time.
    pub is_active: bool,
}

impl Faults {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        let inner = Inner {
            clock,
            seed,
            is_armed: AtomicBool::new(false),
            list: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Puts a fault in force; it goes after those that are there. Returns its id.
    ///
    /// # Errors
    /// If the fault makes no sense, such as an expired iterator for a put.
    pub fn add(&self, fault: Fault) -> Result<u64, Unfit> {
        fault.check()?;
        let now = self.inner.clock.moment();
        let until = fault
            .lasting
            .map_or(Moment::NEVER, |lasting| now.after(lasting));
        let mut list = self.inner.list.lock();
        if list.armed.len() >= FAULTS_MAX {
            return Err(Unfit::new(format!(
                "there are {FAULTS_MAX} faults already; remove some"
            )));
        }
        list.last_id += 1;
        let id = list.last_id;
        list.armed.push(Armed {
            id,
            fault,
            until,
            matched: 0,
            struck: 0,
        });
        self.inner.is_armed.store(true, Relaxed);
        Ok(id)
    }

    /// All faults that were added and not removed, in their order, with how often they have struck.
    pub fn list(&self) -> Vec<FaultReport> {
        let now = self.inner.clock.moment();
        let list = self.inner.list.lock();
        list.armed.iter().map(|armed| armed.report(now)).collect()
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<FaultReport> {
        let now = self.inner.clock.moment();
        let list = self.inner.list.lock();
        let armed = list.armed.iter().find(|armed| armed.id == id)?;
        Some(armed.report(now))
    }

    /// Takes a fault back; says whether it was there.
    pub fn remove(&self, id: u64) -> bool {
        let mut list = self.inner.list.lock();
        let before = list.armed.len();
        list.armed.retain(|armed| armed.id != id);
        self.inner.is_armed.store(!list.armed.is_empty(), Relaxed);
        list.armed.len() < before
    }

    /// Takes all back.
    pub fn clear(&self) {
        let mut list = self.inner.list.lock();
        list.armed.clear();
        self.inner.is_armed.store(false, Relaxed);
    }

    /// For how long what writes to tables replace has to be remembered, for the sake of faults that can
    /// still strike; nothing if there are none.
    pub(crate) fn memory(&self) -> Option<Duration> {
        if !self.are_armed() {
            return None;
        }
        let now = self.inner.clock.moment();
        let list = self.inner.list.lock();
        let active = list.armed.iter().filter(|armed| armed.is_active(now));
        active
            .filter_map(|armed| armed.fault.action.age_of_reads())
            .max()
    }

    /// Whether there are any, so that a call has to be looked at.
    pub(crate) fn are_armed(&self) -> bool {
        self.inner.is_armed.load(Relaxed)
    }

    /// Shows `place` to the faults in their order, and hands those that strike to `hit`, which says
    /// whether the next one is to see it too.
    fn visit(&self, place: &Place<'_>, mut hit: impl FnMut(&Action) -> bool) {
        let now = self.inner.clock.moment();
        let mut list = self.inner.list.lock();
        for armed in &mut list.armed {
            if armed.is_active(now) && armed.fault.matches(place) && armed.strikes(self.inner.seed)
            {
                tracing::debug!(fault = armed.id, operation = place.operation, "strikes");
                if !hit(&armed.fault.action) {
                    return;
                }
            }
        }
    }
}

impl Armed {
    fn is_active(&self, now: Moment) -> bool {
        let fault = &self.fault;
        let is_used_up = fault.times.is_some_and(|times| self.struck >= times);
        let is_past = fault.nth.is_some_and(|nth| self.matched >= nth);
        now < self.until && !is_used_up && !is_past
    }

    /// Counts a match and decides about it.
    fn strikes(&mut self, seed: u64) -> bool {
        self.matched += 1;
        let fault = &self.fault;
        let is_nth = fault.nth.is_none_or(|nth| self.matched == nth);
        let is_every = fault
            .every
            .is_none_or(|every| self.matched.is_multiple_of(every));
        // 53 bits are what a float has room for.
        let draw = mix(mix(seed ^ self.id) ^ self.matched) >> 11;
        let draw = draw as f64 / (1_u64 << 53) as f64;
        let strikes = is_nth && is_every && draw < fault.probability;
        self.struck += u64::from(strikes);
        strikes
    }

    fn report(&self, now: Moment) -> FaultReport {
        FaultReport {
            id: self.id,
            fault: self.fault.clone(),
            matched: self.matched,
            struck: self.struck,
            is_active: self.is_active(now),
        }
    }
}
