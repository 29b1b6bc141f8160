//! What the service refuses because it comes too fast: bytes and records of a shard, and calls of an
//! account, a stream, a shard or a consumer.
//!
//! Off, nothing here runs beyond one comparison. Observed, everything passes and what would have been
//! refused is counted; it costs the budget nothing, so that the counts are those of an enforcing
//! service that gets the same calls. The numbers stand in [`super::budget`] and, for whole calls, in
//! [`rate`]. Called by the operations before they change anything.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::Scope;
use crate::clock::Moment;
use crate::ops::Operation;
use crate::refusal::{Kind, Refusal};
use crate::settings::Limits as Mode;

use super::budget::{Bucket, ReadBudget, WriteBudget};
use super::metrics::Exceeded;
use super::shard::{self, Shard};
use super::stream::{Put, Stream};

/// Buckets kept per stream or account before the full ones, which say nothing, are dropped.
const RATES_KEPT: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct Limits {
    mode: Mode,
    /// Calls beyond their rate, by operation.
    exceeded: Vec<Exceeded>,
}

/// What a shard has left. Made when a limited call first comes.
#[derive(Clone, Debug)]
pub(crate) struct ShardBudget {
    write: WriteBudget,
    read: ReadBudget,
}

impl ShardBudget {
    fn new(now: Moment) -> Self {
        Self {
            write: WriteBudget::new(now),
            read: ReadBudget::new(now),
        }
    }
}

/// What shares a rate of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    Account,
    Stream,
    Shard,
    /// A consumer on one shard.
    Subscription,
}

/// How many calls of an operation per second the service answers, and who shares them. None where it
/// says nothing about calls; the readers' and writers' limits are those of the shard.
pub(crate) fn rate(operation: Operation) -> Option<(Per, u64)> {
    use Operation as O;
    match operation {
        O::AddTagsToStream
        | O::CreateStream
        | O::DecreaseStreamRetentionPeriod
        | O::DeleteStream
        | O::DescribeAccountSettings
        | O::DisableEnhancedMonitoring
        | O::EnableEnhancedMonitoring
        | O::IncreaseStreamRetentionPeriod
        | O::ListStreams
        | O::ListTagsForResource
        | O::ListTagsForStream
        | O::MergeShards
        | O::RegisterStreamConsumer
        | O::RemoveTagsFromStream
        | O::SplitShard
        | O::TagResource
        | O::UntagResource
        | O::UpdateAccountSettings
        | O::UpdateStreamWarmThroughput => Some((Per::Account, 5)),
        O::DescribeLimits => Some((Per::Account, 1)),
        O::DescribeStream | O::UpdateShardCount => Some((Per::Account, 10)),
        O::DescribeStreamSummary => Some((Per::Account, 20)),
        O::DeregisterStreamConsumer | O::ListStreamConsumers => Some((Per::Stream, 5)),
        O::DescribeStreamConsumer => Some((Per::Stream, 20)),
        O::ListShards => Some((Per::Stream, 1000)),
        O::GetShardIterator => Some((Per::Shard, 5)),
        O::SubscribeToShard => Some((Per::Subscription, 1)),
        O::DeleteResourcePolicy
        | O::GetRecords
        | O::GetResourcePolicy
        | O::PutRecord
        | O::PutRecords
        | O::PutResourcePolicy
        | O::StartStreamEncryption
        | O::StopStreamEncryption
        | O::UpdateMaxRecordSize
        | O::UpdateStreamMode => None,
    }
}

/// Calls of one account or one stream, by operation and whatever else tells them apart.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<BTreeMap<(&'static str, String), Bucket>>);

impl Rates {
    fn take(&self, now: Moment, operation: Operation, detail: &str, rate: u64) -> bool {
        let mut buckets = self.0.lock();
        // Only at some sizes, so that many busy shards are not looked through at every call.
        if buckets.len() >= RATES_KEPT && buckets.len().is_power_of_two() {
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = buckets.entry((operation.name(), detail.to_owned()));
        bucket
            .or_insert_with(|| Bucket::per_second(rate, now))
            .take(now, 1)
    }
}

/// What a call of a limited rate is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) rates: &'a Rates,
    pub(crate) stream: Option<&'a Stream>,
    /// As the request names it, for the texts.
    pub(crate) stream_name: Option<&'a str>,
    pub(crate) shard: Option<u32>,
    pub(crate) consumer: Option<&'a str>,
}

impl Limits {
    pub(crate) fn new(mode: Mode) -> Self {
        let exceeded = Operation::ALL.iter().map(|_| Exceeded::default());
        Self {
            mode,
            exceeded: exceeded.collect(),
        }
    }

    /// Whether nothing is limited or counted.
    pub(crate) fn is_off(&self) -> bool {
        self.mode == Mode::Off
    }

    pub(crate) fn is_enforced(&self) -> bool {
        self.mode == Mode::Enforce
    }

    /// How many calls of an operation came beyond its rate.
    pub(crate) fn calls_exceeded(&self, operation: Operation) -> &Exceeded {
        &self.exceeded[operation as usize]
    }

    /// Refuses a call that comes too soon after others of its kind.
    pub(crate) fn admit_call(
        &self,
        now: Moment,
        operation: Operation,
        asked: &Asked<'_>,
    ) -> Result<(), Refusal> {
        let Some((per, rate)) = rate(operation) else {
            return Ok(());
        };
        let stream = asked.stream.map(|stream| &stream.rates);
        let shard = asked.shard.map(shard::id).unwrap_or_default();
        let (rates, detail) = match per {
            Per::Account => (Some(asked.rates), String::new()),
            Per::Stream => (stream, String::new()),
            Per::Shard => (stream, shard),
            Per::Subscription => {
                let consumer = asked.consumer.unwrap_or_default();
                (stream, format!("{shard} {consumer}"))
            }
        };
        // A stream that is not there has its own refusal.
        if rates.is_none_or(|rates| rates.take(now, operation, &detail, rate)) {
            return Ok(());
        }
        self.calls_exceeded(operation).count(self.is_enforced());
        if let Some(stream) = asked.stream {
            let is_enforced = self.is_enforced();
            stream.metrics.call_exceeded(now, operation, is_enforced);
            let name = asked.consumer.filter(|_| per == Per::Subscription);
            if let Some(consumer) = name.and_then(|name| stream.consumers.get(now, name)) {
                consumer.metrics.subscribe_exceeded.count(is_enforced);
                if is_enforced {
                    let ledger = &stream.metrics.ledger;
                    ledger.subscribe_exceeded(now, &consumer.name);
                    ledger.subscribe(now, &consumer.name, false);
                }
            }
        }
        if !self.is_enforced() {
            return Ok(());
        }
        Err(match (per, asked.shard, asked.stream_name) {
            (Per::Shard, Some(shard), Some(name)) => shard_exceeded(shard, name, asked.scope),
            (_, _, Some(name)) => {
                let account = &asked.scope.account;
                let text = format!("Rate exceeded for stream {name} under account {account}.");
                Refusal::new(Kind::LimitExceeded, text)
            }
            (_, _, None) => {
                let account = &asked.scope.account;
                let text = format!("Rate exceeded for account {account}.");
                Refusal::new(Kind::LimitExceeded, text)
            }
        })
    }

    /// For each record the shard that has no room for it, or nothing. The rest has been counted; an
    /// empty answer means that all of them may go in.
    pub(crate) fn admit_puts(
        &self,
        now: Moment,
        stream: &Stream,
        puts: &[Put],
    ) -> Vec<Option<u32>> {
        if self.is_off() {
            return Vec::new();
        }
        let state = stream.state(now);
        let mut refused = Vec::new();
        for (place, put) in puts.iter().enumerate() {
            let Some(shard) = state.topology.route(put.hash) else {
                continue;
            };
            let size = u64::try_from(put.payload.bytes.len()).unwrap_or(u64::MAX);
            if with_budget(shard, now, |budget| budget.write.take(now, size)) {
                continue;
            }
            stream.metrics.write_exceeded(self.is_enforced());
            shard.metrics.write_exceeded(self.is_enforced());
            if self.is_enforced() {
                refused.resize(puts.len(), None);
                refused[place] = Some(shard.index);
            }
        }
        refused
    }

    /// Refuses a read of a shard that has given out what it may.
    pub(crate) fn admit_read(
        &self,
        now: Moment,
        stream: &Stream,
        index: u32,
    ) -> Result<Admitted, Refusal> {
        if self.is_off() {
            return Ok(Admitted::Free);
        }
        let state = stream.state(now);
        let Some(shard) = state.topology.get(index) else {
            return Ok(Admitted::Free);
        };
        if with_budget(shard, now, |budget| budget.read.take_call(now)) {
            return Ok(Admitted::Counted);
        }
        stream.metrics.read_exceeded(self.is_enforced());
        shard.metrics.read_exceeded(self.is_enforced());
        if !self.is_enforced() {
            return Ok(Admitted::Free);
        }
        let (name, account, id) = (&stream.name, &stream.scope.account, shard.id());
        Err(Refusal::new(
            Kind::ProvisionedThroughputExceeded,
            format!("Rate exceeded for Shard - {account}/{name}/{id}"),
        ))
    }
}

/// How a read got in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Its bytes count.
    Counted,
    /// Nothing is limited, or it only went through because nothing is enforced.
    Free,
}

impl Admitted {
    /// Counts what the read has taken.
    pub(crate) fn charge(self, now: Moment, shard: &Shard, size: usize) {
        if self == Self::Counted {
            let size = u64::try_from(size).unwrap_or(u64::MAX);
            with_budget(shard, now, |budget| budget.read.charge(now, size));
        }
    }
}

fn with_budget<T>(shard: &Shard, now: Moment, act: impl FnOnce(&mut ShardBudget) -> T) -> T {
    let mut budget = shard.budget.lock();
    act(budget.get_or_insert_with(|| Box::new(ShardBudget::new(now))))
}

/// As the service says that a shard takes no more.
pub(crate) fn shard_exceeded(shard: u32, stream: &str, scope: &Scope) -> Refusal {
    let (id, account) = (shard::id(shard), &scope.account);
    Refusal::new(
        Kind::ProvisionedThroughputExceeded,
        format!("Rate exceeded for shard {id} in stream {stream} under account {account}."),
    )
}
