//! How a client is made that reads records: its limits of time, and who retries.

use std::time::Duration;

use aws_sdk_kinesis::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Builder};
use aws_types::SdkConfig;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long the first byte of an answer may take.
const READ_MAX: Duration = Duration::from_secs(10);
/// How long a call may take in all: a page has up to 10 MiB. Of a subscription only the head counts.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// The configuration of a client for a source of records. Time limits that `config` does not set are 3 s to connect, 10 s
/// to the first byte and 30 s for a call. A feed retries by itself, within its pace, so the client does not;
/// `partition` names its retry budget, which would else be one for all of the process.
#[must_use]
pub fn reading(config: &SdkConfig, partition: &'static str) -> Builder {
    let limits = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .read_timeout(READ_MAX)
        .operation_attempt_timeout(ATTEMPT_MAX);
    let limits = match config.timeout_config() {
        Some(own) => own.to_builder().take_unset_from(limits),
        None => limits,
    };
    let builder = Builder::from(config)
        .timeout_config(limits.build())
        .retry_config(RetryConfig::disabled())
        .retry_partition(RetryPartition::custom(partition).build());
    match config.behavior_version() {
        Some(_) => builder,
        None => builder.behavior_version(BehaviorVersion::latest()),
    }
}
