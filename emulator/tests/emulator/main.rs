//! The emulator from outside: through `serve`, through the real SDK, and as a process.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

mod abuse;
mod accounts;
mod auth;
mod binary;
mod caller;
mod capacity;
mod cbor;
mod consumers;
mod control;
mod events;
mod fan_out;
mod fan_out_cbor;
mod fan_out_race;
mod fan_out_sdk;
mod fan_out_socket;
mod fan_out_start;
mod faults;
mod front;
mod init;
mod limits;
mod metrics;
mod on_demand;
mod outcomes;
mod passing;
mod puts;
mod race;
mod reads;
mod reshard;
mod sdk;
mod settings;
mod shards;
mod streams;
mod table;
mod tables;
mod tags;
#[cfg(feature = "tls")]
mod tls;
mod traps;
