//! Answers in a form in which equal ones are equal: sets and tables in order, what differs from server
//! to server by nature left out.

use serde_json::{Map, Value, json};

use crate::generate::requests::Step;
use crate::generate::tables::Shape;
use crate::wire::Answer;

/// Times, identities and what is counted at leisure.
const MASKED: [&str; 12] = [
    "CreationDateTime",
    "TableId",
    "TableArn",
    "IndexArn",
    "TableStatus",
    "IndexStatus",
    "LastUpdateToPayPerRequestDateTime",
    "TableSizeBytes",
    "IndexSizeBytes",
    "ItemCount",
    "LastIncreaseDateTime",
    "LastDecreaseDateTime",
];

/// What is compared of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Canonical {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) body: Value,
    pub(crate) capacity: Value,
}

impl Canonical {
    pub(crate) fn new(step: &Step, shape: &Shape, answer: &Answer) -> Self {
        let mut body = answer.body.clone();
        let mut capacity = Value::Null;
        if let Some(members) = body.as_object_mut() {
            for name in ["__type", "message", "Message"] {
                members.remove(name);
            }
            capacity = members.remove("ConsumedCapacity").unwrap_or_default();
        }
        tidy(&mut body);
        units(&mut capacity);
        match step.operation {
            "Scan" => sort(body.get_mut("Items")),
            "Query" => group(step, shape, &mut body),
            "BatchGetItem" => {
                let tables = body.get_mut("Responses").and_then(Value::as_object_mut);
                for items in tables.into_iter().flat_map(Map::values_mut) {
                    sort(Some(items));
                }
            }
            _ => {}
        }
        Self {
            status: answer.status,
            kind: answer.kind().to_owned(),
            message: answer.message().to_owned(),
            body,
            capacity,
        }
    }
}

/// An item as it can be compared.
pub(crate) fn item(answer: &Answer) -> Option<Value> {
    let mut item = answer.body.get("Item")?.clone();
    tidy(&mut item);
    Some(item)
}

/// Puts sets in order and leaves out what cannot be compared.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in MASKED {
                members.remove(name);
            }
            for (name, inner) in members.iter_mut() {
                tidy(inner);
                let unordered = matches!(
                    name.as_str(),
                    "SS" | "NS"
                        | "BS"
                        | "AttributeDefinitions"
                        | "NonKeyAttributes"
                        | "GlobalSecondaryIndexes"
                        | "LocalSecondaryIndexes"
                        | "Tags"
                );
                if unordered {
                    sort(Some(inner));
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Writes all units as fractions, and puts those of several tables in order.
fn units(capacity: &mut Value) {
    match capacity {
        Value::Number(number) => *capacity = json!(number.as_f64()),
        Value::Array(all) => {
            all.iter_mut().for_each(units);
            sort(Some(capacity));
        }
        Value::Object(all) => all.values_mut().for_each(units),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what callers have is an option"
)]
fn sort(list: Option<&mut Value>) {
    if let Some(Value::Array(all)) = list {
        all.sort_by_cached_key(Value::to_string);
    }
}

/// Puts items of an index in order where the index has none: those of one sort key.
fn group(step: &Step, shape: &Shape, body: &mut Value) {
    let Some(name) = step.body.get("IndexName") else {
        return;
    };
    let index = shape.indexes.iter().find(|index| name == index.name);
    let range = index.and_then(|index| index.range);
    let Some(items) = body.get_mut("Items").and_then(Value::as_array_mut) else {
        return;
    };
    let sort_key = |item: &Value| range.and_then(|(range, _)| Some(numbers(item.get(range)?)));
    if items.iter().any(|item| sort_key(item).is_none()) {
        items.sort_by_cached_key(Value::to_string);
        return;
    }
    for group in items.chunk_by_mut(|one, two| sort_key(one) == sort_key(two)) {
        group.sort_by_cached_key(Value::to_string);
    }
}

/// The value with every number in its shortest plain form.
pub(crate) fn numbers(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, inner)| {
                let inner = match (name.as_str(), inner) {
                    ("N", Value::String(text)) => plain(text).into(),
                    ("NS", Value::Array(all)) => {
                        let all = all.iter().map(|text| plain(text.as_str().unwrap_or("")));
                        let mut all: Vec<String> = all.collect();
                        all.sort();
                        all.into()
                    }
                    _ => numbers(inner),
                };
                (name.clone(), inner)
            });
            Value::Object(members.collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(numbers).collect()),
        other => other.clone(),
    }
}

/// A number as sign, digits and exponent; the text itself if it is none.
fn plain(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let Ok(mut exponent) = exponent.parse::<i64>() else {
        return text.to_owned();
    };
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let mantissa = mantissa.trim_start_matches(['-', '+']);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    exponent -= fraction.len() as i64;
    let digits = digits.trim_start_matches('0');
    let short = digits.trim_end_matches('0');
    if short.is_empty() {
        return "0".to_owned();
    }
    exponent += (digits.len() - short.len()) as i64;
    format!("{sign}{short}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn numbers_of_one_value_have_one_form() {
        for (one, two) in [
            ("1E3", "1000"),
            ("-2.50", "-2.5"),
            ("-0", "0.0"),
            (".5", "5.0E-1"),
            ("007", "7"),
        ] {
            assert_eq!(plain(one), plain(two), "{one} {two}");
        }
        assert_ne!(plain("1"), plain("10"));
        assert_ne!(plain("1"), plain("-1"));
        assert_eq!(plain("abc"), "abc");
    }
}
