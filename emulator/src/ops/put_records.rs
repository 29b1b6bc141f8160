//! PutRecords. What is wrong with one record is wrong with the call; only what the shard has no room
//! for, and what a fault strikes, fails alone, in its place among the others.

use serde::Deserialize;

use crate::engine::limits::shard_exceeded;
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
    let records = || {
        request
            .entries()
            .iter()
            .flatten()
            .map(|Shape(entry)| entry.record())
    };
    let decoded = put::decode(records())?;
    request.check()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let stream = address.stream(call)?;
    put::check_has_shards(&stream, call.now)?;
    put::check_total(decoded.len())?;
    let limit = {
        let state = stream.state(call.now);
        state.record_size_max
    };
    for (place, record) in (1..).zip(records()) {
        record.check_size(&format_args!("records.{place}.member."), limit)?;
    }
    let records: Vec<_> = records().collect();
    let puts = put::places(records.into_iter(), decoded)?;
    let failures = failures(call, &stream, &puts);
    if failures.is_empty() {
        let size = puts.iter().map(|put| put.payload.bytes.len()).sum();
        let placed = stream.put(call.now, puts, None)?;
        let metrics = &stream.metrics.put_records;
        metrics.count(placed.len(), size, call.started.elapsed());
        let placed = placed.into_iter().map(Ok);
        return Ok(Reply::Full(write_places(call.wire, placed)));
    }
    put_the_rest(call, &stream, puts, &failures)
}

/// For each record why it fails, or nothing; empty if none does.
fn failures(call: &Call<'_>, stream: &Stream, puts: &[Put]) -> Vec<Option<Refusal>> {
    let refused = call.engine.limits.admit_puts(call.now, stream, puts);
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
) -> Result<Reply, Refusal> {
    let (mut rest, mut size) = (Vec::with_capacity(puts.len()), 0);
    for (put, failure) in puts.into_iter().zip(failures) {
        if failure.is_none() {
            size += put.payload.bytes.len();
            rest.push(put);
        }
    }
    let placed = stream.put(call.now, rest, None)?;
    let metrics = &stream.metrics;
    if !placed.is_empty() {
        let latency = call.started.elapsed();
        metrics.put_records.count(placed.len(), size, latency);
    }
    for refusal in failures.iter().flatten() {
        if refusal.kind == Kind::ProvisionedThroughputExceeded {
            metrics.put_records_throttled.add(1);
        } else {
            metrics.put_records_failed.add(1);
        }
    }
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
