//! DescribeStream.

use serde::{Deserialize, Serialize};

use crate::engine::shard;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};
use crate::wire::shape::{
    EnhancedMetrics, ShardShape, StreamModeDetails, Timestamp, encryption_type,
};

use super::address::Address;
use super::{Call, Reply};

/// Shards of one page, if the caller does not ask for fewer.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    limit: Option<Int>,
    #[serde(borrow)]
    exclusive_start_shard_id: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description<'a> {
    stream_description: StreamDescription<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamDescription<'a> {
    stream_name: &'a str,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    shards: Vec<ShardShape>,
    has_more_shards: bool,
    retention_period_hours: u64,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: [EnhancedMetrics; 1],
    encryption_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    address.check(&mut checks);
    if let Some(Int(limit)) = request.limit {
        checks.range(&"limit", limit, (1, 10_000));
    }
    let start = text(&request.exclusive_start_shard_id);
    if let Some(start) = start {
        checks.name(&"exclusiveStartShardId", start);
    }
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    let after = match start.map(|id| (id, shard::parse_id(id))) {
        Some((id, None)) => {
            return Err(Refusal::shard_not_found(id, &stream.name, &stream.scope));
        }
        Some((_, index)) => index,
        None => None,
    };
    let limit = request
        .limit
        .map_or(PAGE, |Int(limit)| usize::try_from(limit).unwrap_or(PAGE));
    let state = stream.state(call.now);
    let view = call.view(&state);
    let listed = state.topology.listed(after);
    let mut shards = listed.filter(|shard| view.has(shard));
    let page = shards
        .by_ref()
        .take(limit.min(PAGE))
        .map(|shard| ShardShape::new(shard, view));
    let page = page.collect();
    Ok(call.reply(&Description {
        stream_description: StreamDescription {
            stream_name: &stream.name,
            stream_arn: stream.arn(),
            stream_status: state.status.name(),
            stream_mode_details: state.mode.into(),
            shards: page,
            has_more_shards: shards.next().is_some(),
            retention_period_hours: state.retention.as_secs() / 3600,
            stream_creation_timestamp: Timestamp::whole_seconds(stream.created),
            enhanced_monitoring: [state.monitored.into()],
            encryption_type: encryption_type(state.key.is_some()),
            key_id: state.key.as_deref(),
        },
    }))
}
