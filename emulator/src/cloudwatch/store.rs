//! All metrics of all scopes, in bounded memory.
//!
//! Minutes are kept for fifteen days of the clock and seconds for three hours. What all of it takes is
//! estimated, and beyond [`SIZE_MAX`] the oldest minutes of all metrics go until a quarter of that is
//! free. Written by PutMetricData and by what the engine counts ([`super::kinesis`]); one lock, as
//! neither is done for every record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use crate::Scope;
use crate::clock::Moment;

use super::series::{
    BUCKET_SIZE, Data, MINUTES_KEPT, Resolution, SECONDS_KEPT, Series, VALUE_SIZE,
};
use super::unit::Unit;

/// What all metrics may take in memory, by estimate, in bytes.
const SIZE_MAX: usize = 256 << 20;
/// How often what is too old is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// What a metric takes besides its names and its data, and what a dimension does.
const METRIC_SIZE: usize = 200;
const DIMENSION_SIZE: usize = 48;

/// What tells a metric from all others. Dimensions are in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Metric {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) dimensions: Vec<(Arc<str>, Arc<str>)>,
}

/// A datum on its way in.
#[derive(Clone, Debug)]
pub(super) struct Datum {
    pub(super) metric: Metric,
    pub(super) at: Moment,
    pub(super) resolution: Resolution,
    pub(super) unit: Unit,
    pub(super) data: Data,
}

/// The metrics of one scope.
pub(super) type Catalog = BTreeMap<Metric, Series>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    inner: RwLock<Inner>,
    size_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    scopes: BTreeMap<Scope, Catalog>,
    /// How many metrics there ever were.
    count: u64,
    /// What all of it takes at most: exact when it was last counted, and with every datum since as if
    /// it had made a bucket of its own.
    size_bound: usize,
    sweep_due: Moment,
}

impl Metric {
    fn size(&self) -> usize {
        let dimension =
            |(name, value): &(Arc<str>, Arc<str>)| DIMENSION_SIZE + name.len() + value.len();
        let dimensions: usize = self.dimensions.iter().map(dimension).sum();
        METRIC_SIZE + self.namespace.len() + self.name.len() + dimensions
    }
}

impl Datum {
    /// What it takes at most: a bucket of its own in both resolutions.
    fn size(&self) -> usize {
        let values = match &self.data {
            Data::Values(values) => values.len(),
            Data::Set(_) => 1,
        };
        2 * (BUCKET_SIZE + VALUE_SIZE * values)
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            inner: RwLock::default(),
            size_max: SIZE_MAX,
        }
    }
}

impl Store {
    /// Takes in data of one scope.
    pub(super) fn put(&self, now: Moment, scope: &Scope, data: impl Iterator<Item = Datum>) {
        let mut inner = self.inner.write();
        let Inner {
            scopes,
            count,
            size_bound,
            ..
        } = &mut *inner;
        let catalog = match scopes.get_mut(scope) {
            Some(catalog) => catalog,
            None => scopes.entry(scope.clone()).or_default(),
        };
        for datum in data {
            *size_bound += datum.size();
            let series = match catalog.get_mut(&datum.metric) {
                Some(series) => series,
                None => {
                    *size_bound += datum.metric.size();
                    *count += 1;
                    catalog
                        .entry(datum.metric)
                        .or_insert_with(|| Series::new(*count))
                }
            };
            let when = (datum.at, datum.resolution);
            series.add(now, when, datum.unit, &datum.data);
        }
        if now >= inner.sweep_due {
            inner.expire(now);
            inner.sweep_due = now.after(SWEEP_EVERY);
        }
        if inner.size_bound > self.size_max {
            inner.shrink(self.size_max / 4 * 3);
        }
    }

    /// Looks at the metrics of a scope.
    pub(super) fn read<T>(&self, scope: &Scope, look: impl FnOnce(&Catalog) -> T) -> T {
        let inner = self.inner.read();
        match inner.scopes.get(scope) {
            Some(catalog) => look(catalog),
            None => look(&Catalog::new()),
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.write();
        inner.scopes.clear();
        inner.size_bound = 0;
    }
}

impl Inner {
    /// Drops what is older than it is kept.
    fn expire(&mut self, now: Moment) {
        let minutes = now.before(MINUTES_KEPT).seconds();
        let seconds = now.before(SECONDS_KEPT).seconds();
        self.drop_before(minutes, seconds);
    }

    fn drop_before(&mut self, minutes: u64, seconds: u64) {
        for catalog in self.scopes.values_mut() {
            catalog.retain(|_, series| {
                series.drop_before(minutes, seconds);
                !series.is_empty()
            });
        }
        self.scopes.retain(|_, catalog| !catalog.is_empty());
    }

    /// What all of it takes, counted anew.
    fn size(&self) -> usize {
        let metrics = self.scopes.values().flatten();
        metrics
            .map(|(metric, series)| metric.size() + series.size())
            .sum()
    }

    /// Drops the oldest minutes until all of it takes `size` at most.
    fn shrink(&mut self, size: usize) {
        self.size_bound = self.size();
        while self.size_bound > size {
            let all = || self.scopes.values().flatten().map(|(_, series)| series);
            let Some(oldest) = all().filter_map(Series::oldest).min() else {
                return;
            };
            let newest = all().map(|series| series.published.seconds()).max();
            // In a few steps, as each of them looks at everything.
            let step = newest.unwrap_or(oldest).saturating_sub(oldest) / 16;
            let until = oldest + step.max(60);
            tracing::warn!(
                until,
                "metrics take too much memory; those before this second are dropped"
            );
            self.drop_before(until, until);
            self.size_bound = self.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudwatch::series::Window;

    const NOW: Moment = Moment(1_700_000_040_000);

    fn datum(name: &str, at: Moment) -> Datum {
        Datum {
            metric: Metric {
                namespace: "N".into(),
                name: name.into(),
                dimensions: Vec::new(),
            },
            at,
            resolution: Resolution::Minute,
            unit: Unit::NONE,
            data: Data::Values(vec![(1.0, 1.0)]),
        }
    }

    fn minutes(store: &Store, name: &str) -> usize {
        let window = Window {
            start: 0,
            end: u64::MAX,
            period: 60,
        };
        let metric = datum(name, NOW).metric;
        store.read(&Scope::default(), |catalog| {
            let series = catalog.get(&metric);
            series.map_or(0, |series| series.periods(window, Unit::NONE, false).len())
        })
    }

    fn put(store: &Store, now: Moment, data: &[Datum]) {
        store.put(now, &Scope::default(), data.iter().cloned());
    }

    #[test]
    fn a_metric_goes_with_its_last_minute() {
        let store = Store::default();
        put(&store, NOW, &[datum("a", NOW)]);
        let later = NOW.after(MINUTES_KEPT);
        put(&store, later, &[datum("b", later)]);
        assert_eq!((minutes(&store, "a"), minutes(&store, "b")), (1, 1));
        let later = later.after(SWEEP_EVERY);
        put(&store, later, &[datum("b", later)]);
        assert_eq!((minutes(&store, "a"), minutes(&store, "b")), (0, 2));
        let names = store.read(&Scope::default(), Catalog::len);
        assert_eq!(names, 1);
    }

    #[test]
    fn beyond_the_bound_the_oldest_go() {
        let store = Store {
            size_max: 100_000,
            ..Store::default()
        };
        for minute in 0..5000 {
            let at = NOW.after(Duration::from_secs(60 * minute));
            put(&store, at, &[datum("a", at)]);
            assert!(store.inner.read().size() <= 100_000);
        }
        let left = minutes(&store, "a");
        assert!((400..800).contains(&left), "{left}");
        let newest = NOW.after(Duration::from_secs(60 * 4999)).seconds();
        let window = Window {
            start: newest,
            end: newest + 1,
            period: 60,
        };
        let metric = datum("a", NOW).metric;
        let has_newest = store.read(&Scope::default(), |catalog| {
            !catalog[&metric].units(window).is_empty()
        });
        assert!(has_newest);
    }

    #[test]
    fn scopes_are_apart_and_cleared_together() {
        let store = Store::default();
        put(&store, NOW, &[datum("a", NOW)]);
        let other = Scope::new("000000000007", "us-east-1");
        assert_eq!(store.read(&other, Catalog::len), 0);
        store.clear();
        assert_eq!(minutes(&store, "a"), 0);
    }
}
