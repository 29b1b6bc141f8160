//! A secondary index: what it is defined as, and its entries in the order of its key.
//!
//! An entry holds what the index projects, so that readers of the index see nothing else. Entries
//! follow the rows within the same critical section; a reader of an index is never behind unless a
//! fault has it so. Changed by [`super::rows::Rows`] alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::budget::Budget;
use super::life::Life;
use super::refusal::Refusal;
use super::schema::{Key, Schema};
use super::value::{Item, item_size};
use super::wire::Choice;

/// Whether an index spans the table or one partition of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A global secondary index.
    Global,
    /// A local secondary index: the table's partition key with another sort key.
    Local,
}

/// Which attributes of a row an index has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    All,
    KeysOnly,
    Include(Vec<String>),
}

/// The types a projection can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProjectionType {
    All,
    Include,
    KeysOnly,
}

impl Choice for ProjectionType {
    const ALL: &'static [(&'static str, Self)] = &[
        ("ALL", Self::All),
        ("INCLUDE", Self::Include),
        ("KEYS_ONLY", Self::KeysOnly),
    ];
}

/// What an index was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) reach: Reach,
    pub(crate) schema: Schema,
    pub(crate) projection: Projection,
    /// Read and write units per second of its own, where the table is provisioned.
    pub(crate) throughput: Option<(i64, i64)>,
}

impl Definition {
    /// What an index of a table with the keys of `table` shows of `item`.
    pub(crate) fn project<'i>(&self, table: &Schema, item: &'i Item) -> Cow<'i, Item> {
        let others: &[String] = match &self.projection {
            Projection::All => return Cow::Borrowed(item),
            Projection::KeysOnly => &[],
            Projection::Include(names) => names,
        };
        let keys = self.schema.attributes().chain(table.attributes());
        let names = keys
            .map(|key| key.name.as_str())
            .chain(others.iter().map(String::as_str));
        Cow::Owned(
            names
                .filter_map(|name| Some((name.into(), item.get(name)?.clone())))
                .collect(),
        )
    }

    /// Whether a reader finds this attribute in it.
    pub(crate) fn has(&self, table: &Schema, attribute: &str) -> bool {
        match &self.projection {
            Projection::All => true,
            Projection::KeysOnly => self.schema.has(attribute) || table.has(attribute),
            Projection::Include(names) => {
                names.iter().any(|name| name == attribute)
                    || self.schema.has(attribute)
                    || table.has(attribute)
            }
        }
    }

    /// The write units that a row's change from `old` to `new` costs this index: one write for an
    /// entry that comes, goes or changes, two where it moves, none where nothing of it changes.
    pub(crate) fn write_units(
        &self,
        table: &Schema,
        old: Option<&Item>,
        new: Option<&Item>,
    ) -> f64 {
        let entry = |item: Option<&Item>| {
            let item = item?;
            let key = self.schema.entry_key(item)?;
            let shown = self.project(table, item).into_owned();
            Some((key, shown))
        };
        let units = |item: &Item| item_size(item).div_ceil(1024).max(1) as f64;
        match (entry(old), entry(new)) {
            (None, None) => 0.0,
            (Some((_, only)), None) | (None, Some((_, only))) => units(&only),
            (Some((old_key, old)), Some((new_key, new))) => {
                if old_key != new_key {
                    units(&old) + units(&new)
                } else if old == new {
                    0.0
                } else {
                    units(&old).max(units(&new))
                }
            }
        }
    }
}

/// Where an entry stands: by the index's key, then by the table's. The ends are bounds of ranges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) key: Key,
    pub(crate) row: Row,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    First,
    At(Key),
    Last,
}

/// An index with its entries.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) definition: Definition,
    pub(crate) life: Life,
    pub(crate) budget: Budget,
    entries: BTreeMap<Spot, Arc<Item>>,
    bytes: usize,
}

impl Index {
    /// An index without entries.
    pub(crate) fn new(definition: Definition, life: Life) -> Self {
        Self {
            definition,
            life,
            budget: Budget::default(),
            entries: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Refuses an item whose attributes the index cannot have as its key.
    pub(crate) fn check(&self, item: &Item) -> Result<(), Refusal> {
        let Definition { name, schema, .. } = &self.definition;
        schema.check_entry(item, name)
    }

    /// Follows a row's change from `old` to `new`.
    pub(super) fn follow(
        &mut self,
        table: &Schema,
        row: &Key,
        old: Option<&Arc<Item>>,
        new: Option<&Arc<Item>>,
    ) {
        let spot = |item: &Arc<Item>| {
            let key = self.definition.schema.entry_key(item)?;
            let row = Row::At(row.clone());
            Some(Spot { key, row })
        };
        let gone = old.and_then(spot);
        let come = new.and_then(|item| Some((spot(item)?, item)));
        if let Some(spot) = gone
            && let Some(old) = self.entries.remove(&spot)
        {
            self.bytes -= item_size(&old);
        }
        if let Some((spot, item)) = come {
            let shown = match self.definition.project(table, item) {
                Cow::Borrowed(_) => Arc::clone(item),
                Cow::Owned(shown) => Arc::new(shown),
            };
            self.bytes += item_size(&shown);
            self.entries.insert(spot, shown);
        }
    }

    pub(super) fn range(
        &self,
        from: Bound<Spot>,
        to: Bound<Spot>,
    ) -> impl DoubleEndedIterator<Item = (&Spot, &Arc<Item>)> {
        let range = (!super::rows::is_inverted(&from, &to)).then(|| self.entries.range((from, to)));
        range.into_iter().flatten()
    }
}
