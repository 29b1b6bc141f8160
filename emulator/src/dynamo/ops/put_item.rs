//! PutItem: replaces a row.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::write::{Asked, forerunners};
use super::{
    Caller, ConsumedCapacity, ITEM_SIZE_MAX, Presence, ReturnValues, Styles, TableName, reply,
};
use crate::dynamo::expression::{Expressions, Pairs, Placeholders};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::{Item, Loaded, LoadedItem, item_size};
use crate::dynamo::wire::{Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    item: Option<LoadedItem>,
    expected: Presence,
    conditional_operator: Presence,
    return_values: Option<Text<'a>>,
    return_values_on_condition_check_failure: Option<Text<'a>>,
    return_consumed_capacity: Option<Text<'a>>,
    return_item_collection_metrics: Option<Text<'a>>,
    condition_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
    expression_attribute_values: Option<Pairs<'a, Loaded>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let table_name = TableName::new(request.table_name)?;
    let choices = Asked {
        capacity: &request.return_consumed_capacity,
        values: &request.return_values,
        collections: &request.return_item_collection_metrics,
        on_failure: &request.return_values_on_condition_check_failure,
    }
    .check(&table_name, ("item", request.item.is_some()))?;
    Styles {
        expressions: &[(
            "ConditionExpression",
            request.condition_expression.is_some(),
        )],
        forerunners: &forerunners(&request.expected, &request.conditional_operator),
        names: request.expression_attribute_names.is_some(),
        values: request.expression_attribute_values.is_some(),
    }
    .check()?;
    let item = request
        .item
        .unwrap_or_default()
        .checked()
        .map_err(Refusal::validation)?;
    choices.check_values()?;
    if item_size(&item) > ITEM_SIZE_MAX {
        return Err(Refusal::validation(
            "Item size has exceeded the maximum allowed size",
        ));
    }
    let placeholders = Placeholders::new(
        request.expression_attribute_names,
        request.expression_attribute_values,
    )?;
    let condition =
        Expressions::new(&placeholders).condition(request.condition_expression.as_deref())?;
    placeholders.check_used()?;

    let table = caller.usable(&table_name)?;
    let key = table.schema().key_of(&item)?;
    let new = Arc::new(item);
    let mut rows = table.rows.write();
    let old = rows.get(&key).cloned();
    choices.check_condition(condition.as_ref(), old.as_deref())?;
    rows.put(key, Arc::clone(&new));
    drop(rows);

    Ok(reply(&Reply {
        attributes: old
            .as_deref()
            .filter(|_| choices.values == ReturnValues::AllOld),
        consumed_capacity: ConsumedCapacity::of_write(
            choices.capacity,
            &table,
            old.as_deref(),
            Some(&*new),
        ),
    }))
}
