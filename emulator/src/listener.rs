//! The socket: HTTP/1.1 and HTTP/2 on one port, with TLS or without, around [`Service::serve`].
//!
//! Owns what one client may cost the others ([`Bounds`]), and who may knock at all ([`gate`]).
//! Real time, on tokio's clock; the service's clock is not looked at here.

mod bounds;
mod connection;
mod gate;
mod intake;
mod memory;
mod outflow;
mod pulse;
mod register;
mod stream;
#[cfg(feature = "tls")]
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::Service;

pub use self::bounds::Bounds;
use self::connection::Common;
use self::gate::Gate;
use self::memory::Memory;
use self::pulse::Pulse;
use self::register::Register;
#[cfg(feature = "tls")]
pub use self::tls::{Tls, UnusableTls};

/// How long connections may take to finish what they are at when the listener stops.
const STOP_DEADLINE: Duration = Duration::from_millis(300);
/// Pause after an error of accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound port, not yet serving.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    bounds: Bounds,
    hosts: Vec<String>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Listener {
    /// Binds `address`; port 0 is any free one.
    pub async fn bind(address: impl ToSocketAddrs) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            bounds: Bounds::default(),
            hosts: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return "https";
        }
        "http"
    }

    /// What one client may cost the others.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Hosts besides this machine's own names that clients may call it by, and pages come from; `*`
    /// is any.
    #[must_use]
    pub fn allow_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Speaks TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Serves until `stop` changes or its sender is gone; then lets requests in hand finish for a
    /// moment, and drops the rest.
    pub async fn serve(self, service: Service, mut stop: watch::Receiver<()>) {
        let is_signed = service.auth().is_checked();
        let max = self.bounds.connections;
        let common = Arc::new(Common {
            service,
            requests: Memory::new(self.bounds.memory),
            answers: Memory::new(self.bounds.memory),
            gate: Gate::new(self.address, self.hosts, is_signed),
            bounds: Arc::new(self.bounds),
            #[cfg(feature = "tls")]
            tls: self.tls,
        });
        let register = Arc::new(Register::default());
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
                    let work = admit(&register, max, &common, stream, &stop);
                    if let Some(work) = work {
                        connections.spawn(work);
                    } else {
                        tracing::warn!(%peer, "no room for a connection");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    register.make_room();
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

/// The whole life of a connection, if there is room for it.
fn admit(
    register: &Arc<Register>,
    max: usize,
    common: &Arc<Common>,
    stream: TcpStream,
    stop: &watch::Receiver<()>,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    let pulse = Arc::new(Pulse::new(Instant::now()));
    let place = register.admit(&pulse, max)?;
    let (common, stop) = (Arc::clone(common), stop.clone());
    let counted = common.service.requests().connect();
    Some(async move {
        connection::serve(common, stream, pulse, stop).await;
        drop((place, counted));
    })
}
