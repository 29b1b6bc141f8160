//! What Query and Scan share: what is selected, one page of rows, the reply.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use super::{ConsumedCapacity, ReturnCapacity};
use crate::dynamo::expression::{Condition, Path, project};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::Key;
use crate::dynamo::table::Table;
use crate::dynamo::value::{Item, LoadedItem, item_size};
use crate::dynamo::wire::Choice;

/// A page ends when the rows examined have so many bytes.
const PAGE_SIZE_MAX: usize = 1024 * 1024;

/// What a page holds of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Select {
    SpecificAttributes,
    Count,
    AllAttributes,
    AllProjectedAttributes,
}

impl Choice for Select {
    const ALL: &'static [(&'static str, Self)] = &[
        ("SPECIFIC_ATTRIBUTES", Self::SpecificAttributes),
        ("COUNT", Self::Count),
        ("ALL_ATTRIBUTES", Self::AllAttributes),
        ("ALL_PROJECTED_ATTRIBUTES", Self::AllProjectedAttributes),
    ];
}

impl Select {
    /// Refuses a selection that does not go with the projection or the index.
    pub(super) fn check(
        selected: Option<Self>,
        projection: bool,
        index: bool,
    ) -> Result<(), Refusal> {
        let refusal = match selected {
            Some(Self::SpecificAttributes) if !projection => {
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get \
                 SPECIFIC_ATTRIBUTES"
            }
            Some(Self::Count) if projection => {
                "Cannot specify the ProjectionExpression when choosing to get only the Count"
            }
            Some(Self::AllAttributes) if projection => {
                "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"
            }
            Some(Self::AllProjectedAttributes) if projection => {
                "Cannot specify the ProjectionExpression when choosing to get \
                 ALL_PROJECTED_ATTRIBUTES"
            }
            Some(Self::AllProjectedAttributes) if !index => {
                "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
            }
            _ => return Ok(()),
        };
        Err(Refusal::invalid_value(refusal))
    }
}

/// The values of an ExclusiveStartKey, checked as values only.
pub(super) fn start_key(start: Option<LoadedItem>) -> Result<Option<Item>, Refusal> {
    let Some(start) = start else { return Ok(None) };
    start.checked().map(Some).map_err(|fault| {
        // QUIRK(dynamodb): faults of numbers and sets come without the preface.
        let bare = [
            "contains duplicates",
            "number set",
            "numeric value",
            "significant digits",
            "number with magnitude",
        ];
        if bare.iter().any(|part| fault.contains(part)) {
            return Refusal::validation(fault);
        }
        Refusal::validation(format!("The provided starting key is invalid: {fault}"))
    })
}

/// The rows that one call examined, and where it stopped.
pub(super) struct Page {
    items: Vec<Arc<Item>>,
    scanned: usize,
    bytes: usize,
    last: Option<Key>,
}

impl Page {
    /// Examines rows until the limit, the size or the end.
    pub(super) fn collect<'r>(
        rows: impl Iterator<Item = (&'r Key, &'r Arc<Item>)>,
        limit: Option<usize>,
        filter: Option<&Condition<'_>>,
    ) -> Self {
        let mut page = Self {
            items: Vec::new(),
            scanned: 0,
            bytes: 0,
            last: None,
        };
        for (key, item) in rows {
            page.scanned += 1;
            page.bytes += item_size(item);
            if filter.is_none_or(|filter| filter.holds(item)) {
                page.items.push(Arc::clone(item));
            }
            // At the limit there is a key to go on from even if nothing follows.
            if limit.is_some_and(|limit| page.scanned >= limit) || page.bytes >= PAGE_SIZE_MAX {
                page.last = Some(key.clone());
                break;
            }
        }
        page
    }

    pub(super) fn reply(&self, table: &Table, shown: &Shown<'_, '_>) -> Vec<u8> {
        let items = (shown.select != Some(Select::Count)).then(|| {
            self.items
                .iter()
                .map(|item| match shown.projection {
                    Some(paths) => Cow::Owned(project(paths, item)),
                    None => Cow::Borrowed(&**item),
                })
                .collect()
        });
        super::reply(&Reply {
            items,
            count: self.items.len(),
            scanned_count: self.scanned,
            last_evaluated_key: self.last.as_ref().map(|key| table.schema().item(key)),
            consumed_capacity: ConsumedCapacity::of_read(
                shown.capacity,
                table,
                || self.bytes,
                shown.consistent,
            ),
        })
    }
}

/// How a page is shown.
pub(super) struct Shown<'p, 'e> {
    pub(super) select: Option<Select>,
    pub(super) projection: Option<&'p [Path<'e>]>,
    pub(super) capacity: Option<ReturnCapacity>,
    pub(super) consistent: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Cow<'a, Item>>>,
    count: usize,
    scanned_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
}
