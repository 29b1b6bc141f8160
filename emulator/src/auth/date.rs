//! Instants as signatures write them: `20150830T123600Z`, and the older form of the `Date` header.

use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, Time};

use crate::clock::Moment;

/// Reads the basic form.
pub(super) fn parse(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = &text[from..to];
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let byte = |from: usize| number(from, from + 2).and_then(|part| u8::try_from(part).ok());
    let month = Month::try_from(byte(4)?).ok()?;
    let date = Date::from_calendar_date(number(0, 4)?.into(), month, byte(6)?).ok()?;
    let time = Time::from_hms(byte(9)?, byte(11)?, byte(13)?).ok()?;
    moment(OffsetDateTime::new_utc(date, time))
}

/// Reads what stands in a `Date` header.
pub(super) fn parse_http(text: &str) -> Option<Moment> {
    parse(text).or_else(|| moment(OffsetDateTime::parse(text, &Rfc2822).ok()?))
}

fn moment(time: OffsetDateTime) -> Option<Moment> {
    let seconds = u64::try_from(time.unix_timestamp()).ok()?;
    Some(Moment(seconds.checked_mul(1000)?))
}

fn utc(moment: Moment) -> OffsetDateTime {
    let seconds = i64::try_from(moment.seconds()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Writes what stands in a `Date` header.
pub(crate) fn http(moment: Moment) -> String {
    let time = utc(moment);
    // Both names are English whatever the machine speaks, and are cut to three letters.
    let (weekday, month) = (time.weekday().to_string(), time.month().to_string());
    let (weekday, month) = (&weekday[..3], &month[..3]);
    let (day, year) = (time.day(), time.year());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Writes the basic form.
pub(super) fn basic(moment: Moment) -> String {
    let time = utc(moment);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_the_basic_one_is_written() {
        let moment = Moment(1_440_938_160_000);
        assert_eq!(parse("20150830T123600Z"), Some(moment));
        assert_eq!(parse_http("Sun, 30 Aug 2015 12:36:00 GMT"), Some(moment));
        assert_eq!(basic(moment), "20150830T123600Z");
        assert_eq!(http(moment), "Sun, 30 Aug 2015 12:36:00 GMT");
        for wrong in [
            "",
            "20150830T123600",
            "20151330T123600Z",
            "2015083äT12360Z",
            "2015083 T123600Z",
            "20150830T126000Z",
            "+0150830T123600Z",
            "19600830T123600Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
