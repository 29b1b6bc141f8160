//! The control interface: what lies under `/_emulator/` on the emulator's own port. JSON in and out.
//!
//! Owns the paths and how a request for one is read and answered; what it shows and changes belongs
//! to the clock, the engine and the tables. Called by [`crate::Service::serve`] before anything else
//! looks at the request, and so open to callers in process as well. Documented in docs/control.md.

mod clock;
mod duration;
mod faults;
mod metrics;
mod prometheus;
mod reply;
mod streams;

use http::request::Parts;
use http::{Method, Response};

use crate::Service;
use crate::wire::body::Body;

use self::reply::{Problem, json};

/// Everything of the control interface lies below.
pub(crate) const ROOT: &str = "/_emulator";

/// The paths below [`ROOT`], for whoever asks for one that is not there.
const PATHS: &str = "health, version, clock, clock/freeze, clock/resume, clock/advance, clock/rate, faults, metrics, streams, reset";

/// A request to the control interface.
#[derive(Debug)]
struct Request<'a> {
    method: &'a Method,
    /// Below [`ROOT`], without slashes at its ends.
    path: &'a str,
    body: &'a [u8],
}

/// Whether a path is one of the control interface, there or not.
pub(crate) fn owns(path: &str) -> bool {
    path.strip_prefix(ROOT)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path is answered to everyone, signed or not: whether the emulator lives.
pub(crate) fn is_open(path: &str) -> bool {
    let rest = path.strip_prefix(ROOT).unwrap_or_default();
    rest.trim_matches('/').split('/').next() == Some("health")
}

/// The answer to a request whose path is one of the control interface.
pub(crate) fn answer(service: &Service, head: &Parts, body: &[u8]) -> Response<Body> {
    let path = head.uri.path();
    let request = Request {
        method: &head.method,
        path: path.strip_prefix(ROOT).unwrap_or(path).trim_matches('/'),
        body,
    };
    route(service, &request).unwrap_or_else(Problem::answer)
}

fn route(service: &Service, request: &Request<'_>) -> Result<Response<Body>, Problem> {
    let (first, rest) = request.path.split_once('/').unwrap_or((request.path, ""));
    match (first, rest) {
        ("health", "" | "live" | "ready") => {
            request.allow(&[Method::GET, Method::HEAD])?;
            Ok(json(&serde_json::json!({"live": true, "ready": true})))
        }
        ("version", "") => {
            request.allow(&[Method::GET])?;
            let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
            Ok(json(&serde_json::json!({"name": name, "version": version})))
        }
        ("faults", id) => faults::answer(service, request, id),
        ("metrics", "") => {
            request.allow(&[Method::GET])?;
            Ok(reply::text(metrics::text(service)))
        }
        ("streams", "") => {
            request.allow(&[Method::GET])?;
            Ok(json(&streams::overview(service)))
        }
        ("reset", "") => {
            request.allow(&[Method::POST])?;
            Ok(json(&streams::reset(service)))
        }
        ("clock", action) => clock::answer(service, request, action),
        _ => Err(Problem::not_found(format!(
            "There is no {ROOT}/{}. There are: {PATHS}.",
            request.path
        ))),
    }
}

impl Request<'_> {
    /// Refuses every other method.
    fn allow(&self, methods: &[Method]) -> Result<(), Problem> {
        if methods.contains(self.method) {
            return Ok(());
        }
        Err(Problem::method(self.method, self.path, methods))
    }
}
