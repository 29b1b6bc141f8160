//! The feed of a shard by fan-out, against the emulator and against a service that is worse.
//!
//! * `contract`: the suite for sources. * `life`: what a subscription goes through in its time.
//! * `worker`: in a whole worker. `lambda`: with a function written for AWS Lambda. * `streams`: in one that reads several streams.
//! * `hostile`: against broken frames on a real socket.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

mod contract;
mod hostile;
mod lambda;
mod life;
mod streams;
mod support;
mod worker;
