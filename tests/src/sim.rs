//! The whole stack in one process and in virtual time: unmodified workers on the unmodified SDK, a
//! network with faults, the emulator, and rules that judge every event.
//!
//! A seed becomes a [`Plan`](scenario::Plan), a plan a [`World`](world::World), a world a
//! [`History`]; the [`Oracle`](checkers::Oracle) judges it. The binary `sim` runs many seeds.

pub mod checkers;
pub mod clock;
pub mod control;
pub mod coverage;
pub mod handler;
pub mod history;
pub mod ledger;
pub mod moment;
pub mod net;
pub mod processor;
pub mod run;
pub mod scenario;
pub mod stream;
pub mod strike;
pub mod striker;
pub mod subject;
mod table;
pub mod trace;
pub mod worker;
pub mod world;

pub use history::History;
pub use run::{Outcome, run_plan, run_prepared, run_seed, warm_up};
