//! Values that flags and files write as text: spans of time, instants, sizes.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kinesis_emulator::Limits;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A span of time: `250ms`, `5s`, `2m`, `1h`, `7d`, or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no span of time; write 250ms, 5s, 2m, 1h, 7d or 0");
        let (number, unit) = parts(text);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if number == 0 => 0,
            _ => return Err(wrong()),
        };
        let millis = number.checked_mul(unit).ok_or_else(wrong)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis())
    }
}

/// A number of bytes: `262144`, `512KiB`, `256MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no size; write 262144, 512KiB, 256MiB or 2GiB");
        let (number, unit) = parts(text);
        let number: usize = number.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        Ok(Self(number.checked_mul(unit).ok_or_else(wrong)?))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn parts(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

/// An instant: `2026-01-31T12:00:00Z`, or seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant(pub(crate) SystemTime);

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is no time; write 2026-01-31T12:00:00Z or seconds since 1970");
        let since = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
                let millis = time.unix_timestamp_nanos() / 1_000_000;
                Duration::from_millis(u64::try_from(millis).map_err(|_| wrong())?)
            }
        };
        UNIX_EPOCH.checked_add(since).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from(self.0);
        f.write_str(&time.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// `off`, `observe` or `enforce`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitMode(pub(crate) Limits);

impl FromStr for LimitMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl fmt::Display for LimitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As text in both directions; a bare whole number is read too.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(TextOrNumber)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

as_text!(Span, Size, Instant, LimitMode);

struct TextOrNumber;

impl de::Visitor<'_> for TextOrNumber {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a whole number")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_their_unit() {
        let millis = |text: &str| text.parse::<Span>().map(|span| span.0.as_millis());
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("2 m"), Ok(120_000));
        assert_eq!(millis("7d"), Ok(604_800_000));
        assert_eq!(millis("0"), Ok(0));
        for wrong in ["", "5", "s", "-1s", "1.5s", "5 weeks", "99999999999999999d"] {
            assert!(millis(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_counted_in_powers_of_two() {
        assert_eq!("256MiB".parse(), Ok(Size(256 << 20)));
        assert_eq!("1000".parse(), Ok(Size(1000)));
        for wrong in ["", "1MB", "MiB", "99999999999GiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn instants_are_dates_or_seconds() {
        let expected = Instant(UNIX_EPOCH + Duration::from_secs(1_769_860_800));
        assert_eq!("2026-01-31T12:00:00Z".parse(), Ok(expected));
        assert_eq!("2026-01-31T13:00:00+01:00".parse(), Ok(expected));
        assert_eq!("1769860800".parse(), Ok(expected));
        assert_eq!(expected.to_string().parse(), Ok(expected));
        for wrong in ["", "yesterday", "1960-01-01T00:00:00Z"] {
            assert!(wrong.parse::<Instant>().is_err(), "{wrong}");
        }
    }
}
