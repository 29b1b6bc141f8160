//! BatchGetItem: rows of several tables, as many as fit into one reply.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::elements;
use super::{Caller, Styles, TableName, reply};
use crate::dynamo::budget::Side;
use crate::dynamo::capacity::{Account, ConsumedCapacity, ReturnCapacity, Units};
use crate::dynamo::expression::{Expressions, Pairs, Path, Placeholders, project};
use crate::dynamo::legacy;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::Key;
use crate::dynamo::table::Table;
use crate::dynamo::value::{Item, LoadedItem, item_size};
use crate::dynamo::wire::{Constraints, Text, read};

/// Most keys of one call.
const KEYS_MAX: usize = 100;
/// Most bytes of rows in one reply; the keys of the others are given back.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    request_items: Option<Pairs<'a, Wanted<'a>>>,
    return_consumed_capacity: Option<Text<'a>>,
}

/// What is wanted of one table.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Wanted<'a> {
    keys: Option<Vec<LoadedItem>>,
    attributes_to_get: Option<Vec<Text<'a>>>,
    consistent_read: Option<bool>,
    projection_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    responses: BTreeMap<String, Vec<Item>>,
    unprocessed_keys: BTreeMap<String, Unprocessed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

/// Keys for another call, with what was said about them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unprocessed {
    keys: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes_to_get: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projection_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression_attribute_names: Option<BTreeMap<String, String>>,
}

/// A table's part that passed the checks.
struct Part<'a> {
    /// As the caller names the table; so the reply does.
    name: Text<'a>,
    table: Arc<Table>,
    keys: Vec<Key>,
    consistent: bool,
    attributes: Option<Vec<Text<'a>>>,
    expression: Option<Text<'a>>,
    names: Option<BTreeMap<String, String>>,
    placeholders: Placeholders<'a>,
    consistent_read: Option<bool>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let capacity = request.check_model()?;
    let parts = request.parts(&caller)?;
    let mut done = Done::default();
    for part in &parts {
        done.take(&caller, part)?;
    }
    if done.read == 0
        && let Some(refusal) = done.refusal
    {
        return Err(refusal);
    }
    let consumed_capacity = capacity
        .filter(|capacity| *capacity != ReturnCapacity::None)
        .map(|capacity| {
            let each = done.units.iter();
            each.filter_map(|(table, units)| {
                ConsumedCapacity::new(Some(capacity), table, units, Account::Plain)
            })
            .collect()
        });
    Ok(reply(&Reply {
        responses: done.responses,
        unprocessed_keys: done.unprocessed,
        consumed_capacity,
    }))
}

impl<'a> Request<'a> {
    fn check_model(&self) -> Result<Option<ReturnCapacity>, Refusal> {
        let mut limits = Constraints::default();
        let capacity = limits.choice::<ReturnCapacity>(
            self.return_consumed_capacity.as_ref(),
            "returnConsumedCapacity",
        );
        match &self.request_items {
            None => limits.refuse(None, "requestItems", "Member must not be null"),
            Some(items) => {
                limits.length(&"{}", items.len(), "requestItems", (1, KEYS_MAX));
                for (table, wanted) in items.iter() {
                    let path = format!("requestItems.{}.member.keys", &**table);
                    match &wanted.keys {
                        None => limits.refuse(None, &path, "Member must not be null"),
                        Some(keys) => {
                            let shown = elements(keys.len());
                            limits.length(&shown, keys.len(), &path, (1, KEYS_MAX));
                        }
                    }
                }
            }
        }
        limits.check()?;
        let items = self.request_items.iter().flat_map(Pairs::iter);
        let keys = items.map(|(_, wanted)| wanted.keys.as_ref().map_or(0, Vec::len));
        if keys.sum::<usize>() > KEYS_MAX {
            return Err(Refusal::validation(
                "Too many items requested for the BatchGetItem call",
            ));
        }
        Ok(capacity)
    }

    fn parts(self, caller: &Caller<'_>) -> Result<Vec<Part<'a>>, Refusal> {
        let mut parts = Vec::new();
        for (name, wanted) in self.request_items.into_iter().flat_map(Pairs::into_sorted) {
            parts.push(wanted.part(caller, name)?);
        }
        Ok(parts)
    }
}

impl<'a> Wanted<'a> {
    fn part(self, caller: &Caller<'_>, name: Text<'a>) -> Result<Part<'a>, Refusal> {
        let table_name = TableName::new(Some(name.clone()))?;
        Styles {
            expressions: &[("ProjectionExpression", self.projection_expression.is_some())],
            legacy: &[("AttributesToGet", self.attributes_to_get.is_some())],
            names: self.expression_attribute_names.is_some(),
            values: false,
        }
        .check()?;
        let mut keys = Vec::new();
        for key in self.keys.unwrap_or_default() {
            keys.push(key.checked().map_err(Refusal::validation)?);
        }
        let names = self.expression_attribute_names.as_ref().map(|names| {
            names
                .iter()
                .map(|(key, name)| ((**key).to_owned(), (**name).to_owned()))
                .collect()
        });
        let placeholders = Placeholders::new(self.expression_attribute_names, None)?;
        let expressions = Expressions::new(&placeholders);
        let projection = expressions.projection(self.projection_expression.as_deref())?;
        placeholders.check_used()?;
        let attributes = legacy::projection(self.attributes_to_get.as_ref())?;
        let table = caller.usable(&table_name)?;
        let projection = projection.or(attributes);
        let mut found = Vec::new();
        for key in keys {
            let key = table.schema.key(key)?;
            if found.contains(&key) {
                return Err(Refusal::validation(
                    "Provided list of item keys contains duplicates",
                ));
            }
            found.push(key);
        }
        table.check_scalars(projection.iter().flatten())?;
        drop(projection);
        Ok(Part {
            name,
            table,
            keys: found,
            consistent: self.consistent_read.unwrap_or(false),
            attributes: self.attributes_to_get,
            expression: self.projection_expression,
            names,
            placeholders,
            consistent_read: self.consistent_read,
        })
    }
}

/// What a call has come to so far.
#[derive(Default)]
struct Done {
    responses: BTreeMap<String, Vec<Item>>,
    unprocessed: BTreeMap<String, Unprocessed>,
    units: BTreeMap<String, Units>,
    bytes: usize,
    read: usize,
    /// Why a key was left out, if that was for its throughput.
    refusal: Option<Refusal>,
}

impl Done {
    fn take(&mut self, caller: &Caller<'_>, part: &Part<'_>) -> Result<(), Refusal> {
        let expressions = Expressions::new(&part.placeholders);
        let projection: Option<Vec<Path<'_>>> = expressions
            .projection(part.expression.as_deref())?
            .or(legacy::projection(part.attributes.as_ref())?);
        let mut rows = Vec::new();
        let mut units = Units::default();
        let mut left = Vec::new();
        for key in &part.keys {
            let admit = || part.table.admit(Side::Read, caller.when.now);
            let is_metered = match caller.admit(admit) {
                Ok(is_metered) => is_metered,
                Err(refusal) => {
                    self.refusal = Some(refusal);
                    left.push(part.table.schema.item(key));
                    continue;
                }
            };
            let found = caller.look(&part.table.rows.read(), part.consistent, |rows| {
                rows.get(key).cloned()
            });
            let size = found.as_deref().map_or(0, item_size);
            if self.bytes + size > BYTES_MAX {
                left.push(part.table.schema.item(key));
                continue;
            }
            self.bytes += size;
            self.read += 1;
            let one = Units {
                table: Units::of_read(size, part.consistent),
                ..Units::default()
            };
            if is_metered {
                part.table.spend(Side::Read, &one, &part.table.rows.read());
            }
            units.add(&one);
            rows.extend(found.map(|item| match &projection {
                Some(paths) => project(paths, &item),
                None => (*item).clone(),
            }));
        }
        let name = (*part.name).to_owned();
        if !left.is_empty() {
            self.unprocessed
                .insert(name.clone(), part.unprocessed(left));
        }
        self.units
            .entry(part.table.name.clone())
            .or_default()
            .add(&units);
        self.responses.insert(name, rows);
        Ok(())
    }
}

impl Part<'_> {
    fn unprocessed(&self, keys: Vec<Item>) -> Unprocessed {
        let attributes = self.attributes.as_ref();
        Unprocessed {
            keys,
            attributes_to_get: attributes
                .map(|names| names.iter().map(|name| (**name).to_owned()).collect()),
            consistent_read: self.consistent_read,
            projection_expression: self.expression.as_ref().map(|text| (**text).to_owned()),
            expression_attribute_names: self.names.clone(),
        }
    }
}
