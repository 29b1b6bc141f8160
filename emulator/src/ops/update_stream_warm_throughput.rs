//! UpdateStreamWarmThroughput.

use serde::{Deserialize, Serialize};

use crate::engine::change::Change;
use crate::engine::stream::{Mode, Warm};
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};
use crate::wire::shape::WarmThroughput;

use super::address::Address;
use super::{Call, Reply, warm};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    warm_throughput_mi_bps: Option<Int>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Updated<'a> {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_name: &'a str,
    warm_throughput: WarmThroughput,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    address.check(&mut checks);
    let target = checks.required(&"warmThroughputMiBps", request.warm_throughput_mi_bps);
    if let Some(Int(target)) = target {
        checks.range(&"warmThroughputMiBps", target, (0, i32::MAX));
    }
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let target = warm::of(target).unwrap_or_default();
    let stream = address.stream(call)?;
    let (name, scope) = (&stream.name, &stream.scope);
    let realm = call.engine.realm(&scope.account, &scope.region);
    let mut warm = Warm::default();
    stream.change((call.now, call.engine.delays.update), |state| {
        if state.mode == Mode::Provisioned {
            return Err(Refusal::provisioned(name, scope));
        }
        warm::check(call, &realm, state.mode, target)?;
        state.warm.target = target;
        warm = state.warm;
        Ok(Some(Change::Warm(target)))
    })?;
    Ok(call.reply(&Updated {
        stream_arn: stream.arn(),
        stream_name: name,
        warm_throughput: warm.into(),
    }))
}
