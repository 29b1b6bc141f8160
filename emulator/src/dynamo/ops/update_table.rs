//! UpdateTable: indexes come and go, billing, throughput, protection against deletion, class.

use serde::Deserialize;

use super::create_table::{GLOBAL_MAX, StreamSpecification, check_built};
use super::definition::{
    AttributeDefinition, BillingMode, IndexParts, IndexRequest, ProvisionedThroughput, TableClass,
    attributes, billing,
};
use super::tables::TableDescription;
use super::{Caller, Presence, TableName, reply};
use crate::dynamo::index::{Index, Reach};
use crate::dynamo::life::{Life, Status};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::KeyAttribute;
use crate::dynamo::table::{Billing, Table};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    attribute_definitions: Option<Vec<AttributeDefinition<'a>>>,
    billing_mode: Option<Text<'a>>,
    provisioned_throughput: Option<ProvisionedThroughput>,
    global_secondary_index_updates: Option<Vec<IndexUpdate<'a>>>,
    deletion_protection_enabled: Option<bool>,
    table_class: Option<Text<'a>>,
    stream_specification: Option<StreamSpecification>,
    #[serde(rename = "SSESpecification")]
    sse_specification: Presence,
    replica_updates: Presence,
    on_demand_throughput: Presence,
    warm_throughput: Presence,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct IndexUpdate<'a> {
    create: Option<IndexRequest<'a>>,
    update: Option<ChangedIndex<'a>>,
    delete: Option<NamedIndex<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct ChangedIndex<'a> {
    index_name: Option<Text<'a>>,
    provisioned_throughput: Option<ProvisionedThroughput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct NamedIndex<'a> {
    index_name: Option<Text<'a>>,
}

/// What is to become of an index.
enum IndexChange {
    Create(IndexParts),
    Update(String, ProvisionedThroughput),
    Delete(String),
}

/// The parts of a request that passed the model's constraints.
struct Checked {
    attributes: Vec<KeyAttribute>,
    billing: Option<BillingMode>,
    indexes: Vec<IndexChange>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: Request<'_> = read(body)?;
    let table_name = TableName::new(request.table_name.take())?;
    let checked = request.check_model(&table_name)?;
    request.check_given()?;
    let has_stream = request.stream_specification.as_ref();
    let has_stream = has_stream.is_some_and(|stream| stream.stream_enabled == Some(true));
    check_built(&[
        ("StreamSpecification", has_stream),
        ("SSESpecification", request.sse_specification.is_some()),
        ("ReplicaUpdates", request.replica_updates.is_some()),
        ("OnDemandThroughput", request.on_demand_throughput.is_some()),
        ("WarmThroughput", request.warm_throughput.is_some()),
    ])?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    let now = caller.when.now;
    let found = caller.catalog.find(caller.scope, name, now);
    let (table, status) = found.ok_or_else(|| Refusal::no_table(name))?;
    match status {
        Status::Active => {}
        Status::Creating => return Err(Refusal::table_in_use(name, "created")),
        Status::Updating => return Err(Refusal::table_in_use(name, "updated")),
        Status::Deleting => return Err(Refusal::table_in_use(name, "deleted")),
    }
    let new_billing = request.billing(&checked, &table)?;
    let mut changing = None;
    for change in checked.indexes {
        let billing = new_billing.unwrap_or(table.config.read().billing);
        if let Some(name) = change.carry_out(&caller, &table, &checked.attributes, billing)? {
            changing = Some(name);
        }
    }
    request.set(&caller, &table, new_billing);
    // The reply always says so, however soon it is done.
    let mut table_description = table.describe(Status::Updating, now);
    if let Some((index, status)) = changing {
        table_description.mark(&index, status);
        let mut rows = table.rows.write();
        if let Some(index) = rows
            .index_mut(&index)
            .filter(|_| status == Status::Deleting)
        {
            index.life = Life::Gone(now + caller.catalog.delays.delete);
        }
        rows.drop_gone_indexes(now);
    }
    Ok(reply(&TableDescription { table_description }))
}

impl Request<'_> {
    fn check_model(&self, table_name: &TableName<'_>) -> Result<Checked, Refusal> {
        let mut limits = Constraints::default();
        let definitions = self.attribute_definitions.as_deref().unwrap_or_default();
        let attributes = attributes(&mut limits, definitions);
        table_name.check(&mut limits);
        let billing = limits.choice::<BillingMode>(self.billing_mode.as_ref(), "billingMode");
        if let Some(throughput) = self.provisioned_throughput {
            throughput.check_model(&mut limits, "provisionedThroughput");
        }
        limits.choice::<TableClass>(self.table_class.as_ref(), "tableClass");
        let mut indexes = Vec::new();
        let updates = self.global_secondary_index_updates.iter().flatten();
        for (place, update) in (1..).zip(updates) {
            let path = format!("globalSecondaryIndexUpdates.{place}.member");
            update.check_model(&mut limits, &path, &mut indexes);
        }
        limits.check()?;
        Ok(Checked {
            attributes,
            billing,
            indexes,
        })
    }

    /// Something has to be asked for, and of indexes one thing each, and one to come or go.
    fn check_given(&self) -> Result<(), Refusal> {
        let updates = self.global_secondary_index_updates.as_deref();
        let has_updates = updates.is_some_and(|updates| !updates.is_empty());
        let is_given = self.billing_mode.is_some()
            || self.provisioned_throughput.is_some()
            || has_updates
            || self.deletion_protection_enabled.is_some()
            || self.table_class.is_some()
            || self.stream_specification.is_some()
            || self.sse_specification.is_some()
            || self.replica_updates.is_some()
            || self.on_demand_throughput.is_some()
            || self.warm_throughput.is_some();
        if !is_given {
            return Err(Refusal::validation(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
                 GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
            ));
        }
        let mut online = 0;
        for update in updates.unwrap_or_default() {
            let (create, delete) = (update.create.is_some(), update.delete.is_some());
            let asked =
                usize::from(create) + usize::from(delete) + usize::from(update.update.is_some());
            if asked != 1 {
                let more = if asked == 0 { "" } else { ", and only one" };
                return Err(Refusal::invalid_value(format!(
                    "One of GlobalSecondaryIndexUpdate.Update, \
                     GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must \
                     not be null{more}"
                )));
            }
            online += usize::from(create || delete);
        }
        if online > 1 {
            return Err(only_one_online());
        }
        Ok(())
    }

    /// How the table is to be paid for, if that changes.
    fn billing(&self, checked: &Checked, table: &Table) -> Result<Option<Billing>, Refusal> {
        let current = table.config.read().billing;
        let wanted = match (checked.billing, self.provisioned_throughput) {
            (None, None) => return Ok(None),
            (None, Some(_)) if current == Billing::OnDemand => billing(
                Some(BillingMode::PayPerRequest),
                self.provisioned_throughput,
            )?,
            (Some(BillingMode::Provisioned), None) if current != Billing::OnDemand => current,
            (mode, throughput) => billing(mode, throughput)?,
        };
        if let (Billing::Provisioned { read, write }, None) = (wanted, checked.billing)
            && wanted == current
        {
            return Err(Refusal::validation(format!(
                "The provisioned throughput for the table will not change. The requested value \
                 equals the current value. Current ReadCapacityUnits provisioned for the table: \
                 {read}. Requested ReadCapacityUnits: {read}. Current WriteCapacityUnits \
                 provisioned for the table: {write}. Requested WriteCapacityUnits: {write}. Refer \
                 to the Amazon DynamoDB Developer Guide for current limits and how to request \
                 higher limits."
            )));
        }
        Ok(Some(wanted))
    }

    /// Sets what is not about indexes.
    fn set(&self, caller: &Caller<'_>, table: &Table, billing: Option<Billing>) {
        let now = caller.when.now;
        let mut config = table.config.write();
        if let Some(billing) = billing {
            if billing == Billing::OnDemand && config.billing != Billing::OnDemand {
                config.on_demand_since = Some(now);
            }
            config.billing = billing;
        }
        if let Some(protection) = self.deletion_protection_enabled {
            config.deletion_protection = protection;
        }
        if let Some(class) = &self.table_class {
            config.class = Some((**class).to_owned());
        }
        config.updating_until = now + caller.catalog.delays.update;
    }
}

impl IndexUpdate<'_> {
    fn check_model(&self, limits: &mut Constraints, path: &str, changes: &mut Vec<IndexChange>) {
        let mut named = |name: Option<&Text<'_>>, path: &str| {
            let path = format!("{path}.indexName");
            let Some(name) = name else {
                limits.refuse(None, &path, "Member must not be null");
                return None;
            };
            limits.name(name, &path);
            limits.length(&&**name, name.len(), &path, (3, 255));
            Some((**name).to_owned())
        };
        if let Some(delete) = &self.delete {
            let name = named(delete.index_name.as_ref(), &format!("{path}.delete"));
            changes.extend(name.map(IndexChange::Delete));
        }
        if let Some(update) = &self.update {
            let path = format!("{path}.update");
            let name = named(update.index_name.as_ref(), &path);
            let path = format!("{path}.provisionedThroughput");
            match update.provisioned_throughput {
                None => limits.refuse(None, &path, "Member must not be null"),
                Some(throughput) => {
                    throughput.check_model(limits, &path);
                    changes.extend(name.map(|name| IndexChange::Update(name, throughput)));
                }
            }
        }
        if let Some(create) = &self.create {
            let parts = create.check_model(limits, &format!("{path}.create"), Reach::Global);
            changes.extend(parts.map(IndexChange::Create));
        }
    }
}

impl IndexChange {
    /// Carries it out, but for a deletion, which waits until the reply has shown the index; says which
    /// index the reply is to show on its way.
    fn carry_out(
        self,
        caller: &Caller<'_>,
        table: &Table,
        attributes: &[KeyAttribute],
        billing: Billing,
    ) -> Result<Option<(String, Status)>, Refusal> {
        let now = caller.when.now;
        match self {
            Self::Create(parts) => create(caller, table, attributes, (parts, billing))
                .map(|name| Some((name, Status::Creating))),
            Self::Update(name, throughput) => {
                let units = throughput.units(&format!(" for index {name}"))?;
                let mut rows = table.rows.write();
                let index = rows.index_mut(&name).filter(|index| {
                    index.life.status(now).is_some() && index.definition.reach == Reach::Global
                });
                let index = index.ok_or_else(|| Refusal::no_index(&table.name, &name))?;
                index.definition.throughput = Some(units);
                Ok(None)
            }
            Self::Delete(name) => {
                let mut rows = table.rows.write();
                let index = rows
                    .index_mut(&name)
                    .filter(|index| index.definition.reach == Reach::Global);
                let index = index.ok_or_else(|| Refusal::no_index(&table.name, &name))?;
                match index.life.status(now) {
                    None => return Err(Refusal::no_index(&table.name, &name)),
                    Some(Status::Deleting) => {
                        return Err(Refusal::index_in_use(&table.name, &name, "deleted"));
                    }
                    // An index that is still being filled may be given up.
                    Some(Status::Creating | Status::Active | Status::Updating) => {}
                }
                Ok(Some((name, Status::Deleting)))
            }
        }
    }
}

fn create(
    caller: &Caller<'_>,
    table: &Table,
    attributes: &[KeyAttribute],
    (parts, billing): (IndexParts, Billing),
) -> Result<String, Refusal> {
    let now = caller.when.now;
    // ORDER: rows before settings, as writers do.
    let mut rows = table.rows.write();
    let mut config = table.config.write();
    let mut all = config.attributes.clone();
    for attribute in attributes {
        match all.iter().find(|known| known.name == attribute.name) {
            None => all.push(attribute.clone()),
            Some(known) if known.kind == attribute.kind => {}
            Some(known) => {
                return Err(Refusal::invalid_value(format!(
                    "Attribute {} is defined as {} and cannot be redefined as {}",
                    known.name,
                    known.kind.name(),
                    attribute.kind.name()
                )));
            }
        }
    }
    let definition = parts.define(Reach::Global, &all, billing)?;
    let name = definition.name.clone();
    rows.drop_gone_indexes(now);
    let present = rows.indexes();
    if present.iter().any(|index| index.definition.name == name) {
        return Err(Refusal::validation(
            "Attempting to create an index which already exists",
        ));
    }
    let is_busy = |index: &Index| {
        index.definition.reach == Reach::Global && index.life.status(now) != Some(Status::Active)
    };
    if present.iter().any(is_busy) {
        return Err(only_one_online());
    }
    let global = |index: &&Index| index.definition.reach == Reach::Global;
    if present.iter().filter(global).count() >= GLOBAL_MAX {
        return Err(Refusal::limit_exceeded(
            "Subscriber limit exceeded: There is a limit of 20 global secondary indexes per table",
        ));
    }
    let life = Life::Ready(now + caller.catalog.delays.create);
    rows.add_index(Index::new(definition, life));
    config.attributes = all;
    Ok(name)
}

fn only_one_online() -> Refusal {
    Refusal::limit_exceeded(
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously \
         per table",
    )
}
