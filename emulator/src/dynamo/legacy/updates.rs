//! AttributeUpdates: what becomes of single attributes.

use serde::Deserialize;

use crate::dynamo::expression::{AttributeChange, Pairs, Update};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::{AttributeValue, Loaded};
use crate::dynamo::wire::{Choice, Constraints, Text};

/// One attribute's update, as a request has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct AttributeUpdate<'a> {
    value: Option<Loaded>,
    action: Option<Text<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Put,
    Add,
    Delete,
}

impl Choice for Action {
    const ALL: &'static [(&'static str, Self)] = &[
        ("ADD", Self::Add),
        ("PUT", Self::Put),
        ("DELETE", Self::Delete),
    ];
}

/// Updates that passed the checks.
#[derive(Debug)]
pub(crate) struct Updates<'a>(Vec<(Text<'a>, Action, Option<AttributeValue>)>);

impl<'a> Updates<'a> {
    /// Notes what the model refuses.
    pub(crate) fn check_model(
        limits: &mut Constraints,
        updates: Option<&Pairs<'a, AttributeUpdate<'a>>>,
    ) {
        for (attribute, update) in updates.iter().flat_map(|updates| updates.iter()) {
            let path = || format!("attributeUpdates.{}.member.action", &**attribute);
            limits.choice_at::<Action>(update.action.as_ref(), path);
        }
    }

    /// Checks each update.
    pub(crate) fn new(updates: Pairs<'a, AttributeUpdate<'a>>) -> Result<Self, Refusal> {
        let mut all = Vec::new();
        for (attribute, update) in updates.into_sorted() {
            let value = update.value.map(|loaded| loaded.0).transpose();
            let value = value.map_err(Refusal::validation)?;
            let action = match update.action.as_deref() {
                Some("ADD") => Action::Add,
                Some("DELETE") => Action::Delete,
                Some(_) | None => Action::Put,
            };
            action.check(value.as_ref())?;
            all.push((attribute, action, value));
        }
        Ok(Self(all))
    }

    /// All of them as one update.
    pub(crate) fn update(&self) -> Update<'_> {
        Update::of_attributes(self.0.iter().map(|(attribute, action, value)| {
            let change = match (action, value) {
                (Action::Put, Some(value)) => AttributeChange::Put(value),
                (Action::Add, Some(value)) => AttributeChange::Add(value),
                (Action::Delete, Some(value)) => AttributeChange::Delete(value),
                (_, None) => AttributeChange::Remove,
            };
            (&**attribute, change)
        }))
    }
}

impl Action {
    fn check(self, value: Option<&AttributeValue>) -> Result<(), Refusal> {
        let Some(value) = value else {
            return match self {
                Self::Delete => Ok(()),
                Self::Put | Self::Add => Err(Refusal::invalid_value(
                    "Only DELETE action is allowed when no attribute value is specified",
                )),
            };
        };
        let kind = value.type_name();
        match (self, kind) {
            (Self::Put, _)
            | (Self::Add, "N" | "L" | "SS" | "NS" | "BS")
            | (Self::Delete, "SS" | "NS" | "BS") => Ok(()),
            (Self::Add, _) => Err(Refusal::invalid_value(format!(
                "ADD action is not supported for the type {kind}"
            ))),
            (Self::Delete, _) => Err(Refusal::invalid_value(format!(
                "DELETE action with value is not supported for the type {kind}"
            ))),
        }
    }
}
