//! What conditions and filters mean, and what is refused in them.

use serde_json::{Value, json};

use crate::harness::Tables;

/// The refusal of a scan with this filter, without its preface.
fn fault(tables: &Tables, filter: &str, names: Value, values: Value) -> String {
    let mut body = json!({"TableName": "Tab", "FilterExpression": filter});
    if !names.is_null() {
        body["ExpressionAttributeNames"] = names;
    }
    if !values.is_null() {
        body["ExpressionAttributeValues"] = values;
    }
    let refused = tables.refused("Scan", body);
    let preface = "ValidationException: Invalid FilterExpression: ";
    refused.strip_prefix(preface).unwrap_or(&refused).to_owned()
}

#[test]
fn a_syntax_error_names_the_token_and_its_neighbours() {
    let tables = Tables::with_table();
    for (filter, token, near) in [
        ("things are not gonna be ok", "are", "things are not"),
        ("a > 4", "4", "> 4"),
        (
            "attribute_exists(Pictures-RearView)",
            "-",
            "Pictures-RearView",
        ),
        (
            "attribute_exists(\"Pictures.RearView\")",
            "\"",
            "(\"Pictures",
        ),
        ("attribute_exists(Pictures..RearView)", ".", "..RearView"),
        (
            "attribute_exists(Pi#ctures.RearView)",
            "#ctures",
            "Pi#ctures.",
        ),
        ("attribute_exists(asdf[a])", "a", "[a]"),
        ("a > between", "between", "> between"),
        ("a in b, c", "b", "in b,"),
        ("a in (b,c,)", ")", ",)"),
        ("(a)between(b.(c.d))and(c)", "(", ".(c"),
        ("(a)between(b.c.d)and((c)", "<EOF>", ")"),
        ("#$.b > a", "$", "#$."),
        ("a > :things.stuff", ".", ":things.stuff"),
        ("b[:a] > a", ":a", "[:a]"),
        ("b[#_] > a", "#_", "[#_]"),
        ("ü > a", "ü", "ü >"),
        ("(a)between(b.c[4.5].#d)and(:a)", ".", "4.5"),
        ("size(a).b > a", ".", ").b"),
        ("(size(a)).b > a", ".", ").b"),
        ("size(a)[0] > a", "[", ")[0"),
        ("a", "<EOF>", "a"),
        ("a AND b = :b", "AND", "a AND b"),
        ("(a = :b) = :b", "=", ") = :b"),
        ("NOT", "<EOF>", "NOT"),
    ] {
        assert_eq!(
            fault(&tables, filter, Value::Null, Value::Null),
            format!("Syntax error; token: \"{token}\", near: \"{near}\""),
            "{filter}"
        );
    }
}

#[test]
fn what_can_be_read_is_refused_in_the_services_order() {
    let tables = Tables::with_table();
    let redundant = "The expression has redundant parentheses;";
    let unknown = "Invalid function name; function: ";
    let misused = "The function is not allowed to be used this way in an expression; function: ";
    let reserved = "Attribute name is a reserved keyword; reserved keyword: ";
    let no_name = "An expression attribute name used in the document path is not defined; \
                   attribute name: ";
    let no_value = "An expression attribute value used in expression is not defined; \
                    attribute value: ";
    for (filter, preface, rest) in [
        ("a=a and a > ((views))", redundant, ""),
        ("(a)between(((b.c)).d)and(c)", redundant, ""),
        ("a > whatever((:things), ((a)))", redundant, ""),
        ("a=a AND ((a=a AND a=a)) AND a=a", redundant, ""),
        ("a=a OR ((a=a OR (a=a OR a=a)))", redundant, ""),
        ("a=a and whatever((:things)) > a", unknown, "whatever"),
        ("attRIbute_exIsts((views), #a)", unknown, "attRIbute_exIsts"),
        (
            "a=a and attribute_exists((views), (#a)) > b",
            misused,
            "attribute_exists",
        ),
        (
            "attribute_not_exists(things) > b",
            misused,
            "attribute_not_exists",
        ),
        ("size(contains(a, b)) > a", misused, "contains"),
        ("size(things)", misused, "size"),
        (
            "a between b and attribute_exists(things)",
            misused,
            "attribute_exists",
        ),
        (
            "a in (b, attribute_exists(things))",
            misused,
            "attribute_exists",
        ),
        ("attribute_exists(views, #a)", reserved, "views"),
        (":a < abOrT", reserved, "abOrT"),
        (
            "attribute_exists(#Pictures.RearView, :a) and a=a",
            no_name,
            "#Pictures",
        ),
        ("begins_with(Pictures.#RearView)", no_name, "#RearView"),
        (
            "(#P between :lo and :hi) and (#PC in (:cat1, :cat2))",
            no_name,
            "#P",
        ),
        ("#4g > a", no_name, "#4g"),
        ("(a)between(b.c[45].#d)and(:a)", no_name, "#d"),
        ("begins_with(:hello, #a, #b)", no_value, ":hello"),
        (":a < :b", no_value, ":a"),
        (":_ > a", no_value, ":_"),
    ] {
        assert_eq!(
            fault(&tables, filter, Value::Null, Value::Null),
            format!("{preface}{rest}"),
            "{filter}"
        );
    }
}

#[test]
fn operands_are_counted_and_must_differ() {
    let tables = Tables::with_table();
    for (filter, function, count) in [
        ("attribute_exists(things, a) and a=a", "attribute_exists", 2),
        ("attribute_type(things)", "attribute_type", 1),
        ("begins_with(things, size(a), b)", "begins_with", 3),
        ("contains(things)", "contains", 1),
        ("size(things, a) > b", "size", 2),
    ] {
        assert_eq!(
            fault(&tables, filter, Value::Null, Value::Null),
            format!(
                "Incorrect number of operands for operator or function; \
                 operator or function: {function}, number of operands: {count}"
            ),
            "{filter}"
        );
    }
    for (filter, operator, path) in [
        ("a = a AND #a = b AND :views > a", "=", "[a]"),
        ("#a <> a", "<>", "[a]"),
        ("((a=a) OR (a=a))", "=", "[a]"),
        (
            "contains(ab.bc[1].a, ab.bc[1].#a)",
            "contains",
            "[ab, bc, [1], a]",
        ),
        (
            "attribute_type(ab.bc[1].#a, ab.bc[1].a)",
            "attribute_type",
            "[ab, bc, [1], a]",
        ),
    ] {
        assert_eq!(
            fault(&tables, filter, json!({"#a": "a"}), Value::Null),
            format!(
                "The first operand must be distinct from the remaining operands for this \
                 operator or function; operator: {operator}, first operand: {path}"
            ),
            "{filter}"
        );
    }
}

#[test]
fn operands_are_of_the_right_type_before_any_item_is_seen() {
    let tables = Tables::with_table();
    for (filter, function, value) in [
        (
            "attribute_type(a, size(a)) and a=a and a=:a",
            "attribute_type",
            json!({"N": "1"}),
        ),
        (
            "attribute_type(a, :a)",
            "attribute_type",
            json!({"BOOL": true}),
        ),
        (
            "begins_with(a, size(a)) and a=:a",
            "begins_with",
            json!({"N": "1"}),
        ),
        ("begins_with(:a, a)", "begins_with", json!({"SS": ["1"]})),
        ("begins_with(a, :a)", "begins_with", json!({"M": {}})),
        ("size(size(a)) > :a", "size", json!({"N": "1"})),
        ("attribute_not_exists(size(:a))", "size", json!({"N": "1"})),
        ("size(:a) > a", "size", json!({"NULL": true})),
        ("a < :a", "<", json!({"BOOL": true})),
        ("NOT (:a) >= size(a)", ">=", json!({"SS": ["1"]})),
        ("a between b and :a", "BETWEEN", json!({"NULL": true})),
        ("(:a) between a and b", "BETWEEN", json!({"L": []})),
    ] {
        let kind = value.as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(
            fault(&tables, filter, Value::Null, json!({":a": value})),
            format!(
                "Incorrect operand type for operator or function; \
                 operator or function: {function}, operand type: {kind}"
            ),
            "{filter}"
        );
    }
    let one =
        |filter: &str, value: Value| fault(&tables, filter, Value::Null, json!({":a": value}));
    assert_eq!(
        one("attribute_type(a, :a)", json!({"S": "1"})),
        "Invalid attribute type name found; type: 1, \
         valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
    );
    for function in ["attribute_exists(:a)", "attribute_not_exists(size(:a))"] {
        let name = function.split('(').next().unwrap();
        assert_eq!(
            one(function, json!({"S": "1"})),
            format!("Operator or function requires a document path; operator or function: {name}")
        );
    }
    assert_eq!(
        fault(
            &tables,
            "a between :b and :c",
            Value::Null,
            json!({":b": {"N": "2"}, ":c": {"N": "1"}})
        ),
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
         lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}"
    );
    assert_eq!(
        fault(
            &tables,
            "a between :b and :c",
            Value::Null,
            json!({":b": {"S": "2"}, ":c": {"N": "1"}})
        ),
        "The BETWEEN operator requires same data type for lower and upper bounds; \
         lower bound operand: AttributeValue: {S:2}, upper bound operand: AttributeValue: {N:1}"
    );
}

#[test]
fn expressions_have_limits() {
    let tables = Tables::with_table();
    let value = json!({":a": {"S": "1"}});
    let one = |filter: &str| fault(&tables, filter, Value::Null, value.clone());
    assert_eq!(one(""), "The expression can not be empty;");
    let long = format!("{} = :a", "a".repeat(4093));
    assert_eq!(
        one(&long),
        "Expression size has exceeded the maximum allowed size; expression size: 4098"
    );
    let operators = vec!["a=:a"; 301].join(" OR ");
    assert_eq!(
        one(&operators),
        "The expression contains too many operators; operator count: 301"
    );
    let members = vec![":a"; 101].join(",");
    assert_eq!(
        one(&format!("a IN ({members})")),
        "The IN operator is provided with too many operands; number of operands: 101"
    );
    // As deep as operators reach, in parentheses none of which is redundant.
    let deep = format!("{}a=:a{}", "a=:a OR(".repeat(299), ")".repeat(299));
    let accepted = json!({
        "TableName": "Tab", "FilterExpression": deep, "ExpressionAttributeValues": value,
    });
    assert_eq!(tables.ok("Scan", accepted)["Count"], 0);
}

#[test]
fn nesting_without_end_is_refused_and_breaks_nothing() {
    let tables = Tables::with_table();
    let value = json!({":a": {"S": "1"}});
    for filter in [
        "(".repeat(4096),
        "NOT(".repeat(1024),
        "NOT ".repeat(1024),
        format!("{}a{} = :a", "(".repeat(2000), ")".repeat(2000)),
        "size(".repeat(800),
        "a[".repeat(2000),
    ] {
        fault(&tables, &filter, Value::Null, value.clone());
    }
    let update = format!("SET a = {}", "if_not_exists(a,".repeat(250));
    tables.refused(
        "UpdateItem",
        json!({
            "TableName": "Tab", "Key": {"k": {"S": "a"}}, "UpdateExpression": update,
            "ExpressionAttributeValues": value,
        }),
    );
}

#[test]
fn placeholders_are_checked_and_all_used() {
    let tables = Tables::with_table();
    let scan = |filter: Value, names: Value, values: Value| {
        tables.refused(
            "Scan",
            json!({
                "TableName": "Tab",
                "FilterExpression": filter,
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }),
        )
    };
    let value = json!({":a": {"S": "1"}});
    for (filter, names, values, refusal) in [
        (
            Value::Null,
            json!({"#a": "a"}),
            Value::Null,
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            Value::Null,
            Value::Null,
            value.clone(),
            "ExpressionAttributeValues can only be specified when using expressions: \
             FilterExpression is null",
        ),
        (
            json!(""),
            json!({}),
            Value::Null,
            "ExpressionAttributeNames must not be empty",
        ),
        (
            json!(""),
            Value::Null,
            json!({}),
            "ExpressionAttributeValues must not be empty",
        ),
        (
            json!(""),
            json!({"x": "a"}),
            Value::Null,
            "ExpressionAttributeNames contains invalid key: Syntax error; key: \"x\"",
        ),
        (
            json!(""),
            Value::Null,
            json!({":": {"S": "1"}}),
            "ExpressionAttributeValues contains invalid key: Syntax error; key: \":\"",
        ),
        (
            json!(""),
            Value::Null,
            json!({":x": {"N": "abc"}}),
            "ExpressionAttributeValues contains invalid value: The parameter cannot be \
             converted to a numeric value: abc for key :x",
        ),
        (
            json!("a = :a"),
            json!({"#x": "a", "#y": "a"}),
            value.clone(),
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x, #y}",
        ),
        (
            json!("a = :a"),
            Value::Null,
            json!({":a": {"S": "1"}, ":x": {"S": "1"}}),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}",
        ),
    ] {
        assert_eq!(
            scan(filter, names, values),
            format!("ValidationException: {refusal}")
        );
    }
    let both = json!({
        "TableName": "Tab",
        "Key": {"k": {"S": "a"}},
        "Expected": {},
        "UpdateExpression": "SET a = :a",
    });
    assert_eq!(
        tables.refused("UpdateItem", both),
        "ValidationException: Can not use both expression and non-expression parameters in the \
         same request: Non-expression parameters: {Expected} Expression parameters: \
         {UpdateExpression}"
    );
    let alone = json!({
        "TableName": "Tab", "Key": {"k": {"S": "a"}}, "ExpressionAttributeValues": value,
    });
    assert_eq!(
        tables.refused("UpdateItem", alone),
        "ValidationException: ExpressionAttributeValues can only be specified when using \
         expressions: UpdateExpression and ConditionExpression are null"
    );
}

#[test]
fn a_condition_means_what_the_service_means() {
    let tables = Tables::with_table();
    tables.put(json!({
        "k": {"S": "row"},
        "n": {"N": "7"}, "n2": {"N": "7.0"}, "s": {"S": "abc"}, "b": {"B": "AAEC"},
        "yes": {"BOOL": true}, "yes2": {"BOOL": false}, "none": {"NULL": true},
        "ss": {"SS": ["x", "y"]}, "ss2": {"SS": ["x", "y"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": ["AA==", "AQ=="]},
        "lst": {"L": [{"N": "1"}, {"S": "two"}, {"L": [{"N": "3"}]}]},
        "obj": {"M": {"inside": {"M": {"deep": {"S": "here"}}}, "a.b": {"N": "1"}}},
    }));
    let values = json!({
        ":six": {"N": "6"}, ":seven": {"N": "7.00"}, ":eight": {"N": "8"},
        ":text": {"S": "abc"}, ":part": {"S": "bc"}, ":start": {"S": "ab"}, ":empty": {"S": ""},
        ":bytes": {"B": "AAE="}, ":x": {"S": "x"}, ":one": {"N": "1"}, ":two": {"S": "two"},
        ":three": {"N": "3"}, ":set": {"SS": ["y", "x"]}, ":kind": {"S": "N"},
        ":yes": {"BOOL": true}, ":zero": {"B": "AA=="}, ":here": {"S": "here"},
    });
    let names = json!({"#dotted": "a.b", "#o": "obj"});
    let holds = |condition: &str| {
        let used = |all: &Value| -> Value {
            let words: Vec<_> = condition
                .split(|c: char| !(c.is_alphanumeric() || "#:_".contains(c)))
                .collect();
            let map = all.as_object().unwrap();
            let used = map.iter().filter(|(key, _)| words.contains(&key.as_str()));
            used.map(|(key, value)| (key.clone(), value.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let mut body = json!({"TableName": "Tab", "FilterExpression": condition});
        for (parameter, all) in [
            ("ExpressionAttributeNames", &names),
            ("ExpressionAttributeValues", &values),
        ] {
            let used = used(all);
            if !used.as_object().unwrap().is_empty() {
                body[parameter] = used;
            }
        }
        tables.ok("Scan", body)["Count"] == 1
    };
    for condition in [
        "n = :seven",
        "n = n2",
        "n <> :six",
        "n > :six",
        "n >= :seven",
        "n < :eight",
        "n <= n2",
        "s <> :seven",
        "absent <> :six",
        ":six <> absent",
        "absent <> absent2",
        "n BETWEEN :six AND :eight",
        "n between :seven and :seven",
        "n IN (:six, :seven)",
        "attribute_exists(n)",
        "attribute_not_exists(absent)",
        "attribute_not_exists(obj.x)",
        "attribute_exists(obj.inside.deep)",
        "attribute_exists(lst[2][0])",
        "attribute_not_exists(lst[3])",
        "attribute_type(n, :kind)",
        "begins_with(s, :start)",
        "begins_with(s, :empty)",
        "begins_with(b, :bytes)",
        "contains(s, :part)",
        "contains(s, :empty)",
        "contains(b, :zero)",
        "contains(ss, :x)",
        "contains(ns, :one)",
        "contains(bs, :zero)",
        "contains(lst, :two)",
        "contains(lst, :one)",
        "ss = :set",
        "size(s) = :three",
        "size(b) = :three",
        "size(lst) = :three",
        "size(ss) < :three",
        "size(absent) <> :three",
        "yes = :yes",
        "#o.#dotted = :one",
        "obj.inside.deep = :here",
        "(obj.inside).deep = :here",
        "(lst)[1] = :two",
        "(n) = (:seven)",
        "(n = :seven)",
        "NOT n = :six",
        "NOT NOT n = :seven",
        "NOT (n = :six OR n = :eight)",
        // OR is weakest, then AND, then NOT.
        "n = :seven OR n = :six AND n = :eight",
        "NOT n = :six AND n = :seven",
        "n = :seven or not n = :seven and n = :seven",
        "NOT absent = :six",
        "lst[1]=:two",
        "n=:seven AND(s=:text)",
    ] {
        assert!(holds(condition), "{condition}");
        let negated = match condition {
            "(n = :seven)" => format!("NOT {condition}"),
            _ => format!("NOT ({condition})"),
        };
        assert!(!holds(&negated), "{negated}");
    }
    for condition in [
        "n = s",
        "n = :text",
        "absent = absent2",
        "absent < :six",
        "s < :six",
        "n <> n2",
        "absent BETWEEN :six AND :eight",
        "s BETWEEN :six AND :eight",
        "absent IN (absent2, :six)",
        "begins_with(n, :start)",
        "contains(n, :one)",
        "contains(ss, :one)",
        "contains(obj, :here)",
        "attribute_type(absent, :kind)",
        "size(n) = :one",
        "size(absent) = :three",
        "yes < yes2",
        "ss < :x",
        "ss <= ss2",
        "lst[7] = :two",
        "lst.x = :two",
        "obj[0] = :two",
    ] {
        assert!(!holds(condition), "{condition}");
    }
}

#[test]
fn the_size_of_a_text_counts_units_of_utf_16() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "a"}, "text": {"S": "é𝄞"}}));
    let found = |size: &str| {
        let reply = tables.ok(
            "Scan",
            json!({
                "TableName": "Tab", "FilterExpression": "size(#t) = :n",
                "ExpressionAttributeNames": {"#t": "text"},
                "ExpressionAttributeValues": {":n": {"N": size}},
            }),
        );
        reply["Count"] == 1
    };
    assert!(
        found("3"),
        "two units for what is beyond the first 65,536 characters"
    );
    assert!(!found("2") && !found("6"), "neither characters nor bytes");
}

#[test]
fn only_texts_numbers_and_bytes_have_an_order() {
    let tables = Tables::with_table();
    tables.put(json!({"k": {"S": "row"}, "flag": {"BOOL": true}, "flag2": {"BOOL": true}}));
    let scan = |filter: &str, value: Value| {
        let values = json!({":v": value});
        let mut body = json!({"TableName": "Tab", "FilterExpression": filter});
        if filter.contains(":v") {
            body["ExpressionAttributeValues"] = values;
        }
        tables.call("Scan", &body)
    };
    for (filter, value, operator, kind) in [
        ("flag <= :v", json!({"BOOL": true}), "<=", "BOOL"),
        (":v > flag", json!({"NULL": true}), ">", "NULL"),
        ("flag < :v", json!({"SS": ["a"]}), "<", "SS"),
        ("flag BETWEEN :v AND :v", json!({"L": []}), "BETWEEN", "L"),
    ] {
        let refusal = scan(filter, value).unwrap_err();
        let expected = format!(
            "Invalid FilterExpression: Incorrect operand type for operator or function; \
             operator or function: {operator}, operand type: {kind}"
        );
        assert_eq!(refusal.message(), expected, "{filter}");
    }
    let found = scan("flag <= flag2", json!(null)).unwrap();
    assert_eq!(found["Count"], 0);
}
