//! Every metric with its unit and meaning, for recorders that show them. `docs/metrics.md` lists the
//! same, and a test compares.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

const COUNTERS: [(&str, Unit, &str); 31] = [
    (
        "RecordsProcessed",
        Unit::Count,
        "records that the processor said Ok to",
    ),
    (
        "DataBytesProcessed",
        Unit::Bytes,
        "payload bytes that the processor said Ok to",
    ),
    (
        "ExpiredIterator",
        Unit::Count,
        "iterators that expired or became unknown",
    ),
    (
        "SubscribeToShardEvent.Records",
        Unit::Count,
        "records that subscriptions brought",
    ),
    (
        "SilentSubscriptions",
        Unit::Count,
        "subscriptions that were replaced because they said nothing",
    ),
    (
        "LostLeases",
        Unit::Count,
        "shards that another worker has, or may have",
    ),
    ("TakenLeases", Unit::Count, "leases taken"),
    (
        "UntakenLeases",
        Unit::Count,
        "leases that another worker took first",
    ),
    ("LateRenewals", Unit::Count, "proofs of life that came late"),
    (
        "LivesLost",
        Unit::Count,
        "times that life could not be proven, with all leases lost",
    ),
    (
        "LeasesHandedOver",
        Unit::Count,
        "leases that it began to hand over, by reason",
    ),
    (
        "SilentReaders",
        Unit::Count,
        "times that the service did not answer a reader for long",
    ),
    (
        "ProcessorFailures",
        Unit::Count,
        "errors and panics of the processor",
    ),
    (
        "BatchFailures",
        Unit::Count,
        "attempts of a handler that failed, as a whole or in part",
    ),
    ("RecordsFailed", Unit::Count, "records in those attempts"),
    (
        "RecordsGivenUp",
        Unit::Count,
        "records for which a limit of attempts or age was reached",
    ),
    (
        "RecordsDiverted",
        Unit::Count,
        "records that the failure destination took",
    ),
    (
        "DestinationFailures",
        Unit::Count,
        "times that the failure destination did not take records",
    ),
    (
        "RecordsFiltered",
        Unit::Count,
        "records that the filter dropped",
    ),
    (
        "FilterPanics",
        Unit::Count,
        "records at which the filter panicked, and which are kept",
    ),
    (
        "CallsRunningLong",
        Unit::Count,
        "minutes for which a call of a handler has not come back",
    ),
    (
        "PolledEventCount",
        Unit::Count,
        "records that were read from the stream",
    ),
    (
        "FilteredOutEventCount",
        Unit::Count,
        "records that the filter dropped",
    ),
    (
        "InvokedEventCount",
        Unit::Count,
        "records that a function was invoked with, each time",
    ),
    (
        "FailedInvokeEventCount",
        Unit::Count,
        "records with which an invocation failed, each time",
    ),
    (
        "DroppedEventCount",
        Unit::Count,
        "records for which a limit of attempts or age was reached",
    ),
    (
        "RecordsTrimmed",
        Unit::Count,
        "times that retention caught up with unread records",
    ),
    (
        "ShardsForgotten",
        Unit::Count,
        "shards that the stream forgot before their end was read",
    ),
    (
        "LeasesVanished",
        Unit::Count,
        "unfinished leases that somebody deleted",
    ),
    (
        "StreamsFailed",
        Unit::Count,
        "times that one of several streams could not be listed",
    ),
    (
        "ShardsUnreadable",
        Unit::Count,
        "refusals to let a shard of one of several streams be read",
    ),
];

const GAUGES: [(&str, Unit, &str); 16] = [
    (
        "UnservedLeases",
        Unit::Count,
        "leases of streams that no worker reads, at the last look",
    ),
    (
        "MillisBehindLatest",
        Unit::Milliseconds,
        "how far the last batch was behind the newest record",
    ),
    ("BusyLanes", Unit::Count, "calls of the handler that run"),
    (
        "UnsettledRecords",
        Unit::Count,
        "records from the oldest unsettled one to the newest taken in",
    ),
    (
        "UnsettledBytes",
        Unit::Bytes,
        "bytes of records that are not settled",
    ),
    (
        "OldestUnsettledMillis",
        Unit::Milliseconds,
        "how long ago the oldest unsettled record was taken in",
    ),
    ("CurrentLeases", Unit::Count, "shards that are being read"),
    (
        "FallenBack",
        Unit::Count,
        "1 where a shard of fan-out is polled instead, 0 where it is not",
    ),
    (
        "TotalLeases",
        Unit::Count,
        "leases that can be read, at the last look",
    ),
    (
        "ExpiredLeases",
        Unit::Count,
        "leases of those that nobody living holds, at the last look",
    ),
    (
        "NumWorkers",
        Unit::Count,
        "workers that take part, at the last look",
    ),
    (
        "NeededLeases",
        Unit::Count,
        "leases that this worker should have and has not, at the last look",
    ),
    (
        "LeasesToTake",
        Unit::Count,
        "leases that it went to take, at the last look",
    ),
    (
        "LeaseSpillover",
        Unit::Count,
        "leases that its maximum keeps from it, at the last look",
    ),
    (
        "Load",
        Unit::Bytes,
        "bytes per second that it reads, at the last look",
    ),
    (
        "FairLoad",
        Unit::Bytes,
        "bytes per second that it should read, at the last look",
    ),
];

const HISTOGRAMS: [(&str, Unit, &str); 18] = [
    (
        "Success",
        Unit::Count,
        "1 for a batch that was processed, 0 for one that was not",
    ),
    (
        "SubscribeToShard.Time",
        Unit::Milliseconds,
        "a call of SubscribeToShard, or a subscription that failed",
    ),
    (
        "SubscribeToShard.Success",
        Unit::Count,
        "1 for a subscription that was accepted, 0 for one that was not or that failed",
    ),
    (
        "RecordProcessor.initialize.Time",
        Unit::Milliseconds,
        "initialize",
    ),
    (
        "RecordProcessor.processRecords.Time",
        Unit::Milliseconds,
        "process_records, or a call of a handler",
    ),
    (
        "IteratorAge",
        Unit::Milliseconds,
        "how old the last record of a call of a handler was when the call ended",
    ),
    (
        "FailureDestination.send.Time",
        Unit::Milliseconds,
        "each call of the failure destination",
    ),
    (
        "RecordProcessor.shutdown.Time",
        Unit::Milliseconds,
        "shard_ended or lease_lost",
    ),
    (
        "KinesisDataFetcher.getRecords.Success",
        Unit::Count,
        "1 or 0 for each call",
    ),
    (
        "KinesisDataFetcher.getRecords.Time",
        Unit::Milliseconds,
        "each call",
    ),
    (
        "KinesisDataFetcher.getShardIterator.Success",
        Unit::Count,
        "1 or 0 for each call",
    ),
    (
        "KinesisDataFetcher.getShardIterator.Time",
        Unit::Milliseconds,
        "each call",
    ),
    (
        "UpdateLease.Success",
        Unit::Count,
        "1 or 0 for each checkpoint",
    ),
    (
        "UpdateLease.Time",
        Unit::Milliseconds,
        "each checkpoint that was written",
    ),
    (
        "RenewLease.Success",
        Unit::Count,
        "1 or 0 for each proof of life",
    ),
    ("RenewLease.Time", Unit::Milliseconds, "each proof of life"),
    (
        "TakeLease.Success",
        Unit::Count,
        "1 or 0 for each lease tried, 1 if the store answered",
    ),
    ("TakeLease.Time", Unit::Milliseconds, "each lease tried"),
];

pub(super) fn describe() {
    for (name, unit, what) in COUNTERS {
        describe_counter!(name, unit, what);
    }
    for (name, unit, what) in GAUGES {
        describe_gauge!(name, unit, what);
    }
    for (name, unit, what) in HISTOGRAMS {
        describe_histogram!(name, unit, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in the first column of the tables of the page.
    fn documented() -> Vec<&'static str> {
        let page = include_str!("../../../docs/metrics.md");
        let (given, _) = page.split_once("## Not given").unwrap();
        let rows = given.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| row.split('`').next().unwrap()).collect()
    }

    #[test]
    fn the_page_lists_every_metric_and_no_other() {
        let all = COUNTERS.iter().chain(&GAUGES).chain(&HISTOGRAMS);
        let mut all: Vec<_> = all.map(|(name, ..)| *name).collect();
        let mut documented = documented();
        all.sort_unstable();
        documented.sort_unstable();
        assert_eq!(documented, all);
    }
}
