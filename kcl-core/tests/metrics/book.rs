//! A recorder of the facade that keeps everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Keeps every value that was recorded, by name and labels.
#[derive(Clone, Default)]
pub(crate) struct Book {
    values: Arc<Mutex<BTreeMap<String, Vec<f64>>>>,
    units: Arc<Mutex<BTreeMap<String, Unit>>>,
}

struct Line {
    book: Book,
    key: String,
}

impl Book {
    fn line(&self, key: &Key) -> Arc<Line> {
        let labels: Vec<_> = key
            .labels()
            .filter(|label| label.key() != "StreamId")
            .map(metrics::Label::value)
            .collect();
        let key = format!("{} {}", key.name(), labels.join(" "));
        let book = self.clone();
        Arc::new(Line { book, key })
    }

    /// What was described, with its unit.
    pub(crate) fn units(&self) -> BTreeMap<String, Unit> {
        self.units.lock().unwrap().clone()
    }

    /// What was recorded, by name and labels.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.values.lock().unwrap().keys().cloned().collect()
    }

    fn described(&self, key: &KeyName, unit: Option<Unit>) {
        let mut units = self.units.lock().unwrap();
        units.insert(key.as_str().to_owned(), unit.unwrap());
    }

    pub(crate) fn values(&self, key: &str) -> Vec<f64> {
        let values = self.values.lock().unwrap();
        values.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn sum(&self, key: &str) -> f64 {
        self.values(key).iter().sum()
    }
}

impl Line {
    fn note(&self, value: f64) {
        let mut values = self.book.values.lock().unwrap();
        values.entry(self.key.clone()).or_default().push(value);
    }
}

impl CounterFn for Line {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn increment(&self, value: u64) {
        self.note(value as f64);
    }

    fn absolute(&self, _: u64) {
        panic!("no counter is set");
    }
}

impl GaugeFn for Line {
    fn increment(&self, value: f64) {
        self.note(value);
    }

    fn decrement(&self, value: f64) {
        self.note(-value);
    }

    fn set(&self, value: f64) {
        self.note(value);
    }
}

impl HistogramFn for Line {
    fn record(&self, value: f64) {
        self.note(value);
    }
}

impl Recorder for Book {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described(&key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described(&key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described(&key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.line(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.line(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.line(key))
    }
}
