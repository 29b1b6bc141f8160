//! UpdateShardCount. The steps are planned when it is accepted, and taken when UPDATING ends.

use serde::{Deserialize, Serialize};

use crate::engine::change::Change;
use crate::engine::resize;
use crate::engine::stream::{Mode, State, Stream};
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};

use super::address::Address;
use super::{Call, Reply};

/// Changes of one stream in any 24 hours.
const A_DAY: usize = 10;
/// Shards of one stream.
const SHARDS_MAX: u32 = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    target_shard_count: Option<Int>,
    #[serde(borrow)]
    scaling_type: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Updated<'a> {
    stream_name: &'a str,
    current_shard_count: usize,
    target_shard_count: u32,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

impl Request<'_> {
    fn check(&self) -> Result<u32, Refusal> {
        let mut checks = Checks::default();
        if let Some(kind) = checks.required(&"scalingType", text(&self.scaling_type)) {
            checks.one_of(&"scalingType", kind, &["UNIFORM_SCALING"]);
        }
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        let target = checks.required(&"targetShardCount", self.target_shard_count);
        if let Some(Int(target)) = target {
            checks.range(&"targetShardCount", target, (1, i32::MAX));
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()?;
        Ok(target.map_or(0, |Int(target)| target.unsigned_abs()))
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let target = request.check()?;
    let stream = Address::new(&request.stream_name, &request.stream_arn).stream(call)?;
    let realm = call
        .engine
        .realm(&stream.scope.account, &stream.scope.region);
    // Counted before the stream's lock is taken: streams are locked one at a time.
    let besides = realm.usage(call.now, Some(&stream)).open_shards;
    let mut current = 0;
    stream.change((call.now, call.engine.delays.reshard), |state| {
        current = state.topology.open_count();
        resize(call, &stream, state, target, besides)
    })?;
    Ok(call.reply(&Updated {
        stream_name: &stream.name,
        current_shard_count: current,
        target_shard_count: target,
        stream_arn: stream.arn(),
    }))
}

/// Checks what must hold, in order, and plans the steps.
fn resize(
    call: &Call<'_>,
    stream: &Stream,
    state: &mut State,
    target: u32,
    besides: usize,
) -> Result<Option<Change>, Refusal> {
    if state.mode == Mode::OnDemand {
        return Err(Refusal::on_demand(&stream.name, &stream.scope));
    }
    let open = state.topology.open_count();
    check_target(open, target, call.engine.is_resizing_bounded)?;
    let steps = resize::plan(&state.topology.open_ranges(), target);
    if steps.is_empty() {
        return Ok(None);
    }
    let more = resize::peak(open, &steps) - open;
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    call.engine
        .check_quota(&stream.scope, besides + open, more)?;
    if !state.quotas.resizes.spend(call.now, A_DAY) {
        let (name, scope) = (&stream.name, &stream.scope);
        return Err(Refusal::often("UpdateShardCount", A_DAY, name, scope));
    }
    Ok(Some(Change::Resize(steps)))
}

/// Refuses a target that is out of reach from `open` shards.
fn check_target(open: usize, target: u32, is_bounded: bool) -> Result<(), Refusal> {
    let wanted = usize::try_from(target).unwrap_or(usize::MAX);
    let text = if target > SHARDS_MAX {
        format!("Target shard count or number of open shards cannot be greater than {SHARDS_MAX}.")
    } else if is_bounded && wanted > open * 2 {
        "UpdateShardCount cannot scale up over double your current open shard count.".to_owned()
    } else if is_bounded && wanted * 2 < open {
        "UpdateShardCount cannot scale down below half your current open shard count.".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        Kind::LimitExceeded,
        format!("{text} Current open shard count: {open} Target shard count: {target}"),
    ))
}
