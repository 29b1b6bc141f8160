//! The metrics through `serve`, in all three protocols.
#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]
#![expect(
    clippy::too_many_lines,
    reason = "a table of cases is one piece, however long"
)]

#[path = "cloudwatch/faults.rs"]
mod faults;
#[path = "cloudwatch/harness.rs"]
mod harness;
#[path = "cloudwatch/kinesis.rs"]
mod kinesis;
#[path = "cloudwatch/listing.rs"]
mod listing;
#[path = "cloudwatch/protocols.rs"]
mod protocols;
#[path = "cloudwatch/reading.rs"]
mod reading;
#[path = "cloudwatch/refusals.rs"]
mod refusals;
#[path = "cloudwatch/robust.rs"]
mod robust;
