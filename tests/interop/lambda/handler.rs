//! A function as anybody writes it for AWS Lambda: nothing in it knows who invokes it. It notes each record in a file, and
//! reports the bad ones. `handler.py` is the same in Python.

use std::io::Write as _;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::streams::KinesisEventResponse;
use lambda_runtime::{Error, LambdaEvent};

pub(crate) async fn handler(
    event: LambdaEvent<KinesisEvent>,
) -> Result<KinesisEventResponse, Error> {
    let mut response = KinesisEventResponse::default();
    let mut lines = String::new();
    for record in event.payload.records {
        let kinesis = record.kinesis;
        let text = std::str::from_utf8(&kinesis.data)?;
        let name = record.event_name.unwrap_or_default();
        let region = record.aws_region.unwrap_or_default();
        let arn = record.event_source_arn.unwrap_or_default();
        let key = &kinesis.partition_key;
        lines += &format!("{key}\t{text}\t{name} {region} {arn}\n");
        if text == "die" {
            die_once()?;
        }
        if text.ends_with("bad") {
            response.add_failure(kinesis.sequence_number);
        }
    }
    // One write, so that lines of several processes do not mix.
    let sink = std::env::var("SINK")?;
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(sink);
    file?.write_all(lines.as_bytes())?;
    Ok(response)
}

/// In a process of its own, the first to come here is the last thing that it does.
fn die_once() -> std::io::Result<()> {
    let Ok(mark) = std::env::var("DIES_ONCE") else {
        return Ok(());
    };
    match std::fs::File::create_new(mark) {
        Ok(_) => std::process::exit(1),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
