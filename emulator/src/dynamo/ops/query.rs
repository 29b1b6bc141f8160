//! Query: the rows of one partition, in the order of the sort key, in pages.

use std::ops::Bound;

use serde::Deserialize;

use super::pages::{Page, Select, Shown, start_key};
use super::scan::no_index;
use super::{Caller, Presence, ReturnCapacity, Styles, TableName};
use crate::dynamo::expression::{
    Comparator, Condition, Expressions, KeyRange, KeyTerm, Pairs, Placeholders,
};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::{Key, KeyAttribute, Schema};
use crate::dynamo::value::{AttributeValue, Item, Loaded, LoadedItem};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    index_name: Option<Text<'a>>,
    attributes_to_get: Presence,
    query_filter: Presence,
    conditional_operator: Presence,
    key_conditions: Presence,
    limit: Option<i64>,
    select: Option<Text<'a>>,
    scan_index_forward: Option<bool>,
    consistent_read: Option<bool>,
    exclusive_start_key: Option<LoadedItem>,
    return_consumed_capacity: Option<Text<'a>>,
    projection_expression: Option<Text<'a>>,
    filter_expression: Option<Text<'a>>,
    key_condition_expression: Option<Text<'a>>,
    expression_attribute_names: Option<Pairs<'a, Text<'a>>>,
    expression_attribute_values: Option<Pairs<'a, Loaded>>,
}

impl Request<'_> {
    fn choices(
        &self,
        table_name: &TableName<'_>,
    ) -> Result<(Option<Select>, Option<ReturnCapacity>), Refusal> {
        let mut limits = Constraints::default();
        let select = limits.choice::<Select>(self.select.as_ref(), "select");
        limits.range(self.limit, "limit", 1, i64::from(i32::MAX));
        table_name.check(&mut limits);
        let capacity = limits.choice::<ReturnCapacity>(
            self.return_consumed_capacity.as_ref(),
            "returnConsumedCapacity",
        );
        if let Some(index) = &self.index_name {
            limits.name(index, "indexName");
            limits.length(&&**index, index.len(), "indexName", (3, 255));
        }
        limits.check()?;
        Ok((select, capacity))
    }

    fn check_styles(&self) -> Result<(), Refusal> {
        Styles {
            expressions: &[
                ("ProjectionExpression", self.projection_expression.is_some()),
                ("FilterExpression", self.filter_expression.is_some()),
                (
                    "KeyConditionExpression",
                    self.key_condition_expression.is_some(),
                ),
            ],
            forerunners: &[
                ("AttributesToGet", self.attributes_to_get.is_some()),
                ("QueryFilter", self.query_filter.is_some()),
                ("ConditionalOperator", self.conditional_operator.is_some()),
                ("KeyConditions", self.key_conditions.is_some()),
            ],
            names: self.expression_attribute_names.is_some(),
            values: self.expression_attribute_values.is_some(),
        }
        .check()
    }
}

pub(crate) fn call(caller: Caller<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request: Request<'_> = read(body)?;
    let table_name = TableName::new(request.table_name.take())?;
    let (select, capacity) = request.choices(&table_name)?;
    request.check_styles()?;
    let start = start_key(request.exclusive_start_key.take())?;
    if request.key_condition_expression.is_none() {
        return Err(Refusal::validation(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in \
             the request.",
        ));
    }
    let placeholders = Placeholders::new(
        request.expression_attribute_names,
        request.expression_attribute_values,
    )?;
    let expressions = Expressions::new(&placeholders);
    let condition = expressions.key_condition(request.key_condition_expression.as_deref())?;
    let filter = expressions.filter(request.filter_expression.as_deref())?;
    let projection = expressions.projection(request.projection_expression.as_deref())?;
    placeholders.check_used()?;
    let terms = condition
        .as_ref()
        .map_or(Ok(Vec::new()), Expressions::key_terms)?;
    Select::check(select, projection.is_some(), request.index_name.is_some())?;

    let table = caller.usable(&table_name)?;
    if let Some(index) = &request.index_name {
        return Err(no_index(index));
    }
    let schema = table.schema();
    let mut span = Span::new(schema, &terms)?;
    let forward = request.scan_index_forward.unwrap_or(true);
    if let Some(start) = start {
        span.go_on(schema, start, forward)?;
    }
    schema.check_scalars(projection.iter().flatten())?;
    if let Some(filter) = &filter {
        check_filter(schema, filter)?;
    }

    let rows = table.rows.read();
    let within = rows
        .range(span.from.as_ref(), span.to.as_ref())
        .filter(|(key, _)| span.has(key));
    let limit = request.limit.and_then(|limit| usize::try_from(limit).ok());
    let page = if forward {
        Page::collect(within, limit, filter.as_ref())
    } else {
        Page::collect(within.rev(), limit, filter.as_ref())
    };
    drop(rows);
    let consistent = request.consistent_read.unwrap_or(false);
    let projection = projection.as_deref();
    Ok(page.reply(
        &table,
        &Shown {
            select,
            projection,
            capacity,
            consistent,
        },
    ))
}

/// The rows a query reads.
struct Span<'a> {
    partition: Key,
    from: Bound<Key>,
    to: Bound<Key>,
    /// The condition on the sort key, for what the bounds cannot say.
    sort: Option<KeyRange<'a>>,
}

impl<'a> Span<'a> {
    fn new(schema: &Schema, terms: &[KeyTerm<'a>]) -> Result<Self, Refusal> {
        let unsupported = || Refusal::validation("Query key condition not supported");
        let of = |attribute: &KeyAttribute| {
            terms
                .iter()
                .find(|term| term.attribute == attribute.name)
                .map(|term| term.range)
        };
        if schema.sort.is_none() && terms.len() > 1 {
            return Err(unsupported());
        }
        let partition = of(&schema.partition).ok_or_else(|| missed(&schema.partition))?;
        check_type(&schema.partition, &partition)?;
        let KeyRange::Is(Comparator::Equal, value) = partition else {
            return Err(unsupported());
        };
        let sort = match &schema.sort {
            None => None,
            Some(attribute) => {
                let range = of(attribute);
                if range.is_none() && terms.len() > 1 {
                    return Err(missed(attribute));
                }
                range
                    .map(|range| check_type(attribute, &range).map(|()| range))
                    .transpose()?
            }
        };
        let (start, end) = Key::partition(value.clone()).ok_or_else(unsupported)?;
        let at = |value: &AttributeValue| start.at_sort(value);
        let (low, high) = (Bound::Included(start.clone()), Bound::Included(end));
        let (from, to) = match sort {
            None => (low, high),
            Some(KeyRange::Between(first, last)) => {
                (Bound::Included(at(first)), Bound::Included(at(last)))
            }
            Some(KeyRange::BeginsWith(prefix)) => (Bound::Included(at(prefix)), high),
            Some(KeyRange::Is(comparator, value)) => match comparator {
                Comparator::Equal => (Bound::Included(at(value)), Bound::Included(at(value))),
                Comparator::Less => (low, Bound::Excluded(at(value))),
                Comparator::LessOrEqual => (low, Bound::Included(at(value))),
                Comparator::Greater => (Bound::Excluded(at(value)), high),
                Comparator::GreaterOrEqual => (Bound::Included(at(value)), high),
                Comparator::NotEqual => return Err(unsupported()),
            },
        };
        Ok(Self {
            partition: start,
            from,
            to,
            sort,
        })
    }

    /// Goes on behind the key at which the page before stopped.
    fn go_on(&mut self, schema: &Schema, start: Item, forward: bool) -> Result<(), Refusal> {
        let invalid = "The provided starting key is invalid";
        let complete = start.len() == schema.attributes().count()
            && schema
                .attributes()
                .all(|attribute| start.contains_key(&attribute.name));
        if !complete {
            return Err(Refusal::validation(invalid));
        }
        let key = schema.key(start)?;
        if let Some(sort) = self.sort {
            if !key.sort_value().is_some_and(|value| sort.contains(&value)) {
                return Err(Refusal::validation(
                    "The provided starting key does not match the range key predicate",
                ));
            }
            if !key.same_partition(&self.partition) {
                return Err(Refusal::validation(
                    "The query can return at most one row and cannot be restarted",
                ));
            }
        } else if !key.same_partition(&self.partition) {
            return Err(Refusal::validation(
                "The provided starting key is outside query boundaries based on provided \
                 conditions",
            ));
        }
        let end = if forward {
            &mut self.from
        } else {
            &mut self.to
        };
        *end = Bound::Excluded(key);
        Ok(())
    }

    fn has(&self, key: &Key) -> bool {
        match self.sort {
            Some(KeyRange::BeginsWith(_)) => {
                let sort = self.sort.zip(key.sort_value());
                sort.is_some_and(|(range, value)| range.contains(&value))
            }
            Some(KeyRange::Is(..) | KeyRange::Between(..)) | None => true,
        }
    }
}

fn missed(attribute: &KeyAttribute) -> Refusal {
    let name = &attribute.name;
    Refusal::validation(format!("Query condition missed key schema element: {name}"))
}

fn check_type(attribute: &KeyAttribute, range: &KeyRange<'_>) -> Result<(), Refusal> {
    if range
        .values()
        .all(|value| value.type_name() == attribute.kind.name())
    {
        return Ok(());
    }
    Err(Refusal::invalid_value(
        "Condition parameter type does not match schema type",
    ))
}

/// A query's filter does not name key attributes.
fn check_filter(schema: &Schema, filter: &Condition<'_>) -> Result<(), Refusal> {
    for attribute in schema.attributes() {
        let mut named = false;
        filter.each_path(&mut |path| named |= path.head == attribute.name);
        if named {
            return Err(Refusal::validation(format!(
                "Filter Expression can only contain non-primary key attributes: \
                 Primary key attribute: {}",
                attribute.name
            )));
        }
    }
    Ok(())
}

/// No filter leads into a key attribute.
pub(super) fn check_filter_scalars(schema: &Schema, filter: &Condition<'_>) -> Result<(), Refusal> {
    let mut result = Ok(());
    filter.each_path(&mut |path| {
        if result.is_ok() {
            result = schema.check_scalars([path]);
        }
    });
    result
}
