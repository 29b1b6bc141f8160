//! The operations: one file each, or one for a family. Each reads its request, checks it in the
//! service's order, asks the tables, and writes its reply.
//!
//! The order: JSON, required parameters, the table's name, the model's constraints, the
//! operation's own checks and expressions, the table, keys, the condition, the change, its size.

pub(crate) mod account;
pub(crate) mod batch_get_item;
pub(crate) mod batch_write_item;
pub(crate) mod continuous_backups;
pub(crate) mod create_table;
mod definition;
pub(crate) mod delete_item;
pub(crate) mod get_item;
mod pages;
pub(crate) mod put_item;
pub(crate) mod query;
pub(crate) mod scan;
mod source;
pub(crate) mod tables;
pub(crate) mod tags;
pub(crate) mod time_to_live;
pub(crate) mod transact_get_items;
pub(crate) mod transact_write_items;
pub(crate) mod update_item;
pub(crate) mod update_table;
mod write;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::IgnoredAny;

use super::catalog::Catalog;
use super::refusal::Refusal;
use super::rows::{Rows, When};
use super::table::Table;
use super::tokens::Tokens;
use super::value::{Item, item_size};
use super::wire::{Choice, Constraints, Text, required};
use crate::{Limits, Scope};

/// Largest item, in bytes.
pub(crate) const ITEM_SIZE_MAX: usize = 400 * 1024;

const NAME_LENGTH_MIN: usize = 3;
const NAME_LENGTH_MAX: usize = 255;
const ARN_LENGTH_MAX: usize = 1024;

/// An item without attributes: what a condition sees where there is no row.
pub(crate) static NO_ITEM: Item = Item::new();

/// Who calls, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) tokens: &'a Tokens,
    pub(crate) scope: &'a Scope,
    pub(crate) when: When,
    /// How old what an eventually consistent read shows is to be.
    pub(crate) stale: Option<Duration>,
    /// What becomes of calls beyond the throughput.
    pub(crate) limits: Limits,
    /// Counts those that would have been refused.
    pub(crate) exceeded: &'a AtomicU64,
}

impl Caller<'_> {
    /// The table of an operation on items.
    pub(crate) fn usable<'n, 'a: 'n>(
        &self,
        name: impl Into<Option<&'n TableName<'a>>>,
    ) -> Result<Arc<Table>, Refusal> {
        let name = name.into().and_then(|name| name.local(self.scope));
        let name = name.ok_or_else(Refusal::no_resource)?;
        self.catalog.usable(self.scope, name, self.when)
    }

    /// Looks whether a call is within its throughput, if anybody cares, and says whether what it costs
    /// is to be taken from there. What an enforcing service would have refused costs nothing, so that
    /// an observing one counts the same.
    pub(crate) fn admit(
        &self,
        admit: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        if self.limits == Limits::Off {
            return Ok(false);
        }
        match admit() {
            Ok(()) => Ok(true),
            Err(refusal) => {
                self.exceeded.fetch_add(1, Ordering::Relaxed);
                if self.limits == Limits::Enforce {
                    Err(refusal)
                } else {
                    Ok(false)
                }
            }
        }
    }

    /// Reads rows: as they are, or older ones where a fault has that and the reader must expect it.
    pub(crate) fn look<T>(
        &self,
        rows: &Rows,
        consistent: bool,
        read: impl FnOnce(&Rows) -> T,
    ) -> T {
        match self.stale {
            Some(age) if !consistent => {
                let horizon = self.when.now.checked_sub(age);
                read(&rows.as_of(horizon.unwrap_or(SystemTime::UNIX_EPOCH)))
            }
            Some(_) | None => read(rows),
        }
    }
}

/// A table's name as a request gives it: a name or an ARN.
#[derive(Debug)]
pub(crate) struct TableName<'a> {
    name: Cow<'a, str>,
    /// Of calls for items: what is wrong with it is one constraint among the others.
    is_checked_late: bool,
}

impl<'a> TableName<'a> {
    /// Takes the parameter; it is needed, and not too short or too long.
    pub(crate) fn new(parameter: Option<Text<'a>>) -> Result<Self, Refusal> {
        let name = required(parameter, "TableName")?;
        let max = if name.starts_with("arn:") {
            ARN_LENGTH_MAX
        } else {
            NAME_LENGTH_MAX
        };
        if name.len() < NAME_LENGTH_MIN || name.len() > max {
            return Err(Refusal::validation(
                "TableName must be at least 3 characters long and at most 255 characters long",
            ));
        }
        Ok(Self {
            name: name.0,
            is_checked_late: false,
        })
    }

    /// Takes the parameter of a call for items, where the model's constraints say what it has to be.
    pub(crate) fn of_items(parameter: Option<Text<'a>>) -> Option<Self> {
        parameter.map(|name| Self {
            name: name.0,
            is_checked_late: true,
        })
    }

    /// Notes characters that no table's name has, and of calls for items a wrong length.
    pub(crate) fn check(&self, constraints: &mut Constraints) {
        let is_arn = self.name.starts_with("arn:");
        if !is_arn {
            constraints.name(&self.name, "tableName");
        }
        if self.is_checked_late {
            let max = if is_arn {
                ARN_LENGTH_MAX
            } else {
                NAME_LENGTH_MAX
            };
            let length = self.name.len();
            constraints.length(&&*self.name, length, "tableName", (NAME_LENGTH_MIN, max));
        }
    }

    /// As [`TableName::check`], of one that may be missing.
    pub(crate) fn check_given(name: Option<&Self>, constraints: &mut Constraints) {
        match name {
            Some(name) => name.check(constraints),
            None => constraints.refuse(None, "tableName", "Member must not be null"),
        }
    }

    /// The name within `scope`; nothing for a table elsewhere.
    pub(crate) fn local(&self, scope: &Scope) -> Option<&str> {
        let Some(arn) = self.name.strip_prefix("arn:") else {
            return Some(&self.name);
        };
        let mut parts = arn.splitn(5, ':').skip(1);
        let (service, region, account) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = service == "dynamodb" && *region == *scope.region && *account == *scope.account;
        parts.next()?.strip_prefix("table/").filter(|_| ours)
    }
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

/// A parameter and whether the request has it.
pub(crate) type Given = (&'static str, bool);

/// Which of a request's parameters are expressions, and which are which came before them.
pub(crate) struct Styles<'p> {
    pub(crate) expressions: &'p [Given],
    pub(crate) legacy: &'p [Given],
    pub(crate) names: bool,
    pub(crate) values: bool,
}

impl Styles<'_> {
    /// Refuses both styles together, and placeholders without an expression to use them.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let expressions = given(self.expressions);
        let legacy = given(self.legacy);
        if !expressions.is_empty() && !legacy.is_empty() {
            return Err(Refusal::validation(format!(
                "Can not use both expression and non-expression parameters in the same request: \
                 Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
                legacy.join(", "),
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

/// Refuses an item that is too large to be put.
fn put_size(item: &Item) -> Result<(), Refusal> {
    if item_size(item) <= ITEM_SIZE_MAX {
        return Ok(());
    }
    Err(Refusal::validation(
        "Item size has exceeded the maximum allowed size",
    ))
}

/// A parameter of which only the presence counts.
pub(crate) type Presence = Option<IgnoredAny>;

/// Writes a reply.
pub(crate) fn reply(reply: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(reply).expect("texts, numbers and values always have a JSON form")
}
