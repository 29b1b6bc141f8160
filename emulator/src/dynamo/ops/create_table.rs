//! CreateTable: a table with its indexes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::definition::{
    AttributeDefinition, BillingMode, IndexParts, IndexRequest, KeySchemaElement, Keys,
    ProvisionedThroughput, TableClass, attributes, billing, check_used, keys, schema,
};
use super::tables::TableDescription;
use super::tags::{Tag, checked_tags};
use super::{Caller, Presence, TableName, reply};
use crate::dynamo::index::{self, Reach};
use crate::dynamo::life::Status;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::{KeyAttribute, Schema};
use crate::dynamo::table::{Billing, Config, Definition};
use crate::dynamo::wire::{Constraints, Text, read};

/// Most local indexes of one table.
const LOCAL_MAX: usize = 5;
/// Most global indexes of one table.
pub(super) const GLOBAL_MAX: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    attribute_definitions: Option<Vec<AttributeDefinition<'a>>>,
    key_schema: Option<Vec<KeySchemaElement<'a>>>,
    billing_mode: Option<Text<'a>>,
    provisioned_throughput: Option<ProvisionedThroughput>,
    table_class: Option<Text<'a>>,
    deletion_protection_enabled: Option<bool>,
    local_secondary_indexes: Option<Vec<IndexRequest<'a>>>,
    global_secondary_indexes: Option<Vec<IndexRequest<'a>>>,
    tags: Option<Vec<Tag<'a>>>,
    stream_specification: Option<StreamSpecification>,
    resource_policy: Presence,
    on_demand_throughput: Presence,
    warm_throughput: Presence,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamSpecification {
    pub(super) stream_enabled: Option<bool>,
}

/// The parts of a request that passed the model's constraints.
struct Checked {
    attributes: Vec<KeyAttribute>,
    keys: Keys,
    billing: Option<BillingMode>,
    indexes: Vec<(Reach, IndexParts)>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: Request<'_> = read(body)?;
    let table_name = TableName::new(request.table_name.take())?;
    let mut checked = request.check_model(&table_name)?;
    let billing = billing(checked.billing, request.provisioned_throughput)?;
    request.check_lists()?;
    let (schema, indexes) = checked.define(billing)?;
    request.check_built()?;
    let tags = match request.tags {
        Some(tags) => checked_tags(tags)?,
        None => BTreeMap::new(),
    };
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?
        .to_owned();
    let now = caller.when.now;
    let definition = Definition {
        name,
        schema,
        indexes,
        config: Config {
            attributes: checked.attributes,
            billing,
            on_demand_since: (billing == Billing::OnDemand).then_some(now),
            deletion_protection: request.deletion_protection_enabled.unwrap_or(false),
            class: request.table_class.map(|class| class.0.into_owned()),
            tags,
            time_to_live: None,
            recovery: None,
            updating_until: now,
        },
    };
    let table = caller.catalog.create(caller.scope, definition, now)?;
    // The reply always says so, however soon the table is ready.
    Ok(reply(&TableDescription {
        table_description: table.describe(Status::Creating, now),
    }))
}

impl Request<'_> {
    fn check_model(&self, table_name: &TableName<'_>) -> Result<Checked, Refusal> {
        let mut limits = Constraints::default();
        let attributes = match &self.attribute_definitions {
            None => {
                limits.refuse(None, "attributeDefinitions", "Member must not be null");
                Vec::new()
            }
            Some(definitions) => attributes(&mut limits, definitions),
        };
        table_name.check(&mut limits);
        let billing = limits.choice::<BillingMode>(self.billing_mode.as_ref(), "billingMode");
        if let Some(throughput) = self.provisioned_throughput {
            throughput.check_model(&mut limits, "provisionedThroughput");
        }
        let keys = keys(&mut limits, self.key_schema.as_ref(), "keySchema");
        limits.choice::<TableClass>(self.table_class.as_ref(), "tableClass");
        let mut indexes = Vec::new();
        for (reach, list, path) in [
            (
                Reach::Local,
                &self.local_secondary_indexes,
                "localSecondaryIndexes",
            ),
            (
                Reach::Global,
                &self.global_secondary_indexes,
                "globalSecondaryIndexes",
            ),
        ] {
            for (place, index) in (1..).zip(list.iter().flatten()) {
                let path = format!("{path}.{place}.member");
                let parts = index.check_model(&mut limits, &path, reach);
                indexes.extend(parts.map(|parts| (reach, parts)));
            }
        }
        limits.check()?;
        Ok(Checked {
            attributes,
            keys,
            billing,
            indexes,
        })
    }

    /// Refuses lists of indexes that are empty or too long.
    fn check_lists(&self) -> Result<(), Refusal> {
        for (list, name, most) in [
            (
                &self.local_secondary_indexes,
                "LocalSecondaryIndexes",
                LOCAL_MAX,
            ),
            (
                &self.global_secondary_indexes,
                "GlobalSecondaryIndexes",
                GLOBAL_MAX,
            ),
        ] {
            match list {
                Some(list) if list.is_empty() => {
                    return Err(Refusal::invalid_value(format!("List of {name} is empty")));
                }
                Some(list) if list.len() > most => {
                    let singular = name.trim_end_matches("es");
                    return Err(Refusal::invalid_value(format!(
                        "{singular} count exceeds the per-table limit of {most}"
                    )));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Refuses what this emulator would otherwise leave out in silence.
    fn check_built(&self) -> Result<(), Refusal> {
        let streams = self.stream_specification.as_ref();
        let has_stream = streams.is_some_and(|stream| stream.stream_enabled == Some(true));
        check_built(&[
            ("StreamSpecification", has_stream),
            ("ResourcePolicy", self.resource_policy.is_some()),
            ("OnDemandThroughput", self.on_demand_throughput.is_some()),
            ("WarmThroughput", self.warm_throughput.is_some()),
        ])
    }
}

/// Refuses parameters that would change what a request means and that are not built.
pub(super) fn check_built(parameters: &[(&str, bool)]) -> Result<(), Refusal> {
    for (parameter, asked) in parameters {
        if *asked {
            tracing::warn!(parameter, "a table asks for what is not built");
            return Err(Refusal::validation(format!(
                "This emulator does not know the parameter {parameter} yet"
            )));
        }
    }
    Ok(())
}

impl Checked {
    /// The table's keys and its indexes.
    fn define(&mut self, billing: Billing) -> Result<(Schema, Vec<index::Definition>), Refusal> {
        if self.keys.len() > self.attributes.len() {
            return Err(Refusal::validation(
                "Invalid KeySchema: Some index key attribute have no definition",
            ));
        }
        let table = schema(&self.keys, &self.attributes)?;
        let parts = std::mem::take(&mut self.indexes);
        if parts.is_empty() && self.attributes.len() != self.keys.len() {
            return Err(Refusal::invalid_value(
                "Number of attributes in KeySchema does not exactly match number of attributes \
                 defined in AttributeDefinitions",
            ));
        }
        let mut names = BTreeSet::new();
        let mut indexes = Vec::new();
        for (reach, parts) in parts {
            if !names.insert(parts.name.clone()) {
                return Err(Refusal::invalid_value(format!(
                    "Duplicate index name: {}",
                    parts.name
                )));
            }
            let index = parts.define(reach, &self.attributes, billing)?;
            if reach == Reach::Local {
                check_local(&table, &index)?;
            }
            indexes.push(index);
        }
        let schemas = indexes.iter().map(|index| &index.schema);
        check_used(&self.attributes, std::iter::once(&table).chain(schemas))?;
        Ok((table, indexes))
    }
}

/// A local index has the table's partition key, and another sort key.
fn check_local(table: &Schema, index: &index::Definition) -> Result<(), Refusal> {
    let index::Definition { name, schema, .. } = index;
    if table.sort.is_none() {
        return Err(Refusal::invalid_value(
            "Table KeySchema does not have a range key, which is required when specifying a \
             LocalSecondaryIndex",
        ));
    }
    if schema.partition.name != table.partition.name {
        return Err(Refusal::invalid_value(format!(
            "Index KeySchema does not have the same leading hash key as table KeySchema for \
             index: {name}. index hash key: {}, table hash key: {}",
            schema.partition.name, table.partition.name
        )));
    }
    if schema.sort.is_none() {
        return Err(Refusal::invalid_value(format!(
            "Index KeySchema does not have a range key for index: {name}"
        )));
    }
    Ok(())
}
