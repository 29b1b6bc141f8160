//! Tags of streams, by name and by ARN: the two families of operations see the same ones.

use std::time::Duration;

use kinesis_emulator::Delays;
use serde_json::{Value, json};

use crate::caller::Caller;

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

/// The tags of the stream `s`, as pairs.
async fn tags(caller: &Caller) -> Vec<(String, String)> {
    let one = caller
        .ok("ListTagsForStream", json!({"StreamName": "s"}))
        .await;
    assert_eq!(one["HasMoreTags"], false);
    let other = caller
        .ok("ListTagsForResource", json!({"ResourceARN": ARN}))
        .await;
    assert_eq!(one["Tags"], other["Tags"]);
    pairs(&one)
}

fn pairs(listing: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |tag: &Value| (text(&tag["Key"]), text(&tag["Value"]));
    listing["Tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(pair)
        .collect()
}

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

fn invalid(text: &str) -> (String, String) {
    ("InvalidArgumentException".to_owned(), text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn tags_are_added_replaced_and_removed_by_either_family() {
    let caller = Caller::new();
    let body = json!({"StreamName": "s", "ShardCount": 1, "Tags": {"made": "with", "b": "1"}});
    caller.ok("CreateStream", body).await;
    assert_eq!(
        tags(&caller).await,
        expected(&[("b", "1"), ("made", "with")])
    );
    let added = json!({"StreamName": "s", "Tags": {"b": "2", "ü0 _.": "/=+-@:", "c": ""}});
    assert_eq!(caller.ok("AddTagsToStream", added).await, Value::Null);
    let added = json!({"ResourceARN": ARN, "Tags": {"a": "3"}});
    assert_eq!(caller.ok("TagResource", added).await, Value::Null);
    let all = [
        ("a", "3"),
        ("b", "2"),
        ("c", ""),
        ("made", "with"),
        ("ü0 _.", "/=+-@:"),
    ];
    assert_eq!(tags(&caller).await, expected(&all));
    let removed = json!({"StreamARN": ARN, "TagKeys": ["made", "never"]});
    assert_eq!(
        caller.ok("RemoveTagsFromStream", removed).await,
        Value::Null
    );
    let removed = json!({"ResourceARN": ARN, "TagKeys": ["a", "c", "ü0 _."]});
    assert_eq!(caller.ok("UntagResource", removed).await, Value::Null);
    assert_eq!(tags(&caller).await, expected(&[("b", "2")]));
    // They go with their stream.
    caller.ok("DeleteStream", json!({"StreamName": "s"})).await;
    let body = json!({"StreamName": "s", "ShardCount": 1});
    caller.ok("CreateStream", body).await;
    assert_eq!(tags(&caller).await, []);
}

#[tokio::test(start_paused = true)]
async fn tags_are_listed_in_pages() {
    let caller = Caller::with_stream(1).await;
    let many: serde_json::Map<_, _> = (0..50)
        .map(|place| (format!("k{place:02}"), json!(place.to_string())))
        .collect();
    caller
        .ok("AddTagsToStream", json!({"StreamName": "s", "Tags": many}))
        .await;
    let mut seen = Vec::new();
    let mut body = json!({"StreamName": "s", "Limit": 20});
    loop {
        let page = caller.ok("ListTagsForStream", body.clone()).await;
        seen.extend(pairs(&page));
        if page["HasMoreTags"] == false {
            break;
        }
        assert_eq!(page["Tags"].as_array().unwrap().len(), 20);
        body["ExclusiveStartTagKey"] = json!(seen.last().unwrap().0);
    }
    assert_eq!(seen, tags(&caller).await);
    assert_eq!(seen.len(), 50);
    // The start need not be a tag itself.
    body["ExclusiveStartTagKey"] = json!("k48!");
    let rest = caller.ok("ListTagsForStream", body).await;
    assert_eq!(pairs(&rest), expected(&[("k49", "49")]));
}

#[tokio::test(start_paused = true)]
async fn what_no_tag_may_be_is_refused_wherever_tags_are_given() {
    let caller = Caller::with_stream(1).await;
    let characters = "Some tags contain invalid characters. Valid characters: Unicode letters, \
                      digits, white space, _ . / = + - % @.";
    let failed = |stream: &str, why: &str| {
        invalid(&format!(
            "Failed to add tags to stream {stream} under account 000000000000 because {why}"
        ))
    };
    let illegal = "some tags contained illegal characters. The allowed characters are Unicode \
                   letters, white-spaces, '_',',','/','=','+','-','@'.";
    let reserved = "tag keys that begin with aws: are reserved.";
    let full = "a given stream cannot have more than 50 tags associated with it.";
    let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!(""))).collect();
    let many = Value::Object(many);
    for (operation, base, stream) in [
        ("AddTagsToStream", json!({"StreamName": "s"}), "s"),
        ("TagResource", json!({"ResourceARN": ARN}), "s"),
        (
            "CreateStream",
            json!({"StreamName": "t", "ShardCount": 1}),
            "t",
        ),
    ] {
        for (tags, refusal) in [
            (json!({"a;b": ""}), invalid(characters)),
            (json!({"a": "tab\t"}), invalid(characters)),
            (json!({"a%b": ""}), failed(stream, illegal)),
            (json!({"good": "", "aws:x": ""}), failed(stream, reserved)),
            (many.clone(), failed(stream, full)),
        ] {
            let mut body = base.clone();
            body["Tags"] = tags;
            assert_eq!(
                caller.refused(operation, body).await,
                refusal,
                "{operation}"
            );
        }
    }
    assert_eq!(tags(&caller).await, []);
    let illegal = invalid(&format!(
        "Failed to remove tags from stream s under account 000000000000 because {illegal}"
    ));
    for (operation, base) in [
        ("RemoveTagsFromStream", json!({"StreamName": "s"})),
        ("UntagResource", json!({"ResourceARN": ARN})),
    ] {
        for (key, refusal) in [("a,b", invalid(characters)), ("a%", illegal.clone())] {
            let mut body = base.clone();
            body["TagKeys"] = json!([key]);
            assert_eq!(
                caller.refused(operation, body).await,
                refusal,
                "{operation}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_shape_of_tags_is_checked_in_the_services_words() {
    let caller = Caller::with_stream(1).await;
    let (long, longer) = ("k".repeat(129), "v".repeat(257));
    let length = |least: u32, most: u32| {
        format!(
            "[Member must have length less than or equal to {most}, Member must have length greater \
             than or equal to {least}]"
        )
    };
    let name = "Value '' at 'streamName' failed to satisfy constraint: Member must";
    let pattern = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
    let least = "have length greater than or equal to 1";
    for (operation, body, text) in [
        (
            "AddTagsToStream",
            json!({"StreamName": "", "Tags": {}}),
            format!(
                "3 validation errors detected: Value '{{}}' at 'tags' failed to satisfy constraint: \
                 Member must {least}; {name} {pattern}; {name} {least}"
            ),
        ),
        (
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": {"a": "1", (long.as_str()): "2"}}),
            format!(
                "1 validation error detected: Value '{{a=1, {long}=2}}' at 'tags' failed to satisfy \
                 constraint: Map keys must satisfy constraint: {}",
                length(1, 128)
            ),
        ),
        (
            "TagResource",
            json!({"ResourceARN": ARN, "Tags": {"a": longer}}),
            format!(
                "1 validation error detected: Value '{{a={longer}}}' at 'tags' failed to satisfy \
                 constraint: Map value must satisfy constraint: {}",
                length(0, 256)
            ),
        ),
        (
            "RemoveTagsFromStream",
            json!({"StreamName": "s", "TagKeys": ["a", long, "b"]}),
            format!(
                "1 validation error detected: Value '[a, {long}, b]' at 'tagKeys' failed to satisfy \
                 constraint: Member must satisfy constraint: {}",
                length(1, 128)
            ),
        ),
    ] {
        let refusal = ("ValidationException".to_owned(), text);
        assert_eq!(
            caller.refused(operation, body).await,
            refusal,
            "{operation}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn other_members_of_requests_about_tags_are_checked() {
    let caller = Caller::with_stream(1).await;
    for (operation, body, text) in [
        (
            "UntagResource",
            json!({}),
            "2 validation errors detected: Value null at 'tagKeys' failed to satisfy constraint: \
             Member must not be null; Value null at 'resourceARN' failed to satisfy constraint: \
             Member must not be null",
        ),
        (
            "ListTagsForResource",
            json!({"ResourceARN": "s"}),
            "1 validation error detected: Value 's' at 'resourceARN' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: \
             arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+",
        ),
        (
            "ListTagsForStream",
            json!({"StreamName": "s", "Limit": 51}),
            "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member \
             must have value less than or equal to 50",
        ),
    ] {
        let refusal = ("ValidationException".to_owned(), text.to_owned());
        assert_eq!(
            caller.refused(operation, body).await,
            refusal,
            "{operation}"
        );
    }
    for (body, text) in [
        (
            json!({"StreamName": "s", "Tags": []}),
            "Start of list found where not expected",
        ),
        (
            json!({"StreamName": "s", "Tags": "a"}),
            "Expected map or null",
        ),
    ] {
        let refusal = ("SerializationException".to_owned(), text.to_owned());
        assert_eq!(caller.refused("AddTagsToStream", body).await, refusal);
    }
}

#[tokio::test(start_paused = true)]
async fn tags_of_a_stream_that_comes_or_goes_are_seen_but_stand_fast() {
    let second = Duration::from_secs(1);
    let caller = Caller::with_delays(Delays {
        create: second,
        delete: second,
        ..Delays::default()
    });
    let body = json!({"StreamName": "s", "ShardCount": 1, "Tags": {"a": "1"}});
    caller.ok("CreateStream", body).await;
    let changes = [
        (
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": {"b": "2"}}),
        ),
        (
            "TagResource",
            json!({"ResourceARN": ARN, "Tags": {"b": "2"}}),
        ),
        (
            "RemoveTagsFromStream",
            json!({"StreamName": "s", "TagKeys": ["a"]}),
        ),
        (
            "UntagResource",
            json!({"ResourceARN": ARN, "TagKeys": ["a"]}),
        ),
    ];
    let in_use = |state: &str| {
        let text =
            format!("Stream s under account 000000000000 not ACTIVE, instead in state {state}");
        ("ResourceInUseException".to_owned(), text)
    };
    for (operation, body) in &changes {
        let refusal = caller.refused(operation, body.clone()).await;
        assert_eq!(refusal, in_use("CREATING"), "{operation}");
    }
    assert_eq!(tags(&caller).await, expected(&[("a", "1")]));
    caller.advance(second);
    caller.ok(changes[0].0, changes[0].1.clone()).await;
    caller.ok("DeleteStream", json!({"StreamName": "s"})).await;
    for (operation, body) in &changes {
        let refusal = caller.refused(operation, body.clone()).await;
        assert_eq!(refusal, in_use("DELETING"), "{operation}");
    }
    assert_eq!(tags(&caller).await, expected(&[("a", "1"), ("b", "2")]));
}

#[tokio::test(start_paused = true)]
async fn tags_of_what_is_not_there_are_not_found() {
    let caller = Caller::new();
    let not_found = (
        "ResourceNotFoundException".to_owned(),
        "Stream s under account 000000000000 not found.".to_owned(),
    );
    for (operation, body) in [
        // Found before the characters are looked at.
        (
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": {";": ""}}),
        ),
        (
            "RemoveTagsFromStream",
            json!({"StreamName": "s", "TagKeys": [";"]}),
        ),
        ("ListTagsForStream", json!({"StreamName": "s"})),
        (
            "TagResource",
            json!({"ResourceARN": ARN, "Tags": {";": ""}}),
        ),
        (
            "UntagResource",
            json!({"ResourceARN": ARN, "TagKeys": [";"]}),
        ),
        ("ListTagsForResource", json!({"ResourceARN": ARN})),
    ] {
        assert_eq!(
            caller.refused(operation, body).await,
            not_found,
            "{operation}"
        );
    }
    for arn in [
        "arn:aws:kinesis:us-east-1:000000000000:channel/stream/s",
        "arn:aws:kinesis:us-east-1:000000000000:stream/s/t",
    ] {
        assert_eq!(
            caller
                .refused("ListTagsForResource", json!({"ResourceARN": arn}))
                .await,
            invalid(&format!("{arn} is not the ARN of a stream or a consumer."))
        );
    }
    for (operation, body) in [
        ("AddTagsToStream", json!({"Tags": {"a": ""}})),
        ("RemoveTagsFromStream", json!({"TagKeys": ["a"]})),
        ("ListTagsForStream", json!({})),
    ] {
        assert_eq!(
            caller.refused(operation, body).await,
            invalid("Either StreamARN or StreamName should be provided.")
        );
    }
}
