//! PutRecord.

use std::iter;

use bytes::Bytes;
use serde::Deserialize;

use crate::engine::limits::shard_exceeded;
use crate::engine::samples::ShardPuts;
use crate::engine::sequence::Sequence;
use crate::engine::stream::Stream;
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Blob, Text, text};
use crate::wire::records::write_place;

use super::address::Address;
use super::put::{self, Record};
use super::{Call, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Blob<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
    #[serde(borrow)]
    sequence_number_for_ordering: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let record = Record::new(
        &request.data,
        &request.partition_key,
        &request.explicit_hash_key,
    );
    let decoded = put::decode(iter::once(record))?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let above = text(&request.sequence_number_for_ordering);
    let mut checks = Checks::default();
    if let Some(above) = above {
        checks.sequence(&"sequenceNumberForOrdering", above);
    }
    record.check(&mut checks, &"");
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    let stored = store(call, &stream, record, decoded, above);
    if let Err(refusal) = &stored {
        let is_throttled = refusal.kind == Kind::ProvisionedThroughputExceeded;
        let ledger = &stream.metrics.ledger;
        ledger.put_record_refused(call.now, is_throttled);
    }
    stored
}

/// Answers a call whose stream is found.
fn store(
    call: &Call<'_>,
    stream: &Stream,
    record: Record<'_>,
    decoded: Bytes,
    above: Option<&str>,
) -> Result<Reply, Refusal> {
    let (limit, monitored) = {
        let state = stream.state(call.now);
        (state.record_size_max, state.monitored)
    };
    let mut by_shard = ShardPuts::new(monitored);
    put::check_has_shards(stream, call.now)?;
    record.check_size(&"", limit)?;
    let puts = put::places(iter::once(record), decoded)?;
    let above = above
        .map(|above| ordering(call, stream, above))
        .transpose()?;
    let refused = call.engine.limits.admit_puts(call.now, stream, &puts);
    if let Some(shard) = refused.into_iter().flatten().next() {
        by_shard.throttled(shard);
        stream.metrics.ledger.shard_puts(call.now, &by_shard);
        return Err(shard_exceeded(shard, &stream.name, &stream.scope));
    }
    let placed = stream.put(call.now, puts, above)?;
    let metrics = &stream.metrics.put_record;
    let (size, latency) = (record.size(), call.started.elapsed());
    metrics.count(1, size, latency);
    by_shard.stored(&placed, iter::once(size));
    let ledger = &stream.metrics.ledger;
    ledger.put_record(call.now, size, latency);
    ledger.shard_puts(call.now, &by_shard);
    Ok(Reply::Full(placed.first().map_or_else(Vec::new, |place| {
        write_place(call.wire, *place)
    })))
}

/// The number that the record's own must exceed.
fn ordering(call: &Call<'_>, stream: &Stream, above: &str) -> Result<Sequence, Refusal> {
    let number = Sequence::parse(above).ok_or_else(|| stream.ordering_text_is_invalid(above))?;
    stream.check_ordering(call.now, number)?;
    Ok(number)
}
