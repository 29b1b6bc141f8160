//! Queries of a table's partitions.

use serde_json::{Value, json};

use crate::harness::Tables;

/// Partition `a` with sort keys -2 … 3, and `b` beside it.
fn numbered() -> Tables {
    let tables = Tables::new();
    tables.create("Tab", &[("h", "S"), ("r", "N")]);
    for (partition, sort) in [
        ("a", 3),
        ("a", -2),
        ("a", 0),
        ("b", 1),
        ("a", 1),
        ("a", 2),
        ("a", -1),
    ] {
        tables.put(json!({
            "h": {"S": partition}, "r": {"N": sort.to_string()}, "odd": {"BOOL": sort % 2 != 0},
        }));
    }
    tables
}

fn request(condition: &str, values: Value) -> Value {
    json!({
        "TableName": "Tab", "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
    })
}

fn sorts(page: &Value) -> Vec<i64> {
    let items = page["Items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["r"]["N"].as_str().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn rows_come_in_the_order_of_the_sort_key() {
    let tables = numbered();
    for (condition, expected) in [
        ("h = :h", vec![-2, -1, 0, 1, 2, 3]),
        (":h = h", vec![-2, -1, 0, 1, 2, 3]),
        ("h = :h AND r = :one", vec![1]),
        ("h = :h AND r < :one", vec![-2, -1, 0]),
        ("h = :h AND r <= :one", vec![-2, -1, 0, 1]),
        ("h = :h AND r > :one", vec![2, 3]),
        ("r >= :one AND h = :h", vec![1, 2, 3]),
        ("(h = :h) AND (:one < r)", vec![2, 3]),
        ("h = :h AND :one >= r", vec![-2, -1, 0, 1]),
        ("h = :h AND r BETWEEN :one AND :one", vec![1]),
    ] {
        let mut values = json!({":h": {"S": "a"}});
        if condition.contains(":one") {
            values[":one"] = json!({"N": "1"});
        }
        let mut body = request(condition, values);
        let page = tables.ok("Query", body.clone());
        assert_eq!(sorts(&page), expected, "{condition}");
        assert_eq!(page["ScannedCount"], expected.len());
        assert_eq!(page.get("LastEvaluatedKey"), None);
        body["ScanIndexForward"] = json!(false);
        let backward: Vec<_> = expected.into_iter().rev().collect();
        assert_eq!(sorts(&tables.ok("Query", body)), backward, "{condition}");
    }
    let none = request("h = :h", json!({":h": {"S": "c"}}));
    assert_eq!(
        tables.ok("Query", none),
        json!({"Items": [], "Count": 0, "ScannedCount": 0})
    );
}

#[test]
fn sort_keys_of_text_have_prefixes() {
    let tables = Tables::new();
    tables.create("Tab", &[("h", "S"), ("r", "S")]);
    for sort in ["a", "ab", "abc", "ac", "b", "Z"] {
        tables.put(json!({"h": {"S": "x"}, "r": {"S": sort}}));
    }
    for forward in [true, false] {
        let mut body = request(
            "h = :h AND begins_with(r, :p)",
            json!({":h": {"S": "x"}, ":p": {"S": "ab"}}),
        );
        body["ScanIndexForward"] = json!(forward);
        let page = tables.ok("Query", body);
        let mut found: Vec<_> = page["Items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["r"]["S"].clone())
            .collect();
        if !forward {
            found.reverse();
        }
        assert_eq!(found, ["ab", "abc"]);
        assert_eq!(page["ScannedCount"], 2);
    }
}

#[test]
fn pages_go_on_where_they_stopped_in_both_directions() {
    let tables = numbered();
    for (forward, expected) in [
        (true, vec![-2, -1, 0, 1, 2, 3]),
        (false, vec![3, 2, 1, 0, -1, -2]),
    ] {
        let mut body = request("h = :h", json!({":h": {"S": "a"}}));
        body["ScanIndexForward"] = json!(forward);
        body["Limit"] = json!(2);
        let mut found = Vec::new();
        loop {
            let page = tables.ok("Query", body.clone());
            found.extend(sorts(&page));
            let Some(last) = page.get("LastEvaluatedKey") else {
                break;
            };
            body["ExclusiveStartKey"] = last.clone();
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn a_filter_works_on_what_the_key_condition_found() {
    let tables = numbered();
    let mut body = request("h = :h", json!({":h": {"S": "a"}, ":odd": {"BOOL": true}}));
    body["FilterExpression"] = json!("odd = :odd");
    body["ProjectionExpression"] = json!("r");
    let page = tables.ok("Query", body);
    assert_eq!(sorts(&page), [-1, 1, 3]);
    assert_eq!(page["ScannedCount"], 6);
    assert_eq!(page["Items"][0], json!({"r": {"N": "-1"}}));
}

#[test]
fn wrong_key_conditions_are_refused() {
    let tables = numbered();
    let text = json!({":a": {"S": "a"}});
    let both = json!({":a": {"S": "a"}, ":n": {"N": "1"}});
    let operator = "Invalid operator used in KeyConditionExpression: ";
    for (condition, values, refusal) in [
        ("h = :a OR r = :n", &both, format!("{operator}OR")),
        ("NOT h = :a", &text, format!("{operator}NOT")),
        ("h IN (:a)", &text, format!("{operator}IN")),
        ("h <> :a", &text, format!("{operator}<>")),
        ("contains(h, :a)", &text, format!("{operator}contains")),
        (
            "h = :a AND h = :a",
            &text,
            "KeyConditionExpressions must only contain one condition per key".to_owned(),
        ),
        (
            "h.x = :a",
            &text,
            "KeyConditionExpressions cannot have conditions on nested attributes".to_owned(),
        ),
        (
            "size(h) = :a",
            &text,
            "KeyConditionExpressions cannot contain nested operations".to_owned(),
        ),
        (
            "r = :n AND x = :a",
            &both,
            "Query condition missed key schema element: h".to_owned(),
        ),
        (
            "h = :a AND x = :a",
            &text,
            "Query condition missed key schema element: r".to_owned(),
        ),
        (
            "h > :a",
            &text,
            "Query key condition not supported".to_owned(),
        ),
        (
            "h = :a AND r = :a",
            &text,
            "One or more parameter values were invalid: Condition parameter type does not \
             match schema type"
                .to_owned(),
        ),
        (
            "h = :a AND r = :n AND x = :a",
            &both,
            "Conditions can be of length 1 or 2 only".to_owned(),
        ),
    ] {
        assert_eq!(
            tables.refused("Query", request(condition, values.clone())),
            format!("ValidationException: {refusal}"),
            "{condition}"
        );
    }
    assert_eq!(
        tables.refused("Query", json!({"TableName": "Tab"})),
        "ValidationException: Either the KeyConditions or KeyConditionExpression parameter must \
         be specified in the request."
    );
}

#[test]
fn starting_keys_and_filters_must_fit_the_query() {
    let tables = numbered();
    for (condition, start, refusal) in [
        (
            "h = :h",
            json!({"h": {"S": "a"}}),
            "The provided starting key is invalid",
        ),
        (
            "h = :h",
            json!({"h": {"S": "b"}, "r": {"N": "1"}}),
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            "h = :h AND r > :n",
            json!({"h": {"S": "a"}, "r": {"N": "1"}}),
            "The provided starting key does not match the range key predicate",
        ),
    ] {
        let mut values = json!({":h": {"S": "a"}});
        if condition.contains(":n") {
            values[":n"] = json!({"N": "1"});
        }
        let mut body = request(condition, values);
        body["ExclusiveStartKey"] = start;
        assert_eq!(
            tables.refused("Query", body),
            format!("ValidationException: {refusal}")
        );
    }
    let mut body = request("h = :h", json!({":h": {"S": "a"}, ":n": {"N": "1"}}));
    body["FilterExpression"] = json!("odd = :n OR r = :n");
    assert_eq!(
        tables.refused("Query", body),
        "ValidationException: Filter Expression can only contain non-primary key attributes: \
         Primary key attribute: r"
    );
}
