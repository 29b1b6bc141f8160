//! DescribeTable, DeleteTable and ListTables.

use serde::{Deserialize, Serialize};

use super::{Caller, TableName, reply};
use crate::dynamo::life::Status;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::table::describe::Description;
use crate::dynamo::wire::{Constraints, Text, read};

/// Most names in one reply of ListTables.
const NAMES_MAX: i64 = 100;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableDescription {
    pub(super) table_description: Description,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct NamesTable<'a> {
    table_name: Option<Text<'a>>,
}

/// The table's name, for a request that has no other parameter.
pub(super) fn named_table(body: &[u8]) -> Result<TableName<'_>, Refusal> {
    let request: NamesTable<'_> = read(body)?;
    let table_name = TableName::new(request.table_name)?;
    let mut limits = Constraints::default();
    table_name.check(&mut limits);
    limits.check()?;
    Ok(table_name)
}

pub(crate) fn describe_table(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        table: Description,
    }
    let table_name = named_table(body)?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    let (table, status) = caller
        .catalog
        .find(caller.scope, name, caller.when.now)
        .ok_or_else(|| Refusal::no_table(name))?;
    Ok(reply(&Reply {
        table: table.describe(status, caller.when.now),
    }))
}

pub(crate) fn delete_table(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let table_name = named_table(body)?;
    let name = table_name
        .local(caller.scope)
        .ok_or_else(Refusal::no_resource)?;
    let now = caller.when.now;
    let table = caller.catalog.delete(caller.scope, name, now)?;
    Ok(reply(&TableDescription {
        table_description: table.describe(Status::Deleting, now),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct ListTables<'a> {
    exclusive_start_table_name: Option<Text<'a>>,
    limit: Option<i64>,
}

pub(crate) fn list_tables(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'a> {
        table_names: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        last_evaluated_table_name: Option<&'a str>,
    }
    let request: ListTables<'_> = read(body)?;
    let mut limits = Constraints::default();
    if let Some(name) = &request.exclusive_start_table_name {
        let path = "exclusiveStartTableName";
        limits.name(name, path);
        limits.length(&&**name, name.len(), path, (3, 255));
    }
    limits.range(request.limit, "limit", 1, NAMES_MAX);
    limits.check()?;
    let limit = usize::try_from(request.limit.unwrap_or(NAMES_MAX)).unwrap_or(usize::MAX);
    let after = request.exclusive_start_table_name.as_deref();
    let now = caller.when.now;
    let (names, more) = caller.catalog.list(caller.scope, after, limit, now);
    let last = names.last().filter(|_| more);
    Ok(reply(&Reply {
        table_names: &names,
        last_evaluated_table_name: last.map(String::as_str),
    }))
}
