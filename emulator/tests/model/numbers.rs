//! Sequence numbers as the service's layout says, by the book and slowly: hexadecimal digits put side
//! by side, then turned into a decimal number limb by limb. Shares nothing with the engine's.

/// The counter of a closed shard's ending number.
pub(crate) const END: u64 = 0x7fff_ffff_ffff_ffff;

/// The parts of a number that differ between records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    /// Second in which the shard was made.
    pub(crate) created: u64,
    pub(crate) shard: u32,
    pub(crate) index: u64,
    pub(crate) second: u64,
}

impl Number {
    pub(crate) fn text(self) -> String {
        let Self {
            created,
            shard,
            index,
            second,
        } = self;
        let nibble = shard & 0xf;
        decimal(&format!(
            "2{created:09x}{nibble:x}{index:016x}00{second:09x}{shard:08x}2"
        ))
    }

    /// What orders numbers of one shard.
    pub(crate) fn order(self) -> (u64, u64) {
        (self.index, self.second)
    }
}

/// A hexadecimal number in decimal digits, by schoolbook multiplication in limbs of nine digits.
fn decimal(hex: &str) -> String {
    const LIMB: u64 = 1_000_000_000;
    let mut limbs = [0_u64; 7];
    for digit in hex.chars() {
        let mut carry = u64::from(digit.to_digit(16).unwrap());
        for limb in &mut limbs {
            let sum = *limb * 16 + carry;
            *limb = sum % LIMB;
            carry = sum / LIMB;
        }
        assert_eq!(carry, 0, "63 digits hold every number of the layout");
    }
    let text: String = limbs
        .iter()
        .rev()
        .map(|limb| format!("{limb:09}"))
        .collect();
    text.trim_start_matches('0').to_owned()
}

#[test]
fn numbers_recorded_on_the_real_service_come_out() {
    let six = Number {
        created: 1_542_776_258,
        shard: 6,
        index: 1_734_642_199,
        second: 1_545_084_650,
    };
    let zero = Number {
        created: 1_421_279_230,
        shard: 0,
        index: 469,
        second: 1_421_279_386,
    };
    let recorded = [
        "49590338271490256608559692538361571095921575989136588898",
        "49546986683135544286507457936321625675700192471156785154",
    ];
    assert_eq!([six.text(), zero.text()], recorded);
}
