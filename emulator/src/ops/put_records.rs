//! PutRecords. What is wrong with one record is wrong with the call; only what the shard has no room
//! for, and what a fault strikes, fails alone, in its place among the others.

use bytes::Bytes;
use serde::Deserialize;

use crate::engine::limits::shard_exceeded;
use crate::engine::samples::{PutOutcome, ShardPuts};
use crate::engine::stream::{Put, Stream};
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Blob, List, Shape, Text, text};
use crate::wire::records::write_places;

use super::address::Address;
use super::put::{self, Record};
use super::{Call, Reply};

/// Records of one request.
const RECORDS_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    records: Option<List<Shape<Entry<'a>>>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Option<Blob<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
}

impl<'a> Request<'a> {
    fn entries(&self) -> &[Option<Shape<Entry<'a>>>] {
        self.records.as_ref().map_or(&[], |List(entries)| entries)
    }

    /// The records that are none of null.
    fn records(&self) -> impl Iterator<Item = Record<'_>> + Clone {
        let entries = self.entries().iter().flatten();
        entries.map(|Shape(entry)| entry.record())
    }

    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        if checks.required(&"records", self.records.as_ref()).is_some() {
            let count = self.entries().len();
            if !(1..=RECORDS_MAX).contains(&count) {
                let (bound, limit) = if count == 0 {
                    ("greater", 1)
                } else {
                    ("less", RECORDS_MAX)
                };
                checks.fail(
                    Some(&Members(count)),
                    &"records",
                    &format_args!("have length {bound} than or equal to {limit}"),
                );
            }
        }
        for (place, entry) in (1..).zip(self.entries()) {
            match entry {
                Some(Shape(entry)) => {
                    entry
                        .record()
                        .check(&mut checks, &format_args!("records.{place}.member."));
                }
                None => checks.fail(
                    None,
                    &format_args!("records.{place}.member"),
                    &"not be null",
                ),
            }
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }
}

impl Entry<'_> {
    fn record(&self) -> Record<'_> {
        Record::new(&self.data, &self.partition_key, &self.explicit_hash_key)
    }
}

/// A list of records as the service prints one: members by their class and identity.
struct Members(usize);

impl std::fmt::Display for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for place in 0..self.0 {
            let separator = if place == 0 { "" } else { ", " };
            let class = "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry";
            write!(f, "{separator}{class}@{:x}", place + 1)?;
        }
        f.write_str("]")
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let decoded = put::decode(request.records())?;
    request.check()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let stream = address.stream(call)?;
    let stored = store(call, &stream, &request, decoded);
    if stored.is_err() {
        stream.metrics.ledger.put_records_refused(call.now);
    }
    stored
}

/// Answers a call whose stream is found.
fn store(
    call: &Call<'_>,
    stream: &Stream,
    request: &Request<'_>,
    decoded: Bytes,
) -> Result<Reply, Refusal> {
    put::check_has_shards(stream, call.now)?;
    put::check_total(decoded.len())?;
    let (limit, monitored) = {
        let state = stream.state(call.now);
        (state.record_size_max, state.monitored)
    };
    let mut by_shard = ShardPuts::new(monitored);
    for (place, record) in (1..).zip(request.records()) {
        record.check_size(&format_args!("records.{place}.member."), limit)?;
    }
    let records: Vec<_> = request.records().collect();
    let puts = put::places(records.into_iter(), decoded)?;
    let failures = failures(call, stream, &puts, &mut by_shard);
    if failures.is_empty() {
        let sizes = by_shard.is_wanted().then(|| sizes(&puts));
        let bytes = puts.iter().map(|put| put.payload.bytes.len()).sum();
        let placed = stream.put(call.now, puts, None)?;
        by_shard.stored(&placed, sizes.into_iter().flatten());
        let outcome = PutOutcome {
            stored: placed.len(),
            bytes,
            ..PutOutcome::default()
        };
        count(call, stream, outcome, &by_shard);
        let placed = placed.into_iter().map(Ok);
        return Ok(Reply::Full(write_places(call.wire, placed)));
    }
    put_the_rest(call, stream, puts, &failures, by_shard)
}

/// For each record why it fails, or nothing; empty if none does.
fn failures(
    call: &Call<'_>,
    stream: &Stream,
    puts: &[Put],
    by_shard: &mut ShardPuts,
) -> Vec<Option<Refusal>> {
    let refused = call.engine.limits.admit_puts(call.now, stream, puts);
    for shard in refused.iter().flatten() {
        by_shard.throttled(*shard);
    }
    let exceeded = |shard| shard_exceeded(shard, &stream.name, &stream.scope);
    let mut failures: Vec<_> = refused
        .into_iter()
        .map(|shard| shard.map(exceeded))
        .collect();
    if call.faults.are_armed() {
        failures.resize(puts.len(), None);
        let state = stream.state(call.now);
        for (put, failure) in puts.iter().zip(&mut failures) {
            let shard = state.topology.route(put.hash).map(|shard| shard.index);
            let strike = |shard| call.faults.strike_record(&stream.name, shard);
            *failure = failure.take().or_else(|| shard.and_then(strike));
        }
    }
    failures
}

/// Puts the records that do not fail, and answers for all in their order.
fn put_the_rest(
    call: &Call<'_>,
    stream: &Stream,
    puts: Vec<Put>,
    failures: &[Option<Refusal>],
    mut by_shard: ShardPuts,
) -> Result<Reply, Refusal> {
    let (mut rest, mut size) = (Vec::with_capacity(puts.len()), 0);
    for (put, failure) in puts.into_iter().zip(failures) {
        if failure.is_none() {
            size += put.payload.bytes.len();
            rest.push(put);
        }
    }
    let sizes = by_shard.is_wanted().then(|| sizes(&rest));
    let placed = stream.put(call.now, rest, None)?;
    by_shard.stored(&placed, sizes.into_iter().flatten());
    let is_throttled = |refusal: &&Refusal| refusal.kind == Kind::ProvisionedThroughputExceeded;
    let failed = failures.iter().flatten();
    let throttled = failed.clone().filter(is_throttled).count();
    let outcome = PutOutcome {
        stored: placed.len(),
        bytes: size,
        throttled,
        failed: failed.count() - throttled,
    };
    count(call, stream, outcome, &by_shard);
    let mut placed = placed.into_iter();
    let mut outcomes = Vec::with_capacity(failures.len());
    for failure in failures {
        match failure {
            Some(refusal) => outcomes.push(Err(refusal)),
            None => outcomes.extend(placed.next().map(Ok)),
        }
    }
    Ok(Reply::Full(write_places(call.wire, outcomes.into_iter())))
}

fn sizes(puts: &[Put]) -> Vec<usize> {
    puts.iter().map(|put| put.payload.bytes.len()).collect()
}

/// Counts a call that was carried out.
fn count(call: &Call<'_>, stream: &Stream, outcome: PutOutcome, by_shard: &ShardPuts) {
    let (metrics, latency) = (&stream.metrics, call.started.elapsed());
    if outcome.stored > 0 {
        let calls = &metrics.put_records;
        calls.count(outcome.stored, outcome.bytes, latency);
    }
    if outcome.throttled + outcome.failed > 0 {
        // A `usize` is no wider than 64 bits.
        metrics.put_records_throttled.add(outcome.throttled as u64);
        metrics.put_records_failed.add(outcome.failed as u64);
    }
    metrics.ledger.put_records(call.now, outcome, latency);
    metrics.ledger.shard_puts(call.now, by_shard);
}
