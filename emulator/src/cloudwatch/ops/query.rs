//! Times and periods, as both operations that read data take them.

use crate::clock::Moment;
use crate::cloudwatch::field::Instant;
use crate::cloudwatch::refusal::Problems;

/// Start and end of what is asked for.
pub(super) fn window(
    problems: &mut Problems,
    start: Option<Instant>,
    end: Option<Instant>,
) -> (Moment, Moment) {
    let mut moment = |instant: Option<Instant>, path: &str| {
        let instant = problems.required(instant, path)?;
        let moment = instant.moment();
        if moment.is_none() {
            problems.invalid_value(&instant.0, path);
        }
        moment
    };
    let (start, end) = (moment(start, "StartTime"), moment(end, "EndTime"));
    let (Some(start), Some(end)) = (start, end) else {
        return (Moment::default(), Moment::default());
    };
    if start >= end {
        problems.invalid("The parameter StartTime must be less than the parameter EndTime.");
    }
    (start, end)
}

/// A period in seconds: one of the short ones, or whole minutes.
pub(super) fn period(problems: &mut Problems, period: Option<i64>, path: &str) -> u64 {
    let Some(seconds) = problems.required(period, path) else {
        return 60;
    };
    match u64::try_from(seconds) {
        Ok(seconds @ (1 | 5 | 10 | 20 | 30)) => seconds,
        Ok(seconds @ 1..=31_536_000) if seconds.is_multiple_of(60) => seconds,
        _ => {
            problems.invalid(format!(
                "The parameter {path} must be 1, 5, 10, 20, 30 or a multiple of 60, and no more \
                 than a year."
            ));
            60
        }
    }
}
