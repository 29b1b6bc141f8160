//! What is read from a request, and how it is refused, in both encodings.

use bytes::Bytes;
use serde::Deserialize;

use crate::clock::Moment;
use crate::refusal::Kind;
use crate::wire::codec::{Document, Wire};

use super::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Blob<'a>>,
    limit: Option<Int>,
    flag: Option<Flag>,
    time: Option<Time>,
    #[serde(borrow)]
    shape: Option<Shape<Inner<'a>>>,
    #[serde(borrow)]
    list: Option<List<Text<'a>>>,
    #[serde(borrow)]
    map: Option<Map<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inner<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

fn document(body: &[u8]) -> Document {
    Bytes::copy_from_slice(body).into()
}

fn refused(body: &str) -> Option<String> {
    let document = document(body.as_bytes());
    let refusal = Wire::Json.read::<Request<'_>>(&document).expect_err(body);
    assert_eq!(refusal.kind, Kind::Serialization, "{body}");
    refusal.message
}

#[test]
fn members_are_read_and_the_rest_is_ignored() {
    let body = br#"{"Name":"a","Data":"YQ==","Limit":2.9,"Flag":true,"Time":1.5,"Else":[{}],
        "Shape":{"Name":"b"},"List":["c",null],"Map":{"k":"v"}}"#;
    let document = document(body);
    let request: Request<'_> = Wire::Json.read(&document).unwrap();
    assert_eq!(text(&request.name), Some("a"));
    assert_eq!(request.data, Some(Blob::Base64("YQ==".into())));
    assert_eq!(request.limit, Some(Int(2)));
    assert_eq!(request.flag, Some(Flag(true)));
    assert_eq!(request.time, Some(Time(Moment(1500))));
    assert_eq!(text(&request.shape.unwrap().0.name), Some("b"));
    assert_eq!(request.list.unwrap().0.len(), 2);
    assert_eq!(request.map.unwrap().0[0].0, "k");
}

#[test]
fn null_is_absent_and_large_numbers_are_the_largest() {
    let document = document(br#"{"Name":null,"Limit":99999999999}"#);
    let request: Request<'_> = Wire::Json.read(&document).unwrap();
    assert_eq!((request.name, request.limit), (None, Some(Int(i32::MAX))));
}

#[test]
fn what_is_no_object_is_refused_without_a_word() {
    for body in [
        "",
        "[]",
        "5",
        "{",
        "nul",
        "{\"Name\":5,",
        "{\"Limit\":\"x\"",
        "[{}]",
    ] {
        assert_eq!(refused(body), None, "{body}");
    }
}

#[test]
fn a_wrong_type_is_refused_in_the_services_words() {
    let number =
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
    let boolean = "class java.lang.Boolean can not be converted to";
    for (body, text) in [
        (r#"{"Name":5}"#, format!("{number} an String")),
        (r#"{"Name":true}"#, format!("{boolean} an String")),
        (r#"{"Name":[]}"#, LIST.to_owned()),
        (r#"{"Name":{}}"#, MAP.to_owned()),
        (r#"{"Data":5.5}"#, format!("{number} a Blob")),
        (
            r#"{"Limit":"5"}"#,
            "class java.lang.String can not be converted to an Integer".into(),
        ),
        (r#"{"Limit":true}"#, format!("{boolean} an Integer")),
        (r#"{"Flag":5}"#, format!("{number} an Boolean")),
        (
            r#"{"Time":"now"}"#,
            "class java.lang.String can not be converted to milliseconds since epoch".into(),
        ),
        (r#"{"Shape":[]}"#, LIST.to_owned()),
        (r#"{"Shape":"a"}"#, "Expected null".to_owned()),
        (r#"{"Shape":{"Name":5}}"#, format!("{number} an String")),
        (r#"{"List":"a"}"#, "Expected list or null".to_owned()),
        (r#"{"List":{}}"#, MAP.to_owned()),
        (r#"{"Map":5}"#, "Expected map or null".to_owned()),
        (r#"{"Map":[]}"#, LIST.to_owned()),
    ] {
        assert_eq!(refused(body), Some(text), "{body}");
    }
}

#[test]
fn of_members_that_are_given_twice_the_last_counts() {
    let body = br#"{"Name":"a","Limit":1,"Shape":{"Name":"x","Name":"y"},"Name":"b",
        "Map":{"k":"1","l":"2","k":"3"},"Limit":null}"#;
    let document = document(body);
    let request: Request<'_> = Wire::Json.read(&document).unwrap();
    assert_eq!((text(&request.name), request.limit), (Some("b"), None));
    assert_eq!(text(&request.shape.unwrap().0.name), Some("y"));
    let map: Vec<_> = request.map.iter().flat_map(|map| &map.0).collect();
    let map: Vec<_> = map
        .iter()
        .map(|(key, value)| (key.as_ref(), text(value)))
        .collect();
    assert_eq!(map, [("k", Some("3")), ("l", Some("2"))]);
    // The type of what is overridden does not matter, nor does its place.
    assert_eq!(
        refused(r#"{"Limit":1,"Limit":true}"#),
        Some("class java.lang.Boolean can not be converted to an Integer".to_owned())
    );
    assert_eq!(refused(r#"{"Name":"a","Name":"b""#), None);
}

#[test]
fn lists_and_maps_without_end_are_read_and_not_kept() {
    let list = vec!["null"; 100_000].join(",");
    let map: Vec<_> = (0..10_000).map(|key| format!("\"{key}\":\"\"")).collect();
    let body = format!("{{\"List\":[{list}],\"Map\":{{{}}}}}", map.join(","));
    let document = document(body.as_bytes());
    let request: Request<'_> = Wire::Json.read(&document).unwrap();
    assert_eq!(request.list.unwrap().0.len(), 2000);
    assert_eq!(request.map.unwrap().0.len(), 2000);
}

#[test]
fn what_is_no_text_is_refused_even_where_nobody_looks() {
    for body in [
        &b"{\"Else\":\"\xff\"}"[..],
        b"{\"\xc3\":1}",
        b"{\"Name\":\"\xed\xa0\x80\"}",
    ] {
        let document = document(body);
        let refusal = Wire::Json.read::<Request<'_>>(&document).unwrap_err();
        assert_eq!((refusal.kind, refusal.message), (Kind::Serialization, None));
        assert!(!Wire::Json.is_structure(body));
    }
}
