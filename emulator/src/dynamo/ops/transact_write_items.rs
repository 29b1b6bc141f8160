//! TransactWriteItems: up to a hundred writes, all or none.
//!
//! The tables are locked together, in the order of their names so that two transactions never wait for
//! each other. Every action is weighed, and only if none stands in the way are all applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLockWriteGuard;
use serde::{Deserialize, Serialize};

use super::definition::elements;
use super::update_item::check_keys;
use super::write::{Action, CollectionMetrics, Weighed, Write};
use super::{Caller, ReturnCollections, ReturnOnFailure, Styles, TableName, put_size, reply};
use crate::dynamo::capacity::{Account, ConsumedCapacity, ReturnCapacity, Units, is_wanted};
use crate::dynamo::expression::{Condition, Expressions, Pairs, Placeholders, Update};
use crate::dynamo::index::Reach;
use crate::dynamo::refusal::{Reason, Refusal};
use crate::dynamo::rows::Rows;
use crate::dynamo::schema::Key;
use crate::dynamo::table::Table;
use crate::dynamo::value::{Item, Loaded, LoadedItem, item_size};
use crate::dynamo::wire::{Constraints, Text, read};

/// Most actions of one transaction.
pub(super) const ACTIONS_MAX: usize = 100;
/// Most bytes that one transaction may write.
const BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    transact_items: Option<Vec<TransactItem<'a>>>,
    client_request_token: Option<Text<'a>>,
    return_consumed_capacity: Option<Text<'a>>,
    return_item_collection_metrics: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct TransactItem<'a> {
    condition_check: Option<ActionRequest<'a>>,
    put: Option<ActionRequest<'a>>,
    delete: Option<ActionRequest<'a>>,
    update: Option<ActionRequest<'a>>,
}

/// The parameters of all four kinds of action; each kind has some of them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct ActionRequest<'a> {
    table_name: Option<Text<'a>>,
    key: Option<LoadedItem>,
    item: Option<LoadedItem>,
    update_expression: Option<Text<'a>>,
    condition_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
    expression_attribute_values: Option<Pairs<'a, Loaded>>,
    return_values_on_condition_check_failure: Option<Text<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Check,
    Put,
    Delete,
    Update,
}

impl Kind {
    /// As constraints of the model name it.
    fn path(self) -> &'static str {
        match self {
            Self::Check => "conditionCheck",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Update => "update",
        }
    }
}

/// An action whose values passed the checks; its expressions are read when it has its place.
struct Checked<'a> {
    kind: Kind,
    table: Arc<Table>,
    item: Item,
    update: Option<Text<'a>>,
    condition: Option<Text<'a>>,
    placeholders: Placeholders<'a>,
    on_failure: Option<ReturnOnFailure>,
}

/// The expressions of an action.
struct Parsed<'p> {
    update: Option<Update<'p>>,
    condition: Option<Condition<'p>>,
}

/// What was asked to be told besides.
#[derive(Clone, Copy)]
struct Asked {
    capacity: Option<ReturnCapacity>,
    collections: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    item_collection_metrics: BTreeMap<String, Vec<CollectionMetrics>>,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: Request<'_> = read(body)?;
    let asked = request.check_model()?;
    let token = request.client_request_token.take();
    let mut checked = Vec::new();
    for item in request.transact_items.into_iter().flatten() {
        checked.push(item.check(&caller)?);
    }
    let mut parsed = Vec::with_capacity(checked.len());
    for action in &checked {
        parsed.push(action.parse()?);
    }
    let sizes = checked.iter().map(|action| item_size(&action.item));
    if sizes.sum::<usize>() > BYTES_MAX {
        return Err(Refusal::validation(
            "Collection size of the items in the transaction exceeds the limit of 4 MB",
        ));
    }
    let now = caller.when.now;
    caller
        .tokens
        .once((caller.scope, token.as_deref()), body, now, || {
            carry_out(&caller, asked, &checked, &parsed)
        })
}

impl Request<'_> {
    fn check_model(&self) -> Result<Asked, Refusal> {
        let mut limits = Constraints::default();
        let capacity = limits.choice::<ReturnCapacity>(
            self.return_consumed_capacity.as_ref(),
            "returnConsumedCapacity",
        );
        let path = "returnItemCollectionMetrics";
        let collections =
            limits.choice::<ReturnCollections>(self.return_item_collection_metrics.as_ref(), path);
        if let Some(token) = &self.client_request_token {
            limits.length(&&**token, token.len(), "clientRequestToken", (1, 36));
        }
        match &self.transact_items {
            None => limits.refuse(None, "transactItems", "Member must not be null"),
            Some(items) => {
                let shown = elements(items.len());
                limits.length(&shown, items.len(), "transactItems", (1, ACTIONS_MAX));
                for (place, item) in (1..).zip(items) {
                    item.check_model(&mut limits, &format!("transactItems.{place}.member"));
                }
            }
        }
        limits.check()?;
        Ok(Asked {
            capacity,
            collections: collections == Some(ReturnCollections::Size),
        })
    }
}

impl<'a> TransactItem<'a> {
    fn all(&self) -> [(Kind, Option<&ActionRequest<'a>>); 4] {
        [
            (Kind::Check, self.condition_check.as_ref()),
            (Kind::Put, self.put.as_ref()),
            (Kind::Delete, self.delete.as_ref()),
            (Kind::Update, self.update.as_ref()),
        ]
    }

    fn check_model(&self, limits: &mut Constraints, path: &str) {
        for (kind, action) in self.all() {
            let Some(action) = action else { continue };
            let path = |member: &str| format!("{path}.{}.{member}", kind.path());
            let mut due = |missing: bool, member: &str| {
                if missing {
                    limits.refuse(None, &path(member), "Member must not be null");
                }
            };
            due(action.table_name.is_none(), "tableName");
            match kind {
                Kind::Put => due(action.item.is_none(), "item"),
                Kind::Check | Kind::Delete | Kind::Update => due(action.key.is_none(), "key"),
            }
            if kind == Kind::Update {
                due(action.update_expression.is_none(), "updateExpression");
            }
            if kind == Kind::Check {
                due(action.condition_expression.is_none(), "conditionExpression");
            }
            let on_failure = action.return_values_on_condition_check_failure.as_ref();
            let path = path("returnValuesOnConditionCheckFailure");
            limits.choice::<ReturnOnFailure>(on_failure, &path);
        }
    }

    fn check(self, caller: &Caller<'_>) -> Result<Checked<'a>, Refusal> {
        let given = self
            .all()
            .iter()
            .filter(|(_, action)| action.is_some())
            .count();
        if given != 1 {
            return Err(Refusal::validation(
                "TransactItems can only contain one of Check, Put, Update or Delete",
            ));
        }
        let Self {
            condition_check,
            put,
            delete,
            update,
        } = self;
        let of =
            |kind: Kind, action: Option<ActionRequest<'a>>| action.map(|action| (kind, action));
        let found = of(Kind::Check, condition_check)
            .or(of(Kind::Put, put))
            .or(of(Kind::Delete, delete))
            .or(of(Kind::Update, update));
        let (kind, action) = found.ok_or_else(Refusal::internal)?;
        action.check(caller, kind)
    }
}

impl<'a> ActionRequest<'a> {
    fn check(self, caller: &Caller<'_>, kind: Kind) -> Result<Checked<'a>, Refusal> {
        let table_name = TableName::new(self.table_name)?;
        Styles {
            expressions: &[
                ("UpdateExpression", self.update_expression.is_some()),
                ("ConditionExpression", self.condition_expression.is_some()),
            ],
            legacy: &[],
            names: self.expression_attribute_names.is_some(),
            values: self.expression_attribute_values.is_some(),
        }
        .check()?;
        let item = if kind == Kind::Put {
            self.item
        } else {
            self.key
        };
        let item = item
            .unwrap_or_default()
            .checked()
            .map_err(Refusal::validation)?;
        if kind == Kind::Put {
            put_size(&item)?;
        }
        let mut limits = Constraints::default();
        let on_failure = self.return_values_on_condition_check_failure.as_ref();
        let on_failure = limits.choice(on_failure, "returnValuesOnConditionCheckFailure");
        Ok(Checked {
            kind,
            table: caller.usable(&table_name)?,
            item,
            update: self.update_expression.filter(|_| kind == Kind::Update),
            condition: self.condition_expression,
            placeholders: Placeholders::new(
                self.expression_attribute_names,
                self.expression_attribute_values,
            )?,
            on_failure,
        })
    }
}

impl Checked<'_> {
    fn parse(&self) -> Result<Parsed<'_>, Refusal> {
        let expressions = Expressions::new(&self.placeholders);
        let update = expressions.update(self.update.as_deref())?;
        let condition = expressions.condition(self.condition.as_deref())?;
        self.placeholders.check_used()?;
        Ok(Parsed { update, condition })
    }

    fn key(&self) -> Result<Key, Refusal> {
        let schema = &self.table.schema;
        match self.kind {
            Kind::Put => schema.key_of(&self.item),
            Kind::Check | Kind::Delete | Kind::Update => schema.key(self.item.clone()),
        }
    }

    fn write<'w>(&'w self, parsed: &'w Parsed<'w>) -> Result<Write<'w>, Refusal> {
        if let Some(update) = &parsed.update {
            check_keys(&self.table.schema, update)?;
            self.table.check_scalars(&update.paths)?;
        }
        Ok(Write {
            table: Arc::clone(&self.table),
            key: self.key()?,
            action: match self.kind {
                Kind::Check => Action::Check,
                Kind::Put => Action::Put(Arc::new(self.item.clone())),
                Kind::Delete => Action::Delete,
                Kind::Update => Action::Update(parsed.update.as_ref()),
            },
            condition: parsed.condition.as_ref(),
            on_failure: self.on_failure,
        })
    }
}

/// The rows of the tables of a transaction, locked.
type Locked<'t> = BTreeMap<&'t str, RwLockWriteGuard<'t, Rows>>;

fn carry_out(
    caller: &Caller<'_>,
    asked: Asked,
    checked: &[Checked<'_>],
    parsed: &[Parsed<'_>],
) -> Result<Vec<u8>, Refusal> {
    let writes: Vec<_> = checked
        .iter()
        .zip(parsed)
        .map(|(action, parsed)| action.write(parsed))
        .collect();
    check_distinct(&writes)?;
    let tables: BTreeMap<&str, &Table> = checked
        .iter()
        .map(|action| (action.table.name.as_str(), &*action.table))
        .collect();
    // ORDER: by name, as every transaction does.
    let mut locked: Locked<'_> = BTreeMap::new();
    for (name, table) in tables {
        locked.insert(name, table.rows.write());
    }
    let mut weighed = Vec::with_capacity(writes.len());
    let mut reasons = Vec::with_capacity(writes.len());
    let wants_units = is_wanted(asked.capacity);
    for (write, action) in writes.iter().zip(checked) {
        let rows = &locked[action.table.name.as_str()];
        let result = match write {
            // It is written twice: to prepare and to commit.
            Ok(write) => write.weigh(caller, rows, wants_units).map(Weighed::doubled),
            Err(refusal) => Err(refusal.clone()),
        };
        match result {
            Ok(done) => {
                weighed.push(done);
                reasons.push(Reason::none());
            }
            Err(refusal) => reasons.push(refusal.reason().ok_or(refusal)?),
        }
    }
    if weighed.len() < writes.len() {
        return Err(Refusal::cancelled(reasons));
    }
    let writes: Vec<_> = writes.into_iter().flatten().collect();
    Ok(reply(&apply(caller, asked, &mut locked, &writes, weighed)))
}

fn apply(
    caller: &Caller<'_>,
    asked: Asked,
    locked: &mut Locked<'_>,
    writes: &[Write<'_>],
    weighed: Vec<Weighed>,
) -> Reply {
    let mut sums: BTreeMap<&str, Units> = BTreeMap::new();
    let mut item_collection_metrics: BTreeMap<String, Vec<CollectionMetrics>> = BTreeMap::new();
    for (write, weighed) in writes.iter().zip(weighed) {
        let name = write.table.name.as_str();
        let Some(rows) = locked.get_mut(name) else {
            continue;
        };
        write.apply(caller.when, rows, &weighed);
        if let Some(units) = weighed.units {
            sums.entry(name).or_default().add(&units);
        }
        let mut indexes = rows.indexes().iter();
        if asked.collections && indexes.any(|index| index.definition.reach == Reach::Local) {
            let metrics = CollectionMetrics::new(&write.table.schema, &write.key);
            item_collection_metrics
                .entry(name.to_owned())
                .or_default()
                .push(metrics);
        }
    }
    let consumed_capacity = is_wanted(asked.capacity).then(|| {
        let each = sums.iter();
        each.filter_map(|(table, units)| {
            ConsumedCapacity::new(asked.capacity, table, units, Account::Writes)
        })
        .collect()
    });
    Reply {
        consumed_capacity,
        item_collection_metrics,
    }
}

/// No two actions are about one row.
fn check_distinct(writes: &[Result<Write<'_>, Refusal>]) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    for write in writes.iter().flatten() {
        if !seen.insert((write.table.name.as_str(), &write.key)) {
            return Err(Refusal::validation(
                "Transaction request cannot include multiple operations on one item",
            ));
        }
    }
    Ok(())
}
