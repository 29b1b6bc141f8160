//! CreateStream.

use serde::Deserialize;

use crate::engine::on_demand::SHARDS_MIN;
use crate::engine::stream::{Mode, Plan};
use crate::engine::tags::Tags;
use crate::refusal::{Kind, Refusal};
use crate::wire::check::Checks;
use crate::wire::field::{Int, Map, Shape, Text, text};

use super::{Call, Reply, tags, update_max_record_size, warm};

/// The largest record, if the caller does not say.
const RECORD_SIZE: usize = 1 << 20;

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
    warm_throughput_mi_bps: Option<Int>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<Int>,
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
        if let Some(Int(warm)) = self.warm_throughput_mi_bps {
            checks.range(&"warmThroughputMiBps", warm, (0, i32::MAX));
        }
        if let Some(Int(size)) = self.max_record_size_in_kib {
            let bounds = update_max_record_size::BOUNDS;
            checks.range(&"maxRecordSizeInKiB", size, bounds);
        }
        if let Some(tags) = &self.tags {
            checks.tags(&"tags", tags);
        }
        checks.finish()
    }

    fn plan(&self, call: &Call<'_>) -> Result<Plan, Refusal> {
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
            (_, None) => {
                let warm = warm::of(self.warm_throughput_mi_bps).unwrap_or_default();
                (Mode::OnDemand, warm.max(SHARDS_MIN))
            }
        };
        let name = text(&self.stream_name).unwrap_or_default();
        let account = &call.realm.scope.account;
        let subject = format_args!("stream {name} under account {account}");
        let mut tags = Tags::default();
        tags.add(tags::owned(&self.tags), &subject)?;
        let warm = warm::of(self.warm_throughput_mi_bps);
        if let Some(warm) = warm {
            warm::check(call, &call.realm, mode, warm)?;
        }
        let size = update_max_record_size::bytes(self.max_record_size_in_kib);
        Ok(Plan {
            shards,
            mode,
            tags,
            warm: warm.unwrap_or_default(),
            record_size_max: size.unwrap_or(RECORD_SIZE),
        })
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    request.check()?;
    let plan = request.plan(call)?;
    let name = text(&request.stream_name).unwrap_or_default();
    call.engine.create(&call.realm, call.now, name, plan)?;
    Ok(Reply::Void)
}
