//! GetItem: reads a row.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Caller, Styles, TableName, reply};
use crate::dynamo::budget::Side;
use crate::dynamo::capacity::{Account, ConsumedCapacity, ReturnCapacity, Units};
use crate::dynamo::expression::{Expressions, Pairs, Placeholders, project};
use crate::dynamo::legacy;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::{Item, LoadedItem, item_size};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    key: Option<LoadedItem>,
    attributes_to_get: Option<Vec<Text<'a>>>,
    consistent_read: Option<bool>,
    return_consumed_capacity: Option<Text<'a>>,
    projection_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Cow<'a, Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let table_name = TableName::of_items(request.table_name);
    let mut limits = Constraints::default();
    let capacity = limits.choice::<ReturnCapacity>(
        request.return_consumed_capacity.as_ref(),
        "returnConsumedCapacity",
    );
    TableName::check_given(table_name.as_ref(), &mut limits);
    if request.key.is_none() {
        limits.refuse(None, "key", "Member must not be null");
    }
    legacy::check_attributes(&mut limits, request.attributes_to_get.as_ref());
    limits.check()?;
    Styles {
        expressions: &[(
            "ProjectionExpression",
            request.projection_expression.is_some(),
        )],
        legacy: &[("AttributesToGet", request.attributes_to_get.is_some())],
        names: request.expression_attribute_names.is_some(),
        values: false,
    }
    .check()?;
    let key = request
        .key
        .unwrap_or_default()
        .checked()
        .map_err(Refusal::validation)?;
    let attributes = legacy::projection(request.attributes_to_get.as_ref())?;
    let placeholders = Placeholders::new(request.expression_attribute_names, None)?;
    let projection =
        Expressions::new(&placeholders).projection(request.projection_expression.as_deref())?;
    placeholders.check_used()?;
    let projection = projection.or(attributes);

    let table = caller.usable(table_name.as_ref())?;
    let key = table.schema.key(key)?;
    table.check_scalars(projection.iter().flatten())?;
    let is_metered = caller.admit(|| table.admit(Side::Read, caller.when.now))?;
    let consistent = request.consistent_read.unwrap_or(false);
    let found = caller.look(&table.rows.read(), consistent, |rows| {
        rows.get(&key).cloned()
    });

    let units = Units {
        table: Units::of_read(found.as_deref().map_or(0, item_size), consistent),
        ..Units::default()
    };
    if is_metered {
        table.spend(Side::Read, &units, &table.rows.read());
    }
    Ok(reply(&Reply {
        item: found.as_deref().map(|item| match &projection {
            Some(paths) => Cow::Owned(project(paths, item)),
            None => Cow::Borrowed(item),
        }),
        consumed_capacity: ConsumedCapacity::new(capacity, &table.name, &units, Account::Plain),
    }))
}
