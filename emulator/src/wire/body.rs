//! Bodies: the answer's, and how a request's is taken in.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::BoxError;
use crate::fan_out::EventBody;

/// Larger requests are refused: 10 MiB of payload in base64, 500 keys and the frame fit well.
pub(crate) const REQUEST_MAX: usize = 16 << 20;
/// How much of a refused request is still read, so that its sender gets to see the answer.
const DRAINED_MAX: usize = 64 << 20;

/// The body of an answer: all there, or frame by frame as things happen.
#[derive(Debug, Default)]
pub struct Body {
    content: Content,
}

#[derive(Debug)]
enum Content {
    Full(Option<Bytes>),
    Events(Box<EventBody>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Full(None)
    }
}

impl Body {
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty());
        Self {
            content: Content::Full(bytes),
        }
    }

    pub(crate) fn events(events: EventBody) -> Self {
        Self {
            content: Content::Events(Box::new(events)),
        }
    }

    /// All of it, without waiting; nothing of a stream of events.
    pub fn into_bytes(self) -> Bytes {
        self.try_into_bytes().unwrap_or_default()
    }

    /// All of it, without waiting; the body itself if it is a stream of events, whose frames come
    /// with time.
    pub fn try_into_bytes(self) -> Result<Bytes, Self> {
        match self.content {
            Content::Full(bytes) => Ok(bytes.unwrap_or_default()),
            Content::Events(_) => Err(self),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.content {
            Content::Full(bytes) => bytes.take(),
            Content::Events(events) => ready!(events.poll_next(context)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_none(),
            Content::Events(events) => events.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => {
                let len = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(len.try_into().unwrap_or(0))
            }
            Content::Events(_) => SizeHint::default(),
        }
    }
}

/// Why a listener does not wait for the rest of a request's body. Comes as the body's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    /// It stands still, or takes too long.
    #[error("the request's body does not get on")]
    Stalled,
    /// There is no memory left for it.
    #[error("there are too many bodies of requests")]
    Evicted,
}

/// Why a request's body could not be taken in.
#[derive(Debug)]
pub(crate) enum Unreadable {
    TooLarge,
    Broken(BoxError),
}

/// The whole body of a request. One frame is taken as it is; several are copied once.
pub(crate) async fn collect<B>(body: B) -> Result<Bytes, Unreadable>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = std::pin::pin!(body);
    let foretold = body
        .size_hint()
        .exact()
        .and_then(|size| usize::try_from(size).ok());
    // What is known to be refused is not kept while it comes.
    let is_foretold = foretold.is_some_and(|size| size > REQUEST_MAX);
    let mut whole = BytesMut::new();
    let mut first: Option<Bytes> = None;
    let mut total = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unreadable::Broken(error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total = total.saturating_add(data.len());
        if total > DRAINED_MAX {
            return Err(Unreadable::TooLarge);
        }
        if is_foretold || total > REQUEST_MAX {
            (whole, first) = (BytesMut::new(), None);
        } else if total == data.len() {
            first = Some(data);
        } else {
            if let Some(first) = first.take() {
                whole.reserve(foretold.unwrap_or_default().clamp(total, REQUEST_MAX));
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(data.chunk());
        }
    }
    if is_foretold || total > REQUEST_MAX {
        return Err(Unreadable::TooLarge);
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn frames_are_put_together() {
        let frames = ["", "a", "bc", "", "def"].map(|text| Ok(Frame::data(Bytes::from(text))));
        let body = Frames(frames.into_iter().collect());
        assert_eq!(collect(body).await.unwrap(), "abcdef");
        assert_eq!(collect(Full::new(Bytes::from("abc"))).await.unwrap(), "abc");
        assert_eq!(collect(Full::new(Bytes::new())).await.unwrap(), "");
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused() {
        let body = Full::new(Bytes::from(vec![0; REQUEST_MAX + 1]));
        assert!(matches!(collect(body).await, Err(Unreadable::TooLarge)));
    }

    struct Frames(std::collections::VecDeque<Result<Frame<Bytes>, Infallible>>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front())
        }
    }
}
