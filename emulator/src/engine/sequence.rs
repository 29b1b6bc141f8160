//! Sequence numbers in the service's second layout: made, printed, read back.
//!
//! ```text
//! hex: 2 | CCCCCCCCC | n | IIIIIIIIIIIIIIII | 00 | TTTTTTTTT | SSSSSSSS | 2
//!      1     9         1        16            2       9          8        1   = 47 nibbles
//! ```
//! C second the shard was created, n low nibble of the shard's index, I the counter, T second of the
//! record, S the shard's index. Order comes from (C, n, I). Only I and T differ between the records of
//! a shard, so the log keeps these and the text is made on demand.

use std::fmt;

/// The counter of a closed shard's ending number: above every record.
pub(crate) const INDEX_END: u64 = 0x7fff_ffff_ffff_ffff;

/// The second from which the layout's field of 36 bits is no longer used by the service.
const SECOND_END: u64 = 16_025_175_000;

/// Ten to the nineteenth: what one `u64` holds of a decimal number.
const LIMB: u64 = 10_000_000_000_000_000_000;

/// A sequence number, taken apart. Orders as the number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence {
    /// Second the shard was created: 36 bits.
    pub(crate) created: u64,
    nibble: u32,
    /// Counts the records of the shard: 63 bits.
    pub(crate) index: u64,
    /// Second of the record: 36 bits.
    pub(crate) second: u64,
    /// Index of the shard: 32 bits.
    pub(crate) shard: u32,
}

impl Sequence {
    pub(crate) fn new(created: u64, shard: u32, index: u64, second: u64) -> Self {
        Self {
            created,
            nibble: shard & 0xf,
            index,
            second,
            shard,
        }
    }

    /// Reads a decimal number; `None` if it is not one of this layout.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = Wide::parse(text)?;
        let created = (number.high >> 20) & 0xf_ffff_ffff;
        let nibble = (number.high >> 16) & 0xf;
        let index = (number.high & 0xffff) << 48 | number.middle >> 16;
        let second = (number.middle & 0xff) << 28 | number.low >> 36;
        let shard = u32::try_from((number.low >> 4) & 0xffff_ffff).ok()?;
        let is_sound = number.high >> 56 == 2
            && number.low & 0xf == 2
            && number.middle >> 8 & 0xff == 0
            && index <= INDEX_END
            && created < SECOND_END
            && nibble == u64::from(shard & 0xf)
            && i32::try_from(shard).is_ok();
        is_sound.then(|| Self::new(created, shard, index, second))
    }

    fn wide(self) -> Wide {
        Wide {
            high: 2 << 56 | self.created << 20 | u64::from(self.nibble) << 16 | self.index >> 48,
            middle: self.index << 16 | self.second >> 28,
            low: self.second << 36 | u64::from(self.shard) << 4 | 2,
        }
    }

    /// The decimal text. Every number of this layout has 56 digits.
    pub(crate) fn digits(self) -> Digits {
        let Wide { high, middle, low } = self.wide();
        // `high` is below LIMB (its top nibble is 2), so both long divisions start with it as rest.
        let (upper, rest) = divide(high, middle);
        let (lower, last) = divide(rest, low);
        let (first, second) = divide(upper, lower);
        let mut text = [0; 57];
        write_limb(first, &mut text[..19]);
        write_limb(second, &mut text[19..38]);
        write_limb(last, &mut text[38..]);
        Digits(text)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits().as_str())
    }
}

/// The text of a sequence number, on the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits([u8; 57]);

impl Digits {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // The layout's leading 2 makes 56 digits of every number; the 57th place is always 0.
        &self.0[1..]
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits are ASCII")
    }
}

/// 192 bits.
#[derive(Clone, Copy)]
struct Wide {
    high: u64,
    middle: u64,
    low: u64,
}

impl Wide {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 57 {
            return None;
        }
        let mut number = Self {
            high: 0,
            middle: 0,
            low: 0,
        };
        for digits in text.as_bytes().chunks(18) {
            let mut part = 0;
            for digit in digits {
                part = part * 10 + u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
            }
            let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
            number = number.times_plus(scale, part)?;
        }
        Some(number)
    }

    fn times_plus(self, scale: u64, plus: u64) -> Option<Self> {
        let (low, carry) = self.low.carrying_mul_wide(scale, plus);
        let (middle, carry) = self.middle.carrying_mul_wide(scale, carry);
        let (high, carry) = self.high.carrying_mul_wide(scale, carry);
        (carry == 0).then_some(Self { high, middle, low })
    }
}

trait CarryingMul {
    /// Low and high half of `self * by + carry`.
    fn carrying_mul_wide(self, by: u64, carry: u64) -> (u64, u64);
}

impl CarryingMul for u64 {
    fn carrying_mul_wide(self, by: u64, carry: u64) -> (u64, u64) {
        let wide = u128::from(self) * u128::from(by) + u128::from(carry);
        (wide as Self, (wide >> 64) as Self)
    }
}

/// `(rest * 2^64 + low) / LIMB` and what is left; `rest` is below `LIMB`, so the quotient fits.
fn divide(rest: u64, low: u64) -> (u64, u64) {
    let number = u128::from(rest) << 64 | u128::from(low);
    (
        (number / u128::from(LIMB)) as u64,
        (number % u128::from(LIMB)) as u64,
    )
}

/// Nineteen digits.
fn write_limb(mut value: u64, out: &mut [u8]) {
    for place in out.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_recorded_on_the_real_service_are_read() {
        let six =
            Sequence::parse("49590338271490256608559692538361571095921575989136588898").unwrap();
        assert_eq!((six.created, six.index), (1_542_776_258, 1_734_642_199));
        assert_eq!((six.second, six.shard), (1_545_084_650, 6));
        let zero =
            Sequence::parse("49546986683135544286507457936321625675700192471156785154").unwrap();
        assert_eq!((zero.created, zero.index), (1_421_279_230, 469));
        assert_eq!((zero.second, zero.shard), (1_421_279_386, 0));
    }

    #[test]
    fn start_and_end_numbers_of_a_shard_are_as_generated_from_the_layout() {
        let created = 1_700_000_000;
        let start = Sequence::new(created, 0, 0, created).to_string();
        assert_eq!(
            start,
            "49646437577108476416916876405825929425585429676275269634"
        );
        let end = Sequence::new(created, 0, INDEX_END, created + 3600).to_string();
        assert_eq!(
            end,
            "49646437577119626789516141717395488358902386617969803266"
        );
        let second = Sequence::new(created, 1, 0, created).to_string();
        assert_eq!(
            second,
            "49646437577130777162115407028967465143858078037781250066"
        );
    }

    #[test]
    fn what_is_not_of_the_layout_is_refused() {
        for text in [
            "",
            "0",
            "1",
            "-1",
            "4959033827149025660855969253836157109592157598913658889",
            "495903382714902566085596925383615710959215759891365888980",
            "49590338271490256608559692538361571095921575989136588899",
            "49590338271490256608559692538361571095921575989136588a98",
            "99590338271490256608559692538361571095921575989136588898",
            "999999999999999999999999999999999999999999999999999999999",
        ] {
            assert_eq!(Sequence::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back_and_orders_as_its_text(
            a in sequences(), b in sequences(),
        ) {
            let (text, other) = (a.to_string(), b.to_string());
            prop_assert_eq!(text.len(), 56);
            prop_assert_eq!(Sequence::parse(&text), Some(a));
            prop_assert_eq!(a.cmp(&b), text.cmp(&other));
        }

        #[test]
        fn no_text_makes_the_reader_fail(text in "[0-9]{0,130}|.{0,60}") {
            if let Some(sequence) = Sequence::parse(&text) {
                prop_assert_eq!(sequence.to_string(), text.trim_start_matches('0'));
            }
        }
    }

    fn sequences() -> impl Strategy<Value = Sequence> {
        (
            0..SECOND_END,
            0..=0x7fff_ffff_u32,
            0..=INDEX_END,
            0..1_u64 << 36,
        )
            .prop_map(|(created, shard, index, second)| {
                Sequence::new(created, shard, index, second)
            })
    }
}
