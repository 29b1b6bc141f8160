//! Translates the durations that workers tell each other in the table from one clock to another.
//!
//! A worker whose clock is too fast counts its lease time by it. In the table stands what it should be; what
//! another reads there it counts by its own clock. See [`Rate`].

use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use memchr::memmem;

use crate::sim::clock::Rate;

/// The one attribute that holds a duration.
const MARK: &[u8] = b"\"leaseTimeMillis\":{\"N\":\"";

/// What a worker with this clock means by the durations that it writes.
pub(super) fn from_worker(rate: Rate, body: &mut SdkBody) -> bool {
    // Lease times are whole seconds here; what is told was cut down to milliseconds.
    let nearest =
        |time: Duration| Duration::from_millis((time.as_micros() as u64 + 5_000) / 10_000 * 10);
    translate(rate, body, |time| nearest(time.mul_f64(rate.factor())))
}

/// What it has to read to mean the same by its clock.
pub(super) fn to_worker(rate: Rate, body: &mut SdkBody) -> bool {
    translate(rate, body, |time| rate.takes(time))
}

/// Answers whether anything changed.
fn translate(rate: Rate, body: &mut SdkBody, to: impl Fn(Duration) -> Duration) -> bool {
    let bytes = body.bytes().unwrap_or_default();
    if rate == Rate(0) || memmem::find(bytes, MARK).is_none() {
        return false;
    }
    let mut translated = Vec::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let Some(at) = memmem::find(rest, MARK) {
        let (before, number) = rest.split_at(at + MARK.len());
        translated.extend_from_slice(before);
        let digits = number
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, after) = number.split_at(digits);
        let millis = std::str::from_utf8(digits)
            .ok()
            .and_then(|it| it.parse().ok());
        let time = to(Duration::from_millis(millis.unwrap_or_default()));
        translated.extend_from_slice(time.as_millis().to_string().as_bytes());
        rest = after;
    }
    translated.extend_from_slice(rest);
    *body = SdkBody::from(translated);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_time_that_is_told_and_read_by_one_clock_is_the_same() {
        for rate in [Rate(-100), Rate(-24), Rate(0), Rate(24), Rate(100)] {
            for seconds in [6, 10, 15] {
                let nominal = Duration::from_secs(seconds);
                let own = rate.takes(nominal).as_millis();
                let row =
                    |millis: u128| format!(r#"{{"leaseTimeMillis":{{"N":"{millis}"}},"x":1}}"#);
                let mut body = SdkBody::from(row(own));
                from_worker(rate, &mut body);
                assert_eq!(
                    body.bytes(),
                    Some(row(nominal.as_millis()).as_bytes()),
                    "{rate:?}"
                );
                to_worker(rate, &mut body);
                assert_eq!(body.bytes(), Some(row(own).as_bytes()), "{rate:?}");
            }
        }
    }
}
