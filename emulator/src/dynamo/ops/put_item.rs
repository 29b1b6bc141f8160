//! PutItem: replaces a row.

use std::sync::Arc;

use serde::Deserialize;

use super::write::{Action, Asked, Write};
use super::{Caller, Styles, TableName, put_size};
use crate::dynamo::expression::{Expressions, Pairs, Placeholders};
use crate::dynamo::legacy::{Clause, Clauses, Where};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::{Loaded, LoadedItem};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    item: Option<LoadedItem>,
    expected: Option<Pairs<'a, Clause<'a>>>,
    conditional_operator: Option<Text<'a>>,
    return_values: Option<Text<'a>>,
    return_values_on_condition_check_failure: Option<Text<'a>>,
    return_consumed_capacity: Option<Text<'a>>,
    return_item_collection_metrics: Option<Text<'a>>,
    condition_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
    expression_attribute_values: Option<Pairs<'a, Loaded>>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let table_name = TableName::of_items(request.table_name);
    let mut limits = Constraints::default();
    let choices = Asked {
        capacity: &request.return_consumed_capacity,
        values: &request.return_values,
        collections: &request.return_item_collection_metrics,
        on_failure: &request.return_values_on_condition_check_failure,
    }
    .check(
        &mut limits,
        table_name.as_ref(),
        ("item", request.item.is_some()),
    );
    let operator = request.conditional_operator.as_ref();
    Clauses::check_model(&mut limits, Where::Expected, request.expected.as_ref());
    Clauses::check_join(&mut limits, operator);
    limits.check()?;
    Styles {
        expressions: &[(
            "ConditionExpression",
            request.condition_expression.is_some(),
        )],
        legacy: &[
            ("Expected", request.expected.is_some()),
            ("ConditionalOperator", operator.is_some()),
        ],
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
    put_size(&item)?;
    let expected = Clauses::new(Where::Expected, request.expected, operator)?;
    let placeholders = Placeholders::new(
        request.expression_attribute_names,
        request.expression_attribute_values,
    )?;
    let condition =
        Expressions::new(&placeholders).condition(request.condition_expression.as_deref())?;
    placeholders.check_used()?;
    let condition = condition.or_else(|| expected.as_ref()?.condition());

    let table = caller.usable(table_name.as_ref())?;
    let key = table.schema.key_of(&item)?;
    let action = Action::Put(Arc::new(item));
    Write::new(table, key, action, condition.as_ref(), &choices).call(&caller, &choices)
}
