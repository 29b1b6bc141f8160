//! The Runtime API as HTTP, on one port of the loopback interface, for one life of a process.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::desk::{Desk, Refused};
use super::{FunctionSettings, Invocation, Outcome};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::lambda::event::PAYLOAD_BYTES_MAX;

/// Connections at once. A runtime client has one or two.
const CONNECTIONS_MAX: usize = 16;

const ROOT: &str = "/2018-06-01/runtime/";

/// Where the process and the one who invokes it meet.
#[derive(Debug)]
pub(super) struct Counter {
    desk: Mutex<Desk>,
    /// Rung when something is offered.
    offered: Notify,
    address: SocketAddr,
    arn: String,
    timeout: Duration,
    env: Env,
}

impl Counter {
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ring(&self) {
        self.offered.notify_waiters();
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens on a free port, in a task of this set.
pub(super) async fn listen(
    settings: &FunctionSettings,
    env: &Env,
    tasks: &mut JoinSet<()>,
) -> Result<Arc<Counter>, Error> {
    let unavailable = |cause: std::io::Error| {
        Error::new(
            ErrorKind::Unavailable,
            "cannot listen on the loopback interface",
        )
        .with_source(cause)
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(unavailable)?;
    let counter = Arc::new(Counter {
        desk: Mutex::default(),
        offered: Notify::new(),
        address: listener.local_addr().map_err(unavailable)?,
        arn: settings.arn.clone(),
        timeout: settings.timeout,
        env: env.clone(),
    });
    tasks.spawn(env.task(accept(listener, counter.clone())));
    Ok(counter)
}

async fn accept(listener: TcpListener, counter: Arc<Counter>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        // ORDER: connections that are over first, so that the set does not grow.
        let accepted = tokio::select! {
            biased;
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let serve = serve(stream, counter.clone());
                connections.spawn(counter.env.task(async move {
                    serve.await;
                    drop(permit);
                }));
            }
            Err(error) => {
                tracing::debug!(%error, "a connection of a function was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, counter: Arc<Counter>) {
    let service = service_fn(|request| {
        let counter = counter.clone();
        async move { Ok::<_, Infallible>(answer(&counter, request).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of a function broke off");
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(counter: &Counter, request: Request<Incoming>) -> Answer {
    let host = request.headers().get(HOST).map(|host| host.as_bytes());
    if host != Some(counter.address.to_string().as_bytes()) {
        return refuse(StatusCode::FORBIDDEN, "Forbidden", "this is not the host");
    }
    let path = request
        .uri()
        .path()
        .strip_prefix(ROOT)
        .unwrap_or_default()
        .to_owned();
    let parts: Vec<_> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(counter).await,
        (&Method::POST, ["invocation", id, "response"]) => respond(counter, id, request).await,
        (&Method::POST, ["invocation", id, "error"]) => fail(counter, id, request).await,
        (&Method::POST, ["init", "error"]) => fail_to_start(counter, request).await,
        _ => refuse(
            StatusCode::NOT_FOUND,
            "NotFound",
            "there is no such operation",
        ),
    }
}

/// Waits for an invocation for as long as the process does.
async fn next(counter: &Counter) -> Answer {
    loop {
        // Enabled before the look, so that an offer in between is heard.
        let mut offered = std::pin::pin!(counter.offered.notified());
        offered.as_mut().enable();
        let taken = counter.desk().take();
        match taken {
            Ok(Some(invocation)) => return hand_out(counter, invocation),
            Ok(None) => offered.await,
            Err(refused) => return refused.into(),
        }
    }
}

fn hand_out(counter: &Counter, invocation: Invocation) -> Answer {
    let deadline = DateTime::<Utc>::from(counter.env.wall() + counter.timeout);
    let mut answer = Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header("lambda-runtime-aws-request-id", &invocation.request_id)
        .header("lambda-runtime-deadline-ms", deadline.timestamp_millis())
        .header("lambda-runtime-invoked-function-arn", &counter.arn);
    if let Some(trace) = &invocation.trace_id {
        answer = answer.header("lambda-runtime-trace-id", trace);
    }
    answer
        .body(Full::new(invocation.payload))
        .expect("every header was checked to be visible ASCII")
}

async fn respond(counter: &Counter, id: &str, request: Request<Incoming>) -> Answer {
    if let Err(refused) = counter.desk().expects(id) {
        return refused.into();
    }
    let (outcome, is_too_large) = match read(request).await {
        Ok(body) => (Outcome::Response(body), false),
        Err(Unread::TooLarge) => (Outcome::ResponseTooLarge, true),
        Err(Unread::Broken) => {
            return refuse(StatusCode::BAD_REQUEST, "BadRequest", "the body broke off");
        }
    };
    match counter.desk().answer(id, outcome) {
        Ok(()) if is_too_large => refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            "a response has at most 6 MiB",
        ),
        Ok(()) => accepted(),
        Err(refused) => refused.into(),
    }
}

async fn fail(counter: &Counter, id: &str, request: Request<Incoming>) -> Answer {
    if let Err(refused) = counter.desk().expects(id) {
        return refused.into();
    }
    let (error_type, body) = account(request).await;
    let outcome = Outcome::Error { error_type, body };
    match counter.desk().answer(id, outcome) {
        Ok(()) => accepted(),
        Err(refused) => refused.into(),
    }
}

async fn fail_to_start(counter: &Counter, request: Request<Incoming>) -> Answer {
    let (error_type, body) = account(request).await;
    match counter.desk().fail_to_start(error_type, body) {
        Ok(()) => accepted(),
        Err(refused) => refused.into(),
    }
}

/// What an error says of itself: its kind, in the header or, as some clients have it, in the body alone. An error whose
/// account cannot be had is an error none the less.
async fn account(request: Request<Incoming>) -> (Option<String>, Bytes) {
    let told = request.headers().get("lambda-runtime-function-error-type");
    let told = told.and_then(|kind| kind.to_str().ok().map(str::to_owned));
    let body = read(request).await.unwrap_or_default();
    let within = || {
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        body.get("errorType")?.as_str().map(str::to_owned)
    };
    (told.or_else(within), body)
}

enum Unread {
    TooLarge,
    Broken,
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Unread> {
    match Limited::new(request.into_body(), PAYLOAD_BYTES_MAX)
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Err(_) => Err(Unread::Broken),
    }
}

fn accepted() -> Answer {
    json(StatusCode::ACCEPTED, &serde_json::json!({"status": "OK"}))
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotAnswered => refuse(
                StatusCode::FORBIDDEN,
                "InvalidStateTransition",
                "the last invocation is not answered",
            ),
            Refused::UnknownId => refuse(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "this invocation is not being worked on",
            ),
            Refused::NotStarting => refuse(
                StatusCode::FORBIDDEN,
                "InvalidStateTransition",
                "no invocation waits for the start",
            ),
        }
    }
}

fn refuse(status: StatusCode, error_type: &str, message: &str) -> Answer {
    let body = serde_json::json!({"errorType": error_type, "errorMessage": message});
    json(status, &body)
}

fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
