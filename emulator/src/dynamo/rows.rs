//! The rows of a table and the entries of its indexes, which change together or not at all.
//!
//! A row is shared with whoever reads it, so that the table's lock is held only while looking it up.
//! Every change comes by [`Rows::put`] or [`Rows::remove`]: they keep sizes, indexes, the order in
//! which rows expire, and, while a fault may ask for it, what was there before.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::expiry::Expiry;
use super::history::History;
use super::index::{Index, Spot};
use super::refusal::Refusal;
use super::schema::{Key, Schema};
use super::value::{Item, item_size};

/// When a change comes, and how far back a later reader may look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) now: SystemTime,
    /// For how long the state before is to be remembered; nothing while no fault wants stale reads.
    pub(crate) memory: Option<Duration>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    schema: Schema,
    items: BTreeMap<Key, Arc<Item>>,
    bytes: usize,
    indexes: Vec<Index>,
    expiry: Expiry,
    history: History,
}

impl Rows {
    /// No rows of a table with these keys and indexes.
    pub(crate) fn new(schema: Schema, indexes: Vec<Index>) -> Self {
        Self {
            schema,
            items: BTreeMap::new(),
            bytes: 0,
            indexes,
            expiry: Expiry::default(),
            history: History::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Item>> {
        self.items.get(key)
    }

    pub(crate) fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// The index of this name, unless it is gone.
    pub(crate) fn index(&self, name: &str, now: SystemTime) -> Option<&Index> {
        let mut all = self.indexes.iter();
        all.find(|index| index.definition.name == name && index.life.status(now).is_some())
    }

    pub(crate) fn index_mut(&mut self, name: &str) -> Option<&mut Index> {
        let mut all = self.indexes.iter_mut();
        all.find(|index| index.definition.name == name)
    }

    /// Refuses an item whose attributes an index cannot have as its key.
    pub(crate) fn check(&self, item: &Item) -> Result<(), Refusal> {
        self.indexes.iter().try_for_each(|index| index.check(item))
    }

    /// Puts a row in place of whatever is there.
    pub(crate) fn put(&mut self, when: When, key: Key, item: &Arc<Item>) {
        let old = match self.items.get_mut(&key) {
            Some(row) => Some(std::mem::replace(row, Arc::clone(item))),
            None => self.items.insert(key.clone(), Arc::clone(item)),
        };
        self.changed(when, key, old, Some(item));
    }

    /// As [`Rows::put`], for a row that goes.
    pub(crate) fn remove(&mut self, when: When, key: &Key) {
        if let Some(old) = self.items.remove(key) {
            self.changed(when, key.clone(), Some(old), None);
        }
    }

    fn changed(&mut self, when: When, key: Key, old: Option<Arc<Item>>, new: Option<&Arc<Item>>) {
        let size = |item: Option<&Arc<Item>>| item.map_or(0, |item| item_size(item));
        self.bytes = self.bytes + size(new) - size(old.as_ref());
        for index in &mut self.indexes {
            index.follow(&self.schema, &key, old.as_ref(), new);
        }
        self.expiry
            .follow(&key, old.as_deref(), new.map(|item| &**item));
        self.history.note(when, key, old);
    }

    /// Adds an index and fills it. Rows that it cannot take are left out, as the service does.
    pub(crate) fn add_index(&mut self, mut index: Index) {
        for (key, item) in &self.items {
            if index.check(item).is_ok() {
                index.follow(&self.schema, key, None, Some(item));
            }
        }
        self.indexes.push(index);
    }

    /// Forgets indexes that are gone.
    pub(crate) fn drop_gone_indexes(&mut self, now: SystemTime) {
        self.indexes
            .retain(|index| index.life.status(now).is_some());
    }

    /// Has rows expire by the time in this attribute, or never.
    pub(crate) fn expire_by(&mut self, attribute: Option<&str>) {
        self.expiry = Expiry::new(attribute, &self.items);
    }

    /// Whether some row's time is over.
    pub(crate) fn have_expired(&self, now: SystemTime) -> bool {
        self.expiry.is_due(now)
    }

    /// Removes the rows whose time is over.
    pub(crate) fn expire(&mut self, when: When) {
        while let Some(key) = self.expiry.next_due(when.now) {
            self.remove(when, &key);
        }
    }

    /// The rows as they were at `horizon`, as far as that is remembered.
    pub(crate) fn as_of(&self, horizon: SystemTime) -> Self {
        let mut past = self.clone();
        past.history = History::default();
        let when = When {
            now: horizon,
            memory: None,
        };
        for (key, item) in self.history.since(horizon) {
            match item {
                Some(item) => past.put(when, key.clone(), item),
                None => past.remove(when, key),
            }
        }
        past
    }

    pub(crate) fn range(
        &self,
        from: Bound<Key>,
        to: Bound<Key>,
    ) -> impl DoubleEndedIterator<Item = (&Key, &Arc<Item>)> {
        let range = (!is_inverted(&from, &to)).then(|| self.items.range((from, to)));
        range.into_iter().flatten()
    }

    /// The entries of an index; none if there is no such index.
    pub(crate) fn entries<'r>(
        &'r self,
        index: &str,
        from: Bound<Spot>,
        to: Bound<Spot>,
    ) -> impl DoubleEndedIterator<Item = (&'r Spot, &'r Arc<Item>)> + use<'r> {
        let index = self
            .indexes
            .iter()
            .find(|found| found.definition.name == index);
        index
            .map(|index| index.range(from, to))
            .into_iter()
            .flatten()
    }
}

/// Whether two bounds leave nothing between them; to a `BTreeMap` such a range is a fault.
pub(super) fn is_inverted<K: Ord>(from: &Bound<K>, to: &Bound<K>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
