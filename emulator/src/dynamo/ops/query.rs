//! Query: the rows of one partition, in the order of the sort key, in pages.

use std::ops::Bound;

use serde::Deserialize;

use super::pages::{Select, Shown, Take, projecting, read_page, start_key};
use super::source::{Source, Span};
use super::{Caller, Styles, TableName};
use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::expression::{
    Comparator, Condition, Expressions, KeyRange, KeyTerm, Pairs, Placeholders,
};
use crate::dynamo::legacy::{self, Clause, Clauses, Where};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::schema::{Key, KeyAttribute, Schema};
use crate::dynamo::table::Table;
use crate::dynamo::value::{AttributeValue, Item, Loaded, LoadedItem};
use crate::dynamo::wire::{Constraints, Text, read};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Request<'a> {
    table_name: Option<Text<'a>>,
    index_name: Option<Text<'a>>,
    attributes_to_get: Option<Vec<Text<'a>>>,
    query_filter: Option<Pairs<'a, Clause<'a>>>,
    conditional_operator: Option<Text<'a>>,
    key_conditions: Option<Pairs<'a, Clause<'a>>>,
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
        table_name: Option<&TableName<'_>>,
    ) -> Result<(Option<Select>, Option<ReturnCapacity>), Refusal> {
        let mut limits = Constraints::default();
        let select = limits.choice::<Select>(self.select.as_ref(), "select");
        limits.range(self.limit, "limit", 1, i64::from(i32::MAX));
        TableName::check_given(table_name, &mut limits);
        let capacity = limits.choice::<ReturnCapacity>(
            self.return_consumed_capacity.as_ref(),
            "returnConsumedCapacity",
        );
        if let Some(index) = &self.index_name {
            limits.name(index, "indexName");
            limits.length(&&**index, index.len(), "indexName", (3, 255));
        }
        legacy::check_attributes(&mut limits, self.attributes_to_get.as_ref());
        Clauses::check_model(&mut limits, Where::QueryFilter, self.query_filter.as_ref());
        Clauses::check_model(
            &mut limits,
            Where::KeyConditions,
            self.key_conditions.as_ref(),
        );
        Clauses::check_join(&mut limits, self.conditional_operator.as_ref());
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
            legacy: &[
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
    let table_name = TableName::of_items(request.table_name.take());
    let (select, capacity) = request.choices(table_name.as_ref())?;
    request.check_styles()?;
    let start = start_key(request.exclusive_start_key.take())?;
    if request.key_condition_expression.is_none() && request.key_conditions.is_none() {
        return Err(Refusal::validation(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in \
             the request.",
        ));
    }
    let key_conditions = Clauses::new(Where::KeyConditions, request.key_conditions, None)?;
    let query_filter = Clauses::new(
        Where::QueryFilter,
        request.query_filter,
        request.conditional_operator.as_ref(),
    )?;
    let attributes = legacy::projection(request.attributes_to_get.as_ref())?;
    let placeholders = Placeholders::new(
        request.expression_attribute_names,
        request.expression_attribute_values,
    )?;
    let expressions = Expressions::new(&placeholders);
    let condition = expressions.key_condition(request.key_condition_expression.as_deref())?;
    let filter = expressions.filter(request.filter_expression.as_deref())?;
    let projection = expressions.projection(request.projection_expression.as_deref())?;
    placeholders.check_used()?;
    let terms = match (&condition, &key_conditions) {
        (Some(condition), _) => Expressions::key_terms(condition)?,
        (None, Some(conditions)) => conditions.key_terms()?,
        (None, None) => Vec::new(),
    };
    let projecting = projecting(projection.is_some(), attributes.is_some());
    Select::check(select, projecting, request.index_name.is_some())?;
    let is_expression = filter.is_some();
    let filter = filter.or_else(|| query_filter.as_ref()?.condition());
    let projection = projection.or(attributes);

    let consistent = request.consistent_read.unwrap_or(false);
    let table = caller.usable(table_name.as_ref())?;
    let index = request.index_name.as_deref();
    let mut source = Source::new(&caller, table, index, consistent)?;
    let mut asked = Asked::new(source.schema(), &terms)?;
    asked.span.forward = request.scan_index_forward.unwrap_or(true);
    if let Some(start) = start {
        asked.go_on(&source, &start)?;
    }
    source.table.check_scalars(projection.iter().flatten())?;
    source.select(select, projection.as_deref())?;
    if let Some(filter) = &filter {
        check_filter(source.schema(), filter, is_expression)?;
        source.check_filter(filter)?;
    }
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
    let has = |key: &Key| asked.has(key);
    read_page(&caller, &source, (&asked.span, &has), &take, &shown)
}

/// The rows a query asks for.
struct Asked<'a> {
    partition: Key,
    span: Span,
    /// The condition on the sort key, for what the bounds cannot say.
    sort: Option<KeyRange<'a>>,
}

impl<'a> Asked<'a> {
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
            span: Span {
                from,
                to,
                after: None,
                forward: true,
            },
            sort,
        })
    }

    /// Goes on behind the key at which the page before stopped.
    fn go_on(&mut self, source: &Source, start: &Item) -> Result<(), Refusal> {
        let Some(start) = source.start(start)? else {
            return Err(Refusal::validation("The provided starting key is invalid"));
        };
        let key = &start.key;
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
        self.span.after = Some(start);
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
fn check_filter(
    schema: &Schema,
    filter: &Condition<'_>,
    is_expression: bool,
) -> Result<(), Refusal> {
    let parameter = if is_expression {
        "Filter Expression"
    } else {
        "QueryFilter"
    };
    for attribute in schema.attributes() {
        let mut named = false;
        filter.each_path(&mut |path| named |= path.head == attribute.name);
        if named {
            return Err(Refusal::validation(format!(
                "{parameter} can only contain non-primary key attributes: \
                 Primary key attribute: {}",
                attribute.name
            )));
        }
    }
    Ok(())
}

/// No filter leads into a key attribute.
pub(super) fn check_filter_scalars(table: &Table, filter: &Condition<'_>) -> Result<(), Refusal> {
    let mut result = Ok(());
    filter.each_path(&mut |path| {
        if result.is_ok() {
            result = table.check_scalars([path]);
        }
    });
    result
}
