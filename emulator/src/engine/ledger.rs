//! What the service tells CloudWatch about a stream, its consumers and its monitored shards: for each
//! minute and metric how many samples there were, their sum, the smallest and the largest.
//!
//! One per stream, so that what is counted outlives a consumer or a shard. A call takes the one lock
//! once, whatever it has to say. Minutes are handed to a [`Publisher`] with every sweep, when
//! CloudWatch is asked, and when the stream goes, so that few are ever kept here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Scope;
use crate::clock::Moment;

/// Defines the metrics, so that a name and its unit stand in one place.
macro_rules! metrics {
    ($($metric:ident = $name:literal in $unit:literal;)*) => {
        /// A metric of the namespace `AWS/Kinesis`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Metric { $($metric),* }

        impl Metric {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$metric),*];

            /// As CloudWatch has it.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => $name,)*
                }
            }

            /// As CloudWatch has it.
            pub(crate) fn unit(self) -> &'static str {
                match self {
                    $(Self::$metric => $unit,)*
                }
            }
        }
    };
}

metrics! {
    GetRecordsBytes = "GetRecords.Bytes" in "Bytes";
    GetRecordsIteratorAge = "GetRecords.IteratorAgeMilliseconds" in "Milliseconds";
    GetRecordsLatency = "GetRecords.Latency" in "Milliseconds";
    GetRecordsRecords = "GetRecords.Records" in "Count";
    GetRecordsSuccess = "GetRecords.Success" in "Count";
    IncomingBytes = "IncomingBytes" in "Bytes";
    IncomingRecords = "IncomingRecords" in "Count";
    IteratorAge = "IteratorAgeMilliseconds" in "Milliseconds";
    OutgoingBytes = "OutgoingBytes" in "Bytes";
    OutgoingRecords = "OutgoingRecords" in "Count";
    PutRecordBytes = "PutRecord.Bytes" in "Bytes";
    PutRecordLatency = "PutRecord.Latency" in "Milliseconds";
    PutRecordSuccess = "PutRecord.Success" in "Count";
    PutRecordsBytes = "PutRecords.Bytes" in "Bytes";
    PutRecordsFailed = "PutRecords.FailedRecords" in "Count";
    PutRecordsLatency = "PutRecords.Latency" in "Milliseconds";
    PutRecordsSuccess = "PutRecords.Success" in "Count";
    PutRecordsSuccessful = "PutRecords.SuccessfulRecords" in "Count";
    PutRecordsThrottled = "PutRecords.ThrottledRecords" in "Count";
    PutRecordsTotal = "PutRecords.TotalRecords" in "Count";
    ReadExceeded = "ReadProvisionedThroughputExceeded" in "Count";
    SubscribeRateExceeded = "SubscribeToShard.RateExceeded" in "Count";
    SubscribeSuccess = "SubscribeToShard.Success" in "Count";
    EventBytes = "SubscribeToShardEvent.Bytes" in "Bytes";
    EventMillisBehind = "SubscribeToShardEvent.MillisBehindLatest" in "Milliseconds";
    EventRecords = "SubscribeToShardEvent.Records" in "Count";
    EventSuccess = "SubscribeToShardEvent.Success" in "Count";
    WriteExceeded = "WriteProvisionedThroughputExceeded" in "Count";
}

/// What a minute's samples of one metric come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// `count` samples of one value.
    pub(crate) fn of(value: f64, count: f64) -> Self {
        Self {
            count,
            sum: value * count,
            min: value,
            max: value,
        }
    }

    /// Takes in what others come to.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.count == 0.0 {
            *self = *other;
        } else if other.count > 0.0 {
            self.count += other.count;
            self.sum += other.sum;
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
        }
    }
}

/// Whose metrics they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    Stream,
    /// The consumer of this name.
    Consumer(Arc<str>),
    /// The shard of this index.
    Shard(u32),
}

/// One subject's samples of one minute, in the order of [`Metric::ALL`].
#[derive(Clone, Debug)]
pub(crate) struct Samples([Summary; Metric::ALL.len()]);

impl Samples {
    /// The metrics that have samples.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Metric, Summary)> {
        let all = Metric::ALL.iter().copied().zip(self.0);
        all.filter(|(_, summary)| summary.count > 0.0)
    }
}

/// Minutes, by the instant they begin, and whose they are.
pub(crate) type Minutes = BTreeMap<(Moment, Of), Box<Samples>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    minutes: Mutex<Minutes>,
}

impl Ledger {
    /// Notes one sample for each of some metrics.
    pub(crate) fn add(&self, now: Moment, of: Of, samples: &[(Metric, f64)]) {
        let minute = Moment(now.millis() / 60_000 * 60_000);
        let mut minutes = self.minutes.lock();
        let kept = minutes
            .entry((minute, of))
            .or_insert_with(|| Box::new(Samples([Summary::default(); Metric::ALL.len()])));
        for (metric, value) in samples {
            kept.0[*metric as usize].add(&Summary::of(*value, 1.0));
        }
    }

    /// Takes out what there is. What comes later in the same minute adds to it where it went.
    pub(crate) fn take(&self) -> Minutes {
        std::mem::take(&mut *self.minutes.lock())
    }
}

/// Who keeps what the ledgers have noted.
pub(crate) trait Publisher: fmt::Debug + Send + Sync {
    /// Takes in the minutes of a stream.
    fn publish(&self, now: Moment, scope: &Scope, stream: &str, minutes: Minutes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_kept_by_minute_and_subject_until_they_are_taken() {
        let ledger = Ledger::default();
        let shard = Of::Shard(3);
        ledger.add(Moment(60_000), Of::Stream, &[(Metric::IncomingBytes, 5.0)]);
        ledger.add(Moment(119_999), Of::Stream, &[(Metric::IncomingBytes, 2.0)]);
        ledger.add(Moment(120_000), Of::Stream, &[(Metric::IncomingBytes, 9.0)]);
        ledger.add(
            Moment(120_000),
            shard.clone(),
            &[(Metric::ReadExceeded, 0.0)],
        );
        let taken = ledger.take();
        let keys: Vec<_> = taken.keys().cloned().collect();
        let expected = [
            (Moment(60_000), Of::Stream),
            (Moment(120_000), Of::Stream),
            (Moment(120_000), shard),
        ];
        assert_eq!(keys, expected);
        let first: Vec<_> = taken[&keys[0]].iter().collect();
        let summary = Summary {
            count: 2.0,
            sum: 7.0,
            min: 2.0,
            max: 5.0,
        };
        assert_eq!(first, [(Metric::IncomingBytes, summary)]);
        assert!(ledger.take().is_empty());
    }

    #[test]
    fn a_sample_of_nothing_counts_and_an_empty_summary_does_not() {
        let mut summary = Summary::default();
        summary.add(&Summary::of(0.0, 1.0));
        summary.add(&Summary::default());
        summary.add(&Summary::of(-4.0, 2.0));
        let expected = Summary {
            count: 3.0,
            sum: -8.0,
            min: -4.0,
            max: 0.0,
        };
        assert_eq!(summary, expected);
    }
}
