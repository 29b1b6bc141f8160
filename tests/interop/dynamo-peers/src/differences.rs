//! The differences that are known and meant. Each is a class with a name, as narrow as it can be said,
//! and an entry in docs/dynamodb-differences.md.

mod dynalite;
mod moto;

use serde_json::{Value, json};

use crate::canonical::Canonical;
use crate::compare::{Aspect, Difference, Peer};

#[derive(Debug)]
pub(crate) struct Class {
    /// As in docs/dynamodb-differences.md.
    pub(crate) id: &'static str,
    pub(crate) matches: fn(&Difference<'_>) -> bool,
}

/// The first class that a difference belongs to.
pub(crate) fn find(difference: &Difference<'_>) -> Option<&'static Class> {
    let classes = match difference.peer {
        Peer::Dynalite => dynalite::CLASSES,
        Peer::Moto => moto::CLASSES,
    };
    classes.iter().find(|class| (class.matches)(difference))
}

/// A description of a table.
fn is_description(difference: &Difference<'_>) -> bool {
    let operation = difference.step.operation;
    operation.ends_with("Table") && difference.ours.status == 200 && difference.theirs.status == 200
}

/// All expressions of the request, in lower case, also those inside of a transaction.
fn text(difference: &Difference<'_>) -> String {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, inner) in members {
                    match inner {
                        Value::String(text) if name.ends_with("Expression") => {
                            texts.push(text.to_ascii_lowercase());
                        }
                        _ => collect(inner, texts),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|inner| collect(inner, texts)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut texts = Vec::new();
    collect(&difference.step.body, &mut texts);
    texts.join(" ; ")
}

/// Whether a value of this type stands anywhere in the request.
fn has_value(difference: &Difference<'_>, kind: &str) -> bool {
    fn has(value: &Value, kind: &str) -> bool {
        match value {
            Value::Object(members) => {
                (members.len() == 1 && members.contains_key(kind))
                    || members.values().any(|inner| has(inner, kind))
            }
            Value::Array(all) => all.iter().any(|inner| has(inner, kind)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    let body = &difference.step.body;
    let conditions = [
        "Expected",
        "ScanFilter",
        "QueryFilter",
        "ExpressionAttributeValues",
        "TransactItems",
    ];
    conditions
        .iter()
        .any(|name| body.get(name).is_some_and(|values| has(values, kind)))
}

/// A condition of Expected that gives Exists and a Value, of which the peers look only at the first.
fn expects_value(difference: &Difference<'_>) -> bool {
    let expected = difference.step.body["Expected"]
        .as_object()
        .into_iter()
        .flatten();
    is_evaluated(difference)
        && expected
            .into_iter()
            .any(|(_, condition)| condition["Exists"] == true && condition.get("Value").is_some())
}

/// AttributeUpdates that only delete, and no row to delete from.
fn deletes_from_nothing(difference: &Difference<'_>) -> bool {
    let changes = difference.step.body["AttributeUpdates"].as_object();
    difference.aspect == Aspect::State
        && difference.ours.body == json!({})
        && changes
            .is_some_and(|changes| changes.values().all(|change| change["Action"] == "DELETE"))
}

/// Whether the difference can be one of a condition's outcome.
fn is_evaluated(difference: &Difference<'_>) -> bool {
    let fine = |answer: &Canonical| {
        answer.status == 200
            || answer.kind == "ConditionalCheckFailedException"
            || answer.kind == "TransactionCanceledException"
            || UPDATE_FAULTS.contains(&answer.message.as_str())
    };
    fine(difference.ours) && fine(difference.theirs)
}

/// What an update can meet in a row. Which of several is told, the documentation does not say.
const UPDATE_FAULTS: [&str; 6] = [
    "The document path provided in the update expression is invalid for update",
    "The provided expression refers to an attribute that does not exist in the item",
    "An operand in the update expression has an incorrect data type",
    "Attempting to store more than 38 significant digits in a Number",
    "Number overflow. Attempting to store a number with magnitude larger than supported range",
    "Number underflow. Attempting to store a number with magnitude smaller than supported range",
];

/// Whether an expression compares a path with a path, or asks whether a value is between paths.
fn compares_two_paths(text: &str) -> bool {
    let is_path = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '#');
    text.match_indices(['=', '<', '>']).any(|(at, _)| {
        let before = text[..at].trim_end_matches(['=', '<', '>', ' ', ')']);
        let after = text[at..].trim_start_matches(['=', '<', '>', ' ', '(']);
        let start = before
            .rfind([' ', '(', ',', '=', '>'])
            .map_or(0, |space| space + 1);
        is_path(&before[start..]) && is_path(after)
    })
}

/// A successful update that has nothing to return, and says so by an empty map.
fn is_empty_attributes(difference: &Difference<'_>) -> bool {
    let returns = difference.step.body["ReturnValues"].as_str().unwrap_or("");
    difference.aspect == Aspect::Body
        && difference.step.operation == "UpdateItem"
        && returns.starts_with("UPDATED_")
        && difference.ours.body == json!({})
        && difference.theirs.body == json!({"Attributes": {}})
}

/// Faults of an update that has several.
fn is_other_fault(difference: &Difference<'_>) -> bool {
    let known = |answer: &Canonical| UPDATE_FAULTS.contains(&answer.message.as_str());
    difference.aspect == Aspect::Message && known(difference.ours) && known(difference.theirs)
}

#[cfg(test)]
mod tests {
    use super::{dynalite, moto};

    #[test]
    fn every_class_is_explained() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../docs/dynamodb-differences.md"
        );
        let page = std::fs::read_to_string(path).unwrap();
        let classes = || dynalite::CLASSES.iter().chain(moto::CLASSES);
        for class in classes() {
            assert!(
                page.contains(&format!("| `{}` |", class.id)),
                "{}",
                class.id
            );
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, classes().count());
    }
}
