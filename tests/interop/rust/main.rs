//! The AWS SDK for Rust against the emulator, as a client that knows nothing of it: settings come from
//! the environment, as for any program. `tests/interop/run` starts it.

#![expect(clippy::print_stdout, reason = "a line for each check is its output")]

mod generations;
mod ledger;
mod reading;

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{StreamDescriptionSummary, StreamStatus};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let settings = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = Client::new(&settings);
    let patience = Duration::from_secs(number("PATIENCE_SECONDS")?.into());
    tokio::time::timeout(patience, async {
        reading::run(&client, "reading").await?;
        generations::run(&client, "generations").await?;
        reading::refusals(&client, &settings, "refusals").await
    })
    .await?
}

/// A number of the scenario.
fn number(name: &str) -> Result<u16, Failure> {
    let value = std::env::var(name).map_err(|_| format!("{name} is not set"))?;
    Ok(value.parse()?)
}

/// One line for each thing that was checked; the first that does not hold ends the program.
fn check(what: &str, holds: bool, detail: impl Debug) -> Result<(), Failure> {
    if !holds {
        return Err(format!("{what}: {detail:?}").into());
    }
    println!("ok {what}");
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the service says is compared with the machine's clock"
)]
fn is_now(time: Option<&DateTime>) -> Result<bool, Failure> {
    let now = DateTime::from(std::time::SystemTime::now());
    let slack = f64::from(number("CLOCK_SLACK_SECONDS")?);
    Ok(time.is_some_and(|time| (now.as_secs_f64() - time.as_secs_f64()).abs() < slack))
}

async fn wait_until_active(
    client: &Client,
    stream: &str,
) -> Result<StreamDescriptionSummary, Failure> {
    loop {
        let answer = client.describe_stream_summary().stream_name(stream);
        let summary = answer.send().await?.stream_description_summary;
        if let Some(summary) = summary.filter(|it| it.stream_status == StreamStatus::Active) {
            return Ok(summary);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
