//! The tables, called without a socket: texts, semantics, paging, threads.

#[path = "dynamo/control.rs"]
mod control;
#[path = "dynamo/harness.rs"]
mod harness;
#[path = "dynamo/leases.rs"]
mod leases;
