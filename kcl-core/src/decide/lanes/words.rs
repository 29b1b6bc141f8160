//! What the lanes are given, and what they say.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::event::{Failure, FailureCause, GiveUpReason};
use crate::model::{Record, SequenceNumber};

/// Names a call.
pub(crate) type CallId = u64;

/// Whether a record is to be processed at all.
pub(crate) type Keep = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// How much of `batch_bytes_max` a record takes.
pub(crate) type Weigh = Arc<dyn Fn(&Record) -> usize + Send + Sync>;

/// What the lanes start from, beside the settings.
#[derive(Clone)]
pub(crate) struct LanesStart {
    /// The handler sees records one by one, and a call brings back what it did not begin.
    pub(crate) is_by_record: bool,
    pub(crate) keep: Option<Keep>,
    /// Where a batch is weighed in another way than by payloads and keys. A record that weighs more than a batch may
    /// is then given up.
    pub(crate) weigh: Option<Weigh>,
    /// The wall clock at the start, to tell how old records are.
    pub(crate) wall: SystemTime,
}

impl fmt::Debug for LanesStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanesStart")
            .field("is_by_record", &self.is_by_record)
            .finish_non_exhaustive()
    }
}

/// A call to start.
#[derive(Debug)]
pub(crate) struct LaneCall {
    pub(crate) id: CallId,
    pub(crate) lane: usize,
    /// Counted from 1.
    pub(crate) attempt: u32,
    pub(crate) records: Arc<Vec<Record>>,
    /// How far the page of the newest of them was behind.
    pub(crate) lag: Option<Duration>,
    pub(crate) errand: Errand,
}

/// What a call is for.
#[derive(Debug)]
pub(crate) enum Errand {
    Handle,
    Divert(GivenUp),
}

/// Why records go to the failure destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) reason: GiveUpReason,
    pub(crate) attempts: u32,
    pub(crate) failure: Option<(FailureCause, Failure)>,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Processed {
        records: usize,
        bytes: usize,
    },
    Filtered {
        records: usize,
    },
    Failed {
        records: usize,
        first: SequenceNumber,
        attempts: u32,
        cause: FailureCause,
        error: Failure,
        retry_in: Option<Duration>,
    },
    GivenUp {
        records: usize,
        first: SequenceNumber,
        last: SequenceNumber,
        attempts: u32,
        reason: Option<GiveUpReason>,
    },
    Diverted {
        records: usize,
        bytes: usize,
        first: SequenceNumber,
    },
    DestinationFailed {
        records: usize,
        first: SequenceNumber,
        error: Failure,
        retry_in: Option<Duration>,
    },
    RunsLong {
        running: Duration,
        records: usize,
        first: SequenceNumber,
    },
}

/// How full the lanes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) busy: usize,
    pub(crate) span: u64,
    pub(crate) bytes: usize,
    pub(crate) oldest: Option<Duration>,
}
