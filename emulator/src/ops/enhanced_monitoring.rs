//! What the two changes of enhanced monitoring share.

use serde::{Deserialize, Serialize};

use crate::engine::change::Change;
use crate::engine::monitoring::{METRICS, Monitored};
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{List, Text, text};

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
    shard_level_metrics: Option<List<Text<'a>>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Changed<'a> {
    stream_name: &'a str,
    current_shard_level_metrics: Vec<&'static str>,
    desired_shard_level_metrics: Vec<&'static str>,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

impl Request<'_> {
    fn names(&self) -> impl Iterator<Item = &str> {
        let members = self
            .shard_level_metrics
            .iter()
            .flat_map(|List(names)| names);
        members.map(|name| text(name).unwrap_or_default())
    }

    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        let path = "shardLevelMetrics";
        if let Some(names) = checks.required(&path, self.shard_level_metrics.as_ref()) {
            let words: Vec<_> = METRICS.into_iter().chain(["ALL"]).collect();
            checks.all_of(&path, names, (1, 7), &words);
        }
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }
}

/// Changes the set of metrics with `join`, which gets what it is and what the request names.
pub(super) fn run(
    call: &Call<'_>,
    join: impl FnOnce(Monitored, Monitored) -> Monitored,
) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let stream = address.stream(call)?;
    let (mut current, mut desired) = (Monitored::default(), Monitored::default());
    stream.change((call.now, call.engine.delays.update), |state| {
        current = state.monitored;
        desired = join(current, Monitored::of(request.names()));
        Ok((desired != current).then_some(Change::Monitoring(desired)))
    })?;
    Ok(call.reply(&Changed {
        stream_name: &stream.name,
        current_shard_level_metrics: current.names(),
        desired_shard_level_metrics: desired.names(),
        stream_arn: stream.arn(),
    }))
}
