//! Where moto answers otherwise than the emulator, and is wrong or more lenient than the service.

use serde_json::{Value, json};

use super::{
    Class, compares_two_paths, deletes_from_nothing, expects_value, has_value, is_description,
    is_empty_attributes, is_evaluated, is_other_fault, text,
};
use crate::canonical::numbers;
use crate::compare::{Aspect, Difference};

pub(super) static CLASSES: &[Class] = &[
    Class {
        id: "moto-crash",
        matches: |it| it.theirs.status == 500,
    },
    Class {
        id: "moto-number-text",
        matches: |it| it.aspect == Aspect::Numbers,
    },
    Class {
        id: "moto-description",
        matches: description,
    },
    Class {
        id: "moto-accepts",
        matches: |it| has_dynalite(it) && it.theirs.status == 200 && is_refusal(&it.ours.kind),
    },
    Class {
        id: "moto-refusal-text",
        matches: |it| has_dynalite(it) && it.aspect == Aspect::Message && is_refusal(&it.ours.kind),
    },
    Class {
        id: "moto-refusal-type",
        matches: |it| has_dynalite(it) && it.aspect == Aspect::Kind && is_refusal(&it.ours.kind),
    },
    Class {
        id: "moto-capacity-unasked",
        matches: |it| {
            it.aspect == Aspect::Capacity
                && it.ours.capacity.is_null()
                && it
                    .step
                    .body
                    .get("ReturnConsumedCapacity")
                    .is_none_or(|asked| asked == "NONE")
        },
    },
    Class {
        id: "moto-capacity",
        matches: |it| it.aspect == Aspect::Capacity,
    },
    Class {
        id: "moto-collection-metrics",
        matches: |it| {
            let mut theirs = numbers(&it.theirs.body);
            if let Some(members) = theirs.as_object_mut() {
                members
                    .retain(|name, value| name != "ItemCollectionMetrics" || *value != json!({}));
            }
            it.aspect == Aspect::Body && theirs == numbers(&it.ours.body)
        },
    },
    Class {
        id: "moto-return-on-failure",
        matches: |it| {
            it.aspect == Aspect::Body
                && it.ours.kind == "ConditionalCheckFailedException"
                && it.theirs.body == json!({})
        },
    },
    Class {
        id: "moto-legacy-delete",
        matches: deletes_from_nothing,
    },
    Class {
        id: "moto-exists-value",
        matches: expects_value,
    },
    Class {
        id: "moto-null",
        matches: |it| is_evaluated(it) && has_value(it, "NULL"),
    },
    Class {
        id: "moto-transact-read-accepts",
        matches: |it| {
            let text = &it.ours.message;
            it.step.operation == "TransactGetItems"
                && it.theirs.status == 200
                && (text.starts_with("Invalid ProjectionExpression: ")
                    || text.ends_with("[ValidationError]")
                    || text.starts_with("ExpressionAttribute")
                    || text.starts_with("Value provided in Expression"))
        },
    },
    Class {
        id: "moto-transact-table-name",
        matches: |it| {
            !has_dynalite(it) && it.ours.message.contains("ableName") && is_refusal(&it.ours.kind)
        },
    },
    Class {
        id: "moto-local-index",
        matches: |it| it.aspect == Aspect::Body && it.step.body["IndexName"] == "by-g2",
    },
    Class {
        id: "moto-transact-refusal",
        matches: |it| {
            let text = &it.ours.message;
            let general = it.ours.kind == "SerializationException"
                || [
                    "ExpressionAttribute",
                    "Value provided in Expression",
                    "Number ",
                    "Supplied AttributeValue",
                    "The parameter cannot be converted",
                    "Attempting to store",
                    "One or more parameter values",
                ]
                .iter()
                .any(|start| text.starts_with(start));
            !has_dynalite(it) && it.theirs.status == 400 && is_refusal(&it.ours.kind) && general
        },
    },
    Class {
        id: "moto-transact-static",
        matches: |it| {
            let text = &it.ours.message;
            !has_dynalite(it) && text.starts_with("Invalid ") && text.contains("Expression: ")
        },
    },
    Class {
        id: "moto-transact-order",
        matches: |it| {
            it.step.operation == "TransactWriteItems"
                && it.theirs.status == 400
                && (it.ours.kind == "ResourceNotFoundException"
                    || it
                        .ours
                        .message
                        .starts_with("Transaction request cannot include multiple"))
        },
    },
    Class {
        id: "moto-legacy-row",
        matches: |it| it.aspect == Aspect::State && it.step.body.get("AttributeUpdates").is_some(),
    },
    Class {
        id: "moto-table-not-found",
        matches: |it| {
            it.step.operation.ends_with("Table")
                && it.ours.kind == "ResourceNotFoundException"
                && it.theirs.message == "Requested resource not found"
        },
    },
    Class {
        id: "moto-empty-set",
        matches: |it| {
            let text = it.theirs.body.to_string();
            it.aspect == Aspect::State
                && ["SS", "NS", "BS"]
                    .iter()
                    .any(|kind| text.contains(&format!("\"{kind}\":[]")))
        },
    },
    Class {
        id: "moto-or",
        matches: |it| it.step.body["ConditionalOperator"] == "OR" && is_evaluated(it),
    },
    Class {
        id: "moto-transact-projection",
        matches: |it| {
            it.step.operation == "TransactGetItems"
                && it.aspect == Aspect::Body
                && it.step.body.to_string().contains("ProjectionExpression")
        },
    },
    Class {
        id: "moto-transact-fault",
        matches: |it| {
            it.ours.kind == "TransactionCanceledException"
                && it.ours.message.contains("ValidationError")
                && it.theirs.status == 400
        },
    },
    Class {
        id: "moto-transact-exception",
        matches: |it| {
            it.step.operation == "TransactWriteItems"
                && [
                    "ValueError",
                    "TypeError",
                    "KeyError",
                    "IndexError",
                    "InvalidOperation",
                    "AttributeError",
                ]
                .iter()
                .any(|name| it.theirs.message.contains(name))
        },
    },
    Class {
        id: "moto-filter-parser",
        matches: |it| it.theirs.message.starts_with("Bad Filter Expression:"),
    },
    Class {
        id: "moto-reversed-key",
        matches: reversed_key,
    },
    Class {
        id: "moto-empty-attributes",
        matches: is_empty_attributes,
    },
    Class {
        id: "moto-updated-key",
        matches: updated_key,
    },
    Class {
        id: "moto-last-page",
        matches: |it| {
            it.aspect == Aspect::Body
                && without_pages(&it.ours.body) == without_pages(&it.theirs.body)
        },
    },
    Class {
        id: "moto-update-faults",
        matches: is_other_fault,
    },
    Class {
        id: "moto-two-paths",
        matches: |it| {
            let is_static = it
                .theirs
                .message
                .starts_with("Invalid UpdateExpression: Incorrect operand type");
            (is_evaluated(it) || is_static) && compares_two_paths(&text(it))
        },
    },
];

/// A key condition that has the value first, which moto cannot read.
fn reversed_key(it: &Difference<'_>) -> bool {
    let condition = it.step.body["KeyConditionExpression"]
        .as_str()
        .unwrap_or("");
    let text = &it.theirs.message;
    let is_fault = text.contains("Multiple attribute names used in one condition")
        || text.starts_with("Query condition missed key schema element");
    is_fault
        && (condition.starts_with(':')
            || condition.contains("AND :")
            || condition.contains("and :"))
}

/// UPDATED_NEW of a row that is new: moto returns its key besides.
fn updated_key(it: &Difference<'_>) -> bool {
    let mut theirs = it.theirs.body.clone();
    let key = it.step.body["Key"].as_object().into_iter().flatten();
    if let Some(attributes) = theirs.get_mut("Attributes").and_then(Value::as_object_mut) {
        for (name, _) in key {
            attributes.remove(name);
        }
    }
    let nothing = json!({"Attributes": {}});
    let is_equal = numbers(&theirs) == numbers(&it.ours.body)
        || (theirs == nothing && it.ours.body == json!({}));
    it.step.body["ReturnValues"] == "UPDATED_NEW" && it.aspect == Aspect::Body && is_equal
}

/// An answer without the number of its pages and numbers as they were written.
fn without_pages(body: &Value) -> Value {
    let mut body = numbers(body);
    if let Some(body) = body.as_object_mut() {
        body.remove("Pages");
    }
    body
}

/// Whether dynalite has the operation too, so that moto does not have to decide what is right.
fn has_dynalite(it: &Difference<'_>) -> bool {
    !it.step.operation.starts_with("Transact")
}

fn is_refusal(kind: &str) -> bool {
    matches!(kind, "ValidationException" | "SerializationException")
}

/// A description that says what the service leaves out.
fn description(it: &Difference<'_>) -> bool {
    fn plain(body: &Value) -> Value {
        let mut body = body.clone();
        for table in body
            .as_object_mut()
            .into_iter()
            .flat_map(|body| body.values_mut())
        {
            let Some(table) = table.as_object_mut() else {
                continue;
            };
            table.remove("WarmThroughput");
            for index in table
                .get_mut("GlobalSecondaryIndexes")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if let Some(index) = index.as_object_mut() {
                    index.remove("WarmThroughput");
                    index.remove("ProvisionedThroughput");
                }
            }
            table
                .retain(|name, value| !(name.ends_with("SecondaryIndexes") && *value == json!([])));
            if table.get("BillingModeSummary") == Some(&json!({"BillingMode": "PROVISIONED"})) {
                table.remove("BillingModeSummary");
            }
        }
        body
    }
    is_description(it) && plain(&it.ours.body) == plain(&it.theirs.body)
}
