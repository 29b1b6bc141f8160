//! A request in JSON to any operation. The first byte says to which.

use bytes::Bytes;

use super::rig::{JSON, OPERATIONS, ask_furnished, request};

pub(crate) fn run(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let operation = OPERATIONS[usize::from(*choice) % OPERATIONS.len()];
    let body_bytes = Bytes::copy_from_slice(body);
    let answer = ask_furnished(request(JSON, operation, body_bytes));
    answer.check(JSON);
    if answer.status != 200 {
        return;
    }
    // Nothing is accepted that is no JSON, and nothing else is answered.
    let body = std::str::from_utf8(body).expect("accepted text");
    assert!(body.trim_ascii_start().starts_with('{'));
    serde_json::from_str::<serde::de::IgnoredAny>(body).expect("accepted JSON");
    if let Some(body) = answer.body.filter(|body| !body.is_empty()) {
        let reply: serde_json::Value = serde_json::from_slice(&body).expect("a reply is JSON");
        assert!(reply.is_object());
    }
}
