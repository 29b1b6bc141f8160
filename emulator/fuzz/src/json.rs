//! A request in JSON to any operation. The first byte says to which.

use bytes::Bytes;

use super::rig::{JSON, OPERATIONS, call, furnished};

pub(crate) fn run(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let operation = OPERATIONS[usize::from(*choice) % OPERATIONS.len()];
    let answer = call(&furnished(), JSON, operation, Bytes::copy_from_slice(body));
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
