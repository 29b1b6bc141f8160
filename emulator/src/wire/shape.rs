//! The shapes that several replies share, as the service's model names them.

use serde::{Serialize, Serializer};

use crate::clock::Moment;
use crate::engine::consumer::{self, Consumer};
use crate::engine::hash::HashRange;
use crate::engine::listing::View;
use crate::engine::monitoring::Monitored;
use crate::engine::shard::{Shard, id};
use crate::engine::stream::{Mode, Stream, Warm};

use super::cbor;

/// An instant in a reply: in JSON seconds with milliseconds as their fraction, in CBOR milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamp(pub(crate) Moment);

impl Timestamp {
    /// As the service shows when a stream was made: in whole seconds.
    pub(crate) fn whole_seconds(moment: Moment) -> Self {
        Self(Moment(moment.seconds() * 1000))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            // Exact to the millisecond for as long as 2^53 milliseconds last.
            serializer.serialize_f64(self.0.millis() as f64 / 1000.0)
        } else {
            serializer.serialize_newtype_struct(cbor::TIME, &self.0.millis())
        }
    }
}

/// A shard as listings show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShardShape {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    starting_sequence_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<String>,
}

/// A shard as the end of its parent shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChildShard {
    shard_id: String,
    parent_shards: Vec<String>,
    hash_key_range: HashKeyRange,
}

/// Who sets the number of shards.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamModeDetails {
    stream_mode: &'static str,
}

/// A consumer of a stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumerShape<'a> {
    consumer_name: &'a str,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    consumer_status: &'static str,
    consumer_creation_timestamp: Timestamp,
    /// Only where the consumer is described.
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    stream_arn: Option<String>,
}

impl<'a> ConsumerShape<'a> {
    pub(crate) fn new(consumer: &'a Consumer, stream: &Stream, now: Moment) -> Self {
        Self {
            consumer_name: &consumer.name,
            consumer_arn: consumer.arn(&stream.arn()),
            consumer_status: consumer.status(now).name(),
            consumer_creation_timestamp: Timestamp::whole_seconds(consumer.created),
            stream_arn: None,
        }
    }

    /// As registering shows it: it may be active at once, but starts on its way there.
    pub(crate) fn registered(consumer: &'a Consumer, stream: &Stream) -> Self {
        Self {
            consumer_status: consumer::Status::Creating.name(),
            ..Self::new(consumer, stream, consumer.created)
        }
    }

    pub(crate) fn described(consumer: &'a Consumer, stream: &Stream, now: Moment) -> Self {
        Self {
            stream_arn: Some(stream.arn()),
            ..Self::new(consumer, stream, now)
        }
    }
}

/// Metrics per shard.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EnhancedMetrics {
    shard_level_metrics: Vec<&'static str>,
}

impl From<Monitored> for EnhancedMetrics {
    fn from(monitored: Monitored) -> Self {
        Self {
            shard_level_metrics: monitored.names(),
        }
    }
}

/// What an on-demand stream is kept ready for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WarmThroughput {
    target_mi_bps: u32,
    current_mi_bps: u32,
}

impl From<Warm> for WarmThroughput {
    fn from(warm: Warm) -> Self {
        Self {
            target_mi_bps: warm.target,
            current_mi_bps: warm.current,
        }
    }
}

/// How a description shows whether a stream is encrypted.
pub(crate) fn encryption_type(is_encrypted: bool) -> &'static str {
    if is_encrypted { "KMS" } else { "NONE" }
}

impl ShardShape {
    /// The shard as it looks in a view.
    pub(crate) fn new(shard: &Shard, view: View) -> Self {
        let ending = view.ended(shard).and_then(|_| shard.ending_sequence());
        Self {
            shard_id: shard.id(),
            parent_shard_id: shard.parent.map(id),
            adjacent_parent_shard_id: shard.adjacent_parent.map(id),
            hash_key_range: shard.range.into(),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: shard.starting_sequence().to_string(),
                ending_sequence_number: ending.map(|end| end.to_string()),
            },
        }
    }
}

impl From<&Shard> for ChildShard {
    fn from(shard: &Shard) -> Self {
        let parents = [shard.parent, shard.adjacent_parent];
        Self {
            shard_id: shard.id(),
            parent_shards: parents.into_iter().flatten().map(id).collect(),
            hash_key_range: shard.range.into(),
        }
    }
}

impl From<HashRange> for HashKeyRange {
    fn from(range: HashRange) -> Self {
        Self {
            starting_hash_key: range.start.to_string(),
            ending_hash_key: range.end.to_string(),
        }
    }
}

impl From<Mode> for StreamModeDetails {
    fn from(mode: Mode) -> Self {
        let stream_mode = match mode {
            Mode::Provisioned => "PROVISIONED",
            Mode::OnDemand => "ON_DEMAND",
        };
        Self { stream_mode }
    }
}
