//! A request in CBOR to any operation. The first byte says to which.

use bytes::Bytes;
use ciborium::Value;

use super::rig::{CBOR, OPERATIONS, ask_furnished, request};

pub(crate) fn run(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let operation = OPERATIONS[usize::from(*choice) % OPERATIONS.len()];
    let body_bytes = Bytes::copy_from_slice(body);
    let answer = ask_furnished(request(CBOR, operation, body_bytes));
    answer.check(CBOR);
    if answer.status != 200 {
        return;
    }
    if let Some(body) = answer.body.filter(|body| !body.is_empty()) {
        let mut rest = &body[..];
        let reply: Value = ciborium::from_reader(&mut rest).expect("a reply is CBOR");
        assert!(reply.is_map() && rest.is_empty());
    }
}
