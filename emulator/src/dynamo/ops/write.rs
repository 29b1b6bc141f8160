//! What PutItem, UpdateItem and DeleteItem have in common: the choices of a write, its
//! condition, and the two parameters that both came before expressions.

use super::{
    Given, NO_ITEM, Presence, ReturnCapacity, ReturnCollections, ReturnOnFailure, ReturnValues,
    TableName,
};
use crate::dynamo::expression::Condition;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::Item;
use crate::dynamo::wire::{Constraints, Text};

/// The parameters that the model limits to a few names, as the request has them.
pub(super) struct Asked<'r, 'a> {
    pub(super) capacity: &'r Option<Text<'a>>,
    pub(super) values: &'r Option<Text<'a>>,
    pub(super) collections: &'r Option<Text<'a>>,
    pub(super) on_failure: &'r Option<Text<'a>>,
}

/// What they choose.
pub(super) struct Choices {
    pub(super) capacity: Option<ReturnCapacity>,
    pub(super) values: ReturnValues,
    on_failure: Option<ReturnOnFailure>,
}

impl Asked<'_, '_> {
    /// Checks the model's constraints on a write, which also needs an item or a key.
    pub(super) fn check(
        &self,
        table_name: &TableName<'_>,
        (subject, present): Given,
    ) -> Result<Choices, Refusal> {
        let mut limits = Constraints::default();
        let capacity = limits.choice(self.capacity.as_ref(), "returnConsumedCapacity");
        table_name.check(&mut limits);
        if !present {
            limits.refuse(None, subject, "Member must not be null");
        }
        let values = limits.choice(self.values.as_ref(), "returnValues");
        let path = "returnItemCollectionMetrics";
        limits.choice::<ReturnCollections>(self.collections.as_ref(), path);
        let path = "returnValuesOnConditionCheckFailure";
        let on_failure = limits.choice(self.on_failure.as_ref(), path);
        limits.check()?;
        Ok(Choices {
            capacity,
            values: values.unwrap_or(ReturnValues::None),
            on_failure,
        })
    }
}

impl Choices {
    /// Refuses to return what only an update has.
    pub(super) fn check_values(&self) -> Result<(), Refusal> {
        if matches!(self.values, ReturnValues::None | ReturnValues::AllOld) {
            return Ok(());
        }
        Err(Refusal::validation(
            "ReturnValues can only be ALL_OLD or NONE",
        ))
    }

    /// Refuses the write unless the row meets the condition.
    pub(super) fn check_condition(
        &self,
        condition: Option<&Condition<'_>>,
        old: Option<&Item>,
    ) -> Result<(), Refusal> {
        match condition {
            Some(condition) if !condition.holds(old.unwrap_or(&NO_ITEM)) => {
                let asked = self.on_failure == Some(ReturnOnFailure::AllOld);
                Err(Refusal::condition_failed(old.filter(|_| asked)))
            }
            _ => Ok(()),
        }
    }
}

/// The parameters that say a condition without an expression.
pub(super) fn forerunners(expected: &Presence, operator: &Presence) -> [Given; 2] {
    [
        ("Expected", expected.is_some()),
        ("ConditionalOperator", operator.is_some()),
    ]
}
