//! Values that the protocols write differently: instants and numbers that may be none.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use crate::clock::Moment;

/// The names by which the two ask their reader for themselves.
pub(super) const INSTANT: &str = "$instant";
pub(super) const DOUBLE: &str = "$double";

/// An instant in seconds since 1970: a number in JSON and CBOR, a text of ISO 8601 in a form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Instant(pub(super) f64);

/// A number. JSON and forms can say that it is none, or infinite, and the service refuses that itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Double(pub(super) f64);

impl Instant {
    /// As the clock has it; none if it is no instant at all, or before 1970.
    pub(super) fn moment(self) -> Option<Moment> {
        // Up to the year 9999, as far as the service's instants go.
        let is_instant = (0.0..=253_402_300_799.0).contains(&self.0);
        is_instant.then(|| Moment::from_seconds(self.0))
    }
}

/// The seconds of an instant written by ISO 8601. Without an offset it is in UTC.
pub(super) fn parse_instant(text: &str) -> Option<f64> {
    let text = text.trim();
    let instant = OffsetDateTime::parse(text, &Iso8601::PARSING).ok();
    let local = || {
        let instant = PrimitiveDateTime::parse(text, &Iso8601::PARSING).ok();
        instant.map(PrimitiveDateTime::assume_utc)
    };
    let day = || {
        let day = Date::parse(text, &Iso8601::PARSING).ok();
        day.map(|day| day.midnight().assume_utc())
    };
    let instant = instant.or_else(local).or_else(day)?;
    // To the millisecond, as the clock has it: the parser is off by some nanoseconds.
    let millis = (instant.unix_timestamp_nanos() as f64 / 1e6).round();
    Some(millis / 1e3)
}

/// Takes a number, or where the protocol has it the names of what is none.
struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<f64, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_newtype_struct(INSTANT, NumberVisitor);
        number.map(Self)
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_newtype_struct(DOUBLE, NumberVisitor);
        number.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_clients_write_them() {
        for (text, expected) in [
            ("2023-11-14T22:13:20Z", Some(1_700_000_000.0)),
            ("2023-11-14T22:13:20.250Z", Some(1_700_000_000.25)),
            ("2023-11-14T22:13:20", Some(1_700_000_000.0)),
            ("2023-11-14T23:13:20+01:00", Some(1_700_000_000.0)),
            ("2023-11-14", Some(1_699_920_000.0)),
            ("1700000000", None),
            ("", None),
            ("2023-13-14T22:13:20Z", None),
        ] {
            assert_eq!(parse_instant(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_numbers_and_none_is_none() {
        let read = |json: &str| serde_json::from_str::<Double>(json).map(|number| number.0);
        assert_eq!(read("1").unwrap(), 1.0);
        assert_eq!(read("-1.5").unwrap(), -1.5);
        assert!(read("\"NaN\"").unwrap().is_nan());
        assert_eq!(read("\"-Infinity\"").unwrap(), f64::NEG_INFINITY);
        for wrong in ["\"1\"", "true", "[]", "{}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_instant_is_none() {
        assert_eq!(Instant(1.5).moment(), Some(Moment(1500)));
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(Instant(wrong).moment(), None, "{wrong}");
        }
    }
}
