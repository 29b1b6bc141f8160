//! MergeShards.

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
    shard_to_merge: Option<Text<'a>>,
    #[serde(borrow)]
    adjacent_shard_to_merge: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    let ids = [
        ("shardToMerge", text(&request.shard_to_merge)),
        (
            "adjacentShardToMerge",
            text(&request.adjacent_shard_to_merge),
        ),
    ];
    for (path, id) in ids {
        if let Some(id) = checks.required(&path, id) {
            checks.name(&path, id);
        }
    }
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let target = address.target(call)?;
    let [lower, upper] = ids.map(|(_, id)| {
        let id = id.unwrap_or_default();
        shard::parse_id(id)
            .ok_or_else(|| Refusal::shard_not_found(id, target.name, target.scope(call)))
    });
    let (lower, upper) = (lower?, upper?);
    let stream = target.found(call)?;
    stream.merge((call.now, call.engine.delays.reshard), lower, upper)?;
    Ok(Reply::Void)
}
