//! SplitShard.

use serde::Deserialize;

use crate::engine::shard;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};

use super::address::Address;
use super::{Call, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_to_split: Option<Text<'a>>,
    #[serde(borrow)]
    new_starting_hash_key: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    let key = checks.required(&"newStartingHashKey", text(&request.new_starting_hash_key));
    if let Some(key) = key {
        checks.hash_key(&"newStartingHashKey", key);
    }
    let id = checks.required(&"shardToSplit", text(&request.shard_to_split));
    if let Some(id) = id {
        checks.name(&"shardToSplit", id);
    }
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let (id, key) = (id.unwrap_or_default(), key.unwrap_or_default());
    let target = address.target(call)?;
    let scope = &call.realm.scope;
    let index =
        shard::parse_id(id).ok_or_else(|| Refusal::shard_not_found(id, target.name, scope))?;
    let stream = target.found(call)?;
    // A key past the space is past the shard's end as well, and refused as such.
    let key = key.parse().unwrap_or(u128::MAX);
    // Counted before the stream's lock is taken: streams are locked one at a time.
    let besides = call.realm.usage(call.now, Some(&stream)).open_shards;
    let quota = |own: usize| call.engine.check_quota(scope, besides + own, 1);
    stream.split((call.now, call.engine.delays.reshard), index, key, quota)?;
    Ok(Reply::Void)
}
