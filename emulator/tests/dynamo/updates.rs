//! What updates do, and what is refused in them.

use serde_json::{Value, json};

use crate::harness::Tables;

fn request(update: &str, names: &Value, values: &Value) -> Value {
    let mut body = json!({
        "TableName": "Tab", "Key": {"k": {"S": "row"}}, "UpdateExpression": update,
        "ReturnValues": "ALL_NEW",
    });
    if !names.is_null() {
        body["ExpressionAttributeNames"] = names.clone();
    }
    if !values.is_null() {
        body["ExpressionAttributeValues"] = values.clone();
    }
    body
}

/// `old`, updated.
fn after(old: Value, update: &str, values: Value) -> Value {
    let tables = Tables::with_table();
    let mut row = old;
    row["k"] = json!({"S": "row"});
    tables.put(row);
    let reply = tables.ok("UpdateItem", request(update, &Value::Null, &values));
    let mut new = reply["Attributes"].clone();
    assert_eq!(tables.get("row"), new);
    new.as_object_mut().unwrap().remove("k");
    new
}

/// Why `old` cannot be updated so; it must be as it was.
fn refused(old: Value, update: &str, values: Value) -> String {
    let tables = Tables::with_table();
    let mut row = old;
    row["k"] = json!({"S": "row"});
    tables.put(row.clone());
    let refusal = tables.refused("UpdateItem", request(update, &Value::Null, &values));
    assert_eq!(tables.get("row"), row);
    refusal
        .strip_prefix("ValidationException: ")
        .unwrap()
        .to_owned()
}

fn n(number: &str) -> Value {
    json!({"N": number})
}

fn list(numbers: &[&str]) -> Value {
    json!({"L": numbers.iter().map(|number| n(number)).collect::<Vec<_>>()})
}

#[test]
fn right_sides_see_the_row_as_it_was() {
    assert_eq!(
        after(
            json!({"a": n("1"), "b": n("2")}),
            "SET a = b, b = a",
            Value::Null
        ),
        json!({"a": n("2"), "b": n("1")})
    );
    assert_eq!(
        after(json!({"a": n("1")}), "REMOVE a SET b = a", Value::Null),
        json!({"b": n("1")})
    );
    assert_eq!(
        after(
            json!({"a": n("1"), "c": n("1")}),
            "ADD a :v SET b = a + c, d = (a - :v)",
            json!({":v": n("5")})
        ),
        json!({"a": n("6"), "b": n("2"), "c": n("1"), "d": n("-4")})
    );
}

#[test]
fn set_has_functions_and_sums() {
    let values = json!({":v": n("0.1"), ":l": list(&["9"])});
    let only = |name: &str| json!({name: values[name]});
    for (old, update, values, new) in [
        (
            json!({}),
            "SET a = if_not_exists(a, :v) + :v",
            only(":v"),
            json!({"a": n("0.2")}),
        ),
        (
            json!({"a": n("3")}),
            "SET a = if_not_exists(a, :v)",
            only(":v"),
            json!({"a": n("3")}),
        ),
        (
            json!({"a": n("3")}),
            "SET b = if_not_exists(b, if_not_exists(a, :v))",
            only(":v"),
            json!({"a": n("3"), "b": n("3")}),
        ),
        (
            json!({"a": n("3")}),
            "SET a = (a)-(:v)",
            only(":v"),
            json!({"a": n("2.9")}),
        ),
        (
            json!({"a": n("3")}),
            "SET a = (a + :v)",
            only(":v"),
            json!({"a": n("3.1")}),
        ),
        (
            json!({"a": n("3")}),
            "set a=((a)+(:v))",
            only(":v"),
            json!({"a": n("3.1")}),
        ),
        (
            json!({"a": list(&["1"])}),
            "SET a = list_append(a, :l), b = list_append(:l, a)",
            only(":l"),
            json!({"a": list(&["1", "9"]), "b": list(&["9", "1"])}),
        ),
        (
            json!({"m": {"M": {"x": {"M": {}}}}}),
            "SET m.x.y = :v, m.z = :v",
            only(":v"),
            json!({"m": {"M": {"x": {"M": {"y": n("0.1")}}, "z": n("0.1")}}}),
        ),
    ] {
        assert_eq!(after(old, update, values), new, "{update}");
    }
}

#[test]
fn every_index_means_the_list_as_it_was() {
    let row = || json!({"l": list(&["0", "1", "2", "3"])});
    for (update, values, new) in [
        ("REMOVE l[0], l[2]", Value::Null, list(&["1", "3"])),
        ("REMOVE l[2], l[0]", Value::Null, list(&["1", "3"])),
        ("REMOVE l[9]", Value::Null, list(&["0", "1", "2", "3"])),
        (
            "REMOVE l[0] SET l[1] = :v",
            json!({":v": n("7")}),
            list(&["7", "2", "3"]),
        ),
        (
            "SET l[9] = :v",
            json!({":v": n("7")}),
            list(&["0", "1", "2", "3", "7"]),
        ),
        (
            "SET l[9] = :v, l[6] = :w REMOVE l[3], l[4]",
            json!({":v": n("7"), ":w": n("8")}),
            list(&["0", "1", "2", "8", "7"]),
        ),
        (
            "ADD l[1] :v, l[8] :v",
            json!({":v": n("7")}),
            list(&["0", "8", "2", "3", "7"]),
        ),
    ] {
        assert_eq!(after(row(), update, values), json!({"l": new}), "{update}");
    }
    let nested = json!({"l": {"L": [n("0"), {"M": {"inside": list(&["1", "2"])}}]}});
    assert_eq!(
        after(
            nested,
            "REMOVE l[0], l[1].inside[0] SET l[1].inside[5] = :v",
            json!({":v": n("3")})
        ),
        json!({"l": {"L": [{"M": {"inside": list(&["2", "3"])}}]}})
    );
    let sets = json!({"l": {"L": [{"SS": ["x"]}, n("1")]}});
    assert_eq!(
        after(sets, "DELETE l[0] :s", json!({":s": {"SS": ["x"]}})),
        json!({"l": {"L": [n("1")]}})
    );
}

#[test]
fn sets_grow_shrink_and_vanish() {
    let x = json!({":s": {"SS": ["x", "z"]}});
    assert_eq!(
        after(json!({"s": {"SS": ["x", "y"]}}), "ADD s :s", x.clone()),
        json!({"s": {"SS": ["x", "y", "z"]}})
    );
    assert_eq!(
        after(json!({}), "ADD s :s", x.clone()),
        json!({"s": {"SS": ["x", "z"]}})
    );
    assert_eq!(
        after(json!({"s": {"SS": ["x", "y"]}}), "DELETE s :s", x.clone()),
        json!({"s": {"SS": ["y"]}})
    );
    assert_eq!(
        after(json!({"s": {"SS": ["x", "z"]}}), "DELETE s :s", x.clone()),
        json!({})
    );
    assert_eq!(after(json!({}), "DELETE s :s", x.clone()), json!({}));
    let wrong = "An operand in the update expression has an incorrect data type";
    for update in ["ADD s :s", "DELETE s :s"] {
        assert_eq!(
            refused(json!({"s": {"NS": ["1"]}}), update, x.clone()),
            wrong
        );
        assert_eq!(refused(json!({"s": n("1")}), update, x.clone()), wrong);
    }
}

#[test]
fn an_update_that_does_not_fit_changes_nothing() {
    let wrong = "An operand in the update expression has an incorrect data type";
    let path = "The document path provided in the update expression is invalid for update";
    let missing = "The provided expression refers to an attribute that does not exist in the item";
    let digits = "Attempting to store more than 38 significant digits in a Number";
    let v = json!({":v": n("1")});
    for (old, update, values, refusal) in [
        (json!({"a": {"S": "x"}}), "SET a = a + :v", v.clone(), wrong),
        (
            json!({"a": {"S": "x"}}),
            "SET a = list_append(a, a)",
            Value::Null,
            wrong,
        ),
        (json!({}), "SET b = a", Value::Null, missing),
        (json!({}), "SET a = a + :v", v.clone(), missing),
        (json!({}), "SET a.b = :v", v.clone(), path),
        (json!({"a": n("1")}), "SET a.b = :v", v.clone(), path),
        (json!({"a": n("1")}), "SET a[0] = :v", v.clone(), path),
        (json!({"a": list(&[])}), "SET a.b = :v", v.clone(), path),
        (json!({}), "REMOVE a.b", Value::Null, path),
        (json!({"a": {"M": {}}}), "REMOVE a.b.c", Value::Null, path),
        (json!({"a": n("1e38")}), "SET a = a + :v", v.clone(), digits),
        (json!({"a": n("1e38")}), "ADD a :v", v, digits),
    ] {
        // The row is stored in plain notation.
        let old = if old["a"]["N"] == "1e38" {
            json!({"a": n(&format!("1{}", "0".repeat(38)))})
        } else {
            old
        };
        assert_eq!(refused(old, update, values), refusal, "{update}");
    }
    let tables = Tables::with_table();
    let large = json!({":v": {"S": "x".repeat(409_600)}});
    assert_eq!(
        tables.refused("UpdateItem", request("SET a = :v", &Value::Null, &large)),
        "ValidationException: Item size to update has exceeded the maximum allowed size"
    );
    assert_eq!(tables.get("row"), Value::Null);
}

#[test]
fn what_can_be_read_is_refused_in_the_services_order() {
    let operand = "Incorrect operand type for operator or function; operator";
    let overlap = "Two document paths overlap with each other; must remove or rewrite one of \
                   these paths; path one: ";
    let conflict = "Two document paths conflict with each other; must remove or rewrite one of \
                    these paths; path one: ";
    let tables = Tables::with_table();
    let names = json!({"#a": "a", "#b": "b", "#c": "c", "#d": "[3]"});
    let values = json!({":a": {"S": "a"}, ":b": {"N": "1"}});
    for (update, fault) in [
        (" set #x = :x set abOrt = abort ", "Attribute name is a reserved keyword; reserved keyword: abOrt".to_owned()),
        ("set #x = if_not_exist(:x) set c = d", "Invalid function name; function: if_not_exist".to_owned()),
        ("set a = #x set c = :x", "The \"SET\" section can only be used once in an update expression;".to_owned()),
        ("delete #x :e set a = b delete #e :f", "The \"DELETE\" section can only be used once in an update expression;".to_owned()),
        ("SET #x = if_not_exists(:x)", "An expression attribute name used in the document path is not defined; attribute name: #x".to_owned()),
        ("SET #a = if_not_exists(:x)", "An expression attribute value used in expression is not defined; attribute value: :x".to_owned()),
        ("set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)", format!("{overlap}[c, [1], a], path two: [c]")),
        ("set #c[3].#d = a, #c[3] = a", format!("{overlap}[c, [3], [3]], path two: [c, [3]]")),
        ("set #c[3].#d = a, #c.#d[3] = if_not_exists(a)", format!("{conflict}[c, [3], [3]], path two: [c, [3], [3]]")),
        ("remove a.#c set a[1] = #d", format!("{conflict}[a, c], path two: [a, [1]]")),
        ("set b = list_append(:a, a), c = if_not_exists(a) add a.b :a", format!("{operand}: ADD, operand type: STRING")),
        ("delete a.b :b", format!("{operand}: DELETE, operand type: NUMBER")),
        ("set a = if_not_exists(c)", "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1".to_owned()),
        ("set a = if_not_exists(:a, c)", "Operator or function requires a document path; operator or function: if_not_exists".to_owned()),
        ("set a = if_not_exists(if_not_exists(a, b), c)", "Operator or function requires a document path; operator or function: if_not_exists".to_owned()),
        ("set a = list_append(a, :b)", format!("{operand} or function: list_append, operand type: N")),
        ("set a = a + :a", format!("{operand} or function: +, operand type: S")),
        ("set a = :a - a", format!("{operand} or function: -, operand type: S")),
        ("set a[4294967296] = :a", "List index is not within the allowable range; index: [4294967296]".to_owned()),
    ] {
        assert_eq!(
            tables.refused("UpdateItem", request(update, &names, &values)),
            format!("ValidationException: Invalid UpdateExpression: {fault}"),
            "{update}"
        );
    }
}

#[test]
fn what_is_no_update_is_a_syntax_error() {
    let tables = Tables::with_table();
    for update in [
        "whatever",
        "set a",
        "add a",
        "delete a",
        "set a=set",
        "remove a = b",
        "add a = b",
        "delete a b",
        "delete a if_not_exist(b)",
        "remove a b",
        "set a b",
        "set :a = b",
        "add :a b",
        "remove :a",
        "set a = b / c",
        "set a[1] = \"eight\"",
        "set a[1] = 1",
        "SET a = if_not_exist(a, 100)",
        "SET if_not_exist(a, b) = a",
        "set (a = (b + c))",
        "set a = (b.c).d + e",
        "set a = (b.c)[0] + e",
        "set a = b + c + d",
        "set a = (b + c) + d",
        "set a = ((b)) + c",
        "set a = b + ((c))",
        "set a = b,",
        "set",
        "set a = b remove",
    ] {
        let refusal = tables.refused("UpdateItem", request(update, &Value::Null, &Value::Null));
        assert!(
            refusal.starts_with("ValidationException: Invalid UpdateExpression: Syntax error; "),
            "{update}: {refusal}"
        );
    }
    assert_eq!(
        tables.refused(
            "UpdateItem",
            request("SET a = ", &Value::Null, &Value::Null)
        ),
        "ValidationException: Invalid UpdateExpression: Syntax error; \
         token: \"<EOF>\", near: \"=\""
    );
}

#[test]
fn a_key_is_never_updated() {
    let tables = Tables::with_table();
    for update in ["SET k = :v", "REMOVE k", "SET k.x = :v"] {
        let values = if update.contains(":v") {
            json!({":v": n("1")})
        } else {
            Value::Null
        };
        assert_eq!(
            tables.refused("UpdateItem", request(update, &Value::Null, &values)),
            "ValidationException: One or more parameter values were invalid: Cannot update \
             attribute k. This attribute is part of the key"
        );
    }
}

#[test]
fn an_update_makes_the_row_it_does_not_find() {
    let tables = Tables::with_table();
    let bare = json!({"TableName": "Tab", "Key": {"k": {"S": "row"}}});
    assert_eq!(tables.ok("UpdateItem", bare), json!({}));
    assert_eq!(tables.get("row"), json!({"k": {"S": "row"}}));
    let other = json!({
        "TableName": "Tab", "Key": {"k": {"S": "other"}}, "UpdateExpression": "SET c = k",
        "ReturnValues": "UPDATED_NEW",
    });
    assert_eq!(
        tables.ok("UpdateItem", other),
        json!({"Attributes": {"c": {"S": "other"}}})
    );
}

#[test]
fn return_values_show_the_row_or_what_was_touched() {
    let row = json!({
        "k": {"S": "row"}, "a": n("1"), "m": {"M": {"x": n("1"), "y": n("2")}},
        "l": list(&["5", "6", "7"]), "gone": n("0"),
    });
    for (values, expected) in [
        ("NONE", json!({})),
        ("ALL_OLD", json!({"Attributes": row})),
        (
            "UPDATED_OLD",
            json!({"Attributes": {
                "a": n("1"), "m": {"M": {"x": n("1")}}, "l": list(&["6"]), "gone": n("0"),
            }}),
        ),
        (
            "UPDATED_NEW",
            json!({"Attributes": {
                "a": n("2"), "m": {"M": {"x": n("2")}}, "l": list(&["2"]), "fresh": n("2"),
            }}),
        ),
        (
            "ALL_NEW",
            json!({"Attributes": {
                "k": {"S": "row"}, "a": n("2"), "m": {"M": {"x": n("2"), "y": n("2")}},
                "l": list(&["5", "2", "7"]), "fresh": n("2"),
            }}),
        ),
    ] {
        let tables = Tables::with_table();
        tables.put(row.clone());
        let reply = tables.ok(
            "UpdateItem",
            json!({
                "TableName": "Tab", "Key": {"k": {"S": "row"}}, "ReturnValues": values,
                "UpdateExpression": "SET a = :v, m.x = :v, l[1] = :v, fresh = :v REMOVE gone",
                "ExpressionAttributeValues": {":v": n("2")},
            }),
        );
        assert_eq!(reply, expected, "{values}");
    }
}

#[test]
fn nothing_to_return_is_no_attributes() {
    for values in ["ALL_OLD", "UPDATED_OLD"] {
        let tables = Tables::with_table();
        let reply = tables.ok(
            "UpdateItem",
            json!({
                "TableName": "Tab", "Key": {"k": {"S": "row"}}, "ReturnValues": values,
                "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": n("2")},
            }),
        );
        assert_eq!(reply, json!({}), "{values}");
    }
}
