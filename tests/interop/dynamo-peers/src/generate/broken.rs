//! Requests with one thing wrong with them.

use serde_json::{Value, json};

use super::requests::Step;
use super::values;
use crate::dice::Dice;

/// A way to break a request. It leaves alone what it does not apply to.
type Breakage = fn(&mut Dice, &mut Value);

const BREAKAGES: [(&str, Breakage); 40] = [
    ("no table name", |_, body| take(body, "TableName")),
    ("no key", |_, body| take(body, "Key")),
    ("no item", |_, body| take(body, "Item")),
    ("other table", |_, body| {
        put(body, "TableName", json!("elsewhere"))
    }),
    ("short table name", |_, body| {
        put(body, "TableName", json!("ab"))
    }),
    ("bad table name", |_, body| {
        put(body, "TableName", json!("a b/c"))
    }),
    ("number for table name", |_, body| {
        put(body, "TableName", json!(12))
    }),
    ("unused name", |_, body| {
        insert(body, "ExpressionAttributeNames", "#unused", json!("x"))
    }),
    ("unused value", |_, body| {
        insert(
            body,
            "ExpressionAttributeValues",
            ":unused",
            json!({"S": "x"}),
        )
    }),
    ("bad name", |_, body| {
        insert(body, "ExpressionAttributeNames", "bad", json!("x"))
    }),
    ("bad value name", |_, body| {
        insert(body, "ExpressionAttributeValues", "bad", json!({"S": "x"}))
    }),
    ("broken value", |dice, body| {
        let value = values::broken(dice);
        insert(body, "ExpressionAttributeValues", ":v0", value);
    }),
    ("no names", |_, body| {
        put(body, "ExpressionAttributeNames", json!({}))
    }),
    ("no values", |_, body| {
        put(body, "ExpressionAttributeValues", json!({}))
    }),
    ("undefined name", |_, body| {
        lose(body, "ExpressionAttributeNames")
    }),
    ("undefined value", |_, body| {
        lose(body, "ExpressionAttributeValues")
    }),
    ("reserved word", |dice, body| replace_word(dice, body)),
    ("broken item", |dice, body| {
        let value = values::broken(dice);
        insert(body, "Item", "txt", value);
    }),
    ("broken key", |dice, body| {
        let value = values::broken(dice);
        insert(body, key_holder(body), "pk", value);
    }),
    ("key of another type", |dice, body| {
        let value = values::any(dice, 1);
        insert(body, key_holder(body), "pk", value);
    }),
    ("sort key of another type", |dice, body| {
        let value = values::any(dice, 1);
        insert(body, key_holder(body), "sk", value);
    }),
    ("empty key", |_, body| {
        insert(body, key_holder(body), "pk", json!({"S": ""}))
    }),
    ("key without partition", |_, body| {
        if let Some(key) = body.get_mut(key_holder(body)) {
            take(key, "pk");
        }
    }),
    ("key with more", |_, body| {
        insert(body, "Key", "more", json!({"S": "a"}))
    }),
    ("long key", |_, body| {
        insert(body, key_holder(body), "pk", json!({"S": "k".repeat(2049)}))
    }),
    ("large item", |_, body| {
        insert(body, "Item", "txt", json!({"S": "x".repeat(410_000)}))
    }),
    ("bad ReturnValues", |dice, body| {
        let value = json!(*dice.pick(&["FOO", "ALL_NEW", "UPDATED_OLD"]));
        put(body, "ReturnValues", value);
    }),
    ("bad ReturnConsumedCapacity", |_, body| {
        put(body, "ReturnConsumedCapacity", json!("SOME"))
    }),
    ("both styles", |_, body| {
        put(body, "Expected", json!({"txt": {"Exists": false}}));
    }),
    ("both filters", |_, body| {
        let filter = json!({"txt": {"ComparisonOperator": "NULL"}});
        put(body, "ScanFilter", filter.clone());
        put(body, "QueryFilter", filter);
    }),
    ("limit", |dice, body| {
        let limit = json!(dice.between(-1, 0));
        put(body, "Limit", limit);
    }),
    ("segment alone", |_, body| put(body, "Segment", json!(1))),
    ("segment too high", |_, body| {
        put(body, "Segment", json!(2));
        put(body, "TotalSegments", json!(2));
    }),
    ("bad select", |dice, body| {
        let select = [
            "FOO",
            "SPECIFIC_ATTRIBUTES",
            "ALL_PROJECTED_ATTRIBUTES",
            "COUNT",
        ];
        let select = json!(*dice.pick(&select));
        put(body, "Select", select);
    }),
    ("no index", |_, body| {
        put(body, "IndexName", json!("nowhere"))
    }),
    ("expression", |dice, body| break_expression(dice, body)),
    ("expression", |dice, body| break_expression(dice, body)),
    ("expression", |dice, body| replace_expression(dice, body)),
    ("expression", |dice, body| replace_expression(dice, body)),
    ("legacy", |dice, body| break_legacy(dice, body)),
];

/// Breaks a request in one way; says which.
pub(crate) fn break_one(dice: &mut Dice, step: &mut Step) -> &'static str {
    step.to_the_end = false;
    step.segments = 0;
    // Which rows come first is up to the server.
    take(&mut step.body, "Limit");
    let before = step.body.clone();
    for _ in 0..50 {
        let (name, breakage) = *dice.pick(&BREAKAGES);
        if matches!(
            step.operation,
            "BatchGetItem" | "BatchWriteItem" | "TransactGetItems" | "TransactWriteItems"
        ) {
            within(dice, &mut step.body, breakage);
        } else {
            breakage(dice, &mut step.body);
        }
        if step.body != before {
            return name;
        }
    }
    "nothing"
}

/// Breaks one of the requests of which a batch or a transaction consists.
fn within(dice: &mut Dice, body: &mut Value, breakage: Breakage) {
    if let Some(actions) = body.get_mut("TransactItems").and_then(Value::as_array_mut) {
        let at = dice.below(actions.len());
        if let Some(action) = actions[at]
            .as_object_mut()
            .and_then(|action| action.values_mut().next())
        {
            breakage(dice, action);
        }
        if dice.percent(8) {
            let double = actions[at].clone();
            actions.push(double);
        }
        return;
    }
    let Some(tables) = body.get_mut("RequestItems").and_then(Value::as_object_mut) else {
        return;
    };
    if dice.percent(10) {
        tables.clear();
        return;
    }
    for table in tables.values_mut() {
        let list = if table.is_array() {
            Some(&mut *table)
        } else {
            table.get_mut("Keys")
        };
        let Some(list) = list.and_then(Value::as_array_mut) else {
            continue;
        };
        if dice.percent(15) && !list.is_empty() {
            let double = list[0].clone();
            list.push(double);
        } else if dice.percent(10) {
            list.clear();
        } else if let Some(first) = list.first_mut() {
            let inner = first
                .as_object_mut()
                .and_then(|object| object.values_mut().next());
            match inner {
                Some(request) if request.get("Item").is_some() || request.get("Key").is_some() => {
                    breakage(dice, request);
                }
                _ => {
                    let mut request = json!({"Key": first.take()});
                    breakage(dice, &mut request);
                    // A key that is null ends dynalite altogether.
                    *first = match request["Key"].take() {
                        Value::Null => json!({}),
                        key => key,
                    };
                }
            }
        }
    }
}

fn take(body: &mut Value, name: &str) {
    if let Some(body) = body.as_object_mut() {
        body.remove(name);
    }
}

fn put(body: &mut Value, name: &str, value: Value) {
    let belongs = match name {
        "ScanFilter" | "Segment" | "TotalSegments" => {
            body.get("Item").is_none() && body.get("Key").is_none()
        }
        "QueryFilter" => body.get("KeyConditionExpression").is_some(),
        "Limit" | "Select" | "IndexName" => body.get("Item").is_none() && body.get("Key").is_none(),
        _ => true,
    };
    if belongs {
        body[name] = value;
    }
}

/// Puts a member into a map of the request, which is made if need be.
fn insert(body: &mut Value, map: &str, name: &str, value: Value) {
    let is_made = map.starts_with("Expression");
    if body.get(map).is_some() || is_made {
        body[map][name] = value;
    }
}

fn key_holder(body: &Value) -> &'static str {
    if body.get("Item").is_some() {
        "Item"
    } else {
        "Key"
    }
}

fn lose(body: &mut Value, map: &str) {
    if let Some(map) = body.get_mut(map).and_then(Value::as_object_mut)
        && map.len() > 1
    {
        let first = map.keys().next().cloned();
        first.and_then(|first| map.remove(&first));
    }
}

/// The name of one of the request's expressions.
fn expression(dice: &mut Dice, body: &Value) -> Option<String> {
    let body = body.as_object()?;
    let names: Vec<_> = body
        .keys()
        .filter(|name| name.ends_with("Expression"))
        .collect();
    (!names.is_empty()).then(|| (*dice.pick(&names)).clone())
}

fn change(dice: &mut Dice, body: &mut Value, change: impl FnOnce(&mut Dice, &str) -> String) {
    let Some(name) = expression(dice, body) else {
        return;
    };
    let text = change(dice, body[&name].as_str().unwrap_or(""));
    body[name] = json!(text);
}

fn replace_word(dice: &mut Dice, body: &mut Value) {
    change(dice, body, |dice, text| {
        let word = *dice.pick(&["status", "Name", "data", "values", "YEAR", "size"]);
        text.replacen("txt", word, 1)
            .replacen("num", word, 1)
            .replacen("pk", word, 1)
    });
}

/// Loses, doubles or adds a token.
fn break_expression(dice: &mut Dice, body: &mut Value) {
    change(dice, body, |dice, text| {
        let mut tokens: Vec<String> = text
            .split_inclusive([' ', '(', ')', ','])
            .map(str::to_owned)
            .collect();
        let at = dice.below(tokens.len().max(1));
        match dice.below(6) {
            0 if !tokens.is_empty() => drop(tokens.remove(at)),
            1 if !tokens.is_empty() => {
                let double = tokens[at].clone();
                tokens.insert(at, double);
            }
            2 => tokens.push(" AND".to_owned()),
            3 => tokens.insert(0, "(".to_owned()),
            4 => {
                let odd = *dice.pick(&[
                    "%",
                    " = ",
                    "..",
                    "[",
                    " 12 ",
                    "[-1]",
                    "#",
                    ":",
                    "ü",
                    "[99999999999]",
                ]);
                tokens.insert(at, odd.to_owned());
            }
            _ => return format!("(({text}))"),
        }
        tokens.concat()
    });
}

/// Updates that are wrong in themselves or do not fit a row.
const UPDATES: &[&str] = &[
    "SET num = num + :v0 SET txt = :v0",
    "SET num = nofunction(num)",
    "SET num = if_not_exists(num)",
    "SET num = if_not_exists(:v0, num)",
    "SET mp = :v0, mp.num = :v0",
    "SET mp.num = :v0, mp[0] = :v0",
    "SET num = :v0 REMOVE num",
    "REMOVE lst[0], lst[0]",
    "SET pk = :v0",
    "ADD pk :v0",
    "ADD txt :undefined",
    "SET #undefined = :v0",
    "SET lst = list_append(lst)",
    "SET num = num + num + num",
    "SET num = attribute_exists(num)",
    "SET txt = size(txt)",
    "DELETE num :v0",
    "ADD lst :v0",
    "REMOVE",
    "SET",
    "",
    " ",
    "FOO num = :v0",
    "SET num == :v0",
    "REMOVE a.b.c.d",
    "SET absent.num = :v0",
    "SET lst[0].num.txt = :v0",
    "SET absent[0] = :v0",
    "SET num = absent",
    "SET num = absent + :v0",
];

/// Conditions that are wrong in themselves.
const CONDITIONS: &[&str] = &[
    "num = num",
    "txt <> txt",
    "nofunction(num)",
    "size(num)",
    "size(txt) = size(txt)",
    "attribute_exists(num, txt)",
    "attribute_exists(:v0)",
    "attribute_not_exists()",
    "begins_with(txt)",
    "contains(txt, txt)",
    "attribute_type(txt, :v0)",
    "num BETWEEN :v0",
    "num IN ()",
    "num IN :v0",
    "attribute_exists(num) = :v0",
    "((num = :v0))",
    "(num = (:v0))",
    "NOT",
    "num",
    ":v0",
    "",
    "num = :undefined",
    "#undefined = :v0",
    "num = if_not_exists(num, :v0)",
    "pk.num = :v0",
    "pk[0] = :v0",
    ":v0 = :v0",
    "size(:v0) > :v0",
    "begins_with(:v0, :v0)",
    "begins_with(num, num)",
    "num AND txt",
    "txt = :v0 txt",
    "Size(txt) = :v0",
    "attribute_exists (size(txt))",
    "contains(size(txt), :v0)",
];

/// Key conditions that are wrong in themselves.
const KEY_CONDITIONS: &[&str] = &[
    "pk > :v0",
    "pk = :v0 OR sk = :v0",
    "NOT pk = :v0",
    "pk = :v0 AND pk = :v0",
    "sk = :v0",
    "pk.num = :v0",
    "pk = :v0 AND txt = :v0",
    "pk = :v0 AND sk <> :v0",
    "pk IN (:v0)",
    "pk = sk",
    ":v0 = :v0",
    "attribute_exists(pk)",
    "size(pk) = :v0",
    "pk = :v0 AND contains(sk, :v0)",
    "pk = :v0 AND sk = :v0 AND num = :v0",
    "begins_with(pk, :v0)",
    "pk BETWEEN :v0 AND :v0",
    "pk = :v0 AND begins_with(:v0, sk)",
    "pk = :v0 AND sk BETWEEN num AND :v0",
];

/// Projections that are wrong in themselves.
const PROJECTIONS: &[&str] = &[
    "num, num",
    "mp, mp.num",
    "mp.num, mp[0]",
    "num,",
    ",num",
    "",
    "name",
    "#undefined",
    "lst[a]",
    "num txt",
    "pk.num",
    "lst[0][1], lst[0]",
    ":v0",
];

/// Puts an expression in place that the service refuses for its meaning.
fn replace_expression(dice: &mut Dice, body: &mut Value) {
    let Some(name) = expression(dice, body) else {
        return;
    };
    let text = match name.as_str() {
        "UpdateExpression" => *dice.pick(UPDATES),
        "KeyConditionExpression" => *dice.pick(KEY_CONDITIONS),
        "ProjectionExpression" => *dice.pick(PROJECTIONS),
        _ => *dice.pick(CONDITIONS),
    };
    let others = body.as_object().map_or(0, |body| {
        body.keys()
            .filter(|key| key.ends_with("Expression"))
            .count()
    });
    if others == 1 {
        take(body, "ExpressionAttributeNames");
        take(body, "ExpressionAttributeValues");
        if text.contains(":v0") {
            let kinds = [
                json!({"N": "1"}),
                json!({"S": "a"}),
                json!({"SS": ["a"]}),
                json!({"L": []}),
            ];
            body["ExpressionAttributeValues"] = json!({":v0": dice.pick(&kinds)});
        }
    }
    body[name] = json!(text);
}

fn break_legacy(dice: &mut Dice, body: &mut Value) {
    let value = json!({"S": "a"});
    let conditions = [
        json!({}),
        json!({"Exists": true}),
        json!({"Exists": false, "Value": value}),
        json!({"Exists": false, "ComparisonOperator": "NULL"}),
        json!({"Value": value, "AttributeValueList": [value], "ComparisonOperator": "EQ"}),
        json!({"ComparisonOperator": "EQ"}),
        json!({"AttributeValueList": [value]}),
        json!({"ComparisonOperator": "EQ", "AttributeValueList": []}),
        json!({"ComparisonOperator": "EQ", "AttributeValueList": [value, value]}),
        json!({"ComparisonOperator": "NULL", "AttributeValueList": [value]}),
        json!({"ComparisonOperator": "BETWEEN", "AttributeValueList": [value]}),
        json!({"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "2"}, {"N": "1"}]}),
        json!({"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "2"}, value]}),
        json!({"ComparisonOperator": "LT", "AttributeValueList": [{"SS": ["a"]}]}),
        json!({"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"N": "1"}]}),
        json!({"ComparisonOperator": "IN", "AttributeValueList": [{"SS": ["a"]}]}),
        json!({"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"SS": ["a"]}]}),
        json!({"ComparisonOperator": "FOO", "AttributeValueList": [value]}),
        json!({"Value": {"SS": []}}),
    ];
    let changes = [
        json!({}),
        json!({"Action": "PUT"}),
        json!({"Action": "ADD"}),
        json!({"Action": "ADD", "Value": value}),
        json!({"Action": "DELETE", "Value": value}),
        json!({"Action": "FOO", "Value": value}),
        json!({"Action": "ADD", "Value": {"N": "1"}}),
        json!({"Action": "ADD", "Value": {"SS": ["a"]}}),
        json!({"Action": "DELETE", "Value": {"NS": ["1"]}}),
        json!({"Value": {}}),
    ];
    for name in ["Expected", "QueryFilter", "ScanFilter", "KeyConditions"] {
        if body.get(name).is_some() && dice.percent(70) {
            let condition = dice.pick(&conditions).clone();
            let attribute = if name == "KeyConditions" {
                *dice.pick(&["pk", "sk", "txt"])
            } else {
                "txt"
            };
            body[name][attribute] = condition;
            return;
        }
    }
    if body.get("AttributeUpdates").is_some() {
        let change = dice.pick(&changes).clone();
        let name = *dice.pick(&["txt", "num", "sset", "pk"]);
        body["AttributeUpdates"][name] = change;
    } else if body.get("AttributesToGet").is_some() {
        let lists = [json!([]), json!(["num", "num"]), json!([""])];
        body["AttributesToGet"] = dice.pick(&lists).clone();
    }
}
