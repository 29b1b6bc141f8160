//! Projections: parts of an item, in the item's own shape.

use std::collections::BTreeMap;

use super::parse::{Grammar, Parser, Rank};
use super::path::{Path, Step};
use super::placeholders::Placeholders;
use crate::dynamo::value::{AttributeValue, Item};

/// Reads a projection.
pub(super) fn parse<'a>(
    source: &'a str,
    placeholders: &'a Placeholders<'a>,
) -> Result<Vec<Path<'a>>, String> {
    let mut parser = Parser::new(Grammar::Projection, source, placeholders);
    let mut paths = Vec::new();
    loop {
        let path = parser.path()?;
        parser.note_clash(&paths, &path);
        paths.push(path);
        if !parser.cursor.eat(",") {
            break;
        }
    }
    parser.finish(&[
        Rank::Reserved,
        Rank::UndefinedName,
        Rank::Overlap,
        Rank::Conflict,
    ])?;
    Ok(paths)
}

/// The parts of `item` that `paths` name; lists close up over what is left out.
pub(crate) fn project(paths: &[Path<'_>], item: &Item) -> Item {
    let mut parts = BTreeMap::new();
    for path in paths {
        let Some(value) = path.resolve(item) else {
            continue;
        };
        let mut part = parts.entry(path.head).or_insert_with(Part::default);
        for step in &path.rest {
            part = match step {
                Step::Name(name) => part.names.entry(name).or_default(),
                Step::Index(index) => part.indexes.entry(*index).or_default(),
            };
        }
        part.value = Some(value);
    }
    parts
        .into_iter()
        .map(|(name, part)| (name.into(), part.build()))
        .collect()
}

/// A place of the result: a value, or what is below it.
#[derive(Default)]
struct Part<'a> {
    value: Option<&'a AttributeValue>,
    names: BTreeMap<&'a str, Self>,
    indexes: BTreeMap<usize, Self>,
}

impl Part<'_> {
    fn build(self) -> AttributeValue {
        if let Some(value) = self.value {
            return value.clone();
        }
        if self.indexes.is_empty() {
            let names = self.names.into_iter();
            return AttributeValue::M(
                names
                    .map(|(name, part)| (name.into(), part.build()))
                    .collect(),
            );
        }
        AttributeValue::L(self.indexes.into_values().map(Part::build).collect())
    }
}
