//! The heart: one request in, one answer out. The socket listener, the in-process transport of the SDK
//! and the fuzzer all call [`Service::serve`], and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use crate::auth::{self, Auth, Signed};
use crate::caller::{Caller, Peer};
use crate::cloudwatch::{self, Asked};
use crate::control;
use crate::dynamo::{self, Circumstances, Dynamo};
use crate::engine::Engine;
use crate::engine::limits::Limits;
use crate::faults::{self, End, Faults, Lost};
use crate::ops::{self, Call, Operation, Reply};
use crate::refusal::{Kind, Refusal};
use crate::requests::{self, Requests};
use crate::wire::answer::{self, Dates, RequestIds};
use crate::wire::body::{self, Body, Cut, Unreadable};
use crate::wire::codec::Wire;
use crate::{BoxError, Clock, Delays, Init, Scope, Settings, UnusableInit};

const TARGET: &str = "x-amz-target";
const KINESIS: &str = "Kinesis_20131202.";
const DYNAMO: &str = "DynamoDB_20120810.";
/// Refused as DynamoDB refuses what it does not know, rather than as Kinesis does.
const DYNAMO_STREAMS: &str = "DynamoDBStreams_20120810.";

/// All streams, tables and metrics of one emulator, and the one function that serves them. A clone is
/// the same service.
#[derive(Clone, Debug)]
pub struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    auth: Auth,
    clock: Clock,
    scope: Scope,
    engine: Engine,
    dynamo: Dynamo,
    cloudwatch: Arc<cloudwatch::Store>,
    faults: Faults,
    requests: Requests,
    ids: RequestIds,
    dates: Dates,
}

impl Service {
    /// A service without streams or tables.
    pub fn new(settings: Settings) -> Self {
        let seed = settings.seed.unwrap_or_else(|| fastrand::u64(..));
        let mut dynamo = Dynamo::new();
        dynamo.set(settings.delays, settings.limits);
        let cloudwatch = Arc::new(cloudwatch::Store::default());
        let inner = Inner {
            engine: Engine::new(&settings, seed).with_publisher(Arc::clone(&cloudwatch) as _),
            dynamo,
            cloudwatch,
            faults: Faults::new(settings.clock.clone(), seed),
            requests: Requests::default(),
            ids: RequestIds::new(seed),
            dates: Dates::new(),
            auth: settings.auth,
            clock: settings.clock,
            scope: settings.scope,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A service that has what `init` names. Neither delays nor limits hold for that.
    ///
    /// # Errors
    /// If an entry is not right, or the service refuses it.
    pub fn with_init(settings: Settings, init: &Init) -> Result<Self, UnusableInit> {
        let (delays, limits) = (settings.delays, settings.limits);
        let mut service = Self::new(Settings {
            delays: Delays::default(),
            limits: crate::Limits::Off,
            ..settings
        });
        init.apply(&service)?;
        let inner = Arc::get_mut(&mut service.inner).expect("nobody else has it yet");
        inner.engine.delays = delays;
        inner.engine.limits = Limits::new(limits);
        inner.dynamo.set(delays, limits);
        Ok(service)
    }

    /// The clock that all of it goes by.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// How requests have to prove whose they are.
    pub fn auth(&self) -> &Auth {
        &self.inner.auth
    }

    /// How many subscriptions are open: those whose readers are still there.
    pub fn subscriptions(&self) -> usize {
        self.inner.engine.subscriptions()
    }

    /// The tables.
    pub fn dynamo(&self) -> &Dynamo {
        &self.inner.dynamo
    }

    /// The faults that calls of this service meet.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.inner.requests
    }

    pub(crate) fn cloudwatch(&self) -> &cloudwatch::Store {
        &self.inner.cloudwatch
    }

    /// The id of an answer that names it in its body.
    pub(crate) fn request_id(&self) -> HeaderValue {
        self.inner.ids.id()
    }

    /// Account and region of requests that do not say.
    pub fn scope(&self) -> &Scope {
        &self.inner.scope
    }

    /// Answers one request. Never fails, and waits for nothing but the request's body and the latency
    /// of a fault. An answer that a fault has lost carries [`crate::Lost`] among its extensions.
    pub async fn serve<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let (mut answer, has_second_id) = match body::collect(body).await {
            Ok(body) => self.dispatch(&head, body).await,
            Err(Unreadable::TooLarge) => (answer::too_large(), true),
            Err(Unreadable::Broken(error)) => {
                tracing::debug!(%error, "a request's body broke off");
                (answer::refused(wire(&head), &broken(&error)), true)
            }
        };
        self.inner.ids.stamp(&mut answer, has_second_id);
        let now = self.inner.clock.moment();
        self.inner.dates.stamp(&mut answer, now);
        // Other origins may read what the service says, but not what the control interface does.
        if head.headers.contains_key(ORIGIN) && !control::owns(head.uri.path()) {
            allow_origin(&mut answer, &head.method, &head.headers);
        }
        answer
    }

    /// The answer, and whether it carries the second request id.
    async fn dispatch(&self, head: &Parts, body: Bytes) -> (Response<Body>, bool) {
        let (method, headers) = (&head.method, &head.headers);
        if control::owns(head.uri.path()) {
            if let Err(refusal) = self.may_control(head, &body) {
                return (answer::refused(Wire::Json, &refusal), false);
            }
            return (control::answer(self, head, &body), false);
        }
        let target = headers.get(TARGET).and_then(|target| target.to_str().ok());
        if method == Method::OPTIONS && headers.contains_key(ORIGIN) {
            return (answer::answer(StatusCode::OK, None, ""), false);
        }
        let is_kinesis = target.is_some_and(|target| target.starts_with(KINESIS));
        if !is_kinesis && let Some(asked) = Asked::of(head, &body) {
            // Apart, so that it takes no room in the future of every other call.
            let answer = Box::pin(self.call_cloudwatch(head, asked, &body));
            return (answer.await, false);
        }
        if method != Method::POST {
            return (answer::not_authorized(), true);
        }
        if let Some(operation) = target.and_then(|target| target.strip_prefix(DYNAMO)) {
            return (self.call_dynamo(head, operation, &body).await, false);
        }
        if let Some(operation) = target.and_then(|target| target.strip_prefix(DYNAMO_STREAMS)) {
            let operation = format!("Streams.{operation}");
            return (self.call_dynamo(head, &operation, &body).await, false);
        }
        (self.call_kinesis(head, target, body).await, true)
    }

    async fn call_kinesis(
        &self,
        head: &Parts,
        target: Option<&str>,
        body: Bytes,
    ) -> Response<Body> {
        let operation = target
            .and_then(|target| target.strip_prefix(KINESIS))
            .and_then(Operation::parse);
        let content_type = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let wire = Wire::of(content_type);
        if body.is_empty() {
            let kind = if operation.is_some() {
                Kind::Serialization
            } else {
                Kind::UnknownOperation
            };
            // QUIRK(kinesis): without a body CBOR is spoken to everyone but the JSON clients.
            return answer::refused(wire.unwrap_or(Wire::Cbor), &Refusal::bare(kind));
        }
        let Some(wire) = wire else {
            return if content_type == "application/json" {
                answer::wrapped(Wire::Json.is_structure(&body))
            } else if target.is_some() {
                answer::unknown_in_xml()
            } else {
                answer::not_authorized()
            };
        };
        let Some(operation) = operation else {
            let kind = if wire.is_structure(&body) {
                Kind::UnknownOperation
            } else {
                Kind::Serialization
            };
            return answer::refused(wire, &Refusal::bare(kind));
        };
        if self.inner.auth.is_checked() && !wire.is_structure(&body) {
            // ORDER: a body that cannot be read is refused before its signature is looked at.
            return answer::refused(wire, &Refusal::bare(Kind::Serialization));
        }
        let caller = match self.caller(head, "kinesis", &body) {
            Ok(caller) => caller,
            Err(refusal) => return answer::refused(wire, &refusal),
        };
        let peer = head.extensions.get().copied();
        let call = self.call(operation, (caller, peer), wire, body);
        self.carry_out(call).await
    }

    /// A call that comes now.
    pub(crate) fn call<'a>(
        &'a self,
        operation: Operation,
        (caller, peer): (Caller<'a>, Option<Peer>),
        wire: Wire,
        body: Bytes,
    ) -> Call<'a> {
        let Inner {
            engine,
            clock,
            faults,
            ..
        } = &*self.inner;
        Call {
            operation,
            engine,
            realm: engine.realm(caller.account, &caller.region),
            caller,
            peer,
            clock,
            now: clock.moment(),
            started: Instant::now(),
            faults,
            stale: None,
            wire,
            body: body.into(),
        }
    }

    /// Answers a call that can be understood, or lets a fault do so.
    async fn carry_out(&self, mut call: Call<'_>) -> Response<Body> {
        let wire = call.wire;
        let strikes = self.inner.faults.strike(&call);
        call.stale = strikes.stale;
        call.now = self.inner.clock.pass(call.now, strikes.latency).await;
        let result = match strikes.end {
            Some(End::Refuse(error)) => Some(Err(error.refusal(&call))),
            Some(End::ResetBefore) => None,
            Some(End::ResetAfter) => {
                let done = ops::run(&call);
                tracing::debug!(is_done = done.is_ok(), "the answer gets lost");
                None
            }
            None => Some(ops::run(&call)),
        };
        let requests = &self.inner.requests;
        let Some(result) = result else {
            requests.kinesis(call.operation, Some(requests::LOST));
            return faults::aborted();
        };
        let refusal = result.as_ref().err();
        requests.kinesis(call.operation, refusal.map(|refusal| refusal.kind.name()));
        match result {
            Ok(Reply::Void) => answer::answer(StatusCode::OK, Some(wire.content_type()), ""),
            Ok(Reply::Full(body)) => {
                answer::answer(StatusCode::OK, Some(wire.content_type()), body)
            }
            Ok(Reply::Events(events)) => answer::events(events),
            Err(refusal) => {
                tracing::debug!(operation = ?call.operation, ?refusal, "refused");
                answer::refused(wire, &refusal)
            }
        }
    }

    async fn call_dynamo(&self, head: &Parts, operation: &str, body: &[u8]) -> Response<Body> {
        let asked = self.ask_dynamo(head, operation, body).await;
        let outcome = match &asked {
            Err(Lost) => Some(requests::LOST),
            Ok(Ok(_)) => None,
            Ok(Err(refusal)) => Some(refusal.kind.as_str()),
        };
        self.inner.requests.dynamo(operation, outcome);
        let (status, body) = match asked {
            Err(Lost) => return faults::aborted(),
            Ok(Ok(body)) => (StatusCode::OK, body),
            Ok(Err(refusal)) => {
                tracing::debug!(operation, kind = refusal.kind, "refused");
                let status = StatusCode::from_u16(refusal.status);
                (status.unwrap_or(StatusCode::BAD_REQUEST), refusal.body())
            }
        };
        let checksum = HeaderValue::from(crc32fast::hash(&body));
        let mut answer = answer::answer(status, Some(answer::JSON_1_0), body);
        answer.headers_mut().insert(answer::CRC32, checksum);
        answer
    }

    async fn ask_dynamo(
        &self,
        head: &Parts,
        operation: &str,
        body: &[u8],
    ) -> Result<Result<Vec<u8>, dynamo::Refusal>, Lost> {
        let caller = match self.caller(head, "dynamodb", body) {
            Ok(caller) => caller,
            Err(refusal) => {
                let text = refusal.message.unwrap_or_default();
                let kind = refusal.kind.name();
                return Ok(Err(dynamo::Refusal::not_authenticated(kind, &text)));
            }
        };
        let strikes = self.inner.faults.strike_dynamo(operation, body);
        let clock = &self.inner.clock;
        clock.pass(clock.moment(), strikes.latency).await;
        match strikes.end {
            Some(End::ResetBefore) => return Err(Lost),
            Some(End::Refuse(error)) => return Ok(Err(error.dynamo())),
            Some(End::ResetAfter) | None => {}
        }
        let realm = self.inner.engine.realm(caller.account, &caller.region);
        let now = clock.now();
        let circumstances = Circumstances {
            stale: strikes.stale_read,
            memory: self.inner.faults.memory(),
        };
        let dynamo = &self.inner.dynamo;
        let called = dynamo.call_in(&realm.scope, now, (operation, body), circumstances);
        if strikes.end == Some(End::ResetAfter) {
            return Err(Lost);
        }
        Ok(called)
    }

    /// Who made a request for `service`; refused if that has to be proven and is not.
    pub(crate) fn caller<'a>(
        &'a self,
        head: &'a Parts,
        service: &str,
        body: &[u8],
    ) -> Result<Caller<'a>, Refusal> {
        let Inner {
            auth, clock, scope, ..
        } = &*self.inner;
        let keys = match auth {
            Auth::Off => return Ok(Caller::claimed(&head.headers, head.uri.query(), scope)),
            Auth::SigV4(keys) => keys,
        };
        let request = Signed {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            headers: &head.headers,
            authority: head.uri.authority().map(http::uri::Authority::as_str),
            body,
            service,
        };
        auth::verify(keys, &request, clock.moment())
    }

    /// Where signatures are checked the control interface wants one too, but for its health.
    fn may_control(&self, head: &Parts, body: &[u8]) -> Result<(), Refusal> {
        if control::is_open(head.uri.path()) {
            return Ok(());
        }
        self.caller(head, "kinesis", body).map(drop)
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

/// The encoding of an answer to a request of which no more is known than its head.
fn wire(head: &Parts) -> Wire {
    let kind = head.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    Wire::of(kind.split(';').next().unwrap_or_default().trim()).unwrap_or(Wire::Json)
}

/// Why a body that did not come to its end is refused.
fn broken(error: &BoxError) -> Refusal {
    let kind = match error.downcast_ref() {
        Some(Cut::Stalled) => Kind::RequestTimeout,
        Some(Cut::Evicted) => Kind::ServiceUnavailable,
        None => return Refusal::bare(Kind::Serialization),
    };
    Refusal::new(kind, error.to_string())
}

/// What a browser wants to see.
fn allow_origin(answer: &mut Response<Body>, method: &Method, headers: &HeaderMap) {
    let copy = |name: &str| headers.get(name).cloned();
    let out = answer.headers_mut();
    out.insert("access-control-allow-origin", HeaderValue::from_static("*"));
    if method == Method::OPTIONS {
        if let Some(asked) = copy("access-control-request-headers") {
            out.insert("access-control-allow-headers", asked);
        }
        if let Some(asked) = copy("access-control-request-method") {
            out.insert("access-control-allow-methods", asked);
        }
        out.insert("access-control-max-age", HeaderValue::from_static("172800"));
    } else {
        let exposed = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,\
                       x-amzn-ErrorMessage,Date";
        out.insert(
            "access-control-expose-headers",
            HeaderValue::from_static(exposed),
        );
    }
}
