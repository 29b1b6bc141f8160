//! The polling [`RecordSource`]: `GetShardIterator`, then `GetRecords` for as long as the feed lives.
//!
//! * `feed`: the loop of one shard: pace, fetch, send.
//! * `iterator`: where the loop stands, and how it gets back there.
//! * `aws`: the two calls, and what their answers mean.

mod aws;
mod feed;
mod iterator;

use std::fmt;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::aws::reading;
use crate::error::Problem;
use crate::port::{Feed, OpenFeed, RecordSource};
use crate::settings::text;

/// How a stream is polled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PollSettings {
    /// Records in one page, at most. Default 10,000, which is also the most the service gives.
    pub records_max: u32,
    /// Calls of `GetRecords` per second and shard. Default 5, which is what the service allows all
    /// consumers of a shard together: with several applications on one stream, lower it. Pages that
    /// are as full as the service makes them (10,000 records or about 10 MiB) are not counted.
    pub calls_per_second: u32,
    /// Calls that may follow each other at once after a pause. Default 5.
    pub calls_burst: u32,
    /// The pause after an empty page at the tip of the shard. Default 500 ms. Shorter means less
    /// delay and more calls. A tenth of it is varied, so that shards do not poll in step.
    #[serde(with = "text")]
    pub idle: Duration,
    /// Bytes read ahead of the processor, for each shard. Default 16 MiB. A page may exceed it.
    pub prefetch_bytes_max: usize,
    /// The first pause after a failed call, at most. Default 100 ms. It doubles with each failure
    /// in a row; the pause is drawn evenly between nothing and this bound.
    #[serde(with = "text")]
    pub retry_delay_min: Duration,
    /// The longest pause after a failed call. Default 5 s.
    #[serde(with = "text")]
    pub retry_delay_max: Duration,
}

impl Default for PollSettings {
    fn default() -> Self {
        Self {
            records_max: 10_000,
            calls_per_second: 5,
            calls_burst: 5,
            idle: Duration::from_millis(500),
            prefetch_bytes_max: 16 * 1024 * 1024,
            retry_delay_min: Duration::from_millis(100),
            retry_delay_max: Duration::from_secs(5),
        }
    }
}

impl PollSettings {
    fn problems(&self) -> Vec<Problem> {
        let hour = Duration::from_secs(60 * 60);
        let rules = [
            (
                (1..=10_000).contains(&self.records_max),
                "records_max",
                "must be 1 to 10000",
            ),
            (
                (1..=1_000).contains(&self.calls_per_second),
                "calls_per_second",
                "must be 1 to 1000",
            ),
            (
                (1..=1_000).contains(&self.calls_burst),
                "calls_burst",
                "must be 1 to 1000",
            ),
            (
                // An iterator is good for five minutes.
                self.idle <= Duration::from_secs(240),
                "idle",
                "must be at most 4 minutes",
            ),
            (
                self.prefetch_bytes_max > 0,
                "prefetch_bytes_max",
                "must be more than 0",
            ),
            (
                !self.retry_delay_min.is_zero(),
                "retry_delay_min",
                "must be more than 0",
            ),
            (
                (self.retry_delay_min..=hour).contains(&self.retry_delay_max),
                "retry_delay_max",
                "must be at least poll.retry_delay_min and at most one hour",
            ),
        ];
        let broken = rules.into_iter().filter(|(ok, ..)| !ok);
        broken
            .map(|(_, setting, rule)| Problem::new(format!("poll.{setting}"), rule))
            .collect()
    }
}

/// Reads by polling: `GetRecords` on each shard, at the rate the service allows.
#[derive(Clone)]
pub struct Polling {
    client: Client,
    settings: PollSettings,
}

impl Polling {
    /// Polls with a client made from this configuration. Time limits that it does not set are 3 s
    /// to connect, 10 s to the first byte and 30 s for a call. The feed retries by itself, within
    /// its pace, so the client does not.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::from_client(Client::from_conf(reading(config, "kcl-polling").build()))
    }

    /// Polls with a client of your own. Its retries come before the feed's.
    #[must_use]
    pub fn from_client(client: Client) -> Self {
        Self {
            client,
            settings: PollSettings::default(),
        }
    }

    /// How to poll.
    #[must_use]
    pub fn with_settings(mut self, settings: PollSettings) -> Self {
        self.settings = settings;
        self
    }
}

impl RecordSource for Polling {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.settings.problems();
        if self.client.config().region().is_none() {
            problems.push(Problem::new(
                "poll.region",
                "no AWS region is set; set AWS_REGION, or a region in the profile",
            ));
        }
        problems
    }

    fn open(&self, request: OpenFeed) -> Feed {
        let (client, settings) = (self.client.clone(), self.settings.clone());
        let env = request.env.clone();
        Feed::spawn(settings.prefetch_bytes_max, |sender| {
            let reader = feed::Reader::new(client, settings, request, sender);
            env.task(reader.run().in_current_span())
        })
    }
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
