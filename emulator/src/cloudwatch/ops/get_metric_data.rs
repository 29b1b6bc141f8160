//! GetMetricData: one statistic of each of several metrics, page by page. Expressions are not built.
//!
//! A page is filled query by query. The token of the next one says with which query and after which
//! second it goes on; a query that is not through says `PartialData`.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::Scope;
use crate::clock::Moment;
use crate::cloudwatch::dimension::MetricShape;
use crate::cloudwatch::field::Instant;
use crate::cloudwatch::refusal::{Kind, Problems, Refusal};
use crate::cloudwatch::series::{Series, Window};
use crate::cloudwatch::shape::Shape;
use crate::cloudwatch::statistic::{Named, Statistic};
use crate::cloudwatch::store::{Metric, Store};
use crate::cloudwatch::unit::Unit;

use super::Call;
use super::query::{period, window};

/// Queries of one request.
const QUERIES_MAX: usize = 500;
/// Data points of one answer.
const DATAPOINTS_MAX: usize = 100_800;
/// Buckets and values that are looked at for one answer, before the queries that are left have to wait
/// for the next page: some tens of milliseconds' work.
const WORK_MAX: usize = 2_000_000;
/// What sort of place a token of this operation names.
const TOKEN: u8 = b'D';

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    metric_data_queries: Option<Vec<QueryShape>>,
    start_time: Option<Instant>,
    end_time: Option<Instant>,
    next_token: Option<String>,
    scan_by: Option<String>,
    max_datapoints: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueryShape {
    id: Option<String>,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Option<MetricShape>,
    period: Option<i64>,
    stat: Option<String>,
    unit: Option<String>,
}

/// A query that can be answered.
#[derive(Debug)]
struct Query {
    id: String,
    label: Option<String>,
    is_returned: bool,
    metric: Metric,
    period: u64,
    stat: String,
    statistic: Statistic,
    unit: Option<Unit>,
}

/// Which way a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Descending,
    Ascending,
}

/// What is asked, besides the queries.
#[derive(Debug)]
struct Page {
    start: Moment,
    end: Moment,
    order: Order,
    size: usize,
    /// See [`WORK_MAX`].
    work_max: usize,
    /// The query it goes on with, and the last second of it that was told.
    from: (usize, Option<u64>),
}

pub(super) fn run(call: Call<'_>) -> Result<Shape, Refusal> {
    let Call {
        store,
        mint,
        scope,
        now,
        input,
    } = call;
    let request: Request = input.read()?;
    let mut problems = Problems::default();
    let queries = queries(&mut problems, request.metric_data_queries.as_deref());
    let mut page = page(&mut problems, &request);
    problems.finish_as(Kind::Validation)?;
    if let Some(token) = &request.next_token {
        let place = mint.open_place(TOKEN, token);
        let (query, after) = place.ok_or_else(|| {
            let text = format!("The value {token} for parameter NextToken is invalid.");
            Refusal::new(Kind::InvalidNextToken, text)
        })?;
        let query = usize::try_from(query).unwrap_or(usize::MAX);
        page.from = (query, after.checked_sub(1));
    }
    let (results, next) = results(store, scope, &queries, &page);
    let mut reply = vec![("MetricDataResults", Shape::List(results))];
    if let Some((query, after)) = next {
        // A `usize` is no wider than 64 bits. No second told is written as 0.
        let place = (query as u64, after.map_or(0, |second| second + 1));
        reply.push(("NextToken", Shape::text(mint.place(TOKEN, now, place))));
    }
    reply.push(("Messages", Shape::List(Vec::new())));
    Ok(Shape::Structure(reply))
}

fn page(problems: &mut Problems, request: &Request) -> Page {
    let (start, end) = window(problems, request.start_time, request.end_time);
    let order = match request.scan_by.as_deref() {
        None | Some("TimestampDescending") => Order::Descending,
        Some("TimestampAscending") => Order::Ascending,
        Some(_) => {
            problems.not_in_set("ScanBy", &["TimestampDescending", "TimestampAscending"]);
            Order::Descending
        }
    };
    let size = request.max_datapoints.map(usize::try_from);
    let size = match size {
        None => DATAPOINTS_MAX,
        Some(Ok(size @ 1..=DATAPOINTS_MAX)) => size,
        Some(_) => {
            problems.invalid(format!(
                "The parameter MaxDatapoints must be between 1 and {DATAPOINTS_MAX}."
            ));
            DATAPOINTS_MAX
        }
    };
    Page {
        start,
        end,
        order,
        size,
        work_max: WORK_MAX,
        from: (0, None),
    }
}

fn queries(problems: &mut Problems, shapes: Option<&[QueryShape]>) -> Vec<Query> {
    let shapes = shapes.unwrap_or_default();
    if shapes.is_empty() {
        problems.missing("MetricDataQueries");
    }
    problems.size(shapes.len(), "MetricDataQueries", QUERIES_MAX);
    let mut ids = BTreeSet::new();
    let mut queries = Vec::new();
    for (place, shape) in (1..).zip(shapes.iter().take(QUERIES_MAX)) {
        let path = format!("MetricDataQueries.member.{place}");
        let query = query(problems, shape, &path);
        if let Some(id) = &shape.id
            && !ids.insert(id)
        {
            let text = "The values for parameter id in MetricDataQueries are not unique.";
            problems.invalid(text);
        }
        queries.extend(query);
    }
    queries
}

fn query(problems: &mut Problems, shape: &QueryShape, path: &str) -> Option<Query> {
    let id = shape.id.as_deref().filter(|id| !id.is_empty());
    let id = problems.required(id, &format!("{path}.Id"));
    if let Some(id) = id.filter(|id| !is_id(id)) {
        problems.invalid(format!(
            "The value {id} for parameter {path}.Id is not matching the expected pattern \
             ^[a-z][a-zA-Z0-9_]*$."
        ));
    }
    let stat = match (&shape.metric_stat, &shape.expression) {
        (Some(stat), None) => stat,
        (None, Some(expression)) => {
            tracing::warn!(%expression, "metric math and Metrics Insights are not built");
            problems.invalid(format!(
                "The parameter {path}.Expression is not built into the emulator: it reads metrics \
                 by MetricStat only, without metric math and Metrics Insights."
            ));
            return None;
        }
        (Some(_), Some(_)) => {
            problems.invalid(format!(
                "The parameters {path}.Expression and {path}.MetricStat are mutually exclusive \
                 and you have specified both."
            ));
            return None;
        }
        (None, None) => {
            problems.invalid(format!(
                "At least one of the parameters {path}.Expression and {path}.MetricStat must be \
                 specified."
            ));
            return None;
        }
    };
    let path = format!("{path}.MetricStat");
    let metric = problems.required(stat.metric.as_ref(), &format!("{path}.Metric"));
    let metric = metric.map(|metric| problems.metric(metric, &format!("{path}.Metric.")));
    let period = period(problems, stat.period, &format!("{path}.Period"));
    let unit = problems.unit(stat.unit.as_deref(), &format!("{path}.Unit"));
    let statistic = statistic(problems, stat.stat.as_deref(), &format!("{path}.Stat"));
    Some(Query {
        id: id?.to_owned(),
        label: shape.label.clone(),
        is_returned: shape.return_data.unwrap_or(true),
        metric: metric?,
        period,
        stat: stat.stat.clone()?,
        statistic: statistic?,
        unit,
    })
}

/// A letter in lower case, and letters, digits and underscores.
fn is_id(id: &str) -> bool {
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    id.starts_with(|first: char| first.is_ascii_lowercase())
        && id.bytes().all(is_in)
        && id.len() <= 255
}

fn statistic(problems: &mut Problems, name: Option<&str>, path: &str) -> Option<Statistic> {
    let name = problems.required(name, path)?;
    if let Some(statistic) = Statistic::plain(name) {
        return Some(statistic);
    }
    match Statistic::extended(name) {
        Named::Built(statistic) => return Some(statistic),
        Named::NotBuilt => problems.invalid(format!(
            "The value {name} for parameter {path} is not built into the emulator."
        )),
        Named::Nothing => {
            let text = format!("The value {name} for parameter {path} is not a valid statistic.");
            problems.invalid(text);
        }
    }
    None
}

/// Where the next page goes on.
type Next = Option<(usize, Option<u64>)>;

/// The page's results, and where the next page goes on.
fn results(store: &Store, scope: &Scope, queries: &[Query], page: &Page) -> (Vec<Shape>, Next) {
    let labels = labels(queries);
    let (mut left, mut work) = (page.size, 0);
    let mut next: Next = None;
    let mut results = Vec::new();
    for (place, query) in queries.iter().enumerate().skip(page.from.0) {
        if !query.is_returned {
            continue;
        }
        let after = page.from.1.filter(|_| place == page.from.0);
        let (points, is_whole, messages) = if next.is_none() {
            let found = store.read(scope, |catalog| {
                let series = catalog.get(&query.metric);
                series.map_or_else(Found::default, |series| find(series, query, page, after))
            });
            let Found {
                mut points, units, ..
            } = found;
            work += found.work;
            let is_whole = points.len() <= left;
            points.truncate(left);
            left -= points.len();
            (points, is_whole, units)
        } else {
            (Vec::new(), false, Vec::new())
        };
        if !is_whole && next.is_none() {
            let last = points.last().map(|(second, _)| *second);
            next = Some((place, last.or(after)));
        } else if next.is_none() && work > page.work_max && place + 1 < queries.len() {
            next = Some((place + 1, None));
        }
        let label = query.label.as_ref().unwrap_or(&labels[place]);
        results.push(result(query, label, (points, is_whole), &messages));
    }
    (results, next)
}

/// What a query finds.
#[derive(Debug, Default)]
struct Found {
    /// In the order of the page.
    points: Vec<(u64, f64)>,
    /// All units there are, if there are several and none was asked for.
    units: Vec<Unit>,
    work: usize,
}

fn find(series: &Series, query: &Query, page: &Page, after: Option<u64>) -> Found {
    let window = Window::new(page.start, page.end, query.period);
    let mut units = match query.unit {
        Some(unit) => vec![unit],
        None => series.units(window),
    };
    let Some(unit) = units.first().copied() else {
        return Found::default();
    };
    let with_values = query.statistic.is_percentile();
    let work = series.work(window, unit, with_values);
    let periods = series.periods(window, unit, with_values);
    let values = periods.into_iter().filter_map(|(second, bucket)| {
        let value = query.statistic.of(&bucket)?;
        Some((second, value))
    });
    let mut points: Vec<_> = values.collect();
    match page.order {
        Order::Ascending => {
            points.retain(|(second, _)| after.is_none_or(|after| *second > after));
        }
        Order::Descending => {
            points.retain(|(second, _)| after.is_none_or(|after| *second < after));
            points.reverse();
        }
    }
    if units.len() == 1 {
        units.clear();
    }
    Found {
        points,
        units,
        work,
    }
}

fn result(
    query: &Query,
    label: &str,
    (points, is_whole): (Vec<(u64, f64)>, bool),
    units: &[Unit],
) -> Shape {
    let status = if is_whole { "Complete" } else { "PartialData" };
    let (times, values) = points
        .into_iter()
        .map(|(second, value)| (Shape::Time(second), Shape::Number(value)))
        .unzip();
    let mut result = vec![
        ("Id", Shape::text(query.id.as_str())),
        ("Label", Shape::text(label)),
        ("Timestamps", Shape::List(times)),
        ("Values", Shape::List(values)),
        ("StatusCode", Shape::text(status)),
    ];
    if !units.is_empty() {
        let names: Vec<_> = units.iter().map(|unit| unit.name()).collect();
        let text = format!("Multiple units returned: '[{}]'", names.join(", "));
        let message = Shape::Structure(vec![
            ("Code", Shape::text("MultipleUnits")),
            ("Value", Shape::text(text)),
        ]);
        result.push(("Messages", Shape::List(vec![message])));
    }
    Shape::Structure(result)
}

/// The labels of queries that have none: the metric's name, with the statistic and the period where
/// they tell queries apart.
fn labels(queries: &[Query]) -> Vec<String> {
    let differ = |part: fn(&Query) -> String| {
        let parts: BTreeSet<String> = queries.iter().map(part).collect();
        parts.len() > 1
    };
    let with_stat = differ(|query| query.stat.clone());
    let with_period = differ(|query| query.period.to_string());
    let label = |query: &Query| {
        let mut label = query.metric.name.to_string();
        if with_stat {
            label.push_str(&format!(" {}", query.stat));
        }
        if with_period {
            label.push_str(&format!(" {}", query.period));
        }
        label
    };
    queries.iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudwatch::series::{Data, Resolution};
    use crate::cloudwatch::store::Datum;

    const NOW: Moment = Moment(1_700_000_040_000);

    fn metric(name: &str) -> Metric {
        Metric {
            namespace: "N".into(),
            name: name.into(),
            dimensions: Vec::new(),
        }
    }

    fn query(name: &str) -> Query {
        Query {
            id: name.to_owned(),
            label: None,
            is_returned: true,
            metric: metric(name),
            period: 60,
            stat: "Sum".to_owned(),
            statistic: Statistic::Sum,
            unit: None,
        }
    }

    /// The ids of results with whether they are complete.
    fn outcomes(results: &[Shape]) -> Vec<String> {
        let text = |result: &Shape| {
            let json = serde_json::to_value(result).unwrap();
            format!("{} {}", json["Id"], json["StatusCode"]).replace('"', "")
        };
        results.iter().map(text).collect()
    }

    #[test]
    fn too_much_work_is_left_to_the_next_page() {
        let store = Store::default();
        let names = ["a", "b", "c"];
        let datum = |name: &str| Datum {
            metric: metric(name),
            at: NOW,
            resolution: Resolution::Minute,
            unit: Unit::NONE,
            data: Data::Values(vec![(1.0, 1.0)]),
        };
        store.put(NOW, &Scope::default(), names.map(datum).into_iter());
        let queries = names.map(query);
        let mut page = Page {
            start: NOW,
            end: NOW.after(std::time::Duration::from_secs(60)),
            order: Order::Descending,
            size: DATAPOINTS_MAX,
            work_max: 1,
            from: (0, None),
        };
        let (found, next) = results(&store, &Scope::default(), &queries, &page);
        assert_eq!(
            outcomes(&found),
            ["a Complete", "b Complete", "c PartialData"]
        );
        assert_eq!(next, Some((2, None)));
        page.from = (2, None);
        let (found, next) = results(&store, &Scope::default(), &queries, &page);
        assert_eq!(
            (outcomes(&found), next),
            (vec!["c Complete".to_owned()], None)
        );
    }
}
