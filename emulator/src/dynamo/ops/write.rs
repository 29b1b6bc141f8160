//! What all writes of one row have in common, alone or in a transaction: the choices of the request,
//! the condition, and the two steps of a write.
//!
//! First a write is weighed: admitted, held against its condition, computed. Nothing changes. Then it
//! is applied, which cannot fail. So a transaction weighs all its writes before it applies one. What
//! is dear about weighing is foreseen without the table's lock, which all writers of it want.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use super::{
    Caller, Given, ITEM_SIZE_MAX, NO_ITEM, ReturnCollections, ReturnOnFailure, ReturnValues,
    TableName,
};
use crate::dynamo::budget::Side;
use crate::dynamo::capacity::{Account, ConsumedCapacity, ReturnCapacity, Units, is_wanted};
use crate::dynamo::expression::{Condition, Update, project};
use crate::dynamo::index::{Index, Reach};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::rows::{Rows, When};
use crate::dynamo::schema::{Key, Schema};
use crate::dynamo::table::Table;
use crate::dynamo::value::{Item, item_size};
use crate::dynamo::wire::{Constraints, Text};

/// The parameters that the model limits to a few names, as the request has them.
pub(super) struct Asked<'r, 'a> {
    pub(super) capacity: &'r Option<Text<'a>>,
    pub(super) values: &'r Option<Text<'a>>,
    pub(super) collections: &'r Option<Text<'a>>,
    pub(super) on_failure: &'r Option<Text<'a>>,
}

/// What they choose.
#[derive(Clone, Copy)]
pub(super) struct Choices {
    capacity: Option<ReturnCapacity>,
    values: ReturnValues,
    collections: Option<ReturnCollections>,
    on_failure: Option<ReturnOnFailure>,
}

impl Asked<'_, '_> {
    /// Notes what the model refuses of a write, which also needs an item or a key.
    pub(super) fn check(
        &self,
        limits: &mut Constraints,
        table_name: Option<&TableName<'_>>,
        (subject, present): Given,
    ) -> Choices {
        let capacity = limits.choice(self.capacity.as_ref(), "returnConsumedCapacity");
        TableName::check_given(table_name, limits);
        if !present {
            limits.refuse(None, subject, "Member must not be null");
        }
        let values = limits.choice(self.values.as_ref(), "returnValues");
        let path = "returnItemCollectionMetrics";
        let collections = limits.choice(self.collections.as_ref(), path);
        let path = "returnValuesOnConditionCheckFailure";
        let on_failure = limits.choice(self.on_failure.as_ref(), path);
        Choices {
            capacity,
            values: values.unwrap_or(ReturnValues::None),
            collections,
            on_failure,
        }
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
}

/// What a write does to its row.
pub(super) enum Action<'w> {
    Put(Arc<Item>),
    /// An update of nothing makes a row of its key alone.
    Update(Option<&'w Update<'w>>),
    Delete,
    /// Only the condition counts.
    Check,
}

/// What a condition and an update come to for one state of their row.
struct Foreseen {
    old: Option<Arc<Item>>,
    outcome: Result<Option<Arc<Item>>, Refusal>,
}

impl Foreseen {
    /// Whether the row is still in that state.
    fn is_of(&self, old: Option<&Arc<Item>>) -> bool {
        match (&self.old, old) {
            (Some(seen), Some(old)) => Arc::ptr_eq(seen, old),
            (None, None) => true,
            _ => false,
        }
    }
}

/// A write, ready to be carried out.
pub(super) struct Write<'w> {
    pub(super) table: Arc<Table>,
    pub(super) key: Key,
    pub(super) action: Action<'w>,
    pub(super) condition: Option<&'w Condition<'w>>,
    pub(super) on_failure: Option<ReturnOnFailure>,
}

/// What a write comes to: the row before and after, and what that costs, if somebody wants to know.
pub(super) struct Weighed {
    pub(super) old: Option<Arc<Item>>,
    pub(super) new: Option<Arc<Item>>,
    pub(super) units: Option<Units>,
    /// Whether that is taken from what the table may spend.
    is_metered: bool,
}

impl Weighed {
    /// The same at twice the price.
    pub(super) fn doubled(self) -> Self {
        Self {
            units: self.units.map(Units::doubled),
            ..self
        }
    }
}

impl<'w> Write<'w> {
    /// A write of a single call.
    pub(super) fn new(
        table: Arc<Table>,
        key: Key,
        action: Action<'w>,
        condition: Option<&'w Condition<'w>>,
        choices: &Choices,
    ) -> Self {
        Self {
            table,
            key,
            action,
            condition,
            on_failure: choices.on_failure,
        }
    }

    /// Carries out a single call, and writes its reply.
    pub(super) fn call(&self, caller: &Caller<'_>, choices: &Choices) -> Result<Vec<u8>, Refusal> {
        let foreseen = self.foresee(self.table.rows.read().get(&self.key).cloned());
        let mut rows = self.table.rows.write();
        let weighed = self.weigh_foreseen(caller, &rows, is_wanted(choices.capacity), foreseen)?;
        self.apply(caller.when, &mut rows, &weighed);
        let has_local = rows
            .indexes()
            .iter()
            .any(|index| index.definition.reach == Reach::Local);
        drop(rows);
        let consumed_capacity = weighed.units.as_ref().and_then(|units| {
            ConsumedCapacity::new(choices.capacity, &self.table.name, units, Account::Plain)
        });
        let shows_collection = has_local && choices.collections == Some(ReturnCollections::Size);
        Ok(super::reply(&Reply {
            attributes: self.shown(choices.values, &weighed),
            consumed_capacity,
            item_collection_metrics: shows_collection
                .then(|| CollectionMetrics::new(&self.table.schema, &self.key)),
        }))
    }

    /// See the module.
    ///
    /// # Errors
    /// Throughput is used up, the condition does not hold, or what would come of it cannot be kept.
    pub(super) fn weigh(
        &self,
        caller: &Caller<'_>,
        rows: &Rows,
        wants_units: bool,
    ) -> Result<Weighed, Refusal> {
        let foreseen = self.foresee(rows.get(&self.key).cloned());
        self.weigh_foreseen(caller, rows, wants_units, foreseen)
    }

    fn weigh_foreseen(
        &self,
        caller: &Caller<'_>,
        rows: &Rows,
        wants_units: bool,
        foreseen: Foreseen,
    ) -> Result<Weighed, Refusal> {
        let Caller { when, .. } = caller;
        // ORDER: throughput that is used up is refused before a condition that does not hold.
        let mut is_metered = caller.admit(|| self.table.admit(Side::Write, when.now))?;
        let current = rows.get(&self.key);
        let Foreseen { old, outcome } = if foreseen.is_of(current) {
            foreseen
        } else {
            self.foresee(current.cloned())
        };
        let new = outcome?;
        if let Some(new) = &new
            && !matches!(self.action, Action::Check)
        {
            rows.check(new)?;
        }
        let units = (wants_units || is_metered)
            .then(|| Units::of_write(&self.table.schema, rows, old.as_deref(), new.as_deref()));
        if is_metered && let Some(units) = &units {
            let is_touched = |index: &&Index| units.global.contains_key(&index.definition.name);
            let touched = rows.indexes().iter().filter(is_touched);
            is_metered =
                caller.admit(|| self.table.admit_indexes(Side::Write, touched, when.now))?;
        }
        Ok(Weighed {
            old,
            new,
            units,
            is_metered,
        })
    }

    /// What becomes of the row if it is `old`.
    fn foresee(&self, old: Option<Arc<Item>>) -> Foreseen {
        let outcome = self.outcome(old.as_ref());
        Foreseen { old, outcome }
    }

    fn outcome(&self, old: Option<&Arc<Item>>) -> Result<Option<Arc<Item>>, Refusal> {
        if let Some(condition) = self.condition
            && !condition.holds(old.map_or(&NO_ITEM, |old| old))
        {
            let asked = self.on_failure == Some(ReturnOnFailure::AllOld);
            return Err(Refusal::condition_failed(old.filter(|_| asked).cloned()));
        }
        match &self.action {
            Action::Check => Ok(old.cloned()),
            Action::Delete => Ok(None),
            Action::Put(item) => Ok(Some(Arc::clone(item))),
            Action::Update(update) => self.updated(*update, old),
        }
    }

    fn updated(
        &self,
        update: Option<&Update<'_>>,
        old: Option<&Arc<Item>>,
    ) -> Result<Option<Arc<Item>>, Refusal> {
        let before = match old {
            Some(old) => Cow::Borrowed(&**old),
            None => Cow::Owned(self.table.schema.item(&self.key)),
        };
        let new = match update {
            Some(update) if old.is_none() && !update.makes_row() => return Ok(None),
            Some(update) => update.apply(&before).map_err(Refusal::validation)?,
            None => before.into_owned(),
        };
        if item_size(&new) > ITEM_SIZE_MAX {
            return Err(Refusal::validation(
                "Item size to update has exceeded the maximum allowed size",
            ));
        }
        Ok(Some(Arc::new(new)))
    }

    /// See the module. Takes what it costs from what the table may spend.
    pub(super) fn apply(&self, when: When, rows: &mut Rows, weighed: &Weighed) {
        match (&self.action, &weighed.new) {
            (Action::Check, _) => {}
            (_, Some(new)) => rows.put(when, self.key.clone(), new),
            (_, None) => rows.remove(when, &self.key),
        }
        if weighed.is_metered
            && let Some(units) = &weighed.units
        {
            self.table.spend(Side::Write, units, rows);
        }
    }

    /// The attributes that the caller wants back; nothing where there are none.
    fn shown<'s>(&self, values: ReturnValues, weighed: &'s Weighed) -> Option<Cow<'s, Item>> {
        let paths = match &self.action {
            Action::Update(Some(update)) => &update.paths[..],
            Action::Update(None) | Action::Put(_) | Action::Delete | Action::Check => &[],
        };
        let whole = |item: &'s Option<Arc<Item>>| item.as_deref().map(Cow::Borrowed);
        let parts = |item: &'s Option<Arc<Item>>| {
            item.as_deref().map(|item| Cow::Owned(project(paths, item)))
        };
        let shown = match values {
            ReturnValues::None => None,
            ReturnValues::AllOld => whole(&weighed.old),
            ReturnValues::AllNew => whole(&weighed.new),
            ReturnValues::UpdatedOld => parts(&weighed.old),
            ReturnValues::UpdatedNew => parts(&weighed.new),
        };
        shown.filter(|shown| !shown.is_empty())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Cow<'a, Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_collection_metrics: Option<CollectionMetrics>,
}

/// About the rows of one partition key; only tables with local indexes have such collections.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CollectionMetrics {
    item_collection_key: Item,
    /// An estimate of the lower and the upper bound.
    #[serde(rename = "SizeEstimateRangeGB")]
    size_estimate_range_gb: [f64; 2],
}

impl CollectionMetrics {
    pub(super) fn new(schema: &Schema, key: &Key) -> Self {
        let mut item_collection_key = schema.item(key);
        item_collection_key.retain(|name, _| *name == schema.partition.name);
        Self {
            item_collection_key,
            size_estimate_range_gb: [0.0, 1.0],
        }
    }
}
