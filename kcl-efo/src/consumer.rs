//! The registered consumer of an application: found or registered, awaited, deregistered. It owns
//! no subscription. Called once when fan-out starts, by any number of workers at the same time:
//! they share one consumer, so a registration that somebody else won is as good as our own.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::ConsumerStatus;
use kcl_core::error::{Error, ErrorKind};
use tokio::time::{Instant, sleep};

use crate::aws::{Meaning, failed, meaning};
use crate::settings::ConsumerSettings;

/// Which consumer to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer(Choice);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    Named { stream: String, name: String },
    Registered { arn: String },
}

impl Consumer {
    /// The consumer of this name; it is registered if it is not there. The name of the application
    /// is a good one.
    #[must_use]
    pub fn named(stream: impl Into<String>, name: impl Into<String>) -> Self {
        Self(Choice::Named {
            stream: stream.into(),
            name: name.into(),
        })
    }

    /// A consumer that is registered already, for workers that may not register one themselves.
    #[must_use]
    pub fn registered(arn: impl Into<String>) -> Self {
        Self(Choice::Registered { arn: arn.into() })
    }

    /// Finds the consumer, registers it if needed and if it was chosen by name, and waits until
    /// subscriptions can be made.
    ///
    /// # Errors
    /// If the stream or the consumer is missing, a permission is missing, the limit of consumers
    /// is reached, or it is not active in time. Each says which and what to do.
    pub async fn ready(
        &self,
        kinesis: &Client,
        settings: &ConsumerSettings,
    ) -> Result<ReadyConsumer, Error> {
        let address = self.address(kinesis).await?;
        let deadline = Instant::now() + settings.ready_within;
        loop {
            let last_seen = match address.look(kinesis).await? {
                Seen::Active(arn) => return Ok(ReadyConsumer { arn }),
                Seen::Creating => "still being created",
                // The name is free again only when the deletion is over.
                Seen::Deleting => "being deleted by somebody",
                Seen::Throttled => "not seen, because the calls are throttled",
                Seen::Missing => match address.register(kinesis).await? {
                    Registered::Asked => "still being created",
                    Registered::Full => FULL,
                },
            };
            if Instant::now() + settings.look_pause > deadline {
                return Err(not_in_time(&address, last_seen, settings));
            }
            sleep(settings.look_pause).await;
        }
    }

    /// Deregisters the consumer. A registered consumer costs money by the hour and shard, whether
    /// it is used or not. One that is not there is fine.
    ///
    /// # Errors
    /// If the stream is missing, a permission is missing, or nothing answers.
    pub async fn deregister(&self, kinesis: &Client) -> Result<(), Error> {
        let address = self.address(kinesis).await?;
        let mut call = kinesis.deregister_stream_consumer();
        call = match &address {
            Address::Named { stream_arn, name } => call.stream_arn(stream_arn).consumer_name(name),
            Address::Arn(arn) => call.consumer_arn(arn),
        };
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if meaning(&error) == Meaning::NotFound => Ok(()),
            Err(error) => Err(failed(
                "DeregisterStreamConsumer",
                &address.to_string(),
                &error,
            )),
        }
    }

    /// The service addresses consumers by the stream's ARN, users know its name.
    async fn address(&self, kinesis: &Client) -> Result<Address, Error> {
        let (stream, name) = match &self.0 {
            Choice::Registered { arn } => return Ok(Address::Arn(arn.clone())),
            Choice::Named { stream, name } => (stream, name),
        };
        let answer = kinesis
            .describe_stream_summary()
            .stream_name(stream)
            .send()
            .await;
        let answer = answer.map_err(|error| {
            failed("DescribeStreamSummary", &format!("stream {stream}"), &error)
        })?;
        match answer.stream_description_summary {
            Some(summary) if !summary.stream_arn.is_empty() => Ok(Address::Named {
                stream_arn: summary.stream_arn,
                name: name.clone(),
            }),
            Some(_) | None => Err(Error::new(
                ErrorKind::Data,
                format!("DescribeStreamSummary names no ARN for stream {stream}"),
            )),
        }
    }
}

/// A consumer that takes subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyConsumer {
    arn: String,
}

impl ReadyConsumer {
    /// Its ARN, as `SubscribeToShard` wants it.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }
}

#[derive(Debug)]
enum Address {
    Named { stream_arn: String, name: String },
    Arn(String),
}

enum Seen {
    Active(String),
    Creating,
    Deleting,
    Missing,
    Throttled,
}

enum Registered {
    Asked,
    Full,
}

/// One code stands for too many calls, too many consumers being made and too many consumers. The
/// first two pass, so registering goes on until the time is over, and only then is it the limit.
const FULL: &str = "refused: the stream may have as many registered consumers as it can have";

impl Address {
    async fn look(&self, kinesis: &Client) -> Result<Seen, Error> {
        let mut call = kinesis.describe_stream_consumer();
        call = match self {
            Self::Named { stream_arn, name } => call.stream_arn(stream_arn).consumer_name(name),
            Self::Arn(arn) => call.consumer_arn(arn),
        };
        let description = match call.send().await {
            Ok(answer) => answer.consumer_description,
            Err(error) => return self.not_seen(&error),
        };
        let description = description.ok_or_else(|| {
            Error::new(
                ErrorKind::Data,
                format!("DescribeStreamConsumer says nothing of {self}"),
            )
        })?;
        Ok(match description.consumer_status {
            ConsumerStatus::Active => Seen::Active(description.consumer_arn),
            ConsumerStatus::Deleting => Seen::Deleting,
            // The type is open: a state that is not known is one on the way to another.
            ConsumerStatus::Creating | _ => Seen::Creating,
        })
    }

    fn not_seen<E, R>(&self, error: &SdkError<E, R>) -> Result<Seen, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug,
    {
        match (meaning(error), self) {
            (Meaning::NotFound, Self::Named { .. }) => Ok(Seen::Missing),
            (Meaning::Limit, _) => Ok(Seen::Throttled),
            (
                Meaning::NotFound
                | Meaning::InUse
                | Meaning::Denied
                | Meaning::Invalid
                | Meaning::Unavailable
                | Meaning::Unreadable,
                _,
            ) => Err(failed("DescribeStreamConsumer", &self.to_string(), error)),
        }
    }

    async fn register(&self, kinesis: &Client) -> Result<Registered, Error> {
        let Self::Named { stream_arn, name } = self else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a consumer without a name is registered",
            ));
        };
        let call = kinesis
            .register_stream_consumer()
            .stream_arn(stream_arn)
            .consumer_name(name);
        match call.send().await {
            Ok(_) => Ok(Registered::Asked),
            Err(error) => match meaning(&error) {
                // Another worker of the application was faster: it is there now.
                Meaning::InUse => Ok(Registered::Asked),
                Meaning::Limit => Ok(Registered::Full),
                Meaning::NotFound
                | Meaning::Denied
                | Meaning::Invalid
                | Meaning::Unavailable
                | Meaning::Unreadable => {
                    Err(failed("RegisterStreamConsumer", &self.to_string(), &error))
                }
            },
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named { stream_arn, name } => write!(f, "consumer {name} of {stream_arn}"),
            Self::Arn(arn) => write!(f, "consumer {arn}"),
        }
    }
}

fn not_in_time(address: &Address, last_seen: &str, settings: &ConsumerSettings) -> Error {
    let hint = if last_seen == FULL {
        "deregister one that is not used (a stream has 20 at most, 50 with On-demand Advantage)"
    } else {
        "start again; the consumer may be ready by then"
    };
    let within = settings.ready_within;
    Error::new(
        ErrorKind::Unavailable,
        format!("{address} is not active after {within:?}: {last_seen}"),
    )
    .with_hint(hint)
}
