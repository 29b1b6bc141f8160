//! Functions for AWS Lambda, row by row of what is known of its event source mapping for Kinesis: `rows` has them,
//! and each case names those that it is about. Most are whole workers over scripted sources and leases, in paused time.
//!
//! ```sh
//! cargo test -p kcl-core --test lambda             # all
//! cargo test -p kcl-core --test lambda -- "6.4.3"  # the cases of a row
//! ```
//!
//! `index` is checked as well: a row without a case fails, and so does a case of a row that is not there.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

#[path = "lambda/attempts.rs"]
mod attempts;
#[path = "lambda/batches.rs"]
mod batches;
#[path = "metrics/book.rs"]
mod book;
#[path = "lambda/documents.rs"]
mod documents;
#[path = "lambda/events.rs"]
mod events;
#[path = "lambda/failures.rs"]
mod failures;
#[path = "lambda/filters.rs"]
mod filters;
#[path = "lambda/index.rs"]
mod index;
#[path = "lambda/lanes.rs"]
mod lanes;
#[path = "lambda/life.rs"]
mod life;
#[path = "lambda/mapping.rs"]
mod mapping;
#[path = "lambda/reports.rs"]
mod reports;
#[path = "lambda/rows.rs"]
mod rows;
#[path = "lambda/stage.rs"]
mod stage;
#[path = "lambda/suite.rs"]
mod suite;
#[path = "lambda/window_stage.rs"]
mod window_stage;
#[path = "lambda/windows.rs"]
mod windows;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let mut cases = Vec::new();
    cases.extend(mapping::cases());
    cases.extend(life::cases());
    cases.extend(events::cases());
    cases.extend(batches::cases());
    cases.extend(lanes::cases());
    cases.extend(failures::cases());
    cases.extend(attempts::cases());
    cases.extend(reports::cases());
    cases.extend(documents::cases());
    cases.extend(windows::cases());
    cases.extend(filters::cases());
    let checks = index::checks(&cases);
    let trials = checks
        .into_iter()
        .chain(cases.into_iter().map(suite::Case::into_trial));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
