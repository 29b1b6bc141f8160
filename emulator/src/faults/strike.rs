//! A strike: what happened to a call, a record or an event.

use std::fmt;
use std::time::Duration;

use http::{Response, StatusCode};

use crate::clock::Moment;
use crate::cloudwatch;
use crate::dynamo;
use crate::engine::limits::shard_exceeded;
use crate::engine::token::LIFE_MILLIS;
use crate::ops::Call;
use crate::ops::target::Target;
use crate::refusal::{Kind, Refusal};
use crate::wire::answer;
use crate::wire::body::Body;

use super::Faults;
use super::action::{Action, Api, EventException};

/// The mark of an answer that was lost on its way: whoever carries answers closes the connection
/// instead. Found among an answer's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault has the connection closed without an answer")
    }
}

impl std::error::Error for Lost {}

/// What stands in for a lost answer.
pub(crate) fn aborted() -> Response<Body> {
    let mut answer = answer::answer(StatusCode::BAD_GATEWAY, None, "");
    answer.extensions_mut().insert(Lost);
    answer
}

/// What a fault looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(super) kind: PlaceKind,
    pub(super) api: Api,
    pub(super) operation: &'a str,
    pub(super) stream: Option<&'a str>,
    pub(super) table: Option<&'a str>,
    pub(super) shard: Option<u32>,
    pub(super) consumer: Option<&'a str>,
}

/// What sort of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceKind {
    Call,
    Record,
    Event,
}

impl PlaceKind {
    pub(super) fn is_struck_by(self, action: &Action) -> bool {
        match self {
            Self::Call => action.is_for_calls(),
            Self::Record => *action == Action::RecordFailure,
            Self::Event => action.is_for_events(),
        }
    }
}

/// All that happens to one call.
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    /// To wait before anything else.
    pub(crate) latency: Duration,
    /// How old a listing is to be.
    pub(crate) stale: Option<Stale>,
    /// How old the rows that a read shows are to be.
    pub(crate) stale_read: Option<Duration>,
    /// What comes instead of the answer.
    pub(crate) end: Option<End>,
}

/// What comes instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Refuse(Error),
    ResetBefore,
    ResetAfter,
}

/// The refusals there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    ThroughputExceeded,
    Throttle,
    Internal,
    Unavailable,
    ExpiredIterator,
}

/// How old a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    By(Duration),
    BeforeReshard,
}

/// What happens to an event of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventFault {
    Drop,
    Truncate,
    Exception(EventException),
}

impl Faults {
    /// What happens to a call of the streams.
    pub(crate) fn strike(&self, call: &Call<'_>) -> Strikes {
        if !self.are_armed() {
            return Strikes::default();
        }
        let target = Target::of(call);
        self.strike_call(&Place {
            kind: PlaceKind::Call,
            api: Api::Kinesis,
            operation: call.operation.name(),
            stream: target.stream_name.as_deref(),
            table: None,
            shard: target.shard,
            consumer: target.consumer_name(),
        })
    }

    /// What happens to a call of the tables.
    pub(crate) fn strike_dynamo(&self, operation: &str, body: &[u8]) -> Strikes {
        if !self.are_armed() {
            return Strikes::default();
        }
        let table = dynamo::table_of(body);
        self.strike_call(&Place {
            kind: PlaceKind::Call,
            api: Api::DynamoDb,
            operation,
            stream: None,
            table: table.as_deref(),
            shard: None,
            consumer: None,
        })
    }

    /// What happens to a call of the metrics.
    pub(crate) fn strike_cloudwatch(&self, operation: &str) -> Strikes {
        if !self.are_armed() {
            return Strikes::default();
        }
        self.strike_call(&Place {
            kind: PlaceKind::Call,
            api: Api::CloudWatch,
            operation,
            stream: None,
            table: None,
            shard: None,
            consumer: None,
        })
    }

    fn strike_call(&self, place: &Place<'_>) -> Strikes {
        let mut strikes = Strikes::default();
        self.visit(place, |action| {
            let refuse = |error| Some(End::Refuse(error));
            strikes.end = match action {
                Action::Latency(latency) => {
                    strikes.latency = strikes.latency.saturating_add(*latency);
                    None
                }
                Action::StaleBy(age) => {
                    strikes.stale = Some(Stale::By(*age));
                    None
                }
                Action::StaleReshard => {
                    strikes.stale = Some(Stale::BeforeReshard);
                    None
                }
                Action::StaleRead(age) => {
                    strikes.stale_read = Some(*age);
                    None
                }
                Action::ThroughputExceeded => refuse(Error::ThroughputExceeded),
                Action::Throttle => refuse(Error::Throttle),
                Action::InternalError => refuse(Error::Internal),
                Action::Unavailable => refuse(Error::Unavailable),
                Action::ExpiredIterator => refuse(Error::ExpiredIterator),
                Action::ResetBefore => Some(End::ResetBefore),
                Action::ResetAfter => Some(End::ResetAfter),
                Action::RecordFailure
                | Action::DropEvent
                | Action::TruncateEvent
                | Action::EventException(_) => None,
            };
            strikes.end.is_none()
        });
        strikes
    }

    /// Why a record of PutRecords fails, if it does.
    pub(crate) fn strike_record(&self, stream: &str, shard: u32) -> Option<Refusal> {
        let mut failure = None;
        let place = Place {
            kind: PlaceKind::Record,
            api: Api::Kinesis,
            operation: "PutRecords",
            stream: Some(stream),
            table: None,
            shard: Some(shard),
            consumer: None,
        };
        self.visit(&place, |_| {
            failure = Some(internal());
            false
        });
        failure
    }

    /// What happens to the next event of a subscription.
    pub(crate) fn strike_event(
        &self,
        stream: &str,
        consumer: &str,
        shard: u32,
    ) -> Option<EventFault> {
        if !self.are_armed() {
            return None;
        }
        let mut fault = None;
        let place = Place {
            kind: PlaceKind::Event,
            api: Api::Kinesis,
            operation: "SubscribeToShard",
            stream: Some(stream),
            table: None,
            shard: Some(shard),
            consumer: Some(consumer),
        };
        self.visit(&place, |action| {
            fault = action.event();
            fault.is_none()
        });
        fault
    }
}

impl Action {
    fn event(&self) -> Option<EventFault> {
        if let Self::EventException(exception) = self {
            Some(EventFault::Exception(*exception))
        } else if *self == Self::DropEvent {
            Some(EventFault::Drop)
        } else if *self == Self::TruncateEvent {
            Some(EventFault::Truncate)
        } else {
            None
        }
    }
}

impl Error {
    /// In the words of the streams.
    pub(crate) fn refusal(self, call: &Call<'_>) -> Refusal {
        match self {
            Self::ThroughputExceeded => {
                let target = Target::of(call);
                let scope = target.scope(call);
                let name = target.stream_name.as_deref().unwrap_or_default();
                match target.shard {
                    Some(shard) => shard_exceeded(shard, name, scope),
                    None => Refusal::new(
                        Kind::ProvisionedThroughputExceeded,
                        format!(
                            "Rate exceeded for stream {name} under account {}.",
                            scope.account
                        ),
                    ),
                }
            }
            Self::Throttle => Refusal::new(Kind::Throttling, "Rate exceeded"),
            Self::Internal => internal(),
            Self::Unavailable => Refusal::new(
                Kind::ServiceUnavailable,
                "The request has failed due to a temporary failure of the server.",
            ),
            Self::ExpiredIterator => {
                let age = Duration::from_millis(LIFE_MILLIS + 1);
                Refusal::iterator_expired(call.now.before(age), call.now)
            }
        }
    }

    /// In the words of the metrics.
    pub(crate) fn cloudwatch(self) -> cloudwatch::Refusal {
        match self {
            Self::ThroughputExceeded | Self::ExpiredIterator | Self::Throttle => {
                cloudwatch::Refusal::throttled()
            }
            Self::Internal => cloudwatch::Refusal::internal(),
            Self::Unavailable => cloudwatch::Refusal::unavailable(),
        }
    }

    /// In the words of the tables.
    pub(crate) fn dynamo(self) -> dynamo::Refusal {
        match self {
            Self::ThroughputExceeded | Self::ExpiredIterator => dynamo::Refusal::throughput(None),
            Self::Throttle => dynamo::Refusal::throttled(),
            Self::Internal => dynamo::Refusal::internal(),
            Self::Unavailable => dynamo::Refusal::unavailable(),
        }
    }
}

fn internal() -> Refusal {
    Refusal::new(Kind::InternalFailure, "Internal Service Failure")
}

impl Stale {
    /// Before which instant a reshard must have happened to be seen. `latest` is that of the last.
    pub(crate) fn horizon(self, now: Moment, latest: Moment) -> Moment {
        match self {
            Self::By(age) => now.before(age).after(Duration::from_millis(1)),
            Self::BeforeReshard => latest,
        }
    }
}
