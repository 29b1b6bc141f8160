//! What a query or a scan reads: a table, or one of its indexes.

use std::ops::Bound;
use std::sync::Arc;

use super::Caller;
use super::pages::Select;
use crate::dynamo::budget::Side;
use crate::dynamo::capacity::Units;
use crate::dynamo::expression::{Condition, Path};
use crate::dynamo::index::{self, Projection, Reach, Row, Spot};
use crate::dynamo::life::Status;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::rows::Rows;
use crate::dynamo::schema::{Key, Schema};
use crate::dynamo::table::Table;
use crate::dynamo::value::Item;

/// See the module.
pub(super) struct Source {
    pub(super) table: Arc<Table>,
    index: Option<index::Definition>,
    /// Whether each entry's row is looked up, since the index does not have all that is asked for.
    is_fetching: bool,
}

/// Where a row that was read stands.
#[derive(Clone, Copy)]
pub(super) enum Place<'r> {
    Row(&'r Key),
    Entry(&'r Spot),
}

/// Which rows are read, in which order.
pub(super) struct Span {
    pub(super) from: Bound<Key>,
    pub(super) to: Bound<Key>,
    /// Where the page before stopped.
    pub(super) after: Option<Start>,
    pub(super) forward: bool,
}

/// A place to go on behind: the key in the index if one is read, and the row's own.
pub(super) struct Start {
    pub(super) key: Key,
    row: Key,
}

/// Rows on their way to a page.
pub(super) type Walk<'r> = Box<dyn Iterator<Item = (Place<'r>, &'r Arc<Item>)> + 'r>;

impl Source {
    /// The table, or its index of this name, which must be readable.
    pub(super) fn new(
        caller: &Caller<'_>,
        table: Arc<Table>,
        index: Option<&str>,
        consistent: bool,
    ) -> Result<Self, Refusal> {
        let Some(name) = index else {
            return Ok(Self {
                table,
                index: None,
                is_fetching: false,
            });
        };
        let now = caller.when.now;
        let (definition, status) = {
            let rows = table.rows.read();
            let found = rows.index(name, now).ok_or_else(|| {
                Refusal::validation(format!(
                    "The table does not have the specified index: {name}"
                ))
            })?;
            (found.definition.clone(), found.life.status(now))
        };
        if definition.reach == Reach::Global {
            if consistent {
                return Err(Refusal::validation(
                    "Consistent reads are not supported on global secondary indexes",
                ));
            }
            if status == Some(Status::Creating) {
                return Err(Refusal::validation(format!(
                    "Cannot read from backfilling global secondary index: {name}"
                )));
            }
        }
        Ok(Self {
            table,
            index: Some(definition),
            is_fetching: false,
        })
    }

    /// The keys by which rows are found and ordered.
    pub(super) fn schema(&self) -> &Schema {
        self.index
            .as_ref()
            .map_or(&self.table.schema, |index| &index.schema)
    }

    /// Takes what is asked for; refuses what a global index does not have. A local one has it looked
    /// up in the table.
    pub(super) fn select(
        &mut self,
        select: Option<Select>,
        projection: Option<&[Path<'_>]>,
    ) -> Result<(), Refusal> {
        let Some(index) = &self.index else {
            return Ok(());
        };
        let name = &index.name;
        let lacks = |path: &&Path<'_>| !index.has(&self.table.schema, path.head);
        let lacking: Vec<_> = projection
            .unwrap_or_default()
            .iter()
            .filter(lacks)
            .map(|path| path.head)
            .collect();
        let wants_all = select == Some(Select::AllAttributes);
        let is_partial = index.projection != Projection::All;
        if index.reach == Reach::Global {
            if wants_all && is_partial {
                return Err(Refusal::invalid_value(format!(
                    "Select type ALL_ATTRIBUTES is not supported for global secondary index \
                     {name} because its projection type is not ALL"
                )));
            }
            if !lacking.is_empty() {
                return Err(Refusal::invalid_value(format!(
                    "Global secondary index {name} does not project [{}]",
                    lacking.join(", ")
                )));
            }
        }
        self.is_fetching = !lacking.is_empty() || (wants_all && is_partial);
        Ok(())
    }

    /// Refuses a filter on what a global index does not have.
    pub(super) fn check_filter(&self, filter: &Condition<'_>) -> Result<(), Refusal> {
        let Some(index) = &self.index else {
            return Ok(());
        };
        if index.reach == Reach::Local {
            return Ok(());
        }
        let mut lacking = Vec::new();
        filter.each_path(&mut |path| {
            if !index.has(&self.table.schema, path.head) {
                lacking.push(path.head.to_owned());
            }
        });
        if lacking.is_empty() {
            return Ok(());
        }
        lacking.sort();
        lacking.dedup();
        Err(Refusal::invalid_value(format!(
            "Global secondary index {} does not project [{}]",
            index.name,
            lacking.join(", ")
        )))
    }

    /// The place that an ExclusiveStartKey names; nothing if it has other attributes than the keys.
    pub(super) fn start(&self, start: &Item) -> Result<Option<Start>, Refusal> {
        let is_key = |name: &str| self.schema().has(name) || self.table.schema.has(name);
        let keys = self
            .schema()
            .attributes()
            .chain(self.table.schema.attributes());
        let is_complete = keys
            .into_iter()
            .all(|key| start.contains_key(key.name.as_str()));
        if !is_complete || !start.keys().all(|name| is_key(name)) {
            return Ok(None);
        }
        let of = |schema: &Schema| {
            let part = start.iter().filter(|(name, _)| schema.has(name));
            schema.key(
                part.map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            )
        };
        Ok(Some(Start {
            key: of(self.schema())?,
            row: of(&self.table.schema)?,
        }))
    }

    /// The rows of `span` in its order.
    pub(super) fn walk<'r>(&self, rows: &'r Rows, span: &Span) -> Walk<'r> {
        let Span {
            from, to, after, ..
        } = span;
        let Some(index) = &self.index else {
            let (from, to) = match after {
                None => (from.clone(), to.clone()),
                Some(start) if span.forward => (Bound::Excluded(start.row.clone()), to.clone()),
                Some(start) => (from.clone(), Bound::Excluded(start.row.clone())),
            };
            let all = rows
                .range(from, to)
                .map(|(key, item)| (Place::Row(key), item));
            return in_order(all, span.forward);
        };
        let after = after.as_ref().map(|start| {
            Bound::Excluded(Spot {
                key: start.key.clone(),
                row: Row::At(start.row.clone()),
            })
        });
        let (mut low, mut high) = (
            edge(from, Row::First, Row::Last),
            edge(to, Row::Last, Row::First),
        );
        match after {
            Some(after) if span.forward => low = after,
            Some(after) => high = after,
            None => {}
        }
        let all = rows
            .entries(&index.name, low, high)
            .map(|(spot, item)| (Place::Entry(spot), item));
        in_order(all, span.forward)
    }

    /// The row that is shown for what was read, and what looking it up costs besides.
    pub(super) fn shown<'r>(
        &self,
        rows: &'r Rows,
        place: Place<'r>,
        item: &'r Arc<Item>,
    ) -> (&'r Arc<Item>, Option<usize>) {
        if self.is_fetching
            && let Place::Entry(Spot {
                row: Row::At(key), ..
            }) = place
            && let Some(whole) = rows.get(key)
        {
            return (whole, Some(crate::dynamo::value::item_size(whole)));
        }
        (item, None)
    }

    /// The key to go on from.
    pub(super) fn key_item(&self, place: Place<'_>) -> Item {
        match place {
            Place::Row(key) => self.table.schema.item(key),
            Place::Entry(spot) => {
                let mut item = self.schema().item(&spot.key);
                if let Row::At(key) = &spot.row {
                    item.extend(self.table.schema.item(key));
                }
                item
            }
        }
    }

    /// Refuses a read beyond the throughput; says whether it is to be paid for.
    pub(super) fn admit(&self, caller: &Caller<'_>) -> Result<bool, Refusal> {
        caller.admit(|| {
            let now = caller.when.now;
            self.table.admit(Side::Read, now)?;
            let rows = self.table.rows.read();
            let index = self.index.as_ref();
            let index = index.and_then(|index| rows.index(&index.name, now));
            self.table.admit_indexes(Side::Read, index.into_iter(), now)
        })
    }

    /// What was spent: `read` on what was walked, `fetched` on rows that were looked up besides.
    pub(super) fn units(&self, read: f64, fetched: f64) -> Units {
        let mut units = Units {
            table: if self.index.is_some() { fetched } else { read },
            ..Units::default()
        };
        if let Some(index) = &self.index {
            units.add_index(index, read);
        }
        units
    }
}

/// A bound of rows as one of entries: what is included is with all its rows.
fn edge(bound: &Bound<Key>, included: Row, excluded: Row) -> Bound<Spot> {
    match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Included(Spot {
            key: key.clone(),
            row: included,
        }),
        Bound::Excluded(key) => Bound::Excluded(Spot {
            key: key.clone(),
            row: excluded,
        }),
    }
}

fn in_order<'r>(
    rows: impl DoubleEndedIterator<Item = (Place<'r>, &'r Arc<Item>)> + 'r,
    forward: bool,
) -> Walk<'r> {
    if forward {
        Box::new(rows)
    } else {
        Box::new(rows.rev())
    }
}
