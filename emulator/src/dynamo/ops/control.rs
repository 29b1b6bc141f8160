//! CreateTable, DescribeTable, DeleteTable, ListTables.

use serde::{Deserialize, Serialize};

use super::{Caller, Presence, TableName, reply};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::{KeyAttribute, KeyKind, Schema};
use crate::dynamo::table::{Billing, Definition, Description, Status};
use crate::dynamo::wire::{Choice, Constraints, Text, read};

/// Most names in one reply of ListTables.
const NAMES_MAX: i64 = 100;
/// Most capacity units of one table.
const UNITS_MAX: i64 = 1_000_000_000_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct CreateTable<'a> {
    table_name: Option<Text<'a>>,
    attribute_definitions: Option<Vec<AttributeDefinition<'a>>>,
    key_schema: Option<Vec<KeySchemaElement<'a>>>,
    billing_mode: Option<Text<'a>>,
    provisioned_throughput: Option<ProvisionedThroughput>,
    table_class: Option<Text<'a>>,
    deletion_protection_enabled: Option<bool>,
    local_secondary_indexes: Presence,
    global_secondary_indexes: Presence,
    stream_specification: Option<StreamSpecification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct AttributeDefinition<'a> {
    attribute_name: Option<Text<'a>>,
    attribute_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct KeySchemaElement<'a> {
    attribute_name: Option<Text<'a>>,
    key_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProvisionedThroughput {
    read_capacity_units: Option<i64>,
    write_capacity_units: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamSpecification {
    stream_enabled: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyType {
    Hash,
    Range,
}

impl Choice for KeyType {
    const ALL: &'static [(&'static str, Self)] = &[("HASH", Self::Hash), ("RANGE", Self::Range)];
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BillingMode {
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
struct TableClass;

impl Choice for TableClass {
    const ALL: &'static [(&'static str, Self)] =
        &[("STANDARD", Self), ("STANDARD_INFREQUENT_ACCESS", Self)];
}

/// The names and choices of a request that passed the model's constraints.
struct Checked {
    attributes: Vec<KeyAttribute>,
    keys: Vec<(String, KeyType)>,
    billing: Option<BillingMode>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TableDescription<'a> {
    table_description: Description<'a>,
}

pub(crate) fn create_table(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: CreateTable<'_> = read(body)?;
    let table_name = TableName::new(request.table_name.take())?;
    let checked = request.check_model(&table_name)?;
    let billing = request.billing(checked.billing)?;
    let schema = schema(&checked)?;
    request.check_built()?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?
        .to_owned();
    let definition = Definition {
        name,
        schema,
        billing,
        deletion_protection: request.deletion_protection_enabled.unwrap_or(false),
        class: request.table_class.map(|class| class.0.into_owned()),
    };
    let table = caller
        .catalog
        .create(caller.scope, definition, caller.now)?;
    // The reply always says so, however soon the table is ready.
    Ok(reply(&TableDescription {
        table_description: table.describe(Status::Creating),
    }))
}

impl CreateTable<'_> {
    fn check_model(&self, table_name: &TableName<'_>) -> Result<Checked, Refusal> {
        let mut limits = Constraints::default();
        let mut checked = Checked {
            attributes: Vec::new(),
            keys: Vec::new(),
            billing: None,
        };
        match &self.attribute_definitions {
            None => limits.refuse(None, "attributeDefinitions", "Member must not be null"),
            Some(definitions) => {
                for (place, definition) in (1..).zip(definitions) {
                    let path = format!("attributeDefinitions.{place}.member");
                    let name = key_name(&mut limits, definition.attribute_name.as_ref(), &path);
                    let path = format!("{path}.attributeType");
                    let kind = present(&mut limits, definition.attribute_type.as_ref(), &path);
                    let kind = limits.choice::<KeyKind>(kind, &path);
                    let both = name.zip(kind);
                    checked
                        .attributes
                        .extend(both.map(|(name, kind)| KeyAttribute { name, kind }));
                }
            }
        }
        table_name.check(&mut limits);
        checked.billing = limits.choice::<BillingMode>(self.billing_mode.as_ref(), "billingMode");
        if let Some(throughput) = &self.provisioned_throughput {
            let path = |field: &str| format!("provisionedThroughput.{field}");
            for (units, field) in [
                (throughput.write_capacity_units, "writeCapacityUnits"),
                (throughput.read_capacity_units, "readCapacityUnits"),
            ] {
                if units.is_none() {
                    limits.refuse(None, &path(field), "Member must not be null");
                }
                limits.range(units, &path(field), 1, i64::MAX);
            }
        }
        match &self.key_schema {
            None => limits.refuse(None, "keySchema", "Member must not be null"),
            Some(schema) => {
                let shown = format!("[{} elements]", schema.len());
                limits.length(&shown, schema.len(), "keySchema", (1, 2));
                for (place, key) in (1..).zip(schema) {
                    let path = format!("keySchema.{place}.member");
                    let name = key_name(&mut limits, key.attribute_name.as_ref(), &path);
                    let path = format!("{path}.keyType");
                    let kind = present(&mut limits, key.key_type.as_ref(), &path);
                    checked
                        .keys
                        .extend(name.zip(limits.choice::<KeyType>(kind, &path)));
                }
            }
        }
        limits.choice::<TableClass>(self.table_class.as_ref(), "tableClass");
        limits.check()?;
        Ok(checked)
    }

    fn billing(&self, mode: Option<BillingMode>) -> Result<Billing, Refusal> {
        let throughput = &self.provisioned_throughput;
        if mode == Some(BillingMode::PayPerRequest) {
            return match throughput {
                None => Ok(Billing::OnDemand),
                Some(_) => Err(Refusal::invalid_value(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                     BillingMode is PAY_PER_REQUEST",
                )),
            };
        }
        let units = throughput.as_ref().and_then(|throughput| {
            throughput
                .read_capacity_units
                .zip(throughput.write_capacity_units)
        });
        let Some((read, write)) = units else {
            return Err(Refusal::invalid_value(
                "ReadCapacityUnits and WriteCapacityUnits must both be specified when \
                 BillingMode is PROVISIONED",
            ));
        };
        for (units, name) in [(read, "ReadCapacityUnits"), (write, "WriteCapacityUnits")] {
            if units > UNITS_MAX {
                return Err(Refusal::validation(format!(
                    "Given value {units} for {name} is out of bounds"
                )));
            }
        }
        Ok(Billing::Provisioned { read, write })
    }

    /// Refuses what this emulator would otherwise leave out in silence.
    fn check_built(&self) -> Result<(), Refusal> {
        let streams = self.stream_specification.as_ref();
        for (parameter, asked) in [
            (
                "LocalSecondaryIndexes",
                self.local_secondary_indexes.is_some(),
            ),
            (
                "GlobalSecondaryIndexes",
                self.global_secondary_indexes.is_some(),
            ),
            (
                "StreamSpecification",
                streams.is_some_and(|s| s.stream_enabled == Some(true)),
            ),
        ] {
            if asked {
                tracing::warn!(parameter, "CreateTable asks for what is not built");
                return Err(Refusal::validation(format!(
                    "This emulator does not know the parameter {parameter} yet"
                )));
            }
        }
        Ok(())
    }
}

/// A member that must be there.
fn present<'t, 'a>(
    limits: &mut Constraints,
    value: Option<&'t Text<'a>>,
    path: &str,
) -> Option<&'t Text<'a>> {
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

/// The keys, each of which must be defined, and nothing else.
fn schema(checked: &Checked) -> Result<Schema, Refusal> {
    let names: Vec<_> = checked.keys.iter().map(|(name, _)| name.as_str()).collect();
    let defined: Vec<_> = checked
        .attributes
        .iter()
        .map(|attribute| attribute.name.as_str())
        .collect();
    if names.len() > defined.len() {
        return Err(Refusal::validation(
            "Invalid KeySchema: Some index key attribute have no definition",
        ));
    }
    if names.iter().any(|name| !defined.contains(name)) {
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
    for ((place, name, due), (_, found)) in order.iter().zip(&checked.keys) {
        if due != found {
            return Err(Refusal::validation(format!(
                "Invalid KeySchema: The {place} KeySchemaElement is not a {name} key type"
            )));
        }
    }
    if names.len() != defined.len() {
        return Err(Refusal::invalid_value(
            "Number of attributes in KeySchema does not exactly match number of attributes \
             defined in AttributeDefinitions",
        ));
    }
    let mut keys = names.iter().filter_map(|name| {
        checked
            .attributes
            .iter()
            .find(|attribute| attribute.name == *name)
            .cloned()
    });
    let partition = keys.next().ok_or_else(|| {
        Refusal::validation("Invalid KeySchema: Some index key attribute have no definition")
    })?;
    Ok(Schema {
        partition,
        sort: keys.next(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct NamesTable<'a> {
    table_name: Option<Text<'a>>,
}

fn named_table(body: &[u8]) -> Result<TableName<'_>, Refusal> {
    let request: NamesTable<'_> = read(body)?;
    let table_name = TableName::new(request.table_name)?;
    let mut limits = Constraints::default();
    table_name.check(&mut limits);
    limits.check()?;
    Ok(table_name)
}

pub(crate) fn describe_table(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'a> {
        table: Description<'a>,
    }
    let table_name = named_table(body)?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    let (table, status) = caller
        .catalog
        .find(caller.scope, name, caller.now)
        .ok_or_else(|| Refusal::no_table(name))?;
    Ok(reply(&Reply {
        table: table.describe(status),
    }))
}

pub(crate) fn delete_table(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let table_name = named_table(body)?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    let table = caller.catalog.delete(caller.scope, name, caller.now)?;
    Ok(reply(&TableDescription {
        table_description: table.describe(Status::Deleting),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct ListTables<'a> {
    exclusive_start_table_name: Option<Text<'a>>,
    limit: Option<i64>,
}

pub(crate) fn list_tables(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'a> {
        table_names: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        last_evaluated_table_name: Option<&'a str>,
    }
    let request: ListTables<'_> = read(body)?;
    let mut limits = Constraints::default();
    if let Some(name) = &request.exclusive_start_table_name {
        let path = "exclusiveStartTableName";
        limits.name(name, path);
        limits.length(&&**name, name.len(), path, (3, 255));
    }
    limits.range(request.limit, "limit", 1, NAMES_MAX);
    limits.check()?;
    let limit = usize::try_from(request.limit.unwrap_or(NAMES_MAX)).unwrap_or(usize::MAX);
    let after = request.exclusive_start_table_name.as_deref();
    let (names, more) = caller.catalog.list(caller.scope, after, limit, caller.now);
    let last = names.last().filter(|_| more);
    Ok(reply(&Reply {
        table_names: &names,
        last_evaluated_table_name: last.map(String::as_str),
    }))
}
