//! Carrying an update out.
//!
//! ORDER: every right side is computed from the item as it was; then what stands keeps its place
//! while it changes; then lists grow at their ends; then removals, from the back, so that every
//! index of the expression means the list as it was.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::path::{Path, Step};
use super::update::{Change, Expression, Update};
use crate::dynamo::number::Number;
use crate::dynamo::value::{AttributeValue, Item};

const INVALID_PATH: &str =
    "The document path provided in the update expression is invalid for update";
const WRONG_TYPE: &str = "An operand in the update expression has an incorrect data type";
const LEGACY_WRONG_TYPE: &str = "Type mismatch for attribute to update";
const NO_ATTRIBUTE: &str =
    "The provided expression refers to an attribute that does not exist in the item";

/// What becomes of a place.
enum Effect {
    Write(AttributeValue),
    Remove,
    Nothing,
}

/// Where a place stands before the update.
enum Place {
    /// Something is there, or a map or the item would take it.
    Fits,
    /// Behind the end of a list.
    Behind,
    /// Nothing is there, and nothing is to be put there.
    Absent,
}

impl Update<'_> {
    /// `old` after the update.
    ///
    /// # Errors
    /// The update does not fit the item; the message is the service's.
    pub(crate) fn apply(&self, old: &Item) -> Result<Item, String> {
        let mut effects = Vec::with_capacity(self.paths.len());
        let wrong_type = if self.is_legacy {
            LEGACY_WRONG_TYPE
        } else {
            WRONG_TYPE
        };
        for (path, change) in self.paths.iter().zip(&self.changes) {
            effects.push(change.effect(path, old, wrong_type)?);
        }
        let mut new = old.clone();
        let mut growth = Vec::new();
        let mut removals = Vec::new();
        for (path, effect) in self.paths.iter().zip(effects) {
            match (place(path, &effect, &new)?, effect) {
                (Place::Absent, _) | (_, Effect::Nothing) => {}
                (Place::Behind, Effect::Write(value)) => growth.push((path, value)),
                (_, Effect::Write(value)) => put(path, value, &mut new),
                (_, Effect::Remove) => removals.push(path),
            }
        }
        growth.sort_by_key(|(path, _)| *path);
        for (path, value) in growth {
            if let Some(AttributeValue::L(list)) = path.parent_mut(&mut new) {
                list.push(value);
            }
        }
        removals.sort_unstable_by(|a, b| b.cmp(a));
        for path in removals {
            remove(path, &mut new);
        }
        Ok(new)
    }
}

impl Change<'_> {
    fn effect(&self, path: &Path<'_>, old: &Item, wrong_type: &str) -> Result<Effect, String> {
        Ok(match self {
            Self::Remove => Effect::Remove,
            Self::Set(expression) => Effect::Write(expression.value(old)?.into_owned()),
            Self::Add(value) => Effect::Write(match (path.resolve(old), *value) {
                (None, value) => value.clone(),
                (Some(AttributeValue::N(old)), AttributeValue::N(more)) => {
                    AttributeValue::N(old.plus(*more)?)
                }
                (Some(old), more) => union(old, more).ok_or(wrong_type)?,
            }),
            Self::Delete(value) => match path.resolve(old) {
                None => Effect::Nothing,
                Some(old) => match difference(old, value).ok_or(wrong_type)? {
                    Some(rest) => Effect::Write(rest),
                    None => Effect::Remove,
                },
            },
        })
    }
}

impl Expression<'_> {
    fn value<'i>(&'i self, old: &'i Item) -> Result<Cow<'i, AttributeValue>, String> {
        match self {
            Self::Value(value) => Ok(Cow::Borrowed(value)),
            Self::Path(path) => path
                .resolve(old)
                .map(Cow::Borrowed)
                .ok_or_else(|| NO_ATTRIBUTE.to_owned()),
            Self::IfNotExists(path, other) => match path.resolve(old) {
                Some(value) => Ok(Cow::Borrowed(value)),
                None => other.value(old),
            },
            Self::ListAppend(first, second) => {
                let (first, second) = (first.value(old)?, second.value(old)?);
                match (first.into_owned(), second.into_owned()) {
                    (AttributeValue::L(mut list), AttributeValue::L(more)) => {
                        list.extend(more);
                        Ok(Cow::Owned(AttributeValue::L(list)))
                    }
                    _ => Err(WRONG_TYPE.to_owned()),
                }
            }
            Self::Add(first, second) => arithmetic(first, second, old, Number::plus),
            Self::Subtract(first, second) => arithmetic(first, second, old, Number::minus),
        }
    }
}

fn arithmetic<'i>(
    first: &Expression<'_>,
    second: &Expression<'_>,
    old: &Item,
    operator: fn(Number, Number) -> Result<Number, String>,
) -> Result<Cow<'i, AttributeValue>, String> {
    let number = |operand: &Expression<'_>| {
        operand
            .value(old)
            .and_then(|value| value.as_n().ok_or_else(|| WRONG_TYPE.to_owned()))
    };
    let result = operator(number(first)?, number(second)?)?;
    Ok(Cow::Owned(AttributeValue::N(result)))
}

/// Both sets together, if they are sets of one type. A list grows; only legacy updates can ask for that.
fn union(old: &AttributeValue, more: &AttributeValue) -> Option<AttributeValue> {
    match (old, more) {
        (AttributeValue::Ss(old), AttributeValue::Ss(more)) => Some(AttributeValue::Ss(old | more)),
        (AttributeValue::Ns(old), AttributeValue::Ns(more)) => Some(AttributeValue::Ns(old | more)),
        (AttributeValue::Bs(old), AttributeValue::Bs(more)) => Some(AttributeValue::Bs(old | more)),
        (AttributeValue::L(old), AttributeValue::L(more)) => {
            Some(AttributeValue::L(old.iter().chain(more).cloned().collect()))
        }
        _ => None,
    }
}

/// What is left of a set, if they are sets of one type; nothing inside if nothing is left.
fn difference(old: &AttributeValue, less: &AttributeValue) -> Option<Option<AttributeValue>> {
    fn rest<T: Ord + Clone>(
        old: &BTreeSet<T>,
        less: &BTreeSet<T>,
        wrap: fn(BTreeSet<T>) -> AttributeValue,
    ) -> Option<AttributeValue> {
        Some(old - less).filter(|rest| !rest.is_empty()).map(wrap)
    }
    match (old, less) {
        (AttributeValue::Ss(old), AttributeValue::Ss(less)) => {
            Some(rest(old, less, AttributeValue::Ss))
        }
        (AttributeValue::Ns(old), AttributeValue::Ns(less)) => {
            Some(rest(old, less, AttributeValue::Ns))
        }
        (AttributeValue::Bs(old), AttributeValue::Bs(less)) => {
            Some(rest(old, less, AttributeValue::Bs))
        }
        _ => None,
    }
}

/// Whether and where `path` can be changed. A path of several steps needs all but the last.
fn place(path: &Path<'_>, effect: &Effect, item: &Item) -> Result<Place, String> {
    let Some((last, above)) = path.rest.split_last() else {
        return Ok(Place::Fits);
    };
    let parent = Path {
        head: path.head,
        rest: above.to_vec(),
    };
    match (parent.resolve(item), last) {
        (Some(AttributeValue::M(_)), Step::Name(_)) => Ok(Place::Fits),
        (Some(AttributeValue::L(list)), Step::Index(index)) if *index < list.len() => {
            Ok(Place::Fits)
        }
        (Some(AttributeValue::L(_)), Step::Index(_)) => Ok(match effect {
            Effect::Write(_) => Place::Behind,
            Effect::Remove | Effect::Nothing => Place::Absent,
        }),
        _ => Err(INVALID_PATH.to_owned()),
    }
}

fn put(path: &Path<'_>, value: AttributeValue, item: &mut Item) {
    let Some(last) = path.rest.last() else {
        // A name that is there already is not allocated again.
        match item.get_mut(path.head) {
            Some(slot) => *slot = value,
            None => drop(item.insert(path.head.into(), value)),
        }
        return;
    };
    match (path.parent_mut(item), last) {
        (Some(AttributeValue::M(map)), Step::Name(name)) => {
            map.insert((*name).into(), value);
        }
        (Some(AttributeValue::L(list)), Step::Index(index)) => {
            if let Some(slot) = list.get_mut(*index) {
                *slot = value;
            }
        }
        _ => {}
    }
}

fn remove(path: &Path<'_>, item: &mut Item) {
    let Some(last) = path.rest.last() else {
        item.remove(path.head);
        return;
    };
    match (path.parent_mut(item), last) {
        (Some(AttributeValue::M(map)), Step::Name(name)) => {
            map.remove(*name);
        }
        (Some(AttributeValue::L(list)), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
        }
        _ => {}
    }
}
