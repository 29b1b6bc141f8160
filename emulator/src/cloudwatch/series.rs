//! One metric: what was published of it, by unit and by minute, and by the second where it has a high
//! resolution. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::engine::ledger::Summary;

use super::distribution::Distribution;
use super::unit::Unit;

/// How long minutes are kept, as the service keeps them before it makes them coarser.
pub(super) const MINUTES_KEPT: Duration = Duration::from_secs(15 * 24 * 3600);
/// How long seconds are kept, as the service keeps them.
pub(super) const SECONDS_KEPT: Duration = Duration::from_secs(3 * 3600);

/// What a bucket takes in memory, and what each of its values does, by estimate.
pub(super) const BUCKET_SIZE: usize = 112;
pub(super) const VALUE_SIZE: usize = 16;

/// What was published of one metric in one period.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bucket {
    pub(super) summary: Summary,
    pub(super) values: Distribution,
}

/// What one datum says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    /// Values, each with how often it came.
    Values(Vec<(f64, f64)>),
    /// What values come to, but not what they were.
    Set(Summary),
}

/// How finely a datum is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    Second,
    Minute,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Series {
    /// Metrics are numbered as they are first seen.
    pub(super) number: u64,
    /// When data last came.
    pub(super) published: Moment,
    units: BTreeMap<Unit, Points>,
}

/// Buckets by the second at which they begin.
type Buckets = BTreeMap<u64, Bucket>;

#[derive(Debug, Default)]
struct Points {
    minutes: Buckets,
    seconds: Buckets,
}

/// What a query looks at: seconds from `start` up to `end`, cut into periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) period: u64,
}

impl Window {
    /// The window of a query, begun where the service begins it: at a whole minute, or at a whole
    /// period if that is shorter.
    pub(super) fn new(start: Moment, end: Moment, period: u64) -> Self {
        let step = period.clamp(1, 60);
        Self {
            start: start.seconds() / step * step,
            // An end within a second takes that second in.
            end: end.millis().div_ceil(1000),
            period: period.max(1),
        }
    }

    /// Periods in it.
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_sub(self.start).div_ceil(self.period)
    }
}

impl Bucket {
    fn add(&mut self, data: &Data) {
        match data {
            Data::Values(values) => {
                for (value, count) in values.iter().filter(|(_, count)| *count > 0.0) {
                    self.summary.add(&Summary::of(*value, *count));
                    self.values.add(*value, *count);
                }
            }
            Data::Set(set) => {
                self.summary.add(set);
                if set.min == set.max {
                    self.values.add(set.min, set.count);
                } else {
                    self.values = Distribution::Unknown;
                }
            }
        }
    }

    fn merge(&mut self, other: &Self, with_values: bool) {
        self.summary.add(&other.summary);
        if with_values {
            self.values.merge(&other.values);
        }
    }

    fn size(&self) -> usize {
        BUCKET_SIZE + self.values.len() * VALUE_SIZE
    }
}

impl Points {
    /// The buckets that are fine enough for a window.
    fn of(&self, window: Window) -> &Buckets {
        if window.period < 60 && !self.seconds.is_empty() {
            &self.seconds
        } else {
            &self.minutes
        }
    }
}

impl Series {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            published: Moment::default(),
            units: BTreeMap::new(),
        }
    }

    /// Takes in a datum.
    pub(super) fn add(
        &mut self,
        now: Moment,
        (at, resolution): (Moment, Resolution),
        unit: Unit,
        data: &Data,
    ) {
        self.published = self.published.max(now);
        let points = self.units.entry(unit).or_default();
        let second = at.seconds();
        points
            .minutes
            .entry(second / 60 * 60)
            .or_default()
            .add(data);
        if resolution == Resolution::Second && now.before(SECONDS_KEPT) <= at {
            points.seconds.entry(second).or_default().add(data);
        }
    }

    /// Drops all minutes before one second and all seconds before another.
    pub(super) fn drop_before(&mut self, minutes: u64, seconds: u64) {
        for points in self.units.values_mut() {
            points.minutes = points.minutes.split_off(&minutes);
            points.seconds = points.seconds.split_off(&seconds);
        }
        self.units.retain(|_, points| !points.minutes.is_empty());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The seconds at which its oldest minute begins.
    pub(super) fn oldest(&self) -> Option<u64> {
        let oldest = |points: &Points| points.minutes.keys().next().copied();
        self.units.values().filter_map(oldest).min()
    }

    /// What it takes in memory, by estimate.
    pub(super) fn size(&self) -> usize {
        let buckets = |points: &Points| -> usize {
            let all = points.minutes.values().chain(points.seconds.values());
            all.map(Bucket::size).sum()
        };
        self.units.values().map(buckets).sum()
    }

    /// The units that have data in a window.
    pub(super) fn units(&self, window: Window) -> Vec<Unit> {
        let has = |points: &Points| window_of(&points.minutes, window).next().is_some();
        let units = self.units.iter().filter(|(_, points)| has(points));
        units.map(|(unit, _)| *unit).collect()
    }

    /// How much there is to look at for [`Self::periods`]: buckets, and their values.
    pub(super) fn work(&self, window: Window, unit: Unit, with_values: bool) -> usize {
        let buckets = self.units.get(&unit).map(|points| points.of(window));
        let buckets = buckets
            .into_iter()
            .flat_map(|buckets| window_of(buckets, window));
        let values = |bucket: &Bucket| if with_values { bucket.values.len() } else { 0 };
        buckets.map(|(_, bucket)| 1 + values(bucket)).sum()
    }

    /// What a window's periods come to in a unit, without those that are empty. The values come along
    /// only `with_values`, as that takes a while.
    pub(super) fn periods(
        &self,
        window: Window,
        unit: Unit,
        with_values: bool,
    ) -> BTreeMap<u64, Bucket> {
        let mut periods = BTreeMap::<u64, Bucket>::new();
        let Some(points) = self.units.get(&unit) else {
            return periods;
        };
        for (second, bucket) in window_of(points.of(window), window) {
            let begun = (second - window.start) / window.period * window.period;
            let period = periods.entry(window.start + begun).or_default();
            period.merge(bucket, with_values);
        }
        periods.retain(|_, period| period.summary.count > 0.0);
        periods
    }
}

fn window_of(buckets: &Buckets, window: Window) -> impl Iterator<Item = (&u64, &Bucket)> {
    // A range panics where its end is before its start.
    buckets.range(window.start..window.end.max(window.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_700_000_040_000);
    const START: u64 = 1_700_000_040;

    fn value(value: f64) -> Data {
        Data::Values(vec![(value, 1.0)])
    }

    fn window(minutes: u64, period: u64) -> Window {
        Window {
            start: START,
            end: START + minutes * 60,
            period,
        }
    }

    fn series(data: &[(u64, f64)], resolution: Resolution) -> Series {
        let mut series = Series::new(1);
        for (second, data) in data {
            let at = NOW.after(Duration::from_secs(*second));
            series.add(NOW, (at, resolution), Unit::NONE, &value(*data));
        }
        series
    }

    fn sums(series: &Series, window: Window) -> Vec<(u64, f64)> {
        let periods = series.periods(window, Unit::NONE, false);
        let sum = |(second, bucket): (u64, Bucket)| (second - START, bucket.summary.sum);
        periods.into_iter().map(sum).collect()
    }

    #[test]
    fn data_fall_into_minutes_and_minutes_into_periods() {
        let data = [(0, 1.0), (59, 2.0), (60, 4.0), (299, 8.0), (300, 16.0)];
        let series = series(&data, Resolution::Minute);
        let minutes = [(0, 3.0), (60, 4.0), (240, 8.0), (300, 16.0)];
        assert_eq!(sums(&series, window(10, 60)), minutes);
        assert_eq!(sums(&series, window(10, 300)), [(0, 15.0), (300, 16.0)]);
        // The end is not part of it, even in the middle of a period.
        assert_eq!(sums(&series, window(4, 300)), [(0, 7.0)]);
        assert_eq!(sums(&series, window(0, 60)), []);
        let work = |window, with_values| series.work(window, Unit::NONE, with_values);
        assert_eq!(work(window(10, 300), false), 4);
        assert_eq!(work(window(4, 60), true), 5);
    }

    #[test]
    fn seconds_are_there_for_a_high_resolution_and_minutes_otherwise() {
        let data = [(0, 1.0), (9, 2.0), (10, 4.0)];
        let fine = series(&data, Resolution::Second);
        assert_eq!(sums(&fine, window(1, 10)), [(0, 3.0), (10, 4.0)]);
        assert_eq!(sums(&fine, window(1, 60)), [(0, 7.0)]);
        let coarse = series(&data, Resolution::Minute);
        assert_eq!(sums(&coarse, window(1, 10)), [(0, 7.0)]);
    }

    #[test]
    fn units_are_kept_apart() {
        let mut series = series(&[(0, 1.0)], Resolution::Minute);
        let unit = Unit::parse("Count").unwrap();
        series.add(NOW, (NOW, Resolution::Minute), unit, &value(5.0));
        assert_eq!(series.units(window(1, 60)), [unit, Unit::NONE]);
        assert_eq!(sums(&series, window(1, 60)), [(0, 1.0)]);
        assert!(series.units(window(0, 60)).is_empty());
    }

    #[test]
    fn what_is_dropped_takes_no_memory() {
        let mut series = series(&[(0, 1.0), (61, 2.0)], Resolution::Second);
        let full = BUCKET_SIZE + VALUE_SIZE;
        assert_eq!((series.size(), series.oldest()), (4 * full, Some(START)));
        series.drop_before(0, START + 61);
        assert_eq!(series.size(), 3 * full);
        series.drop_before(START + 1, START + 61);
        let left = (series.size(), series.oldest());
        assert_eq!(left, (2 * full, Some(START + 60)));
        series.drop_before(START + 61, START + 62);
        assert!(series.is_empty());
        assert_eq!((series.size(), series.oldest()), (0, None));
    }

    #[test]
    fn a_set_has_percentiles_only_if_its_values_are_known() {
        let set = |min: f64, max: f64| {
            Data::Set(Summary {
                count: 2.0,
                sum: min + max,
                min,
                max,
            })
        };
        let mut bucket = Bucket::default();
        bucket.add(&set(3.0, 3.0));
        assert_eq!(bucket.values.percentile(50.0, (3.0, 3.0)), Some(3.0));
        bucket.add(&set(1.0, 5.0));
        assert_eq!(bucket.values.percentile(50.0, (1.0, 5.0)), None);
        assert_eq!((bucket.summary.count, bucket.summary.sum), (4.0, 12.0));
    }

    #[test]
    fn a_window_begins_at_a_whole_minute_or_period() {
        let start = Moment(1_700_000_087_654);
        let end = Moment(1_700_000_099_001);
        let begun = |period| Window::new(start, end, period).start - 1_700_000_000;
        assert_eq!([1, 5, 10, 30, 60, 300].map(begun), [87, 85, 80, 70, 40, 40]);
        assert_eq!(Window::new(start, end, 60).end, 1_700_000_100);
        assert_eq!(Window::new(start, end, 10).len(), 2);
        assert_eq!(Window::new(end.after(MINUTES_KEPT), start, 60).len(), 0);
    }
}
