//! Tumbling windows: records by the time of their arrival, and a state that goes from one invocation to the next. Pure;
//! one [`Windows`] for each shard.
//!
//! ```text
//!          a record              a record of a later window, the shard's end, or time
//!  Closed ─────────▶ Open ────────────────────────────────────────────────────▶ Ending ──answered──▶ Closed
//!                     │ ▲
//!                     └─┘ a record of this window; with a state that is too large: ▶ Ending, early
//! ```
//!
//! The last invocation of a window has its state and no records, or, if it is so set, its last records. It blocks the shard
//! until it succeeds. Only then may the checkpoint move over the records of the window, as only then is nothing owed but
//! to records behind it: a worker that goes on elsewhere has no state, and begins the window again.
//!
//! AWS does not say how long a window waits for records that are late, nor whether it ends by time alone. Here one that
//! arrived before the open window goes into that; and a window ends without a later record once the shard is read to its
//! tip and as much time has gone by as was left of the window when its last record came, and a second.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::event::{EventSource, PAYLOAD_BYTES_MAX, RecordJson, records_json, to_json};
use super::response::{Verdict, judge};
use crate::error::Problem;
use crate::model::{Record, SequenceNumber, ShardId};

/// The largest state that a window goes on with, in bytes of JSON: 1 MiB.
pub const STATE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of an event's window beside its state, at most. Names and ARNs are far shorter.
const PROPERTIES_BYTES_MAX: usize = 4 * 1024;

/// What a batch has to leave free for the state, in bytes.
pub const RESERVE_BYTES: usize = STATE_BYTES_MAX + PROPERTIES_BYTES_MAX;

/// How much later than by the time of its last record a window ends that sees no later one.
const GRACE: Duration = Duration::from_secs(1);

/// What is wrong with a window of this length in a mapping of so many lanes a shard.
#[must_use]
pub fn problems(length: Duration, lanes: usize) -> Vec<Problem> {
    let mut problems = Vec::new();
    let is_whole = length.subsec_nanos() == 0;
    if !(1..=900).contains(&length.as_secs()) || !is_whole {
        problems.push(Problem::new(
            "lambda.tumbling_window",
            "must be 1 to 900 whole seconds",
        ));
    }
    if lanes > 1 {
        problems.push(Problem::new(
            "lambda.tumbling_window",
            "needs a parallelization factor of 1: a window has one state for each shard",
        ));
    }
    problems
}

/// A window: its start is in it, its end is not. Windows begin at multiples of their length since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounds {
    /// The first moment of it.
    pub start: SystemTime,
    /// The first moment of the next.
    pub end: SystemTime,
}

impl Bounds {
    /// The window that this moment lies in. What is before 1970 counts as then.
    fn around(time: SystemTime, length: Duration) -> Self {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let start = since.as_secs() - since.as_secs() % length.as_secs().max(1);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(start);
        Self {
            start,
            end: start + length,
        }
    }
}

/// What the last invocation of a window has beside its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalInvocation {
    /// No records: it comes behind the invocations with records.
    #[default]
    Empty,
    /// The last records of the window, if a record of a later one is at hand behind them: one invocation less. A
    /// window that ends by time or with its shard has none left by then. If those records are given up, a last
    /// invocation without records follows.
    LastRecords,
}

/// What has to be done first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing: there are no records, and no window has to end.
    Nothing,
    /// Invoke the function with so many of the records.
    Aggregate(usize),
    /// Invoke the function with so many of the records, which are the last of the window, for the last time in it.
    Last(usize),
    /// Invoke the function for the last time in this window, without records. They wait.
    Final,
}

/// What follows from a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The invocation counts as failed: the response had no state, or one that fits into no invocation.
    Failed,
    /// It succeeded, and says so much of its records. The state is kept unless none of them is done.
    Taken(Verdict),
    /// The window is over; everything before is done with, and so are the records of the invocation.
    Closed,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        window: Bounds,
        state: Box<RawValue>,
        closes_at: Instant,
        /// Its last record, if that goes into its last invocation and is known for it.
        last: Option<SequenceNumber>,
    },
    Ending {
        window: Bounds,
        state: Box<RawValue>,
        is_early: bool,
    },
}

/// The windows of one shard.
#[derive(Debug)]
pub struct Windows {
    length: Duration,
    final_invocation: FinalInvocation,
    state: State,
}

impl Windows {
    /// Windows of this length: 1 to 900 whole seconds, see [`problems`].
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self {
            length,
            final_invocation: FinalInvocation::Empty,
            state: State::Closed,
        }
    }

    /// Another last invocation than the default, [`FinalInvocation::Empty`].
    #[must_use]
    pub const fn with_final_invocation(mut self, final_invocation: FinalInvocation) -> Self {
        self.final_invocation = final_invocation;
        self
    }

    /// What is due, with these records next. Opens a window for them if none is open.
    pub fn due(&mut self, records: &[Record], now: Instant) -> Due {
        let Some(first) = records.first() else {
            return match self.state {
                State::Ending { .. } => Due::Final,
                State::Open { .. } | State::Closed => Due::Nothing,
            };
        };
        let next = self.window_of(first);
        let window = match &self.state {
            State::Ending { .. } => return Due::Final,
            State::Open { window, .. } if next > *window => {
                self.end(false);
                return Due::Final;
            }
            State::Open { window, .. } => *window,
            State::Closed => next,
        };
        let count = records
            .iter()
            .take_while(|record| self.window_of(record) <= window)
            .count();
        let arrived = records[..count]
            .iter()
            .filter_map(|record| record.approximate_arrival)
            .max();
        let left = arrived.and_then(|arrived| window.end.duration_since(arrived).ok());
        let closing = now + left.unwrap_or_default() + GRACE;
        // Kept for when it comes again: without what is behind it then.
        let found = match self.final_invocation {
            FinalInvocation::Empty => None,
            FinalInvocation::LastRecords if count == records.len() => None,
            FinalInvocation::LastRecords => records[..count].last(),
        };
        let found = found.map(|record| record.sequence_number.clone());
        match &mut self.state {
            State::Open {
                closes_at, last, ..
            } => {
                *closes_at = closing;
                *last = found.or_else(|| last.take());
            }
            State::Closed | State::Ending { .. } => {
                self.state = State::Open {
                    window,
                    state: fresh(),
                    closes_at: closing,
                    last: found,
                };
            }
        }
        if self.ends_with(&records[..count]) {
            Due::Last(count)
        } else {
            Due::Aggregate(count)
        }
    }

    /// Whether these are known to be the last records of the open window.
    fn ends_with(&self, records: &[Record]) -> bool {
        match &self.state {
            State::Open { last, .. } => {
                let newest = records.last().map(|record| &record.sequence_number);
                newest.is_some() && newest == last.as_ref()
            }
            State::Closed | State::Ending { .. } => false,
        }
    }

    /// When [`pass`](Self::pass) is due, if the shard is read to its tip by then.
    #[must_use]
    pub const fn closes_at(&self) -> Option<Instant> {
        match &self.state {
            State::Open { closes_at, .. } => Some(*closes_at),
            State::Closed | State::Ending { .. } => None,
        }
    }

    /// Time went by, the shard is read to its tip, and no record waits.
    pub fn pass(&mut self, now: Instant) {
        if self.closes_at().is_some_and(|at| at <= now) {
            self.end(false);
        }
    }

    /// The shard has ended, and no record waits: so does its window. Children begin afresh.
    pub fn shard_ended(&mut self) {
        self.end(false);
    }

    /// Whether a window is open: as long as it is, the checkpoint stays before its first record.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    /// The window that is open.
    #[must_use]
    pub const fn bounds(&self) -> Option<Bounds> {
        match &self.state {
            State::Open { window, .. } | State::Ending { window, .. } => Some(*window),
            State::Closed => None,
        }
    }

    /// The event for the function: these records of the window, or none and the last call for it. Nothing if no window
    /// is open.
    #[must_use]
    pub fn event(
        &self,
        source: &EventSource,
        shard: &ShardId,
        records: &[Record],
    ) -> Option<Bytes> {
        let (window, state, is_final, is_early) = match &self.state {
            State::Closed => return None,
            State::Open { window, state, .. } => (window, state, self.ends_with(records), false),
            State::Ending {
                window,
                state,
                is_early,
            } => (window, state, true, *is_early),
        };
        let second = |time| DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true);
        Some(to_json(&EventJson {
            records: records_json(source, shard, records),
            window: BoundsJson {
                start: second(window.start),
                end: second(window.end),
            },
            state,
            shard_id: shard.name(),
            event_source_arn: source.arn(),
            is_final_invoke_for_window: is_final,
            is_window_terminated_early: is_early,
        }))
    }

    /// The function answered to [`event`](Self::event) with these records. `reports`: the mapping asks for
    /// `ReportBatchItemFailures`.
    pub fn answered(&mut self, body: &[u8], records: &[Record], reports: bool) -> Answer {
        let Some(new) = state_in(body) else {
            return Answer::Failed;
        };
        let is_last = self.ends_with(records);
        match &mut self.state {
            State::Ending { .. } => {
                self.state = State::Closed;
                Answer::Closed
            }
            State::Closed => Answer::Failed,
            State::Open { state, .. } => {
                let verdict = if reports {
                    judge(body, records)
                } else {
                    Verdict::Done
                };
                match verdict {
                    Verdict::Done if is_last => {
                        self.state = State::Closed;
                        return Answer::Closed;
                    }
                    Verdict::RetryAll | Verdict::RetryFrom(0) => {}
                    Verdict::Done | Verdict::RetryFrom(_) => {
                        let is_too_large = new.get().len() > STATE_BYTES_MAX;
                        *state = new;
                        if is_too_large {
                            self.end(true);
                        }
                    }
                }
                Answer::Taken(verdict)
            }
        }
    }

    fn end(&mut self, is_early: bool) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open { window, state, .. } => State::Ending {
                window,
                state,
                is_early,
            },
            other @ (State::Closed | State::Ending { .. }) => other,
        };
    }

    fn window_of(&self, record: &Record) -> Bounds {
        let time = record.approximate_arrival.unwrap_or(SystemTime::UNIX_EPOCH);
        Bounds::around(time, self.length)
    }
}

fn fresh() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("it is JSON")
}

/// The state in a response, as it was written. It must be an object that an invocation has room for.
fn state_in(body: &[u8]) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        state: Option<&'a RawValue>,
    }
    let response: Response<'_> = serde_json::from_slice(body).ok()?;
    let state = response.state?;
    let fits = state.get().len() + PROPERTIES_BYTES_MAX <= PAYLOAD_BYTES_MAX;
    (state.get().starts_with('{') && fits).then(|| state.to_owned())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    #[serde(rename = "Records")]
    records: Vec<RecordJson<'a>>,
    window: BoundsJson,
    state: &'a RawValue,
    shard_id: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    is_final_invoke_for_window: bool,
    is_window_terminated_early: bool,
}

#[derive(Serialize)]
struct BoundsJson {
    start: String,
    end: String,
}

#[cfg(test)]
mod tests;
