//! Leases in a table that workers of the Java KCL share.
//!
//! The protocol is the KCL's, so that a worker of either kind takes over from the other and gives back;
//! why it is as it is: `docs/decisions/0007-sharing-a-table-with-java.md`. It is apart from the protocol
//! of tables of our own, and shares with it only what decides nothing about leases.
//!
//! * `row`, `codec`, `table`, `coordination`: what is stored, and each step as a conditional request.
//! * `chain`, `taker`, `lock`, `assign`, `cleanup`, `view`: what is decided, without I/O.
//! * `look`, `tenure` with its `pen`, `sync`, `lead`: the tasks. `holdings` is where they meet.

mod assign;
mod chain;
mod cleanup;
mod codec;
mod coordination;
mod holdings;
mod lead;
mod lock;
mod look;
mod ownership;
mod pen;
mod right;
mod row;
mod settings;
mod sync;
mod table;
mod taker;
mod tenure;
mod view;

pub use ownership::JavaLeases;
pub use settings::{JavaFleet, JavaSettings};
