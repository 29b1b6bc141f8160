//! The DynamoDB of the emulator: tables in memory behind the service's JSON.
//!
//! Owns everything behind an operation's name and body: requests, checks in the service's order,
//! expressions, tables, replies and refusals. Does not own HTTP, signatures, checksums or the
//! clock: the service above calls [`Dynamo::call`] with the scope and the time. Nothing here
//! waits, draws random numbers or reads a clock.

mod budget;
mod capacity;
mod catalog;
mod expiry;
mod expression;
mod history;
mod index;
mod legacy;
mod life;
mod number;
mod ops;
mod refusal;
mod rows;
mod schema;
mod table;
mod tokens;
mod value;
mod wire;

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

pub use number::Number;
pub use refusal::Refusal;
pub use value::{AttributeValue, Item};

use crate::{Delays, Limits, Scope};
use catalog::Catalog;
use ops::Caller;
use rows::When;
use tokens::Tokens;

/// The operations there are, in the order of their names.
pub(crate) const OPERATIONS: [&str; 24] = [
    "BatchGetItem",
    "BatchWriteItem",
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeContinuousBackups",
    "DescribeEndpoints",
    "DescribeLimits",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "ListTables",
    "ListTagsOfResource",
    "PutItem",
    "Query",
    "Scan",
    "TagResource",
    "TransactGetItems",
    "TransactWriteItems",
    "UntagResource",
    "UpdateContinuousBackups",
    "UpdateItem",
    "UpdateTable",
    "UpdateTimeToLive",
];

/// What carries an operation out.
type Carrier = fn(Caller<'_>, &[u8]) -> Result<Vec<u8>, Refusal>;

/// One for each of [`OPERATIONS`].
const CARRIERS: [Carrier; 24] = [
    ops::batch_get_item::call,
    ops::batch_write_item::call,
    ops::create_table::call,
    ops::delete_item::call,
    ops::tables::delete_table,
    ops::continuous_backups::describe,
    ops::account::describe_endpoints,
    ops::account::describe_limits,
    ops::tables::describe_table,
    ops::time_to_live::describe,
    ops::get_item::call,
    ops::tables::list_tables,
    ops::tags::list_tags_of_resource,
    ops::put_item::call,
    ops::query::call,
    ops::scan::call,
    ops::tags::tag_resource,
    ops::transact_get_items::call,
    ops::transact_write_items::call,
    ops::tags::untag_resource,
    ops::continuous_backups::update,
    ops::update_item::call,
    ops::update_table::call,
    ops::time_to_live::update,
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
    tokens: Tokens,
    limits: Limits,
    exceeded: AtomicU64,
}

/// What holds for one call and comes from outside of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Circumstances {
    /// How old what an eventually consistent read shows is to be.
    pub(crate) stale: Option<Duration>,
    /// For how long what writes replace is to be remembered, for the sake of such reads.
    pub(crate) memory: Option<Duration>,
}

impl Dynamo {
    /// No tables, and no limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long changes of state take, and what becomes of calls beyond a table's throughput.
    pub(crate) fn set(&mut self, delays: Delays, limits: Limits) {
        self.catalog.delays = delays;
        self.limits = limits;
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
        self.call_in(scope, now, (operation, body), Circumstances::default())
    }

    /// As [`Dynamo::call`], under circumstances.
    pub(crate) fn call_in(
        &self,
        scope: &Scope,
        now: SystemTime,
        (operation, body): (&str, &[u8]),
        circumstances: Circumstances,
    ) -> Result<Vec<u8>, Refusal> {
        let Ok(place) = OPERATIONS.binary_search(&operation) else {
            tracing::warn!(
                operation,
                "a DynamoDB operation is called that is not built"
            );
            return Err(Refusal::unknown_operation(operation));
        };
        let caller = Caller {
            catalog: &self.catalog,
            tokens: &self.tokens,
            scope,
            when: When {
                now,
                memory: circumstances.memory,
            },
            stale: circumstances.stale,
            limits: self.limits,
            exceeded: &self.exceeded,
        };
        CARRIERS[place](caller, body)
    }

    /// Whether calls beyond their table's throughput are refused, and how many calls, or items of
    /// batches, there were while anybody counted.
    pub(crate) fn exceeded(&self) -> (bool, u64) {
        let is_enforced = self.limits == Limits::Enforce;
        (is_enforced, self.exceeded.load(Ordering::Relaxed))
    }

    /// Drops every table of every scope, and says how many there were.
    pub(crate) fn clear(&self) -> usize {
        self.tokens.clear();
        self.catalog.clear()
    }

    /// The items of a table in the order of a scan; nothing if there is no such table. For tests
    /// and simulations, which look at the table without calling it.
    #[must_use]
    pub fn items(&self, scope: &Scope, table: &str) -> Option<Vec<Item>> {
        let items = self.shared_items(scope, table)?;
        Some(items.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// The same without a copy: an item that did not change between two calls is the same one.
    #[must_use]
    pub fn shared_items(&self, scope: &Scope, table: &str) -> Option<Vec<Arc<Item>>> {
        // However far its creation or deletion is: what it holds is what counts here.
        let (table, _) = self.catalog.find(scope, table, SystemTime::UNIX_EPOCH)?;
        let rows = table.rows.read();
        Some(
            rows.range(Bound::Unbounded, Bound::Unbounded)
                .map(|(_, item)| Arc::clone(item))
                .collect(),
        )
    }
}
