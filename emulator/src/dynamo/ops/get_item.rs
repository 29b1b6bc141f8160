//! GetItem: reads a row.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Caller, ConsumedCapacity, Presence, ReturnCapacity, Styles, TableName, reply};
use crate::dynamo::expression::{Expressions, Pairs, Placeholders, project};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::{Item, LoadedItem, item_size};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    key: Option<LoadedItem>,
    attributes_to_get: Presence,
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
    let table_name = TableName::new(request.table_name)?;
    let mut limits = Constraints::default();
    let capacity = limits.choice::<ReturnCapacity>(
        request.return_consumed_capacity.as_ref(),
        "returnConsumedCapacity",
    );
    table_name.check(&mut limits);
    if request.key.is_none() {
        limits.refuse(None, "key", "Member must not be null");
    }
    limits.check()?;
    Styles {
        expressions: &[(
            "ProjectionExpression",
            request.projection_expression.is_some(),
        )],
        forerunners: &[("AttributesToGet", request.attributes_to_get.is_some())],
        names: request.expression_attribute_names.is_some(),
        values: false,
    }
    .check()?;
    let key = request
        .key
        .unwrap_or_default()
        .checked()
        .map_err(Refusal::validation)?;
    let placeholders = Placeholders::new(request.expression_attribute_names, None)?;
    let projection =
        Expressions::new(&placeholders).projection(request.projection_expression.as_deref())?;
    placeholders.check_used()?;

    let table = caller.usable(&table_name)?;
    let key = table.schema().key(key)?;
    table.schema().check_scalars(projection.iter().flatten())?;
    let found = table.rows.read().get(&key).cloned();

    let size = || found.as_deref().map_or(0, item_size);
    let consistent = request.consistent_read.unwrap_or(false);
    Ok(reply(&Reply {
        item: found.as_deref().map(|item| match &projection {
            Some(paths) => Cow::Owned(project(paths, item)),
            None => Cow::Borrowed(item),
        }),
        consumed_capacity: ConsumedCapacity::of_read(capacity, &table, size, consistent),
    }))
}
