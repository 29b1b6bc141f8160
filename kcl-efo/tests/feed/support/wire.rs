//! The way between a client and the emulator in this process, which can go silent, refuse and count.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use bytes::Bytes;
use http_body::{Body, Frame};
use kinesis_emulator::Service;
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct Wire {
    service: Service,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Bodies made before this number of calls are dead: they bring nothing and do not end.
    silent_below: usize,
    refusals: BTreeMap<String, &'static str>,
    calls: Vec<(String, Instant)>,
}

impl Wire {
    pub(crate) fn new(service: &Service) -> Self {
        Self {
            service: service.clone(),
            state: Arc::default(),
        }
    }

    pub(crate) fn sdk_config(&self) -> SdkConfig {
        let config = self.service.sdk_config().into_builder();
        config.http_client(self.clone()).build()
    }

    /// Every connection of now brings nothing any more, and nobody is told.
    pub(crate) fn silence(&self) {
        let mut state = self.state();
        state.silent_below = state.calls.len();
    }

    /// From now on this operation is refused so, or not any more.
    pub(crate) fn refuse(&self, operation: &str, code: Option<&'static str>) {
        let mut state = self.state();
        match code {
            Some(code) => drop(state.refusals.insert(operation.to_owned(), code)),
            None => drop(state.refusals.remove(operation)),
        }
    }

    /// When this operation was called.
    pub(crate) fn calls(&self, operation: &str) -> Vec<Instant> {
        let state = self.state();
        let calls = state.calls.iter().filter(|(called, _)| called == operation);
        calls.map(|(_, at)| *at).collect()
    }

    /// Which operations were called.
    pub(crate) fn operations(&self) -> BTreeSet<String> {
        let state = self.state();
        state
            .calls
            .iter()
            .map(|(called, _)| called.clone())
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let (number, refusal) = {
            let mut state = self.state();
            let number = state.calls.len();
            state.calls.push((operation.clone(), Instant::now()));
            (number, state.refusals.get(&operation).copied())
        };
        if let Some(code) = refusal {
            let body = format!(r#"{{"__type":"{code}","message":"scripted"}}"#);
            let status = 400.try_into().unwrap();
            return HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body.into())));
        }
        let wire = self.clone();
        HttpConnectorFuture::new(async move {
            let mut response = wire.service.exchange(request).await?;
            if operation == "SubscribeToShard" && response.status().is_success() {
                let body = std::mem::replace(response.body_mut(), SdkBody::taken());
                *response.body_mut() = SdkBody::from_body_1_x(Line { body, number, wire });
            }
            Ok(response)
        })
    }
}

struct Line {
    body: SdkBody,
    number: usize,
    wire: Wire,
}

impl Body for Line {
    type Data = Bytes;
    type Error = aws_smithy_runtime_api::box_error::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.number < self.wire.state().silent_below {
            return Poll::Pending;
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
