//! Whole requests of one sequence, valid as far as the generator knows.

use serde_json::{Value, json};

use super::tables::{Index, Shape, key_value};
use super::values::Kind;
use super::writer::Writer;
use super::{condition, legacy, update};
use crate::dice::Dice;
use crate::features::Features;
use crate::rows::Rows;

/// One request, or one read in pages.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) operation: &'static str,
    pub(crate) body: Value,
    /// Follow LastEvaluatedKey to the end, each server with its own.
    pub(crate) to_the_end: bool,
    /// Read so many segments, one after the other; 0 for a request as it is.
    pub(crate) segments: i64,
}

impl Step {
    pub(crate) fn new(operation: &'static str, body: Value) -> Self {
        Self {
            operation,
            body,
            to_the_end: false,
            segments: 0,
        }
    }
}

/// What requests are drawn from.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) shape: &'a Shape,
    pub(crate) rows: &'a Rows,
    pub(crate) features: Features,
}

static NO_ROW: Value = Value::Null;

impl Source<'_> {
    pub(crate) fn step(&mut self) -> Step {
        let features = self.features;
        let on = |feature: bool, weight: u32| if feature { weight } else { 0 };
        let weights = [
            14,
            8,
            24,
            7,
            14,
            12,
            on(features.batches, 5),
            on(features.batches, 5),
            on(features.transactions, 6),
            on(features.transactions, 4),
            2,
            on(features.time_to_live, 1),
        ];
        match self.dice.weighted(&weights) {
            0 => self.put(),
            1 => self.get(),
            2 => self.update(),
            3 => self.delete(),
            4 => self.query(),
            5 => self.scan(),
            6 => self.batch_get(),
            7 => self.batch_write(),
            8 => self.transact_write(),
            9 => self.transact_get(),
            10 => Step::new("DescribeTable", json!({"TableName": self.shape.name})),
            _ => Step::new("DescribeTimeToLive", json!({"TableName": self.shape.name})),
        }
    }

    /// A key of the table, mostly of a row that is there.
    fn key(&mut self) -> Value {
        match self.rows.pick(self.dice) {
            Some(row) if self.dice.percent(75) => self.shape.key_of(row).unwrap_or_default(),
            _ => self.shape.key(self.dice),
        }
    }

    fn returns(&mut self, body: &mut Value, choices: &[&str]) {
        if self.dice.percent(70) {
            body["ReturnValues"] = json!(*self.dice.pick(choices));
        }
        if self.features.capacity && self.dice.percent(15) {
            body["ReturnConsumedCapacity"] = json!(*self.dice.pick(&["TOTAL", "INDEXES"]));
        }
        if self.dice.percent(25) {
            body["ReturnValuesOnConditionCheckFailure"] =
                json!(*self.dice.pick(&["ALL_OLD", "NONE"]));
        }
    }

    fn condition(&mut self, row: &Value, body: &mut Value) {
        if self.features.legacy && self.dice.percent(30) {
            legacy::expected(self.dice, row, body);
            return;
        }
        let mut writer = Writer::new(self.dice, row);
        body["ConditionExpression"] = json!(condition::condition(&mut writer));
        writer.finish(body);
    }

    fn put(&mut self) -> Step {
        let mut body = json!({"TableName": self.shape.name, "Item": self.shape.item(self.dice)});
        self.returns(&mut body, &["NONE", "ALL_OLD"]);
        if self.dice.percent(45) {
            let key = self.key();
            for (name, value) in key.as_object().into_iter().flatten() {
                body["Item"][name] = value.clone();
            }
            let row = self.rows.get(&key).cloned().unwrap_or_default();
            self.condition(&row, &mut body);
        }
        Step::new("PutItem", body)
    }

    fn delete(&mut self) -> Step {
        let key = self.key();
        let mut body = json!({"TableName": self.shape.name, "Key": key});
        self.returns(&mut body, &["NONE", "ALL_OLD"]);
        if self.dice.percent(60) {
            let row = self.rows.get(&key).cloned().unwrap_or_default();
            self.condition(&row, &mut body);
        }
        Step::new("DeleteItem", body)
    }

    fn update(&mut self) -> Step {
        let key = self.key();
        let row = self.rows.get(&key).cloned().unwrap_or_default();
        let mut body = json!({"TableName": self.shape.name, "Key": key});
        let all = ["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"];
        self.returns(&mut body, &all);
        if self.features.legacy && self.dice.percent(30) {
            if self.dice.percent(90) {
                body["AttributeUpdates"] = legacy::updates(self.dice, &row);
            }
            if self.dice.percent(50) {
                legacy::expected(self.dice, &row, &mut body);
            }
            return Step::new("UpdateItem", body);
        }
        let mut writer = Writer::new(self.dice, &row);
        if writer.dice.percent(97) {
            body["UpdateExpression"] = json!(update::update(&mut writer));
        }
        if writer.dice.percent(40) {
            body["ConditionExpression"] = json!(condition::condition(&mut writer));
        }
        writer.finish(&mut body);
        Step::new("UpdateItem", body)
    }

    fn get(&mut self) -> Step {
        let key = self.key();
        let row = self.rows.get(&key).cloned().unwrap_or_default();
        let mut body = json!({"TableName": self.shape.name, "Key": key});
        if self.dice.percent(50) {
            body["ConsistentRead"] = json!(self.dice.percent(50));
        }
        if self.features.capacity && self.dice.percent(15) {
            body["ReturnConsumedCapacity"] = json!("TOTAL");
        }
        self.project(&row, &mut body);
        Step::new("GetItem", body)
    }

    fn project(&mut self, row: &Value, body: &mut Value) {
        if self.features.legacy && self.dice.percent(20) {
            body["AttributesToGet"] = legacy::attributes(self.dice);
        } else if self.dice.percent(60) {
            let mut writer = Writer::new(self.dice, row);
            body["ProjectionExpression"] = json!(update::projection(&mut writer));
            writer.finish(body);
        }
    }

    fn index(&mut self) -> Option<Index> {
        if self.shape.indexes.is_empty() || self.dice.percent(55) {
            return None;
        }
        Some(self.dice.pick(&self.shape.indexes).clone())
    }

    /// What Query and Scan have in common.
    fn reading(&mut self, body: &mut Value, index: Option<&Index>, filter: &str) {
        if let Some(index) = index {
            body["IndexName"] = json!(index.name);
        }
        let global = index.is_some_and(|index| !index.local);
        if !global && self.dice.percent(40) {
            body["ConsistentRead"] = json!(self.dice.percent(60));
        }
        if self.features.capacity && self.dice.percent(12) {
            body["ReturnConsumedCapacity"] = json!(*self.dice.pick(&["TOTAL", "INDEXES"]));
        }
        let old_style = self.features.legacy && !filter.is_empty() && self.dice.percent(30);
        if old_style {
            if self.dice.percent(50) {
                legacy::filter(self.dice, filter, body);
            }
            if self.dice.percent(30) {
                body["AttributesToGet"] = legacy::attributes(self.dice);
            }
        }
        if self.dice.percent(15) && body.get("AttributesToGet").is_none() {
            let mut choices = vec!["COUNT"];
            if index.is_none_or(|index| index.local || index.projection == "ALL") {
                choices.push("ALL_ATTRIBUTES");
            }
            if index.is_some() {
                choices.push("ALL_PROJECTED_ATTRIBUTES");
            }
            body["Select"] = json!(*self.dice.pick(&choices));
        }
    }

    /// Filter and projection as expressions, and the key condition before them.
    fn expressions(&mut self, body: &mut Value, key: Option<(&Shape, Option<&Index>)>) {
        let row = self.rows.pick(self.dice).unwrap_or(&NO_ROW);
        let with_projection = body.get("Select").is_none() && self.dice.percent(35);
        let mut writer = Writer::new(self.dice, row);
        if let Some((shape, index)) = key {
            body["KeyConditionExpression"] = json!(key_condition(&mut writer, shape, index));
        }
        if writer.dice.percent(50) {
            let filter = condition::condition(&mut writer);
            let names_key = key.is_some_and(|(_, index)| index.is_some());
            let is_key = |name: &str| {
                filter.contains(name) || writer.names.values().any(|value| value == name)
            };
            if !(names_key && (is_key("g1") || is_key("g2"))) {
                body["FilterExpression"] = json!(filter);
            }
        }
        if with_projection {
            body["ProjectionExpression"] = json!(update::projection(&mut writer));
        }
        writer.finish(body);
    }

    fn pages(&mut self, operation: &'static str, mut body: Value) -> Step {
        let to_the_end = self.dice.percent(40);
        if to_the_end {
            body["Limit"] = json!(self.dice.between(1, 6));
        }
        Step {
            operation,
            body,
            to_the_end,
            segments: 0,
        }
    }

    fn query(&mut self) -> Step {
        let index = self.index();
        let shape = self.shape;
        let mut body = json!({"TableName": shape.name});
        if self.dice.percent(40) {
            body["ScanIndexForward"] = json!(self.dice.percent(40));
        }
        let old_style = self.features.legacy && self.dice.percent(30);
        let filter = if old_style { "QueryFilter" } else { "" };
        self.reading(&mut body, index.as_ref(), filter);
        if old_style {
            body["KeyConditions"] = legacy::key_conditions(self.dice, shape, index.as_ref());
        } else {
            self.expressions(&mut body, Some((shape, index.as_ref())));
        }
        self.pages("Query", body)
    }

    fn scan(&mut self) -> Step {
        let index = self.index();
        let mut body = json!({"TableName": self.shape.name});
        self.reading(&mut body, index.as_ref(), "ScanFilter");
        if body.get("ScanFilter").is_none() && body.get("AttributesToGet").is_none() {
            self.expressions(&mut body, None);
        }
        let mut step = self.pages("Scan", body);
        if self.dice.percent(15) {
            step.segments = self.dice.between(1, 4);
        }
        step
    }

    fn keys(&mut self, most: usize) -> Vec<Value> {
        let mut keys: Vec<Value> = Vec::new();
        for _ in 0..=self.dice.below(most) {
            let key = self.key();
            let same =
                |other: &Value| crate::canonical::numbers(other) == crate::canonical::numbers(&key);
            if !keys.iter().any(same) {
                keys.push(key);
            }
        }
        keys
    }

    fn batch_get(&mut self) -> Step {
        let mut table = json!({"Keys": self.keys(6)});
        if self.dice.percent(50) {
            table["ConsistentRead"] = json!(self.dice.percent(50));
        }
        self.project(&Value::Null, &mut table);
        let mut body = json!({"RequestItems": {&self.shape.name: table}});
        if self.features.capacity && self.dice.percent(15) {
            body["ReturnConsumedCapacity"] = json!("TOTAL");
        }
        Step::new("BatchGetItem", body)
    }

    fn batch_write(&mut self) -> Step {
        let mut requests = Vec::new();
        for key in self.keys(6) {
            requests.push(if self.dice.percent(60) {
                let mut item = self.shape.item(self.dice);
                for (name, value) in key.as_object().into_iter().flatten() {
                    item[name] = value.clone();
                }
                json!({"PutRequest": {"Item": item}})
            } else {
                json!({"DeleteRequest": {"Key": key}})
            });
        }
        Step::new(
            "BatchWriteItem",
            json!({"RequestItems": {&self.shape.name: requests}}),
        )
    }

    fn transact_write(&mut self) -> Step {
        let mut actions = Vec::new();
        for key in self.keys(5) {
            let row = self.rows.get(&key).cloned().unwrap_or_default();
            let name = *self
                .dice
                .pick(&["Put", "Update", "Delete", "ConditionCheck"]);
            let mut action = json!({"TableName": self.shape.name});
            if name == "Put" {
                let mut item = self.shape.item(self.dice);
                for (name, value) in key.as_object().into_iter().flatten() {
                    item[name] = value.clone();
                }
                action["Item"] = item;
            } else {
                action["Key"] = key;
            }
            let mut writer = Writer::new(self.dice, &row);
            if name == "Update" {
                action["UpdateExpression"] = json!(update::update(&mut writer));
            }
            if name == "ConditionCheck" || writer.dice.percent(30) {
                action["ConditionExpression"] = json!(condition::condition(&mut writer));
                if writer.dice.percent(30) {
                    action["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
                }
            }
            writer.finish(&mut action);
            actions.push(json!({name: action}));
        }
        Step::new("TransactWriteItems", json!({"TransactItems": actions}))
    }

    fn transact_get(&mut self) -> Step {
        let mut actions = Vec::new();
        for key in self.keys(5) {
            let row = self.rows.get(&key).cloned().unwrap_or_default();
            let mut get = json!({"TableName": self.shape.name, "Key": key});
            if self.dice.percent(50) {
                let mut writer = Writer::new(self.dice, &row);
                get["ProjectionExpression"] = json!(update::projection(&mut writer));
                writer.finish(&mut get);
            }
            actions.push(json!({"Get": get}));
        }
        Step::new("TransactGetItems", json!({"TransactItems": actions}))
    }
}

/// A key condition on a table or an index.
fn key_condition(writer: &mut Writer<'_>, shape: &Shape, index: Option<&Index>) -> String {
    let (hash, range) = match index {
        None => (shape.hash, shape.range),
        Some(index) => (index.hash, index.range),
    };
    let value = match writer.row.get(hash.0) {
        Some(value) if writer.dice.percent(70) => value.clone(),
        _ => key_value(writer.dice, hash.1, 3),
    };
    let (name, value) = (writer.name(hash.0), writer.value(value));
    let first = if writer.dice.percent(12) {
        format!("{value} = {name}")
    } else {
        format!("{name} = {value}")
    };
    let Some((name, kind)) = range.filter(|_| writer.dice.percent(60)) else {
        return first;
    };
    let name = writer.name(name);
    let value = key_value(writer.dice, kind, 7);
    let second = match writer.dice.below(7) {
        0 if kind != Kind::N => format!("begins_with({name}, {})", writer.value(value)),
        1 => {
            let (low, high) = legacy::bounds(kind);
            let (low, high) = (writer.value(low), writer.value(high));
            format!("{name} {} {low} AND {high}", writer.keyword("BETWEEN"))
        }
        _ => {
            let comparator = *writer.dice.pick(&["=", "<", "<=", ">", ">="]);
            let value = writer.value(value);
            if writer.dice.percent(12) {
                format!("{value}{comparator}{name}")
            } else {
                format!("{name} {comparator} {value}")
            }
        }
    };
    let and = writer.keyword("AND");
    match writer.dice.weighted(&[8, 1, 1]) {
        0 => format!("{first} {and} {second}"),
        1 => format!("{second} {and} {first}"),
        _ => format!("({first}) {and} ({second})"),
    }
}
