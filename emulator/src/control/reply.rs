//! Answers of the control interface: JSON, also where something is wrong.

use http::header::{ALLOW, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::answer;
use crate::wire::body::Body;

use super::{ROOT, Request};

/// The version of the format is part of its type.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a request is not answered as it was meant to be.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    text: String,
    /// The methods that would do.
    allow: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            allow: None,
        }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    pub(super) fn method(method: &Method, path: &str, methods: &[Method]) -> Self {
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        let allow = names.join(", ");
        let text = format!("{ROOT}/{path} does not take {method}. It takes {allow}.");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, text)
        }
    }

    pub(super) fn answer(self) -> Response<Body> {
        let body = serde_json::json!({ "error": self.text });
        let mut answer = with_status(self.status, &body);
        let allow = self
            .allow
            .and_then(|allow| HeaderValue::try_from(allow).ok());
        if let Some(allow) = allow {
            answer.headers_mut().insert(ALLOW, allow);
        }
        answer
    }
}

/// A sound answer.
pub(super) fn json(body: &impl Serialize) -> Response<Body> {
    with_status(StatusCode::OK, body)
}

/// Metrics.
pub(super) fn text(body: String) -> Response<Body> {
    answer::answer(StatusCode::OK, Some(TEXT), body)
}

pub(super) fn with_status(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let mut text = serde_json::to_vec(body).expect("these shapes have string keys");
    // For those who look at it in a terminal.
    text.push(b'\n');
    answer::answer(status, Some(JSON), text)
}

impl Request<'_> {
    /// The body, which must have what `T` has and nothing else.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body = if self.body.trim_ascii().is_empty() {
            b"{}"
        } else {
            self.body
        };
        serde_json::from_slice(body)
            .map_err(|error| Problem::bad(format!("The body is not what it should be: {error}.")))
    }
}
