//! The hash space: where a key falls, and how the space is cut into ranges.

use md5::{Digest, Md5};

/// Where a partition key falls: its MD5 as one big number.
pub(crate) fn of_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// A piece of the hash space, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HashRange {
    pub(crate) start: u128,
    pub(crate) end: u128,
}

impl HashRange {
    /// Cuts the whole space into `count` ranges of one width; the last takes what is left over.
    pub(crate) fn uniform(count: u32) -> impl Iterator<Item = Self> {
        let count = u128::from(count.max(1));
        // 2^128 / count without 129 bits: for every count that is no power of two the quotient of
        // 2^128 - 1 is the same, and for those that are it is one less.
        let width = if count.is_power_of_two() {
            (u128::MAX / count).wrapping_add(1)
        } else {
            u128::MAX / count
        };
        (0..count).map(move |place| {
            let start = width.wrapping_mul(place);
            let end = if place + 1 == count {
                u128::MAX
            } else {
                start + (width - 1)
            };
            Self { start, end }
        })
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, hash: u128) -> bool {
        (self.start..=self.end).contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_falls_where_the_service_puts_it() {
        assert_eq!(
            of_key("a"),
            16_955_237_001_963_240_173_058_271_559_858_726_497
        );
    }

    #[test]
    fn three_shards_have_the_recorded_ranges() {
        let ranges: Vec<_> = HashRange::uniform(3)
            .map(|range| (range.start, range.end))
            .collect();
        assert_eq!(
            ranges[0],
            (0, 113_427_455_640_312_821_154_458_202_477_256_070_484)
        );
        assert_eq!(
            ranges[1].0,
            113_427_455_640_312_821_154_458_202_477_256_070_485
        );
        assert_eq!(
            ranges[1].1,
            226_854_911_280_625_642_308_916_404_954_512_140_969
        );
        assert_eq!(
            ranges[2],
            (
                226_854_911_280_625_642_308_916_404_954_512_140_970,
                u128::MAX
            )
        );
    }

    proptest! {
        #[test]
        fn ranges_cover_the_space_once(count in 1..5_000_u32) {
            let ranges: Vec<_> = HashRange::uniform(count).collect();
            prop_assert_eq!(ranges.len(), usize::try_from(count).unwrap());
            prop_assert_eq!(ranges[0].start, 0);
            prop_assert_eq!(ranges[ranges.len() - 1].end, u128::MAX);
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].end + 1, pair[1].start);
            }
            let width = ranges[0].end.wrapping_add(1);
            let expected = if count == 1 { 0 } else { pow_2_128_div(count) };
            prop_assert_eq!(width, expected);
            prop_assert!(ranges[0].contains(0));
        }
    }

    /// Long division of 2^128, digit by binary digit.
    fn pow_2_128_div(count: u32) -> u128 {
        let (mut quotient, mut rest) = (0_u128, 1_u64);
        for _ in 0..128 {
            rest *= 2;
            quotient *= 2;
            if rest >= u64::from(count) {
                rest -= u64::from(count);
                quotient += 1;
            }
        }
        quotient
    }
}
