//! DescribeStreamSummary. The member `StreamId` is left out on purpose: a client that copies it into
//! its next call goes to a host of its own making.

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Text, text};
use crate::wire::shape::{
    EnhancedMetrics, StreamModeDetails, Timestamp, WarmThroughput, encryption_type,
};

use super::address::Address;
use super::{Call, Reply, warm};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    stream_description_summary: StreamDescriptionSummary<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamDescriptionSummary<'a> {
    stream_name: &'a str,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    retention_period_hours: u64,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: [EnhancedMetrics; 1],
    encryption_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_throughput: Option<WarmThroughput>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: usize,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let stream = address.stream(call)?;
    let (account, region) = (&stream.scope.account, &stream.scope.region);
    let realm = call.engine.realm(account, region);
    let state = stream.state(call.now);
    Ok(call.reply(&Summary {
        stream_description_summary: StreamDescriptionSummary {
            stream_name: &stream.name,
            stream_arn: stream.arn(),
            stream_status: state.status.name(),
            stream_mode_details: state.mode.into(),
            retention_period_hours: state.retention.as_secs() / 3600,
            stream_creation_timestamp: Timestamp::whole_seconds(stream.created),
            enhanced_monitoring: [state.monitored.into()],
            encryption_type: encryption_type(state.key.is_some()),
            key_id: state.key.as_deref(),
            open_shard_count: state.topology.open_count(),
            consumer_count: stream.consumers.count(call.now),
            warm_throughput: warm::shown(call, &realm, &state),
            max_record_size_in_kib: state.record_size_max >> 10,
        },
    }))
}
