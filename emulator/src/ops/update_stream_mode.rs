//! UpdateStreamMode.

use serde::Deserialize;

use crate::engine::change::Change;
use crate::engine::stream::Mode;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Shape, Text, text};

use super::address::Address;
use super::{Call, Reply, warm};

/// Switches of one stream in any 24 hours.
const A_DAY: usize = 2;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    stream_mode_details: Option<Shape<ModeDetails<'a>>>,
    warm_throughput_mi_bps: Option<Int>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails<'a> {
    #[serde(borrow)]
    stream_mode: Option<Text<'a>>,
}

impl Request<'_> {
    fn check(&self) -> Result<Mode, Refusal> {
        let mut checks = Checks::default();
        let mut mode = None;
        checks.required(&"streamARN", self.stream_arn.as_ref());
        Address::new(&None, &self.stream_arn).check(&mut checks);
        let details = checks.required(&"streamModeDetails", self.stream_mode_details.as_ref());
        if let Some(Shape(details)) = details {
            let path = "streamModeDetails.streamMode";
            mode = checks.required(&path, text(&details.stream_mode));
            if let Some(mode) = mode {
                checks.one_of(&path, mode, &["PROVISIONED", "ON_DEMAND"]);
            }
        }
        if let Some(Int(warm)) = self.warm_throughput_mi_bps {
            checks.range(&"warmThroughputMiBps", warm, (0, i32::MAX));
        }
        checks.stream_id(text(&self.stream_id));
        checks.finish()?;
        Ok(match mode {
            Some("ON_DEMAND") => Mode::OnDemand,
            Some(_) | None => Mode::Provisioned,
        })
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let mode = request.check()?;
    let stream = Address::new(&None, &request.stream_arn).stream(call)?;
    let (name, scope) = (&stream.name, &stream.scope);
    let realm = call.engine.realm(&scope.account, &scope.region);
    // Counted before the stream's lock is taken: streams are locked one at a time.
    let besides = realm.usage(call.now, Some(&stream));
    stream.change((call.now, call.engine.delays.update), |state| {
        if state.mode == mode {
            return Err(Refusal::invalid(format!(
                "Stream {name} under account {} is already in {} mode.",
                scope.account,
                mode.title()
            )));
        }
        let warm = warm::of(request.warm_throughput_mi_bps);
        if let Some(warm) = warm {
            warm::check(call, &realm, mode, warm)?;
        }
        match mode {
            Mode::OnDemand => call.engine.check_on_demand(scope, besides.on_demand)?,
            // The shards it has begin to count.
            Mode::Provisioned => {
                let open = u32::try_from(state.topology.open_count()).unwrap_or(u32::MAX);
                call.engine.check_quota(scope, besides.open_shards, open)?;
            }
        }
        if !state.quotas.mode_switches.spend(call.now, A_DAY) {
            return Err(Refusal::often("UpdateStreamMode", A_DAY, name, scope));
        }
        let warm = warm.unwrap_or_default();
        Ok(Some(Change::Mode { mode, warm }))
    })?;
    Ok(Reply::Void)
}
