//! The canonical form of a request, as Signature Version 4 defines it for every service but S3.

use std::borrow::Cow;
use std::fmt::Write;

use http::header::{HOST, HeaderMap};

/// A name and a value of the query, decoded.
pub(super) type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The path: without dots and doubled slashes, and with every part encoded once more.
pub(super) fn path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let ends_open = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let mut out = String::with_capacity(path.len() + 1);
    for part in &parts {
        out.push('/');
        encode(part.as_bytes(), &mut out);
    }
    if parts.is_empty() || ends_open {
        out.push('/');
    }
    out
}

/// The query, decoded into names and values.
pub(super) fn pairs(query: Option<&str>) -> Vec<Pair<'_>> {
    let parts = query.unwrap_or_default().split('&');
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The query: encoded, in order, and without the signature.
pub(super) fn query(pairs: &[Pair<'_>]) -> String {
    let mut encoded: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, _)| name.as_ref() != b"X-Amz-Signature")
        .map(|(name, value)| {
            let (mut left, mut right) = (String::new(), String::new());
            encode(name, &mut left);
            encode(value, &mut right);
            (left, right)
        })
        .collect();
    encoded.sort();
    let joined: Vec<String> = encoded
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    joined.join("&")
}

/// The lines of the signed headers, in the order they are named in.
pub(super) fn headers(names: &str, headers: &HeaderMap, authority: Option<&str>) -> String {
    let mut out = String::new();
    for name in names.split(';') {
        out.push_str(name);
        out.push(':');
        let mut is_first = true;
        for value in headers.get_all(name) {
            if !is_first {
                out.push(',');
            }
            is_first = false;
            push_trimmed(&String::from_utf8_lossy(value.as_bytes()), &mut out);
        }
        // HTTP/2 has the host elsewhere.
        if is_first && (name == HOST.as_str() || name == ":authority") {
            out.push_str(authority.unwrap_or_default());
        }
        out.push('\n');
    }
    out
}

/// Without blanks around, and one blank for many.
fn push_trimmed(value: &str, out: &mut String) {
    let mut words = value.split_ascii_whitespace();
    if let Some(word) = words.next() {
        out.push_str(word);
    }
    for word in words {
        out.push(' ');
        out.push_str(word);
    }
}

fn encode(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
}

/// A percent sign that starts no escape stands for itself.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let digit = |place: usize| {
        let digit = char::from(*bytes.get(place)?).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let escaped = if byte == b'%' {
            digit(place + 1).zip(digit(place + 2))
        } else {
            None
        };
        if let Some((high, low)) = escaped {
            out.push(high << 4 | low);
            place += 3;
        } else {
            out.push(byte);
            place += 1;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_dots_and_are_encoded_once_more() {
        for (given, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/./example", "/example"),
            ("/example/..", "/"),
            ("/example1/example2/../..", "/"),
            ("//example//", "/example/"),
            ("/example%20space/", "/example%2520space/"),
            ("/../../etc", "/etc"),
        ] {
            assert_eq!(path(given), expected, "{given}");
        }
    }

    #[test]
    fn queries_are_sorted_by_their_encoded_names_and_values() {
        for (given, expected) in [
            ("", ""),
            ("b=2&a=1&a=0", "a=0&a=1&b=2"),
            ("p", "p="),
            ("p=a b", "p=a%20b"),
            ("p=a%20b&&q=%2f", "p=a%20b&q=%2F"),
            ("p=%ZZ", "p=%25ZZ"),
            ("X-Amz-Signature=1&a=b%", "a=b%25"),
            ("p=+", "p=%2B"),
        ] {
            assert_eq!(query(&pairs(Some(given))), expected, "{given}");
        }
    }

    #[test]
    fn values_of_headers_lose_their_blanks_and_are_joined() {
        let mut given = HeaderMap::new();
        given.append("a", "  x   y ".parse().unwrap());
        given.append("a", "z".parse().unwrap());
        assert_eq!(
            headers("a;host;none", &given, Some("h:1")),
            "a:x y,z\nhost:h:1\nnone:\n"
        );
    }
}
