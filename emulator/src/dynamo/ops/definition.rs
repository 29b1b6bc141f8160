//! How requests define tables and indexes: keys, projections, throughput. Shared by CreateTable and
//! UpdateTable, which check the same parts.

use serde::Deserialize;

use crate::dynamo::index::{self, Projection, ProjectionType, Reach};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::{KeyAttribute, KeyKind, Schema};
use crate::dynamo::table::Billing;
use crate::dynamo::wire::{Choice, Constraints, Text};

/// Most capacity units of one table or index.
const UNITS_MAX: i64 = 1_000_000_000_000;
/// Most attributes that one projection may name besides the keys.
const NON_KEYS_MAX: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(super) struct AttributeDefinition<'a> {
    attribute_name: Option<Text<'a>>,
    attribute_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(super) struct KeySchemaElement<'a> {
    attribute_name: Option<Text<'a>>,
    key_type: Option<Text<'a>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProvisionedThroughput {
    read_capacity_units: Option<i64>,
    write_capacity_units: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct ProjectionRequest<'a> {
    projection_type: Option<Text<'a>>,
    non_key_attributes: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(super) struct IndexRequest<'a> {
    index_name: Option<Text<'a>>,
    key_schema: Option<Vec<KeySchemaElement<'a>>>,
    projection: Option<ProjectionRequest<'a>>,
    provisioned_throughput: Option<ProvisionedThroughput>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    Hash,
    Range,
}

impl Choice for KeyType {
    const ALL: &'static [(&'static str, Self)] = &[("HASH", Self::Hash), ("RANGE", Self::Range)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BillingMode {
    Provisioned,
    PayPerRequest,
}

impl Choice for BillingMode {
    const ALL: &'static [(&'static str, Self)] = &[
        ("PROVISIONED", Self::Provisioned),
        ("PAY_PER_REQUEST", Self::PayPerRequest),
    ];
}

#[derive(Clone, Copy)]
pub(super) struct TableClass;

impl Choice for TableClass {
    const ALL: &'static [(&'static str, Self)] =
        &[("STANDARD", Self), ("STANDARD_INFREQUENT_ACCESS", Self)];
}

/// The keys of a table or an index, as a request names them.
pub(super) type Keys = Vec<(String, KeyType)>;

/// An index whose parts passed the model's constraints.
pub(super) struct IndexParts {
    pub(super) name: String,
    pub(super) keys: Keys,
    projection: Option<ProjectionType>,
    non_keys: Option<Vec<String>>,
    throughput: Option<ProvisionedThroughput>,
}

/// A list as constraints show it: how long it is.
pub(super) fn elements(count: usize) -> String {
    if count == 0 {
        return "[]".to_owned();
    }
    format!("[{count} elements]")
}

/// A member that must be there.
fn present<'t, T>(limits: &mut Constraints, value: Option<&'t T>, path: &str) -> Option<&'t T> {
    if value.is_none() {
        limits.refuse(None, path, "Member must not be null");
    }
    value
}

fn key_name(limits: &mut Constraints, name: Option<&Text<'_>>, path: &str) -> Option<String> {
    let path = format!("{path}.attributeName");
    let name = present(limits, name, &path)?;
    limits.length(&&**name, name.len(), &path, (1, 255));
    Some((**name).to_owned())
}

/// The definitions, as far as they are right.
pub(super) fn attributes(
    limits: &mut Constraints,
    definitions: &[AttributeDefinition<'_>],
) -> Vec<KeyAttribute> {
    let mut attributes = Vec::new();
    for (place, definition) in (1..).zip(definitions) {
        let path = format!("attributeDefinitions.{place}.member");
        let name = key_name(limits, definition.attribute_name.as_ref(), &path);
        let path = format!("{path}.attributeType");
        let kind = present(limits, definition.attribute_type.as_ref(), &path);
        let kind = limits.choice::<KeyKind>(kind, &path);
        let both = name.zip(kind);
        attributes.extend(both.map(|(name, kind)| KeyAttribute { name, kind }));
    }
    attributes
}

/// The keys, as far as they are right.
pub(super) fn keys(
    limits: &mut Constraints,
    schema: Option<&Vec<KeySchemaElement<'_>>>,
    path: &str,
) -> Keys {
    let mut keys = Vec::new();
    let Some(schema) = present(limits, schema, path) else {
        return keys;
    };
    limits.length(&elements(schema.len()), schema.len(), path, (1, 2));
    for (place, key) in (1..).zip(schema) {
        let path = format!("{path}.{place}.member");
        let name = key_name(limits, key.attribute_name.as_ref(), &path);
        let path = format!("{path}.keyType");
        let kind = present(limits, key.key_type.as_ref(), &path);
        keys.extend(name.zip(limits.choice::<KeyType>(kind, &path)));
    }
    keys
}

impl ProvisionedThroughput {
    pub(super) fn check_model(self, limits: &mut Constraints, path: &str) {
        let path = |field: &str| format!("{path}.{field}");
        for (units, field) in [
            (self.write_capacity_units, "writeCapacityUnits"),
            (self.read_capacity_units, "readCapacityUnits"),
        ] {
            present(limits, units.as_ref(), &path(field));
            limits.range(units, &path(field), 1, i64::MAX);
        }
    }

    /// Units to read and to write; `of` says whose, where that is an index.
    pub(super) fn units(self, of: &str) -> Result<(i64, i64), Refusal> {
        let read = self.read_capacity_units.unwrap_or_default();
        let write = self.write_capacity_units.unwrap_or_default();
        for (units, name) in [(read, "ReadCapacityUnits"), (write, "WriteCapacityUnits")] {
            if units > UNITS_MAX {
                return Err(Refusal::validation(format!(
                    "Given value {units} for {name} is out of bounds{of}"
                )));
            }
        }
        Ok((read, write))
    }
}

/// How a table is paid for, from its mode and the throughput that goes with it.
pub(super) fn billing(
    mode: Option<BillingMode>,
    throughput: Option<ProvisionedThroughput>,
) -> Result<Billing, Refusal> {
    if mode == Some(BillingMode::PayPerRequest) {
        return match throughput {
            None => Ok(Billing::OnDemand),
            Some(_) => Err(Refusal::invalid_value(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                 BillingMode is PAY_PER_REQUEST",
            )),
        };
    }
    let Some(throughput) = throughput else {
        return Err(Refusal::invalid_value(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when \
             BillingMode is PROVISIONED",
        ));
    };
    let (read, write) = throughput.units("")?;
    Ok(Billing::Provisioned { read, write })
}

impl IndexRequest<'_> {
    /// Its parts, as far as they are right.
    pub(super) fn check_model(
        &self,
        limits: &mut Constraints,
        path: &str,
        reach: Reach,
    ) -> Option<IndexParts> {
        let name_path = format!("{path}.indexName");
        let name = present(limits, self.index_name.as_ref(), &name_path);
        if let Some(name) = name {
            limits.name(name, &name_path);
            limits.length(&&**name, name.len(), &name_path, (3, 255));
        }
        let keys = keys(
            limits,
            self.key_schema.as_ref(),
            &format!("{path}.keySchema"),
        );
        let projection_path = format!("{path}.projection");
        let projection = present(limits, self.projection.as_ref(), &projection_path);
        let (mut kind, mut non_keys) = (None, None);
        if let Some(projection) = projection {
            let path = format!("{projection_path}.projectionType");
            kind = limits.choice::<ProjectionType>(projection.projection_type.as_ref(), &path);
            if let Some(names) = &projection.non_key_attributes {
                let path = format!("{projection_path}.nonKeyAttributes");
                let names: Vec<_> = names.iter().map(|name| (**name).to_owned()).collect();
                let shown = format!("[{}]", names.join(", "));
                limits.length(&shown, names.len(), &path, (1, NON_KEYS_MAX));
                non_keys = Some(names);
            }
        }
        let throughput = self
            .provisioned_throughput
            .filter(|_| reach == Reach::Global);
        if let Some(throughput) = throughput {
            throughput.check_model(limits, &format!("{path}.provisionedThroughput"));
        }
        Some(IndexParts {
            name: (**name?).to_owned(),
            keys,
            projection: kind,
            non_keys,
            throughput,
        })
    }
}

impl IndexParts {
    /// The index, if it goes with the attributes that are defined and with how the table is paid for.
    pub(super) fn define(
        self,
        reach: Reach,
        attributes: &[KeyAttribute],
        billing: Billing,
    ) -> Result<index::Definition, Refusal> {
        let Self {
            name,
            keys,
            projection,
            non_keys,
            throughput,
        } = self;
        let schema = schema(&keys, attributes)?;
        let projection = match (projection, non_keys) {
            (None, _) => return Err(Refusal::invalid_value("Unknown ProjectionType: null")),
            (Some(ProjectionType::All), None) => Projection::All,
            (Some(ProjectionType::KeysOnly), None) => Projection::KeysOnly,
            (Some(ProjectionType::Include), Some(names)) => Projection::Include(names),
            (Some(ProjectionType::Include), None) => {
                return Err(Refusal::invalid_value(
                    "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
                ));
            }
            (Some(kind), Some(_)) => {
                let kind = ProjectionType::ALL.iter().find(|(_, known)| *known == kind);
                let kind = kind.map_or("", |(name, _)| name);
                return Err(Refusal::invalid_value(format!(
                    "ProjectionType is {kind}, but NonKeyAttributes is specified"
                )));
            }
        };
        let throughput = match (reach, billing, throughput) {
            (Reach::Local, ..) => None,
            (Reach::Global, Billing::Provisioned { .. }, None) => {
                return Err(Refusal::invalid_value(format!(
                    "ProvisionedThroughput should be specified for index: {name}"
                )));
            }
            (Reach::Global, Billing::OnDemand, Some(_)) => {
                return Err(Refusal::invalid_value(format!(
                    "ProvisionedThroughput should not be specified for index: {name} when \
                     BillingMode is PAY_PER_REQUEST"
                )));
            }
            (Reach::Global, _, throughput) => throughput
                .map(|throughput| throughput.units(&format!(" for index {name}")))
                .transpose()?,
        };
        Ok(index::Definition {
            name,
            reach,
            schema,
            projection,
            throughput,
        })
    }
}

/// The keys of a table or an index; each must be defined.
pub(super) fn schema(keys: &Keys, attributes: &[KeyAttribute]) -> Result<Schema, Refusal> {
    let names: Vec<_> = keys.iter().map(|(name, _)| name.as_str()).collect();
    let defined = |name: &str| attributes.iter().find(|defined| defined.name == name);
    if names.iter().any(|name| defined(name).is_none()) {
        let defined: Vec<_> = attributes.iter().map(|key| key.name.as_str()).collect();
        return Err(Refusal::invalid_value(format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], \
             AttributeDefinitions: [{}]",
            names.join(", "),
            defined.join(", ")
        )));
    }
    if names.len() == 2 && names[0] == names[1] {
        return Err(Refusal::validation(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ));
    }
    let order = [
        ("first", "HASH", KeyType::Hash),
        ("second", "RANGE", KeyType::Range),
    ];
    for ((place, name, due), (_, found)) in order.iter().zip(keys) {
        if due != found {
            return Err(Refusal::validation(format!(
                "Invalid KeySchema: The {place} KeySchemaElement is not a {name} key type"
            )));
        }
    }
    let mut found = names.iter().filter_map(|name| defined(name).cloned());
    let partition = found.next().ok_or_else(|| {
        Refusal::validation("Invalid KeySchema: Some index key attribute have no definition")
    })?;
    Ok(Schema {
        partition,
        sort: found.next(),
    })
}

/// Refuses definitions of attributes that no key uses.
pub(super) fn check_used<'s>(
    attributes: &[KeyAttribute],
    schemas: impl Iterator<Item = &'s Schema>,
) -> Result<(), Refusal> {
    let mut used: Vec<&str> = schemas
        .flat_map(Schema::attributes)
        .map(|key| key.name.as_str())
        .collect();
    used.sort_unstable();
    used.dedup();
    let defined: Vec<_> = attributes.iter().map(|key| key.name.as_str()).collect();
    if defined.iter().all(|name| used.contains(name)) {
        return Ok(());
    }
    Err(Refusal::invalid_value(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: [{}], keys used: [{}]",
        defined.join(", "),
        used.join(", ")
    )))
}
