//! Ready destinations for records that cannot be processed: a file, and a stream. Feature `destinations`. Both keep one line of JSON for each
//! record, with its payload and why it was given up.
//!
//! ```json
//! {"application":"orders-app","stream":"orders","shardId":"shardId-000000000000","worker":"w1","epoch":3,
//!  "reason":"attempts_exhausted","attempts":4,"cause":"error","error":"the handler of shard … failed: …",
//!  "batchSize":1,"startSequenceNumber":"4965…","endSequenceNumber":"4965…","givenUpAt":"2026-01-01T00:00:00Z",
//!  "record":{"sequenceNumber":"4965…","subSequenceNumber":0,"partitionKey":"k","data":"aGVsbG8=",
//!            "approximateArrivalTimestamp":"2026-01-01T00:00:00Z"}}
//! ```

mod file;
mod kinesis;

use std::time::SystemTime;

use aws_smithy_types::base64;
use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::{Value, json};

pub use self::file::JsonLinesFile;
pub use self::kinesis::KinesisDestination;
use crate::event::{FailureCause, GiveUpReason};
use crate::model::Record;
use crate::port::FailureDocument;

/// What is kept of one record.
fn line(document: &FailureDocument, record: &Record) -> Value {
    json!({
        "application": document.application.as_str(),
        "stream": document.stream.as_str(),
        "shardId": document.shard.name(),
        "worker": document.worker.as_str(),
        "epoch": document.epoch.get(),
        "reason": GiveUpReason::name(document.reason),
        "attempts": document.attempts,
        "cause": document.cause.map(FailureCause::name),
        "error": document.error,
        "batchSize": document.batch_size,
        "startSequenceNumber": document.start_sequence_number.as_str(),
        "endSequenceNumber": document.end_sequence_number.as_str(),
        "givenUpAt": time(document.given_up_at),
        "record": {
            "sequenceNumber": record.sequence_number.as_str(),
            "subSequenceNumber": record.subsequence_number,
            "partitionKey": record.partition_key,
            "data": base64::encode(&record.data),
            "approximateArrivalTimestamp": record.approximate_arrival.map(time),
        },
    })
}

/// As ISO 8601 has it.
fn time(at: SystemTime) -> String {
    let text = DateTime::from(at).fmt(Format::DateTime);
    // No time that a clock can show is out of its range.
    text.unwrap_or_default()
}
