//! The operations that are built: their names, and who answers which. One file below for each.

mod get_metric_data;
mod get_metric_statistics;
mod list_metrics;
mod put_metric_data;
mod query;

use crate::Scope;
use crate::clock::Moment;
use crate::engine::token::Mint;

use super::input::Input;
use super::refusal::Refusal;
use super::shape::Shape;
use super::store::Store;

/// A call on its way to its operation.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) store: &'a Store,
    pub(super) mint: &'a Mint,
    pub(super) scope: &'a Scope,
    pub(super) now: Moment,
    pub(super) input: Input<'a>,
}

/// Answers a call; nothing if the operation has no output.
pub(super) fn run(call: Call<'_>, operation: &str) -> Result<Option<Shape>, Refusal> {
    match operation {
        "GetMetricData" => get_metric_data::run(call).map(Some),
        "GetMetricStatistics" => get_metric_statistics::run(call).map(Some),
        "ListMetrics" => list_metrics::run(call).map(Some),
        "PutMetricData" => put_metric_data::run(call).map(|()| None),
        _ => {
            tracing::warn!(
                operation,
                "a CloudWatch operation is called that is not built"
            );
            Err(Refusal::unknown_operation(operation))
        }
    }
}
