//! The expression language: conditions, filters, key conditions, updates, projections.
//!
//! Each text is read once, by a grammar of its own over shared tokens and paths, into a tree
//! that borrows its names from the text and its values from the request. What the service
//! refuses without looking at an item is refused here, in its order. Called by the operations
//! through [`Expressions`].

mod apply;
mod check;
mod condition;
mod evaluate;
mod key;
mod lex;
mod parse;
mod path;
mod placeholders;
mod project;
mod reserved;
mod tree;
mod update;

pub(crate) use key::{KeyRange, KeyTerm};
pub(crate) use path::Path;
pub(crate) use placeholders::{Pairs, Placeholders};
pub(crate) use project::project;
pub(crate) use tree::{Comparator, Condition, Operand};
pub(crate) use update::{AttributeChange, Update};

use super::refusal::Refusal;

/// Longest expression, in bytes.
const LENGTH_MAX: usize = 4096;

/// Reads the expressions of one request over its placeholders.
#[derive(Debug)]
pub(crate) struct Expressions<'a> {
    placeholders: &'a Placeholders<'a>,
}

impl<'a> Expressions<'a> {
    pub(crate) fn new(placeholders: &'a Placeholders<'a>) -> Self {
        Self { placeholders }
    }

    /// Reads an UpdateExpression.
    pub(crate) fn update(&self, text: Option<&'a str>) -> Result<Option<Update<'a>>, Refusal> {
        self.read("UpdateExpression", text, Update::parse)
    }

    /// Reads a ConditionExpression.
    pub(crate) fn condition(
        &self,
        text: Option<&'a str>,
    ) -> Result<Option<Condition<'a>>, Refusal> {
        self.read("ConditionExpression", text, Condition::parse)
    }

    /// Reads a FilterExpression.
    pub(crate) fn filter(&self, text: Option<&'a str>) -> Result<Option<Condition<'a>>, Refusal> {
        self.read("FilterExpression", text, Condition::parse)
    }

    /// Reads a KeyConditionExpression into a condition; [`Expressions::key_terms`] takes it apart
    /// once all expressions are read, which is when the service does.
    pub(crate) fn key_condition(
        &self,
        text: Option<&'a str>,
    ) -> Result<Option<Condition<'a>>, Refusal> {
        self.read("KeyConditionExpression", text, Condition::parse)
    }

    /// The conditions on single key attributes.
    pub(crate) fn key_terms(condition: &Condition<'a>) -> Result<Vec<KeyTerm<'a>>, Refusal> {
        key::terms(condition).map_err(Refusal::validation)
    }

    /// Reads a ProjectionExpression.
    pub(crate) fn projection(
        &self,
        text: Option<&'a str>,
    ) -> Result<Option<Vec<Path<'a>>>, Refusal> {
        self.read("ProjectionExpression", text, project::parse)
    }

    fn read<T>(
        &self,
        parameter: &str,
        text: Option<&'a str>,
        parse: fn(&'a str, &'a Placeholders<'a>) -> Result<T, String>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = text else { return Ok(None) };
        let parsed = if text.is_empty() {
            Err("The expression can not be empty;".to_owned())
        } else if text.len() > LENGTH_MAX {
            let size = text.len();
            Err(format!(
                "Expression size has exceeded the maximum allowed size; expression size: {size}"
            ))
        } else {
            parse(text, self.placeholders)
        };
        parsed
            .map(Some)
            .map_err(|fault| Refusal::validation(format!("Invalid {parameter}: {fault}")))
    }
}
