//! The vectors of RFC 8949, what is malformed, and what is hostile.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::wire::field::{Blob, Flag, Int, List, Map, Shape, Text, Time, text};
use crate::wire::shape::Timestamp;

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

/// Bytes from hex with blanks.
fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hex"))
        .collect()
}

/// `{"Time": value}`, and so on.
fn with(member: &str, value: &str) -> Vec<u8> {
    let mut body = vec![write::MAP];
    write::text(&mut body, member);
    body.extend(hex(value));
    body.push(write::BREAK);
    body
}

fn read(body: &[u8]) -> Result<Request<'_>, Error> {
    from_slice(body)
}

#[test]
fn numbers_of_every_width_are_read() {
    for (value, expected) in [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1b000000e8d4a51000", i32::MAX),
        ("1bffffffffffffffff", i32::MAX),
        ("20", -1),
        ("3903e7", -1000),
        ("3bffffffffffffffff", i32::MIN),
        // Half, single and double, cut and saturated.
        ("f93c00", 1),
        ("f97bff", 65504),
        ("f9c400", -4),
        ("f90001", 0),
        ("f93e00", 1),
        ("f97c00", i32::MAX),
        ("f9fc00", i32::MIN),
        ("f97e00", 0),
        ("fa47c35000", 100_000),
        ("fb400599999999999a", 2),
        ("fb7e37e43c8800759c", i32::MAX),
        // Tags are skipped, one behind the other.
        ("c1d9d9f7da000000011903e8", 1000),
        // A simple value without a meaning.
        ("f0", 16),
        ("f8ff", 255),
    ] {
        let body = with("Limit", value);
        assert_eq!(read(&body).unwrap().limit, Some(Int(expected)), "{value}");
    }
}

#[test]
fn times_are_milliseconds_with_tag_or_without() {
    for value in [
        "c11b0000018bcfe568fb",
        "1b0000018bcfe568fb",
        "c1fb4278bcfe568fb000",
    ] {
        let body = with("Time", value);
        let expected = Some(Time(Moment(1_700_000_000_251)));
        assert_eq!(read(&body).unwrap().time, expected, "{value}");
    }
    assert_eq!(
        read(&with("Time", "20")).unwrap().time,
        Some(Time(Moment(0)))
    );
    let shown = to_vec(&Timestamp(Moment(1_700_000_000_251)));
    assert_eq!(shown, hex("c11b0000018bcfe568fb"));
}

#[test]
fn null_and_undefined_are_absent_even_with_a_tag() {
    for value in ["f6", "f7", "c1f6"] {
        for member in ["Name", "Data", "Limit", "Time", "Shape", "List", "Map"] {
            let body = with(member, value);
            let request = read(&body).unwrap();
            assert!(request.name.is_none() && request.data.is_none(), "{member}");
            assert!(
                request.limit.is_none() && request.time.is_none(),
                "{member}"
            );
            assert!(
                request.shape.is_none() && request.list.is_none(),
                "{member}"
            );
            assert!(request.map.is_none(), "{member}");
        }
    }
}

#[test]
fn strings_are_borrowed_whole_and_joined_in_chunks() {
    use std::borrow::Cow;
    let body = with("Data", "43 010203");
    assert!(matches!(
        read(&body).unwrap().data,
        Some(Blob::Bytes(Cow::Borrowed([1, 2, 3])))
    ));
    let body = with("Data", "5f 42 0102 40 5803 030405 ff");
    assert!(matches!(
        read(&body).unwrap().data,
        Some(Blob::Bytes(Cow::Owned(bytes))) if bytes == [1, 2, 3, 4, 5]
    ));
    let body = with("Name", "7f 61 61 62 c3a9 60 ff");
    assert_eq!(text(&read(&body).unwrap().name), Some("a\u{e9}"));
    // A chunked key, and one that is a number.
    let body = hex("bf 7f 64 4e616d ff 01 ff");
    assert!(read(&body).is_err());
    let body = hex("bf 7f 62 4e61 62 6d65 ff 61 62 03 04 ff");
    assert_eq!(text(&read(&body).unwrap().name), Some("b"));
}

#[test]
fn structures_lists_and_maps_are_read_in_both_forms() {
    for body in [
        "a3 6553 68617065 a1 64 4e616d65 61 78 64 4c697374 82 61 61 f6 63 4d6170 a1 61 6b 61 76",
        "bf 6553 68617065 bf 64 4e616d65 61 78 ff 64 4c697374 9f 61 61 f7 ff
         63 4d6170 bf 61 6b 61 76 ff ff",
    ] {
        let body = hex(body);
        let request = read(&body).unwrap();
        assert_eq!(text(&request.shape.unwrap().0.name), Some("x"));
        let list = request.list.unwrap().0;
        assert_eq!((list.len(), text(&list[0])), (2, Some("a")));
        assert_eq!(request.map.unwrap().0[0].0, "k");
    }
    let body = with("Flag", "f5");
    assert_eq!(read(&body).unwrap().flag, Some(Flag(true)));
}

#[test]
fn unknown_members_of_every_kind_are_passed_over() {
    for value in [
        "00",
        "20",
        "4101",
        "6161",
        "80",
        "9f01ff",
        "a0",
        "bf6161f6ff",
        "c249010000000000000000",
        "f4",
        "f6",
        "f7",
        "f93c00",
        "fa00000000",
        "fb0000000000000000",
        "f8ff",
        "5f41014102ff",
        "a1820102820304",
    ] {
        let mut body = hex("bf 64 456c7365");
        body.extend(hex(value));
        body.extend(hex("64 4e616d65 61 61 ff"));
        // The key of a map inside may be anything as long as nobody looks at it.
        assert_eq!(text(&read(&body).unwrap().name), Some("a"), "{value}");
    }
}

#[test]
fn what_is_malformed_is_refused() {
    for body in [
        "",
        "a1",
        "bf",
        "ff",
        "80",
        "9fff",
        "6161",
        "f6",
        "a16161",
        "bf6161ff",
        "a0a0",
        "bfff00",
        // Reserved lengths, indefinite numbers and tags, unsound simple values.
        "bc",
        "a161611c",
        "a161611f",
        "a16161df00",
        "a16161f818",
        "a16161fc",
        // Chunks of another kind, chunks in chunks, chunks without an end.
        "a161615f6161ff",
        "a161615f5f4101ffff",
        "a161615f4101",
        // A break where a value should be, keys that are none, and text that is none.
        "a16161ff",
        "bf6161ffff",
        "a1f500",
        "a161616180",
        // Lengths that nobody has sent.
        "bbffffffffffffffff",
        "bb1000000000000000",
        "a161619b1000000000000000",
        "a161615b1000000000000000",
        "a161617b1000000000000000",
        "a1616178ff61",
    ] {
        let body = hex(body);
        assert_eq!(read(&body).unwrap_err(), Error::Malformed, "{body:02x?}");
    }
    assert_eq!(
        read(&with("List", "9b1000000000000000")).unwrap_err(),
        Error::Malformed
    );
}

#[test]
fn what_nests_too_deep_is_refused_in_little_room() {
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let nested = |open: &[u8]| {
        let mut body = hex("bf 64 456c7365");
        body.extend(open.repeat(1 << 20));
        body
    };
    let run = move || {
        for open in [&[0x81][..], &[0x9f], &[0xa1, 0x00], &[0xbf, 0x61, 0x61]] {
            assert_eq!(read(&nested(open)).unwrap_err(), Error::Malformed);
            assert_eq!(without_duplicates(&nested(open)), None);
        }
        // Tags do not nest.
        let mut body = nested(&[0xc1]);
        body.extend(hex("00ff"));
        assert!(read(&body).is_ok());
    };
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_wrong_type_is_refused_in_the_services_words() {
    for (member, value, expected) in [
        (
            "Name",
            "05",
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
        ),
        (
            "Name",
            "4161",
            "class java.nio.HeapByteBuffer can not be converted to an String",
        ),
        (
            "Data",
            "f5",
            "class java.lang.Boolean can not be converted to a Blob",
        ),
        (
            "Limit",
            "6135",
            "class java.lang.String can not be converted to an Integer",
        ),
        (
            "Time",
            "6135",
            "class java.lang.String can not be converted to milliseconds since epoch",
        ),
        ("Name", "80", "Start of list found where not expected"),
        (
            "Name",
            "a0",
            "Start of structure or map found where not expected.",
        ),
        ("Shape", "6161", "Expected null"),
        ("List", "4161", "Expected list or null"),
        ("Map", "00", "Expected map or null"),
    ] {
        let body = with(member, value);
        assert_eq!(
            read(&body).unwrap_err(),
            Error::Type(expected.to_owned()),
            "{member}"
        );
    }
}

#[test]
fn of_members_that_are_given_twice_the_last_counts() {
    let body = hex(
        "bf 64 4e616d65 61 61 65 5368617065 a2 64 4e616d65 61 78 64 4e616d65 61 79 \
         64 4e616d65 7f 61 62 61 63 ff ff",
    );
    assert_eq!(read(&body).unwrap_err(), Error::Duplicate);
    let single = without_duplicates(&body).unwrap();
    let request = read(&single).unwrap();
    assert_eq!(text(&request.name), Some("bc"));
    assert_eq!(text(&request.shape.unwrap().0.name), Some("y"));
}

#[test]
fn replies_are_written_with_indefinite_maps_and_lists() {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        name: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        numbers: Vec<i64>,
        flag: bool,
        limit: f64,
    }
    let reply = Reply {
        name: "a",
        absent: None,
        numbers: vec![0, 23, 24, -1, -25, 65_536, i64::MAX, i64::MIN],
        flag: true,
        limit: 1.5,
    };
    let expected = "bf 64 4e616d65 61 61 67 4e756d62657273 9f 00 17 1818 20 3818 1a00010000 \
                    1b7fffffffffffffff 3b7fffffffffffffff ff 64 466c6167 f5 \
                    65 4c696d6974 fb3ff8000000000000 ff";
    assert_eq!(to_vec(&reply), hex(expected));
}

/// Whatever another implementation can write.
fn any_value() -> impl Strategy<Value = ciborium::Value> {
    use ciborium::Value;
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i128>().prop_map(|number| Value::from(number >> 62)),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        ".{0,30}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Float),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner.clone()), 0..6).prop_map(Value::Map),
            (any::<u64>(), inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
        ]
    })
}

proptest! {
    #[test]
    fn what_another_implementation_writes_is_passed_over_whole(value in any_value(), cut in any::<prop::sample::Index>()) {
        let members = [("Else", value), ("Name", "a".into())];
        let members = members.map(|(name, value)| (name.into(), value));
        let mut body = Vec::new();
        ciborium::into_writer(&ciborium::Value::Map(members.into()), &mut body).unwrap();
        let request = read(&body).unwrap();
        prop_assert_eq!(text(&request.name), Some("a"));
        prop_assert!(is_map(&body));
        let end = cut.index(body.len());
        prop_assert_eq!(read(&body[..end]).unwrap_err(), Error::Malformed);
        prop_assert!(!is_map(&body[..end]));
    }

    #[test]
    fn bytes_and_texts_of_any_length_read_back(
        size in prop_oneof![0..600_usize, 65_000..66_000_usize], name in ".{0,300}",
        limit in any::<i32>(), time in any::<u64>(),
    ) {
        let data: Vec<u8> = (0..=255).cycle().take(size).collect();
        let mut body = vec![write::MAP];
        write::text(&mut body, "Data");
        write::bytes(&mut body, &data);
        write::text(&mut body, "Name");
        write::text(&mut body, &name);
        write::text(&mut body, "Limit");
        write::append(&mut body, &limit);
        write::text(&mut body, "Time");
        write::append(&mut body, &Timestamp(Moment(time)));
        body.push(write::BREAK);
        let request = read(&body).unwrap();
        prop_assert_eq!(request.data, Some(Blob::Bytes(data.into())));
        prop_assert_eq!(text(&request.name), Some(&*name));
        prop_assert_eq!(request.limit, Some(Int(limit)));
        prop_assert_eq!(request.time, Some(Time(Moment(time))));
        prop_assert_eq!(without_duplicates(&body), Some(body));
    }

    #[test]
    fn no_bytes_make_it_fail(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let is_sound = is_map(&body);
        if read(&body).is_ok() {
            prop_assert!(is_sound);
        }
        if let Some(single) = without_duplicates(&body) {
            prop_assert_ne!(read(&single).err(), Some(Error::Duplicate));
        }
    }
}
