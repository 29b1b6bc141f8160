//! Numbers as strings of decimal digits: the naive interpreter's own arithmetic, as on paper.

use std::cmp::Ordering;

/// `digits` as a whole number, times ten to the `exponent`. Without zeros at either end, so that equal
/// numbers are equal in every field; zero has no digits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Decimal {
    minus: bool,
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    /// Reads `-12.5e3` and the like.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (minus, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.bytes().map(|byte| byte - b'0').collect();
        let places = i32::try_from(fraction.len()).ok()?;
        Some(Self::new(minus, digits, exponent.checked_sub(places)?))
    }

    pub(super) fn from_count(count: usize) -> Self {
        Self::read(&count.to_string()).expect("a count is a number")
    }

    fn new(minus: bool, mut digits: Vec<u8>, mut exponent: i32) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        if digits.is_empty() {
            return Self::default();
        }
        Self {
            minus,
            digits,
            exponent,
        }
    }

    /// Whether the service can hold it: 38 digits, from 1E-130 to 9.99E+125.
    pub(super) fn is_held(&self) -> bool {
        self.digits.is_empty()
            || self.digits.len() <= 38 && (-130..=125).contains(&self.magnitude())
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i32 {
        self.exponent + self.digits.len() as i32 - 1
    }

    /// As the service writes it: neither exponent nor needless zeros.
    pub(super) fn plain(&self) -> String {
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        let mut text: String = self
            .digits
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect();
        if self.exponent >= 0 {
            text.push_str(&"0".repeat(self.exponent.unsigned_abs() as usize));
        } else {
            let places = self.exponent.unsigned_abs() as usize;
            if text.len() <= places {
                text.insert_str(0, &"0".repeat(places + 1 - text.len()));
            }
            text.insert(text.len() - places, '.');
        }
        if self.minus { format!("-{text}") } else { text }
    }

    /// The same with an exponent, as a client may write it.
    pub(super) fn scientific(&self) -> String {
        let digits: String = self
            .digits
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect();
        let sign = if self.minus { "-" } else { "+" };
        format!("{sign}0{digits}.0E{}", self.exponent)
    }

    pub(super) fn negated(&self) -> Self {
        Self {
            minus: !self.minus && !self.digits.is_empty(),
            ..self.clone()
        }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        if self.digits.is_empty() || other.digits.is_empty() {
            let sum = if self.digits.is_empty() { other } else { self };
            return sum.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        let length = 2 + self.magnitude().max(other.magnitude()).abs_diff(exponent) as usize;
        let (one, two) = (
            self.aligned(exponent, length),
            other.aligned(exponent, length),
        );
        if self.minus == other.minus {
            return Self::new(self.minus, added(&one, &two), exponent);
        }
        if one >= two {
            Self::new(self.minus, subtracted(&one, &two), exponent)
        } else {
            Self::new(other.minus, subtracted(&two, &one), exponent)
        }
    }

    /// `length` digits, the last of which stands for ten to the `exponent`.
    fn aligned(&self, exponent: i32, length: usize) -> Vec<u8> {
        let behind = self.exponent.abs_diff(exponent) as usize;
        let mut all = vec![0; length - behind - self.digits.len()];
        all.extend(&self.digits);
        all.resize(length, 0);
        all
    }
}

fn added(one: &[u8], two: &[u8]) -> Vec<u8> {
    let mut sum = one.to_vec();
    let mut carry = 0;
    for place in (0..sum.len()).rev() {
        let digit = one[place] + two[place] + carry;
        sum[place] = digit % 10;
        carry = digit / 10;
    }
    sum
}

fn subtracted(more: &[u8], less: &[u8]) -> Vec<u8> {
    let mut rest = more.to_vec();
    let mut borrow = 0;
    for place in (0..rest.len()).rev() {
        let due = less[place] + borrow;
        borrow = u8::from(more[place] < due);
        rest[place] = more[place] + 10 * borrow - due;
    }
    rest
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.minus) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let absolute = |one: &Self, two: &Self| {
            let by_size = one.magnitude().cmp(&two.magnitude());
            by_size.then_with(|| one.digits.cmp(&two.digits))
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => absolute(self, other),
            _ => absolute(other, self),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
