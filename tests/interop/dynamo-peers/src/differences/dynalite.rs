//! Where dynalite answers otherwise than the emulator, and is wrong or behind.

use serde_json::{Value, json};

use super::{
    Class, UPDATE_FAULTS, compares_two_paths, deletes_from_nothing, expects_value, has_value,
    is_description, is_empty_attributes, is_evaluated, is_other_fault, text,
};
use crate::compare::{Aspect, Difference};

pub(super) static CLASSES: &[Class] = &[
    Class {
        id: "dynalite-operation",
        matches: |it| it.theirs.kind == "UnknownOperationException",
    },
    Class {
        id: "dynalite-description",
        matches: description,
    },
    Class {
        id: "dynalite-syntax-text",
        matches: syntax_text,
    },
    Class {
        id: "dynalite-not-not",
        matches: |it| {
            it.theirs.message.contains("Syntax error; Expected \"(\"")
                && text(it).contains("not not")
        },
    },
    Class {
        id: "dynalite-return-on-failure",
        matches: return_on_failure,
    },
    Class {
        id: "dynalite-empty-attributes",
        matches: is_empty_attributes,
    },
    Class {
        id: "dynalite-delete-returns",
        matches: |it| {
            it.step.operation == "DeleteItem"
                && it.ours.message == "ReturnValues can only be ALL_OLD or NONE"
        },
    },
    Class {
        id: "dynalite-empty-key-text",
        matches: |it| {
            let (ours, theirs) = (&it.ours.message, &it.theirs.message);
            it.aspect == Aspect::Message
                && *ours == theirs.replace("were invalid: ", "are not valid. ")
                && ours.contains("cannot contain an empty")
        },
    },
    Class {
        id: "dynalite-precision",
        matches: |it| {
            it.theirs.status == 200 && UPDATE_FAULTS[3..].contains(&it.ours.message.as_str())
        },
    },
    Class {
        id: "dynalite-update-faults",
        matches: is_other_fault,
    },
    Class {
        id: "dynalite-nesting",
        matches: |it| it.ours.message.starts_with("Nesting Levels have exceeded"),
    },
    Class {
        id: "dynalite-select",
        matches: |it| {
            it.theirs.status == 200
                && (it.ours.message.contains("ATTRIBUTES")
                    || it.ours.message.contains("only the Count"))
                && !it.step.body["Select"].is_null()
        },
    },
    Class {
        id: "dynalite-projection",
        matches: |it| it.theirs.status == 200 && it.ours.message.contains(" does not project ["),
    },
    Class {
        id: "dynalite-legacy-delete",
        matches: deletes_from_nothing,
    },
    Class {
        id: "dynalite-absent-index",
        matches: |it| {
            it.step.operation == "UpdateTable" && it.ours.message.contains("not found: Index: ")
        },
    },
    Class {
        id: "dynalite-index-throughput",
        matches: |it| {
            it.theirs
                .message
                .contains("create.provisionedThroughput' failed to satisfy")
        },
    },
    Class {
        id: "dynalite-list-text",
        matches: |it| {
            let rest = |text: &str| {
                text.split_once("]' at 'keySchema' ")
                    .map(|(_, rest)| rest.to_owned())
            };
            it.aspect == Aspect::Message
                && rest(&it.ours.message).is_some()
                && rest(&it.ours.message) == rest(&it.theirs.message)
        },
    },
    Class {
        id: "dynalite-local-index",
        matches: |it| it.aspect == Aspect::Body && it.step.body["IndexName"] == "by-g2",
    },
    Class {
        id: "dynalite-exists-value",
        matches: expects_value,
    },
    Class {
        id: "dynalite-legacy-types",
        matches: |it| {
            let text = &it.theirs.message;
            text.contains("ComparisonOperator ")
                && text.ends_with(" AttributeValue type")
                && ["L", "M", "NULL", "BOOL"]
                    .iter()
                    .any(|kind| text.contains(&format!(" for {kind} ")))
        },
    },
    Class {
        id: "dynalite-documents",
        matches: |it| is_evaluated(it) && (has_value(it, "L") || has_value(it, "M")),
    },
    Class {
        id: "dynalite-conditional-operator",
        matches: |it| {
            it.ours
                .message
                .starts_with("ConditionalOperator can only be used when")
        },
    },
    Class {
        id: "dynalite-batch-empty-key",
        matches: |it| {
            it.step.operation == "BatchWriteItem"
                && it.ours.message.contains("Type mismatch for key ")
                && it.theirs.message == "The provided key element does not match the schema"
        },
    },
    Class {
        id: "dynalite-legacy-order",
        matches: |it| {
            let text = &it.ours.message;
            text.contains("ComparisonOperator ")
                && text.ends_with(" is not valid for SS AttributeValue type")
        },
    },
    Class {
        id: "dynalite-update-action",
        matches: |it| {
            it.ours.message.contains(" at 'attributeUpdates.")
                && it.ours.message.contains(".member.action'")
        },
    },
    Class {
        id: "dynalite-unordered",
        matches: |it| {
            let operator = it.ours.message.split_once(
                "Incorrect operand type for operator or function; operator or function: ",
            );
            let operator = operator.and_then(|(_, rest)| rest.split_once(','));
            operator.is_some_and(|(name, _)| matches!(name, "<" | "<=" | ">" | ">=" | "BETWEEN"))
        },
    },
    Class {
        id: "dynalite-or",
        matches: |it| it.step.body["ConditionalOperator"] == "OR" && is_evaluated(it),
    },
    Class {
        id: "dynalite-index-capacity",
        matches: |it| it.aspect == Aspect::Capacity && it.indexed,
    },
    Class {
        id: "dynalite-read-capacity",
        matches: |it| {
            it.aspect == Aspect::Capacity && matches!(it.step.operation, "Query" | "Scan")
        },
    },
    Class {
        id: "dynalite-batch-text",
        matches: |it| {
            let is_batch =
                |text: &str| text.contains("Value '") && text.contains("' at 'requestItems");
            it.aspect == Aspect::Message
                && is_batch(&it.ours.message)
                && is_batch(&it.theirs.message)
        },
    },
    Class {
        id: "dynalite-two-paths",
        matches: |it| is_evaluated(it) && compares_two_paths(&text(it)),
    },
];

/// Both say that it is a syntax error, and where in words of their own.
fn syntax_text(it: &Difference<'_>) -> bool {
    let is_syntax = |message: &str| message.contains("Expression: Syntax error; ");
    it.aspect == Aspect::Message
        && is_syntax(&it.ours.message)
        && is_syntax(&it.theirs.message)
        && it.theirs.message.contains("Expected ")
}

fn return_on_failure(it: &Difference<'_>) -> bool {
    it.aspect == Aspect::Body
        && it.ours.kind == "ConditionalCheckFailedException"
        && it.step.body["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"
        && it.theirs.body == json!({})
}

/// Members of a table's description that are younger than dynalite, or that it alone has.
fn description(it: &Difference<'_>) -> bool {
    fn plain(body: &Value, deleting: bool) -> Value {
        let mut body = body.clone();
        for table in body
            .as_object_mut()
            .into_iter()
            .flat_map(|body| body.values_mut())
        {
            if let Some(table) = table.as_object_mut() {
                // dynalite forgets the indexes of a table that goes.
                if deleting {
                    table.remove("GlobalSecondaryIndexes");
                }
                table.remove("DeletionProtectionEnabled");
                table.remove("TableThroughputModeSummary");
                table.remove("BillingMode");
            }
        }
        body
    }
    let deleting = it.step.operation == "DeleteTable";
    is_description(it) && plain(&it.ours.body, deleting) == plain(&it.theirs.body, deleting)
}
