//! UpdateItem: changes a row, or makes one.

use serde::Deserialize;

use super::write::{Action, Asked, Choices, Write};
use super::{Caller, Styles, TableName};
use crate::dynamo::expression::{Expressions, Pairs, Placeholders, Update};
use crate::dynamo::legacy::{AttributeUpdate, Clause, Clauses, Updates, Where};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::Schema;
use crate::dynamo::value::{Loaded, LoadedItem};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    key: Option<LoadedItem>,
    attribute_updates: Option<Pairs<'a, AttributeUpdate<'a>>>,
    expected: Option<Pairs<'a, Clause<'a>>>,
    conditional_operator: Option<Text<'a>>,
    return_values: Option<Text<'a>>,
    return_values_on_condition_check_failure: Option<Text<'a>>,
    return_consumed_capacity: Option<Text<'a>>,
    return_item_collection_metrics: Option<Text<'a>>,
    update_expression: Option<Text<'a>>,
    condition_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
    expression_attribute_values: Option<Pairs<'a, Loaded>>,
}

impl Request<'_> {
    fn check_model(&self, table_name: Option<&TableName<'_>>) -> Result<Choices, Refusal> {
        let mut limits = Constraints::default();
        let choices = Asked {
            capacity: &self.return_consumed_capacity,
            values: &self.return_values,
            collections: &self.return_item_collection_metrics,
            on_failure: &self.return_values_on_condition_check_failure,
        }
        .check(&mut limits, table_name, ("key", self.key.is_some()));
        Clauses::check_model(&mut limits, Where::Expected, self.expected.as_ref());
        Clauses::check_join(&mut limits, self.conditional_operator.as_ref());
        Updates::check_model(&mut limits, self.attribute_updates.as_ref());
        limits.check()?;
        Ok(choices)
    }

    fn check_styles(&self) -> Result<(), Refusal> {
        Styles {
            expressions: &[
                ("UpdateExpression", self.update_expression.is_some()),
                ("ConditionExpression", self.condition_expression.is_some()),
            ],
            legacy: &[
                ("AttributeUpdates", self.attribute_updates.is_some()),
                ("Expected", self.expected.is_some()),
                ("ConditionalOperator", self.conditional_operator.is_some()),
            ],
            names: self.expression_attribute_names.is_some(),
            values: self.expression_attribute_values.is_some(),
        }
        .check()
    }
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: Request<'_> = read(body)?;
    let table_name = TableName::of_items(request.table_name.take());
    let choices = request.check_model(table_name.as_ref())?;
    request.check_styles()?;
    let key = request
        .key
        .unwrap_or_default()
        .checked()
        .map_err(Refusal::validation)?;
    let updates = request.attribute_updates.map(Updates::new).transpose()?;
    let expected = Clauses::new(
        Where::Expected,
        request.expected,
        request.conditional_operator.as_ref(),
    )?;
    let placeholders = Placeholders::new(
        request.expression_attribute_names,
        request.expression_attribute_values,
    )?;
    let expressions = Expressions::new(&placeholders);
    let update = expressions.update(request.update_expression.as_deref())?;
    let condition = expressions.condition(request.condition_expression.as_deref())?;
    placeholders.check_used()?;
    let update = update.or_else(|| updates.as_ref().map(Updates::update));
    let condition = condition.or_else(|| expected.as_ref()?.condition());

    let table = caller.usable(table_name.as_ref())?;
    let key = table.schema.key(key)?;
    if let Some(update) = &update {
        check_keys(&table.schema, update)?;
        table.check_scalars(&update.paths)?;
    }
    let action = Action::Update(update.as_ref());
    Write::new(table, key, action, condition.as_ref(), &choices).call(&caller, &choices)
}

/// Refuses to change a key attribute.
pub(super) fn check_keys(schema: &Schema, update: &Update<'_>) -> Result<(), Refusal> {
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
