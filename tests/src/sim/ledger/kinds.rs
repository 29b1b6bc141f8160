//! What is known of each record, shard, grant, processor, process and key.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kcl_core::model::{Checkpoint, SequenceNumber, ShardId};

use super::{Bucket, ShardLoss, Traffic};
use crate::sim::history::{Call, LeaseRow, Process, RecordId};

/// A record.
#[derive(Clone, Debug)]
pub struct RecordLedger {
    /// Where it is.
    pub shard: ShardId,
    /// Its place there, from 0.
    pub place: usize,
    /// Its partition key.
    pub key: u32,
    /// Its place among the records of its key, from 0.
    pub key_place: u32,
    /// When it arrived, in milliseconds of the service's clock.
    pub arrival: u64,
    /// When it was produced.
    pub produced: Duration,
    /// How often a call with it started.
    pub deliveries: u32,
    /// Whether it was processed: a call with it returned `Ok`, or it was acknowledged by hand.
    pub done: bool,
}

/// A shard.
#[derive(Clone, Debug, Default)]
pub struct ShardLedger {
    /// What it came from.
    pub parents: Vec<ShardId>,
    /// When the service closed it.
    pub closed: Option<Duration>,
    /// Its records in order.
    pub records: Vec<RecordId>,
    /// Their places by sequence number.
    pub places: BTreeMap<SequenceNumber, usize>,
    /// Their times of arrival, ascending.
    pub arrivals: Vec<u64>,
    /// The row as it stands.
    pub row: Option<LeaseRow>,
    /// The checkpoint of the first row.
    pub first: Option<Checkpoint>,
    /// When that was made.
    pub leased: Option<Duration>,
    /// Since when its checkpoint is another than the first.
    pub begun: Option<Duration>,
    /// Whether `SHARD_END` was ever durable.
    pub ended: bool,
    /// The number of the event with which its row last went.
    pub gone: Option<u64>,
    /// The grants so far, by epoch.
    pub grants: BTreeMap<u64, GrantLedger>,
    /// When the row last changed hands.
    pub moved: Option<Duration>,
    /// Who took it for its load, and when, if that was the last that happened to it.
    pub given: Option<(String, Duration)>,
    /// When records of it were last delivered.
    pub delivered: Option<Duration>,
    /// How many of its records, from the first one, were delivered.
    pub reached: usize,
    /// What is lost of it.
    pub loss: ShardLoss,
    /// What each of its readers has left of this second.
    pub reads: BTreeMap<Process, Bucket>,
    /// Who subscribes to it, and who did of late.
    pub subscribers: BTreeMap<Process, Subscriber>,
}

/// A process that reads a shard by fan-out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subscriber {
    /// When it last asked.
    pub asked: Option<Duration>,
    /// When it last heard that it was accepted.
    pub accepted: Option<Duration>,
    /// How many of its subscriptions it holds open.
    pub open: usize,
}

impl ShardLedger {
    /// How many records the checkpoint covers: at least and at most. The two differ only where a
    /// start by time falls into a millisecond that has records. Nothing if the record is unknown.
    #[must_use]
    pub fn covered(
        &self,
        checkpoint: &Checkpoint,
        wall_zero: SystemTime,
    ) -> Option<(usize, usize)> {
        match checkpoint {
            Checkpoint::TrimHorizon => Some((0, 0)),
            Checkpoint::Latest => None,
            Checkpoint::AtTimestamp(time) => {
                let at = millis(*time, wall_zero);
                let least = self.arrivals.partition_point(|arrival| *arrival < at);
                Some((
                    least,
                    self.arrivals.partition_point(|arrival| *arrival <= at),
                ))
            }
            Checkpoint::Sequence { sequence, .. } => self
                .places
                .get(sequence)
                .map(|place| (place + 1, place + 1)),
            Checkpoint::ShardEnd => Some((self.records.len(), self.records.len())),
        }
    }
}

/// Milliseconds of the service's clock since the start of the run.
#[must_use]
pub fn millis(time: SystemTime, wall_zero: SystemTime) -> u64 {
    let since = time
        .duration_since(wall_zero)
        .unwrap_or_default()
        .as_millis();
    u64::try_from(since).unwrap_or(u64::MAX)
}

/// A grant: one epoch of one shard.
#[derive(Clone, Debug)]
pub struct GrantLedger {
    /// The incarnation it was given to.
    pub incarnation: String,
    /// The number of the event that gave it.
    pub number: u64,
    /// When.
    pub since: Duration,
    /// What was durable then.
    pub checkpoint: Checkpoint,
    /// How many records of the shard are acknowledged by its processors, and confirmed.
    pub acknowledged: Option<usize>,
    /// Whether `shard_ended` returned `Ok`, or asked for the final checkpoint by hand.
    pub end_agreed: bool,
    /// When the rival took it, or an operator deleted its row.
    pub stolen: Option<Duration>,
}

/// A processor.
#[derive(Clone, Debug)]
pub struct InstanceLedger {
    /// Where it runs.
    pub process: Process,
    /// Its shard.
    pub shard: ShardId,
    /// Its grant.
    pub epoch: u64,
    /// The number of the event of its first call.
    pub number: u64,
    /// The call it is in.
    pub call: Option<Call>,
    /// How many records of the shard it was handed so far; nothing before the first.
    pub reached: Option<usize>,
    /// Why it must not be called any more.
    pub over: Option<Over>,
}

/// Why a processor must not be called any more, or hardly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A call returned an error or panicked.
    Failed,
    /// A call was cancelled. Only `lease_lost` may follow.
    Cancelled,
    /// `shard_ended` returned. Only `lease_lost` may follow, if the end could not be written.
    Ended,
    /// `lease_lost` returned.
    Lost,
}

/// A process.
#[derive(Clone, Debug, Default)]
pub struct ProcessLedger {
    /// Whether it still runs.
    pub running: bool,
    /// Whether it was asked to stop.
    pub asked: Option<Duration>,
    /// Whether it ever had a row.
    pub joined: bool,
    /// Whether it is frozen.
    pub frozen: bool,
    /// When it started.
    pub started: Duration,
    /// When its way to the table was last disturbed.
    pub cut: Option<Duration>,
    /// When it ended, if it has.
    pub ended: Option<Duration>,
    /// What it asked of the services of late.
    pub traffic: Traffic,
}

/// A partition key.
#[derive(Clone, Debug, Default)]
pub struct KeyLedger {
    /// How many records it has.
    pub produced: u32,
    /// The place of the record whose first delivery comes next; nothing before the first.
    pub next: Option<u32>,
    /// Its records in order.
    pub records: Vec<RecordId>,
}
