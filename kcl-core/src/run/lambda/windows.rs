//! Invocations of a function with tumbling windows: which is due, with which state, and what may not be committed
//! meanwhile.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{Event, Failing, ShardFunction, failure, reported};
use crate::event::FailureCause;
use crate::lambda::mapping::MappingSettings;
use crate::lambda::response::Verdict;
use crate::lambda::window::{Answer, Due, Windows};
use crate::model::{Record, SequenceNumber};
use crate::port::{Failed, HandlerBatch, Hold, Outcome};

/// The windows of a shard. It has one lane, so nobody waits for the lock.
pub(super) struct Windowed {
    windows: tokio::sync::Mutex<Windows>,
    held: Mutex<Option<Hold>>,
}

impl Windowed {
    /// Nothing if the mapping has no windows.
    pub(super) fn new(mapping: &MappingSettings) -> Option<Self> {
        let windows = Windows::new(mapping.tumbling_window?);
        let windows = windows.with_final_invocation(mapping.final_invocation);
        Some(Self {
            windows: tokio::sync::Mutex::new(windows),
            held: Mutex::default(),
        })
    }

    /// What is held: all records of the window that is open.
    pub(super) fn hold(&self) -> Option<Hold> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    /// Notes what is held, with these records next.
    fn note(&self, windows: &Windows, next: &[Record], now: Instant) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let first = next.first().map(|record| &record.sequence_number);
        let from: Option<SequenceNumber> = match &*held {
            Some(held) => Some(held.from.clone()),
            None => first.cloned(),
        };
        *held = from.filter(|_| windows.is_open()).map(|from| Hold {
            from,
            wakes_at: windows.closes_at().unwrap_or(now),
        });
    }
}

impl ShardFunction {
    /// Invokes the function as often as the records of a batch need it. Without records a window has to end: it is
    /// time, or nothing comes any more.
    pub(super) async fn handle_windows(&self, windowed: &Windowed, batch: HandlerBatch) -> Outcome {
        let shard = batch.context.shard.shard().clone();
        let windows = &mut *windowed.windows.lock().await;
        let (mut done, mut has_invoked) = (0, false);
        if batch.records.is_empty() {
            windows.pass(Instant::now());
            windows.shard_ended();
        }
        loop {
            let (rest, now) = (&batch.records[done..], Instant::now());
            let due = windows.due(rest, now);
            windowed.note(windows, rest, now);
            let given = match due {
                Due::Nothing => return Outcome::Done,
                Due::Aggregate(count) | Due::Last(count) => &rest[..count],
                Due::Final => &[],
            };
            // The machine asked before the first.
            if has_invoked && !batch.context.may_go_on() {
                return Outcome::Stopped(done, None);
            }
            has_invoked = true;
            let Some(event) = windows.event(&self.mapping.source, &shard, given) else {
                return Outcome::Done;
            };
            let body = match self.invoke(&batch.context, Event::Json(event)).await {
                Ok(body) => body,
                Err(failing) => return failing.of(due, done),
            };
            let reports = self.mapping.settings.report_batch_item_failures;
            match windows.answered(&body, given, reports) {
                Answer::Closed | Answer::Taken(Verdict::Done) => done += given.len(),
                Answer::Taken(verdict @ (Verdict::RetryFrom(_) | Verdict::RetryAll)) => {
                    windowed.note(windows, rest, now);
                    return within(reported(verdict, done, &shard), done + given.len());
                }
                Answer::Failed => {
                    let cause = FailureCause::Error;
                    let error = failure(&shard, "answered without the state of its window");
                    return Failing::Failed(Failed { cause, error }).of(due, done);
                }
            }
            windowed.note(windows, &batch.records[done..], now);
        }
    }
}

impl Failing {
    /// What follows on a failure behind so many records that are done. A last invocation of a window without records
    /// blocks the shard until it succeeds, and has nothing to do with the records that wait for it.
    fn of(self, due: Due, done: usize) -> Outcome {
        match (due, self) {
            (Due::Aggregate(count) | Due::Last(count), Self::Failed(failed)) => {
                Outcome::FailedWithin(done..done + count, failed)
            }
            (Due::Nothing, Self::Failed(failed)) => Outcome::FailedFrom(done, failed),
            (Due::Final, Self::Failed(failed)) | (_, Self::NotInvoked(failed)) => {
                Outcome::NotTried(done, failed)
            }
        }
    }
}

/// What an invocation with the records before `end` says is not about those of the next window, which wait for it.
fn within(outcome: Outcome, end: usize) -> Outcome {
    if let Outcome::FailedFrom(from, failed) = outcome {
        Outcome::FailedWithin(from..end, failed)
    } else {
        outcome
    }
}
