//! The source itself: what a worker is given. It owns what all feeds of a worker share, and opens them.

use std::fmt;
use std::sync::Arc;

use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::{Client, Config};
use aws_types::SdkConfig;
use kcl_core::RecordSource;
use kcl_core::aws::reading;
use kcl_core::error::{Error, Problem};
use kcl_core::port::{Feed, OpenFeed};
use tracing::Instrument as _;

use crate::budget::Budget;
use crate::consumers::{Choice, Consumers};
use crate::feed::Reader;
use crate::lines::Lines;
use crate::settings::FanOutSettings;
use crate::switch::Switch;
use crate::turns::Turns;

/// Reads by enhanced fan-out: one subscription for each shard, over which the service pushes records as they
/// arrive.
///
/// Give it to a worker as its source. All workers of an application read a stream with one registered
/// consumer, which the first of them registers; each of several streams has its own. Clones share everything.
///
/// ```no_run
/// # use kcl_core::*;
/// # use kcl_efo::FanOut;
/// # fn example(aws: &aws_types::SdkConfig, leases: kcl_lease::DynamoLeases) -> Result<(), Error> {
/// # struct Print;
/// # #[async_trait]
/// # impl RecordProcessor for Print {
/// #     async fn process_records(
/// #         &mut self, _: &ShardContext, _: &Batch, _: &Checkpointer,
/// #     ) -> ProcessorResult { Ok(()) }
/// # }
/// // By fan-out; by polling where fan-out is refused or keeps failing, until it works again.
/// let source = FanOut::new(aws, "orders-app").with_fallback(Polling::new(aws));
/// let worker = Worker::builder("orders-app", "orders")
///     .with_source(source)
///     .with_ownership(leases)
///     .with_processor(|_: &ShardContext| Print)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FanOut {
    client: Client,
    choice: Choice,
    settings: FanOutSettings,
    fallback: Option<Arc<dyn RecordSource>>,
    switch: Switch,
    lines: Lines,
    shared: Arc<Shared>,
}

/// What all feeds of a source share.
pub(crate) struct Shared {
    pub(crate) settings: FanOutSettings,
    pub(crate) consumers: Consumers,
    pub(crate) turns: Turns,
    pub(crate) budget: Budget,
}

impl FanOut {
    /// Reads with the consumer of this name, which is registered if it is not there; of several streams,
    /// each with its consumer of this name. The name of the application is a good one: two applications must
    /// not share a consumer, or each takes the shards from the other.
    ///
    /// The clients are made from this configuration. Time limits that it does not set are 3 s to connect,
    /// 10 s to the first byte and 30 s for a call; what is pushed has limits of its own
    /// ([`FanOutSettings`]). The feed retries by itself, so the clients do not. If the configuration
    /// brings no HTTP client, each four shards have connections of their own.
    #[must_use]
    pub fn new(config: &SdkConfig, consumer: impl Into<String>) -> Self {
        Self::with_choice(config, Choice::Named(consumer.into()))
    }

    /// Reads with the consumer of this ARN, which somebody else has registered. Needs no permission
    /// to register one. Another stream than the one in the ARN is refused.
    #[must_use]
    pub fn registered(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self::registered_for_streams(config, [arn])
    }

    /// Reads each of several streams with the consumer of these ARNs that is of it. A stream of which there is
    /// none is refused: a fallback reads it if there is one; without one the worker tells
    /// [`ShardUnreadable`](kcl_core::Event::ShardUnreadable) and reads the others on.
    #[must_use]
    pub fn registered_for_streams(
        config: &SdkConfig,
        arns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let arns = arns.into_iter().map(Into::into).collect();
        Self::with_choice(config, Choice::Registered(arns))
    }

    /// Reads over a client of your own, with the consumer of this name as [`new`](Self::new) does. Over TLS all subscriptions of it share
    /// one connection, on which the service allows only a few: it suits few shards.
    #[must_use]
    pub fn from_client(client: Client, consumer: impl Into<String>) -> Self {
        let lines = Lines::one(client.clone());
        Self::assemble(client, lines, Choice::Named(consumer.into()))
    }

    fn with_choice(config: &SdkConfig, choice: Choice) -> Self {
        let own = configuration(config);
        let client = Client::from_conf(own.clone());
        let lines = if config.http_client().is_some() {
            Lines::one(client.clone())
        } else {
            Lines::many(own)
        };
        Self::assemble(client, lines, choice)
    }

    fn assemble(client: Client, lines: Lines, choice: Choice) -> Self {
        let settings = FanOutSettings::default();
        Self {
            shared: Arc::new(Shared::new(&client, &choice, &settings)),
            switch: Switch::new(),
            fallback: None,
            client,
            choice,
            settings,
            lines,
        }
    }

    /// How to read. Before anything is opened or cloned: what feeds share begins anew.
    #[must_use]
    pub fn with_settings(mut self, settings: FanOutSettings) -> Self {
        self.shared = Arc::new(Shared::new(&self.client, &self.choice, &settings));
        self.settings = settings;
        self
    }

    /// Another way to read where fan-out is refused for good, keeps failing, or is not wanted for a time: in
    /// practice [`Polling`](kcl_core::Polling). Each shard changes at its own cursor, without a gap or a
    /// repetition, and comes back when fan-out works again ([`FallbackSettings`]).
    ///
    /// [`FallbackSettings`]: crate::FallbackSettings
    #[must_use]
    pub fn with_fallback(mut self, fallback: impl RecordSource) -> Self {
        self.fallback = Some(Arc::new(fallback));
        self.switch.allow_polling();
        self
    }

    /// The handle with which the way of reading is changed while the worker runs.
    #[must_use]
    pub fn switch(&self) -> Switch {
        self.switch.clone()
    }

    /// Deregisters the consumer of this stream; of several, one after the other. A registered consumer costs money by the hour and shard,
    /// whether it is used or not, so do this when no worker of the application will run for a while.
    /// Workers that still run register it again. One that is not there is fine.
    ///
    /// # Errors
    /// If the stream is missing or none of those this source may read, a permission is missing, or nothing
    /// answers.
    pub async fn deregister(&self, stream: &str) -> Result<(), Error> {
        self.choice.of(stream)?.deregister(&self.client).await
    }
}

impl RecordSource for FanOut {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.settings.problems();
        problems.extend(self.choice.problems());
        if self.client.config().region().is_none() {
            problems.push(Problem::new(
                "fan_out.region",
                "no AWS region is set; set AWS_REGION, or a region in the profile",
            ));
        }
        if let Some(fallback) = &self.fallback {
            problems.extend(fallback.problems());
        }
        problems
    }

    fn open(&self, request: OpenFeed) -> Feed {
        let env = request.env.clone();
        let (shared, switch) = (self.shared.clone(), self.switch.clone());
        let (line, fallback) = (self.lines.take(), self.fallback.clone());
        Feed::spawn(self.settings.memory.shard_bytes_max, |sender| {
            let reader = Reader::new(shared, line, (fallback, switch), request, sender);
            env.task(reader.run().in_current_span())
        })
    }
}

impl Shared {
    fn new(client: &Client, choice: &Choice, settings: &FanOutSettings) -> Self {
        Self {
            consumers: Consumers::new(client.clone(), choice.clone(), settings.consumer.clone()),
            turns: Turns::default(),
            budget: Budget::new(settings.memory.worker_bytes_max),
            settings: settings.clone(),
        }
    }
}

/// A configuration for subscriptions. The SDK's limits of time end with the head of an answer; what comes
/// behind it lives for minutes and is silent for seconds, and `session` watches over it.
fn configuration(config: &SdkConfig) -> Config {
    reading(config, "kcl-fan-out")
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

impl fmt::Debug for FanOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanOut")
            .field("consumer", &self.choice)
            .field("settings", &self.settings)
            .field("switch", &self.switch)
            .finish_non_exhaustive()
    }
}
