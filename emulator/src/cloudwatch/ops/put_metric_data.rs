//! PutMetricData. What is wrong with one datum is wrong with the call: nothing of it is kept.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::clock::Moment;
use crate::cloudwatch::dimension::Dimension;
use crate::cloudwatch::field::{Double, Instant};
use crate::cloudwatch::refusal::{Kind, Problems, Refusal};
use crate::cloudwatch::series::{Data, Resolution};
use crate::cloudwatch::store::{self, Metric};
use crate::cloudwatch::unit::Unit;
use crate::engine::ledger::Summary;

use super::Call;

/// Data of one request.
const DATA_MAX: usize = 1000;
/// Entities of one request.
const ENTITIES_MAX: usize = 2;
/// Values of one datum.
const VALUES_MAX: usize = 150;
/// How large a value is at most, either way: 2^360.
const VALUE_MAX: f64 = 2.348542582773833e108;
/// How old a datum is at most, and how far ahead of the clock.
const PAST_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
const AHEAD_MAX: Duration = Duration::from_secs(2 * 3600);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    namespace: Option<String>,
    metric_data: Option<Vec<Datum>>,
    entity_metric_data: Option<Vec<EntityData>>,
}

/// What an entity says of itself is not kept.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntityData {
    metric_data: Option<Vec<Datum>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: Option<String>,
    dimensions: Option<Vec<Dimension>>,
    timestamp: Option<Instant>,
    value: Option<Double>,
    statistic_values: Option<StatisticSet>,
    values: Option<Vec<Double>>,
    counts: Option<Vec<Double>>,
    unit: Option<String>,
    storage_resolution: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticSet {
    sample_count: Option<Double>,
    sum: Option<Double>,
    minimum: Option<Double>,
    maximum: Option<Double>,
}

pub(super) fn run(call: Call<'_>) -> Result<(), Refusal> {
    let request: Request = call.input.read()?;
    let mut problems = Problems::default();
    let namespace = problems.namespace(request.namespace.as_deref(), "Namespace");
    if namespace.starts_with("AWS/") {
        problems.invalid_value(&namespace, "Namespace");
    }
    let namespace = Arc::from(namespace);
    let all = data(&mut problems, &request);
    let mut reader = Reader {
        now: call.now,
        namespace,
        problems,
    };
    let all: Vec<_> = all
        .into_iter()
        .map(|(path, datum)| reader.datum(datum, &path))
        .collect();
    reader.problems.finish()?;
    call.store.put(call.now, call.scope, all.into_iter());
    Ok(())
}

/// All data with the paths at which they stand, as far as there may be any.
fn data<'a>(problems: &mut Problems, request: &'a Request) -> Vec<(String, &'a Datum)> {
    let entities = request.entity_metric_data.as_deref().unwrap_or_default();
    problems.size(entities.len(), "EntityMetricData", ENTITIES_MAX);
    let plain = request.metric_data.as_deref().unwrap_or_default();
    let mut all = with_paths("MetricData", plain);
    for (place, entity) in (1..).zip(entities) {
        let path = format!("EntityMetricData.member.{place}.MetricData");
        let data = entity.metric_data.as_deref().unwrap_or_default();
        all.extend(with_paths(&path, data));
    }
    if all.is_empty() {
        problems.missing("MetricData");
    }
    problems.size(all.len(), "MetricData", DATA_MAX);
    all.truncate(DATA_MAX);
    all
}

fn with_paths<'a>(path: &str, data: &'a [Datum]) -> Vec<(String, &'a Datum)> {
    let path = |(place, datum)| (format!("{path}.member.{place}"), datum);
    (1..).zip(data).map(path).collect()
}

/// Reads data one by one, and gathers what is wrong with them.
struct Reader {
    now: Moment,
    namespace: Arc<str>,
    problems: Problems,
}

impl Reader {
    fn datum(&mut self, datum: &Datum, path: &str) -> store::Datum {
        let problems = &mut self.problems;
        let name_path = format!("{path}.MetricName");
        let name = problems.metric_name(datum.metric_name.as_deref(), &name_path);
        let dimensions = datum.dimensions.as_deref();
        let dimensions = problems.dimensions(dimensions, &format!("{path}.Dimensions"));
        let unit = problems.unit(datum.unit.as_deref(), &format!("{path}.Unit"));
        let resolution = match datum.storage_resolution {
            None | Some(60) => Resolution::Minute,
            Some(1) => Resolution::Second,
            Some(_) => {
                let path = format!("{path}.StorageResolution");
                problems.not_in_set(&path, &["1", "60"]);
                Resolution::Minute
            }
        };
        store::Datum {
            metric: Metric {
                namespace: Arc::clone(&self.namespace),
                name: Arc::from(name),
                dimensions,
            },
            at: self.instant(datum.timestamp, &format!("{path}.Timestamp")),
            resolution,
            unit: unit.unwrap_or(Unit::NONE),
            data: self.data(datum, path),
        }
    }

    fn instant(&mut self, instant: Option<Instant>, path: &str) -> Moment {
        let Some(Instant(seconds)) = instant else {
            return self.now;
        };
        let Some(at) = Instant(seconds).moment() else {
            self.problems.invalid_value(&seconds, path);
            return self.now;
        };
        if at < self.now.before(PAST_MAX) {
            self.problems.invalid(format!(
                "The parameter {path} must specify a time within the past two weeks."
            ));
        } else if at > self.now.after(AHEAD_MAX) {
            self.problems.invalid(format!(
                "The parameter {path} must specify a time no more than two hours in the future."
            ));
        }
        at
    }

    fn data(&mut self, datum: &Datum, path: &str) -> Data {
        let given = [
            ("Value", datum.value.is_some()),
            ("StatisticValues", datum.statistic_values.is_some()),
            ("Values", datum.values.is_some()),
        ];
        let given: Vec<_> = given.iter().filter(|(_, is)| *is).collect();
        match given[..] {
            [] => {
                let text = "At least one of the parameters must be specified.";
                let kind = Kind::InvalidParameterCombination;
                self.problems.add(kind, text);
            }
            [_] => {}
            [(first, _), (second, _), ..] => {
                let text = format!(
                    "The parameters {path}.{first} and {path}.{second} are mutually exclusive and \
                     you have specified both."
                );
                let kind = Kind::InvalidParameterCombination;
                self.problems.add(kind, text);
            }
        }
        if let Some(value) = datum.value {
            let value = self.number(Some(value), &format!("{path}.Value"));
            return Data::Values(vec![(value, 1.0)]);
        }
        match &datum.statistic_values {
            Some(set) => Data::Set(self.set(set, &format!("{path}.StatisticValues"))),
            None => Data::Values(self.values(datum, path)),
        }
    }

    /// A number that is needed, and is one.
    fn number(&mut self, number: Option<Double>, path: &str) -> f64 {
        let Some(Double(number)) = self.problems.required(number, path) else {
            return 0.0;
        };
        if !(-VALUE_MAX..=VALUE_MAX).contains(&number) {
            self.problems.invalid_value(&number, path);
            return 0.0;
        }
        number
    }

    /// A number of samples.
    fn count(&mut self, count: Double, path: &str) -> f64 {
        let number = self.number(Some(count), path);
        if number < 0.0 {
            self.problems.invalid_value(&number, path);
        }
        number
    }

    fn values(&mut self, datum: &Datum, path: &str) -> Vec<(f64, f64)> {
        let values = datum.values.as_deref().unwrap_or_default();
        self.problems
            .size(values.len(), &format!("{path}.Values"), VALUES_MAX);
        if let Some(counts) = &datum.counts
            && counts.len() != values.len()
        {
            self.problems.invalid(format!(
                "The parameters {path}.Values and {path}.Counts must be of the same size."
            ));
        }
        if datum.values.is_some() && values.is_empty() {
            self.problems.missing(&format!("{path}.Values"));
        }
        let counts = datum.counts.as_deref().unwrap_or_default();
        let mut all = Vec::with_capacity(values.len().min(VALUES_MAX));
        for (place, value) in values.iter().take(VALUES_MAX).enumerate() {
            let number = place + 1;
            let value = self.number(Some(*value), &format!("{path}.Values.member.{number}"));
            let count = match counts.get(place) {
                Some(count) => self.count(*count, &format!("{path}.Counts.member.{number}")),
                None => 1.0,
            };
            all.push((value, count));
        }
        all
    }

    fn set(&mut self, set: &StatisticSet, path: &str) -> Summary {
        let count_path = format!("{path}.SampleCount");
        let summary = Summary {
            count: self.number(set.sample_count, &count_path),
            sum: self.number(set.sum, &format!("{path}.Sum")),
            min: self.number(set.minimum, &format!("{path}.Minimum")),
            max: self.number(set.maximum, &format!("{path}.Maximum")),
        };
        if set.sample_count.is_some() && summary.count <= 0.0 {
            self.problems.invalid_value(&summary.count, &count_path);
        }
        if summary.min > summary.max {
            self.problems.invalid(format!(
                "The parameter {path}.Minimum must be less than or equal to the parameter \
                 {path}.Maximum."
            ));
        }
        summary
    }
}
