//! The socket: HTTP/1.1 and HTTP/2 by prior knowledge on one port, around [`Service::serve`].

use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::caller::Peer;
use crate::{Lost, Service};

/// How long a connection may say nothing before its first byte, and take for the head of a request.
const HEADER_DEADLINE: Duration = Duration::from_secs(60);
/// How long connections may take to finish what they are at when the listener stops.
const STOP_DEADLINE: Duration = Duration::from_millis(300);
/// Pause after an error of accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound port, not yet serving.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`; port 0 is any free one.
    pub async fn bind(address: impl ToSocketAddrs) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` changes or its sender is gone; then lets requests in hand finish for a
    /// moment, and drops the rest.
    pub async fn serve(self, service: Service, mut stop: watch::Receiver<()>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased; // ORDER: stop, then reaping, which never waits, then new work
                _ = stop.changed() => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection's task failed");
                    }
                    continue;
                }
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    tracing::debug!(%peer, "connection");
                    connections.spawn(serve_connection(service.clone(), stream, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if time::timeout(STOP_DEADLINE, all_ended).await.is_err() {
            tracing::debug!("dropping open connections");
        }
    }
}

async fn serve_connection(service: Service, stream: TcpStream, mut stop: watch::Receiver<()>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch delays off");
    }
    let first_byte = tokio::select! {
        biased;
        _ = stop.changed() => return,
        first_byte = time::timeout(HEADER_DEADLINE, stream.readable()) => first_byte,
    };
    if !matches!(first_byte, Ok(Ok(()))) {
        return;
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256);
    let peer = stream.peer_addr().ok().map(|address| Peer {
        address: address.ip(),
        is_tls: false,
    });
    let answer = service_fn(move |mut request: http::Request<Incoming>| {
        let service = service.clone();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        async move {
            let answer = service.serve(request).await;
            // The connection closes on an error, without an answer.
            match answer.extensions().get::<Lost>() {
                Some(lost) => Err(*lost),
                None => Ok(answer),
            }
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        biased; // ORDER: stop first, so that a busy connection cannot hold it up
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
