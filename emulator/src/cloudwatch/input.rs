//! Requests, as they come: which protocol, which operation, and a body that is read with serde.
//!
//! A request is one of CloudWatch's if its path, its target or its form says so; whatever says nothing
//! of the kind is left to the other services of the port.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::GzDecoder;
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::wire::body::REQUEST_MAX;
use crate::wire::cbor;

use super::form::{self, Node};
use super::protocol::Protocol;
use super::refusal::Refusal;

const PATH: &str = "/service/GraniteServiceVersion20100801/operation/";
const TARGET: &str = "GraniteServiceVersion20100801.";
const VERSION: &str = "2010-08-01";
const FORM: &str = "application/x-www-form-urlencoded";

/// The service takes no larger bodies, compressed as they may be.
const BODY_MAX: usize = 1 << 20;

/// A request of CloudWatch.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(super) protocol: Protocol,
    pub(super) operation: String,
    /// What the operation reads, or why it cannot.
    pub(super) input: Result<Input<'a>, Refusal>,
}

/// What an operation reads.
#[derive(Debug)]
pub(super) enum Input<'a> {
    Form(Node),
    Json(Cow<'a, [u8]>),
    Cbor(Cow<'a, [u8]>),
}

impl<'a> Asked<'a> {
    /// The request, if it is one of CloudWatch.
    pub(crate) fn of(head: &'a Parts, body: &'a [u8]) -> Option<Self> {
        let header = |name: &str| head.headers.get(name)?.to_str().ok();
        if head.method == Method::POST {
            if let Some(operation) = head.uri.path().strip_prefix(PATH) {
                let is_smithy = header("smithy-protocol") == Some("rpc-v2-cbor");
                let input = expand(&head.headers, body).map(Input::Cbor);
                return Some(Self {
                    protocol: Protocol::Cbor,
                    operation: operation.to_owned(),
                    input: input.and_then(|input| match is_smithy {
                        true => Ok(input),
                        false => Err(Refusal::malformed(
                            "The header smithy-protocol must be rpc-v2-cbor",
                        )),
                    }),
                });
            }
            if let Some(target) = header("x-amz-target") {
                return Some(Self {
                    protocol: Protocol::Json,
                    operation: target.strip_prefix(TARGET)?.to_owned(),
                    input: expand(&head.headers, body).map(Input::Json),
                });
            }
        }
        Self::of_form(head, body)
    }

    /// A form in the body, or in the query of a GET.
    fn of_form(head: &Parts, body: &[u8]) -> Option<Self> {
        if head.method == Method::GET {
            return Self::of_parameters(head.uri.query()?.as_bytes());
        }
        let kind = head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if head.method != Method::POST || !kind.eq_ignore_ascii_case(FORM) {
            return None;
        }
        match expand(&head.headers, body) {
            Ok(body) => Self::of_parameters(&body),
            // Nobody else on the port takes forms, or compressed bodies.
            Err(refusal) => Some(Self {
                protocol: Protocol::Query,
                operation: String::new(),
                input: Err(refusal),
            }),
        }
    }

    fn of_parameters(form: &[u8]) -> Option<Self> {
        let value = |wanted: &str| {
            let mut pairs = form_urlencoded::parse(form);
            pairs.find(|(name, _)| name == wanted)
        };
        let (_, operation) = value("Action")?;
        if value("Version")?.1 != VERSION {
            return None;
        }
        let parsed = form::parse(form).map(|all| Input::Form(Node::Below(all)));
        Some(Self {
            protocol: Protocol::Query,
            operation: operation.into_owned(),
            input: parsed.map_err(|error| Refusal::malformed(error.0)),
        })
    }
}

impl Input<'_> {
    /// The request, as an operation wants it.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        match self {
            Self::Form(node) => T::deserialize(node).map_err(|error| Refusal::malformed(error.0)),
            Self::Json(body) => {
                let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
                if body.trim_ascii_start().first() != Some(&b'{') {
                    // A structure would also be read from a list.
                    return Err(Refusal::malformed("The body is no JSON object"));
                }
                serde_json::from_slice(body).map_err(|error| Refusal::malformed(error.to_string()))
            }
            Self::Cbor(body) => {
                // An operation without input may come without a body.
                let body: &[u8] = if body.is_empty() { &[0xa0] } else { &body };
                cbor::from_slice(body).map_err(|error| Refusal::malformed(error.to_string()))
            }
        }
    }
}

/// The body as its sender had it before it was compressed.
fn expand<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Cow<'a, [u8]>, Refusal> {
    if body.len() > BODY_MAX {
        return Err(Refusal::too_large(body.len(), BODY_MAX));
    }
    let Some(encoding) = headers.get(CONTENT_ENCODING) else {
        return Ok(Cow::Borrowed(body));
    };
    if !encoding.as_bytes().eq_ignore_ascii_case(b"gzip") {
        let text = format!("The content encoding {encoding:?} is not supported");
        return Err(Refusal::malformed(text));
    }
    let mut whole = Vec::new();
    // One byte more than there may be, to see whether there is more.
    let limit = REQUEST_MAX + 1;
    let expanded = GzDecoder::new(body)
        .take(u64::try_from(limit).unwrap_or(u64::MAX))
        .read_to_end(&mut whole);
    if let Err(error) = expanded {
        let text = format!("The body cannot be expanded: {error}");
        return Err(Refusal::malformed(text));
    }
    if whole.len() > REQUEST_MAX {
        return Err(Refusal::too_large(whole.len(), REQUEST_MAX));
    }
    Ok(Cow::Owned(whole))
}
