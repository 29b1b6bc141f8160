//! The clock over HTTP: look at it, freeze it, move it ahead, let it run at another rate.

use std::time::Duration;

use http::{Method, Response};
use serde::{Deserialize, Serialize};

use crate::wire::body::Body;
use crate::{Clock, Service};

use super::reply::{Problem, json};
use super::{Request, duration};

/// One call does not move the clock further: whoever wants to most likely means something else.
const ADVANCE_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Face {
    now: String,
    epoch_millis: u64,
    rate: f64,
    frozen: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    rate: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(super) fn answer(
    service: &Service,
    request: &Request<'_>,
    action: &str,
) -> Result<Response<Body>, Problem> {
    let clock = service.clock();
    if action.is_empty() && *request.method == Method::GET {
        return Ok(json(&face(clock)));
    }
    match action {
        "freeze" => {
            request.allow(&[Method::POST])?;
            let Nothing {} = request.read()?;
            clock.freeze();
        }
        "resume" => {
            request.allow(&[Method::POST])?;
            let Nothing {} = request.read()?;
            clock.set_rate(1.0);
        }
        "advance" => {
            request.allow(&[Method::POST])?;
            let Advance { by } = request.read()?;
            clock.advance(length(&by)?);
        }
        "rate" => {
            request.allow(&[Method::POST])?;
            let Rate { rate } = request.read()?;
            if !(0.0..=Clock::RATE_MAX).contains(&rate) {
                let max = Clock::RATE_MAX;
                return Err(Problem::bad(format!(
                    "A clock runs at a rate from 0, which is frozen, to {max}, not at {rate}."
                )));
            }
            clock.set_rate(rate);
        }
        "" => {
            request.allow(&[Method::GET])?;
        }
        _ => {
            return Err(Problem::not_found(format!(
                "A clock cannot {action}. It can freeze, resume, advance and rate."
            )));
        }
    }
    Ok(json(&face(clock)))
}

fn length(by: &str) -> Result<Duration, Problem> {
    let by = duration::parse(by).ok_or_else(|| {
        Problem::bad(format!(
            "{by:?} is no length of time. Write 90s, 1h 30m, 7d or, as ISO 8601 has it, PT5M."
        ))
    })?;
    if by > ADVANCE_MAX {
        return Err(Problem::bad(
            "A clock does not advance by more than 100 years at once.",
        ));
    }
    Ok(by)
}

fn face(clock: &Clock) -> Face {
    let now = clock.moment();
    let rate = clock.rate();
    Face {
        now: now.to_rfc3339(),
        epoch_millis: now.millis(),
        rate,
        frozen: rate == 0.0,
    }
}
