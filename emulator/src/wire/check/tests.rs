//! How broken constraints are told.

use super::*;

fn told(check: impl FnOnce(&mut Checks)) -> String {
    let mut checks = Checks::default();
    check(&mut checks);
    match checks.finish() {
        Ok(()) => String::new(),
        Err(refusal) => refusal.message.unwrap(),
    }
}

#[test]
fn one_error_is_told_in_the_singular_and_two_in_the_plural() {
    assert_eq!(
        told(|checks| checks.name(&"streamName", "a b")),
        "1 validation error detected: Value 'a b' at 'streamName' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    );
    assert_eq!(
        told(|checks| checks.name(&"streamName", "")),
        "2 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '' at \
         'streamName' failed to satisfy constraint: Member must have length greater than or \
         equal to 1"
    );
    assert_eq!(
        told(|checks| assert!(checks.required(&"data", None::<()>).is_none())),
        "1 validation error detected: Value null at 'data' failed to satisfy constraint: Member \
         must not be null"
    );
}

#[test]
fn no_more_than_ten_are_told() {
    let text = told(|checks| (0..20).for_each(|_| checks.range(&"limit", 0, (1, 5))));
    assert!(text.starts_with("10 validation errors detected: "));
    assert_eq!(text.matches("; ").count(), 9);
}

#[test]
fn length_counts_characters() {
    assert_eq!(
        told(|checks| checks.length(&"key", &"é".repeat(256), (1, 256))),
        ""
    );
    assert!(told(|checks| checks.length(&"key", &"é".repeat(257), (1, 256))).contains("256"));
}

#[test]
fn tags_are_told_as_a_whole() {
    let tag = |key: &str, value: &str| {
        let value = Some(Text(value.to_owned().into()));
        (key.to_owned().into(), value)
    };
    let tags = Map(vec![tag("a", "b"), tag("", &"c".repeat(257))]);
    let text = told(|checks| checks.tags(&"tags", &tags));
    let value = format!("Value '{{a=b, ={}}}' at 'tags'", "c".repeat(257));
    assert_eq!(
        text,
        format!(
            "2 validation errors detected: {value} failed to satisfy constraint: Map keys must \
             satisfy constraint: [Member must have length less than or equal to 128, Member must \
             have length greater than or equal to 1]; {value} failed to satisfy constraint: Map \
             value must satisfy constraint: [Member must have length less than or equal to 256, \
             Member must have length greater than or equal to 0]"
        )
    );
    let keys = List(vec![Some(Text("a".into())), Some(Text("".into()))]);
    let text = told(|checks| checks.tag_keys(&"tagKeys", &keys));
    assert_eq!(
        text,
        "1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: \
         Member must satisfy constraint: [Member must have length less than or equal to 128, \
         Member must have length greater than or equal to 1]"
    );
    let text = told(|checks| checks.all_of(&"metrics", &keys, (1, 1), &["a", "b"]));
    assert!(text.contains(
        "Value '[a, ]' at 'metrics' failed to satisfy constraint: Member must \
         have length less than or equal to 1; "
    ));
    assert!(text.ends_with(
        "Member must satisfy constraint: [Member must satisfy enum value \
         set: [a, b]]"
    ));
}

#[test]
fn ids_of_streams_have_two_parts() {
    assert_eq!(
        told(|checks| checks.stream_id(Some("abcdefghij0123456789-xyz"))),
        ""
    );
    for wrong in [
        "",
        "abcdefghij0123456789_xyz",
        "Abcdefghij0123456789-xyz",
        "a-b",
    ] {
        assert!(told(|checks| checks.stream_id(Some(wrong))).contains("pattern"));
    }
}

#[test]
fn numbers_are_plain() {
    for (text, is) in [
        ("0", true),
        ("10", true),
        ("01", false),
        ("", false),
        ("-1", false),
    ] {
        assert_eq!(is_number(text, 39), is, "{text}");
    }
    assert!(!is_number(&"9".repeat(40), 39));
}

#[test]
fn arns_of_consumers_name_them_and_their_streams() {
    let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    let arn = format!("{stream}/consumer/app:1700000000");
    let parsed = ConsumerArn::parse(&arn).unwrap();
    assert_eq!((parsed.stream, parsed.name), (stream, "app"));
    assert_eq!(parsed.created, 1_700_000_000);
    for wrong in [
        stream.to_owned(),
        format!("{stream}/consumer/app"),
        format!("{stream}/consumer/app:"),
        format!("{stream}/consumer/app:x"),
        format!("{stream}/consumer/:1"),
        format!("{stream}/x/consumer/a:1"),
        format!("{stream}/consumer/a/consumer/b:1"),
        format!("{stream}/consumer/app:{}", u128::MAX),
    ] {
        assert_eq!(ConsumerArn::parse(&wrong), None, "{wrong}");
    }
}

#[test]
fn arns_of_streams_name_them() {
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    assert_eq!(stream_of_arn(arn), Some("orders"));
    assert_eq!(
        stream_of_arn("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a"),
        Some("a")
    );
    for wrong in [
        "orders",
        "arn:aws:kinesis:us-east-1:0:stream/orders",
        "arn:aws:s3:us-east-1:000000000000:stream/orders",
        "arn:aws:kinesis:us-east-1:000000000000:stream/",
    ] {
        assert_eq!(stream_of_arn(wrong), None, "{wrong}");
    }
}
