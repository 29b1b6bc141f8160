//! The streams of all accounts and regions. Knows nothing of HTTP, bytes on the wire or real time:
//! every call gets `now`. Called only by the operations in [`crate::ops`].

pub(crate) mod audience;
pub(crate) mod budget;
pub(crate) mod change;
pub(crate) mod commitment;
pub(crate) mod consumer;
pub(crate) mod hash;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod listing;
mod log;
pub(crate) mod metrics;
pub(crate) mod monitoring;
pub(crate) mod on_demand;
pub(crate) mod policy;
mod reshard;
pub(crate) mod resize;
pub(crate) mod rolling;
pub(crate) mod samples;
pub(crate) mod sequence;
mod settle;
pub(crate) mod shard;
pub(crate) mod stream;
pub(crate) mod subscription;
mod sweep;
pub(crate) mod tags;
pub(crate) mod token;
mod topology;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::clock::Moment;
use crate::refusal::{Kind, Refusal};
use crate::settings::Delays;
use crate::{Scope, Settings};

use self::commitment::Commitment;
use self::ledger::Publisher;
use self::limits::{Limits, Rates};
#[cfg(feature = "bench")]
pub(crate) use self::log::Log;
pub(crate) use self::log::{Entry, OWN_BLOCK, Payload};
use self::stream::{Birth, Mode, Plan, Status, Stream};
use self::token::Mint;

/// See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) delays: Delays,
    /// How long a subscription keeps its seat from another one of the same consumer.
    pub(crate) subscription_hold: Duration,
    pub(crate) mint: Mint,
    pub(crate) limits: Limits,
    pub(crate) on_demand_limit: u32,
    pub(crate) shard_limit: u32,
    /// Whether a change of the shard count may at most double or halve it.
    pub(crate) is_resizing_bounded: bool,
    on_demand_window: Duration,
    sweep: sweep::Due,
    incarnations: AtomicU64,
    publisher: Option<Arc<dyn Publisher>>,
    /// By account.
    realms: RwLock<BTreeMap<Arc<str>, Regions>>,
}

/// One account's realms, by region.
type Regions = BTreeMap<Arc<str>, Arc<Realm>>;

/// The streams of one account in one region.
#[derive(Debug)]
pub(crate) struct Realm {
    pub(crate) scope: Scope,
    streams: RwLock<BTreeMap<Arc<str>, Arc<Stream>>>,
    /// Calls of the account in the region.
    pub(crate) rates: Rates,
    /// The last second in the numbers of streams that are gone, so that those of a stream of the same
    /// name are always above. Kept only until the clock is past it.
    past_seconds: Mutex<BTreeMap<Arc<str>, u64>>,
    commitment: Mutex<Commitment>,
    publisher: Option<Arc<dyn Publisher>>,
}

/// Streams of a realm, and their shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) creating: usize,
    pub(crate) on_demand: usize,
    /// Open shards of provisioned streams: those that count.
    pub(crate) open_shards: usize,
}

impl Engine {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            delays: settings.delays,
            subscription_hold: settings.subscription_hold,
            mint: Mint::new(seed),
            limits: Limits::new(settings.limits),
            on_demand_limit: settings.on_demand_stream_limit,
            shard_limit: settings.shard_limit,
            is_resizing_bounded: settings.is_resizing_bounded,
            on_demand_window: settings.on_demand_window,
            sweep: sweep::Due::default(),
            incarnations: AtomicU64::new(1),
            publisher: None,
            realms: RwLock::default(),
        }
    }

    /// Hands what is counted about streams to `publisher`.
    pub(crate) fn with_publisher(self, publisher: Arc<dyn Publisher>) -> Self {
        Self {
            publisher: Some(publisher),
            ..self
        }
    }

    /// The realm of an account in a region; it begins when first named.
    pub(crate) fn realm(&self, account: &str, region: &str) -> Arc<Realm> {
        let known = self.realms.read();
        if let Some(realm) = known.get(account).and_then(|regions| regions.get(region)) {
            return Arc::clone(realm);
        }
        drop(known);
        let scope = Scope::new(account, region);
        let mut realms = self.realms.write();
        let regions = realms.entry(Arc::clone(&scope.account)).or_default();
        let realm = regions.entry(Arc::clone(&scope.region));
        Arc::clone(realm.or_insert_with(|| {
            Arc::new(Realm {
                scope,
                streams: RwLock::default(),
                rates: Rates::default(),
                past_seconds: Mutex::default(),
                commitment: Mutex::default(),
                publisher: self.publisher.clone(),
            })
        }))
    }

    /// The realm of an account in a region, if there ever was a call for it.
    pub(crate) fn known_realm(&self, account: &str, region: &str) -> Option<Arc<Realm>> {
        let realms = self.realms.read();
        realms.get(account)?.get(region).map(Arc::clone)
    }

    /// All realms there ever was a call for, by account and region.
    pub(crate) fn realms(&self) -> Vec<Arc<Realm>> {
        let realms = self.realms.read();
        let realms = realms.values().flat_map(BTreeMap::values);
        realms.map(Arc::clone).collect()
    }

    /// Open subscriptions to all streams there are.
    pub(crate) fn subscriptions(&self) -> usize {
        let realms = self.realms.read();
        let realms = realms.values().flat_map(BTreeMap::values);
        let count = |realm: &Arc<Realm>| -> usize {
            let streams = realm.streams.read();
            streams.values().map(|stream| stream.listeners()).sum()
        };
        realms.map(count).sum()
    }

    /// Makes a stream.
    pub(crate) fn create(
        &self,
        realm: &Realm,
        now: Moment,
        name: &str,
        plan: Plan,
    ) -> Result<(), Refusal> {
        let mut streams = realm.streams.write();
        realm.bury(&mut streams, now);
        if streams.contains_key(name) {
            let account = &realm.scope.account;
            return Err(Refusal::new(
                Kind::ResourceInUse,
                format!("Stream {name} under account {account} already exists."),
            ));
        }
        let usage = usage(streams.values(), now);
        if usage.creating >= CREATING_MAX {
            return Err(Refusal::creating_too_many(CREATING_MAX, &realm.scope));
        }
        match plan.mode {
            Mode::Provisioned => {
                self.check_quota(&realm.scope, usage.open_shards, plan.shards)?;
            }
            Mode::OnDemand => self.check_on_demand(&realm.scope, usage.on_demand)?,
        }
        let name = Arc::<str>::from(name);
        let past = realm.past_seconds.lock().remove(&name);
        let birth = Birth {
            incarnation: self.incarnations.fetch_add(1, Ordering::Relaxed),
            at: now,
            delay: self.delays.create,
            second: past.map_or(0, |past| past + 1).max(now.seconds()),
            window: self.on_demand_window,
        };
        let stream = Stream::new(Arc::clone(&name), realm.scope.clone(), birth, plan);
        streams.insert(name, Arc::new(stream));
        Ok(())
    }

    /// Refuses if there are as many on-demand streams as there may be.
    pub(crate) fn check_on_demand(&self, scope: &Scope, in_use: usize) -> Result<(), Refusal> {
        let limit = self.on_demand_limit;
        if in_use < usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(());
        }
        Err(Refusal::on_demand_too_many(limit, scope))
    }

    /// Refuses if `more` shards do not fit beside those `in_use`.
    pub(crate) fn check_quota(
        &self,
        scope: &Scope,
        in_use: usize,
        more: u32,
    ) -> Result<(), Refusal> {
        let limit = self.shard_limit;
        let wanted = in_use.saturating_add(usize::try_from(more).unwrap_or(usize::MAX));
        if wanted <= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(());
        }
        let Scope { account, region } = scope;
        Err(Refusal::new(
            Kind::LimitExceeded,
            format!(
                "This request would exceed the shard limit for the account {account} in {region}. \
                 Current shard count for the account: {in_use}. Limit: {limit}. Number of additional \
                 shards that would have resulted from this request: {more}. Refer to the AWS Service \
                 Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) \
                 for current limits and how to request higher limits."
            ),
        ))
    }
}

/// Streams that may be on their way at once.
const CREATING_MAX: usize = 5;

/// What some streams use; shards that are on their way count as open.
fn usage<'a>(streams: impl Iterator<Item = &'a Arc<Stream>>, now: Moment) -> Usage {
    let mut usage = Usage::default();
    for stream in streams {
        let state = stream.state(now);
        let open = match state.status {
            Status::Creating { shards, .. } => {
                usage.creating += 1;
                usize::try_from(shards).unwrap_or(usize::MAX)
            }
            // Nobody has come by since it was gone.
            Status::Deleting { until } if until <= now => continue,
            Status::Active | Status::Updating { .. } | Status::Deleting { .. } => {
                state.topology.open_count()
            }
        };
        match state.mode {
            Mode::Provisioned => usage.open_shards = usage.open_shards.saturating_add(open),
            Mode::OnDemand => usage.on_demand += 1,
        }
    }
    usage
}

impl Realm {
    /// What all streams use, or all but one.
    pub(crate) fn usage(&self, now: Moment, besides: Option<&Stream>) -> Usage {
        let streams = self.streams.read();
        let is_other =
            |stream: &&Arc<Stream>| besides.is_none_or(|one| stream.incarnation != one.incarnation);
        usage(streams.values().filter(is_other), now)
    }

    /// The billing commitment.
    pub(crate) fn commitment(&self, now: Moment) -> Commitment {
        self.commitment.lock().at(now)
    }

    /// Changes the billing commitment; what it is then.
    pub(crate) fn commit(&self, change: impl FnOnce(Commitment) -> Commitment) -> Commitment {
        let mut commitment = self.commitment.lock();
        *commitment = change(*commitment);
        *commitment
    }

    /// Drops the streams whose time is over. Remembers where their numbers ended.
    fn bury(&self, streams: &mut BTreeMap<Arc<str>, Arc<Stream>>, now: Moment) {
        let mut past = self.past_seconds.lock();
        past.retain(|_, second| *second >= now.seconds());
        streams.retain(|name, stream| {
            let is_gone = stream.is_gone(now);
            if is_gone {
                self.publish(now, stream);
                past.insert(Arc::clone(name), stream.last_second(now));
            }
            !is_gone
        });
    }

    /// Hands on what is counted about a stream.
    fn publish(&self, now: Moment, stream: &Stream) {
        let minutes = stream.metrics.ledger.take();
        if let Some(publisher) = self.publisher.as_ref().filter(|_| !minutes.is_empty()) {
            publisher.publish(now, &self.scope, &stream.name, minutes);
        }
    }

    /// Hands on what is counted about all streams.
    pub(crate) fn publish_all(&self, now: Moment) {
        let streams: Vec<_> = self.streams.read().values().cloned().collect();
        for stream in streams {
            self.publish(now, &stream);
        }
    }

    /// The stream of a name, in whatever state.
    pub(crate) fn find(&self, now: Moment, name: &str) -> Option<Arc<Stream>> {
        let stream = Arc::clone(self.streams.read().get(name)?);
        if !stream.is_gone(now) {
            return Some(stream);
        }
        self.bury(&mut self.streams.write(), now);
        None
    }

    /// Starts the end of a stream. If nothing delays it, its records are freed at once.
    pub(crate) fn delete(&self, now: Moment, stream: &Stream, delay: Duration) {
        stream.delete(now, delay);
        self.bury(&mut self.streams.write(), now);
    }

    /// Up to `count` streams whose names come after `after`, and whether there are more.
    pub(crate) fn list(
        &self,
        now: Moment,
        after: Option<&str>,
        count: usize,
    ) -> (Vec<Arc<Stream>>, bool) {
        use std::ops::Bound::{Excluded, Unbounded};
        let streams = self.streams.read();
        let from = after.map_or(Unbounded, Excluded);
        let mut rest = streams
            .range::<str, _>((from, Unbounded))
            .map(|(_, stream)| stream)
            .filter(|stream| !stream.is_gone(now));
        let page = rest.by_ref().take(count).map(Arc::clone).collect();
        (page, rest.next().is_some())
    }
}
