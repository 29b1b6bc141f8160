//! The streams of all accounts and regions. Knows nothing of HTTP, bytes on the wire or real time:
//! every call gets `now`. Called only by the operations in [`crate::ops`].

pub(crate) mod audience;
pub(crate) mod budget;
pub(crate) mod consumer;
pub(crate) mod hash;
pub(crate) mod limits;
pub(crate) mod listing;
mod log;
#[allow(dead_code, reason = "whoever shows the counts comes next")]
pub(crate) mod metrics;
pub(crate) mod policy;
mod reshard;
pub(crate) mod sequence;
pub(crate) mod shard;
pub(crate) mod stream;
pub(crate) mod subscription;
pub(crate) mod tags;
pub(crate) mod token;
mod topology;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::clock::Moment;
use crate::refusal::{Kind, Refusal};
use crate::settings::Delays;
use crate::{Scope, Settings};

use self::limits::{Limits, Rates};
#[cfg(feature = "bench")]
pub(crate) use self::log::Log;
pub(crate) use self::log::{Entry, OWN_BLOCK, Payload};
use self::stream::{Plan, Stream};
use self::token::Mint;

/// See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) delays: Delays,
    /// How long a subscription keeps its seat from another one of the same consumer.
    pub(crate) subscription_hold: Duration,
    pub(crate) mint: Mint,
    pub(crate) limits: Limits,
    shard_limit: u32,
    incarnations: AtomicU64,
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
}

impl Engine {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            delays: settings.delays,
            subscription_hold: settings.subscription_hold,
            mint: Mint::new(seed),
            limits: Limits::new(settings.limits),
            shard_limit: settings.shard_limit,
            incarnations: AtomicU64::new(1),
            realms: RwLock::default(),
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
            })
        }))
    }

    /// The realm of an account in a region, if there ever was a call for it.
    pub(crate) fn known_realm(&self, account: &str, region: &str) -> Option<Arc<Realm>> {
        let realms = self.realms.read();
        realms.get(account)?.get(region).map(Arc::clone)
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
        streams.retain(|_, stream| !stream.is_gone(now));
        if streams.contains_key(name) {
            let account = &realm.scope.account;
            return Err(Refusal::new(
                Kind::ResourceInUse,
                format!("Stream {name} under account {account} already exists."),
            ));
        }
        let in_use = streams
            .values()
            .map(|stream| open_shards(stream, now))
            .sum();
        self.check_quota(&realm.scope, in_use, plan.shards)?;
        let name = Arc::<str>::from(name);
        let incarnation = self.incarnations.fetch_add(1, Ordering::Relaxed);
        let begin = (now, self.delays.create);
        let stream = Stream::new(
            Arc::clone(&name),
            realm.scope.clone(),
            incarnation,
            begin,
            plan,
        );
        streams.insert(name, Arc::new(stream));
        Ok(())
    }

    /// Open shards of all streams of the realm but one.
    pub(crate) fn in_use_besides(&self, realm: &Realm, now: Moment, one: &Stream) -> usize {
        let streams = realm.streams.read();
        let others = streams
            .values()
            .filter(|stream| stream.incarnation != one.incarnation);
        others.map(|stream| open_shards(stream, now)).sum()
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

/// Open shards of a stream, counting those that are on their way.
fn open_shards(stream: &Stream, now: Moment) -> usize {
    let state = stream.state(now);
    match state.status {
        stream::Status::Creating { shards, .. } => usize::try_from(shards).unwrap_or(usize::MAX),
        // Nobody has come by since it was gone.
        stream::Status::Deleting { until } if until <= now => 0,
        stream::Status::Active
        | stream::Status::Updating { .. }
        | stream::Status::Deleting { .. } => state.topology.open_count(),
    }
}

impl Realm {
    /// The stream of a name, in whatever state.
    pub(crate) fn find(&self, now: Moment, name: &str) -> Option<Arc<Stream>> {
        let stream = Arc::clone(self.streams.read().get(name)?);
        if !stream.is_gone(now) {
            return Some(stream);
        }
        let mut streams = self.streams.write();
        if streams
            .get(name)
            .is_some_and(|known| Arc::ptr_eq(known, &stream))
        {
            streams.remove(name);
        }
        None
    }

    /// Starts the end of a stream. If nothing delays it, its records are freed at once.
    pub(crate) fn delete(&self, now: Moment, stream: &Stream, delay: Duration) {
        stream.delete(now, delay);
        self.streams
            .write()
            .retain(|_, stream| !stream.is_gone(now));
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
