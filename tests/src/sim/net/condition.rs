//! Reads the condition of a write, and says whether it holds for a row: a second opinion on what the emulator
//! does, for as much of the language as the library uses.

use std::collections::BTreeMap;

use kinesis_emulator::dynamo::{AttributeValue, Item};
use serde_json::Value;

/// Whether the condition of this write holds for the row as it stands. Nothing if it has none.
///
/// # Errors
/// If the condition cannot be read here.
pub(super) fn holds(body: &Value, row: Option<&Item>) -> Option<Result<bool, String>> {
    let text = body["ConditionExpression"].as_str()?;
    let mut reader = Reader {
        words: words(text),
        next: 0,
        body,
        row,
    };
    let holds = reader.any();
    Some(match reader.word() {
        None => holds,
        Some(word) => Err(format!("{word} in {text}")),
    })
}

/// The words of an expression; parentheses and commas are words of their own.
fn words(text: &str) -> Vec<String> {
    let spaced = ['(', ')', ','].iter().fold(text.to_owned(), |text, mark| {
        text.replace(*mark, &format!(" {mark} "))
    });
    spaced.split_whitespace().map(str::to_owned).collect()
}

struct Reader<'a> {
    words: Vec<String>,
    next: usize,
    body: &'a Value,
    row: Option<&'a Item>,
}

impl Reader<'_> {
    fn word(&self) -> Option<&str> {
        self.words.get(self.next).map(String::as_str)
    }

    fn take(&mut self) -> String {
        let word = self.word().unwrap_or_default().to_owned();
        self.next += 1;
        word
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = self.word() == Some(word);
        self.next += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        match self.takes(word) {
            true => Ok(()),
            false => Err(format!("{:?} where {word} is due", self.word())),
        }
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut holds = self.all()?;
        while self.takes("OR") {
            holds |= self.all()?;
        }
        Ok(holds)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut holds = self.one()?;
        while self.takes("AND") {
            holds &= self.one()?;
        }
        Ok(holds)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.takes("(") {
            let holds = self.any()?;
            self.expect(")")?;
            return Ok(holds);
        }
        let first = self.take();
        if first == "attribute_exists" || first == "attribute_not_exists" {
            self.expect("(")?;
            let name = self.take();
            self.expect(")")?;
            let exists = self.attribute(&name).is_some();
            return Ok(exists == (first == "attribute_exists"));
        }
        let (sign, second) = (self.take(), self.take());
        let value = &self.body["ExpressionAttributeValues"][&second];
        if value.is_null() {
            return Err(format!("no value {second}"));
        }
        let found = self.attribute(&first);
        let is_equal = found.is_some_and(|found| is_same(found, value));
        match sign.as_str() {
            "=" => Ok(is_equal),
            "<>" => Ok(!is_equal),
            _ => Err(format!("no sign {sign}")),
        }
    }

    fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        let known = self.body["ExpressionAttributeNames"][name].as_str();
        self.row?.get(known.unwrap_or(name))
    }
}

/// Whether a value as it goes over the wire is this one. Of the types that rows are made of; any other is
/// not looked into.
fn is_same(known: &AttributeValue, wire: &Value) -> bool {
    match known {
        AttributeValue::S(text) => wire["S"].as_str() == Some(text.as_str()),
        AttributeValue::N(number) => wire["N"].as_str() == Some(number.to_string().as_str()),
        AttributeValue::Bool(known) => wire["BOOL"].as_bool() == Some(*known),
        AttributeValue::Null => wire["NULL"].as_bool() == Some(true),
        AttributeValue::B(_) => wire["B"].is_string(),
        AttributeValue::Ss(_) => wire["SS"].is_array(),
        AttributeValue::Ns(_) => wire["NS"].is_array(),
        AttributeValue::Bs(_) => wire["BS"].is_array(),
        AttributeValue::L(_) => wire["L"].is_array(),
        AttributeValue::M(_) => wire["M"].is_object(),
    }
}

/// Whether an item as it goes over the wire is this row.
pub(super) fn is_row(known: &Item, wire: &Value) -> bool {
    let Some(fields) = wire.as_object() else {
        return false;
    };
    let is_there = |(name, value): (_, _)| {
        let of: Option<&Value> = fields.get::<str>(AsRef::as_ref(name));
        of.is_some_and(|wire| is_same(value, wire))
    };
    fields.len() == known.len() && known.iter().all(is_there)
}

/// The items of an answer by their keys.
pub(super) fn items(answer: &Value) -> BTreeMap<&str, &Value> {
    let all = answer["Items"].as_array().into_iter().flatten();
    let one = Some(&answer["Item"]).filter(|item| item.is_object());
    let keyed = |item| Some((key_of(item)?, item));
    all.chain(one).filter_map(keyed).collect()
}

/// The key of an item or of a write.
pub(super) fn key_of(item: &Value) -> Option<&str> {
    item["leaseKey"]["S"].as_str()
}

#[cfg(test)]
mod tests {
    use kinesis_emulator::dynamo::Number;
    use serde_json::json;

    use super::*;

    fn row(counter: &str) -> Item {
        let text = |text: &str| AttributeValue::S(text.into());
        let number = Number::parse(counter).expect("a number");
        [
            ("leaseKey".into(), text("a")),
            ("leaseCounter".into(), AttributeValue::N(number)),
        ]
        .into_iter()
        .collect()
    }

    fn judge(condition: &str, row: Option<&Item>) -> Result<bool, String> {
        let body = json!({
            "ConditionExpression": condition,
            "ExpressionAttributeNames": { "#c": "leaseCounter", "#o": "leaseOwner" },
            "ExpressionAttributeValues": { ":one": { "N": "1" }, ":me": { "S": "me" } },
        });
        holds(&body, row).expect("it has a condition")
    }

    #[test]
    fn conditions_of_all_forms_are_judged() {
        let row = row("1");
        for (condition, with, without) in [
            ("#c = :one", true, false),
            ("#c <> :one", false, true),
            ("#o <> :me", true, true),
            ("attribute_exists(#c)", true, false),
            ("attribute_not_exists(#o) AND #c = :one", true, false),
            (
                "attribute_exists(#o) AND #c = :one OR #c = :one",
                true,
                false,
            ),
            (
                "attribute_exists(#o) AND (#c = :one OR #c <> :one)",
                false,
                false,
            ),
            ("attribute_not_exists(leaseKey) OR #c = :one", true, true),
        ] {
            assert_eq!(judge(condition, Some(&row)), Ok(with), "{condition}");
            assert_eq!(judge(condition, None), Ok(without), "{condition}");
        }
        assert_eq!(judge("#c = :one", Some(&self::row("2"))), Ok(false));
        assert_eq!(holds(&json!({}), Some(&row)), None);
    }

    #[test]
    fn what_cannot_be_read_is_no_verdict() {
        for condition in ["size(#c) = :one", "#c = :two", "#c = :one #c", "(#c = :one"] {
            assert!(judge(condition, None).is_err(), "{condition}");
        }
    }

    #[test]
    fn a_row_is_told_from_another_by_any_attribute() {
        let wire =
            |counter: &str| json!({ "leaseKey": { "S": "a" }, "leaseCounter": { "N": counter } });
        assert!(is_row(&row("1"), &wire("1")));
        assert!(!is_row(&row("1"), &wire("2")));
        assert!(!is_row(&row("1"), &json!({ "leaseKey": { "S": "a" } })));
        assert_eq!(items(&json!({ "Item": wire("1") })).len(), 1);
    }
}
