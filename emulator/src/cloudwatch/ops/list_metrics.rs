//! ListMetrics: the metrics that had data in the last two weeks, as they were first seen.

use std::time::Duration;

use serde::Deserialize;

use crate::cloudwatch::dimension::Dimension;
use crate::cloudwatch::refusal::{Kind, Problems, Refusal};
use crate::cloudwatch::series::Series;
use crate::cloudwatch::shape::Shape;
use crate::cloudwatch::store::Metric;

use super::Call;

/// Metrics of one answer.
const PAGE: usize = 500;
/// Dimensions that are asked for.
const FILTERS_MAX: usize = 10;
/// How long ago data came at most.
const LISTED: Duration = Duration::from_secs(14 * 24 * 3600);
/// The same for metrics that are recently active.
const RECENT: Duration = Duration::from_secs(3 * 3600);
/// What sort of place a token of this operation names.
const TOKEN: u8 = b'L';

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    namespace: Option<String>,
    metric_name: Option<String>,
    dimensions: Option<Vec<Dimension>>,
    next_token: Option<String>,
    recently_active: Option<String>,
    include_linked_accounts: Option<bool>,
    owning_account: Option<String>,
}

impl Request {
    fn check(&self) -> Result<(), Refusal> {
        let mut problems = Problems::default();
        if let Some(namespace) = &self.namespace {
            problems.namespace(Some(namespace), "Namespace");
        }
        if let Some(name) = &self.metric_name {
            problems.metric_name(Some(name), "MetricName");
        }
        let filters = self.filters();
        problems.size(filters.len(), "Dimensions", FILTERS_MAX);
        for (place, filter) in (1..).zip(filters.iter().take(FILTERS_MAX)) {
            let path = format!("Dimensions.member.{place}");
            problems.dimension_name(filter.name.as_deref(), &format!("{path}.Name"));
        }
        if self
            .recently_active
            .as_deref()
            .is_some_and(|span| span != "PT3H")
        {
            problems.not_in_set("RecentlyActive", &["PT3H"]);
        }
        problems.finish()
    }

    fn filters(&self) -> &[Dimension] {
        self.dimensions.as_deref().unwrap_or_default()
    }

    fn matches(&self, metric: &Metric) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let has = |filter: &Dimension| {
            let mut dimensions = metric.dimensions.iter();
            dimensions.any(|(name, value)| is(&filter.name, name) && is(&filter.value, value))
        };
        is(&self.namespace, &metric.namespace)
            && is(&self.metric_name, &metric.name)
            && self.filters().iter().all(has)
    }
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
    request.check()?;
    let after = match &request.next_token {
        None => 0,
        Some(token) => {
            let place = mint.open_place(TOKEN, token);
            let (number, _) = place.ok_or_else(|| {
                let text = format!("The value {token} for parameter NextToken is invalid.");
                Refusal::new(Kind::InvalidParameterValue, text)
            })?;
            number
        }
    };
    let span = if request.recently_active.is_some() {
        RECENT
    } else {
        LISTED
    };
    let since = now.before(span);
    let owner = request.owning_account.as_deref();
    let is_own = owner.is_none_or(|account| account == &*scope.account);
    let is_listed = |metric: &Metric, series: &Series| {
        is_own && series.number > after && series.published >= since && request.matches(metric)
    };
    let mut found: Vec<(u64, Shape)> = store.read(scope, |catalog| {
        let listed = catalog
            .iter()
            .filter(|(metric, series)| is_listed(metric, series));
        let mut numbered: Vec<_> = listed
            .map(|(metric, series)| (series.number, metric))
            .collect();
        numbered.sort_unstable_by_key(|(number, _)| *number);
        // One more, to see whether there are more.
        numbered.truncate(PAGE + 1);
        let shape = |(number, metric): (u64, &Metric)| (number, metric.shape());
        numbered.into_iter().map(shape).collect()
    });
    let has_more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().map_or(after, |(number, _)| *number);
    let count = found.len();
    let metrics = found.into_iter().map(|(_, metric)| metric).collect();
    let mut reply = vec![("Metrics", Shape::List(metrics))];
    if has_more {
        let token = mint.place(TOKEN, now, (last, 0));
        reply.push(("NextToken", Shape::text(token)));
    }
    if request.include_linked_accounts == Some(true) {
        let owners = vec![Shape::text(&*scope.account); count];
        reply.push(("OwningAccounts", Shape::List(owners)));
    }
    Ok(Shape::Structure(reply))
}
