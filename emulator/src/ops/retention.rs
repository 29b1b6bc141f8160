//! What the two changes of the retention period share.

use std::time::Duration;

use serde::Deserialize;

use crate::engine::change::Change;
use crate::refusal::Refusal;
use crate::wire::check::Checks;
use crate::wire::field::{Int, Text, text};

use super::address::Address;
use super::{Call, Reply};

const HOURS_MIN: i32 = 24;
const HOURS_MAX: i32 = 365 * 24;
const HOUR: u64 = 3600;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    retention_period_hours: Option<Int>,
    #[serde(borrow)]
    stream_id: Option<Text<'a>>,
}

/// The way a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// Sets the retention period, if that is the call's way to go; to set it to what it is does nothing.
pub(super) fn run(call: &Call<'_>, way: Way) -> Result<Reply, Refusal> {
    let request: Request<'_> = call.read()?;
    let address = Address::new(&request.stream_name, &request.stream_arn);
    let mut checks = Checks::default();
    let hours = checks.required(&"retentionPeriodHours", request.retention_period_hours);
    address.check(&mut checks);
    checks.stream_id(text(&request.stream_id));
    checks.finish()?;
    let hours = hours.map_or(0, |Int(hours)| hours);
    let stream = address.stream(call)?;
    let delays = (call.now, call.engine.delays.update);
    stream.change(delays, |state| {
        let wanted = check_bounds(hours)?;
        let current = state.retention.as_secs() / HOUR;
        let (is_wrong, than, other) = match way {
            Way::Up => (wanted < current, "shorter", "Decrease"),
            Way::Down => (wanted > current, "longer", "Increase"),
        };
        if is_wrong {
            return Err(Refusal::invalid(format!(
                "Requested retention period ({hours} hours) for stream {} can not be {than} than \
                 existing retention period ({current} hours). Use {other}RetentionPeriod API.",
                stream.name
            )));
        }
        let retention = Duration::from_secs(wanted * HOUR);
        Ok((wanted != current).then_some(Change::Retention(retention)))
    })?;
    Ok(Reply::Void)
}

fn check_bounds(hours: i32) -> Result<u64, Refusal> {
    let text = if hours < HOURS_MIN {
        format!(
            "Minimum allowed retention period is {HOURS_MIN} hours. Requested retention period \
             ({hours} hours) is too short."
        )
    } else if hours > HOURS_MAX {
        format!(
            "Maximum allowed retention period is {HOURS_MAX} hours. Requested retention period \
             ({hours} hours) is too long."
        )
    } else {
        return Ok(u64::from(hours.unsigned_abs()));
    };
    Err(Refusal::invalid(text))
}
