//! A number as the tables keep it: decimal, up to 38 significant digits.
//!
//! Owns reading, normalising, ordering, adding and subtracting. Nothing is ever rounded: what
//! cannot be held exactly is refused in the service's words. Used by the values and by the
//! update expressions.

use std::cmp::Ordering;
use std::fmt;

/// Most significant digits of one number.
const DIGITS_MAX: u32 = 38;
/// Largest place value of the first digit: 9.99…E+125.
const MAGNITUDE_MAX: i64 = 125;
/// Smallest place value of the first digit: 1E-130.
const MAGNITUDE_MIN: i64 = -130;

/// A decimal number, exact and in one form only: equal numbers are equal in every field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Without trailing zeros; below 10^38. Zero is `coefficient == 0` with everything else unset.
    coefficient: u128,
    exponent: i16,
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self {
        negative: false,
        coefficient: 0,
        exponent: 0,
    };

    /// Reads a number as a request carries it.
    ///
    /// # Errors
    /// The text is no number, or one that the service cannot hold; the message is the service's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw = Literal::read(text).ok_or_else(|| not_numeric(text))?;
        if raw.significant == 0 {
            return Ok(Self::ZERO);
        }
        check_magnitude(raw.magnitude)?;
        if raw.significant > u64::from(DIGITS_MAX) {
            return Err(TOO_MANY_DIGITS.to_owned());
        }
        Self::build(
            raw.negative,
            raw.coefficient,
            raw.magnitude + 1 - i64::from(digits(raw.coefficient)),
        )
    }

    /// `self + other`, exactly.
    ///
    /// # Errors
    /// The sum has more than 38 significant digits or is out of range.
    pub fn plus(self, other: Self) -> Result<Self, String> {
        if self.coefficient == 0 {
            return Ok(other);
        }
        if other.coefficient == 0 {
            return Ok(self);
        }
        let (high, low) = if self.exponent >= other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        let shift = i64::from(high.exponent) - i64::from(low.exponent);
        // Both end in a digit other than zero, so an unequal exponent means that the sum's last
        // digit is `low`'s: a shifted coefficient beyond u128 leaves at least 39 digits.
        let aligned = u32::try_from(shift)
            .ok()
            .filter(|shift| *shift <= DIGITS_MAX)
            .and_then(|shift| high.coefficient.checked_mul(10_u128.pow(shift)))
            .ok_or_else(|| TOO_MANY_DIGITS.to_owned())?;
        let (negative, sum) = if high.negative == low.negative {
            let sum = aligned.checked_add(low.coefficient);
            (
                high.negative,
                sum.ok_or_else(|| TOO_MANY_DIGITS.to_owned())?,
            )
        } else if aligned >= low.coefficient {
            (high.negative, aligned - low.coefficient)
        } else {
            (low.negative, low.coefficient - aligned)
        };
        Self::build(negative, sum, i64::from(low.exponent))
    }

    /// `self - other`, exactly.
    ///
    /// # Errors
    /// As [`Number::plus`].
    pub fn minus(self, other: Self) -> Result<Self, String> {
        let negative = !other.negative && other.coefficient != 0;
        self.plus(Self { negative, ..other })
    }

    /// How many bytes the service counts for it.
    pub(crate) fn size(&self) -> usize {
        if self.coefficient == 0 {
            return 1;
        }
        // Two digits share a byte, aligned to even places; an odd start costs one more.
        let digits = digits(self.coefficient) as usize;
        let odd_start = digits.is_multiple_of(2) && self.magnitude() % 2 == 0;
        1 + digits.div_ceil(2) + usize::from(odd_start) + usize::from(self.negative)
    }

    /// Whole seconds since 1970, if that is what it can be taken for; a fraction is cut off.
    pub(crate) fn to_seconds(self) -> Option<u64> {
        if self.negative {
            return None;
        }
        let power = 10_u128.checked_pow(u32::from(self.exponent.unsigned_abs()))?;
        let whole = if self.exponent < 0 {
            self.coefficient / power
        } else {
            self.coefficient.checked_mul(power)?
        };
        u64::try_from(whole).ok()
    }

    /// Place value of the first digit; of no meaning for zero.
    fn magnitude(&self) -> i64 {
        i64::from(self.exponent) + i64::from(digits(self.coefficient)) - 1
    }

    fn build(negative: bool, coefficient: u128, exponent: i64) -> Result<Self, String> {
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        let (mut coefficient, mut exponent) = (coefficient, exponent);
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        check_magnitude(exponent + i64::from(digits(coefficient)) - 1)?;
        if digits(coefficient) > DIGITS_MAX {
            return Err(TOO_MANY_DIGITS.to_owned());
        }
        let exponent = i16::try_from(exponent).expect("magnitude and digits bound the exponent");
        Ok(Self {
            negative,
            coefficient,
            exponent,
        })
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        let widened = |number: &Self| {
            number.coefficient * 10_u128.pow(DIGITS_MAX - digits(number.coefficient))
        };
        self.magnitude()
            .cmp(&other.magnitude())
            .then_with(|| widened(self).cmp(&widened(other)))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::build(false, u128::from(value), 0).expect("twenty digits fit")
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.coefficient, number.negative) {
            (0, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => self.compare_magnitude(other),
            _ => other.compare_magnitude(self),
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// Plain notation: no exponent, no trailing zeros.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            out.write_str("-")?;
        }
        let exponent = i32::from(self.exponent);
        if exponent >= 0 {
            write!(out, "{}", self.coefficient)?;
            return (0..exponent).try_for_each(|_| out.write_str("0"));
        }
        let places = exponent.unsigned_abs();
        if places < digits(self.coefficient) {
            let scale = 10_u128.pow(places);
            let (whole, fraction) = (self.coefficient / scale, self.coefficient % scale);
            return write!(out, "{whole}.{fraction:0width$}", width = places as usize);
        }
        write!(
            out,
            "0.{:0width$}",
            self.coefficient,
            width = places as usize
        )
    }
}

/// What a text says, before the limits are applied.
struct Literal {
    negative: bool,
    /// The first 38 significant digits.
    coefficient: u128,
    /// How many digits there are between the first and the last that is not zero.
    significant: u64,
    /// Place value of the first significant digit.
    magnitude: i64,
}

impl Literal {
    /// `[+-] digits [. digits] [e [+-] digits]`, with a digit before or after the point.
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = sign(text.as_bytes());
        let mut literal = Self {
            negative,
            coefficient: 0,
            significant: 0,
            magnitude: 0,
        };
        let (mut seen, mut zeros, mut whole, mut fraction) = (0_u64, 0_u64, 0_i64, 0_i64);
        let mut point = false;
        let mut rest = rest.iter();
        let exponent = loop {
            match rest.next() {
                None => break 0,
                Some(b'.') if !point => point = true,
                Some(b'e' | b'E') => break exponent(rest.as_slice())?,
                Some(digit @ b'0'..=b'9') => {
                    seen += 1;
                    if literal.significant == 0 && *digit == b'0' {
                        fraction += i64::from(point);
                        continue;
                    }
                    whole += i64::from(!point);
                    if *digit == b'0' {
                        zeros += 1;
                    } else {
                        literal.push(zeros, *digit);
                        zeros = 0;
                    }
                }
                Some(_) => return None,
            }
        };
        let first = if whole > 0 { whole - 1 } else { -fraction - 1 };
        literal.magnitude = first.saturating_add(exponent);
        (seen > 0).then_some(literal)
    }

    /// Appends `zeros` zeros and a digit. Beyond 38 digits only the count goes on: it is refused.
    fn push(&mut self, zeros: u64, digit: u8) {
        self.significant += zeros + 1;
        if self.significant <= u64::from(DIGITS_MAX) {
            let scale = u32::try_from(zeros + 1).expect("at most 38");
            self.coefficient = self.coefficient * 10_u128.pow(scale) + u128::from(digit - b'0');
        }
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

/// The digits after an `e`; what no number can carry saturates and is refused as out of range.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, text) = sign(text);
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0_i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
            .min(i64::MAX / 20)
    });
    Some(if negative { -value } else { value })
}

fn digits(coefficient: u128) -> u32 {
    coefficient.checked_ilog10().map_or(1, |log| log + 1)
}

const TOO_MANY_DIGITS: &str = "Attempting to store more than 38 significant digits in a Number";

fn check_magnitude(magnitude: i64) -> Result<(), String> {
    let (what, than) = if magnitude > MAGNITUDE_MAX {
        ("overflow", "larger")
    } else if magnitude < MAGNITUDE_MIN {
        ("underflow", "smaller")
    } else {
        return Ok(());
    };
    Err(format!(
        "Number {what}. Attempting to store a number with magnitude {than} than supported range"
    ))
}

fn not_numeric(text: &str) -> String {
    let suffix = if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    };
    format!("The parameter cannot be converted to a numeric value{suffix}")
}

#[cfg(test)]
mod tests;
