//! GetRecords.
//!
//! QUIRK(kinesis): a closed shard's last records still come with an iterator; only the call that finds
//! nothing more has none, and names the children instead.

use serde::Deserialize;

use crate::engine::shard;
use crate::engine::stream::{READ_COUNT, Read, Stream};
use crate::engine::token::{Cursor, LIFE_MILLIS};
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};
use crate::wire::records::{Next, Records};
use crate::wire::shape::ChildShard;

use super::{Call, Reply, address};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    shard_iterator: Option<Text<'a>>,
    limit: Option<Int>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        if let Some(Int(limit)) = self.limit {
            checks.range(&"limit", limit, (1, 10_000));
        }
        let iterator = text(&self.shard_iterator);
        if let Some(iterator) = checks.required(&"shardIterator", iterator) {
            checks.length(&"shardIterator", iterator, (1, 512));
        }
        if let Some(arn) = text(&self.stream_arn) {
            checks.stream_arn(&"streamARN", arn);
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }

    fn cursor(&self, call: &Call<'_>) -> Result<Cursor, Refusal> {
        let iterator = text(&self.shard_iterator).unwrap_or_default();
        let cursor = call.engine.mint.open_iterator(iterator);
        let cursor = cursor.ok_or_else(|| Refusal::invalid("Invalid ShardIterator."))?;
        if call.now.millis_since(cursor.issued) > LIFE_MILLIS {
            return Err(Refusal::iterator_expired(cursor.issued, call.now));
        }
        if let Some(arn) = text(&self.stream_arn) {
            let arn = address::parse(arn)?;
            if (arn.stream, arn.account) != (&cursor.stream, &cursor.account) {
                return Err(Refusal::invalid(
                    "StreamARN and ShardIterator do not name the same stream.",
                ));
            }
        }
        Ok(cursor)
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let cursor = request.cursor(call)?;
    let stream = call.stream_of(&cursor.account, &cursor.stream)?;
    let stream = stream.filter(|stream| stream.incarnation == cursor.incarnation);
    let stream = stream.ok_or_else(|| {
        let id = shard::id(cursor.shard);
        Refusal::shard_does_not_exist(&id, &cursor.stream, &call.realm.scope)
    })?;
    let limit = request
        .limit
        .and_then(|Int(limit)| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(READ_COUNT);
    let read = read(call, &stream, cursor, limit);
    if let Err(refusal) = &read {
        let is_throttled = refusal.kind == Kind::ProvisionedThroughputExceeded;
        let ledger = &stream.metrics.ledger;
        ledger.get_records_refused(call.now, is_throttled);
    }
    read
}

/// Answers a call whose stream is found.
fn read(call: &Call<'_>, stream: &Stream, cursor: Cursor, limit: usize) -> Result<Reply, Refusal> {
    let limits = &call.engine.limits;
    let admitted = limits.admit_read(call.now, stream, cursor.shard);
    let admitted = admitted.inspect_err(|_| {
        let monitored = stream.state(call.now).monitored;
        let ledger = &stream.metrics.ledger;
        ledger.shard_read_exceeded(call.now, monitored, cursor.shard);
    })?;
    let read = stream.read(call.now, cursor.shard, cursor.from, limit)?;
    admitted.charge(call.now, &read.shard, read.size);
    let next_iterator = read.next.map(|from| {
        call.engine.mint.iterator(&Cursor {
            issued: call.now,
            from,
            ..cursor
        })
    });
    let children = read.shard.closed.get().filter(|_| next_iterator.is_none());
    let reply = Records {
        shard: &read.shard,
        entries: &read.entries,
        next: next_iterator.map_or(Next::End, Next::Iterator),
        millis_behind: read.millis_behind,
        children: children.map(|closed| {
            closed
                .children
                .iter()
                .map(|child| ChildShard::from(&**child))
                .collect()
        }),
    };
    let reply = reply.write(call.wire);
    count(call, stream, &read);
    Ok(Reply::Full(reply))
}

/// Counts an answer for the metrics.
fn count(call: &Call<'_>, stream: &Stream, read: &Read) {
    let latency = call.started.elapsed();
    let metrics = &stream.metrics.get_records;
    let amount = (read.entries.len(), read.size);
    metrics.count(amount.0, amount.1, latency);
    let last = read.entries.last();
    let age = last.map_or(0, |last| call.now.millis_since(last.arrival));
    stream.metrics.iterator_age.set(age);
    read.shard.metrics.iterator_age.set(age);
    let ledger = &stream.metrics.ledger;
    ledger.get_records(call.now, amount, latency, age);
    let shard = (read.monitored, read.shard.index);
    ledger.shard_read(call.now, shard, amount, age);
}
