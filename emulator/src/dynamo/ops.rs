//! The operations: one file each, or one for a family. Each reads its request, checks it in the
//! service's order, asks the tables, and writes its reply.
//!
//! The order: JSON, required parameters, the table's name, the model's constraints, the
//! operation's own checks and expressions, the table, keys, the condition, the change, its size.

pub(crate) mod control;
pub(crate) mod delete_item;
pub(crate) mod get_item;
mod pages;
pub(crate) mod put_item;
pub(crate) mod query;
pub(crate) mod scan;
pub(crate) mod update_item;
mod write;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::IgnoredAny;

use super::catalog::Catalog;
use super::refusal::Refusal;
use super::table::Table;
use super::value::{Item, item_size};
use super::wire::{Choice, Constraints, Text, required};
use crate::Scope;

/// Largest item, in bytes.
pub(crate) const ITEM_SIZE_MAX: usize = 400 * 1024;

/// An item without attributes: what a condition sees where there is no row.
pub(crate) static NO_ITEM: Item = Item::new();

/// Who calls, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) scope: &'a Scope,
    pub(crate) now: SystemTime,
}

impl Caller<'_> {
    /// The table of an operation on items.
    pub(crate) fn usable(&self, name: &TableName<'_>) -> Result<Arc<Table>, Refusal> {
        let name = name.local(self.scope).ok_or_else(Refusal::no_resource)?;
        self.catalog.usable(self.scope, name, self.now)
    }
}

/// A table's name as a request gives it: a name or an ARN.
#[derive(Debug)]
pub(crate) struct TableName<'a>(Cow<'a, str>);

impl<'a> TableName<'a> {
    /// Takes the parameter; it is needed, and not too short or too long.
    pub(crate) fn new(parameter: Option<Text<'a>>) -> Result<Self, Refusal> {
        let name = required(parameter, "TableName")?;
        let max = if name.starts_with("arn:") { 1024 } else { 255 };
        if name.len() < 3 || name.len() > max {
            return Err(Refusal::validation(
                "TableName must be at least 3 characters long and at most 255 characters long",
            ));
        }
        Ok(Self(name.0))
    }

    /// Notes characters that no table's name has.
    pub(crate) fn check(&self, constraints: &mut Constraints) {
        if !self.0.starts_with("arn:") {
            constraints.name(&self.0, "tableName");
        }
    }

    /// The name within `scope`; nothing for a table elsewhere.
    pub(crate) fn local(&self, scope: &Scope) -> Option<&str> {
        let Some(arn) = self.0.strip_prefix("arn:") else {
            return Some(&self.0);
        };
        let mut parts = arn.splitn(5, ':').skip(1);
        let (service, region, account) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = service == "dynamodb" && *region == *scope.region && *account == *scope.account;
        parts.next()?.strip_prefix("table/").filter(|_| ours)
    }
}

/// How much the reply says about capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnCapacity {
    Indexes,
    Total,
    None,
}

impl Choice for ReturnCapacity {
    const ALL: &'static [(&'static str, Self)] = &[
        ("INDEXES", Self::Indexes),
        ("TOTAL", Self::Total),
        ("NONE", Self::None),
    ];
}

/// Which attributes of the row a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnValues {
    AllNew,
    UpdatedOld,
    AllOld,
    None,
    UpdatedNew,
}

impl Choice for ReturnValues {
    const ALL: &'static [(&'static str, Self)] = &[
        ("ALL_NEW", Self::AllNew),
        ("UPDATED_OLD", Self::UpdatedOld),
        ("ALL_OLD", Self::AllOld),
        ("NONE", Self::None),
        ("UPDATED_NEW", Self::UpdatedNew),
    ];
}

/// Whether a failed condition returns the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnOnFailure {
    AllOld,
    None,
}

impl Choice for ReturnOnFailure {
    const ALL: &'static [(&'static str, Self)] = &[("ALL_OLD", Self::AllOld), ("NONE", Self::None)];
}

/// Whether the reply has metrics of item collections; tables without local indexes have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnCollections {
    Size,
    None,
}

impl Choice for ReturnCollections {
    const ALL: &'static [(&'static str, Self)] = &[("SIZE", Self::Size), ("NONE", Self::None)];
}

/// What a request spent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumedCapacity {
    capacity_units: f64,
    table_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<Capacity>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Capacity {
    capacity_units: f64,
}

impl ConsumedCapacity {
    /// `units` is counted only where the caller asked.
    fn new(
        detail: Option<ReturnCapacity>,
        table: &Table,
        units: impl FnOnce() -> f64,
    ) -> Option<Self> {
        let detail = detail.filter(|detail| *detail != ReturnCapacity::None)?;
        let capacity_units = units();
        let by_table = detail == ReturnCapacity::Indexes;
        Some(Self {
            capacity_units,
            table_name: table.definition.name.clone(),
            table: by_table.then_some(Capacity { capacity_units }),
        })
    }

    /// A unit for each 4 KiB read, half of it without consistency.
    pub(crate) fn of_read(
        detail: Option<ReturnCapacity>,
        table: &Table,
        bytes: impl FnOnce() -> usize,
        consistent: bool,
    ) -> Option<Self> {
        Self::new(detail, table, || {
            let units = bytes().div_ceil(4096).max(1) as f64;
            if consistent { units } else { units / 2.0 }
        })
    }

    /// A unit for each KiB of the larger of the rows before and after.
    pub(crate) fn of_write(
        detail: Option<ReturnCapacity>,
        table: &Table,
        old: Option<&Item>,
        new: Option<&Item>,
    ) -> Option<Self> {
        Self::new(detail, table, || {
            let bytes = old.map_or(0, item_size).max(new.map_or(0, item_size));
            bytes.div_ceil(1024).max(1) as f64
        })
    }
}

/// A parameter and whether the request has it.
pub(crate) type Given = (&'static str, bool);

/// Which of a request's parameters are expressions, and which are their forerunners.
pub(crate) struct Styles<'p> {
    pub(crate) expressions: &'p [Given],
    pub(crate) forerunners: &'p [Given],
    pub(crate) names: bool,
    pub(crate) values: bool,
}

impl Styles<'_> {
    /// Refuses both styles together, and placeholders without an expression to use them.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let expressions = given(self.expressions);
        let forerunners = given(self.forerunners);
        if !expressions.is_empty() && !forerunners.is_empty() {
            return Err(Refusal::validation(format!(
                "Can not use both expression and non-expression parameters in the same request: \
                 Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
                forerunners.join(", "),
                expressions.join(", ")
            )));
        }
        if self.names && expressions.is_empty() {
            return Err(Refusal::validation(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        let with_values: Vec<_> = self
            .expressions
            .iter()
            .filter(|(name, _)| *name != "ProjectionExpression")
            .collect();
        if self.values && with_values.iter().all(|(_, given)| !given) {
            let names: Vec<_> = with_values.iter().map(|(name, _)| *name).collect();
            let verb = if names.len() > 1 { "are" } else { "is" };
            return Err(Refusal::validation(format!(
                "ExpressionAttributeValues can only be specified when using expressions: \
                 {} {verb} null",
                names.join(" and ")
            )));
        }
        if let Some(name) = forerunners.first() {
            // Left out, it would change what the request means.
            tracing::warn!(
                parameter = name,
                "a parameter from before expressions is not built"
            );
            return Err(Refusal::validation(format!(
                "This emulator does not know the parameter {name} yet; use an expression"
            )));
        }
        Ok(())
    }
}

fn given(parameters: &[Given]) -> Vec<&'static str> {
    parameters
        .iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| *name)
        .collect()
}

/// A parameter of which only the presence counts.
pub(crate) type Presence = Option<IgnoredAny>;

/// Writes a reply.
pub(crate) fn reply(reply: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(reply).expect("texts, numbers and values always have a JSON form")
}
