//! Document paths: where in an item a value stands.

use std::fmt;

use crate::dynamo::value::{AttributeValue, Item};

/// One step below the top of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step<'a> {
    /// Into a map.
    Name(&'a str),
    /// Into a list.
    Index(usize),
}

/// An attribute, or a place below it. Placeholders are already replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path<'a> {
    /// The attribute.
    pub(crate) head: &'a str,
    /// The way down from it; nearly always empty, and then without an allocation.
    pub(crate) rest: Vec<Step<'a>>,
}

impl<'a> Path<'a> {
    /// What stands there.
    pub(crate) fn resolve<'i>(&self, item: &'i Item) -> Option<&'i AttributeValue> {
        self.rest
            .iter()
            .try_fold(item.get(self.head)?, |value, step| match (step, value) {
                (Step::Name(name), AttributeValue::M(map)) => map.get(*name),
                (Step::Index(index), AttributeValue::L(list)) => list.get(*index),
                _ => None,
            })
    }

    /// The value above the last step, to be changed; nothing for a path of one step.
    pub(crate) fn parent_mut<'i>(&self, item: &'i mut Item) -> Option<&'i mut AttributeValue> {
        let (_, above) = self.rest.split_last()?;
        above
            .iter()
            .try_fold(item.get_mut(self.head)?, |value, step| {
                match (step, value) {
                    (Step::Name(name), AttributeValue::M(map)) => map.get_mut(*name),
                    (Step::Index(index), AttributeValue::L(list)) => list.get_mut(*index),
                    _ => None,
                }
            })
    }

    /// All steps from the top of the item.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'a>> + '_ {
        std::iter::once(Step::Name(self.head)).chain(self.rest.iter().copied())
    }
}

impl fmt::Display for Path<'_> {
    /// As the service's messages show a path: `[a, [1], b]`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{}", self.head)?;
        for step in &self.rest {
            match step {
                Step::Name(name) => write!(out, ", {name}")?,
                Step::Index(index) => write!(out, ", [{index}]")?,
            }
        }
        out.write_str("]")
    }
}

/// What is wrong with two paths in one list of paths.
pub(super) enum Clash {
    /// One is the other, or above it.
    Overlap(String),
    /// One takes for a map what the other takes for a list.
    Conflict(String),
}

/// Compares two paths of one projection or update.
pub(super) fn clash(one: &Path<'_>, two: &Path<'_>) -> Option<Clash> {
    let text = |how: &str| {
        format!(
            "Two document paths {how} with each other; must remove or rewrite one of these \
             paths; path one: {one}, path two: {two}"
        )
    };
    for (a, b) in one.steps().zip(two.steps()) {
        match (a, b) {
            (Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_)) => {
                return Some(Clash::Conflict(text("conflict")));
            }
            (a, b) if a != b => return None,
            _ => {}
        }
    }
    Some(Clash::Overlap(text("overlap")))
}
