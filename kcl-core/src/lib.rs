#![doc = "Consumer framework for Kinesis streams."]
#![warn(missing_docs)]

pub mod env;
pub mod error;
pub mod model;
pub mod port;
