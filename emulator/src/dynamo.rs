//! The DynamoDB of the emulator: tables in memory behind the service's JSON.
//!
//! Owns everything behind an operation's name and body: requests, checks in the service's order,
//! expressions, tables, replies and refusals. Does not own HTTP, signatures, checksums or the
//! clock: the service above calls [`Dynamo::call`] with the scope and the time. Nothing here
//! waits, draws random numbers or reads a clock.

mod catalog;
mod expression;
mod number;
mod ops;
mod refusal;
mod schema;
mod table;
mod value;
mod wire;

use std::ops::Bound;
use std::time::SystemTime;

pub use number::Number;
pub use refusal::Refusal;
pub use value::{AttributeValue, Item};

use crate::Scope;
use catalog::Catalog;
use ops::Caller;

/// The operations there are.
pub(crate) const OPERATIONS: [&str; 10] = [
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeTable",
    "GetItem",
    "ListTables",
    "PutItem",
    "Query",
    "Scan",
    "UpdateItem",
];

/// The table a request names, if it can be read.
pub(crate) fn table_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Request {
        #[serde(rename = "TableName")]
        table_name: Option<String>,
    }
    let request = serde_json::from_slice::<Request>(body).ok()?;
    request.table_name
}

/// All tables of all scopes.
#[derive(Debug, Default)]
pub struct Dynamo {
    catalog: Catalog,
}

impl Dynamo {
    /// No tables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers one call: the reply's body, or the refusal.
    ///
    /// # Errors
    /// Whatever the service would refuse, in its words.
    pub fn call(
        &self,
        scope: &Scope,
        now: SystemTime,
        operation: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let caller = Caller {
            catalog: &self.catalog,
            scope,
            now,
        };
        match operation {
            "UpdateItem" => ops::update_item::call(caller, body),
            "GetItem" => ops::get_item::call(caller, body),
            "PutItem" => ops::put_item::call(caller, body),
            "DeleteItem" => ops::delete_item::call(caller, body),
            "Scan" => ops::scan::call(caller, body),
            "Query" => ops::query::call(caller, body),
            "DescribeTable" => ops::control::describe_table(caller, body),
            "CreateTable" => ops::control::create_table(caller, body),
            "DeleteTable" => ops::control::delete_table(caller, body),
            "ListTables" => ops::control::list_tables(caller, body),
            _ => {
                tracing::warn!(
                    operation,
                    "a DynamoDB operation is called that is not built"
                );
                Err(Refusal::unknown_operation(operation))
            }
        }
    }

    /// Drops every table of every scope, and says how many there were.
    pub(crate) fn clear(&self) -> usize {
        self.catalog.clear()
    }

    /// The items of a table in the order of a scan; nothing if there is no such table. For tests
    /// and simulations, which look at the table without calling it.
    #[must_use]
    pub fn items(&self, scope: &Scope, table: &str) -> Option<Vec<Item>> {
        // However far its creation or deletion is: what it holds is what counts here.
        let (table, _) = self.catalog.find(scope, table, SystemTime::UNIX_EPOCH)?;
        let rows = table.rows.read();
        Some(
            rows.range(Bound::Unbounded, Bound::Unbounded)
                .map(|(_, item)| (**item).clone())
                .collect(),
        )
    }
}
