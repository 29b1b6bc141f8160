//! The CloudWatch of the emulator: metrics that callers publish and read, and what the emulator counts
//! about its streams, in memory and by the one clock.
//!
//! Owns everything behind a request that names it: the three protocols, the checks, the metrics, the
//! replies and refusals. [`crate::Service`] asks [`Asked::of`] whether a request is one of these and has
//! [`front`] answer it. What is kept how long stands in docs/cloudwatch.md.

mod dimension;
mod distribution;
mod field;
mod form;
mod front;
mod input;
mod kinesis;
mod ops;
mod protocol;
mod refusal;
mod series;
mod shape;
mod statistic;
mod store;
mod unit;

pub(crate) use input::Asked;
pub(crate) use refusal::Refusal;
pub(crate) use store::Store;

/// The operations there are.
pub(crate) const OPERATIONS: [&str; 4] = [
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
    "PutMetricData",
];
