//! A world for the protocol tests: a stream whose shards split and merge, a table behind a network
//! that loses and repeats requests, and workers that pretend to read.
#![expect(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "test support")]

pub mod flaky;
pub mod stream;
pub mod world;
