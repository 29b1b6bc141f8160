//! What a fault does, and which operations it can be done to.

use std::time::Duration;

use crate::cloudwatch;
use crate::dynamo;
use crate::ops::Operation;

/// One of the services behind the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// Streams.
    #[default]
    Kinesis,
    /// Tables.
    DynamoDb,
    /// Metrics.
    CloudWatch,
}

/// What a fault does to what it strikes. Where AWS Fault Injection Service has it, its name is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The call is refused as too much for its shard or table.
    ThroughputExceeded,
    /// The call is refused as too fast for its account.
    Throttle,
    /// The call is refused with status 500.
    InternalError,
    /// The call is refused with status 503.
    Unavailable,
    /// GetRecords is told that its iterator is too old.
    ExpiredIterator,
    /// The call waits before it is looked at, by the virtual clock.
    Latency(Duration),
    /// The connection closes without an answer, and the call has had no effect.
    ResetBefore,
    /// The connection closes without an answer, but the call has had its effect.
    ResetAfter,
    /// Records of PutRecords fail for themselves with `InternalFailure`; every record is a match of
    /// its own.
    RecordFailure,
    /// Listings show the shards as they were so long ago.
    StaleBy(Duration),
    /// Eventually consistent reads of tables, and reads of their global indexes, show the rows as they
    /// were so long ago, but not as they were before the fault was added.
    StaleRead(Duration),
    /// Listings show the shards as they were before the latest reshard.
    StaleReshard,
    /// An event of a subscription is left out, with its records; every event is a match of its own.
    DropEvent,
    /// An event of a subscription is cut in the middle, and the subscription ends there.
    TruncateEvent,
    /// A subscription ends with an exception in place of an event.
    EventException(EventException),
}

/// The exceptions that end a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventException {
    /// `InternalFailureException`.
    #[default]
    InternalFailure,
    /// `ResourceInUseException`, as when another subscription takes over.
    ResourceInUse,
    /// `ResourceNotFoundException`, as when the consumer is deregistered.
    ResourceNotFound,
}

impl EventException {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::InternalFailure,
        Self::ResourceInUse,
        Self::ResourceNotFound,
    ];

    /// As the event names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InternalFailure => "InternalFailureException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
        }
    }
}

impl Action {
    /// What the action is called; the names of AWS Fault Injection Service where it has one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ThroughputExceeded => "aws:kinesis:stream-provisioned-throughput-exception",
            Self::ExpiredIterator => "aws:kinesis:stream-expired-iterator-exception",
            Self::Throttle => "aws:fis:inject-api-throttle-error",
            Self::InternalError => "aws:fis:inject-api-internal-error",
            Self::Unavailable => "aws:fis:inject-api-unavailable-error",
            Self::Latency(_) => "emulator:latency",
            Self::ResetBefore => "emulator:connection-reset-before-apply",
            Self::ResetAfter => "emulator:connection-reset-after-apply",
            Self::RecordFailure => "emulator:record-failure",
            Self::StaleBy(_) | Self::StaleReshard => "emulator:stale-listing",
            Self::StaleRead(_) => "emulator:stale-read",
            Self::DropEvent => "emulator:event-drop",
            Self::TruncateEvent => "emulator:event-truncate",
            Self::EventException(_) => "emulator:event-exception",
        }
    }

    /// Whether an operation can be struck by it.
    pub(super) fn fits(&self, operation: &str) -> bool {
        match self {
            Self::ThroughputExceeded => {
                // Those that FIS supports, and all that read or write items.
                Self::THROUGHPUT.contains(&operation) || Self::ITEMS.contains(&operation)
            }
            Self::ExpiredIterator => operation == "GetRecords",
            Self::RecordFailure => operation == "PutRecords",
            Self::StaleBy(_) | Self::StaleReshard => {
                matches!(operation, "ListShards" | "DescribeStream")
            }
            Self::StaleRead(_) => {
                matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "Scan")
            }
            Self::DropEvent | Self::TruncateEvent | Self::EventException(_) => {
                operation == "SubscribeToShard"
            }
            Self::Throttle
            | Self::InternalError
            | Self::Unavailable
            | Self::Latency(_)
            | Self::ResetBefore
            | Self::ResetAfter => !apis(operation).is_empty(),
        }
    }

    /// How old the rows that it has a read show are.
    pub(super) fn age_of_reads(&self) -> Option<Duration> {
        if let Self::StaleRead(age) = self {
            Some(*age)
        } else {
            None
        }
    }

    /// The operations of the data plane that have a throughput.
    const THROUGHPUT: [&str; 4] = ["GetRecords", "GetShardIterator", "PutRecord", "PutRecords"];

    /// The operations that read or write items.
    const ITEMS: [&str; 10] = [
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "Scan",
        "TransactGetItems",
        "TransactWriteItems",
        "UpdateItem",
    ];

    /// Whether what it strikes are calls, rather than their records or events.
    pub(super) fn is_for_calls(&self) -> bool {
        !self.is_for_events() && *self != Self::RecordFailure
    }

    pub(super) fn is_for_events(&self) -> bool {
        matches!(
            self,
            Self::DropEvent | Self::TruncateEvent | Self::EventException(_)
        )
    }
}

/// Whose operation it is: nobody's, one service's, or, as with tags, of several.
pub(super) fn apis(operation: &str) -> Vec<Api> {
    let of_streams = Operation::parse(operation).map(|_| Api::Kinesis);
    let of_tables = dynamo::OPERATIONS.contains(&operation);
    let of_tables = of_tables.then_some(Api::DynamoDb);
    let of_metrics = cloudwatch::OPERATIONS.contains(&operation);
    let of_metrics = of_metrics.then_some(Api::CloudWatch);
    let all = of_streams.into_iter().chain(of_tables);
    all.chain(of_metrics).collect()
}
