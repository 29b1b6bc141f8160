//! The `Authorization` header, the date beside it, and the query that may stand for both. Lines:
//! header, date, query; what follows is the body.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::rig::{JSON, guarded, serve, take_apart};

pub(crate) fn run(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (header, date, query, body) = (part(), part(), part(), part());
    let query = std::str::from_utf8(query).unwrap_or_default();
    let mut request = Request::post(format!("/?{query}"))
        .header("content-type", JSON)
        .header("host", "localhost")
        .header("x-amz-target", "Kinesis_20131202.ListStreams");
    if !header.is_empty() {
        request = request.header("authorization", header);
    }
    if !date.is_empty() {
        request = request.header("x-amz-date", date);
    }
    let Ok(request) = request.body(Full::new(Bytes::copy_from_slice(body))) else {
        return;
    };
    let answer = take_apart(serve(guarded(), request));
    let (name, text) = answer.refusal().expect("nobody can sign by chance");
    assert_eq!(answer.status, 400, "{name}: {text}");
}
