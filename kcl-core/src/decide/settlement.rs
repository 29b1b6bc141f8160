//! Which records of one shard are settled: the prefix that may be committed, and the islands beyond it.
//!
//! ```text
//!  numbers   0 ........ settled ........ [island) ...... [island) .... taken
//!            └─ prefix ─┘ └─ unsettled ─┘        └─ ... ─┘
//! ```
//!
//! Every record that is taken in gets the next number, in the order of the shard. Pure. It keeps one
//! place for each run of settled records, so its memory grows with the holes and not with the records.
//! Called by [`super::lanes`] only.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::{Checkpoint, Record};

/// The number of a record among those taken in by one grant.
pub(crate) type Number = u64;

/// A run of settled records with unsettled ones before it.
#[derive(Debug)]
struct Island {
    end: Number,
    /// The place of its last record.
    at: Checkpoint,
}

#[derive(Debug)]
pub(crate) struct Settlement {
    /// Numbers below this are given out.
    taken: Number,
    /// Everything below this is settled.
    settled: Number,
    /// The place of the last record below `settled`.
    at: Checkpoint,
    /// By the number of their first record. None touches another, or the prefix.
    islands: BTreeMap<Number, Island>,
}

impl Settlement {
    /// Nothing is taken in behind this place.
    pub(crate) const fn new(at: Checkpoint) -> Self {
        Self {
            taken: 0,
            settled: 0,
            at,
            islands: BTreeMap::new(),
        }
    }

    /// Takes in so many records.
    pub(crate) fn take(&mut self, records: usize) -> Range<Number> {
        let first = self.taken;
        self.taken += records as Number;
        first..self.taken
    }

    /// These records are settled; `numbers` are theirs, in order.
    pub(crate) fn settle(&mut self, numbers: &[Number], records: &[Record]) {
        debug_assert_eq!(numbers.len(), records.len());
        let mut start = 0;
        for next in 1..=numbers.len() {
            let ends = numbers
                .get(next)
                .is_none_or(|number| *number != numbers[next - 1] + 1);
            if ends {
                let run = numbers[start]..numbers[next - 1] + 1;
                self.settle_run(run, records[next - 1].checkpoint());
                start = next;
            }
        }
    }

    /// These records are settled, the last of which is at this place.
    fn settle_run(&mut self, run: Range<Number>, at: Checkpoint) {
        debug_assert!(
            self.settled <= run.start && run.end <= self.taken,
            "{run:?} of {self:?} is settled already, or was never taken in"
        );
        if run.start == self.settled {
            (self.settled, self.at) = (run.end, at);
            while let Some(island) = self.islands.remove(&self.settled) {
                (self.settled, self.at) = (island.end, island.at);
            }
            return;
        }
        let mut island = Island { end: run.end, at };
        if let Some(next) = self.islands.remove(&run.end) {
            island = next;
        }
        if let Some((_, before)) = self.islands.range_mut(..run.start).next_back()
            && before.end == run.start
        {
            *before = island;
        } else {
            self.islands.insert(run.start, island);
        }
    }

    /// Everything up to this place is settled.
    pub(crate) const fn settled_to(&self) -> &Checkpoint {
        &self.at
    }

    /// Everything below this number is settled.
    pub(crate) const fn settled(&self) -> Number {
        self.settled
    }

    /// How many records lie between the oldest unsettled one and the newest taken in, both counted.
    pub(crate) const fn span(&self) -> u64 {
        self.taken - self.settled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::model::SequenceNumber;

    /// The record with this number: three to an aggregated one.
    fn record(number: Number) -> Record {
        Record {
            sequence_number: SequenceNumber::new((100 + number / 3).to_string()).unwrap(),
            subsequence_number: number % 3,
            partition_key: String::new(),
            data: Bytes::new(),
            approximate_arrival: None,
        }
    }

    fn settle(settlement: &mut Settlement, numbers: &[Number]) {
        let records: Vec<_> = numbers.iter().copied().map(record).collect();
        settlement.settle(numbers, &records);
    }

    #[test]
    fn only_the_contiguous_prefix_counts() {
        let mut settlement = Settlement::new(Checkpoint::TrimHorizon);
        assert_eq!(settlement.take(9), 0..9);
        settle(&mut settlement, &[3, 4, 8]);
        assert_eq!(settlement.settled_to(), &Checkpoint::TrimHorizon);
        settle(&mut settlement, &[0, 1]);
        assert_eq!(settlement.settled_to().to_string(), "100/1");
        settle(&mut settlement, &[2]);
        assert_eq!(settlement.settled_to().to_string(), "101/1");
        assert_eq!((settlement.settled(), settlement.span()), (5, 4));
        settle(&mut settlement, &[5, 6, 7]);
        assert_eq!(settlement.settled_to().to_string(), "102/2");
        assert_eq!(settlement.span(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a set of numbers: records settle in any order and grouping, while more are taken in.
        #[test]
        fn the_prefix_is_what_a_set_of_settled_numbers_says(seed: u64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut settlement = Settlement::new(Checkpoint::TrimHorizon);
            let (mut open, mut done) = (Vec::new(), BTreeSet::new());
            for _ in 0..rng.usize(1..60) {
                if rng.bool() {
                    open.extend(settlement.take(rng.usize(0..12)));
                }
                rng.shuffle(&mut open);
                let mut group = open.split_off(open.len() - rng.usize(..=open.len()));
                group.sort_unstable();
                settle(&mut settlement, &group);
                done.extend(group);
                let prefix = (0..).find(|number| !done.contains(number)).unwrap_or(0);
                prop_assert_eq!(settlement.settled(), prefix);
                let at = prefix.checked_sub(1).map_or(Checkpoint::TrimHorizon, |last| record(last).checkpoint());
                prop_assert_eq!(settlement.settled_to(), &at);
                prop_assert_eq!(settlement.span(), (open.len() + done.len()) as u64 - prefix);
                let holes = done.iter().filter(|number| **number > prefix && !done.contains(&(**number - 1)));
                prop_assert_eq!(settlement.islands.len(), holes.count(), "one place for each run");
            }
            settle(&mut settlement, &{ open.sort_unstable(); open });
            prop_assert_eq!(settlement.span(), 0);
            prop_assert!(settlement.islands.is_empty());
        }
    }
}
