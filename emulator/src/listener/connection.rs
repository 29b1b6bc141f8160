//! One connection from its first byte to its end: TLS or not, HTTP/1.1 or HTTP/2, its deadlines, and
//! its requests on their way to [`Service::serve`].

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{self, Instant};

use crate::caller::Peer;
use crate::{Lost, Service};

use super::bounds::Bounds;
use super::gate::{Closed, Gate};
use super::intake::Intake;
use super::memory::Memory;
use super::outflow::Outflow;
use super::pulse::Pulse;
use super::stream::Stream;

/// What a TLS client sends first: the type of a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// For a client of the wrong kind on a port for TLS alone.
#[cfg(feature = "tls")]
const SPEAK_TLS: &str = "This port speaks TLS: use an https:// URL.\n";

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) service: Service,
    pub(super) bounds: Arc<Bounds>,
    pub(super) gate: Gate,
    /// Bytes of requests.
    pub(super) requests: Arc<Memory>,
    /// Bytes of answers.
    pub(super) answers: Arc<Memory>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::Tls>,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    common: Arc<Common>,
    stream: TcpStream,
    pulse: Arc<Pulse>,
    mut stop: watch::Receiver<()>,
) {
    prepare(&stream, &common.bounds);
    let address = stream.peer_addr().ok().map(|address| address.ip());
    let peer = |is_tls| address.map(|address| Peer { address, is_tls });
    let opening = time::timeout(common.bounds.first_byte, first_byte(&stream));
    let first = tokio::select! {
        biased; // ORDER: the ends before the beginning
        _ = stop.changed() => return,
        () = pulse.until_given_up() => return,
        first = opening => first,
    };
    let Ok(Some(first)) = first else {
        return;
    };
    #[cfg(feature = "tls")]
    if let Some(tls) = &common.tls {
        if first == TLS_HANDSHAKE {
            let handshake = time::timeout(common.bounds.head, tls.acceptor().accept(stream));
            let shaken = tokio::select! {
                biased; // ORDER: the ends before the beginning
                _ = stop.changed() => return,
                () = pulse.until_given_up() => return,
                shaken = handshake => shaken,
            };
            match shaken {
                Ok(Ok(stream)) => serve_http(&common, stream, (pulse, peer(true)), stop).await,
                Ok(Err(error)) => tracing::debug!(%error, "no handshake"),
                Err(_) => tracing::debug!("a handshake took too long"),
            }
            return;
        }
        if !tls.takes_plain() {
            send_away(stream).await;
            return;
        }
    } else if first == TLS_HANDSHAKE {
        tracing::warn!("a client speaks TLS, which is off");
        return;
    }
    #[cfg(not(feature = "tls"))]
    if first == TLS_HANDSHAKE {
        tracing::warn!("a client speaks TLS, which is not built in");
        return;
    }
    serve_http(&common, stream, (pulse, peer(false)), stop).await;
}

/// Finds out about peers that are gone, and sends small answers at once.
fn prepare(stream: &TcpStream, bounds: &Bounds) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    let mut done = socket.set_tcp_nodelay(true);
    done = done.and(socket.set_tcp_keepalive(&keepalive));
    #[cfg(target_os = "linux")]
    {
        done = done.and(socket.set_tcp_user_timeout(Some(bounds.write_pause)));
    }
    #[cfg(not(target_os = "linux"))]
    {
        _ = bounds;
    }
    if let Err(error) = done {
        tracing::debug!(%error, "a socket cannot be set up");
    }
}

/// The first byte, which stays where it is; nothing if there is none.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    match stream.peek(&mut byte).await {
        Ok(1..) => Some(byte[0]),
        Ok(0) | Err(_) => None,
    }
}

#[cfg(feature = "tls")]
async fn send_away(mut stream: TcpStream) {
    use tokio::io::AsyncWriteExt;
    let length = SPEAK_TLS.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{SPEAK_TLS}"
    );
    let sent = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    let sent = time::timeout(Duration::from_secs(1), sent).await;
    tracing::debug!(?sent, "a client speaks plain text on a port for TLS");
}

async fn serve_http<S>(
    common: &Arc<Common>,
    stream: S,
    (pulse, peer): (Arc<Pulse>, Option<Peer>),
    mut stop: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bounds = &common.bounds;
    let builder = builder(bounds);
    let answer =
        service_fn(|request| answer(Arc::clone(common), (Arc::clone(&pulse), peer), request));
    let stream = Stream::new(stream, Arc::clone(&pulse), bounds.write_pause);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let mut is_stopping = false;
    let ended = loop {
        tokio::select! {
            biased; // ORDER: the ends first, so that a busy connection cannot hold them up
            _ = stop.changed(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = pulse.until_given_up() => {
                tracing::debug!("a connection makes room for others");
                return;
            }
            () = until_late(&pulse, bounds) => {
                tracing::debug!("a connection took too long");
                return;
            }
            ended = connection.as_mut() => break ended,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder(bounds: &Bounds) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The pulse tells heads from pauses between requests; this deadline does not.
        .header_read_timeout(None)
        .max_buf_size(128 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(64 << 10)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 20)
        .max_frame_size(64 << 10)
        .max_send_buf_size(1 << 20)
        .max_pending_accept_reset_streams(32)
        .max_local_error_reset_streams(256)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(bounds.write_pause.min(Duration::from_secs(20)));
    builder
}

/// Returns when the pulse's deadline has passed. Looks now and then, as deadlines come and go with
/// every request and timers are dearer than that.
async fn until_late(pulse: &Pulse, bounds: &Bounds) {
    let step = (bounds.head / 4).max(Duration::from_millis(10));
    loop {
        let now = Instant::now();
        let next = match pulse.deadline(bounds) {
            Some(deadline) if deadline <= now => return,
            Some(deadline) => deadline.min(now + step),
            None => now + step,
        };
        time::sleep_until(next).await;
    }
}

type Answer = Response<Either<Outflow<crate::Body>, Full<bytes::Bytes>>>;

async fn answer(
    common: Arc<Common>,
    (pulse, peer): (Arc<Pulse>, Option<Peer>),
    request: Request<Incoming>,
) -> Result<Answer, Lost> {
    let (mut head, body) = request.into_parts();
    if let Err(Closed(text)) = common.gate.check(&head) {
        tracing::warn!("{text}");
        return Ok(refuse(&text));
    }
    if let Some(peer) = peer {
        head.extensions.insert(peer);
    }
    let (in_flight, receiving) = pulse.begin();
    let (bounds, memory) = (Arc::clone(&common.bounds), Arc::clone(&common.requests));
    let body = Intake::new(body, bounds, memory, receiving);
    let answer = common.service.serve(Request::from_parts(head, body)).await;
    if let Some(lost) = answer.extensions().get::<Lost>() {
        // The connection closes on an error, without an answer.
        return Err(*lost);
    }
    let answers = Arc::clone(&common.answers);
    Ok(answer.map(|body| Either::Left(Outflow::new(body, answers, in_flight))))
}

fn refuse(text: &str) -> Answer {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let body =
        format!("<AccessDeniedException>\n  <Message>{text}</Message>\n</AccessDeniedException>\n");
    let mut answer = Response::new(Either::Right(Full::from(body)));
    *answer.status_mut() = StatusCode::FORBIDDEN;
    answer
}
