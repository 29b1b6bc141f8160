//! When an on-demand stream splits and merges its shards. Pure: gets what each shard took in, says what
//! to do; [`super::stream`] measures and carries out.
//!
//! The service documents the outcome, not the way: a new stream takes 4 MiB and 4,000 records a second,
//! a stream takes up to double its peak of the last 30 days, it may throttle if traffic more than
//! doubles within 15 minutes, and one that was provisioned first keeps its shards. The rule here:
//!
//! * Loads are averages over one window (a minute unless set otherwise), in shares of what one shard
//!   takes: 1 MiB or 1,000 records a second, whichever is the larger share.
//! * Wanted are two shards for each shard's worth of the highest load of the last 30 days, but no fewer
//!   than four or what the stream began with, and no fewer than the warm throughput in MiB/s.
//! * At the end of a window with fewer shards than wanted, the most loaded are split in the middle until
//!   there are enough. A shard above half of what it takes is split as well, however few are wanted in
//!   all, up to twice as many as wanted: the load may sit on few keys, which no split helps.
//! * A day after the last change, with more shards than wanted, the least loaded neighbours are merged,
//!   in one day at most half of all shards. Setting the warm throughput to the same or a lower value
//!   forgets the peaks and merges at once.

use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;

use super::hash::HashRange;
use super::resize::Step;

/// The fewest shards of an on-demand stream that did not have fewer when it was provisioned.
pub(crate) const SHARDS_MIN: u32 = 4;
/// The most, whatever the load.
const SHARDS_MAX: usize = 10_000;
/// What one shard takes, in the unit of loads.
const SHARD: u64 = 1000;
/// From here on a shard could not take double its load.
const HOT: u64 = SHARD / 2;
const DAY_MILLIS: u64 = 24 * 3600 * 1000;
const DAY: Duration = Duration::from_millis(DAY_MILLIS);
/// Days that a peak counts, the one it fell on included.
const PEAK_DAYS: u64 = 31;

/// What was written to a shard in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

impl Load {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            records: self.records.saturating_add(other.records),
        }
    }

    /// As a share of what one shard takes, rounded up.
    fn share(self, window: Duration) -> u64 {
        let millis = window.as_millis().max(1);
        let share = |amount: u64, a_second: u128| {
            let share = u128::from(amount) * u128::from(SHARD) * 1000;
            u64::try_from(share.div_ceil(a_second * millis)).unwrap_or(u64::MAX)
        };
        share(self.bytes, 1 << 20).max(share(self.records, 1000))
    }
}

/// An open shard and what it took in during the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    pub(crate) range: HashRange,
    pub(crate) load: Load,
}

/// See the module. Kept by a stream for as long as it is on demand.
#[derive(Debug)]
pub(crate) struct Scaler {
    window: Duration,
    /// The end of the window that is being observed.
    until: Moment,
    /// The highest load of each day that had any, oldest first; at most [`PEAK_DAYS`].
    peaks: VecDeque<(u64, u64)>,
    /// When shards were last split or merged.
    changed: Moment,
    /// The fewest shards it wants: four, or what a stream had that was provisioned with fewer.
    least: u32,
}

impl Scaler {
    /// For a stream that is on demand from `now` on. The shards it has count as asked for.
    pub(crate) fn new(now: Moment, window: Duration, open: usize) -> Self {
        let window = window.max(Duration::from_secs(1));
        let mut scaler = Self {
            window,
            until: now.after(window),
            peaks: VecDeque::new(),
            changed: now,
            least: u32::try_from(open).map_or(SHARDS_MIN, |open| open.min(SHARDS_MIN)),
        };
        let half = u64::try_from(open)
            .unwrap_or(u64::MAX)
            .saturating_mul(SHARD)
            / 2;
        scaler.note(now, half);
        scaler
    }

    /// When [`Self::observe`] is due.
    pub(crate) fn due(&self) -> Moment {
        self.until
    }

    /// Ends the window, and says what to do about it. `floor` is the warm throughput.
    pub(crate) fn observe(&mut self, shards: &[Observed], floor: u32) -> Vec<Step> {
        let at = self.until;
        self.until = at.after(self.window);
        let total = shards
            .iter()
            .fold(Load::default(), |sum, shard| sum.plus(shard.load));
        self.note(at, total.share(self.window));
        let wanted = self.wanted(at, floor);
        let mut row = Row::new(shards, self.window);
        row.grow(wanted);
        if row.steps.is_empty() && self.changed.after(DAY) <= at {
            row.shrink_once(wanted, HOT);
        }
        if !row.steps.is_empty() {
            self.changed = at;
        }
        row.steps
    }

    /// Passes over windows without load up to `now`, as far as nothing can happen at their ends.
    pub(crate) fn skip(&mut self, now: Moment, open: usize, floor: u32) {
        let ends = self
            .peaks
            .iter()
            .map(|(day, _)| Moment((day + PEAK_DAYS) * DAY_MILLIS));
        let quiet = self.changed.after(DAY);
        let next = std::iter::once(quiet)
            .chain(ends)
            .map(|at| at.max(quiet))
            .filter(|at| self.wanted(*at, floor) < open)
            .min();
        // A place in time that is past already is met at the end of the very next window.
        let after_now = now.after(Duration::from_millis(1));
        let goal = next.map_or(after_now, |at| at.min(after_now));
        let millis = u64::try_from(self.window.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let windows = goal.millis_since(self.until).div_ceil(millis);
        let ahead = Duration::from_millis(windows.saturating_mul(millis));
        self.until = self.until.after(ahead);
    }

    /// What to do when the warm throughput is set to `floor` at `now`; `releases` if it is not raised.
    pub(crate) fn warm(
        &mut self,
        now: Moment,
        shards: &[Observed],
        floor: u32,
        releases: bool,
    ) -> Vec<Step> {
        if releases {
            self.peaks.clear();
        }
        let wanted = self.wanted(now, floor);
        let mut row = Row::new(shards, self.window);
        row.grow(wanted);
        while releases && row.shrink_once(wanted, u64::MAX) {}
        if !row.steps.is_empty() {
            self.changed = now;
        }
        row.steps
    }

    fn note(&mut self, at: Moment, load: u64) {
        let day = at.millis() / DAY_MILLIS;
        while self
            .peaks
            .front()
            .is_some_and(|(first, _)| first + PEAK_DAYS <= day)
        {
            self.peaks.pop_front();
        }
        match self.peaks.back_mut() {
            Some((last, peak)) if *last == day => *peak = load.max(*peak),
            Some(_) | None if load > 0 => self.peaks.push_back((day, load)),
            Some(_) | None => {}
        }
    }

    /// How many shards there should be.
    fn wanted(&self, at: Moment, floor: u32) -> usize {
        let day = at.millis() / DAY_MILLIS;
        let counts = |(first, _): &&(u64, u64)| first + PEAK_DAYS > day;
        let peak = self
            .peaks
            .iter()
            .filter(counts)
            .map(|(_, load)| *load)
            .max();
        let shards = peak.unwrap_or_default().saturating_mul(2).div_ceil(SHARD);
        let floor = usize::try_from(floor.max(self.least)).unwrap_or(SHARDS_MAX);
        usize::try_from(shards)
            .unwrap_or(SHARDS_MAX)
            .max(floor)
            .min(SHARDS_MAX.max(floor))
    }
}

/// The open shards while the steps are chosen.
struct Row {
    /// Start and load of each, in order.
    shards: Vec<(u128, u64)>,
    steps: Vec<Step>,
}

impl Row {
    fn new(shards: &[Observed], window: Duration) -> Self {
        let shards = shards
            .iter()
            .map(|shard| (shard.range.start, shard.load.share(window)));
        Self {
            shards: shards.collect(),
            steps: Vec::new(),
        }
    }

    fn end(&self, place: usize) -> u128 {
        self.shards
            .get(place + 1)
            .map_or(u128::MAX, |next| next.0 - 1)
    }

    /// Splits until there are as many as wanted and none is hot, in so far as splitting may go.
    fn grow(&mut self, wanted: usize) {
        let most = wanted.saturating_mul(2).min(SHARDS_MAX.max(wanted));
        // The most loaded first, then the widest, then the lowest.
        let mut heap: BinaryHeap<_> = (0..self.shards.len())
            .map(|place| {
                let (start, load) = self.shards[place];
                (load, self.end(place) - start, std::cmp::Reverse(start))
            })
            .collect();
        while let Some((load, width, std::cmp::Reverse(start))) = heap.pop() {
            let count = self.shards.len();
            if count >= wanted && (load <= HOT || count >= most) {
                break;
            }
            if width < 3 {
                continue;
            }
            let key = start + width / 2 + 1;
            let place = self.shards.partition_point(|shard| shard.0 < start);
            self.steps.push(Step::Split { place, key });
            let (lower, upper) = (load / 2, load - load / 2);
            self.shards[place].1 = lower;
            self.shards.insert(place + 1, (key, upper));
            heap.push((lower, key - 1 - start, std::cmp::Reverse(start)));
            heap.push((upper, start + width - key, std::cmp::Reverse(key)));
        }
    }

    /// Merges pairs of neighbours, each shard once, the least loaded and narrowest first, while there
    /// are more than wanted and the pair carries no more than `load_max`; whether any was.
    fn shrink_once(&mut self, wanted: usize, load_max: u64) -> bool {
        let excess = self.shards.len().saturating_sub(wanted);
        if excess == 0 {
            return false;
        }
        let mut pairs: Vec<_> = (0..self.shards.len() - 1)
            .map(|place| {
                let load = self.shards[place]
                    .1
                    .saturating_add(self.shards[place + 1].1);
                (load, self.end(place + 1) - self.shards[place].0, place)
            })
            .filter(|(load, _, _)| *load <= load_max)
            .collect();
        pairs.sort_unstable();
        let mut is_taken = vec![false; self.shards.len()];
        let mut chosen = Vec::new();
        for (_, _, place) in pairs {
            if chosen.len() < excess && !is_taken[place] && !is_taken[place + 1] {
                is_taken[place] = true;
                is_taken[place + 1] = true;
                chosen.push(place);
            }
        }
        chosen.sort_unstable();
        for (before, place) in chosen.iter().enumerate() {
            let place = place - before;
            self.steps.push(Step::Merge { place });
            let (_, load) = self.shards.remove(place + 1);
            self.shards[place].1 = self.shards[place].1.saturating_add(load);
        }
        !chosen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    /// What one shard takes in a window.
    const FULL: u64 = 60 << 20;

    /// A stream of plain numbers: where each shard starts.
    struct Plain {
        scaler: Scaler,
        starts: Vec<u128>,
        floor: u32,
    }

    impl Plain {
        fn new(count: u32) -> Self {
            Self {
                scaler: Scaler::new(Moment(0), MINUTE, usize::try_from(count).unwrap()),
                starts: HashRange::uniform(count).map(|range| range.start).collect(),
                floor: 0,
            }
        }

        fn observed(&self, bytes: impl Fn(usize) -> u64) -> Vec<Observed> {
            let ends = self.starts.iter().skip(1).map(|start| start - 1);
            let ends = ends.chain([u128::MAX]);
            let ranges = self.starts.iter().zip(ends).enumerate();
            let observed = ranges.map(|(place, (start, end))| Observed {
                range: HashRange { start: *start, end },
                load: Load {
                    bytes: bytes(place),
                    records: 0,
                },
            });
            observed.collect()
        }

        fn carry_out(&mut self, steps: &[Step]) {
            for step in steps {
                match *step {
                    Step::Split { place, key } => self.starts.insert(place + 1, key),
                    Step::Merge { place } => drop(self.starts.remove(place + 1)),
                }
            }
            assert!(self.starts[0] == 0 && self.starts.is_sorted());
        }

        /// Ends one window in which each shard took in so much; how many shards there are then.
        fn window(&mut self, bytes: impl Fn(usize) -> u64) -> usize {
            let steps = self.scaler.observe(&self.observed(bytes), self.floor);
            self.carry_out(&steps);
            self.starts.len()
        }

        /// Lets time pass without load.
        fn idle(&mut self, until: Moment) -> usize {
            while self.scaler.due() <= until {
                let steps = self.scaler.observe(&self.observed(|_| 0), self.floor);
                if steps.is_empty() {
                    self.scaler.skip(until, self.starts.len(), self.floor);
                }
                self.carry_out(&steps);
            }
            assert!(self.scaler.due() <= until.after(MINUTE));
            self.starts.len()
        }
    }

    fn day(day: u64) -> Moment {
        Moment(day * DAY_MILLIS)
    }

    #[test]
    fn a_stream_that_uses_half_of_its_shards_stays() {
        let mut plain = Plain::new(4);
        assert_eq!(plain.window(|_| FULL / 2), 4);
        assert_eq!(plain.window(|_| 0), 4);
        assert_eq!(plain.idle(day(100)), 4);
    }

    #[test]
    fn there_are_two_shards_for_each_that_the_peak_fills() {
        let mut plain = Plain::new(4);
        assert_eq!(plain.window(|_| FULL), 8);
        assert_eq!(plain.window(|_| FULL), 16);
        // Half of what 16 take: enough.
        assert_eq!(plain.window(|_| FULL / 2), 16);
        let load = Load {
            bytes: 0,
            records: 60_000,
        };
        assert_eq!(load.share(MINUTE), SHARD);
        assert_eq!(
            Load {
                bytes: 1,
                records: 0
            }
            .share(MINUTE),
            1
        );
    }

    #[test]
    fn hot_shards_are_split_first_and_not_for_ever() {
        let mut plain = Plain::new(4);
        let width = (1 << 126) - 1;
        let first = |place: usize| if place == 1 { FULL * 3 / 4 } else { 0 };
        assert_eq!(plain.window(first), 5);
        assert_eq!(plain.starts[2], (1 << 126) + width / 2 + 1);
        // One key takes it all, so that splits do not help.
        let mut most = 0;
        for _ in 0..20 {
            most = plain.window(|place| if place == 1 { FULL } else { 0 });
        }
        assert_eq!(most, 8);
    }

    #[test]
    fn shards_that_were_there_count_for_30_days_and_then_go_by_half_a_day() {
        let mut plain = Plain::new(40);
        assert_eq!(plain.idle(Moment(day(31).millis() - 1)), 40);
        assert_eq!(plain.idle(day(31)), 20);
        assert_eq!(plain.idle(Moment(day(32).millis() - 1)), 20);
        assert_eq!(plain.idle(day(32)), 10);
        assert_eq!(plain.idle(day(400)), 4);
    }

    #[test]
    fn a_peak_is_forgotten_30_days_after_its_own() {
        let mut plain = Plain::new(4);
        plain.idle(day(10));
        let peak = |_| FULL;
        assert_eq!(plain.window(peak), 8);
        assert_eq!(plain.idle(Moment(day(41).millis() - 1)), 8);
        assert_eq!(plain.idle(Moment(day(41).millis() + 60_000)), 4);
    }

    #[test]
    fn the_warm_throughput_is_a_floor_and_lets_go_when_it_is_set_again() {
        let mut plain = Plain::new(4);
        plain.floor = 10;
        let steps = plain
            .scaler
            .warm(Moment(5), &plain.observed(|_| 0), 10, false);
        plain.carry_out(&steps);
        assert_eq!(plain.starts.len(), 10);
        assert_eq!(plain.idle(day(60)), 10);
        assert_eq!(plain.window(|_| FULL), 20);
        let steps = plain
            .scaler
            .warm(Moment(5), &plain.observed(|_| 0), 10, true);
        plain.carry_out(&steps);
        assert_eq!(plain.starts.len(), 10);
    }

    proptest! {
        #[test]
        fn whatever_is_written_the_count_follows_and_memory_is_bounded(
            initial in 1..20_u32,
            floor in 0..30_u32,
            windows in proptest::collection::vec((0..400_u64, 0..60_u64, 0..3_u64), 1..60),
        ) {
            let mut plain = Plain::new(initial);
            plain.floor = floor;
            let least = usize::try_from(floor.max(initial.min(SHARDS_MIN))).unwrap();
            for (percent, spread, days) in windows {
                let per = |place: usize| FULL * percent / 100 / (1 + spread * place as u64);
                let total: u64 = (0..plain.starts.len()).map(per).sum();
                let before = plain.starts.len();
                let count = plain.window(per);
                let needed = usize::try_from(total.div_ceil(FULL)).unwrap().min(SHARDS_MAX);
                prop_assert!(count >= needed.max(least));
                prop_assert!(count >= before.div_ceil(2));
                let until = plain.scaler.due().after(Duration::from_millis(days * DAY_MILLIS));
                plain.idle(until);
                prop_assert!(plain.scaler.peaks.len() <= usize::try_from(PEAK_DAYS).unwrap());
            }
        }
    }
}
