//! The rows as the emulator says they are, so that requests can be about rows that are there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::canonical;
use crate::dice::Dice;

#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<String, Value>);

impl Rows {
    pub(crate) fn get(&self, key: &Value) -> Option<&Value> {
        self.0.get(&text(key))
    }

    pub(crate) fn set(&mut self, key: &Value, row: Option<Value>) {
        match row {
            Some(row) => self.0.insert(text(key), row),
            None => self.0.remove(&text(key)),
        };
    }

    pub(crate) fn pick(&self, dice: &mut Dice) -> Option<&Value> {
        if self.0.is_empty() {
            return None;
        }
        self.0.values().nth(dice.below(self.0.len()))
    }
}

/// Keys that are equal as numbers are one key.
fn text(key: &Value) -> String {
    canonical::numbers(key).to_string()
}
