//! The two ready-made ownerships: leases in DynamoDB, and leases in memory.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use kcl_core::error::{Error, ErrorKind, Problem};
use kcl_core::port::{Ownership, OwnershipRun, OwnershipStart};

use crate::ownership::Leases;
use crate::settings::LeaseSettings;
use crate::shards::KinesisShards;
use crate::store::dynamo::DynamoTable;
use crate::store::memory::MemoryStore;

/// Leases in a DynamoDB table, which is made at the first start and named after the application.
#[derive(Debug)]
pub struct DynamoLeases {
    clients: Clients,
    table_name: Option<String>,
    settings: LeaseSettings,
}

/// Where the clients of a table and of its stream come from.
#[derive(Debug)]
pub(crate) enum Clients {
    FromConfig(Box<SdkConfig>),
    Given {
        dynamodb: aws_sdk_dynamodb::Client,
        kinesis: aws_sdk_kinesis::Client,
    },
}

impl DynamoLeases {
    /// With clients of their own, made from this configuration: short time-outs, and a retry
    /// budget that nothing else can use up.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::with_clients(Clients::FromConfig(Box::new(config.clone())))
    }

    /// With these clients as they are. Their time-outs should be well below the lease time.
    #[must_use]
    pub fn from_clients(
        dynamodb: aws_sdk_dynamodb::Client,
        kinesis: aws_sdk_kinesis::Client,
    ) -> Self {
        Self::with_clients(Clients::Given { dynamodb, kinesis })
    }

    fn with_clients(clients: Clients) -> Self {
        Self {
            clients,
            table_name: None,
            settings: LeaseSettings::default(),
        }
    }

    /// In a table of this name.
    #[must_use]
    pub fn with_table_name(mut self, name: impl Into<String>) -> Self {
        self.table_name = Some(name.into());
        self
    }

    /// With these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: LeaseSettings) -> Self {
        self.settings = settings;
        self
    }
}

#[async_trait]
impl Ownership for DynamoLeases {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.settings.problems();
        problems.extend(self.table_name.as_deref().and_then(table_name_problem));
        problems
    }

    fn is_multi_stream(&self) -> bool {
        true
    }

    async fn start(self: Box<Self>, start: OwnershipStart) -> Result<OwnershipRun, Error> {
        let Self {
            clients,
            table_name,
            settings,
        } = *self;
        let table_name = table_name.unwrap_or_else(|| start.application.to_string());
        if let Some(problem) = table_name_problem(&table_name) {
            return Err(Error::new(ErrorKind::Invalid, problem.to_string())
                .with_hint("set another with `with_table_name`"));
        }
        let names = ["kcl-lease-table", "kcl-lease-renewals"];
        let (table, shards) = clients.make(table_name, names, settings.duration);
        Box::new(Leases::new(table, shards).with_settings(settings))
            .start(start)
            .await
    }
}

impl Clients {
    /// The table, and the list of shards. `names` are those of the retry budgets: of all calls, and of those
    /// that keep leases of this lease time alive.
    pub(crate) fn make(
        self,
        table: String,
        names: [&'static str; 2],
        lease_time: Duration,
    ) -> (DynamoTable, KinesisShards) {
        match self {
            Self::Given { dynamodb, kinesis } => (
                DynamoTable::new(dynamodb.clone(), dynamodb, table),
                KinesisShards::new(kinesis),
            ),
            Self::FromConfig(config) => {
                let attempt = (lease_time / 8).max(Duration::from_millis(250));
                let client = |name: &'static str, attempts| {
                    let config = aws_sdk_dynamodb::config::Builder::from(&*config)
                        .retry_partition(RetryPartition::custom(name).build())
                        .retry_config(quick_retries(attempts))
                        .timeout_config(timeouts(&config, attempt));
                    aws_sdk_dynamodb::Client::from_conf(config.build())
                };
                let [all, alive] = names;
                let table = DynamoTable::new(client(all, 3), client(alive, 1), table);
                (table, KinesisShards::new(list_client(&config)))
            }
        }
    }
}

/// DynamoDB's own rule for the names of tables.
pub(crate) fn table_name_problem(name: &str) -> Option<Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let valid = (3..=255).contains(&name.len()) && name.chars().all(allowed);
    let rule = "must be 3 to 255 of the characters a-z A-Z 0-9 _ . -";
    (!valid).then(|| Problem::new("table_name", rule))
}

/// Leases in the memory of one process, for tests and for programs of one process.
#[derive(Debug)]
pub struct MemoryLeases {
    store: MemoryStore,
    kinesis: aws_sdk_kinesis::Client,
    settings: LeaseSettings,
}

impl MemoryLeases {
    /// In this store; the shards are listed with a client of its own from this configuration.
    #[must_use]
    pub fn new(store: MemoryStore, config: &SdkConfig) -> Self {
        Self::from_client(store, list_client(config))
    }

    /// In this store; the shards are listed with this client as it is.
    #[must_use]
    pub fn from_client(store: MemoryStore, kinesis: aws_sdk_kinesis::Client) -> Self {
        Self {
            store,
            kinesis,
            settings: LeaseSettings::default(),
        }
    }

    /// With these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: LeaseSettings) -> Self {
        self.settings = settings;
        self
    }
}

#[async_trait]
impl Ownership for MemoryLeases {
    fn problems(&self) -> Vec<Problem> {
        self.settings.problems()
    }

    fn is_multi_stream(&self) -> bool {
        true
    }

    async fn start(self: Box<Self>, start: OwnershipStart) -> Result<OwnershipRun, Error> {
        let Self {
            store,
            kinesis,
            settings,
        } = *self;
        let table = store.table(&start.application);
        let leases = Leases::new(table, KinesisShards::new(kinesis)).with_settings(settings);
        Box::new(leases).start(start).await
    }
}

/// How long one try at a list may take. It is no part of staying alive.
const LIST_ATTEMPT: Duration = Duration::from_secs(5);

fn list_client(config: &SdkConfig) -> aws_sdk_kinesis::Client {
    let builder = aws_sdk_kinesis::config::Builder::from(config)
        // Of its own: a partition that is not custom is one budget for all of the process.
        .retry_partition(RetryPartition::custom("kcl-lease-shards").build())
        .retry_config(quick_retries(3))
        .timeout_config(timeouts(config, LIST_ATTEMPT));
    aws_sdk_kinesis::Client::from_conf(builder.build())
}

/// A few quick tries; the tasks try on by themselves.
fn quick_retries(attempts: u32) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(attempts)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_millis(500))
}

/// The time-outs of the configuration, with each attempt cut to `attempt`.
fn timeouts(config: &SdkConfig, attempt: Duration) -> TimeoutConfig {
    let own = TimeoutConfig::builder()
        .connect_timeout(attempt)
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 4);
    let mut own = own.build();
    if let Some(given) = config.timeout_config() {
        own.take_defaults_from(given);
    }
    own
}
