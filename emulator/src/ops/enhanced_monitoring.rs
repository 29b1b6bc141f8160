//! What the two changes of enhanced monitoring share.

use std::fmt;

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
    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let members = self
            .shard_level_metrics
            .iter()
            .flat_map(|List(names)| names);
        members.map(|name| text(name).unwrap_or_default())
    }

    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        let path = "shardLevelMetrics";
        if checks
            .required(&path, self.shard_level_metrics.as_ref())
            .is_some()
        {
            let shown = Shown(self);
            let is_metric = |name: &str| name == "ALL" || METRICS.contains(&name);
            if !self.names().all(is_metric) {
                let words = METRICS.join(", ");
                let constraint = format_args!(
                    "satisfy constraint: [Member must satisfy enum value set: [{words}, ALL]]"
                );
                checks.fail(Some(&shown), &path, &constraint);
            }
            let bound = match self.names().count() {
                0 => Some(("greater", 1)),
                1..=7 => None,
                _ => Some(("less", 7)),
            };
            if let Some((bound, limit)) = bound {
                let constraint = format_args!("have length {bound} than or equal to {limit}");
                checks.fail(Some(&shown), &path, &constraint);
            }
        }
        Address::new(&self.stream_name, &self.stream_arn).check(&mut checks);
        checks.stream_id(text(&self.stream_id));
        checks.finish()
    }
}

/// The names as the service prints a list.
struct Shown<'a>(&'a Request<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (place, name) in self.0.names().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{name}")?;
        }
        f.write_str("]")
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
