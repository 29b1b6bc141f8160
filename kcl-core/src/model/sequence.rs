//! Sequence numbers, ordered as the numbers they are.

use std::cmp::Ordering;
use std::fmt;

/// By the service's own pattern: a digit that is not 0, and up to 128 behind it.
const DIGITS_MAX: usize = 129;

/// A text that is not a decimal number of at most 129 digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sequence number: it must be 1 to 129 decimal digits")]
pub struct InvalidSequenceNumber(String);

/// A sequence number: a decimal number of up to 129 digits, ordered by value.
///
/// It is kept as text without leading zeros, so that the text that came from the service is moved
/// in without a copy and a comparison costs one length check and one `memcmp`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(Box<str>);

impl SequenceNumber {
    /// Takes a sequence number from its text.
    ///
    /// # Errors
    /// If the text is empty, longer than 129 characters, or has anything but digits.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidSequenceNumber> {
        let mut text: String = text.into();
        if text.is_empty() || text.len() > DIGITS_MAX || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidSequenceNumber(text));
        }
        let zeros = text
            .bytes()
            .take_while(|b| *b == b'0')
            .count()
            .min(text.len() - 1);
        if zeros > 0 {
            text.drain(..zeros);
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// The number in decimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .len()
            .cmp(&other.0.len())
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_is_the_order_of_the_numbers(a: u128, b: u128, zeros in 0_usize..4) {
            let text = format!("{}{a}", "0".repeat(zeros));
            let (left, right) = (SequenceNumber::new(text).unwrap(), SequenceNumber::new(b.to_string()).unwrap());
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left.as_str(), a.to_string());
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for bad in ["", "-1", "1a", "TRIM_HORIZON", &"9".repeat(130)] {
            assert!(SequenceNumber::new(bad).is_err(), "{bad}");
        }
    }
}
