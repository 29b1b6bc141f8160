//! Lengths of time as people and fault injection services write them: `90s`, `1h 30m`, `PT5M`.

use std::time::Duration;

/// Reads a length of time. What is too long for a `Duration` is none.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.starts_with(['P', 'p']) {
        return parse_iso(text.get(1..)?);
    }
    humantime::parse_duration(text).ok()
}

/// What follows the `P` of ISO 8601: weeks, days, and behind a `T` hours, minutes and seconds. Months
/// and years have no length of their own and are refused.
fn parse_iso(text: &str) -> Option<Duration> {
    let upper = text.to_ascii_uppercase();
    let (date, time) = match upper.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (upper.as_str(), ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let date = parse_parts(date, &[('W', 604_800), ('D', 86_400)])?;
    let time = parse_parts(time, &[('H', 3600), ('M', 60), ('S', 1)])?;
    date.checked_add(time)
}

/// Numbers, each before its letter, in this order. The last may have a fraction.
fn parse_parts(mut text: &str, units: &[(char, u64)]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for (letter, seconds) in units {
        let Some((number, rest)) = text.split_once(*letter) else {
            continue;
        };
        let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let has_fraction = fraction != "0";
        if !is_digits(whole) || !is_digits(fraction) || (has_fraction && !rest.is_empty()) {
            return None;
        }
        let whole = whole.parse::<u64>().ok()?.checked_mul(*seconds)?;
        let fraction = format!("0.{fraction}").parse::<f64>().ok()? * *seconds as f64;
        total = total
            .checked_add(Duration::from_secs(whole))?
            .checked_add(Duration::try_from_secs_f64(fraction).ok()?)?;
        text = rest;
    }
    text.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_a_length_are_understood() {
        for (text, millis) in [
            ("5m", 300_000),
            ("1h 30m", 5_400_000),
            ("250ms", 250),
            ("PT5M", 300_000),
            ("PT1H30M", 5_400_000),
            ("P1DT12H", 129_600_000),
            ("P2W", 1_209_600_000),
            ("PT0.25S", 250),
            ("pt1m", 60_000),
            ("PT1,5S", 1500),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "P",
            "PT",
            "P1DT",
            "P1Y",
            "P1M",
            "PT5",
            "PTM",
            "PT1.5H3M",
            "PT1S1M",
            "PT-1S",
            "P99999999999999999999D",
            "PT1.S",
            "PT.5S",
            "Pé",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
