//! The operations: their names, and who answers which. One file below for each that is there.
//!
//! An operation reads its request, checks types and constraints, asks the engine, and shapes the
//! reply. Whatever holds for all of them (faults, quotas, authorization) belongs before [`run`].

mod address;
mod create_stream;
mod delete_stream;
mod describe_stream;
mod describe_stream_summary;
mod get_records;
mod get_shard_iterator;
mod list_shards;
mod list_streams;
mod merge_shards;
mod put;
mod put_record;
mod put_records;
mod split_shard;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::clock::Moment;
use crate::engine::{Engine, Realm};
use crate::refusal::{Kind, Refusal};

/// A request on its way to its operation.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) realm: Arc<Realm>,
    pub(crate) now: Moment,
    pub(crate) body: Bytes,
}

/// What an operation answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An empty body.
    Void,
    /// A whole body.
    Full(Vec<u8>),
}

impl Reply {
    fn json(shape: &impl Serialize) -> Self {
        Self::Full(serde_json::to_vec(shape).expect("replies have string keys and go to memory"))
    }
}

/// Defines the operations with their names, so that no list of them can be forgotten.
macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// The operations of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Operation { $($name),* }

        impl Operation {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

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
pub(crate) fn run(operation: Operation, call: &Call<'_>) -> Result<Reply, Refusal> {
    use Operation as O;
    match operation {
        O::CreateStream => create_stream::run(call),
        O::DeleteStream => delete_stream::run(call),
        O::DescribeStream => describe_stream::run(call),
        O::DescribeStreamSummary => describe_stream_summary::run(call),
        O::GetRecords => get_records::run(call),
        O::GetShardIterator => get_shard_iterator::run(call),
        O::ListShards => list_shards::run(call),
        O::ListStreams => list_streams::run(call),
        O::MergeShards => merge_shards::run(call),
        O::PutRecord => put_record::run(call),
        O::PutRecords => put_records::run(call),
        O::SplitShard => split_shard::run(call),
        O::AddTagsToStream
        | O::DecreaseStreamRetentionPeriod
        | O::DeleteResourcePolicy
        | O::DeregisterStreamConsumer
        | O::DescribeAccountSettings
        | O::DescribeLimits
        | O::DescribeStreamConsumer
        | O::DisableEnhancedMonitoring
        | O::EnableEnhancedMonitoring
        | O::GetResourcePolicy
        | O::IncreaseStreamRetentionPeriod
        | O::ListStreamConsumers
        | O::ListTagsForResource
        | O::ListTagsForStream
        | O::PutResourcePolicy
        | O::RegisterStreamConsumer
        | O::RemoveTagsFromStream
        | O::StartStreamEncryption
        | O::StopStreamEncryption
        | O::SubscribeToShard
        | O::TagResource
        | O::UntagResource
        | O::UpdateAccountSettings
        | O::UpdateMaxRecordSize
        | O::UpdateShardCount
        | O::UpdateStreamMode
        | O::UpdateStreamWarmThroughput => {
            tracing::warn!(?operation, "this emulator does not have the operation yet");
            let text = format!("This emulator does not have the operation {operation:?} yet.");
            Err(Refusal::new(Kind::UnknownOperation, text))
        }
    }
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
