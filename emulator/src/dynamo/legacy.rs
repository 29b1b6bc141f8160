//! The parameters from before expressions: Expected, QueryFilter, ScanFilter, KeyConditions,
//! AttributeUpdates, AttributesToGet, ConditionalOperator.
//!
//! Each is checked in the service's words and then lowered onto the trees of the expression language,
//! so that there is one evaluation of conditions and one of updates. The Java KCL uses these forms for
//! every write to a lease.

mod clauses;
mod updates;

pub(crate) use clauses::{Clause, Clauses, Where};
pub(crate) use updates::{AttributeUpdate, Updates};

use super::expression::Path;
use super::refusal::Refusal;
use super::wire::{Constraints, Text};

/// Notes what the model refuses in AttributesToGet.
pub(crate) fn check_attributes(limits: &mut Constraints, names: Option<&Vec<Text<'_>>>) {
    let Some(names) = names else { return };
    let shown = format!(
        "[{}]",
        names
            .iter()
            .map(|name| &**name)
            .collect::<Vec<_>>()
            .join(", ")
    );
    limits.length(&shown, names.len(), "attributesToGet", (1, usize::MAX));
}

/// AttributesToGet as a projection.
pub(crate) fn projection<'a>(
    names: Option<&'a Vec<Text<'_>>>,
) -> Result<Option<Vec<Path<'a>>>, Refusal> {
    let Some(names) = names else { return Ok(None) };
    let mut paths: Vec<Path<'a>> = Vec::with_capacity(names.len());
    for name in names {
        if paths.iter().any(|path| path.head == &**name) {
            return Err(Refusal::invalid_value(format!(
                "Duplicate value in attribute name: {}",
                &**name
            )));
        }
        paths.push(Path {
            head: name,
            rest: Vec::new(),
        });
    }
    Ok(Some(paths))
}
