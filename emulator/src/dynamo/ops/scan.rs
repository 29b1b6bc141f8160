//! Scan: the rows of a table, or of one of its segments, in pages.

use std::ops::Bound;

use serde::Deserialize;

use super::pages::{Select, Shown, Take, projecting, read_page, start_key};
use super::source::{Source, Span, Start};
use super::{Caller, Styles, TableName};
use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::expression::{Expressions, Pairs, Placeholders};
use crate::dynamo::legacy::{self, Clause, Clauses, Where};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::Key;
use crate::dynamo::value::{Item, Loaded, LoadedItem};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    index_name: Option<Text<'a>>,
    attributes_to_get: Option<Vec<Text<'a>>>,
    scan_filter: Option<Pairs<'a, Clause<'a>>>,
    conditional_operator: Option<Text<'a>>,
    limit: Option<i64>,
    select: Option<Text<'a>>,
    segment: Option<i64>,
    total_segments: Option<i64>,
    consistent_read: Option<bool>,
    exclusive_start_key: Option<LoadedItem>,
    return_consumed_capacity: Option<Text<'a>>,
    projection_expression: Option<Text<'a>>,
    filter_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
    expression_attribute_values: Option<Pairs<'a, Loaded>>,
}

impl Request<'_> {
    fn choices(
        &self,
        table_name: Option<&TableName<'_>>,
    ) -> Result<(Option<Select>, Option<ReturnCapacity>), Refusal> {
        let mut limits = Constraints::default();
        let select = limits.choice::<Select>(self.select.as_ref(), "select");
        limits.range(self.limit, "limit", 1, i64::from(i32::MAX));
        TableName::check_given(table_name, &mut limits);
        limits.range(self.total_segments, "totalSegments", 1, 1_000_000);
        limits.range(self.segment, "segment", 0, 999_999);
        if let Some(index) = &self.index_name {
            limits.name(index, "indexName");
            limits.length(&&**index, index.len(), "indexName", (3, 255));
        }
        let capacity = limits.choice::<ReturnCapacity>(
            self.return_consumed_capacity.as_ref(),
            "returnConsumedCapacity",
        );
        legacy::check_attributes(&mut limits, self.attributes_to_get.as_ref());
        Clauses::check_model(&mut limits, Where::ScanFilter, self.scan_filter.as_ref());
        Clauses::check_join(&mut limits, self.conditional_operator.as_ref());
        limits.check()?;
        Ok((select, capacity))
    }

    fn check_styles(&self) -> Result<(), Refusal> {
        Styles {
            expressions: &[
                ("ProjectionExpression", self.projection_expression.is_some()),
                ("FilterExpression", self.filter_expression.is_some()),
            ],
            legacy: &[
                ("AttributesToGet", self.attributes_to_get.is_some()),
                ("ScanFilter", self.scan_filter.is_some()),
                ("ConditionalOperator", self.conditional_operator.is_some()),
            ],
            names: self.expression_attribute_names.is_some(),
            values: self.expression_attribute_values.is_some(),
        }
        .check()
    }

    fn segment(&self) -> Result<Segment, Refusal> {
        match (self.segment, self.total_segments) {
            (None, None) => Ok(Segment { index: 0, total: 1 }),
            (Some(_), None) => Err(Refusal::validation(
                "The TotalSegments parameter is required but was not present in the request when \
                 Segment parameter is present",
            )),
            (None, Some(_)) => Err(Refusal::validation(
                "The Segment parameter is required but was not present in the request when \
                 parameter TotalSegments is present",
            )),
            (Some(index), Some(total)) if index >= total => Err(Refusal::validation(format!(
                "The Segment parameter is zero-based and must be less than parameter \
                 TotalSegments: Segment: {index} is not less than TotalSegments: {total}"
            ))),
            (Some(index), Some(total)) => Ok(Segment {
                index: index.unsigned_abs(),
                total: total.unsigned_abs(),
            }),
        }
    }
}

/// One of the equal parts into which the hashes of partition keys are cut.
#[derive(Clone, Copy, Debug)]
struct Segment {
    index: u64,
    total: u64,
}

impl Segment {
    fn has(self, key: &Key) -> bool {
        let scaled = u128::from(key.hash()) * u128::from(self.total);
        u64::try_from(scaled >> 64).is_ok_and(|index| index == self.index)
    }

    /// A bound before its first key.
    fn start(self) -> Key {
        let lowest = (u128::from(self.index) << 64).div_ceil(u128::from(self.total));
        Key::before_hash(u64::try_from(lowest).unwrap_or(u64::MAX))
    }

    /// A bound before the first key of the next one; nothing for the last.
    fn end(self) -> Option<Key> {
        let next = Self {
            index: self.index + 1,
            ..self
        };
        (next.index < next.total).then(|| next.start())
    }
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: Request<'_> = read(body)?;
    let table_name = TableName::of_items(request.table_name.take());
    let (select, capacity) = request.choices(table_name.as_ref())?;
    request.check_styles()?;
    let start = start_key(request.exclusive_start_key.take())?;
    let segment = request.segment()?;
    let scan_filter = Clauses::new(
        Where::ScanFilter,
        request.scan_filter,
        request.conditional_operator.as_ref(),
    )?;
    let attributes = legacy::projection(request.attributes_to_get.as_ref())?;
    let placeholders = Placeholders::new(
        request.expression_attribute_names,
        request.expression_attribute_values,
    )?;
    let expressions = Expressions::new(&placeholders);
    let filter = expressions.filter(request.filter_expression.as_deref())?;
    let projection = expressions.projection(request.projection_expression.as_deref())?;
    placeholders.check_used()?;
    let projecting = projecting(projection.is_some(), attributes.is_some());
    Select::check(select, projecting, request.index_name.is_some())?;
    let filter = filter.or_else(|| scan_filter.as_ref()?.condition());
    let projection = projection.or(attributes);

    let consistent = request.consistent_read.unwrap_or(false);
    let table = caller.usable(table_name.as_ref())?;
    let index = request.index_name.as_deref();
    let mut source = Source::new(&caller, table, index, consistent)?;
    let after = start
        .map(|start| start_in(&source, &start, segment))
        .transpose()?;
    source.table.check_scalars(projection.iter().flatten())?;
    source.select(select, projection.as_deref())?;
    if let Some(filter) = &filter {
        super::query::check_filter_scalars(&source.table, filter)?;
        source.check_filter(filter)?;
    }
    let span = Span {
        from: Bound::Included(segment.start()),
        to: segment.end().map_or(Bound::Unbounded, Bound::Excluded),
        after,
        forward: true,
    };
    let take = Take {
        limit: request.limit.and_then(|limit| usize::try_from(limit).ok()),
        filter: filter.as_ref(),
    };
    let shown = Shown {
        select,
        projection: projection.as_deref(),
        capacity,
        consistent,
    };
    read_page(&caller, &source, (&span, &|_| true), &take, &shown)
}

/// Where the scan goes on; it must be in the same segment.
fn start_in(source: &Source, start: &Item, segment: Segment) -> Result<Start, Refusal> {
    let preface = "The provided starting key is invalid: ";
    let start = source
        .start(start)
        .map_err(|refusal| Refusal::validation(format!("{preface}{}", refusal.message())))?;
    let Some(start) = start else {
        return Err(Refusal::validation(format!(
            "{preface}The provided key element does not match the schema"
        )));
    };
    if segment.has(&start.key) {
        return Ok(start);
    }
    Err(Refusal::validation(format!(
        "{preface}Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. \
         TotalSegments: {} Segment: {}",
        segment.total, segment.index
    )))
}
