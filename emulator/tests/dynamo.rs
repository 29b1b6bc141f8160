//! The tables, called without a socket: texts, semantics, paging, threads.
#![expect(
    clippy::needless_pass_by_value,
    reason = "requests are written where they are used"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::too_many_lines,
    reason = "a table of cases is one piece, however long"
)]

#[path = "dynamo/batches.rs"]
mod batches;
#[path = "dynamo/conditions.rs"]
mod conditions;
#[path = "dynamo/control.rs"]
mod control;
#[path = "dynamo/documented.rs"]
mod documented;
#[path = "dynamo/harness.rs"]
mod harness;
#[path = "dynamo/indexes.rs"]
mod indexes;
#[path = "dynamo/leases.rs"]
mod leases;
#[path = "dynamo/legacy.rs"]
mod legacy;
#[path = "dynamo/pages.rs"]
mod pages;
#[path = "dynamo/queries.rs"]
mod queries;
#[path = "dynamo/random.rs"]
mod random;
#[path = "dynamo/tables.rs"]
mod tables;
#[path = "dynamo/threads.rs"]
mod threads;
#[path = "dynamo/transactions.rs"]
mod transactions;
#[path = "dynamo/updates.rs"]
mod updates;
#[path = "dynamo/values.rs"]
mod values;
