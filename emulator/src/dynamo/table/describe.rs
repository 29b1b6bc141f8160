//! What DescribeTable and its kin say of a table.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::{Billing, Config, Table};
use crate::dynamo::index::{Index, Projection, Reach};
use crate::dynamo::life::Status;
use crate::dynamo::schema::{KeyAttribute, Schema};

/// A time as seconds since 1970, with a fraction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) SystemTime);

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
pub(crate) struct Description {
    attribute_definitions: Vec<AttributeDefinition>,
    table_name: String,
    key_schema: Vec<KeySchemaElement>,
    table_status: &'static str,
    creation_date_time: Seconds,
    provisioned_throughput: ProvisionedThroughput,
    table_size_bytes: usize,
    item_count: usize,
    table_arn: String,
    table_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_mode_summary: Option<BillingModeSummary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    local_secondary_indexes: Vec<IndexDescription>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    global_secondary_indexes: Vec<IndexDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_class_summary: Option<TableClassSummary>,
    deletion_protection_enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeySchemaElement {
    attribute_name: String,
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
struct TableClassSummary {
    table_class: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct IndexDescription {
    index_name: String,
    key_schema: Vec<KeySchemaElement>,
    projection: ProjectionDescription,
    #[serde(skip_serializing_if = "Option::is_none")]
    index_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backfilling: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioned_throughput: Option<ProvisionedThroughput>,
    index_size_bytes: usize,
    item_count: usize,
    index_arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProjectionDescription {
    projection_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    non_key_attributes: Option<Vec<String>>,
}

impl Description {
    /// Shows a global index as still on its way in or out, however soon that is over.
    pub(crate) fn mark(&mut self, index: &str, status: Status) {
        let mut all = self.global_secondary_indexes.iter_mut();
        if let Some(found) = all.find(|found| found.index_name == index) {
            found.index_status = Some(status.name());
            found.backfilling = Some(status == Status::Creating);
        }
    }
}

impl Billing {
    fn units(self) -> ProvisionedThroughput {
        let (read, write) = match self {
            Self::Provisioned { read, write } => (read, write),
            Self::OnDemand => (0, 0),
        };
        ProvisionedThroughput {
            number_of_decreases_today: 0,
            read_capacity_units: read,
            write_capacity_units: write,
        }
    }

    fn mode(self) -> &'static str {
        match self {
            Self::Provisioned { .. } => "PROVISIONED",
            Self::OnDemand => "PAY_PER_REQUEST",
        }
    }
}

impl Schema {
    fn describe(&self) -> Vec<KeySchemaElement> {
        let kinds = ["HASH", "RANGE"];
        self.attributes()
            .zip(kinds)
            .map(|(key, key_type)| KeySchemaElement {
                attribute_name: key.name.clone(),
                key_type,
            })
            .collect()
    }
}

impl Projection {
    fn describe(&self) -> ProjectionDescription {
        let (projection_type, non_key_attributes) = match self {
            Self::All => ("ALL", None),
            Self::KeysOnly => ("KEYS_ONLY", None),
            Self::Include(names) => ("INCLUDE", Some(names.clone())),
        };
        ProjectionDescription {
            projection_type,
            non_key_attributes,
        }
    }
}

impl Table {
    /// What DescribeTable says at `now`, with this status.
    pub(crate) fn describe(&self, status: Status, now: SystemTime) -> Description {
        // ORDER: rows before settings, as writers do.
        let rows = self.rows.read();
        let config = self.config.read();
        // What only an index that is gone was about is not defined any more.
        let is_used = |key: &&KeyAttribute| {
            let mut indexes = rows.indexes().iter();
            self.schema.has(&key.name)
                || indexes.any(|index| {
                    index.life.status(now).is_some() && index.definition.schema.has(&key.name)
                })
        };
        let mut attribute_definitions: Vec<_> = config
            .attributes
            .iter()
            .filter(is_used)
            .map(|key| AttributeDefinition {
                attribute_name: key.name.clone(),
                attribute_type: key.kind.name(),
            })
            .collect();
        attribute_definitions.sort_by(|a, b| a.attribute_name.cmp(&b.attribute_name));
        let indexes = |reach: Reach| {
            let all = rows.indexes().iter();
            all.filter(|index| index.definition.reach == reach)
                .filter_map(|index| self.describe_index(&config, index, status, now))
                .collect()
        };
        Description {
            attribute_definitions,
            table_name: self.name.clone(),
            key_schema: self.schema.describe(),
            table_status: status.name(),
            creation_date_time: Seconds(self.created),
            provisioned_throughput: config.billing.units(),
            table_size_bytes: rows.bytes(),
            item_count: rows.len(),
            table_arn: self.arn.clone(),
            table_id: self.id.clone(),
            billing_mode_summary: config.on_demand_since.map(|since| BillingModeSummary {
                billing_mode: config.billing.mode(),
                last_update_to_pay_per_request_date_time: Seconds(since),
            }),
            local_secondary_indexes: indexes(Reach::Local),
            global_secondary_indexes: indexes(Reach::Global),
            table_class_summary: config
                .class
                .clone()
                .map(|table_class| TableClassSummary { table_class }),
            deletion_protection_enabled: config.deletion_protection,
        }
    }

    /// Nothing for an index that is gone.
    fn describe_index(
        &self,
        config: &Config,
        index: &Index,
        table: Status,
        now: SystemTime,
    ) -> Option<IndexDescription> {
        let definition = &index.definition;
        let is_global = definition.reach == Reach::Global;
        let status = index.life.status(now)?;
        // An index that came with its table has nothing to fill, and is ready with it.
        let status = if table == Status::Creating {
            table
        } else {
            status
        };
        let is_filling = status == Status::Creating && table != Status::Creating;
        let billing = match (config.billing, definition.throughput) {
            (Billing::Provisioned { .. }, Some((read, write))) => {
                Billing::Provisioned { read, write }
            }
            (billing, _) => billing,
        };
        Some(IndexDescription {
            index_name: definition.name.clone(),
            key_schema: definition.schema.describe(),
            projection: definition.projection.describe(),
            index_status: is_global.then(|| status.name()),
            backfilling: (is_global && is_filling).then_some(true),
            provisioned_throughput: is_global.then(|| billing.units()),
            index_size_bytes: index.bytes(),
            item_count: index.len(),
            index_arn: self.index_arn(&definition.name),
        })
    }
}
