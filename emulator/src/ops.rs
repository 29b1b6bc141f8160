//! The operations: their names, and who answers which. One file below for each that is there.
//!
//! An operation reads its request, checks types and constraints, asks the engine, and shapes the
//! reply. Whatever holds for all of them (faults, quotas, authorization) belongs before [`run`].

mod access;
mod account_settings;
mod add_tags_to_stream;
mod address;
mod consumer_address;
mod create_stream;
mod decrease_stream_retention_period;
mod delete_resource_policy;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_account_settings;
mod describe_limits;
mod describe_stream;
mod describe_stream_consumer;
mod describe_stream_summary;
mod disable_enhanced_monitoring;
mod enable_enhanced_monitoring;
mod encryption;
mod enhanced_monitoring;
mod get_records;
mod get_resource_policy;
mod get_shard_iterator;
mod increase_stream_retention_period;
mod list_shards;
mod list_stream_consumers;
mod list_streams;
mod list_tags_for_resource;
mod list_tags_for_stream;
mod merge_shards;
mod position;
mod put;
mod put_record;
mod put_records;
mod put_resource_policy;
mod register_stream_consumer;
mod remove_tags_from_stream;
mod resource;
mod retention;
mod split_shard;
mod start_stream_encryption;
mod stop_stream_encryption;
mod subscribe_to_shard;
mod tag_resource;
mod tags;
pub(crate) mod target;
mod untag_resource;
mod update_account_settings;
mod update_max_record_size;
mod update_shard_count;
mod update_stream_mode;
mod update_stream_warm_throughput;
mod warm;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Clock;
use crate::caller::{Caller, Peer};
use crate::clock::Moment;
use crate::engine::limits::Asked;
use crate::engine::listing::View;
use crate::engine::stream::State;
use crate::engine::{Engine, Realm};
use crate::fan_out::EventBody;
use crate::faults::{Faults, Stale};
use crate::refusal::Refusal;
use crate::wire::codec::{Document, Wire};

use self::target::Target;

/// A request on its way to its operation.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    pub(crate) engine: &'a Engine,
    pub(crate) caller: Caller<'a>,
    /// Whence it comes, if from a socket.
    pub(crate) peer: Option<Peer>,
    /// The caller's own streams.
    pub(crate) realm: Arc<Realm>,
    /// For what outlives the call.
    pub(crate) clock: &'a Clock,
    pub(crate) now: Moment,
    /// By the machine's time, for how long it takes.
    pub(crate) started: Instant,
    pub(crate) faults: &'a Faults,
    /// How old a listing is to be, if a fault has struck it.
    pub(crate) stale: Option<Stale>,
    pub(crate) wire: Wire,
    pub(crate) body: Document,
}

impl Call<'_> {
    /// The request, read in the caller's encoding.
    fn read<'b, T: Deserialize<'b>>(&'b self) -> Result<T, Refusal> {
        self.wire.read(&self.body)
    }

    /// As of when a listing shows the shards.
    fn view(&self, state: &State) -> View {
        let latest = state.topology.latest_reshard();
        match (self.stale, latest) {
            (Some(stale), Some(latest)) => View::before(stale.horizon(self.now, latest)),
            (Some(_), None) | (None, _) => View::default(),
        }
    }

    /// A reply in the caller's encoding.
    fn reply(&self, shape: &impl Serialize) -> Reply {
        Reply::Full(self.wire.write(shape))
    }
}

/// What an operation answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An empty body.
    Void,
    /// A whole body.
    Full(Vec<u8>),
    /// Frames as things happen.
    Events(EventBody),
}

/// Defines the operations with their names, so that no list of them can be forgotten.
macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// The operations of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Operation { $($name),* }

        impl Operation {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// As a request names it.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            pub(crate) fn parse(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

operations! {
    AddTagsToStream, CreateStream, DecreaseStreamRetentionPeriod, DeleteResourcePolicy,
    DeleteStream, DeregisterStreamConsumer, DescribeAccountSettings, DescribeLimits,
    DescribeStream, DescribeStreamConsumer, DescribeStreamSummary, DisableEnhancedMonitoring,
    EnableEnhancedMonitoring, GetRecords, GetResourcePolicy, GetShardIterator,
    IncreaseStreamRetentionPeriod, ListShards, ListStreamConsumers, ListStreams,
    ListTagsForResource, ListTagsForStream, MergeShards, PutRecord, PutRecords, PutResourcePolicy,
    RegisterStreamConsumer, RemoveTagsFromStream, SplitShard, StartStreamEncryption,
    StopStreamEncryption, SubscribeToShard, TagResource, UntagResource, UpdateAccountSettings,
    UpdateMaxRecordSize, UpdateShardCount, UpdateStreamMode, UpdateStreamWarmThroughput,
}

/// Answers a call.
pub(crate) fn run(call: &Call<'_>) -> Result<Reply, Refusal> {
    use Operation as O;
    call.engine.sweep(call.now);
    if !call.engine.limits.is_off() {
        admit(call)?;
    }
    match call.operation {
        O::AddTagsToStream => add_tags_to_stream::run(call),
        O::CreateStream => create_stream::run(call),
        O::DecreaseStreamRetentionPeriod => decrease_stream_retention_period::run(call),
        O::DeleteResourcePolicy => delete_resource_policy::run(call),
        O::DeleteStream => delete_stream::run(call),
        O::DeregisterStreamConsumer => deregister_stream_consumer::run(call),
        O::DescribeAccountSettings => describe_account_settings::run(call),
        O::DescribeLimits => describe_limits::run(call),
        O::DescribeStream => describe_stream::run(call),
        O::DescribeStreamConsumer => describe_stream_consumer::run(call),
        O::DescribeStreamSummary => describe_stream_summary::run(call),
        O::DisableEnhancedMonitoring => disable_enhanced_monitoring::run(call),
        O::EnableEnhancedMonitoring => enable_enhanced_monitoring::run(call),
        O::GetRecords => get_records::run(call),
        O::GetResourcePolicy => get_resource_policy::run(call),
        O::GetShardIterator => get_shard_iterator::run(call),
        O::IncreaseStreamRetentionPeriod => increase_stream_retention_period::run(call),
        O::ListShards => list_shards::run(call),
        O::ListStreamConsumers => list_stream_consumers::run(call),
        O::ListStreams => list_streams::run(call),
        O::ListTagsForResource => list_tags_for_resource::run(call),
        O::ListTagsForStream => list_tags_for_stream::run(call),
        O::MergeShards => merge_shards::run(call),
        O::PutRecord => put_record::run(call),
        O::PutRecords => put_records::run(call),
        O::PutResourcePolicy => put_resource_policy::run(call),
        O::RegisterStreamConsumer => register_stream_consumer::run(call),
        O::RemoveTagsFromStream => remove_tags_from_stream::run(call),
        O::SplitShard => split_shard::run(call),
        O::StartStreamEncryption => start_stream_encryption::run(call),
        O::StopStreamEncryption => stop_stream_encryption::run(call),
        O::SubscribeToShard => subscribe_to_shard::run(call),
        O::TagResource => tag_resource::run(call),
        O::UntagResource => untag_resource::run(call),
        O::UpdateAccountSettings => update_account_settings::run(call),
        O::UpdateMaxRecordSize => update_max_record_size::run(call),
        O::UpdateShardCount => update_shard_count::run(call),
        O::UpdateStreamMode => update_stream_mode::run(call),
        O::UpdateStreamWarmThroughput => update_stream_warm_throughput::run(call),
    }
}

/// Refuses a call that comes too soon after others of its kind.
fn admit(call: &Call<'_>) -> Result<(), Refusal> {
    let target = Target::of(call);
    let asked = Asked {
        scope: target.scope(call),
        rates: &call.realm.rates,
        stream: target.stream.as_deref(),
        stream_name: target.stream_name.as_deref(),
        shard: target.shard,
        consumer: target.consumer_name(),
    };
    let limits = &call.engine.limits;
    limits.admit_call(call.now, call.operation, &asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_39_operations_and_each_is_found_by_its_name() {
        assert_eq!(Operation::ALL.len(), 39);
        for operation in Operation::ALL {
            assert_eq!(
                Operation::parse(&format!("{operation:?}")),
                Some(*operation)
            );
        }
        assert_eq!(Operation::parse("getrecords"), None);
    }
}
