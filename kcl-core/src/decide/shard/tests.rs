//! What the tests of the machine share.
//!
//! * `bench`: a machine whose actions have names.
//! * `table`: single steps, each with the actions that follow.
//! * `prepare`: the same for checkpoints that are announced.
//! * `lanes`: the same, and the table, where a handler gets the records.
//! * `rig`: random lives of a shard, with the invariants checked at every action.

mod bench;
mod lanes;
mod prepare;
mod rig;
mod table;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::*;
use crate::error::ErrorKind;
use crate::model::{Record, SequenceNumber};
use crate::settings::{CheckpointPolicy, CommitSettings, FailurePolicy, FailureSettings};

const SECOND: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(1_000_000);

fn number(at: u64) -> SequenceNumber {
    SequenceNumber::new(at.to_string()).unwrap()
}

fn checkpoint(at: u64) -> Checkpoint {
    Checkpoint::at(number(at))
}

fn record(at: u64) -> Record {
    Record {
        sequence_number: number(at),
        subsequence_number: 0,
        partition_key: String::new(),
        data: Bytes::new(),
        approximate_arrival: None,
    }
}

fn batch(range: std::ops::RangeInclusive<u64>) -> Batch {
    Batch {
        records: range.map(record).collect(),
        lag: None,
        children: None,
    }
}

fn last_batch() -> Batch {
    Batch {
        children: Some(Vec::new()),
        ..Batch::default()
    }
}

fn failure() -> Error {
    Error::new(ErrorKind::Processor, "scripted")
}

fn unavailable() -> CommitError {
    CommitError::Unavailable(Arc::new(Error::new(ErrorKind::Unavailable, "scripted")))
}

fn settings(policy: CheckpointPolicy, failure: FailurePolicy) -> Arc<Settings> {
    Arc::new(Settings {
        commit: CommitSettings { policy },
        failure: FailureSettings {
            policy: failure,
            ..FailureSettings::default()
        },
        ..Settings::default()
    })
}
