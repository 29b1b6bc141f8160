//! A pattern on a record. Only what the pattern asks about is looked into.

use serde_json::value::RawValue;

use super::pattern::{Compare, Members, Node, Rule, Scalar};

/// How deep lists may nest in a record, for something in them to match.
const LISTS_MAX: usize = 16;

/// What a pattern is held against.
pub(super) enum Subject<'a> {
    /// The record: its fields by name.
    Fields(&'a [(&'a str, &'a RawValue)]),
    /// A value in it.
    Value(&'a RawValue),
    /// A field that is not there.
    Nothing,
}

impl Node {
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(subject)),
            Self::Leaf(rules) => leaf(rules, subject),
            Self::Fields(fields) => match subject {
                Subject::Fields(members) => all(fields, &|name| {
                    let member = members.iter().find(|(known, _)| *known == name);
                    member.map(|(_, value)| *value)
                }),
                Subject::Nothing => all(fields, &|_| None),
                Subject::Value(value) => {
                    let mut objects = Vec::new();
                    each(value, LISTS_MAX, &mut |item| {
                        if item.get().starts_with('{') {
                            objects.push(item);
                        }
                    });
                    match objects.is_empty() {
                        // There are no fields in a text or number.
                        true => all(fields, &|_| None),
                        false => objects.into_iter().any(|object| within(fields, object)),
                    }
                }
            },
        }
    }
}

fn within(fields: &[(String, Node)], object: &RawValue) -> bool {
    let Ok(Members(members)) = serde_json::from_str(object.get()) else {
        return false;
    };
    all(fields, &|name| {
        // Of a field that is there twice, the last counts, as for most who read JSON.
        let member = members.iter().rev().find(|(known, _)| known == name);
        member.map(|(_, value)| *value)
    })
}

/// Whether all fields match. An `$or` is about the object itself.
fn all<'a>(fields: &[(String, Node)], find: &dyn Fn(&str) -> Option<&'a RawValue>) -> bool {
    fields.iter().all(|(name, node)| match node {
        Node::Or(nodes) => nodes.iter().any(|node| match node {
            Node::Fields(fields) => all(fields, find),
            Node::Or(_) | Node::Leaf(_) => false,
        }),
        Node::Fields(_) | Node::Leaf(_) => match find(name) {
            Some(value) => node.matches(&Subject::Value(value)),
            None => node.matches(&Subject::Nothing),
        },
    })
}

fn leaf(rules: &[Rule], subject: &Subject<'_>) -> bool {
    let mut scalars = Vec::new();
    match subject {
        Subject::Value(value) => each(value, LISTS_MAX, &mut |item| {
            scalars.extend(Scalar::read(item))
        }),
        Subject::Nothing | Subject::Fields(_) => {}
    }
    rules.iter().any(|rule| match rule {
        Rule::Exists(exists) => *exists != scalars.is_empty(),
        Rule::Is(_)
        | Rule::AnythingBut(_)
        | Rule::Prefix(_)
        | Rule::Suffix(_)
        | Rule::IgnoringCase(_)
        | Rule::Numeric(_) => scalars.iter().any(|scalar| rule.takes(scalar)),
    })
}

impl Rule {
    fn takes(&self, value: &Scalar) -> bool {
        match (self, value) {
            (Self::Is(wanted), value) => wanted == value,
            (Self::AnythingBut(others), value) => !others.contains(value),
            (Self::Prefix(start), Scalar::Text(text)) => text.starts_with(start),
            (Self::Suffix(end), Scalar::Text(text)) => text.ends_with(end),
            (Self::IgnoringCase(wanted), Scalar::Text(text)) => text.to_lowercase() == *wanted,
            (Self::Numeric(comparisons), Scalar::Number(number)) => {
                let Ok(number) = number.parse::<f64>() else {
                    return false;
                };
                comparisons
                    .iter()
                    .all(|(compare, bound)| compare.holds(number, *bound))
            }
            (Self::Exists(exists), _) => *exists,
            (
                Self::Prefix(_) | Self::Suffix(_) | Self::IgnoringCase(_),
                Scalar::Number(_) | Scalar::Bool(_) | Scalar::Null,
            )
            | (Self::Numeric(_), Scalar::Text(_) | Scalar::Bool(_) | Scalar::Null) => false,
        }
    }
}

impl Compare {
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            #[expect(
                clippy::float_cmp,
                reason = "both were read from decimal texts in the same way"
            )]
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        }
    }
}

/// A value that is no list, or each in it.
fn each<'a>(value: &'a RawValue, depth: usize, found: &mut impl FnMut(&'a RawValue)) {
    if !value.get().starts_with('[') {
        return found(value);
    }
    if depth == 0 {
        return;
    }
    let items: Result<Vec<&RawValue>, _> = serde_json::from_str(value.get());
    for item in items.into_iter().flatten() {
        each(item, depth - 1, found);
    }
}
