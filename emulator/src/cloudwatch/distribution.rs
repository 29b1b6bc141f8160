//! The values of one period, kept for their percentiles in bounded memory.
//!
//! Up to [`EXACT_MAX`] different values are kept as they are. More are sorted into bins, each 2 % wider
//! than the one below, so that a percentile is off by 1 % at most; at [`BINS_MAX`] bins the two lowest
//! become one, so that it is the high percentiles that stay right. As on the service there are none
//! where a value is negative, or where only a statistic set of different values was published.

use std::collections::BTreeMap;

/// Different values that are kept as they are: as many as one datum may bring.
const EXACT_MAX: usize = 150;
/// With bins of 2 % these span nearly nine powers of ten.
const BINS_MAX: usize = 1024;
/// How much wider a bin is than the one below.
const GROWTH: f64 = 1.02;
/// The bin of zero. Below all others: the smallest double is in bin -37,600.
const ZERO: i32 = i32::MIN;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Distribution {
    /// Values with how often each came, in their order.
    Exact(Vec<(f64, f64)>),
    /// How many values are in each bin.
    Binned(BTreeMap<i32, f64>),
    /// Nothing is known, or nothing is told.
    Unknown,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Distribution {
    /// Adds a value that came `count` times.
    pub(super) fn add(&mut self, value: f64, count: f64) {
        if value < 0.0 {
            *self = Self::Unknown;
        }
        match self {
            Self::Exact(values) => {
                match values.binary_search_by(|(known, _)| known.total_cmp(&value)) {
                    Ok(place) => values[place].1 += count,
                    Err(place) => values.insert(place, (value, count)),
                }
                if values.len() > EXACT_MAX {
                    let mut bins = BTreeMap::new();
                    for (value, count) in values {
                        *bins.entry(bin(*value)).or_default() += *count;
                    }
                    *self = Self::Binned(bins);
                }
            }
            Self::Binned(bins) => put(bins, bin(value), count),
            Self::Unknown => {}
        }
    }

    /// Takes in another one.
    pub(super) fn merge(&mut self, other: &Self) {
        match other {
            Self::Exact(values) => {
                for (value, count) in values {
                    self.add(*value, *count);
                }
            }
            Self::Binned(more) => match self {
                Self::Exact(values) => {
                    let mut bins = more.clone();
                    for (value, count) in values {
                        put(&mut bins, bin(*value), *count);
                    }
                    *self = Self::Binned(bins);
                }
                Self::Binned(bins) => {
                    for (bin, count) in more {
                        put(bins, *bin, *count);
                    }
                }
                Self::Unknown => {}
            },
            Self::Unknown => *self = Self::Unknown,
        }
    }

    /// The smallest value with `percent` of all at or below it, within `min..=max` of what came.
    pub(super) fn percentile(&self, percent: f64, (min, max): (f64, f64)) -> Option<f64> {
        match self {
            Self::Exact(values) => nth(values.iter().copied(), percent),
            Self::Binned(bins) => {
                let middle = |(bin, count): (&i32, &f64)| (value(*bin).clamp(min, max), *count);
                nth(bins.iter().map(middle), percent)
            }
            Self::Unknown => None,
        }
    }

    /// How many entries it holds.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Exact(values) => values.len(),
            Self::Binned(bins) => bins.len(),
            Self::Unknown => 0,
        }
    }
}

fn put(bins: &mut BTreeMap<i32, f64>, bin: i32, count: f64) {
    *bins.entry(bin).or_default() += count;
    if bins.len() > BINS_MAX
        && let Some((_, lowest)) = bins.pop_first()
        && let Some(mut next) = bins.first_entry()
    {
        *next.get_mut() += lowest;
    }
}

/// The bin of a value that is not negative.
fn bin(value: f64) -> i32 {
    if value == 0.0 {
        return ZERO;
    }
    // `as` saturates, and the logarithm of any double is far within.
    (value.ln() / GROWTH.ln()).floor() as i32
}

/// The middle of a bin, as ratios go.
fn value(bin: i32) -> f64 {
    if bin == ZERO {
        0.0
    } else {
        GROWTH.powf(f64::from(bin) + 0.5)
    }
}

/// Of values in their order with their counts the first that has `percent` at or below it.
fn nth(values: impl Iterator<Item = (f64, f64)> + Clone, percent: f64) -> Option<f64> {
    let total: f64 = values.clone().map(|(_, count)| count).sum();
    let wanted = total * percent / 100.0;
    let (mut seen, mut last) = (0.0, None);
    for (value, count) in values.filter(|(_, count)| *count > 0.0) {
        seen += count;
        last = Some(value);
        if seen >= wanted {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.add(value, 1.0);
        }
        distribution
    }

    const ALL: (f64, f64) = (0.0, f64::INFINITY);

    #[test]
    fn few_values_give_exact_percentiles() {
        let distribution = of((1..=100).map(f64::from));
        for percent in [1.0, 50.0, 90.0, 99.0, 100.0] {
            assert_eq!(distribution.percentile(percent, ALL), Some(percent));
        }
        assert_eq!(distribution.percentile(98.5, ALL), Some(99.0));
        assert_eq!(of([]).percentile(50.0, ALL), None);
    }

    #[test]
    fn counts_weigh() {
        let mut distribution = Distribution::default();
        distribution.add(1.0, 99.0);
        distribution.add(50.0, 1.0);
        distribution.add(7.0, 0.0);
        assert_eq!(distribution.percentile(99.0, ALL), Some(1.0));
        assert_eq!(distribution.percentile(99.1, ALL), Some(50.0));
    }

    #[test]
    fn many_values_are_off_by_a_hundredth_at_most() {
        let distribution = of((1..=10_000).map(f64::from));
        assert!(matches!(distribution, Distribution::Binned(_)));
        for percent in [1.0, 10.0, 50.0, 99.0, 99.9, 100.0] {
            let found = distribution.percentile(percent, (1.0, 10_000.0)).unwrap();
            let right = percent * 100.0;
            assert!((found / right - 1.0).abs() <= 0.0101, "p{percent}: {found}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_high_percentiles_stay_right() {
        // Sixty powers of ten.
        let distribution = of((0..60_000).map(|power| 10_f64.powf(f64::from(power) / 1000.0)));
        assert_eq!(distribution.len(), BINS_MAX);
        let found = distribution.percentile(99.0, ALL).unwrap();
        assert!((found / 10_f64.powf(59.4) - 1.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn zero_is_a_value_and_what_is_negative_ends_it() {
        let mut many = of((0..200).map(f64::from));
        many.add(0.0, 1000.0);
        assert_eq!(many.percentile(50.0, (0.0, 199.0)), Some(0.0));
        many.add(-1.0, 1.0);
        many.add(1.0, 1.0);
        assert_eq!(many, Distribution::Unknown);
        assert_eq!(many.percentile(50.0, ALL), None);
    }

    proptest! {
        #[test]
        fn merging_is_adding(
            left in prop::collection::vec(0.0..1e9, 0..300),
            right in prop::collection::vec(0.0..1e9, 0..300),
        ) {
            let mut merged = of(left.iter().copied());
            merged.merge(&of(right.iter().copied()));
            let whole = of(left.into_iter().chain(right));
            for percent in [10.0, 50.0, 99.0] {
                let merged = merged.percentile(percent, ALL);
                match (merged, whole.percentile(percent, ALL)) {
                    (Some(merged), Some(whole)) => {
                        prop_assert!((merged - whole).abs() <= whole * 0.0202);
                    }
                    (merged, whole) => prop_assert_eq!(merged, whole),
                }
            }
        }
    }
}
