//! One stream: its state, its shards, and what may be done to it when.
//!
//! ```text
//! CREATING ──▶ ACTIVE ◀──▶ UPDATING ;  any ──▶ DELETING ──▶ gone
//! ```
//! States that end by themselves are settled lazily: whoever comes next with a later `now` carries out
//! what was due, as of the instant it was due. So is what an on-demand stream does about its load.
//!
//! The lock order is state, then a shard's log; a put holds the state for reading while it appends, so
//! that a reshard closes shards with nothing in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Scope;
use crate::clock::Moment;
use crate::refusal::{Kind, Refusal};

use super::change::Change;
use super::consumer::{Consumer, Consumers};
use super::limits::Rates;
use super::log::{Entry, Payload};
use super::metrics::StreamMetrics;
use super::monitoring::Monitored;
use super::on_demand::Scaler;
use super::policy::Policy;
use super::rolling::Rolling;
use super::sequence::{INDEX_END, Sequence};
use super::shard::{self, Shard};
use super::tags::Tags;
use super::topology::Topology;

/// Records of one read, and their bytes, at most.
pub(crate) const READ_COUNT: usize = 10_000;
const READ_BYTES: usize = 10 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    pub(crate) scope: Scope,
    /// Tells this stream from earlier and later ones of its name.
    pub(crate) incarnation: u64,
    pub(crate) created: Moment,
    /// The second in its first shards' numbers.
    first_second: u64,
    /// When [`Stream::settle`] has something to do, in milliseconds.
    due: AtomicU64,
    pub(crate) consumers: Consumers,
    /// Subscriptions to any of its shards.
    listeners: AtomicUsize,
    state: RwLock<State>,
    pub(crate) metrics: StreamMetrics,
    /// Calls that name this stream.
    pub(crate) rates: Rates,
}

/// What changes about a stream.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) mode: Mode,
    pub(crate) retention: Duration,
    pub(crate) tags: Tags,
    /// What other accounts may do here.
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) record_size_max: usize,
    /// The key that records are encrypted with, as the caller named it.
    pub(crate) key: Option<Arc<str>>,
    pub(crate) monitored: Monitored,
    pub(crate) warm: Warm,
    pub(crate) quotas: Quotas,
    pub(crate) topology: Topology,
    /// Nothing older is readable, even if the retention would have it: it was lower once.
    pub(super) horizon: Moment,
    /// Of a stream on demand.
    pub(super) scaler: Option<Scaler>,
    pub(super) window: Duration,
}

/// The throughput in MiB/s that an on-demand stream is kept ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warm {
    pub(crate) target: u32,
    pub(crate) current: u32,
}

/// What may happen to a stream so many times a day.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    pub(crate) resizes: Rolling,
    pub(crate) mode_switches: Rolling,
    pub(crate) encryption_starts: Rolling,
    pub(crate) encryption_stops: Rolling,
}

/// Where in its life a stream is.
#[derive(Debug)]
pub(crate) enum Status {
    Creating {
        since: Moment,
        until: Moment,
        shards: u32,
        /// The second in the shards' numbers.
        second: u64,
    },
    Active,
    Updating {
        until: Moment,
        change: Change,
    },
    Deleting {
        until: Moment,
    },
}

/// Who sets the number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Provisioned,
    OnDemand,
}

/// What a stream is made with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shards: u32,
    pub(crate) mode: Mode,
    pub(crate) tags: Tags,
    /// In MiB/s; only for a stream on demand.
    pub(crate) warm: u32,
    pub(crate) record_size_max: usize,
}

/// When and as which of its name a stream is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    pub(crate) incarnation: u64,
    pub(crate) at: Moment,
    /// How long it is CREATING.
    pub(crate) delay: Duration,
    /// The second in its first shards' numbers.
    pub(crate) second: u64,
    /// How long it observes its load when on demand.
    pub(crate) window: Duration,
}

/// A record to put: where it falls, and what it is.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) hash: u128,
    pub(crate) payload: Payload,
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: u32,
    pub(crate) sequence: Sequence,
    /// Whether the stream was encrypted when the record was written.
    pub(crate) is_encrypted: bool,
}

/// Records read, and what comes after them.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) shard: Arc<Shard>,
    pub(crate) entries: Vec<Entry>,
    /// Of all entries, data and keys.
    pub(crate) size: usize,
    /// Where the next read starts; none if the shard has ended and all of it is read.
    pub(crate) next: Option<u64>,
    pub(crate) millis_behind: u64,
    /// What is told of the shard besides.
    pub(crate) monitored: Monitored,
}

impl Mode {
    /// As texts have it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Provisioned => "Provisioned",
            Self::OnDemand => "On-Demand",
        }
    }
}

impl Status {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Creating { .. } => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating { .. } => "UPDATING",
            Self::Deleting { .. } => "DELETING",
        }
    }

    pub(super) fn until(&self) -> Moment {
        match self {
            Self::Creating { until, .. }
            | Self::Updating { until, .. }
            | Self::Deleting { until } => *until,
            Self::Active => Moment::NEVER,
        }
    }
}

impl Stream {
    pub(crate) fn new(name: Arc<str>, scope: Scope, birth: Birth, plan: Plan) -> Self {
        let until = birth.at.after(birth.delay);
        let state = State {
            status: Status::Creating {
                since: birth.at,
                until,
                shards: plan.shards,
                second: birth.second,
            },
            mode: plan.mode,
            retention: Duration::from_secs(24 * 3600),
            tags: plan.tags,
            policy: None,
            record_size_max: plan.record_size_max,
            key: None,
            monitored: Monitored::default(),
            warm: Warm {
                target: plan.warm,
                current: 0,
            },
            quotas: Quotas::default(),
            topology: Topology::default(),
            horizon: birth.at,
            scaler: None,
            window: birth.window,
        };
        let due = AtomicU64::new(until.millis());
        Self {
            name,
            scope,
            incarnation: birth.incarnation,
            created: birth.at,
            first_second: birth.second,
            due,
            consumers: Consumers::default(),
            listeners: AtomicUsize::new(0),
            state: RwLock::new(state),
            metrics: StreamMetrics::default(),
            rates: Rates::default(),
        }
    }

    pub(crate) fn arn(&self) -> String {
        Self::arn_of(&self.scope, &self.name)
    }

    /// The ARN of a stream of this name, whether there is one or not.
    pub(crate) fn arn_of(scope: &Scope, name: &str) -> String {
        let Scope { account, region } = scope;
        let partition = scope.partition();
        format!("arn:{partition}:kinesis:{region}:{account}:stream/{name}")
    }

    /// The state as of `now`.
    pub(crate) fn state(&self, now: Moment) -> RwLockReadGuard<'_, State> {
        if now.millis() >= self.due.load(Ordering::Acquire) {
            RwLockWriteGuard::downgrade(self.settled(now))
        } else {
            self.state.read()
        }
    }

    /// The stream as the service's texts name it.
    pub(crate) fn told(&self) -> String {
        format!("stream {} under account {}", self.name, self.scope.account)
    }

    /// The state, for a change of what hangs on the stream but not of the stream itself: it may not be
    /// on its way into or out of the world.
    pub(crate) fn settled_to_annotate(
        &self,
        now: Moment,
    ) -> Result<RwLockWriteGuard<'_, State>, Refusal> {
        let state = self.settled(now);
        match state.status {
            Status::Active | Status::Updating { .. } => Ok(state),
            Status::Creating { .. } | Status::Deleting { .. } => {
                Err(self.not_active(&state.status))
            }
        }
    }

    /// Whether it was deleted and its time is over.
    pub(crate) fn is_gone(&self, now: Moment) -> bool {
        matches!(self.state(now).status, Status::Deleting { until } if until <= now)
    }

    /// The trim horizon's instant: nothing readable is older.
    pub(crate) fn horizon(&self, state: &State, now: Moment) -> Moment {
        now.before(state.retention).max(state.horizon)
    }

    /// The last second in the numbers of its shards.
    pub(crate) fn last_second(&self, now: Moment) -> u64 {
        let state = self.state(now);
        let seconds = state.topology.open().iter().map(|shard| shard.created);
        // One that never had shards used no second, but those before it of its name did.
        seconds.max().unwrap_or(self.first_second)
    }

    /// Starts the end of the stream; a second time does nothing, unless it ends earlier.
    pub(crate) fn delete(&self, now: Moment, delay: Duration) {
        let mut state = self.settled(now);
        let until = now.after(delay);
        // One that is deleted without a delay does not wait for the end of an earlier one.
        let is_later = matches!(state.status, Status::Deleting { until: end } if end <= until);
        if !is_later {
            state.status = Status::Deleting { until };
            self.consumers.deregister_all(now, delay);
            self.set_due(&state);
        }
    }

    /// Appends all records, or refuses all. `above` is the number that the new ones must exceed.
    pub(crate) fn put(
        &self,
        now: Moment,
        puts: Vec<Put>,
        above: Option<Sequence>,
    ) -> Result<Vec<Place>, Refusal> {
        let state = self.state(now);
        let oldest = now.before(state.retention);
        let mut placed = Vec::with_capacity(puts.len());
        let is_encrypted = state.is_encrypted();
        for mut put in puts {
            put.payload.is_encrypted = is_encrypted;
            let Some(shard) = state.topology.route(put.hash) else {
                return Err(Refusal::stream_not_found(&self.name, &self.scope));
            };
            let floor = match above {
                Some(above) => self.floor(shard, above)?,
                None => 0,
            };
            let mut log = shard.log.lock();
            log.trim(oldest);
            let (index, arrival) = log.append(now, put.payload, floor);
            drop(log);
            placed.push(Place {
                shard: shard.index,
                sequence: shard.sequence(index, arrival),
                is_encrypted,
            });
        }
        self.tell_listeners(&state, &placed);
        Ok(placed)
    }

    /// The counter to exceed so that a record of `shard` comes after `above`. Numbers of other shards
    /// need none: a child's are above its parents' anyway.
    fn floor(&self, shard: &Shard, above: Sequence) -> Result<u64, Refusal> {
        if (above.created, above.shard) != (shard.created, shard.index) {
            return Ok(0);
        }
        if above.index > INDEX_END / 2 {
            return Err(self.ordering_is_invalid(above));
        }
        Ok(above.index)
    }

    /// Refuses a number that this stream cannot have issued by `now`.
    pub(crate) fn check_ordering(&self, now: Moment, above: Sequence) -> Result<(), Refusal> {
        let state = self.state(now);
        let newest = state.topology.listed(None).map(|shard| shard.created).max();
        let newest = newest.unwrap_or_default().max(now.seconds());
        if above.second > newest || above.created > newest {
            return Err(self.ordering_is_invalid(above));
        }
        Ok(())
    }

    fn ordering_is_invalid(&self, above: Sequence) -> Refusal {
        self.ordering_text_is_invalid(&above.to_string())
    }

    pub(crate) fn ordering_text_is_invalid(&self, above: &str) -> Refusal {
        let (name, account) = (&self.name, &self.scope.account);
        Refusal::invalid(format!(
            "ExclusiveMinimumSequenceNumber {above} used in PutRecord on stream {name} under \
             account {account} is invalid."
        ))
    }

    /// Reads on from a cursor's place.
    pub(crate) fn read(
        &self,
        now: Moment,
        shard: u32,
        from: u64,
        count: usize,
    ) -> Result<Read, Refusal> {
        let state = self.state(now);
        let shard = self.shard_to_read(&state, shard)?;
        let mut log = shard.log.lock();
        log.trim(now.before(state.retention));
        let page = log.read(from, count, READ_BYTES);
        log.outgoing.count(page.entries.len(), page.size);
        drop(log);
        let has_ended = page.entries.is_empty() && !shard.is_open();
        let millis_behind = match page.entries.last() {
            Some(last) if !page.at_tip => now.millis_since(last.arrival),
            Some(_) | None => 0,
        };
        Ok(Read {
            next: (!has_ended).then_some(page.next),
            entries: page.entries,
            size: page.size,
            millis_behind,
            monitored: state.monitored,
            shard: Arc::clone(shard),
        })
    }

    /// The shard, in the wording of the reading calls if it is not there.
    pub(crate) fn shard_to_read<'a>(
        &self,
        state: &'a State,
        index: u32,
    ) -> Result<&'a Arc<Shard>, Refusal> {
        state.topology.get(index).ok_or_else(|| {
            Refusal::shard_does_not_exist(&shard::id(index), &self.name, &self.scope)
        })
    }

    /// The state to change, settled up to `now`. Whoever sets a status calls [`Self::set_due`].
    pub(super) fn settled(&self, now: Moment) -> RwLockWriteGuard<'_, State> {
        let mut state = self.state.write();
        state.advance(now);
        let retention = state.retention;
        state.topology.expire(now, retention);
        self.set_due(&state);
        state
    }

    /// Remembers when the next thing happens by itself.
    pub(super) fn set_due(&self, state: &State) {
        let expiry = state.topology.next_expiry(state.retention);
        let due = match state.status {
            // Its end is the realm's to see.
            Status::Deleting { .. } => expiry,
            Status::Creating { .. } | Status::Active | Status::Updating { .. } => {
                state.status.until().min(expiry).min(state.scaling_due())
            }
        };
        self.due.store(due.millis(), Ordering::Release);
        self.wake_listeners(state);
    }

    /// When something happens by itself next.
    pub(super) fn due(&self) -> Moment {
        Moment(self.due.load(Ordering::Acquire))
    }

    /// Open subscriptions.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Acquire)
    }

    pub(super) fn listeners_add(&self) {
        self.listeners.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn listeners_remove(&self) {
        self.listeners.fetch_sub(1, Ordering::AcqRel);
    }

    /// Starts the end of a consumer, and of its subscriptions.
    pub(crate) fn deregister(&self, now: Moment, consumer: &Consumer, delay: Duration) {
        self.consumers.deregister(now, consumer, delay);
        self.wake_listeners(&self.state(now));
    }

    /// Has every subscription look again.
    fn wake_listeners(&self, state: &State) {
        if self.listeners() == 0 {
            return;
        }
        for shard in state.topology.listed(None) {
            shard.audience.ring();
        }
    }

    /// Wakes the subscriptions to the shards that got something. The appends have let go of the log,
    /// so that whoever listens has either read them or is counted here.
    fn tell_listeners(&self, state: &State, placed: &[Place]) {
        if self.listeners() == 0 {
            return;
        }
        let mut rung = None;
        for place in placed {
            if rung != Some(place.shard)
                && let Some(shard) = state.topology.get(place.shard)
            {
                shard.audience.ring();
                rung = Some(place.shard);
            }
        }
    }

    /// As the service says that a stream is busy.
    pub(crate) fn not_active(&self, status: &Status) -> Refusal {
        let (name, account, status) = (&self.name, &self.scope.account, status.name());
        Refusal::new(
            Kind::ResourceInUse,
            format!("Stream {name} under account {account} not ACTIVE, instead in state {status}"),
        )
    }
}

impl State {
    /// Whether records that come in now are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.key.is_some()
    }
}
