//! One table: its rows under one lock, what it was created with, and what DescribeTable says.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use serde::{Serialize, Serializer};

use super::schema::{Key, Schema};
use super::value::{Item, item_size};

/// What a table was created with.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    pub(crate) billing: Billing,
    pub(crate) deletion_protection: bool,
    pub(crate) class: Option<String>,
}

/// How a table is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Billing {
    Provisioned { read: i64, write: i64 },
    OnDemand,
}

/// Where a table is in its life; what is over shows only when somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Created, ready at this time.
    Ready(SystemTime),
    /// Deleted, gone at this time.
    Gone(SystemTime),
}

/// What DescribeTable calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Creating,
    Active,
    Deleting,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) definition: Definition,
    arn: String,
    id: String,
    created: SystemTime,
    phase: Mutex<Phase>,
    pub(crate) rows: RwLock<Rows>,
}

impl Table {
    /// A table that is ready at `ready`. `arn` and `id` are as they will be described.
    pub(crate) fn new(
        definition: Definition,
        (arn, id): (String, String),
        created: SystemTime,
        ready: SystemTime,
    ) -> Self {
        let phase = Mutex::new(Phase::Ready(ready));
        Self {
            definition,
            arn,
            id,
            created,
            phase,
            rows: RwLock::default(),
        }
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.definition.schema
    }

    /// Its status at `now`; nothing once it is gone.
    pub(crate) fn status(&self, now: SystemTime) -> Option<Status> {
        match *self.phase.lock() {
            Phase::Ready(at) if now < at => Some(Status::Creating),
            Phase::Ready(_) => Some(Status::Active),
            Phase::Gone(at) if now < at => Some(Status::Deleting),
            Phase::Gone(_) => None,
        }
    }

    /// Deletes it: it is gone at `at`.
    pub(crate) fn delete(&self, at: SystemTime) {
        *self.phase.lock() = Phase::Gone(at);
    }

    /// What DescribeTable says, with this status.
    pub(crate) fn describe(&self, status: Status) -> Description<'_> {
        let definition = &self.definition;
        let (read, write, on_demand) = match definition.billing {
            Billing::Provisioned { read, write } => (read, write, None),
            Billing::OnDemand => (0, 0, Some(self.created)),
        };
        let schema = &definition.schema;
        let kinds = ["HASH", "RANGE"];
        let rows = self.rows.read();
        let mut attributes: Vec<_> = schema
            .attributes()
            .map(|key| AttributeDefinition {
                attribute_name: &key.name,
                attribute_type: key.kind.name(),
            })
            .collect();
        attributes.sort_by_key(|definition| definition.attribute_name);
        Description {
            attribute_definitions: attributes,
            table_name: &definition.name,
            key_schema: schema
                .attributes()
                .zip(kinds)
                .map(|(key, key_type)| KeySchemaElement {
                    attribute_name: &key.name,
                    key_type,
                })
                .collect(),
            table_status: status.name(),
            creation_date_time: Seconds(self.created),
            provisioned_throughput: ProvisionedThroughput {
                number_of_decreases_today: 0,
                read_capacity_units: read,
                write_capacity_units: write,
            },
            table_size_bytes: rows.bytes,
            item_count: rows.items.len(),
            table_arn: &self.arn,
            table_id: &self.id,
            billing_mode_summary: on_demand.map(|since| BillingModeSummary {
                billing_mode: "PAY_PER_REQUEST",
                last_update_to_pay_per_request_date_time: Seconds(since),
            }),
            table_class_summary: definition
                .class
                .as_deref()
                .map(|table_class| TableClassSummary { table_class }),
            deletion_protection_enabled: definition.deletion_protection,
        }
    }
}

/// The rows of a table in the order of a scan.
///
/// A row is shared with whoever reads it, so the lock is held only while looking it up.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    items: BTreeMap<Key, Arc<Item>>,
    bytes: usize,
}

impl Rows {
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Item>> {
        self.items.get(key)
    }

    /// The only door by which a row changes.
    pub(crate) fn put(&mut self, key: Key, item: Arc<Item>) {
        self.bytes += item_size(&item);
        if let Some(old) = self.items.insert(key, item) {
            self.bytes -= item_size(&old);
        }
    }

    /// As [`Rows::put`], for a row that goes.
    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(old) = self.items.remove(key) {
            self.bytes -= item_size(&old);
        }
    }

    pub(crate) fn range(
        &self,
        from: Bound<&Key>,
        to: Bound<&Key>,
    ) -> impl DoubleEndedIterator<Item = (&Key, &Arc<Item>)> {
        // An empty range between two bounds in the wrong order is no range to a BTreeMap.
        let inverted = match (from, to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        };
        let range = (!inverted).then(|| self.items.range::<Key, _>((from, to)));
        range.into_iter().flatten()
    }
}

/// A time as seconds since 1970, with a fraction.
#[derive(Debug)]
pub(crate) struct Seconds(SystemTime);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let since = self
            .0
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        // Milliseconds, as the service has them.
        out.serialize_f64(since.as_millis() as f64 / 1000.0)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Description<'a> {
    attribute_definitions: Vec<AttributeDefinition<'a>>,
    table_name: &'a str,
    key_schema: Vec<KeySchemaElement<'a>>,
    table_status: &'static str,
    creation_date_time: Seconds,
    provisioned_throughput: ProvisionedThroughput,
    table_size_bytes: usize,
    item_count: usize,
    table_arn: &'a str,
    table_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_mode_summary: Option<BillingModeSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_class_summary: Option<TableClassSummary<'a>>,
    deletion_protection_enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition<'a> {
    attribute_name: &'a str,
    attribute_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeySchemaElement<'a> {
    attribute_name: &'a str,
    key_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProvisionedThroughput {
    number_of_decreases_today: u32,
    read_capacity_units: i64,
    write_capacity_units: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BillingModeSummary {
    billing_mode: &'static str,
    last_update_to_pay_per_request_date_time: Seconds,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TableClassSummary<'a> {
    table_class: &'a str,
}
