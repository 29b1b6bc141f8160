//! DescribeLimits.

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

use super::{Call, Reply};

#[derive(Deserialize)]
struct Request {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limits {
    shard_limit: u32,
    open_shard_count: usize,
    on_demand_stream_count: usize,
    on_demand_stream_count_limit: u32,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let Request {} = call.read()?;
    let usage = call.realm.usage(call.now, None);
    Ok(call.reply(&Limits {
        shard_limit: call.engine.shard_limit,
        open_shard_count: usage.open_shards,
        on_demand_stream_count: usage.on_demand,
        on_demand_stream_count_limit: call.engine.on_demand_limit,
    }))
}
