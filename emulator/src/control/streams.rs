//! What there is, at a glance; and the way back to nothing.

use serde::Serialize;
use serde_json::{Value, json};

use crate::Service;
use crate::engine::shard::Shard;
use crate::engine::stream::Stream;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Overview<'a> {
    name: &'a str,
    account: &'a str,
    region: &'a str,
    status: &'static str,
    open_shards: usize,
    records: u64,
    bytes: u64,
    consumers: usize,
    subscriptions: usize,
    shards: Vec<ShardOverview>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShardOverview {
    id: String,
    open: bool,
    records: u64,
    bytes: u64,
    subscriptions: usize,
}

/// Every stream of every account and region.
pub(super) fn overview(service: &Service) -> Value {
    let now = service.clock().moment();
    let mut all = Vec::new();
    for realm in service.engine().realms() {
        for stream in realm.list(now, None, usize::MAX).0 {
            all.push(json!(of(&stream, service)));
        }
    }
    json!({ "streams": all })
}

fn of<'a>(stream: &'a Stream, service: &Service) -> Overview<'a> {
    let now = service.clock().moment();
    let state = stream.state(now);
    let oldest = now.before(state.retention);
    let shards: Vec<_> = state
        .topology
        .listed(None)
        .map(|shard| of_shard(shard, oldest))
        .collect();
    Overview {
        name: &stream.name,
        account: &stream.scope.account,
        region: &stream.scope.region,
        status: state.status.name(),
        open_shards: state.topology.open_count(),
        records: shards.iter().map(|shard| shard.records).sum(),
        bytes: shards.iter().map(|shard| shard.bytes).sum(),
        consumers: stream.consumers.all(now).len(),
        subscriptions: stream.listeners(),
        shards,
    }
}

fn of_shard(shard: &Shard, oldest: crate::clock::Moment) -> ShardOverview {
    let mut log = shard.log.lock();
    log.trim(oldest);
    let held = log.held();
    drop(log);
    ShardOverview {
        id: shard.id(),
        open: shard.is_open(),
        records: held.records,
        bytes: held.bytes,
        subscriptions: shard.audience.seated(),
    }
}

/// Drops all streams, tables and metrics at once and takes all faults back. Time goes on as it is.
pub(super) fn reset(service: &Service) -> Value {
    let now = service.clock().moment();
    let mut dropped = 0;
    for realm in service.engine().realms() {
        for stream in realm.list(now, None, usize::MAX).0 {
            realm.delete(now, &stream, std::time::Duration::ZERO);
            dropped += 1;
        }
    }
    let tables = service.dynamo().clear();
    // After the streams, whose last counts go there.
    service.cloudwatch().clear();
    service.faults().clear();
    json!({"streams": dropped, "tables": tables})
}
