//! Numbers, truth and instants.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::clock::Moment;

use super::{BOOLEAN, BYTES, LIST, MAP, NUMBER, STRING, refuse};

/// An integer of 32 bits: fractions are cut, what is too large is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Int(pub(crate) i32);

/// Truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

/// An instant: in JSON seconds with milliseconds as their fraction, in CBOR milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Moment);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntVisitor;
        impl<'de> Visitor<'de> for IntVisitor {
            type Value = Int;
            fn visit_i64<E: Error>(self, number: i64) -> Result<Int, E> {
                Ok(Int(i32::try_from(number).unwrap_or(if number < 0 {
                    i32::MIN
                } else {
                    i32::MAX
                })))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Int, E> {
                Ok(Int(i32::try_from(number).unwrap_or(i32::MAX)))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Int, E> {
                // `as` saturates, as the service does.
                Ok(Int(number as i32))
            }
            refuse!(
                bool,
                self,
                format_args!("{BOOLEAN} can not be converted to an Integer")
            );
            refuse!(
                string,
                self,
                format_args!("{STRING} can not be converted to an Integer")
            );
            refuse!(
                bytes,
                self,
                format_args!("{BYTES} can not be converted to an Integer")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(IntVisitor)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl<'de> Visitor<'de> for FlagVisitor {
            type Value = Flag;
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Flag, E> {
                Ok(Flag(truth))
            }
            refuse!(
                number,
                self,
                format_args!("{NUMBER} can not be converted to an Boolean")
            );
            refuse!(
                string,
                self,
                format_args!("{STRING} can not be converted to an Boolean")
            );
            refuse!(
                bytes,
                self,
                format_args!("{BYTES} can not be converted to an Boolean")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        deserializer.deserialize_any(FlagVisitor)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor {
            is_in_seconds: bool,
        }
        impl<'de> Visitor<'de> for TimeVisitor {
            type Value = Time;
            fn visit_i64<E: Error>(self, number: i64) -> Result<Time, E> {
                self.visit_u64(u64::try_from(number).unwrap_or_default())
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Time, E> {
                let scale = if self.is_in_seconds { 1000 } else { 1 };
                Ok(Time(Moment(number.saturating_mul(scale))))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Time, E> {
                Ok(Time(if self.is_in_seconds {
                    Moment::from_seconds(number)
                } else {
                    // `as` saturates, and takes not-a-number for zero.
                    Moment(number as u64)
                }))
            }
            refuse!(
                bool,
                self,
                format_args!("{BOOLEAN} can not be converted to milliseconds since epoch")
            );
            refuse!(
                string,
                self,
                format_args!("{STRING} can not be converted to milliseconds since epoch")
            );
            refuse!(
                bytes,
                self,
                format_args!("{BYTES} can not be converted to milliseconds since epoch")
            );
            refuse!(list);
            refuse!(map);
            refuse!(expecting);
        }
        let is_in_seconds = deserializer.is_human_readable();
        deserializer.deserialize_any(TimeVisitor { is_in_seconds })
    }
}
