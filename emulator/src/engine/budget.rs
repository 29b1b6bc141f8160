//! Budgets: what one second allows a shard, a stream or an account, as token buckets. Pure: time is an
//! argument, and the same calls at the same times get the same answers.
//!
//! A bucket that refuses has not changed, so that a refused call costs nothing. Levels are kept in
//! thousandths, so that a rate per second is exact to the millisecond. Called by [`super::limits`] and,
//! for its pace, by a subscription.

use crate::clock::Moment;

const MIB: u64 = 1 << 20;

/// Bytes and records that a shard takes in per second.
const WRITE_BYTES: u64 = MIB;
const WRITE_RECORDS: u64 = 1000;
/// What large records may take at once; it fills up no faster than [`WRITE_BYTES`].
const WRITE_BURST: u64 = 10 * MIB;
/// Bytes and calls per second that all polling readers of a shard share.
const READ_BYTES: u64 = 2 * MIB;
const READ_CALLS: u64 = 5;
/// The least time that readers are refused after one took more than there was.
const READ_PENALTY_MILLIS: u64 = 1000;
/// Bytes per second that a consumer has for itself on each shard.
const FAN_OUT_BYTES: u64 = 2 * MIB;

/// A level that rises with time up to a limit, and that takes lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Per second.
    rate: u64,
    /// In thousandths.
    capacity: u64,
    /// In thousandths; below zero is a debt.
    level: i64,
    /// Until when the level is counted.
    counted: Moment,
}

impl Bucket {
    /// A full one that holds what comes in within a second.
    pub(crate) fn per_second(rate: u64, now: Moment) -> Self {
        Self::with_burst(rate, rate, now)
    }

    /// A full one that holds `burst`.
    pub(crate) fn with_burst(rate: u64, burst: u64, now: Moment) -> Self {
        let capacity = burst.saturating_mul(1000);
        Self {
            rate,
            capacity,
            level: signed(capacity),
            counted: now,
        }
    }

    /// Takes `amount` if it is there.
    pub(crate) fn take(&mut self, now: Moment, amount: u64) -> bool {
        let has = self.has(now, amount);
        if has {
            self.charge(now, amount);
        }
        has
    }

    /// Whether `amount` is there.
    fn has(&self, now: Moment, amount: u64) -> bool {
        self.level_at(now) >= signed(amount.saturating_mul(1000))
    }

    /// Takes `amount` whether it is there or not.
    fn charge(&mut self, now: Moment, amount: u64) {
        let amount = signed(amount.saturating_mul(1000));
        self.level = self.level_at(now).saturating_sub(amount);
        // A caller that read the clock a little earlier must not let the time between count twice.
        self.counted = self.counted.max(now);
    }

    /// When the level is above zero again, if nothing more is taken.
    fn above_zero_at(&self) -> Moment {
        let debt = self.level.saturating_neg().max(0).unsigned_abs();
        Moment(self.counted.0.saturating_add(debt.div_ceil(self.rate)))
    }

    /// Whether it is as full as it was at first, so that it may as well be forgotten.
    pub(crate) fn is_full(&self, now: Moment) -> bool {
        self.level_at(now) == signed(self.capacity)
    }

    fn level_at(&self, now: Moment) -> i64 {
        let come = now.millis_since(self.counted).saturating_mul(self.rate);
        self.level
            .saturating_add(signed(come))
            .min(signed(self.capacity))
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// What a shard takes in: bytes and records per second, and a burst for records that are larger than
/// one second's bytes.
#[derive(Clone, Debug)]
pub(crate) struct WriteBudget {
    bytes: Bucket,
    records: Bucket,
    burst: Bucket,
}

impl WriteBudget {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            bytes: Bucket::per_second(WRITE_BYTES, now),
            records: Bucket::per_second(WRITE_RECORDS, now),
            burst: Bucket::with_burst(WRITE_BYTES, WRITE_BURST, now),
        }
    }

    /// Whether a record of `size` bytes fits; if so it is counted.
    pub(crate) fn take(&mut self, now: Moment, size: u64) -> bool {
        let is_large = size > WRITE_BYTES;
        let has_bytes = is_large || self.bytes.has(now, size);
        if !(has_bytes && self.records.has(now, 1) && self.burst.has(now, size)) {
            return false;
        }
        self.records.charge(now, 1);
        self.burst.charge(now, size);
        // A large record uses up its second, but leaves no debt to those that are not large.
        let small = if is_large { WRITE_BYTES } else { size };
        self.bytes.charge(now, small);
        self.bytes.level = self.bytes.level.max(0);
        true
    }
}

/// What all polling readers of a shard share.
#[derive(Clone, Debug)]
pub(crate) struct ReadBudget {
    calls: Bucket,
    bytes: Bucket,
    /// Nobody reads before.
    refused_until: Moment,
}

impl ReadBudget {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            calls: Bucket::per_second(READ_CALLS, now),
            bytes: Bucket::per_second(READ_BYTES, now),
            refused_until: Moment(0),
        }
    }

    /// Whether a call may read now; if so it is counted. What it has read comes with
    /// [`Self::charge`].
    pub(crate) fn take_call(&mut self, now: Moment) -> bool {
        now >= self.refused_until && self.bytes.level_at(now) > 0 && self.calls.take(now, 1)
    }

    /// Counts the bytes of an answer. It may be larger than what there is: then readers are refused
    /// for a second, or for as long as an answer of this size takes at the rate, which is 5 seconds
    /// after the largest.
    pub(crate) fn charge(&mut self, now: Moment, size: u64) {
        if !self.bytes.has(now, size) {
            let millis = size.saturating_mul(1000).div_ceil(READ_BYTES);
            let until = Moment(now.0.saturating_add(millis.max(READ_PENALTY_MILLIS)));
            self.refused_until = self.refused_until.max(until);
        }
        self.bytes.charge(now, size);
    }
}

/// The pace of one subscription: it is never refused, it waits.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Bucket);

impl Pace {
    pub(crate) fn new(now: Moment) -> Self {
        Self(Bucket::per_second(FAN_OUT_BYTES, now))
    }

    /// Counts an event of `size` bytes that is sent now.
    pub(crate) fn charge(&mut self, now: Moment, size: u64) {
        self.0.charge(now, size);
    }

    /// The earliest time for the next event; the past, if it may go at once.
    pub(crate) fn next(&self) -> Moment {
        self.0.above_zero_at()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T: Moment = Moment(1_700_000_000_000);

    fn later(millis: u64) -> Moment {
        Moment(T.0 + millis)
    }

    #[test]
    fn a_thousand_records_fit_into_a_second_and_one_more_does_not() {
        let mut budget = WriteBudget::new(T);
        for _ in 0..1000 {
            assert!(budget.take(T, 100));
        }
        assert!(!budget.take(T, 100));
        assert!(!budget.take(later(0), 0));
        assert!(budget.take(later(1), 100));
        assert!(!budget.take(later(1), 100));
        assert!(budget.take(later(1001), 100));
    }

    #[test]
    fn a_mebibyte_fits_into_a_second_and_one_more_byte_does_not() {
        let mut budget = WriteBudget::new(T);
        assert!(budget.take(T, MIB / 2));
        assert!(!budget.take(T, MIB / 2 + 1));
        assert!(budget.take(T, MIB / 2));
        assert!(!budget.take(T, 1));
        assert!(!budget.take(later(499), MIB / 2));
        assert!(budget.take(later(500), MIB / 2));
    }

    #[test]
    fn a_large_record_takes_the_burst_and_small_ones_go_on_at_the_rate() {
        let mut budget = WriteBudget::new(T);
        assert!(budget.take(T, 10 * MIB));
        assert!(!budget.take(T, 1));
        assert!(budget.take(later(1000), MIB));
        assert!(!budget.take(later(2000), 2 * MIB));
        assert!(budget.take(later(3000), 2 * MIB));
        // Ten seconds without a record, and the burst is whole again.
        assert!(!budget.take(later(12_999), 10 * MIB));
        assert!(budget.take(later(13_000), 10 * MIB));
    }

    #[test]
    fn five_calls_fit_into_a_second_and_the_sixth_does_not() {
        let mut budget = ReadBudget::new(T);
        for _ in 0..5 {
            assert!(budget.take_call(T));
            budget.charge(T, 10);
        }
        assert!(!budget.take_call(later(199)));
        assert!(budget.take_call(later(200)));
        assert!(!budget.take_call(later(200)));
    }

    #[test]
    fn the_largest_answer_shuts_the_shard_for_five_seconds() {
        let mut budget = ReadBudget::new(T);
        assert!(budget.take_call(T));
        budget.charge(T, 10 * MIB);
        assert!(!budget.take_call(later(4999)));
        assert!(budget.take_call(later(5000)));
        budget.charge(later(5000), 2 * MIB);
        // Just what there was: the next call waits for the first byte only.
        assert!(!budget.take_call(later(5000)));
        assert!(budget.take_call(later(5001)));
    }

    #[test]
    fn a_little_too_much_shuts_the_shard_for_a_second() {
        let mut budget = ReadBudget::new(T);
        for size in [MIB, MIB, 1] {
            let at = later(if size == 1 { 1 } else { 0 });
            assert!(budget.take_call(at));
            budget.charge(at, if size == 1 { MIB / 10 } else { size });
        }
        assert!(!budget.take_call(later(1000)));
        assert!(budget.take_call(later(1001)));
    }

    #[test]
    fn a_subscription_waits_for_what_it_has_sent_too_much() {
        let mut pace = Pace::new(T);
        assert!(pace.next() <= T);
        pace.charge(T, 2 * MIB);
        assert!(pace.next() <= T);
        pace.charge(T, MIB);
        assert_eq!(pace.next(), later(500));
        pace.charge(later(500), MIB);
        assert_eq!(pace.next(), later(1000));
    }

    proptest! {
        /// Whatever is asked for and when, no window of time lets more through than its length at
        /// the rate and one full bucket.
        #[test]
        fn no_window_lets_more_through_than_the_rate_and_a_burst(
            rate in 1..5000_u64,
            burst in 1..5000_u64,
            asks in proptest::collection::vec((0..2000_u64, 0..3000_u64), 1..80),
        ) {
            let mut bucket = Bucket::with_burst(rate, burst, T);
            let (mut now, mut taken) = (T, Vec::new());
            for (wait, amount) in asks {
                now = Moment(now.0 + wait);
                let before = bucket;
                if bucket.take(now, amount) {
                    taken.push((now, amount));
                } else {
                    prop_assert_eq!(before, bucket);
                }
            }
            for first in 0..taken.len() {
                let mut sum = 0;
                for (at, amount) in &taken[first..] {
                    sum += amount * 1000;
                    prop_assert!(sum <= burst * 1000 + at.millis_since(taken[first].0) * rate);
                }
            }
        }
    }
}
