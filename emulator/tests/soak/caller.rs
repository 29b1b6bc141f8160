//! Calls the service in process, with requests that are already text.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::{Body, Service};

use crate::Soak;

pub(crate) struct Caller {
    service: Service,
}

impl Caller {
    pub(crate) fn new(service: Service) -> Self {
        Self { service }
    }

    pub(crate) async fn answer(&self, operation: &str, body: String) -> http::Response<Body> {
        let request = http::Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.service.serve(request).await
    }

    /// The body of a reply to a call that is accepted.
    pub(crate) async fn ok(&self, operation: &str, body: String) -> Bytes {
        let answer = self.answer(operation, body).await;
        let status = answer.status();
        let reply = answer.into_body().into_bytes();
        assert_eq!(
            status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&reply)
        );
        reply
    }
}

impl Soak {
    /// A call that is counted while it lasts.
    pub(crate) async fn call(&self, operation: &str, body: String) -> Bytes {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_calls.fetch_max(calls, Ordering::Relaxed);
        let reply = self.caller.ok(operation, body).await;
        self.calls.fetch_sub(1, Ordering::Relaxed);
        reply
    }
}
