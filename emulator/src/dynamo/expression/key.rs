//! Key conditions: which partition a query reads, and which part of it.
//!
//! Read by the condition grammar, then taken apart: every attribute named must be a key
//! attribute with one condition.

use std::cmp::Ordering;

use super::tree::{Comparator, Condition, Operand};
use crate::dynamo::value::AttributeValue;

/// One attribute's condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyTerm<'a> {
    pub(crate) attribute: &'a str,
    pub(crate) range: KeyRange<'a>,
}

/// What a key attribute must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyRange<'a> {
    Is(Comparator, &'a AttributeValue),
    Between(&'a AttributeValue, &'a AttributeValue),
    BeginsWith(&'a AttributeValue),
}

impl<'a> KeyRange<'a> {
    /// The values it compares with.
    pub(crate) fn values(&self) -> impl Iterator<Item = &'a AttributeValue> {
        let (first, second) = match *self {
            Self::Is(_, value) | Self::BeginsWith(value) => (value, None),
            Self::Between(low, high) => (low, Some(high)),
        };
        std::iter::once(first).chain(second)
    }

    /// Whether a key of the right type is in it.
    pub(crate) fn contains(&self, key: &AttributeValue) -> bool {
        let order = |other: &AttributeValue| key.order(other);
        match self {
            Self::Is(comparator, value) => match (comparator, order(value)) {
                (_, None) => false,
                (Comparator::Equal, Some(order)) => order == Ordering::Equal,
                (Comparator::NotEqual, Some(order)) => order != Ordering::Equal,
                (Comparator::Less, Some(order)) => order == Ordering::Less,
                (Comparator::LessOrEqual, Some(order)) => order != Ordering::Greater,
                (Comparator::Greater, Some(order)) => order == Ordering::Greater,
                (Comparator::GreaterOrEqual, Some(order)) => order != Ordering::Less,
            },
            Self::Between(low, high) => {
                order(low).is_some_and(|order| order != Ordering::Less)
                    && order(high).is_some_and(|order| order != Ordering::Greater)
            }
            Self::BeginsWith(prefix) => match (key, prefix) {
                (AttributeValue::S(key), AttributeValue::S(prefix)) => {
                    key.starts_with(prefix.as_str())
                }
                (AttributeValue::B(key), AttributeValue::B(prefix)) => key.starts_with(prefix),
                _ => false,
            },
        }
    }
}

/// Takes a key condition apart. The message is the service's, without a prefix.
pub(super) fn terms<'a>(condition: &Condition<'a>) -> Result<Vec<KeyTerm<'a>>, String> {
    let mut terms = Vec::new();
    collect(condition, &mut terms)?;
    if terms.len() > 2 {
        return Err("Conditions can be of length 1 or 2 only".to_owned());
    }
    Ok(terms)
}

fn collect<'a>(condition: &Condition<'a>, terms: &mut Vec<KeyTerm<'a>>) -> Result<(), String> {
    let (attribute, range) = match condition {
        Condition::And(all) => {
            return all
                .iter()
                .try_for_each(|condition| collect(condition, terms));
        }
        Condition::Or(_) => return Err(invalid_operator("OR")),
        Condition::Not(_) => return Err(invalid_operator("NOT")),
        Condition::In { .. } => return Err(invalid_operator("IN")),
        Condition::Exists(_) => return Err(invalid_operator("attribute_exists")),
        Condition::NotExists(_) => return Err(invalid_operator("attribute_not_exists")),
        Condition::HasType(..) => return Err(invalid_operator("attribute_type")),
        Condition::Contains(..) => return Err(invalid_operator("contains")),
        Condition::Compare(Comparator::NotEqual, ..) => return Err(invalid_operator("<>")),
        Condition::Compare(comparator, one, two) => comparison(*comparator, one, two)?,
        Condition::Between { tested, low, high } => {
            let attribute = first_operand(tested, &[low, high], "BETWEEN")?;
            (attribute, KeyRange::Between(value(low)?, value(high)?))
        }
        Condition::BeginsWith(tested, prefix) => {
            let attribute = first_operand(tested, &[prefix], "begins_with")?;
            (attribute, KeyRange::BeginsWith(value(prefix)?))
        }
    };
    if terms.iter().any(|term| term.attribute == attribute) {
        return Err("KeyConditionExpressions must only contain one condition per key".to_owned());
    }
    terms.push(KeyTerm { attribute, range });
    Ok(())
}

fn comparison<'a>(
    comparator: Comparator,
    one: &Operand<'a>,
    two: &Operand<'a>,
) -> Result<(&'a str, KeyRange<'a>), String> {
    let flipped = match comparator {
        Comparator::Equal | Comparator::NotEqual => comparator,
        Comparator::Less => Comparator::Greater,
        Comparator::LessOrEqual => Comparator::GreaterOrEqual,
        Comparator::Greater => Comparator::Less,
        Comparator::GreaterOrEqual => Comparator::LessOrEqual,
    };
    match (one, two) {
        (Operand::Size(_), _) | (_, Operand::Size(_)) => Err(nested_operation()),
        (Operand::Value(_), Operand::Value(_)) => Err(
            "Invalid condition in KeyConditionExpression: No key attribute specified".to_owned(),
        ),
        (Operand::Path(_), Operand::Path(_)) => Err(several_names()),
        (path @ Operand::Path(_), Operand::Value(value)) => {
            Ok((key_attribute(path)?, KeyRange::Is(comparator, value)))
        }
        (Operand::Value(value), path @ Operand::Path(_)) => {
            Ok((key_attribute(path)?, KeyRange::Is(flipped, value)))
        }
    }
}

/// The attribute of a condition that has it first.
fn first_operand<'a>(
    tested: &Operand<'a>,
    others: &[&Operand<'a>],
    operator: &str,
) -> Result<&'a str, String> {
    if !matches!(tested, Operand::Path(_)) {
        return Err(format!(
            "Invalid condition in KeyConditionExpression: {operator} operator must have the key \
             attribute as its first operand"
        ));
    }
    if others
        .iter()
        .any(|operand| matches!(operand, Operand::Path(_)))
    {
        return Err(several_names());
    }
    key_attribute(tested)
}

fn key_attribute<'a>(operand: &Operand<'a>) -> Result<&'a str, String> {
    match operand {
        Operand::Path(path) if path.rest.is_empty() => Ok(path.head),
        Operand::Path(_) => {
            Err("KeyConditionExpressions cannot have conditions on nested attributes".to_owned())
        }
        Operand::Value(_) | Operand::Size(_) => Err(nested_operation()),
    }
}

fn value<'a>(operand: &Operand<'a>) -> Result<&'a AttributeValue, String> {
    match operand {
        Operand::Value(value) => Ok(value),
        Operand::Path(_) => Err(several_names()),
        Operand::Size(_) => Err(nested_operation()),
    }
}

fn invalid_operator(operator: &str) -> String {
    format!("Invalid operator used in KeyConditionExpression: {operator}")
}

fn nested_operation() -> String {
    "KeyConditionExpressions cannot contain nested operations".to_owned()
}

fn several_names() -> String {
    "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
        .to_owned()
}
