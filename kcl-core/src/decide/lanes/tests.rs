//! What the tests of the lanes share.
//!
//! * `table`: single steps, each with the calls that follow. `hold`: such steps where something is held, or too heavy.
//! * `rig`: random lives of records, with the invariants checked at every call.

mod hold;
mod rig;
mod table;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::error::ErrorKind;
use crate::event::FailureCause;
use crate::model::SequenceNumber;
use crate::port::Failed;
use crate::settings::{FailureSettings, HandlerSettings};

const SECOND: Duration = Duration::from_secs(1);

/// The record with this number, which arrived as many seconds after 1970. Its payload is `payload`.
pub(super) fn record(number: Number, key: &str, payload: &str) -> Record {
    Record {
        sequence_number: SequenceNumber::new((number + 1).to_string()).unwrap(),
        subsequence_number: 0,
        partition_key: key.to_owned(),
        data: Bytes::copy_from_slice(payload.as_bytes()),
        approximate_arrival: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(number)),
    }
}

fn number_of(record: &Record) -> Number {
    record.sequence_number.as_str().parse::<Number>().unwrap() - 1
}

fn failed() -> Failed {
    Failed {
        cause: FailureCause::Error,
        error: Error::new(ErrorKind::Processor, "scripted"),
    }
}

fn settings(handler: HandlerSettings, failure: FailureSettings) -> Arc<Settings> {
    Arc::new(Settings {
        handler,
        failure,
        ..Settings::default()
    })
}

fn lanes(is_by_record: bool, settings: Arc<Settings>, now: Instant) -> Lanes {
    let start = LanesStart {
        is_by_record,
        keep: None,
        weigh: None,
        wall: SystemTime::UNIX_EPOCH,
    };
    Lanes::new(start, Checkpoint::TrimHorizon, settings, now)
}
