//! A stream, a table as Java workers leave it, and workers of our own that join.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use kcl_core::StreamTracker;
use kcl_core::env::Env;
use kcl_core::error::Error;
use kcl_core::event::{Events, Origin};
use kcl_core::model::{
    ApplicationName, Checkpoint, ChildShard, HashKeyRange, InitialPosition, SequenceNumber, Shard,
    ShardId, StreamName, WorkerId,
};
use kcl_core::port::{
    Grant, Ownership as _, OwnershipControl, OwnershipRun, OwnershipStart, Standing,
};
use kcl_lease::{JavaFleet, JavaLeases, JavaSettings};
use kinesis_emulator::Emulator;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const FAILOVER: Duration = Duration::from_secs(2);

/// A row, with every value as a text.
pub(crate) type Row = BTreeMap<String, String>;

pub(crate) struct Fleet {
    pub(crate) emulator: Emulator,
    kinesis: aws_sdk_kinesis::Client,
    dynamo: aws_sdk_dynamodb::Client,
    /// The checkpoints as they were last seen.
    seen: Mutex<BTreeMap<String, u64>>,
}

/// A worker that has joined.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) grants: mpsc::Receiver<Grant>,
    pub(crate) control: Box<dyn OwnershipControl>,
}

impl Joined {
    pub(crate) async fn next(&mut self) -> Grant {
        let grant = timeout(PATIENCE, self.grants.recv()).await;
        grant.expect("a grant in time").expect("a grant")
    }
}

pub(crate) fn number(row: &Row, name: &str) -> u64 {
    row[name].parse().unwrap()
}

/// Waits until it holds.
pub(crate) async fn eventually(what: &str, probe: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !probe().await {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a grant stands so.
pub(crate) async fn stands(what: &str, grant: &mut Grant, wanted: impl Fn(Standing) -> bool) {
    let waited = timeout(
        PATIENCE,
        grant.standing.wait_for(|standing| wanted(*standing)),
    )
    .await;
    drop(waited.unwrap_or_else(|_| panic!("the grant is never {what}")));
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn whole(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn item<const N: usize>(of: [(&str, AttributeValue); N]) -> HashMap<String, AttributeValue> {
    of.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A checkpoint.
pub(crate) fn at(number: &str) -> Checkpoint {
    Checkpoint::at(SequenceNumber::new(number).unwrap())
}

/// What a worker is told when it starts.
pub(crate) fn begin(worker: &str, initial_position: InitialPosition) -> OwnershipStart {
    let origin = Origin {
        application: ApplicationName::new("orders-app").unwrap(),
        stream: Some(StreamName::new("orders").unwrap()),
        worker: WorkerId::new(worker).unwrap(),
    };
    OwnershipStart {
        application: origin.application.clone(),
        tracker: StreamTracker::Single {
            stream: StreamName::new("orders").unwrap(),
            initial_position,
        },
        worker: origin.worker.clone(),
        env: Env::system(),
        events: Events::new(origin, Vec::new()),
    }
}

impl Fleet {
    pub(crate) async fn new(shards: i32) -> Self {
        let emulator = Emulator::start().await.unwrap();
        let kinesis = aws_sdk_kinesis::Client::new(&emulator.sdk_config());
        let create = kinesis.create_stream().stream_name("orders");
        create.shard_count(shards).send().await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = kinesis.list_shards().stream_name("orders").send().await {
            assert_eq!(error.code(), Some("ResourceInUseException"), "{error:?}");
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let dynamo = aws_sdk_dynamodb::Client::new(&emulator.sdk_config());
        Self {
            emulator,
            kinesis,
            dynamo,
            seen: Mutex::default(),
        }
    }

    pub(crate) async fn join(&self, worker: &str, fleet: JavaFleet) -> Joined {
        self.try_join(worker, fleet, InitialPosition::TrimHorizon)
            .await
            .unwrap()
    }

    pub(crate) async fn try_join(
        &self,
        worker: &str,
        fleet: JavaFleet,
        initial_position: InitialPosition,
    ) -> Result<Joined, Error> {
        let settings = JavaSettings {
            fleet,
            failover: FAILOVER,
            look_interval: Some(Duration::from_millis(200)),
            sync_interval: Duration::from_secs(1),
            report_interval: Duration::from_secs(1),
            leader_heartbeat: Duration::from_secs(1),
            leader_lease: Duration::from_secs(3),
            assignment_interval: Some(Duration::from_millis(300)),
            ..JavaSettings::default()
        };
        let leases = JavaLeases::new(&self.emulator.sdk_config()).with_settings(settings);
        let start = begin(worker, initial_position);
        let OwnershipRun { grants, control } = Box::new(leases).start(start).await?;
        Ok(Joined { grants, control })
    }

    pub(crate) async fn shards(&self) -> Vec<ShardId> {
        let list = self.kinesis.list_shards().stream_name("orders");
        let list = list.send().await.unwrap();
        list.shards()
            .iter()
            .map(|shard| ShardId::new(shard.shard_id()))
            .collect()
    }

    /// Splits a shard, and answers with its children.
    pub(crate) async fn split(&self, parent: &Shard) -> Vec<ChildShard> {
        let middle = (parent.range.end / 2).to_string();
        let split = self.kinesis.split_shard().stream_name("orders");
        let split = split
            .shard_to_split(parent.id.name())
            .new_starting_hash_key(middle);
        split.send().await.unwrap();
        eventually("the split", async || self.shards().await.len() == 3).await;
        let list = self.kinesis.list_shards().stream_name("orders");
        let list = list.send().await.unwrap();
        let child = |shard: &aws_sdk_kinesis::types::Shard| {
            let range = shard.hash_key_range().unwrap();
            let (start, end) = (range.starting_hash_key(), range.ending_hash_key());
            ChildShard {
                id: shard.shard_id().into(),
                parents: vec![parent.id.clone()],
                range: HashKeyRange::parse(start, end).unwrap(),
            }
        };
        list.shards()[1..].iter().map(child).collect()
    }

    pub(crate) async fn make_table(&self) {
        self.make("orders-app", "leaseKey").await;
    }

    /// The two tables of a fleet of 3.0 to 3.4, with what they say of the protocol.
    pub(crate) async fn make_own_tables(&self) {
        self.make("orders-app-CoordinatorState", "key").await;
        self.make("orders-app-WorkerMetricStats", "wid").await;
        let version = [
            ("key", text("Migration3.0")),
            ("cv", text("CLIENT_VERSION_3X")),
        ];
        self.put("orders-app-CoordinatorState", item(version)).await;
    }

    async fn make(&self, table: &str, key: &str) {
        let attribute = AttributeDefinition::builder()
            .attribute_name(key)
            .attribute_type(ScalarAttributeType::S)
            .build();
        let key = KeySchemaElement::builder()
            .attribute_name(key)
            .key_type(KeyType::Hash)
            .build();
        let create = self.dynamo.create_table().table_name(table);
        let create = create
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute.unwrap())
            .key_schema(key.unwrap());
        create.send().await.unwrap();
        eventually("the table", async || {
            self.dynamo.scan().table_name(table).send().await.is_ok()
        })
        .await;
    }

    async fn put(&self, table: &str, item: HashMap<String, AttributeValue>) {
        let put = self
            .dynamo
            .put_item()
            .table_name(table)
            .set_item(Some(item));
        put.send().await.unwrap();
    }

    /// A lease as a 2.x worker leaves it.
    pub(crate) async fn put_lease(
        &self,
        shard: &ShardId,
        owner: &str,
        counter: u64,
        checkpoint: &str,
    ) {
        let lease = item([
            ("leaseKey", text(shard.name())),
            ("leaseOwner", text(owner)),
            ("leaseCounter", whole(counter)),
            ("ownerSwitchesSinceCheckpoint", whole(0)),
            ("checkpoint", text(checkpoint)),
            ("checkpointSubSequenceNumber", whole(0)),
        ]);
        self.put("orders-app", lease).await;
    }

    pub(crate) async fn put_version(&self, version: &str) {
        let row = item([
            ("leaseKey", text("Migration3.0")),
            ("entityType", text("CLIENT_VERSION_MIGRATION")),
            ("cv", text(version)),
            ("mb", text("java")),
            ("mts", whole(1_700_000_000_000)),
        ]);
        self.put("orders-app", row).await;
    }

    pub(crate) async fn put_lock(&self, owner: &str, version: &str, lease: Duration) {
        let row = item([
            ("leaseKey", text("Leader")),
            ("entityType", text("LEADER")),
            ("ownerName", text(owner)),
            ("recordVersionNumber", text(version)),
            ("leaseDuration", text(&lease.as_millis().to_string())),
        ]);
        self.put("orders-app", row).await;
    }

    /// A Java worker that told just now that it lives, and is believed for a while.
    pub(crate) async fn put_report(&self, worker: &str) {
        let wall = Env::system().wall();
        let now = wall
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let row = item([
            ("leaseKey", text(worker)),
            ("entityType", text("WORKER_METRIC_STATS")),
            ("lut", whole(now.as_secs() + 60)),
        ]);
        self.put("orders-app", row).await;
    }

    /// Changes a lease by hand; `:text` and `:one` can be used.
    pub(crate) async fn update(&self, shard: &ShardId, change: &str, value: &str) {
        let update = self.dynamo.update_item().table_name("orders-app");
        let update = update
            .key("leaseKey", text(shard.name()))
            .update_expression(change)
            .expression_attribute_values(":text", text(value))
            .expression_attribute_values(":one", whole(1));
        update.send().await.unwrap();
    }

    /// Changes a lease by hand; `:set` and `:text` can be used.
    pub(crate) async fn update_set(&self, shard: &ShardId, change: &str, set: &str, value: &str) {
        let update = self.dynamo.update_item().table_name("orders-app");
        let update = update
            .key("leaseKey", text(shard.name()))
            .update_expression(change)
            .expression_attribute_values(":text", text(value))
            .expression_attribute_values(":set", AttributeValue::Ss(vec![set.to_owned()]));
        update.send().await.unwrap();
    }

    pub(crate) async fn row(&self, shard: &ShardId) -> Row {
        self.rows().await.remove(shard.name()).unwrap()
    }

    /// Every row of the lease table, by its key.
    pub(crate) async fn rows(&self) -> BTreeMap<String, Row> {
        self.rows_of("orders-app", "leaseKey").await
    }

    /// Looks whether no checkpoint has gone back since the last look.
    pub(crate) async fn note_checkpoints(&self) {
        let rows = loop {
            let scan = self
                .dynamo
                .scan()
                .table_name("orders-app")
                .consistent_read(true);
            if let Ok(page) = scan.send().await {
                break page.items.unwrap_or_default();
            }
        };
        let mut seen = self.seen.lock().unwrap();
        for row in rows {
            let text = |name| {
                row.get(name)
                    .and_then(|value: &AttributeValue| value.as_s().ok())
            };
            if let (Some(shard), Some(checkpoint)) = (text("leaseKey"), text("checkpoint")) {
                let now = checkpoint.parse().unwrap_or(0);
                let before = seen.insert(shard.clone(), now).unwrap_or(0);
                assert!(now >= before, "{shard} went back from {before} to {now}");
            }
        }
    }

    pub(crate) async fn rows_of(&self, table: &str, key: &str) -> BTreeMap<String, Row> {
        let scan = self.dynamo.scan().table_name(table).consistent_read(true);
        let page = scan.send().await.unwrap();
        let shown = |value: &AttributeValue| {
            let plain = value.as_s().or_else(|_| value.as_n());
            plain.cloned().unwrap_or_else(|_| format!("{value:?}"))
        };
        let row = |item: &HashMap<String, AttributeValue>| -> Row {
            item.iter()
                .map(|(name, value)| (name.clone(), shown(value)))
                .collect()
        };
        let rows = page.items().iter().map(row);
        rows.map(|row| (row[key].clone(), row)).collect()
    }
}
