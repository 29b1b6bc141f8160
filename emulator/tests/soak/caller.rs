//! Calls the service in process, with requests that are already text.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::Service;

use crate::Soak;

pub(crate) struct Caller {
    service: Service,
}

impl Caller {
    pub(crate) fn new(service: Service) -> Self {
        Self { service }
    }

    /// The body of a reply, whatever its status.
    pub(crate) async fn call(&self, operation: &str, body: String) -> (u16, Bytes) {
        let request = http::Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = self.service.serve(request).await;
        (answer.status().as_u16(), answer.into_body().into_bytes())
    }

    /// The body of a reply to a call that is accepted.
    pub(crate) async fn ok(&self, operation: &str, body: String) -> Bytes {
        let (status, reply) = self.call(operation, body).await;
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
