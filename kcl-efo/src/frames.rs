//! The bytes of a subscription on their way from the connection to the SDK, frame by frame.
//!
//! The SDK believes the length that a frame begins with, and collects bytes until it has so many, before it
//! checks anything. So here the length is checked first, against its own checksum and the largest event
//! there is; and before the rest of the frame is read, its bytes are taken off the worker's budget. What
//! does not fit stays in the socket. Put into every answer of `SubscribeToShard` as an interceptor, by
//! `subscription`.
//!
//! ```text
//! u32 length of all | u32 length of headers | u32 CRC-32 of these eight | headers, payload, CRC-32 of all
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use tokio::time::Instant;

use crate::budget::{Purse, Share};

/// The two lengths and their checksum.
const PRELUDE: usize = 12;

/// The checksum at the end of a frame.
const TRAILER: usize = 4;

/// A frame that begins in a way no frame does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFrame {
    Checksum,
    Length {
        bytes: usize,
        max: usize,
    },
    /// The body ends within a frame. The SDK does not notice it everywhere.
    Cut,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("a frame whose length does not match its checksum"),
            Self::Length { bytes, max } => {
                write!(f, "a frame of {bytes} bytes, where {max} are the most")
            }
            Self::Cut => f.write_str("an end in the middle of a frame"),
        }
    }
}

impl std::error::Error for BadFrame {}

/// Where the bytes of one subscription stand, seen by who reads its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// What the frame in hand has taken of the budget.
    share: Option<Share>,
    is_waiting: bool,
    /// When bytes last came since the last event.
    moved: Option<Instant>,
}

impl Progress {
    /// What the last event has taken; it goes with its batch.
    pub(crate) fn take_share(&self) -> Option<Share> {
        self.seen(|seen| seen.share.take())
    }

    /// When bytes last came since the last event: now, as far as anybody can tell, if they cannot for want of room.
    pub(crate) fn last_sign(&self, now: Instant) -> Option<Instant> {
        self.seen(|seen| {
            if seen.is_waiting {
                Some(now)
            } else {
                seen.moved
            }
        })
    }

    /// An event is complete: what came up to here is no sign of a next one.
    pub(crate) fn event_came(&self) {
        self.seen(|seen| seen.moved = None);
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Puts [`Frames`] around the body of an accepted subscription.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) purse: Purse,
    pub(crate) bytes_max: usize,
    pub(crate) progress: Progress,
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "kcl-efo frames"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        // The body of a refusal has no frames.
        if response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = SdkBody::from_body_1_x(Frames {
                body,
                rest: Bytes::new(),
                state: State::Prelude {
                    head: [0; PRELUDE],
                    have: 0,
                },
                purse: self.purse.clone(),
                bytes_max: self.bytes_max,
                progress: self.progress.clone(),
            });
        }
        Ok(())
    }
}

/// See the module.
struct Frames {
    body: SdkBody,
    /// What was read and not handed on yet.
    rest: Bytes,
    state: State,
    purse: Purse,
    bytes_max: usize,
    progress: Progress,
}

enum State {
    /// So many bytes of the next frame's beginning are there.
    Prelude { head: [u8; PRELUDE], have: usize },
    /// The frame is not read on before it is paid.
    Paying {
        head: [u8; PRELUDE],
        left: usize,
        paid: Pin<Box<dyn Future<Output = Option<Share>> + Send + Sync>>,
    },
    /// So many bytes of the frame are still to come.
    Through { left: usize },
}

impl Frames {
    /// More bytes, unless some are there already; nothing at the end.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(), BoxError>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    // Trailers are none of ours.
                    self.rest = frame.into_data().unwrap_or_default();
                    self.progress.seen(|seen| seen.moved = Some(Instant::now()));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(())))
    }

    fn length(&self, head: &[u8; PRELUDE]) -> Result<usize, BadFrame> {
        let (lengths, mut checksum) = head.split_at(8);
        if crc32fast::hash(lengths) != checksum.get_u32() {
            return Err(BadFrame::Checksum);
        }
        let bytes = (&lengths[..4]).get_u32() as usize;
        let max = self.bytes_max;
        if bytes < PRELUDE + TRAILER || bytes > max {
            return Err(BadFrame::Length { bytes, max });
        }
        Ok(bytes)
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Prelude { head, have } if *have == PRELUDE => {
                    let head = *head;
                    let bytes = match this.length(&head) {
                        Ok(bytes) => bytes,
                        Err(error) => return Poll::Ready(Some(Err(error.into()))),
                    };
                    this.progress.seen(|seen| {
                        seen.share = None;
                        seen.is_waiting = true;
                    });
                    this.state = State::Paying {
                        head,
                        left: bytes - PRELUDE,
                        paid: Box::pin(this.purse.clone().pay(bytes)),
                    };
                }
                State::Prelude { have, .. } => {
                    let is_between = *have == 0;
                    match ready!(this.poll_rest(context)) {
                        Some(Ok(())) => {}
                        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                        None if is_between => return Poll::Ready(None),
                        None => return Poll::Ready(Some(Err(BadFrame::Cut.into()))),
                    }
                    if let State::Prelude { head, have } = &mut this.state {
                        let count = this.rest.len().min(PRELUDE - *have);
                        this.rest.copy_to_slice(&mut head[*have..*have + count]);
                        *have += count;
                    }
                }
                State::Paying { head, left, paid } => {
                    let share = ready!(paid.as_mut().poll(context));
                    let (head, left) = (Bytes::copy_from_slice(head), *left);
                    this.progress.seen(|seen| {
                        seen.share = share;
                        seen.is_waiting = false;
                    });
                    this.state = State::Through { left };
                    return Poll::Ready(Some(Ok(Frame::data(head))));
                }
                State::Through { left: 0 } => {
                    this.state = State::Prelude {
                        head: [0; PRELUDE],
                        have: 0,
                    };
                }
                State::Through { .. } => {
                    match ready!(this.poll_rest(context)) {
                        Some(Ok(())) => {}
                        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                        None => return Poll::Ready(Some(Err(BadFrame::Cut.into()))),
                    }
                    if let State::Through { left } = &mut this.state {
                        let piece = this.rest.split_to(this.rest.len().min(*left));
                        *left -= piece.len();
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
