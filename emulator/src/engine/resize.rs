//! How UpdateShardCount gets from the open shards there are to as many as are wanted: which splits and
//! merges, in which order. Pure; [`super::topology`] carries the steps out.
//!
//! What is recorded of the service (shards listed afterwards): 2 to 4: 6, 4 to 5: 15, 10 to 13: 37,
//! 4 to 2: 6, 5 to 3: 7, 10 to 3: 17, and, with every range, 4 to 3: 11 with 6, 9 and 10 left open. One
//! procedure gives all of them:
//!
//! 1. To grow, every open shard is split once, then neighbours are merged down to the target. To
//!    shrink, neighbours are merged. A split falls on a border of the wanted uniform ranges if the shard
//!    has one inside, and the borders that stay are those nearest to the uniform ones. So doubling,
//!    halving and growing by one end exactly uniform.
//! 2. If that would leave a shard more than a quarter above its even share (4 to 3: a half of the space
//!    instead of a third), the plan is a sweep instead: from left to right each uniform range is cut out
//!    and its pieces are merged. It always ends exactly uniform, and closes more shards on the way.
//!
//! Where the line between the two lies on the service is not known; the recorded cases only say that it
//! is between 1.2 and 1.5 times the even share.

use super::hash::HashRange;

/// One step. Places count the open shards from the left, as they are when the step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Splits the shard at a place; `key` starts the upper half.
    Split { place: usize, key: u128 },
    /// Merges the shard at a place with the next one.
    Merge { place: usize },
}

/// The way from `open`, which cover the space in order, to `target` shards.
pub(crate) fn plan(open: &[HashRange], target: u32) -> Vec<Step> {
    let target_len = usize::try_from(target).unwrap_or(usize::MAX).max(1);
    if target_len == open.len() {
        return Vec::new();
    }
    let mut row = Row::new(open);
    let is_even = (target_len < open.len() || row.split_each(target))
        && row.count() >= target_len
        && row.merge_down(target)
        && row.is_even(target);
    if !is_even {
        row = Row::new(open);
        row.sweep(target);
    }
    row.steps
}

/// The most shards open at once while the steps are taken from `open` shards.
pub(crate) fn peak(open: usize, steps: &[Step]) -> usize {
    let (mut count, mut most) = (open, open);
    for step in steps {
        match step {
            Step::Split { .. } => count += 1,
            Step::Merge { .. } => count -= 1,
        }
        most = most.max(count);
    }
    most
}

/// The open shards while the plan is made, by where each starts.
struct Row {
    starts: Vec<u128>,
    steps: Vec<Step>,
}

impl Row {
    fn new(open: &[HashRange]) -> Self {
        Self {
            starts: open.iter().map(|range| range.start).collect(),
            steps: Vec::new(),
        }
    }

    fn count(&self) -> usize {
        self.starts.len()
    }

    fn end(&self, place: usize) -> u128 {
        self.starts
            .get(place + 1)
            .map_or(u128::MAX, |next| next - 1)
    }

    /// Splits every shard once; whether all are wide enough for that.
    fn split_each(&mut self, target: u32) -> bool {
        let borders: Vec<_> = borders(target).collect();
        let mut split = Vec::with_capacity(self.count() * 2);
        for place in 0..self.count() {
            let (start, end) = (self.starts[place], self.end(place));
            if start == end {
                return false;
            }
            let key = split_key(start, end, &borders);
            self.steps.push(Step::Split {
                place: place * 2,
                key,
            });
            split.extend([start, key]);
        }
        self.starts = split;
        true
    }

    /// Merges down to the borders nearest to the uniform ones, in rounds of pairs so that lineages stay
    /// short; whether there are enough shards for that.
    fn merge_down(&mut self, target: u32) -> bool {
        let kept = self.nearest(target);
        // How many shards each one to be is still made of.
        let mut groups: Vec<usize> = Vec::with_capacity(kept.len() + 1);
        let mut first = 0;
        for border in kept.iter().copied().chain([self.count()]) {
            groups.push(border - first);
            first = border;
        }
        self.starts = std::iter::once(0)
            .chain(kept.iter().map(|place| self.starts[*place]))
            .collect();
        while groups.iter().any(|count| *count > 1) {
            let mut place = 0;
            for count in &mut groups {
                for _ in 0..*count / 2 {
                    self.steps.push(Step::Merge { place });
                    place += 1;
                }
                place += *count % 2;
                *count = count.div_ceil(2);
            }
        }
        self.starts.len() == usize::try_from(target).unwrap_or(usize::MAX)
    }

    /// The shards that keep their lower border: for each uniform border the nearest that is left,
    /// with enough left over for those that follow.
    fn nearest(&self, target: u32) -> Vec<usize> {
        let wanted: Vec<_> = borders(target).collect();
        let mut kept: Vec<usize> = Vec::with_capacity(wanted.len());
        for (nth, border) in wanted.iter().enumerate() {
            let lowest = kept.last().map_or(1, |last| last + 1);
            let Some(highest) = self.count().checked_sub(wanted.len() - nth) else {
                break;
            };
            let at_or_above = self.starts.partition_point(|start| start < border);
            let above = at_or_above.clamp(lowest, highest);
            let below = (at_or_above - 1).clamp(lowest, highest);
            let distance = |place: usize| self.starts[place].abs_diff(*border);
            kept.push(if distance(below) < distance(above) {
                below
            } else {
                above
            });
        }
        kept
    }

    /// Whether no shard is more than a quarter above its even share.
    fn is_even(&self, target: u32) -> bool {
        let share = u128::MAX / u128::from(target.max(1));
        (0..self.count()).all(|place| (self.end(place) - self.starts[place]) / 5 <= share / 4)
    }

    /// Cuts out the uniform ranges from left to right.
    fn sweep(&mut self, target: u32) {
        let mut starts = std::mem::take(&mut self.starts);
        for (place, range) in HashRange::uniform(target).enumerate() {
            // Everything left of `place` is done; the shard there starts where the range does.
            let mut next = starts.partition_point(|start| *start <= range.end);
            let is_cut = range.end == u128::MAX || starts.get(next) == Some(&(range.end + 1));
            if !is_cut {
                self.steps.push(Step::Split {
                    place: next - 1,
                    key: range.end + 1,
                });
                starts.insert(next, range.end + 1);
            }
            while next > place + 1 {
                self.steps.push(Step::Merge { place });
                starts.remove(place + 1);
                next -= 1;
            }
        }
        self.starts = starts;
    }
}

/// Where uniform ranges meet.
fn borders(target: u32) -> impl Iterator<Item = u128> {
    HashRange::uniform(target).skip(1).map(|range| range.start)
}

/// The border inside a shard that is nearest to its middle, or else its middle.
fn split_key(start: u128, end: u128, borders: &[u128]) -> u128 {
    let middle = start + (end - start) / 2 + 1;
    let first = borders.partition_point(|border| *border <= start);
    let after = borders.partition_point(|border| *border <= end);
    let inside = borders[first..after].iter().copied();
    inside
        .min_by_key(|border| border.abs_diff(middle))
        .unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Carries steps out on plain numbers: for each open shard its index and start, and how many there
    /// have ever been.
    fn carry_out(open: &[HashRange], steps: &[Step]) -> (Vec<(usize, u128)>, usize) {
        let mut row: Vec<_> = open
            .iter()
            .enumerate()
            .map(|(i, range)| (i, range.start))
            .collect();
        let mut total = open.len();
        for step in steps {
            match *step {
                Step::Split { place, key } => {
                    let end = row.get(place + 1).map_or(u128::MAX, |next| next.1 - 1);
                    assert!(row[place].1 < key && key <= end, "{step:?} in {row:?}");
                    let start = row[place].1;
                    row.splice(place..=place, [(total, start), (total + 1, key)]);
                    total += 2;
                }
                Step::Merge { place } => {
                    let start = row[place].1;
                    row.splice(place..place + 2, [(total, start)]);
                    total += 1;
                }
            }
        }
        (row, total)
    }

    fn uniform(count: u32) -> Vec<HashRange> {
        HashRange::uniform(count).collect()
    }

    #[test]
    fn totals_are_those_recorded_on_the_service() {
        for (from, to, total) in [
            (2, 4, 6),
            (4, 5, 15),
            (10, 13, 37),
            (4, 2, 6),
            (5, 3, 7),
            (10, 3, 17),
            (4, 3, 11),
            (1, 2, 3),
            (2, 1, 3),
            (2, 3, 7),
            (3, 4, 11),
        ] {
            let open = uniform(from);
            assert_eq!(
                carry_out(&open, &plan(&open, to)).1,
                total,
                "{from} to {to}"
            );
        }
    }

    #[test]
    fn from_four_to_three_leaves_the_shards_recorded_on_the_service() {
        let open = uniform(4);
        let (row, _) = carry_out(&open, &plan(&open, 3));
        let starts: Vec<_> = uniform(3).iter().map(|range| range.start).collect();
        assert_eq!(row, [(6, starts[0]), (9, starts[1]), (10, starts[2])]);
    }

    #[test]
    fn the_peak_counts_what_is_open_in_between() {
        let open = uniform(4);
        assert_eq!(peak(4, &plan(&open, 5)), 8);
        assert_eq!(peak(4, &plan(&open, 2)), 4);
        assert_eq!(peak(4, &plan(&open, 3)), 5);
    }

    #[test]
    fn doubling_halving_and_one_more_end_uniform() {
        for (from, to) in [
            (3, 6),
            (6, 3),
            (7, 8),
            (100, 200),
            (1, 2),
            (9, 10),
            (64, 16),
        ] {
            let open = uniform(from);
            let (row, _) = carry_out(&open, &plan(&open, to));
            let starts: Vec<_> = row.into_iter().map(|shard| shard.1).collect();
            let wanted: Vec<_> = uniform(to).iter().map(|range| range.start).collect();
            // Uniform ranges of 6 and of 3 may differ by what their widths are rounded by.
            let is_near = starts
                .iter()
                .zip(&wanted)
                .all(|(a, b)| a.abs_diff(*b) < 1 << 20);
            assert!(is_near && starts.len() == wanted.len(), "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn every_plan_ends_with_as_many_even_shards_as_wanted(
            mut keys in proptest::collection::vec(any::<u128>(), 0..60),
            crowd in 0..40_u128,
            target in 1..130_u32,
        ) {
            // Some of the shards are as narrow as can be.
            keys.extend((0..crowd).map(|key| (1 << 100) + key));
            keys.push(0);
            keys.sort_unstable();
            keys.dedup();
            let ends = keys.iter().skip(1).map(|key| key - 1).chain([u128::MAX]);
            let open: Vec<_> = keys.iter().zip(ends).map(|(start, end)| HashRange { start: *start, end }).collect();
            let (row, _) = carry_out(&open, &plan(&open, target));
            prop_assert_eq!(row.len(), usize::try_from(target).unwrap());
            prop_assert_eq!(row[0].1, 0);
            let is_rising = row.windows(2).all(|pair| pair[0].1 < pair[1].1);
            prop_assert!(is_rising);
            if row.len() != open.len() {
                let share = u128::MAX / u128::from(target);
                let ends = row.iter().skip(1).map(|shard| shard.1 - 1).chain([u128::MAX]);
                for (shard, end) in row.iter().zip(ends) {
                    prop_assert!((end - shard.1) / 5 <= share / 4);
                }
            }
        }
    }
}
