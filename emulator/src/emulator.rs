//! A service on a port of its own, for tests and examples: starts in one line, stops when dropped.

use std::io;
use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::JoinHandle;

#[cfg(feature = "tls")]
use crate::Tls;
use crate::{Bounds, Listener, Service, Settings};

/// A running emulator. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Emulator {
    service: Service,
    address: SocketAddr,
    endpoint: String,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

/// How an emulator is to start.
#[derive(Debug)]
pub struct Builder {
    service: Option<Service>,
    settings: Settings,
    address: SocketAddr,
    bounds: Bounds,
    hosts: Vec<String>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Emulator {
    /// Starts an empty emulator on a free port of the loopback address.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// An emulator with settings.
    pub fn builder() -> Builder {
        Builder {
            service: None,
            settings: Settings::default(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            bounds: Bounds::default(),
            hosts: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Where it listens, as a URL: `http://127.0.0.1:PORT`, or `https://` with TLS.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The service behind the port.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Stops: requests in hand are answered, then the connections are closed.
    pub async fn stop(mut self) {
        self.stop.send_replace(());
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the listener's task failed");
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Takes the connections with it: they hang from the listener's task.
        self.task.abort();
    }
}

impl Builder {
    /// The settings of the new service.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Serves this service instead of a new one.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Listens there instead of on a free port of the loopback address.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
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

    /// Speaks TLS. Clients have to trust [`Tls::authority`], which an SDK's HTTP client is told
    /// and an emulator's `sdk_config` cannot do for it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Binds the port and starts to serve.
    pub async fn start(self) -> io::Result<Emulator> {
        let service = self.service.unwrap_or_else(|| Service::new(self.settings));
        let listener = Listener::bind(self.address).await?;
        let listener = listener.bounds(self.bounds).allow_hosts(self.hosts);
        #[cfg(feature = "tls")]
        let listener = match self.tls {
            Some(tls) => listener.tls(tls),
            None => listener,
        };
        let scheme = listener.scheme();
        let address = listener.address();
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(listener.serve(service.clone(), stopped));
        let endpoint = format!("{scheme}://{address}");
        Ok(Emulator {
            service,
            address,
            endpoint,
            stop,
            task,
        })
    }
}
