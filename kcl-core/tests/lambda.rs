//! Functions for AWS Lambda in whole workers, over scripted sources and leases, in paused time. Each case names the row
//! of the event source mapping's reference that it is about: 6.1 what is set, 6.2 the event, 6.3 batches and lanes,
//! 6.4 failures, 6.5 reports, 6.6 the document, 6.8 filters. What decides alone has its own cases beside it
//! (`kcl_core::lambda`).

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

#[path = "lambda/batches.rs"]
mod batches;
#[path = "lambda/documents.rs"]
mod documents;
#[path = "lambda/failures.rs"]
mod failures;
#[path = "lambda/mapping.rs"]
mod mapping;
#[path = "lambda/reports.rs"]
mod reports;
#[path = "lambda/stage.rs"]
mod stage;
#[path = "lambda/windows.rs"]
mod windows;
