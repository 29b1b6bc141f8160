//! GetMetricStatistics: the statistics of one metric by period, with a datum of its own for each unit.

use serde::Deserialize;

use crate::cloudwatch::dimension::{Dimension, MetricShape};
use crate::cloudwatch::field::Instant;
use crate::cloudwatch::refusal::{Kind, Problems, Refusal};
use crate::cloudwatch::series::{Bucket, Series, Window};
use crate::cloudwatch::shape::Shape;
use crate::cloudwatch::statistic::{Named, PLAIN, Statistic};
use crate::cloudwatch::unit::Unit;

use super::Call;
use super::query::{period, window};

/// Data points of one answer, whether there is anything in them or not.
const DATAPOINTS_MAX: u64 = 1440;
/// Statistics of one request.
const STATISTICS_MAX: usize = 5;
const EXTENDED_MAX: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    namespace: Option<String>,
    metric_name: Option<String>,
    dimensions: Option<Vec<Dimension>>,
    start_time: Option<Instant>,
    end_time: Option<Instant>,
    period: Option<i64>,
    statistics: Option<Vec<String>>,
    extended_statistics: Option<Vec<String>>,
    unit: Option<String>,
}

/// The statistics that are asked for, by name.
#[derive(Debug, Default)]
struct Wanted {
    plain: Vec<(&'static str, Statistic)>,
    extended: Vec<(String, Statistic)>,
}

impl Wanted {
    fn of(problems: &mut Problems, request: &Request) -> Self {
        let plain = request.statistics.as_deref().unwrap_or_default();
        let extended = request.extended_statistics.as_deref().unwrap_or_default();
        match (plain.is_empty(), extended.is_empty()) {
            (true, true) => {
                let text = "At least one of the parameters Statistics and ExtendedStatistics must \
                            be specified.";
                problems.add(Kind::InvalidParameterCombination, text);
            }
            (false, false) => {
                let text = "The parameters Statistics and ExtendedStatistics are mutually \
                            exclusive and you have specified both.";
                problems.add(Kind::InvalidParameterCombination, text);
            }
            (true, false) | (false, true) => {}
        }
        problems.size(plain.len(), "Statistics", STATISTICS_MAX);
        problems.size(extended.len(), "ExtendedStatistics", EXTENDED_MAX);
        let mut wanted = Self::default();
        for (place, name) in (1..).zip(plain) {
            match PLAIN.iter().find(|(plain, _)| plain == name) {
                Some(found) => wanted.plain.push(*found),
                None => {
                    let path = format!("Statistics.member.{place}");
                    problems.not_in_set(&path, &PLAIN.map(|(name, _)| name));
                }
            }
        }
        for (place, name) in (1..).zip(extended) {
            let path = format!("ExtendedStatistics.member.{place}");
            match Statistic::extended(name) {
                Named::Built(statistic) => wanted.extended.push((name.clone(), statistic)),
                Named::NotBuilt => problems.invalid(format!(
                    "The value {name} for parameter {path} is not built into the emulator."
                )),
                Named::Nothing => problems.invalid_value(name, &path),
            }
        }
        wanted
    }

    /// The datum of a period; none if nothing that is asked for is known of it.
    fn datapoint(&self, unit: Unit, second: u64, bucket: &Bucket) -> Option<Shape> {
        let value = |statistic: &Statistic| statistic.of(bucket).map(Shape::Number);
        let mut datapoint = vec![("Timestamp", Shape::Time(second))];
        for (name, statistic) in &self.plain {
            // One that is named twice is told once.
            if datapoint.iter().all(|(known, _)| known != name) {
                datapoint.push((name, value(statistic)?));
            }
        }
        datapoint.push(("Unit", Shape::text(unit.name())));
        if !self.extended.is_empty() {
            let mut extended = Vec::new();
            for (name, statistic) in &self.extended {
                extended.push((name.clone(), value(statistic)?));
            }
            datapoint.push(("ExtendedStatistics", Shape::Map(extended)));
        }
        Some(Shape::Structure(datapoint))
    }
}

pub(super) fn run(call: Call<'_>) -> Result<Shape, Refusal> {
    let request: Request = call.input.read()?;
    let mut problems = Problems::default();
    let shape = MetricShape {
        namespace: request.namespace.clone(),
        metric_name: request.metric_name.clone(),
        dimensions: None,
    };
    let mut metric = problems.metric(&shape, "");
    metric.dimensions = problems.dimensions(request.dimensions.as_deref(), "Dimensions");
    let times = window(&mut problems, request.start_time, request.end_time);
    let period = period(&mut problems, request.period, "Period");
    let unit = problems.unit(request.unit.as_deref(), "Unit");
    let wanted = Wanted::of(&mut problems, &request);
    let window = Window::new(times.0, times.1, period);
    if window.len() > DATAPOINTS_MAX {
        let text = format!(
            "You have requested up to {} datapoints, which exceeds the limit of {DATAPOINTS_MAX}. \
             You may reduce the datapoints requested by increasing Period, or decreasing the time \
             range.",
            window.len()
        );
        problems.add(Kind::InvalidParameterCombination, text);
    }
    problems.finish()?;
    let label = Shape::text(&*metric.name);
    let datapoints = call.store.read(call.scope, |catalog| {
        let series = catalog.get(&metric);
        series.map_or_else(Vec::new, |series| datapoints(series, window, unit, &wanted))
    });
    Ok(Shape::Structure(vec![
        ("Label", label),
        ("Datapoints", Shape::List(datapoints)),
    ]))
}

/// By time, and where several units are there by unit.
fn datapoints(series: &Series, window: Window, unit: Option<Unit>, wanted: &Wanted) -> Vec<Shape> {
    let units = match unit {
        Some(unit) => vec![unit],
        None => series.units(window),
    };
    let with_values = !wanted.extended.is_empty();
    let mut found = Vec::new();
    for unit in units {
        for (second, bucket) in series.periods(window, unit, with_values) {
            if let Some(datapoint) = wanted.datapoint(unit, second, &bucket) {
                found.push((second, unit, datapoint));
            }
        }
    }
    found.sort_by_key(|(second, unit, _)| (*second, *unit));
    found.into_iter().map(|(.., datapoint)| datapoint).collect()
}
