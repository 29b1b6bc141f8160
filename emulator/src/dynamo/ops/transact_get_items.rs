//! TransactGetItems: rows of several tables as they were at one instant.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::elements;
use super::transact_write_items::ACTIONS_MAX;
use super::{Caller, Styles, TableName, reply};
use crate::dynamo::budget::Side;
use crate::dynamo::capacity::{Account, ConsumedCapacity, ReturnCapacity, Units, is_wanted};
use crate::dynamo::expression::{Expressions, Pairs, Placeholders, project};
use crate::dynamo::refusal::{Reason, Refusal};
use crate::dynamo::schema::Key;
use crate::dynamo::table::Table;
use crate::dynamo::value::{Item, LoadedItem, item_size};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    transact_items: Option<Vec<TransactItem<'a>>>,
    return_consumed_capacity: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct TransactItem<'a> {
    get: Option<Get<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Get<'a> {
    table_name: Option<Text<'a>>,
    key: Option<LoadedItem>,
    projection_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
}

/// A read whose values passed the checks.
struct Checked<'a> {
    table: Arc<Table>,
    key: Result<Key, Refusal>,
    projection: Option<Text<'a>>,
    placeholders: Placeholders<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    responses: Vec<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Response<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Cow<'a, Item>>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let capacity = request.check_model()?;
    let mut checked = Vec::new();
    for item in request.transact_items.into_iter().flatten() {
        checked.push(item.check(&caller)?);
    }
    let (found, is_metered) = read_all(&caller, &checked)?;
    let mut responses = Vec::with_capacity(found.len());
    let mut sums: BTreeMap<&str, Units> = BTreeMap::new();
    for (get, item) in checked.iter().zip(&found) {
        let projection =
            Expressions::new(&get.placeholders).projection(get.projection.as_deref())?;
        let one = Units {
            table: 2.0 * Units::of_read(item.as_deref().map_or(0, item_size), true),
            ..Units::default()
        };
        if is_metered {
            get.table.spend(Side::Read, &one, &get.table.rows.read());
        }
        sums.entry(&get.table.name).or_default().add(&one);
        responses.push(Response {
            item: item.as_deref().map(|item| match &projection {
                Some(paths) => Cow::Owned(project(paths, item)),
                None => Cow::Borrowed(item),
            }),
        });
    }
    let consumed_capacity = is_wanted(capacity).then(|| {
        let each = sums.iter();
        each.filter_map(|(table, units)| {
            ConsumedCapacity::new(capacity, table, units, Account::Reads)
        })
        .collect()
    });
    Ok(reply(&Reply {
        responses,
        consumed_capacity,
    }))
}

/// A row for each read, where there is one.
type Found = Vec<Option<Arc<Item>>>;

/// Reads all rows under all locks at once; says whether they are to be paid for.
fn read_all(caller: &Caller<'_>, checked: &[Checked<'_>]) -> Result<(Found, bool), Refusal> {
    let tables: BTreeMap<&str, &Table> = checked
        .iter()
        .map(|get| (get.table.name.as_str(), &*get.table))
        .collect();
    // ORDER: by name, as transactions that write do.
    let mut locked = BTreeMap::new();
    for (name, table) in tables {
        locked.insert(name, table.rows.read());
    }
    let mut found = Vec::with_capacity(checked.len());
    let mut reasons = Vec::with_capacity(checked.len());
    let mut is_metered = true;
    for get in checked {
        let admitted = caller.admit(|| get.table.admit(Side::Read, caller.when.now));
        match get.key.clone().and_then(|key| Ok((key, admitted?))) {
            Ok((key, is_admitted)) => {
                is_metered &= is_admitted;
                found.push(locked[get.table.name.as_str()].get(&key).cloned());
                reasons.push(Reason::none());
            }
            Err(refusal) => reasons.push(refusal.reason().ok_or(refusal)?),
        }
    }
    if found.len() < checked.len() {
        return Err(Refusal::cancelled(reasons));
    }
    Ok((found, is_metered))
}

impl Request<'_> {
    fn check_model(&self) -> Result<Option<ReturnCapacity>, Refusal> {
        let mut limits = Constraints::default();
        let capacity = limits.choice::<ReturnCapacity>(
            self.return_consumed_capacity.as_ref(),
            "returnConsumedCapacity",
        );
        match &self.transact_items {
            None => limits.refuse(None, "transactItems", "Member must not be null"),
            Some(items) => {
                let shown = elements(items.len());
                limits.length(&shown, items.len(), "transactItems", (1, ACTIONS_MAX));
                for (place, item) in (1..).zip(items) {
                    let path = format!("transactItems.{place}.member.get");
                    match &item.get {
                        None => limits.refuse(None, &path, "Member must not be null"),
                        Some(get) => {
                            if get.table_name.is_none() {
                                let path = format!("{path}.tableName");
                                limits.refuse(None, &path, "Member must not be null");
                            }
                            if get.key.is_none() {
                                let path = format!("{path}.key");
                                limits.refuse(None, &path, "Member must not be null");
                            }
                        }
                    }
                }
            }
        }
        limits.check()?;
        Ok(capacity)
    }
}

impl<'a> TransactItem<'a> {
    fn check(self, caller: &Caller<'_>) -> Result<Checked<'a>, Refusal> {
        let get = self.get.ok_or_else(Refusal::internal)?;
        let table_name = TableName::new(get.table_name)?;
        Styles {
            expressions: &[("ProjectionExpression", get.projection_expression.is_some())],
            legacy: &[],
            names: get.expression_attribute_names.is_some(),
            values: false,
        }
        .check()?;
        let key = get.key.unwrap_or_default().checked();
        let key = key.map_err(Refusal::validation)?;
        let placeholders = Placeholders::new(get.expression_attribute_names, None)?;
        let expressions = Expressions::new(&placeholders);
        let projection = expressions.projection(get.projection_expression.as_deref())?;
        placeholders.check_used()?;
        let table = caller.usable(&table_name)?;
        table.check_scalars(projection.iter().flatten())?;
        drop(projection);
        Ok(Checked {
            key: table.schema.key(key),
            table,
            projection: get.projection_expression,
            placeholders,
        })
    }
}
