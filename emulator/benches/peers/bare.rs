//! The bare server, which is the floor: hyper, the whole body read, a constant answer of the same length.
//! Shared by the benches that compare servers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::connection::Error;

/// A runtime with as many threads as every other one here.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    Ok(Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// The floor. It answers whatever it was last told to.
#[derive(Debug)]
pub(crate) struct Bare {
    pub(crate) address: String,
    pub(crate) answer: Arc<Mutex<Bytes>>,
    _runtime: Runtime,
}

impl Bare {
    pub(crate) fn start() -> Result<Self, Error> {
        let runtime = runtime()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        let answer = Arc::new(Mutex::new(Bytes::new()));
        runtime.spawn(serve(listener, Arc::clone(&answer)));
        Ok(Self {
            address,
            answer,
            _runtime: runtime,
        })
    }
}

async fn serve(listener: TcpListener, answer: Arc<Mutex<Bytes>>) {
    while let Ok((socket, _)) = listener.accept().await {
        if socket.set_nodelay(true).is_err() {
            continue;
        }
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let answer = Arc::clone(&answer);
                async move {
                    let body = request.into_body().collect().await;
                    let known = body.map(|_| answer.lock().clone()).unwrap_or_default();
                    let reply = http::Response::builder()
                        .header("content-type", "application/x-amz-json-1.1")
                        .body(Full::new(known));
                    Ok::<_, Infallible>(reply.unwrap_or_default())
                }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that goes away is the normal end of a connection.
            drop(server.serve_connection(TokioIo::new(socket), service).await);
        });
    }
}
