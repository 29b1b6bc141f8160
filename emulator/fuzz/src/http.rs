//! A whole request: a line with method and path, lines of headers, an empty line, and the body. Its
//! first byte says whether signatures are checked.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::rig::{ask_furnished, guarded, serve, take_apart};

/// Statuses that the emulator gives, over all its interfaces.
const STATUSES: [u16; 9] = [200, 204, 400, 403, 404, 405, 409, 413, 500];

pub(crate) fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let Some(request) = parse(rest) else {
        return;
    };
    let is_guarded = choice & 1 == 1;
    let is_open = request.uri().path().starts_with("/_emulator") || request.method() == "OPTIONS";
    let answer = if is_guarded {
        take_apart(serve(guarded(), request))
    } else {
        ask_furnished(request)
    };
    assert!(
        STATUSES.contains(&answer.status.as_u16()),
        "{}",
        answer.status
    );
    assert_ne!(answer.status, 500, "{:?}", answer.body);
    assert!(answer.headers.contains_key("x-amzn-requestid"));
    if is_guarded && !is_open {
        assert_ne!(answer.status, 200, "nobody can sign by chance");
    }
}

fn parse(data: &[u8]) -> Option<Request<Full<Bytes>>> {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(place) => (&data[..place], &data[place + 2..]),
        None => (data, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, path) = first.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path);
    for line in lines.take(64) {
        let place = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..place], line[place + 1..].trim_ascii());
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).ok()
}
