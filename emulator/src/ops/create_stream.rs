//! CreateStream.

use serde::Deserialize;

use crate::engine::stream::{Mode, Plan};
use crate::engine::tags::Tags;
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Int, Map, Shape, Text, text};

use super::{Call, Reply, tags};

/// Shards of a new stream on demand.
const ON_DEMAND_SHARDS: u32 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    shard_count: Option<Int>,
    #[serde(borrow)]
    stream_mode_details: Option<Shape<ModeDetails<'a>>>,
    #[serde(borrow)]
    tags: Option<Map<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails<'a> {
    #[serde(borrow)]
    stream_mode: Option<Text<'a>>,
}

impl Request<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::default();
        if let Some(name) = checks.required(&"streamName", text(&self.stream_name)) {
            checks.name(&"streamName", name);
        }
        if let Some(Int(count)) = self.shard_count {
            checks.range(&"shardCount", count, (1, i32::MAX));
        }
        if let Some(Shape(details)) = &self.stream_mode_details {
            let path = "streamModeDetails.streamMode";
            if let Some(mode) = checks.required(&path, text(&details.stream_mode)) {
                checks.one_of(&path, mode, &["PROVISIONED", "ON_DEMAND"]);
            }
        }
        if let Some(tags) = &self.tags {
            checks.tags(&"tags", tags);
        }
        checks.finish()
    }

    fn plan(&self, account: &str) -> Result<Plan, Refusal> {
        let mode = self
            .stream_mode_details
            .as_ref()
            .and_then(|Shape(mode)| text(&mode.stream_mode));
        let count = self
            .shard_count
            .and_then(|Int(count)| u32::try_from(count).ok());
        let (mode, shards) = match (mode, count) {
            (Some("ON_DEMAND"), Some(_)) => {
                let text = "ShardCount is not expected when StreamMode=ON_DEMAND";
                return Err(Refusal::new(Kind::Validation, text));
            }
            (Some("PROVISIONED"), None) => {
                let text = "ShardCount is expected when StreamMode=PROVISIONED";
                return Err(Refusal::new(Kind::Validation, text));
            }
            (_, Some(count)) => (Mode::Provisioned, count),
            (_, None) => (Mode::OnDemand, ON_DEMAND_SHARDS),
        };
        let name = text(&self.stream_name).unwrap_or_default();
        let subject = format_args!("stream {name} under account {account}");
        let mut tags = Tags::default();
        tags.add(tags::owned(&self.tags), &subject)?;
        Ok(Plan { shards, mode, tags })
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let plan = request.plan(&call.realm.scope.account)?;
    let name = text(&request.stream_name).unwrap_or_default();
    call.engine.create(&call.realm, call.now, name, plan)?;
    Ok(Reply::Void)
}
