//! What Query and Scan share: what is selected, one page of rows, the reply.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use super::Caller;
use super::source::{Place, Source, Span};
use crate::dynamo::budget::Side;
use crate::dynamo::capacity::{Account, ConsumedCapacity, ReturnCapacity, Units};
use crate::dynamo::expression::{Condition, Path, project};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::rows::Rows;
use crate::dynamo::schema::Key;
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
        projection: Option<&str>,
        index: bool,
    ) -> Result<(), Refusal> {
        let cannot = |what: &str| {
            projection.map(|parameter| {
                format!("Cannot specify the {parameter} when choosing to get {what}")
            })
        };
        let refusal = match selected {
            None => None,
            Some(Self::SpecificAttributes) => projection.is_none().then(|| {
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get \
                 SPECIFIC_ATTRIBUTES"
                    .to_owned()
            }),
            Some(Self::Count) => cannot("only the Count"),
            Some(Self::AllAttributes) => cannot("ALL_ATTRIBUTES"),
            Some(Self::AllProjectedAttributes) => {
                cannot("ALL_PROJECTED_ATTRIBUTES").or_else(|| {
                    (!index).then(|| {
                        "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an \
                         IndexName"
                            .to_owned()
                    })
                })
            }
        };
        match refusal {
            Some(refusal) => Err(Refusal::invalid_value(refusal)),
            None => Ok(()),
        }
    }
}

/// The parameter that says which attributes are wanted.
pub(super) fn projecting(expression: bool, legacy: bool) -> Option<&'static str> {
    if expression {
        Some("ProjectionExpression")
    } else {
        legacy.then_some("AttributesToGet")
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
    fetched: f64,
    last: Option<Item>,
}

/// How a page is shown.
pub(super) struct Shown<'p, 'e> {
    pub(super) select: Option<Select>,
    pub(super) projection: Option<&'p [Path<'e>]>,
    pub(super) capacity: Option<ReturnCapacity>,
    pub(super) consistent: bool,
}

/// Which of the rows walked a page takes, and how many it examines.
pub(super) struct Take<'p, 'e> {
    pub(super) limit: Option<usize>,
    pub(super) filter: Option<&'p Condition<'e>>,
}

impl Page {
    /// Examines rows until the limit, the size or the end.
    fn collect<'r>(
        source: &Source,
        rows: &'r Rows,
        walk: impl Iterator<Item = (Place<'r>, &'r Arc<Item>)>,
        take: &Take<'_, '_>,
        consistent: bool,
    ) -> Self {
        let mut page = Self {
            items: Vec::new(),
            scanned: 0,
            bytes: 0,
            fetched: 0.0,
            last: None,
        };
        for (place, item) in walk {
            page.scanned += 1;
            page.bytes += item_size(item);
            let (item, fetched) = source.shown(rows, place, item);
            if let Some(bytes) = fetched {
                page.fetched += Units::of_read(bytes, consistent);
            }
            if take.filter.is_none_or(|filter| filter.holds(item)) {
                page.items.push(Arc::clone(item));
            }
            // At the limit there is a key to go on from even if nothing follows.
            let is_full = take.limit.is_some_and(|limit| page.scanned >= limit);
            if is_full || page.bytes >= PAGE_SIZE_MAX {
                page.last = Some(source.key_item(place));
                break;
            }
        }
        page
    }

    fn reply(&self, source: &Source, shown: &Shown<'_, '_>, units: &Units) -> Vec<u8> {
        let items = (shown.select != Some(Select::Count)).then(|| {
            self.items
                .iter()
                .map(|item| match shown.projection {
                    Some(paths) => Cow::Owned(project(paths, item)),
                    None => Cow::Borrowed(&**item),
                })
                .collect()
        });
        let table = &source.table.name;
        super::reply(&Reply {
            items,
            count: self.items.len(),
            scanned_count: self.scanned,
            last_evaluated_key: self.last.as_ref(),
            consumed_capacity: ConsumedCapacity::new(shown.capacity, table, units, Account::Plain),
        })
    }
}

/// Reads a page of `source`, of the rows of `span` that `has` knows.
pub(super) fn read_page(
    caller: &Caller<'_>,
    source: &Source,
    (span, has): (&Span, &dyn Fn(&Key) -> bool),
    take: &Take<'_, '_>,
    shown: &Shown<'_, '_>,
) -> Result<Vec<u8>, Refusal> {
    let is_metered = source.admit(caller)?;
    let rows = source.table.rows.read();
    let page = caller.look(&rows, shown.consistent, |rows| {
        let walk = source.walk(rows, span).filter(|(place, _)| match place {
            Place::Row(key) => has(key),
            Place::Entry(spot) => has(&spot.key),
        });
        Page::collect(source, rows, walk, take, shown.consistent)
    });
    let read = Units::of_read(page.bytes, shown.consistent);
    let units = source.units(read, page.fetched);
    if is_metered {
        source.table.spend(Side::Read, &units, &rows);
    }
    drop(rows);
    Ok(page.reply(source, shown, &units))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Cow<'a, Item>>>,
    count: usize,
    scanned_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<&'a Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
}
