//! What becomes of a request on its way. Draws it, and makes the answers the network invents.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use fastrand::Rng;

use super::Peer;
use crate::sim::scenario::Weather;
use crate::sim::subject::Subject;

/// The longest slow way, in milliseconds.
const SLOW: u64 = 1_500;

/// What happens to a request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and its answer too.
    Fine,
    /// The connection breaks before it arrives.
    ResetBefore,
    /// The connection breaks after it was carried out.
    ResetAfter,
    /// It vanishes.
    LostRequest,
    /// It is carried out, its answer vanishes.
    LostReply,
    /// The service is too busy.
    Throttled,
    /// The service fails.
    Failed,
    /// The client hears nothing; the request is carried out this much later.
    Late(Duration),
    /// It is answered, and carried out a second time this much later.
    Twice(Duration),
}

impl Fate {
    /// The names of all but `Fine`.
    pub const NAMES: [&'static str; 8] = [
        Self::ResetBefore.name(),
        Self::ResetAfter.name(),
        Self::LostRequest.name(),
        Self::LostReply.name(),
        Self::Throttled.name(),
        Self::Failed.name(),
        Self::Late(Duration::ZERO).name(),
        Self::Twice(Duration::ZERO).name(),
    ];

    /// A short name for histories and counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::ResetBefore => "reset before",
            Self::ResetAfter => "reset after",
            Self::LostRequest => "lost request",
            Self::LostReply => "lost reply",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::Late(_) => "late",
            Self::Twice(_) => "twice",
        }
    }
}

/// A fate, and the time each way takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) fate: Fate,
    pub(super) there: Duration,
    pub(super) back: Duration,
}

/// Draws what becomes of one request.
pub(super) fn draw(rng: &mut Rng, weather: &Weather, subject: Subject) -> Passage {
    // Around what a client waits for an answer, so that some come just in time.
    let mut way = || {
        let slow = rng.u64(..1_000) < weather.slow;
        let most = if slow { SLOW } else { weather.latency.max(1) };
        Duration::from_micros(rng.u64(200..=most * 1_000))
    };
    let (there, back) = (way(), way());
    let late = Duration::from_millis(rng.u64(0..=weather.late_max));
    let ladder = [
        (weather.reset_before, Fate::ResetBefore),
        (weather.reset_after, Fate::ResetAfter),
        (weather.lost_request, Fate::LostRequest),
        (weather.lost_reply, Fate::LostReply),
        (weather.throttled, Fate::Throttled),
        (weather.failed, Fate::Failed),
        (weather.late, Fate::Late(late)),
        (weather.twice, Fate::Twice(late)),
    ];
    let mut point = rng.u64(..1_000);
    // What is asked for once in a run would hardly ever be met by what strikes one in a hundred.
    if subject.is_rare() && weather.has_faults() && point < 600 {
        let fate = ladder[rng.usize(..ladder.len())].1;
        return Passage { fate, there, back };
    }
    for (rate, fate) in ladder {
        if point < rate {
            return Passage { fate, there, back };
        }
        point -= rate;
    }
    Passage {
        fate: Fate::Fine,
        there,
        back,
    }
}

/// The answer of a service that is too busy or fails.
pub(super) fn refusal(fate: Fate, peer: Peer, subject: Subject) -> HttpResponse {
    let (status, kind) = match (fate, peer) {
        (Fate::Throttled, Peer::Kinesis) if subject.is_of_fan_out() => {
            (400, "LimitExceededException")
        }
        (Fate::Throttled, Peer::Kinesis) => (400, "ProvisionedThroughputExceededException"),
        (Fate::Throttled, Peer::Dynamo) => (
            400,
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        ),
        (_, Peer::Kinesis) => (500, "InternalFailure"),
        (_, Peer::Dynamo) => (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
    };
    let body = format!(r#"{{"__type":"{kind}","message":"not now"}}"#);
    let status = StatusCode::try_from(status).expect("400 and 500 are status codes");
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.1");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_is_drawn_about_as_often_as_asked() {
        let weather = Weather {
            latency: 5,
            slow: 100,
            reset_before: 100,
            reset_after: 100,
            lost_request: 100,
            lost_reply: 100,
            throttled: 100,
            failed: 100,
            late: 100,
            twice: 100,
            late_max: 9,
            ..Weather::default()
        };
        let mut rng = Rng::with_seed(3);
        let mut counts = std::collections::BTreeMap::<&str, u32>::new();
        for _ in 0..10_000 {
            *counts
                .entry(draw(&mut rng, &weather, Subject::Scan).fate.name())
                .or_default() += 1;
        }
        assert_eq!(counts.len(), 9);
        for (name, count) in counts {
            let expected = if name == "fine" { 2_000 } else { 1_000 };
            assert!(count.abs_diff(expected) < 200, "{name}: {count}");
        }
    }

    #[test]
    fn no_weather_is_fine() {
        let mut rng = Rng::with_seed(3);
        let weather = Weather {
            latency: 5,
            ..Weather::default()
        };
        assert!((0..1_000).all(|_| draw(&mut rng, &weather, Subject::Scan).fate == Fate::Fine));
    }
}
