//! BatchWriteItem: puts and deletions without conditions, each for itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::elements;
use super::write::{Action, CollectionMetrics, Write};
use super::{Caller, ReturnCollections, TableName, put_size, reply};
use crate::dynamo::capacity::{Account, ConsumedCapacity, ReturnCapacity, Units, is_wanted};
use crate::dynamo::expression::Pairs;
use crate::dynamo::index::Reach;
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::Key;
use crate::dynamo::table::Table;
use crate::dynamo::value::{Item, LoadedItem};
use crate::dynamo::wire::{Constraints, Text, read};

/// Most writes of one call.
const WRITES_MAX: usize = 25;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    request_items: Option<Pairs<'a, Vec<WriteRequest>>>,
    return_consumed_capacity: Option<Text<'a>>,
    return_item_collection_metrics: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRequest {
    put_request: Option<PutRequest>,
    delete_request: Option<DeleteRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    item: Option<LoadedItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    key: Option<LoadedItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    unprocessed_items: BTreeMap<String, Vec<Unprocessed>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    item_collection_metrics: BTreeMap<String, Vec<CollectionMetrics>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

/// A write for another call.
#[derive(Serialize)]
enum Unprocessed {
    #[serde(rename = "PutRequest", rename_all = "PascalCase")]
    Put { item: Arc<Item> },
    #[serde(rename = "DeleteRequest", rename_all = "PascalCase")]
    Delete { key: Item },
}

/// The writes of one table, as the caller names it.
struct Part<'a> {
    name: Text<'a>,
    table: Arc<Table>,
    writes: Vec<(Key, Option<Arc<Item>>)>,
}

/// What was asked to be told besides.
struct Asked {
    capacity: Option<ReturnCapacity>,
    collections: bool,
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: Request<'_> = read(body)?;
    let asked = request.check_model()?;
    let mut parts = Vec::new();
    for (name, writes) in request
        .request_items
        .into_iter()
        .flat_map(Pairs::into_sorted)
    {
        parts.push(Part::new(&caller, name, writes)?);
    }
    let mut done = Done::default();
    for part in parts {
        done.take(&caller, &asked, part)?;
    }
    if done.written == 0
        && let Some(refusal) = done.refusal
    {
        return Err(refusal);
    }
    let consumed_capacity = is_wanted(asked.capacity).then(|| {
        let each = done.units.iter();
        each.filter_map(|(table, units)| {
            ConsumedCapacity::new(asked.capacity, table, units, Account::Plain)
        })
        .collect()
    });
    Ok(reply(&Reply {
        unprocessed_items: done.unprocessed,
        item_collection_metrics: done.collections,
        consumed_capacity,
    }))
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
        match &self.request_items {
            None => limits.refuse(None, "requestItems", "Member must not be null"),
            Some(items) => {
                limits.length(&"{}", items.len(), "requestItems", (1, WRITES_MAX));
                for (table, writes) in items.iter() {
                    let path = format!("requestItems.{}.member", &**table);
                    let shown = elements(writes.len());
                    limits.length(&shown, writes.len(), &path, (1, WRITES_MAX));
                    for (place, write) in (1..).zip(writes) {
                        write.check_model(&mut limits, &format!("{path}.{place}.member"));
                    }
                }
            }
        }
        limits.check()?;
        let items = self.request_items.iter().flat_map(Pairs::iter);
        if items.map(|(_, writes)| writes.len()).sum::<usize>() > WRITES_MAX {
            return Err(Refusal::validation(
                "Too many items requested for the BatchWriteItem call",
            ));
        }
        Ok(Asked {
            capacity,
            collections: collections == Some(ReturnCollections::Size),
        })
    }
}

impl WriteRequest {
    fn check_model(&self, limits: &mut Constraints, path: &str) {
        if let Some(put) = &self.put_request
            && put.item.is_none()
        {
            let path = format!("{path}.putRequest.item");
            limits.refuse(None, &path, "Member must not be null");
        }
        if let Some(delete) = &self.delete_request
            && delete.key.is_none()
        {
            let path = format!("{path}.deleteRequest.key");
            limits.refuse(None, &path, "Member must not be null");
        }
    }
}

impl<'a> Part<'a> {
    fn new(
        caller: &Caller<'_>,
        name: Text<'a>,
        requests: Vec<WriteRequest>,
    ) -> Result<Self, Refusal> {
        let table_name = TableName::new(Some(name.clone()))?;
        let mut loaded = Vec::new();
        for request in requests {
            let (put, item) = match (request.put_request, request.delete_request) {
                (Some(put), None) => (true, put.item),
                (None, Some(delete)) => (false, delete.key),
                (None, None) => {
                    return Err(Refusal::invalid_value(
                        "Supplied AttributeValue is empty, must contain exactly one of the \
                         supported datatypes",
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(Refusal::validation(
                        "Supplied AttributeValue has more than one datatypes set, must contain \
                         exactly one of the supported datatypes",
                    ));
                }
            };
            let item = item.unwrap_or_default().checked();
            let item = item.map_err(Refusal::validation)?;
            if put {
                put_size(&item)?;
            }
            loaded.push((put, item));
        }
        let table = caller.usable(&table_name)?;
        let mut writes: Vec<(Key, Option<Arc<Item>>)> = Vec::new();
        for (put, item) in loaded {
            let (key, item) = if put {
                (table.schema.key_of(&item)?, Some(Arc::new(item)))
            } else {
                (table.schema.key(item)?, None)
            };
            if writes.iter().any(|(other, _)| *other == key) {
                return Err(Refusal::validation(
                    "Provided list of item keys contains duplicates",
                ));
            }
            if let Some(item) = &item {
                table.rows.read().check(item)?;
            }
            writes.push((key, item));
        }
        Ok(Self {
            name,
            table,
            writes,
        })
    }
}

/// What a call has come to so far.
#[derive(Default)]
struct Done {
    unprocessed: BTreeMap<String, Vec<Unprocessed>>,
    collections: BTreeMap<String, Vec<CollectionMetrics>>,
    units: BTreeMap<String, Units>,
    written: usize,
    /// Why a write was left out, which is for its throughput.
    refusal: Option<Refusal>,
}

impl Done {
    fn take(&mut self, caller: &Caller<'_>, asked: &Asked, part: Part<'_>) -> Result<(), Refusal> {
        let name = (*part.name).to_owned();
        for (key, item) in part.writes {
            let action = item.clone().map_or(Action::Delete, Action::Put);
            let write = Write {
                table: Arc::clone(&part.table),
                key,
                action,
                condition: None,
                on_failure: None,
            };
            let mut rows = part.table.rows.write();
            let weighed = match write.weigh(caller, &rows, is_wanted(asked.capacity)) {
                Ok(weighed) => weighed,
                Err(refusal) if refusal.is_throttled() => {
                    drop(rows);
                    self.refusal = Some(refusal);
                    let left = self.unprocessed.entry(name.clone()).or_default();
                    left.push(match item {
                        Some(item) => Unprocessed::Put { item },
                        None => Unprocessed::Delete {
                            key: part.table.schema.item(&write.key),
                        },
                    });
                    continue;
                }
                Err(refusal) => return Err(refusal),
            };
            write.apply(caller.when, &mut rows, &weighed);
            self.written += 1;
            if let Some(units) = &weighed.units {
                let sum = self.units.entry(part.table.name.clone()).or_default();
                sum.add(units);
            }
            let mut indexes = rows.indexes().iter();
            if asked.collections && indexes.any(|index| index.definition.reach == Reach::Local) {
                let metrics = CollectionMetrics::new(&part.table.schema, &write.key);
                self.collections
                    .entry(name.clone())
                    .or_default()
                    .push(metrics);
            }
        }
        Ok(())
    }
}
