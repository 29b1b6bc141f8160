//! What each call and each event says in the ledger. One sample is one call, as the service has it, so
//! that a minimum or an average is that of the calls; a refused call is a success of 0.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;

use super::ledger::{Ledger, Metric, Of};
use super::monitoring::Monitored;
use super::stream::Place;

/// What has become of the records of one PutRecords.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PutOutcome {
    pub(crate) stored: usize,
    /// Of those that were stored.
    pub(crate) bytes: usize,
    pub(crate) throttled: usize,
    pub(crate) failed: usize,
}

/// What one call has put into each shard, gathered only for streams that have shards monitored.
#[derive(Debug)]
pub(crate) struct ShardPuts {
    monitored: Monitored,
    by_shard: BTreeMap<u32, ShardPut>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ShardPut {
    records: usize,
    bytes: usize,
    throttled: usize,
}

impl ShardPuts {
    pub(crate) fn new(monitored: Monitored) -> Self {
        Self {
            monitored,
            by_shard: BTreeMap::new(),
        }
    }

    /// Whether anything has to be gathered.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.monitored.is_empty()
    }

    /// Records that were stored, and their sizes in the same order.
    pub(crate) fn stored(&mut self, placed: &[Place], sizes: impl Iterator<Item = usize>) {
        if !self.is_wanted() {
            return;
        }
        for (place, size) in placed.iter().zip(sizes) {
            let put = self.by_shard.entry(place.shard).or_default();
            put.records += 1;
            put.bytes += size;
        }
    }

    /// A record that its shard had no room for.
    pub(crate) fn throttled(&mut self, shard: u32) {
        if self.is_wanted() {
            self.by_shard.entry(shard).or_default().throttled += 1;
        }
    }
}

impl Ledger {
    /// A PutRecord that has stored its record.
    pub(crate) fn put_record(&self, now: Moment, size: usize, latency: Duration) {
        let size = float(size);
        let samples = [
            (Metric::IncomingBytes, size),
            (Metric::IncomingRecords, 1.0),
            (Metric::PutRecordBytes, size),
            (Metric::PutRecordLatency, millis(latency)),
            (Metric::PutRecordSuccess, 1.0),
            (Metric::WriteExceeded, 0.0),
        ];
        self.add(now, Of::Stream, &samples);
    }

    /// A PutRecord that has not.
    pub(crate) fn put_record_refused(&self, now: Moment, is_throttled: bool) {
        let samples = [
            (Metric::PutRecordSuccess, 0.0),
            (Metric::WriteExceeded, truth(is_throttled)),
        ];
        self.add(now, Of::Stream, &samples);
    }

    /// A PutRecords that was carried out.
    pub(crate) fn put_records(&self, now: Moment, outcome: PutOutcome, latency: Duration) {
        let PutOutcome {
            stored,
            bytes,
            throttled,
            failed,
        } = outcome;
        let samples = [
            (Metric::PutRecordsTotal, float(stored + throttled + failed)),
            (Metric::PutRecordsSuccessful, float(stored)),
            (Metric::PutRecordsThrottled, float(throttled)),
            (Metric::PutRecordsFailed, float(failed)),
            (Metric::PutRecordsSuccess, truth(stored > 0)),
            (Metric::WriteExceeded, float(throttled)),
            (Metric::PutRecordsLatency, millis(latency)),
            (Metric::PutRecordsBytes, float(bytes)),
            (Metric::IncomingBytes, float(bytes)),
            (Metric::IncomingRecords, float(stored)),
        ];
        self.add(now, Of::Stream, &samples);
    }

    /// A PutRecords that was refused as a whole.
    pub(crate) fn put_records_refused(&self, now: Moment) {
        self.add(now, Of::Stream, &[(Metric::PutRecordsSuccess, 0.0)]);
    }

    /// A GetRecords; `age` is that of its last record in milliseconds.
    pub(crate) fn get_records(
        &self,
        now: Moment,
        (records, bytes): (usize, usize),
        latency: Duration,
        age: u64,
    ) {
        let samples = [
            (Metric::GetRecordsBytes, float(bytes)),
            (Metric::GetRecordsIteratorAge, age as f64),
            (Metric::GetRecordsLatency, millis(latency)),
            (Metric::GetRecordsRecords, float(records)),
            (Metric::GetRecordsSuccess, 1.0),
            (Metric::ReadExceeded, 0.0),
        ];
        self.add(now, Of::Stream, &samples);
    }

    /// A GetRecords that was refused.
    pub(crate) fn get_records_refused(&self, now: Moment, is_throttled: bool) {
        let samples = [
            (Metric::GetRecordsSuccess, 0.0),
            (Metric::ReadExceeded, truth(is_throttled)),
        ];
        self.add(now, Of::Stream, &samples);
    }

    /// A call that came too soon and counts as a read.
    pub(crate) fn read_exceeded(&self, now: Moment) {
        self.add(now, Of::Stream, &[(Metric::ReadExceeded, 1.0)]);
    }

    /// A subscription that was opened, or not.
    pub(crate) fn subscribe(&self, now: Moment, consumer: &Arc<str>, is_opened: bool) {
        let samples = [(Metric::SubscribeSuccess, truth(is_opened))];
        self.add_both(now, consumer, &samples);
    }

    /// A subscription that was refused because there is one already, or because of its rate.
    pub(crate) fn subscribe_exceeded(&self, now: Moment, consumer: &Arc<str>) {
        self.add_both(now, consumer, &[(Metric::SubscribeRateExceeded, 1.0)]);
    }

    /// An event that was sent.
    pub(crate) fn event(
        &self,
        now: Moment,
        consumer: &Arc<str>,
        (records, bytes): (usize, usize),
        millis_behind: u64,
    ) {
        let samples = [
            (Metric::EventBytes, float(bytes)),
            (Metric::EventMillisBehind, millis_behind as f64),
            (Metric::EventRecords, float(records)),
            (Metric::EventSuccess, 1.0),
        ];
        self.add_both(now, consumer, &samples);
    }

    /// What a call has put into the shards.
    pub(crate) fn shard_puts(&self, now: Moment, puts: &ShardPuts) {
        for (shard, put) in &puts.by_shard {
            let samples = [
                (Metric::IncomingBytes, float(put.bytes)),
                (Metric::IncomingRecords, float(put.records)),
                (Metric::WriteExceeded, float(put.throttled)),
            ];
            // A call of which nothing got in has put nothing in.
            let samples = &samples[if put.records == 0 { 2 } else { 0 }..];
            self.add_monitored(now, puts.monitored, *shard, samples);
        }
    }

    /// What a GetRecords has read from a shard.
    pub(crate) fn shard_read(
        &self,
        now: Moment,
        (monitored, shard): (Monitored, u32),
        (records, bytes): (usize, usize),
        age: u64,
    ) {
        let samples = [
            (Metric::OutgoingBytes, float(bytes)),
            (Metric::OutgoingRecords, float(records)),
            (Metric::IteratorAge, age as f64),
            (Metric::ReadExceeded, 0.0),
        ];
        self.add_monitored(now, monitored, shard, &samples);
    }

    /// A GetRecords that a shard had no room for.
    pub(crate) fn shard_read_exceeded(&self, now: Moment, monitored: Monitored, shard: u32) {
        self.add_monitored(now, monitored, shard, &[(Metric::ReadExceeded, 1.0)]);
    }

    /// What an event has pushed from a shard.
    pub(crate) fn shard_event(
        &self,
        now: Moment,
        (monitored, shard): (Monitored, u32),
        (records, bytes): (usize, usize),
    ) {
        let samples = [
            (Metric::OutgoingBytes, float(bytes)),
            (Metric::OutgoingRecords, float(records)),
        ];
        self.add_monitored(now, monitored, shard, &samples);
    }

    /// Notes samples of a consumer, under its own name and under the stream's alone.
    fn add_both(&self, now: Moment, consumer: &Arc<str>, samples: &[(Metric, f64)]) {
        self.add(now, Of::Stream, samples);
        self.add(now, Of::Consumer(Arc::clone(consumer)), samples);
    }

    fn add_monitored(
        &self,
        now: Moment,
        monitored: Monitored,
        shard: u32,
        samples: &[(Metric, f64)],
    ) {
        if monitored.is_empty() {
            return;
        }
        let samples = samples.iter().copied();
        let wanted: Vec<_> = samples
            .filter(|(metric, _)| monitored.has(metric.name()))
            .collect();
        if !wanted.is_empty() {
            self.add(now, Of::Shard(shard), &wanted);
        }
    }
}

/// Exact up to 2^53.
fn float(count: usize) -> f64 {
    count as f64
}

fn truth(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn millis(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1000.0
}
