//! Values, keys, sizes, capacity, and the order in which requests are checked.

use serde_json::{Value, json};

use crate::harness::Tables;

fn put(value: Value) -> Value {
    json!({"TableName": "Tab", "Item": {"k": {"S": "row"}, "v": value}})
}

#[test]
fn values_come_back_as_they_are_stored() {
    let tables = Tables::with_table();
    for (given, stored) in [
        (json!({"S": ""}), json!({"S": ""})),
        (
            json!({"S": "ä\n\"\u{1F980}"}),
            json!({"S": "ä\n\"\u{1F980}"}),
        ),
        (json!({"N": "1.0E-5"}), json!({"N": "0.00001"})),
        (json!({"N": "-0"}), json!({"N": "0"})),
        (json!({"B": ""}), json!({"B": ""})),
        (json!({"B": "/+8="}), json!({"B": "/+8="})),
        (json!({"BOOL": false}), json!({"BOOL": false})),
        (json!({"NULL": true}), json!({"NULL": true})),
        (json!({"SS": ["b", "a", ""]}), json!({"SS": ["", "a", "b"]})),
        (
            json!({"NS": ["10", "9", "-1.0"]}),
            json!({"NS": ["-1", "9", "10"]}),
        ),
        (
            json!({"BS": ["AQ==", "AA=="]}),
            json!({"BS": ["AA==", "AQ=="]}),
        ),
        (json!({"L": []}), json!({"L": []})),
        (
            json!({"M": {"": {"L": [{"M": {}}]}}}),
            json!({"M": {"": {"L": [{"M": {}}]}}}),
        ),
        (
            json!({"S": "a", "N": null, "Unknown": 1}),
            json!({"S": "a"}),
        ),
    ] {
        tables.ok("PutItem", put(given));
        assert_eq!(tables.get("row")["v"], stored);
    }
}

#[test]
fn wrong_values_are_refused_in_the_services_words() {
    let tables = Tables::with_table();
    let empty = "Supplied AttributeValue is empty, must contain exactly one of the supported \
                 datatypes";
    let invalid = "One or more parameter values were invalid: ";
    for (value, refusal) in [
        (json!({}), empty.to_owned()),
        (json!({"S": null}), empty.to_owned()),
        (json!({"Unknown": "a"}), empty.to_owned()),
        (json!({"L": [{}]}), empty.to_owned()),
        (json!({"M": {"a": {}}}), empty.to_owned()),
        (
            json!({"S": "a", "N": "1"}),
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one \
             of the supported datatypes"
                .to_owned(),
        ),
        (
            json!({"NULL": false}),
            format!("{invalid}Null attribute value types must have the value of true"),
        ),
        (
            json!({"SS": []}),
            format!("{invalid}An string set  may not be empty"),
        ),
        (
            json!({"NS": []}),
            format!("{invalid}An number set  may not be empty"),
        ),
        (
            json!({"BS": []}),
            format!("{invalid}Binary sets should not be empty"),
        ),
        (
            json!({"SS": ["a", "a"]}),
            format!("{invalid}Input collection [a, a] contains duplicates."),
        ),
        (
            json!({"NS": ["1", "1.0"]}),
            "Input collection contains duplicates".to_owned(),
        ),
        (
            json!({"BS": ["AA==", "AA=="]}),
            format!("{invalid}Input collection [AA==, AA==]of type BS contains duplicates."),
        ),
        (
            json!({"N": ""}),
            "The parameter cannot be converted to a numeric value".to_owned(),
        ),
        (
            json!({"N": "1e126"}),
            "Number overflow. Attempting to store a number with magnitude larger than supported \
             range"
                .to_owned(),
        ),
    ] {
        assert_eq!(
            tables.refused("PutItem", put(value.clone())),
            format!("ValidationException: {refusal}"),
            "{value}"
        );
    }
    let nested =
        |levels: usize| (0..levels).fold(json!({"S": "a"}), |inner, _| json!({"L": [inner]}));
    tables.ok("PutItem", put(nested(32)));
    assert!(
        tables
            .refused("PutItem", put(nested(33)))
            .starts_with("ValidationException: Nesting Levels have exceeded supported limits")
    );
}

#[test]
fn json_of_the_wrong_type_fails_before_anything_else() {
    let tables = Tables::new();
    for (body, message) in [
        (
            json!({"TableName": 1}),
            "NUMBER_VALUE cannot be converted to String",
        ),
        (
            json!({"TableName": 1.5}),
            "DECIMAL_VALUE cannot be converted to String",
        ),
        (
            json!({"TableName": true}),
            "TRUE_VALUE cannot be converted to String",
        ),
        (
            json!({"TableName": []}),
            "Unrecognized collection type class java.lang.String",
        ),
        (
            json!({"TableName": {}}),
            "Start of structure or map found where not expected",
        ),
        (
            json!({"Item": {"a": {"S": 1}}}),
            "NUMBER_VALUE cannot be converted to String",
        ),
        (
            json!({"Item": {"a": {"B": true}}}),
            "only base-64-encoded strings are convertible to bytes",
        ),
        (
            json!({"Item": {"a": {"B": "abc"}}}),
            "Base64 encoded length is expected a multiple of 4 bytes but found: 3",
        ),
        (
            json!({"Item": {"a": {"B": "=+/="}}}),
            "Invalid last non-pad Base64 character dectected",
        ),
        (
            json!({"Item": {"a": "text"}}),
            "Unexpected value type in payload",
        ),
        (
            json!({"Item": {"a": {"BOOL": "maybe"}}}),
            "Unexpected token received from parser",
        ),
        (
            json!({"Item": {"a": {"L": {}}}}),
            "Start of structure or map found where not expected",
        ),
        (json!({"Item": {"a": {"SS": "b"}}}), "Unexpected field type"),
    ] {
        assert_eq!(
            tables.refused("PutItem", body),
            format!("SerializationException: {message}")
        );
    }
    for body in [
        &b"{"[..],
        b"[]",
        b"1",
        b"{\"TableName\":\"\xff\"}",
        &b"{\"a\":[".repeat(500),
    ] {
        let now = std::time::SystemTime::UNIX_EPOCH;
        let refusal = tables
            .dynamo
            .call(&tables.scope, now, "PutItem", body)
            .unwrap_err();
        assert_eq!(
            refusal.kind,
            "com.amazon.coral.service#SerializationException"
        );
    }
}

#[test]
fn some_texts_are_flags() {
    let tables = Tables::with_table();
    for (text, flag) in [("true", true), ("YES", true), ("0", false), ("No", false)] {
        let item = json!({"k": {"S": "row"}, "flag": {"BOOL": text}});
        tables.ok("PutItem", json!({"TableName": "Tab", "Item": item}));
        let key = json!({"TableName": "Tab", "Key": {"k": {"S": "row"}}});
        let found = tables.ok("GetItem", key);
        assert_eq!(found["Item"]["flag"], json!({"BOOL": flag}), "{text}");
    }
}

#[test]
fn requests_are_checked_in_the_services_order() {
    let tables = Tables::with_table();
    let due = "failed to satisfy constraint: Member must";
    // Calls for tables ask for the table first; calls for items ask for everything at once.
    for (body, refusal) in [
        (
            json!({}),
            "The parameter 'TableName' is required but was not present in the request",
        ),
        (
            json!({"TableName": "ab"}),
            "TableName must be at least 3 characters long and at most 255 characters long",
        ),
    ] {
        assert_eq!(
            tables.refused("DescribeTable", body),
            format!("ValidationException: {refusal}")
        );
    }
    for (body, refusal) in [
        (
            json!({"Key": {}}),
            format!("1 validation error detected: Value null at 'tableName' {due} not be null"),
        ),
        (
            json!({"TableName": "ab", "Key": {}}),
            format!(
                "1 validation error detected: Value 'ab' at 'tableName' {due} have length greater \
                 than or equal to 3"
            ),
        ),
        (
            json!({"TableName": "a".repeat(256), "Key": {}}),
            format!(
                "1 validation error detected: Value '{}' at 'tableName' {due} have length less \
                 than or equal to 255",
                "a".repeat(256)
            ),
        ),
        (
            json!({"TableName": "a;b", "ReturnValues": "x", "ReturnConsumedCapacity": "y"}),
            "4 validation errors detected: Value 'y' at 'returnConsumedCapacity' failed to \
             satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; \
             Value 'a;b' at 'tableName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z0-9_.-]+; Value null at 'key' failed to satisfy \
             constraint: Member must not be null; Value 'x' at 'returnValues' failed to satisfy \
             constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, \
             NONE, UPDATED_NEW]"
                .to_owned(),
        ),
        (
            json!({"TableName": "missing", "Key": {"a": {}}, "ReturnValues": "ALL_NEW"}),
            "Supplied AttributeValue is empty, must contain exactly one of the supported \
             datatypes"
                .to_owned(),
        ),
        (
            json!({"TableName": "missing", "Key": {}, "ReturnValues": "ALL_NEW"}),
            "ReturnValues can only be ALL_OLD or NONE".to_owned(),
        ),
        (
            json!({"TableName": "missing", "Key": {}, "ConditionExpression": ""}),
            "Invalid ConditionExpression: The expression can not be empty;".to_owned(),
        ),
        (
            json!({"TableName": "Tab", "Key": {}, "ConditionExpression": "attribute_exists(a)"}),
            "The provided key element does not match the schema".to_owned(),
        ),
    ] {
        assert_eq!(
            tables.refused("DeleteItem", body),
            format!("ValidationException: {refusal}")
        );
    }
    assert_eq!(
        tables.refused("DeleteItem", json!({"TableName": "missing", "Key": {}})),
        "ResourceNotFoundException: Requested resource not found"
    );
}

#[test]
fn keys_must_fit_the_schema() {
    let tables = Tables::new();
    tables.create("Tab", &[("h", "S"), ("r", "N")]);
    let mismatch = "The provided key element does not match the schema";
    for key in [
        json!({}),
        json!({"h": {"S": "a"}}),
        json!({"h": {"S": "a"}, "x": {"N": "1"}}),
        json!({"h": {"S": "a"}, "r": {"S": "1"}}),
        json!({"h": {"S": "a"}, "r": {"N": "1"}, "x": {"N": "1"}}),
    ] {
        assert_eq!(
            tables.refused("GetItem", json!({"TableName": "Tab", "Key": key})),
            format!("ValidationException: {mismatch}")
        );
    }
    let empty = "One or more parameter values are not valid. The AttributeValue for a key \
                 attribute cannot contain an empty string value. Key: h";
    let invalid = "One or more parameter values were invalid: ";
    for (item, refusal) in [
        (
            json!({"r": {"N": "1"}}),
            format!("{invalid}Missing the key h in the item"),
        ),
        (
            json!({"h": {"S": "a"}}),
            format!("{invalid}Missing the key r in the item"),
        ),
        (
            json!({"h": {"N": "1"}, "r": {"N": "1"}}),
            format!("{invalid}Type mismatch for key h expected: S actual: N"),
        ),
        (json!({"h": {"S": ""}, "r": {"N": "1"}}), empty.to_owned()),
        (
            json!({"h": {"S": "x".repeat(2049)}, "r": {"N": "1"}}),
            format!("{invalid}Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ),
        (
            json!({"h": {"S": "a"}, "r": {"N": "1"}, "v": {"S": "x".repeat(409_600)}}),
            "Item size has exceeded the maximum allowed size".to_owned(),
        ),
    ] {
        assert_eq!(
            tables.refused("PutItem", json!({"TableName": "Tab", "Item": item})),
            format!("ValidationException: {refusal}")
        );
    }
    tables.create("Sorted", &[("h", "S"), ("r", "B")]);
    let long = base64_simd::STANDARD.encode_to_string([0; 1025]);
    let item = json!({"TableName": "Sorted", "Item": {"h": {"S": "a"}, "r": {"B": long}}});
    assert_eq!(
        tables.refused("PutItem", item),
        format!(
            "ValidationException: {invalid}Aggregated size of all range keys has exceeded the \
             size limit of 1024 bytes"
        )
    );
}

#[test]
fn numbers_are_one_key_however_they_are_written() {
    let tables = Tables::new();
    tables.create("Tab", &[("h", "N")]);
    let put = |n: &str| {
        tables.ok(
            "PutItem",
            json!({"TableName": "Tab", "Item": {"h": {"N": n}}, "ReturnValues": "ALL_OLD"}),
        )
    };
    assert_eq!(put("10"), json!({}));
    assert_eq!(put("1E1"), json!({"Attributes": {"h": {"N": "10"}}}));
    assert_eq!(put("10.0"), json!({"Attributes": {"h": {"N": "10"}}}));
}

#[test]
fn a_put_replaces_the_whole_row_and_may_return_the_old_one() {
    let tables = Tables::with_table();
    let put = |item: Value| {
        tables.ok(
            "PutItem",
            json!({"TableName": "Tab", "Item": item, "ReturnValues": "ALL_OLD"}),
        )
    };
    let (one, two) = (
        json!({"k": {"S": "a"}, "x": {"N": "1"}}),
        json!({"k": {"S": "a"}}),
    );
    assert_eq!(put(one.clone()), json!({}));
    assert_eq!(put(two.clone()), json!({"Attributes": one}));
    assert_eq!(tables.get("a"), two);
}

#[test]
fn a_projection_keeps_the_shape_of_the_row() {
    let tables = Tables::with_table();
    tables.put(json!({
        "k": {"S": "row"},
        "l": {"L": [{"N": "0"}, {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}, {"N": "3"}]},
        "m": {"M": {"a.b": {"S": "c"}, "d": {"S": "e"}}},
    }));
    let get = |projection: &str, names: Value| {
        let mut body = json!({
            "TableName": "Tab", "Key": {"k": {"S": "row"}}, "ProjectionExpression": projection,
        });
        if !names.is_null() {
            body["ExpressionAttributeNames"] = names;
        }
        tables.call("GetItem", &body)
    };
    for (projection, names, item) in [
        ("k", Value::Null, json!({"k": {"S": "row"}})),
        (
            "l[2], l[1].y, nothing",
            Value::Null,
            json!({"l": {"L": [{"M": {"y": {"N": "2"}}}, {"N": "3"}]}}),
        ),
        (
            "#m.#p",
            json!({"#m": "m", "#p": "a.b"}),
            json!({"m": {"M": {"a.b": {"S": "c"}}}}),
        ),
        ("nothing", Value::Null, json!({})),
    ] {
        assert_eq!(
            get(projection, names).unwrap(),
            json!({"Item": item}),
            "{projection}"
        );
    }
    let invalid = "Invalid ProjectionExpression: ";
    for (projection, refusal) in [
        (
            "a,",
            format!("{invalid}Syntax error; token: \"<EOF>\", near: \",\""),
        ),
        (
            "a b",
            format!("{invalid}Syntax error; token: \"b\", near: \"a b\""),
        ),
        (
            "a.b, a",
            format!(
                "{invalid}Two document paths overlap with each other; must remove or rewrite \
                 one of these paths; path one: [a, b], path two: [a]"
            ),
        ),
        (
            "name",
            format!("{invalid}Attribute name is a reserved keyword; reserved keyword: name"),
        ),
        (
            "k[0]",
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are \
             not allowed: Key: k"
                .to_owned(),
        ),
    ] {
        assert_eq!(
            get(projection, Value::Null).unwrap_err().message(),
            refusal,
            "{projection}"
        );
    }
}

#[test]
fn capacity_is_counted_as_the_service_counts_it() {
    let tables = Tables::with_table();
    // 1 + 3 for the key, 1 + 5,000 for the value.
    let item = json!({"k": {"S": "row"}, "v": {"S": "x".repeat(5000)}});
    let call = |operation: &str, mut body: Value| {
        body["TableName"] = json!("Tab");
        body["ReturnConsumedCapacity"] = json!("TOTAL");
        tables.ok(operation, body)["ConsumedCapacity"].clone()
    };
    let units = |units: f64| json!({"TableName": "Tab", "CapacityUnits": units});
    let key = json!({"k": {"S": "row"}});
    let no_key = json!({"k": {"S": "none"}});
    assert_eq!(call("PutItem", json!({"Item": item})), units(5.0));
    assert_eq!(call("GetItem", json!({"Key": key})), units(1.0));
    assert_eq!(
        call("GetItem", json!({"Key": key, "ConsistentRead": true})),
        units(2.0)
    );
    assert_eq!(call("GetItem", json!({"Key": no_key})), units(0.5));
    assert_eq!(call("Scan", json!({"ConsistentRead": true})), units(2.0));
    assert_eq!(
        call(
            "UpdateItem",
            json!({"Key": key, "UpdateExpression": "REMOVE v"})
        ),
        units(5.0)
    );
    assert_eq!(call("DeleteItem", json!({"Key": key})), units(1.0));
    assert_eq!(
        tables.ok(
            "GetItem",
            json!({"TableName": "Tab", "Key": key, "ReturnConsumedCapacity": "INDEXES"})
        ),
        json!({"ConsumedCapacity": {
            "TableName": "Tab", "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0.5},
        }})
    );
}

#[test]
fn what_is_not_built_says_so() {
    let tables = Tables::with_table();
    let refusal = tables.call("ExecuteStatement", &json!({})).unwrap_err();
    assert_eq!(
        refusal.kind,
        "com.amazon.coral.service#UnknownOperationException"
    );
    assert_eq!(refusal.status, 400);
    let streamed = json!({
        "TableName": "Tab", "StreamSpecification": {"StreamEnabled": true},
    });
    assert_eq!(
        tables.refused("UpdateTable", streamed),
        "ValidationException: This emulator does not know the parameter StreamSpecification yet"
    );
}

#[test]
fn scopes_share_nothing() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "a"}}));
    let elsewhere = kinesis_emulator::Scope::new("000000000000", "eu-west-1");
    assert_eq!(tables.dynamo.items(&elsewhere, "Tab"), None);
    assert_eq!(tables.dynamo.items(&tables.scope, "Tab").unwrap().len(), 1);
    let now = std::time::SystemTime::UNIX_EPOCH;
    let reply = tables
        .dynamo
        .call(&elsewhere, now, "ListTables", b"{}")
        .unwrap();
    assert_eq!(reply, b"{\"TableNames\":[]}");
}
