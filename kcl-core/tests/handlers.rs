//! Whole workers with handlers over scripted sources and leases, in paused time: lanes, failures of every kind under
//! every policy, loss, hand-over and drain with many calls in flight.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

#[path = "handlers/doors.rs"]
mod doors;
#[path = "handlers/failures.rs"]
mod failures;
#[path = "handlers/leaving.rs"]
mod leaving;
#[path = "handlers/stage.rs"]
mod stage;
