//! UpdateItem: changes a row, or makes one.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::write::{Asked, forerunners};
use super::{
    Caller, ConsumedCapacity, ITEM_SIZE_MAX, Presence, ReturnValues, Styles, TableName, reply,
};
use crate::dynamo::expression::{Expressions, Pairs, Placeholders, Update, project};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::Schema;
use crate::dynamo::value::{Item, Loaded, LoadedItem, item_size};
use crate::dynamo::wire::{Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    key: Option<LoadedItem>,
    attribute_updates: Presence,
    expected: Presence,
    conditional_operator: Presence,
    return_values: Option<Text<'a>>,
    return_values_on_condition_check_failure: Option<Text<'a>>,
    return_consumed_capacity: Option<Text<'a>>,
    return_item_collection_metrics: Option<Text<'a>>,
    update_expression: Option<Text<'a>>,
    condition_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
    expression_attribute_values: Option<Pairs<'a, Loaded>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Cow<'a, Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
}

impl Request<'_> {
    fn check_styles(&self) -> Result<(), Refusal> {
        let [expected, operator] = forerunners(&self.expected, &self.conditional_operator);
        Styles {
            expressions: &[
                ("UpdateExpression", self.update_expression.is_some()),
                ("ConditionExpression", self.condition_expression.is_some()),
            ],
            forerunners: &[
                ("AttributeUpdates", self.attribute_updates.is_some()),
                expected,
                operator,
            ],
            names: self.expression_attribute_names.is_some(),
            values: self.expression_attribute_values.is_some(),
        }
        .check()
    }
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: Request<'_> = read(body)?;
    let table_name = TableName::new(request.table_name.take())?;
    let choices = Asked {
        capacity: &request.return_consumed_capacity,
        values: &request.return_values,
        collections: &request.return_item_collection_metrics,
        on_failure: &request.return_values_on_condition_check_failure,
    }
    .check(&table_name, ("key", request.key.is_some()))?;
    request.check_styles()?;
    let key = request
        .key
        .unwrap_or_default()
        .checked()
        .map_err(Refusal::validation)?;
    let placeholders = Placeholders::new(
        request.expression_attribute_names,
        request.expression_attribute_values,
    )?;
    let expressions = Expressions::new(&placeholders);
    let update = expressions.update(request.update_expression.as_deref())?;
    let condition = expressions.condition(request.condition_expression.as_deref())?;
    placeholders.check_used()?;

    let table = caller.usable(&table_name)?;
    let key = table.schema().key(key)?;
    if let Some(update) = &update {
        check_keys(table.schema(), update)?;
    }
    let mut rows = table.rows.write();
    let old = rows.get(&key).cloned();
    choices.check_condition(condition.as_ref(), old.as_deref())?;
    // An update of nothing makes a row of its key alone.
    let before = match &old {
        Some(old) => Cow::Borrowed(&**old),
        None => Cow::Owned(table.schema().item(&key)),
    };
    let new = match &update {
        None => before.into_owned(),
        Some(update) => update.apply(&before).map_err(Refusal::validation)?,
    };
    if item_size(&new) > ITEM_SIZE_MAX {
        return Err(Refusal::validation(
            "Item size to update has exceeded the maximum allowed size",
        ));
    }
    let new = Arc::new(new);
    rows.put(key, Arc::clone(&new));
    drop(rows);

    let paths = update.as_ref().map_or(&[][..], |update| &update.paths);
    let attributes = match choices.values {
        ReturnValues::None => None,
        ReturnValues::AllOld => old.as_deref().map(Cow::Borrowed),
        ReturnValues::AllNew => Some(Cow::Borrowed(&*new)),
        ReturnValues::UpdatedOld => old.as_deref().map(|old| Cow::Owned(project(paths, old))),
        ReturnValues::UpdatedNew => Some(Cow::Owned(project(paths, &new))),
    };
    Ok(reply(&Reply {
        attributes: attributes.filter(|attributes| !attributes.is_empty()),
        consumed_capacity: ConsumedCapacity::of_write(
            choices.capacity,
            &table,
            old.as_deref(),
            Some(&*new),
        ),
    }))
}

/// Refuses to change a key attribute.
fn check_keys(schema: &Schema, update: &Update<'_>) -> Result<(), Refusal> {
    for attribute in schema.attributes() {
        if update.paths.iter().any(|path| path.head == attribute.name) {
            return Err(Refusal::invalid_value(format!(
                "Cannot update attribute {}. This attribute is part of the key",
                attribute.name
            )));
        }
    }
    Ok(())
}
