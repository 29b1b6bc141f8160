//! The parameters from before expressions: Expected, AttributeUpdates, KeyConditions, QueryFilter,
//! ScanFilter, ConditionalOperator, AttributesToGet.

use serde_json::{Map, Value, json};

use super::tables::{ATTRIBUTES, Index, Shape, key_value};
use super::values::{self, Kind};
use super::writer::kind_of;
use crate::dice::Dice;

/// One condition of Expected or a filter on an attribute.
fn comparison(dice: &mut Dice, kind: Kind, found: Option<&Value>) -> Value {
    let value = match found {
        Some(found) if dice.percent(50) => found.clone(),
        _ => values::value(dice, kind, 1),
    };
    let kind = kind_of(&value);
    let ordered = matches!(kind, Kind::S | Kind::N | Kind::B);
    let (operator, list) = match dice.weighted(&[30, 10, 20, 8, 8, 8, 6, 6]) {
        2 if ordered => {
            let operator = *dice.pick(&["LT", "LE", "GT", "GE"]);
            (operator, json!([value]))
        }
        3 => ("NULL", json!([])),
        4 => ("NOT_NULL", json!([])),
        5 if ordered => {
            let other = values::value(dice, kind, 0);
            ("IN", json!([value, other]))
        }
        6 if kind == Kind::N => {
            let low = dice.between(-3, 4);
            let high = low + dice.between(0, 5);
            (
                "BETWEEN",
                json!([{"N": low.to_string()}, {"N": high.to_string()}]),
            )
        }
        6 if matches!(kind, Kind::S | Kind::B) => ("BEGINS_WITH", json!([value])),
        7 => {
            let part = match kind {
                Kind::Ns | Kind::N => json!({"N": values::small(dice)}),
                Kind::Bs | Kind::B => json!({"B": "AQ=="}),
                _ => json!({"S": values::text(dice)}),
            };
            (*dice.pick(&["CONTAINS", "NOT_CONTAINS"]), json!([part]))
        }
        1 => ("NE", json!([value])),
        _ => ("EQ", json!([value])),
    };
    let mut condition = json!({"ComparisonOperator": operator});
    if !matches!(operator, "NULL" | "NOT_NULL") {
        condition["AttributeValueList"] = list;
    }
    condition
}

/// An attribute to put a condition on, its usual type, and what it is now.
fn attribute<'r>(dice: &mut Dice, row: &'r Value) -> (&'static str, Kind, Option<&'r Value>) {
    let (name, kind) = *dice.pick(&ATTRIBUTES);
    (name, kind, row.get(name))
}

pub(crate) fn expected(dice: &mut Dice, row: &Value, body: &mut Value) {
    let mut expected = Map::new();
    for _ in 0..=dice.weighted(&[6, 3, 1]) {
        let (name, kind, found) = attribute(dice, row);
        let condition = match dice.weighted(&[3, 2, 2, 5]) {
            0 => {
                let value = match found {
                    Some(found) if dice.percent(70) => found.clone(),
                    _ => values::value(dice, kind, 1),
                };
                json!({"Value": value})
            }
            1 => json!({"Exists": false}),
            2 => {
                let value = match found {
                    Some(found) if dice.percent(70) => found.clone(),
                    _ => values::value(dice, kind, 1),
                };
                json!({"Exists": true, "Value": value})
            }
            _ => comparison(dice, kind, found),
        };
        expected.insert(name.to_owned(), condition);
    }
    operator(dice, expected.len(), body);
    body["Expected"] = expected.into();
}

fn operator(dice: &mut Dice, count: usize, body: &mut Value) {
    if count > 1 && dice.percent(50) {
        body["ConditionalOperator"] = json!(*dice.pick(&["AND", "OR"]));
    }
}

pub(crate) fn filter(dice: &mut Dice, name: &str, body: &mut Value) {
    let mut filter = Map::new();
    for _ in 0..=dice.weighted(&[6, 3, 1]) {
        let (attribute, kind) = *dice.pick(&ATTRIBUTES);
        if name == "QueryFilter" && matches!(attribute, "g1" | "g2") {
            continue;
        }
        filter.insert(attribute.to_owned(), comparison(dice, kind, None));
    }
    if !filter.is_empty() {
        operator(dice, filter.len(), body);
        body[name] = filter.into();
    }
}

pub(crate) fn updates(dice: &mut Dice, row: &Value) -> Value {
    let mut updates = Map::new();
    for _ in 0..=dice.weighted(&[4, 4, 2]) {
        let (name, kind, found) = attribute(dice, row);
        let kind = found.map_or(kind, kind_of);
        if matches!(name, "g1" | "g2") {
            let value = key_value(dice, kind, 3);
            updates.insert(name.to_owned(), json!({"Action": "PUT", "Value": value}));
            continue;
        }
        let change = match dice.weighted(&[50, 20, 20, 10]) {
            2 if matches!(kind, Kind::N | Kind::Ss | Kind::Ns | Kind::Bs) => {
                let value = match kind {
                    Kind::N => json!({"N": values::small(dice)}),
                    _ => values::value(dice, kind, 0),
                };
                json!({"Action": "ADD", "Value": value})
            }
            3 if matches!(kind, Kind::Ss | Kind::Ns | Kind::Bs) => {
                json!({"Action": "DELETE", "Value": values::value(dice, kind, 0)})
            }
            1 | 3 => json!({"Action": "DELETE"}),
            _ => {
                let value = values::value(dice, kind, 2);
                if dice.percent(50) {
                    json!({"Value": value})
                } else {
                    json!({"Action": "PUT", "Value": value})
                }
            }
        };
        updates.insert(name.to_owned(), change);
    }
    updates.into()
}

pub(crate) fn attributes(dice: &mut Dice) -> Value {
    let mut names: Vec<&str> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
    names.push("pk");
    dice.shuffle(&mut names);
    let count = 1 + dice.below(4);
    names.truncate(count);
    json!(names)
}

/// KeyConditions of a query on a table or an index.
pub(crate) fn key_conditions(dice: &mut Dice, shape: &Shape, index: Option<&Index>) -> Value {
    let (hash, range) = match index {
        None => (shape.hash, shape.range),
        Some(index) => (index.hash, index.range),
    };
    let mut conditions = Map::new();
    let value = key_value(dice, hash.1, 3);
    let equal = json!({"ComparisonOperator": "EQ", "AttributeValueList": [value]});
    conditions.insert(hash.0.to_owned(), equal);
    if let Some((name, kind)) = range
        && dice.percent(60)
    {
        let value = key_value(dice, kind, 7);
        let condition = match dice.below(7) {
            0 => json!({"ComparisonOperator": "EQ", "AttributeValueList": [value]}),
            1 if kind != Kind::N => {
                json!({"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [value]})
            }
            2 => {
                let (low, high) = bounds(kind);
                json!({"ComparisonOperator": "BETWEEN", "AttributeValueList": [low, high]})
            }
            _ => {
                let operator = *dice.pick(&["LT", "LE", "GT", "GE"]);
                json!({"ComparisonOperator": operator, "AttributeValueList": [value]})
            }
        };
        conditions.insert(name.to_owned(), condition);
    }
    conditions.into()
}

/// A lower and an upper bound of a type.
pub(crate) fn bounds(kind: Kind) -> (Value, Value) {
    match kind {
        Kind::N => (json!({"N": "0"}), json!({"N": "2.00"})),
        Kind::B => (json!({"B": "AA=="}), json!({"B": "YWI="})),
        _ => (json!({"S": "a"}), json!({"S": "ab"})),
    }
}
