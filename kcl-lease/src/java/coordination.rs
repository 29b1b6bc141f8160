//! The rows of a led fleet beside the leases, in DynamoDB: the leader's lock, what workers tell of
//! themselves, the protocol; and what a leader writes to leases.
//!
//! It decides nothing. A KCL 3.5 keeps them in the lease table; one from 3.0 to 3.4, and a 3.5 that came
//! from there and has not moved them, in two tables of their own.

use std::time::SystemTime;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use kcl_core::error::ErrorKind;
use kcl_core::model::{ApplicationName, ShardId, WorkerId};

use super::assign::Step;
use super::codec::{self, CHECKPOINT_OWNER, LOCK_KEY, LOCK_LEASE, LOCK_OWNER, LOCK_VERSION};
use super::lock::Claim;
use super::row::{LockRow, ReportRow, Version};
use super::table::{JavaTable, Written};
use crate::store::StoreError;
use crate::store::dynamo::codec::{COUNTER, Item, KEY, OWNER, SWITCHES, number, text};
use crate::store::dynamo::expression::Words;

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    state: Place,
    reports: Place,
}

/// A table, and the name of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    table: String,
    key: &'static str,
}

/// The key of the row that says how far the rows have moved into the lease table.
const MOVE_KEY: &str = "TableMigration3.5";
const MOVE_STATUS: &str = "tm";
const MOVE_COMPLETE: &str = "TABLE_MIGRATION_STATUS_COMPLETE";
/// The index of the leases by owner, which the KCL 3.x makes.
const INDEX: &str = "LeaseOwnerToLeaseKeyIndex";

impl Home {
    /// Looks where the workers of this application keep them.
    pub(crate) async fn find(
        table: &JavaTable,
        application: &ApplicationName,
    ) -> Result<Self, StoreError> {
        let state = Place {
            table: format!("{application}-CoordinatorState"),
            key: "key",
        };
        let moved = match table.get(&state, MOVE_KEY).await {
            Err(failure) if is_missing(&failure) => true,
            Err(failure) => return Err(failure),
            Ok(row) => row
                .and_then(|row| row.get(MOVE_STATUS).cloned())
                .is_some_and(|status| status == text(MOVE_COMPLETE)),
        };
        let lease = || Place {
            table: table.inner.table.clone(),
            key: KEY,
        };
        let reports = Place {
            table: format!("{application}-WorkerMetricStats"),
            key: "wid",
        };
        Ok(if moved {
            Self {
                state: lease(),
                reports: lease(),
            }
        } else {
            Self { state, reports }
        })
    }

    /// Whether all rows are in one table.
    pub(crate) fn is_single(&self) -> bool {
        self.state.key == KEY
    }
}

fn is_missing(failure: &StoreError) -> bool {
    let (StoreError::Unavailable(error) | StoreError::Fatal(error)) = failure;
    error.kind() == ErrorKind::NotFound
}

/// What became of a write to the lock: whether its condition held.
type Held = Result<bool, StoreError>;

impl JavaTable {
    async fn get(&self, place: &Place, key: &str) -> Result<Option<Item>, StoreError> {
        let reply = self.inner.client.get_item();
        let reply = reply
            .table_name(&place.table)
            .key(place.key, text(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|failure| self.inner.failed("GetItem", failure))?;
        Ok(reply.item.filter(|item| !item.is_empty()))
    }

    /// The lock of the leader.
    pub(crate) async fn read_lock(&self, home: &Home) -> Result<Option<LockRow>, StoreError> {
        let item = self.get(&home.state, LOCK_KEY).await?;
        let row = item.as_ref().map(codec::lock).transpose();
        row.map_err(StoreError::Fatal)
    }

    /// Which protocol the table says the fleet follows.
    pub(crate) async fn read_version(&self, home: &Home) -> Result<Option<Version>, StoreError> {
        let item = self.get(&home.state, codec::VERSION_KEY).await?;
        let version = item.as_ref().map(codec::version).transpose();
        version.map_err(StoreError::Fatal)
    }

    /// Says that the fleet has a leader, if nothing is said yet.
    pub(crate) async fn write_version(&self, by: &WorkerId, at: SystemTime) -> Held {
        let item = codec::version_item(by, at);
        self.put(&self.inner.table, item, |words| {
            format!("attribute_not_exists({})", words.name(KEY))
        })
        .await
    }

    /// Takes the lock. If it is as it was seen.
    pub(crate) async fn claim_lock(&self, home: &Home, row: &LockRow, claim: &Claim) -> Held {
        let key = home.state.key;
        let item = codec::lock_item(row, key);
        self.put(&home.state.table, item, |words| match claim {
            Claim::Absent => format!("attribute_not_exists({})", words.name(key)),
            Claim::Released => format!(
                "attribute_exists({}) AND {}",
                words.name(key),
                words.equals(codec::LOCK_RELEASED, text("1"))
            ),
            Claim::Expired(version) => format!(
                "attribute_exists({}) AND {}",
                words.name(key),
                words.equals(LOCK_VERSION, text(version))
            ),
        })
        .await
    }

    /// Beats: `row` has the new version. If the lock is its owner's, with the version before.
    pub(crate) async fn beat(&self, home: &Home, row: &LockRow, before: &str) -> Held {
        let mut words = Words::default();
        let condition = is_held(&mut words, home, &row.owner, before);
        let change = format!(
            "SET {}, {}",
            words.equals(LOCK_VERSION, text(&row.version)),
            words.equals(LOCK_LEASE, text(row.lease.as_millis().to_string())),
        );
        let (names, values) = words.into_parts();
        let reply = self
            .inner
            .renewals
            .update_item()
            .table_name(&home.state.table)
            .key(home.state.key, text(LOCK_KEY))
            .condition_expression(condition)
            .update_expression(change)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .send()
            .await;
        self.held("UpdateItem", reply.map(drop))
    }

    /// Gives the lock up, as the lock client does. If it is this owner's, with this version.
    pub(crate) async fn release_lock(&self, home: &Home, owner: &WorkerId, version: &str) -> Held {
        let mut words = Words::default();
        let condition = is_held(&mut words, home, owner.as_str(), version);
        let (names, values) = words.into_parts();
        let reply = self
            .inner
            .renewals
            .delete_item()
            .table_name(&home.state.table)
            .key(home.state.key, text(LOCK_KEY))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .send()
            .await;
        self.held("DeleteItem", reply.map(drop))
    }

    /// Tells that a worker lives.
    pub(crate) async fn report(&self, home: &Home, row: &ReportRow) -> Result<(), StoreError> {
        let Place { table, key } = &home.reports;
        let put = self.inner.renewals.put_item().table_name(table);
        let put = put.set_item(Some(codec::report_item(row, key)));
        let failed = |failure| self.inner.failed("PutItem", failure);
        put.send().await.map(drop).map_err(failed)
    }

    /// What a worker told is not true any more.
    pub(crate) async fn remove_report(&self, home: &Home, of: &WorkerId) -> Result<(), StoreError> {
        let Place { table, key } = &home.reports;
        let delete = self.inner.renewals.delete_item().table_name(table);
        let delete = delete.key(*key, text(of));
        let failed = |failure| self.inner.failed("DeleteItem", failure);
        delete.send().await.map(drop).map_err(failed)
    }

    /// What workers tell in a table of their own.
    pub(crate) async fn reports(&self, home: &Home) -> Result<Vec<ReportRow>, StoreError> {
        let Place { table, key } = &home.reports;
        let mut reports = Vec::new();
        let mut from = None;
        loop {
            let scan = self.inner.client.scan().table_name(table);
            let page = scan.set_exclusive_start_key(from).send().await;
            let page = page.map_err(|failure| self.inner.failed("Scan", failure))?;
            reports.extend(
                page.items()
                    .iter()
                    .filter_map(|item| codec::report(item, key)),
            );
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(reports);
            }
        }
    }

    /// The shards whose leases name this worker, by the KCL's index, which may lag. Nothing if there is no
    /// such index, or not yet.
    pub(crate) async fn named(&self, me: &WorkerId) -> Result<Option<Vec<ShardId>>, StoreError> {
        let mut shards = Vec::new();
        let mut from = None;
        loop {
            let mut words = Words::default();
            let condition = words.equals(OWNER, text(me));
            let (names, values) = words.into_parts();
            let query = self.inner.client.query();
            let query = query
                .table_name(&self.inner.table)
                .index_name(INDEX)
                .key_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .set_exclusive_start_key(from);
            let page = match query.send().await {
                Ok(page) => page,
                Err(failure) if failure.code() == Some("ValidationException") => return Ok(None),
                Err(failure) => return Err(self.inner.failed("Query", failure)),
            };
            let key = |item: &Item| item.get(KEY)?.as_s().ok().map(ShardId::new);
            shards.extend(page.items().iter().filter_map(key));
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(Some(shards));
            }
        }
    }

    /// Carries out a step of the leader. If the owners are as they were seen, and the counter of a lease that
    /// changes hands at once.
    pub(crate) async fn carry_out(&self, step: &Step) -> Written {
        let mut words = Words::default();
        let (Step::Assign(row, to) | Step::HandOver(row, to)) = step;
        let named = row.named();
        let mut condition = [
            format!("attribute_exists({})", words.name(KEY)),
            words.equals_or_missing(OWNER, named.map(text)),
            words.equals_or_missing(CHECKPOINT_OWNER, row.checkpoint_owner.as_ref().map(text)),
        ]
        .join(" AND ");
        let owner = words.equals(OWNER, text(to));
        let change = match step {
            Step::HandOver(..) => {
                let holder = named.map_or_else(|| text(""), text);
                format!("SET {owner}, {}", words.equals(CHECKPOINT_OWNER, holder))
            }
            Step::Assign(..) => {
                // Who renewed it meanwhile is alive. The end of a hand-over is for one who renews.
                if !row.is_handed_over() && !row.is_ended() {
                    let counter = words.equals(COUNTER, number(row.lease.counter));
                    condition += &format!(" AND {counter}");
                }
                let mut change = format!("SET {owner}");
                if row.is_handed_over() {
                    change += &format!(" REMOVE {}", words.name(CHECKPOINT_OWNER));
                }
                change += &format!(" ADD {}", words.pair(COUNTER, number(1_u64)));
                if named.is_some_and(|named| named != to) || row.is_handed_over() {
                    change += &format!(", {}", words.pair(SWITCHES, number(1_u64)));
                }
                change
            }
        };
        self.update(&row.lease.shard, (condition, change, words))
            .await
    }

    async fn put(
        &self,
        table: &str,
        item: Item,
        condition: impl FnOnce(&mut Words) -> String + Send,
    ) -> Held {
        let mut words = Words::default();
        let condition = condition(&mut words);
        let (names, values) = words.into_parts();
        let put = self.inner.renewals.put_item().table_name(table);
        let reply = put
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .send()
            .await;
        self.held("PutItem", reply.map(drop))
    }

    fn held<E>(&self, operation: &'static str, reply: Result<(), SdkError<E>>) -> Held
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match reply {
            Ok(()) => Ok(true),
            Err(failure) if failure.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(failure) => Err(self.inner.failed(operation, failure)),
        }
    }
}

/// `exists AND version = ... AND owner = ...`, as the lock client has it.
fn is_held(words: &mut Words, home: &Home, owner: &str, version: &str) -> String {
    [
        format!("attribute_exists({})", words.name(home.state.key)),
        words.equals(LOCK_VERSION, text(version)),
        words.equals(LOCK_OWNER, text(owner)),
    ]
    .join(" AND ")
}
