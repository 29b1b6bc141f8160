//! Conditions by attribute: what Expected, the filters and KeyConditions have in common.

use serde::Deserialize;

use crate::dynamo::expression::{Comparator, Condition, KeyRange, KeyTerm, Operand, Pairs, Path};
use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::{AttributeValue, Loaded};
use crate::dynamo::wire::{Choice, Constraints, Text};

/// One attribute's condition, as a request has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct Clause<'a> {
    comparison_operator: Option<Text<'a>>,
    attribute_value_list: Option<Vec<Loaded>>,
    value: Option<Loaded>,
    exists: Option<bool>,
}

/// Which parameter conditions stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    Expected,
    QueryFilter,
    ScanFilter,
    KeyConditions,
}

impl Where {
    /// As constraints of the model name it.
    fn path(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::QueryFilter => "queryFilter",
            Self::ScanFilter => "scanFilter",
            Self::KeyConditions => "keyConditions",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    In,
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Between,
    NotNull,
    Null,
    Contains,
    NotContains,
    BeginsWith,
}

impl Choice for Operator {
    const ALL: &'static [(&'static str, Self)] = &[
        ("IN", Self::In),
        ("NULL", Self::Null),
        ("BETWEEN", Self::Between),
        ("LT", Self::Less),
        ("NOT_CONTAINS", Self::NotContains),
        ("EQ", Self::Equal),
        ("GT", Self::Greater),
        ("NOT_NULL", Self::NotNull),
        ("NE", Self::NotEqual),
        ("LE", Self::LessOrEqual),
        ("BEGINS_WITH", Self::BeginsWith),
        ("GE", Self::GreaterOrEqual),
        ("CONTAINS", Self::Contains),
    ];
}

impl Operator {
    fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, operator)| *operator == self)
            .map_or("", |(name, _)| name)
    }

    /// How many values it takes.
    fn takes(self, count: usize) -> bool {
        match self {
            Self::Null | Self::NotNull => count == 0,
            Self::Between => count == 2,
            Self::In => count > 0,
            Self::Equal
            | Self::NotEqual
            | Self::LessOrEqual
            | Self::Less
            | Self::GreaterOrEqual
            | Self::Greater
            | Self::Contains
            | Self::NotContains
            | Self::BeginsWith => count == 1,
        }
    }

    /// Whether it can be asked of a value of this type.
    fn knows(self, value: &AttributeValue) -> bool {
        let kind = value.type_name();
        match self {
            Self::Equal | Self::NotEqual | Self::Null | Self::NotNull => true,
            Self::BeginsWith => matches!(kind, "S" | "B"),
            Self::Contains | Self::NotContains => {
                matches!(kind, "S" | "N" | "B" | "BOOL" | "NULL")
            }
            Self::In
            | Self::LessOrEqual
            | Self::Less
            | Self::GreaterOrEqual
            | Self::Greater
            | Self::Between => matches!(kind, "S" | "N" | "B"),
        }
    }
}

/// Whether all conditions must hold, or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

impl Choice for Join {
    const ALL: &'static [(&'static str, Self)] = &[("OR", Self::Or), ("AND", Self::And)];
}

/// Conditions that passed the checks.
#[derive(Debug)]
pub(crate) struct Clauses<'a> {
    join: Join,
    all: Vec<Checked<'a>>,
}

#[derive(Debug)]
struct Checked<'a> {
    attribute: Text<'a>,
    operator: Operator,
    values: Vec<AttributeValue>,
}

impl<'a> Clauses<'a> {
    /// Notes what the model refuses.
    pub(crate) fn check_model(
        limits: &mut Constraints,
        place: Where,
        clauses: Option<&Pairs<'a, Clause<'a>>>,
    ) {
        let parameter = place.path();
        for (attribute, clause) in clauses.iter().flat_map(|clauses| clauses.iter()) {
            let path = || format!("{parameter}.{}.member.comparisonOperator", &**attribute);
            limits.choice_at::<Operator>(clause.comparison_operator.as_ref(), path);
            if place != Where::Expected && clause.comparison_operator.is_none() {
                limits.refuse(None, &path(), "Member must not be null");
            }
        }
    }

    /// Notes what the model refuses in ConditionalOperator.
    pub(crate) fn check_join(limits: &mut Constraints, operator: Option<&Text<'a>>) {
        limits.choice::<Join>(operator, "conditionalOperator");
    }

    /// Checks the conditions of one parameter. `operator` is the request's ConditionalOperator, for the
    /// parameters that it joins.
    pub(crate) fn new(
        place: Where,
        clauses: Option<Pairs<'a, Clause<'a>>>,
        operator: Option<&Text<'a>>,
    ) -> Result<Option<Self>, Refusal> {
        let Some(clauses) = clauses else {
            return if operator.is_some() {
                Err(Refusal::validation(
                    "ConditionalOperator cannot be used without Filter or Expected",
                ))
            } else {
                Ok(None)
            };
        };
        let mut all = Vec::new();
        for (attribute, mut clause) in clauses.into_sorted() {
            if place != Where::Expected {
                // These two are members of Expected alone; elsewhere they are unknown, and ignored.
                (clause.exists, clause.value) = (None, None);
            }
            all.push(clause.check(attribute)?);
        }
        if operator.is_some() && all.len() < 2 {
            return Err(Refusal::validation(
                "ConditionalOperator can only be used when Filter or Expected has two or more \
                 elements",
            ));
        }
        let join = match operator {
            Some(operator) if **operator == *"OR" => Join::Or,
            Some(_) | None => Join::And,
        };
        Ok(Some(Self { join, all }))
    }

    /// All of them as one condition; nothing if there are none.
    pub(crate) fn condition(&self) -> Option<Condition<'_>> {
        let mut each: Vec<_> = self.all.iter().map(Checked::condition).collect();
        if each.len() < 2 {
            return each.pop();
        }
        Some(match self.join {
            Join::And => Condition::And(each),
            Join::Or => Condition::Or(each),
        })
    }

    /// As the conditions on keys of a query.
    pub(crate) fn key_terms(&self) -> Result<Vec<KeyTerm<'_>>, Refusal> {
        if self.all.len() > 2 {
            return Err(Refusal::validation(
                "Conditions can be of length 1 or 2 only",
            ));
        }
        self.all.iter().map(Checked::key_term).collect()
    }
}

impl<'a> Clause<'a> {
    fn check(self, attribute: Text<'a>) -> Result<Checked<'a>, Refusal> {
        let name = &*attribute;
        let refuse = |what: String| Err(Refusal::invalid_value(what));
        if self.value.is_some() && self.attribute_value_list.is_some() {
            return refuse(format!(
                "Value and AttributeValueList cannot be used together for Attribute: {name}"
            ));
        }
        let is_list = self.attribute_value_list.is_some();
        let loaded = self.attribute_value_list.unwrap_or_default();
        let values: Result<Vec<_>, _> = loaded
            .into_iter()
            .chain(self.value)
            .map(|loaded| loaded.0)
            .collect();
        let values = values.map_err(Refusal::validation)?;
        let operator = match (&self.comparison_operator, self.exists) {
            (Some(_), Some(_)) => {
                return refuse(format!(
                    "Exists and ComparisonOperator cannot be used together for Attribute: {name}"
                ));
            }
            (Some(operator), None) => {
                let mut all = Operator::ALL.iter();
                let found = all.find(|(known, _)| *known == &**operator);
                found.map_or(Operator::Equal, |(_, operator)| *operator)
            }
            (None, _) if is_list => {
                return refuse(format!(
                    "AttributeValueList can only be used with a ComparisonOperator for \
                     Attribute: {name}"
                ));
            }
            (None, Some(false)) if !values.is_empty() => {
                return refuse(format!(
                    "Value cannot be used when Exists is false for Attribute: {name}"
                ));
            }
            (None, Some(false)) => Operator::Null,
            (None, exists) if values.is_empty() => {
                let shown = if exists.is_some() { "true" } else { "null" };
                return refuse(format!(
                    "Value must be provided when Exists is {shown} for Attribute: {name}"
                ));
            }
            (None, _) => Operator::Equal,
        };
        let is_alone = matches!(operator, Operator::Null | Operator::NotNull);
        if self.comparison_operator.is_some() && !is_alone && !is_list && values.is_empty() {
            return refuse(format!(
                "Value or AttributeValueList must be used with ComparisonOperator: {} for \
                 Attribute: {name}",
                operator.name()
            ));
        }
        operator.check(&values)?;
        Ok(Checked {
            attribute,
            operator,
            values,
        })
    }
}

impl Operator {
    /// Refuses values that the operator does not take.
    fn check(self, values: &[AttributeValue]) -> Result<(), Refusal> {
        let name = self.name();
        if !self.takes(values.len()) {
            return Err(Refusal::invalid_value(format!(
                "Invalid number of argument(s) for the {name} ComparisonOperator"
            )));
        }
        let Some(first) = values.first() else {
            return Ok(());
        };
        let kind = first.type_name();
        if values.iter().any(|value| value.type_name() != kind) {
            return Err(Refusal::invalid_value(
                "AttributeValues inside AttributeValueList must be of same type",
            ));
        }
        if !self.knows(first) {
            return Err(Refusal::invalid_value(format!(
                "ComparisonOperator {name} is not valid for {kind} AttributeValue type"
            )));
        }
        if let (Self::Between, [low, high]) = (self, values)
            && low.order(high) == Some(std::cmp::Ordering::Greater)
        {
            return Err(Refusal::validation(
                "The BETWEEN condition was provided a range where the lower bound is greater than \
                 the upper bound",
            ));
        }
        Ok(())
    }

    fn comparator(self) -> Option<Comparator> {
        Some(match self {
            Self::Equal => Comparator::Equal,
            Self::NotEqual => Comparator::NotEqual,
            Self::LessOrEqual => Comparator::LessOrEqual,
            Self::Less => Comparator::Less,
            Self::GreaterOrEqual => Comparator::GreaterOrEqual,
            Self::Greater => Comparator::Greater,
            Self::In
            | Self::Between
            | Self::NotNull
            | Self::Null
            | Self::Contains
            | Self::NotContains
            | Self::BeginsWith => return None,
        })
    }
}

impl Checked<'_> {
    fn path(&self) -> Path<'_> {
        Path {
            head: &self.attribute,
            rest: Vec::new(),
        }
    }

    fn condition(&self) -> Condition<'_> {
        let tested = || Operand::Path(self.path());
        let contains = |value| Condition::Contains(tested(), Operand::Value(value));
        match (self.operator, self.values.as_slice()) {
            (Operator::NotNull, _) => Condition::Exists(self.path()),
            (Operator::Null, _) => Condition::NotExists(self.path()),
            (Operator::Between, [low, high]) => Condition::Between {
                tested: tested(),
                low: Operand::Value(low),
                high: Operand::Value(high),
            },
            (Operator::In, members) => Condition::In {
                tested: tested(),
                members: members.iter().map(Operand::Value).collect(),
            },
            (Operator::Contains, [value]) => contains(value),
            (Operator::NotContains, [value]) => Condition::Not(Box::new(contains(value))),
            (Operator::BeginsWith, [value]) => {
                Condition::BeginsWith(tested(), Operand::Value(value))
            }
            (operator, [value]) => {
                let comparator = operator.comparator().unwrap_or(Comparator::Equal);
                Condition::Compare(comparator, tested(), Operand::Value(value))
            }
            // The number of values was checked.
            _ => Condition::Or(Vec::new()),
        }
    }

    fn key_term(&self) -> Result<KeyTerm<'_>, Refusal> {
        let range = match (self.operator, self.values.as_slice()) {
            (Operator::Between, [low, high]) => KeyRange::Between(low, high),
            (Operator::BeginsWith, [prefix]) => KeyRange::BeginsWith(prefix),
            (operator, [value]) => match operator.comparator() {
                Some(comparator) if comparator != Comparator::NotEqual => {
                    KeyRange::Is(comparator, value)
                }
                _ => return Err(not_indexable()),
            },
            _ => return Err(not_indexable()),
        };
        Ok(KeyTerm {
            attribute: &self.attribute,
            range,
        })
    }
}

fn not_indexable() -> Refusal {
    Refusal::validation("Attempted conditional constraint is not an indexable operation")
}
