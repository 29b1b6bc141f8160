//! The line of one process to the services: the HTTP client that its SDK is given.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use fastrand::Rng;
use memchr::memmem;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Answer, DEAD_PEER, Net, Parcel, Peer, fate, rates, readers};
use crate::sim::clock::Rate;
use crate::sim::history::{Event, Process};
use crate::sim::subject::Subject;

/// The line of one process: the SDK's HTTP client.
#[derive(Clone, Debug)]
pub struct Line {
    net: Net,
    process: Process,
    rate: Rate,
    rng: Arc<Mutex<Rng>>,
    /// How many requests wait for an answer.
    open: Arc<AtomicUsize>,
}

/// A request that waits for its answer, or whose answer goes on, until it is dropped.
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Line {
    /// The line of this process, with a clock of this rate.
    pub(super) fn new(net: Net, process: Process, rate: Rate, rng: Rng) -> Self {
        Self {
            net,
            process,
            rate,
            rng: Arc::new(Mutex::new(rng)),
            open: Arc::default(),
        }
    }

    /// How many requests wait for an answer, or have one that goes on.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn send(&self, mut request: HttpRequest) -> oneshot::Receiver<Answer> {
        let target = request.headers().get("x-amz-target").unwrap_or("?.?");
        let (service, operation) = target.split_once('.').unwrap_or(("?", target));
        let peer = if service.starts_with("DynamoDB") {
            Peer::Dynamo
        } else {
            Peer::Kinesis
        };
        let operation = operation.to_owned();
        rates::from_worker(self.rate, request.body_mut());
        let bytes = request.body().bytes().unwrap_or_default();
        let (subject, body) = Subject::of(&operation, bytes);
        let consistent = memmem::find(bytes, b"\"ConsistentRead\":true").is_some();
        let (passage, shard) = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = self.net.state();
            state.exchanges += 1;
            let shard = if subject == Subject::Records {
                state.readers.shard_of(bytes)
            } else if matches!(subject, Subject::Iterator | Subject::Subscribe) {
                readers::named(bytes, self.net.0.watch.has_two_streams())
            } else {
                None
            };
            (fate::draw(&mut rng, &state.weather, subject), shard)
        };
        let sent = self.net.0.history.add(Event::Sent {
            process: self.process,
            subject,
            shard: shard.clone(),
            fate: passage.fate.name(),
        });
        let parcel = Parcel {
            process: self.process,
            peer,
            operation,
            subject,
            body,
            shard,
            consistent,
            rate: self.rate,
            sent,
            passage,
            open: Arc::clone(&self.open),
            request,
        };
        let (reply, answer) = oneshot::channel();
        self.net.spawn(self.net.clone().carry(parcel, reply));
        answer
    }
}

impl HttpClient for Line {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            line: self.clone(),
            patience: self
                .rate
                .takes(settings.read_timeout().unwrap_or(DEAD_PEER)),
        })
    }
}

/// A line with the time-out the SDK asks for. There is no connecting, so only the one for reading.
#[derive(Debug)]
struct Connector {
    line: Line,
    patience: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.line.send(request);
        let patience = self.patience;
        let open = Open::new(&self.line.open);
        HttpConnectorFuture::new(async move {
            let _until_dropped = open;
            let heard = async {
                match answer.await {
                    Ok(answer) => answer,
                    Err(_silence) => pending().await,
                }
            };
            match timeout(patience, heard).await {
                Ok(answer) => answer,
                Err(_elapsed) => Err(ConnectorError::timeout("nothing was heard in time".into())),
            }
        })
    }
}
