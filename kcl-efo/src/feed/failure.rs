//! What went wrong with a subscription, in the words of events and errors. It chooses nothing: `session` and
//! `route` say what follows.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::{Event as Told, Failure, ReadCall, ReadFailure};
use tokio::time::Instant;

use super::subscription::Step;
use super::{Flow, Reader};
use crate::aws::Refused;
use crate::route::News;
use crate::session::{Action, Event, Refusal};

/// A failure of a read, to be told.
pub(super) struct Failed {
    pub(super) call: ReadCall,
    pub(super) why: ReadFailure,
    pub(super) error: Error,
    pub(super) took: Duration,
}

impl Reader {
    pub(super) fn tell_failure(&mut self, failed: &Failed) {
        if failed.why.is_answer() {
            self.meter.answered();
        }
        self.failures = self.failures.saturating_add(1);
        self.events.emit(&Told::ReadFailed {
            shard: self.shard.clone(),
            call: failed.call,
            why: failed.why,
            error: Failure::from(&failed.error),
            failures: self.failures,
            took: failed.took,
        });
    }

    /// What a step that brought no error of its own says by what followed on it.
    pub(super) fn failure(
        &self,
        (doing, has_brought): (&Action, bool),
        event: &Event,
        next: &Action,
        took: Duration,
    ) -> Option<Failed> {
        if *next != Action::Wait {
            return None;
        }
        let shard = &self.shard;
        let (why, kind, message) = match (doing, event) {
            (Action::Listen, Event::Due) => (
                ReadFailure::Silent,
                ErrorKind::Unavailable,
                format!(
                    "a subscription to shard {shard} said nothing for {:?}; the connection may be dead",
                    self.shared.settings.subscription.silence_max
                ),
            ),
            (Action::Subscribe(_), Event::Due) => (
                ReadFailure::Unavailable,
                ErrorKind::Unavailable,
                format!(
                    "a subscription to shard {shard} was not accepted within {:?}",
                    self.shared.settings.subscription.open_within
                ),
            ),
            (_, Event::Received(arrival)) => (
                ReadFailure::Malformed,
                ErrorKind::Data,
                if arrival.continuation.is_some() {
                    format!("a subscription to shard {shard} goes back")
                } else {
                    format!(
                        "an event of shard {shard} names neither a way on nor the shards that follow"
                    )
                },
            ),
            (_, Event::Closed) if !has_brought => (
                ReadFailure::Unavailable,
                ErrorKind::Unavailable,
                format!("a subscription to shard {shard} ended before it brought anything"),
            ),
            // A turn that is waited for, or a refusal that was told already.
            (
                _,
                Event::Start
                | Event::Closed
                | Event::Accepted { .. }
                | Event::Alive(_)
                | Event::Delivered
                | Event::Refused(_)
                | Event::Due,
            ) => return None,
        };
        Some(Failed {
            call: ReadCall::SubscribeToShard,
            why,
            error: Error::new(kind, message),
            took,
        })
    }

    /// Neither the consumer nor the shard can be told from each other by the refusal. So the consumer is
    /// looked for again, and registered again if it is gone; a second refusal is about the shard.
    pub(super) async fn not_found(&mut self, failed: Failed, arn: &Arc<str>) -> Flow {
        self.shared.consumers.refused(&self.stream, arn);
        let news = if self.is_suspect {
            News::Refused
        } else {
            News::Failed
        };
        self.is_suspect = true;
        if news == News::Failed || self.switch.has_fallback() {
            self.tell_failure(&failed);
        }
        let flow = self.news(news, Some(failed.error)).await;
        flow.unwrap_or(Flow::On)
    }

    pub(super) fn refused(&self, refused: Refused, began: Instant) -> Step {
        match refused {
            Refused::NotFound(error) => Step::NotFound(Failed {
                call: ReadCall::SubscribeToShard,
                why: ReadFailure::Refused,
                error,
                took: began.elapsed(),
            }),
            Refused::Because(refusal, error) => {
                let why = match refusal {
                    Refusal::Unavailable if error.kind() == ErrorKind::Data => {
                        ReadFailure::Malformed
                    }
                    Refusal::InUse => ReadFailure::InUse,
                    Refusal::Throttled => ReadFailure::Throttled,
                    Refusal::Unavailable => ReadFailure::Unavailable,
                    Refusal::Argument | Refusal::Final => ReadFailure::Refused,
                };
                self.failed((refusal, why), error, began)
            }
        }
    }

    pub(super) fn failed(&self, why: (Refusal, ReadFailure), error: Error, began: Instant) -> Step {
        let (refusal, why) = why;
        let failed = Failed {
            call: ReadCall::SubscribeToShard,
            why,
            error,
            took: began.elapsed(),
        };
        Step::Event(Event::Refused(refusal), Some(failed))
    }

    pub(super) fn broken(&self, why: ReadFailure, error: Error, began: Instant) -> Step {
        let failed = Failed {
            call: ReadCall::SubscribeToShard,
            why,
            error,
            took: began.elapsed(),
        };
        Step::Event(Event::Closed, Some(failed))
    }
}
