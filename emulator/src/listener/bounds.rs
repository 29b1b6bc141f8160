//! What one client may cost the others. Data only.

use std::time::Duration;

/// The bounds of a [`crate::Listener`]. All of them go by the machine's time, whatever the service's
/// clock shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections open at once. One more costs the connection that has been open longest without a
    /// request, then the one longest idle, then the slowest upload. Default: 4,096.
    pub connections: usize,
    /// Bytes of requests that have come in part, and, counted apart, of answers that wait for their
    /// readers. More costs the oldest of them. Default: 256 MiB.
    pub memory: usize,
    /// From opening a connection to its first byte. Default: 60 s.
    pub first_byte: Duration,
    /// From the first byte to the end of a request's head, and for a handshake. Default: 10 s.
    pub head: Duration,
    /// How long a request's body may stand still. Default: 20 s.
    pub body_pause: Duration,
    /// How long a request's body may take in all. Default: 5 min.
    pub body_total: Duration,
    /// How long a connection may stay open between requests. Default: 2 min.
    pub idle: Duration,
    /// How long a peer may take none of what is written to it. Default: 60 s.
    pub write_pause: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 4096,
            memory: 256 << 20,
            first_byte: Duration::from_secs(60),
            head: Duration::from_secs(10),
            body_pause: Duration::from_secs(20),
            body_total: Duration::from_secs(300),
            idle: Duration::from_secs(120),
            write_pause: Duration::from_secs(60),
        }
    }
}
