//! A request's body on its way in: cut when it stands still, takes too long, or is the oldest when
//! memory runs out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::BoxError;
use crate::wire::body::{Cut, REQUEST_MAX};

use super::bounds::Bounds;
use super::memory::{Lease, Memory};
use super::pulse::Receiving;

/// A body that has to get on.
#[derive(Debug)]
pub(super) struct Intake<B> {
    inner: B,
    bounds: Arc<Bounds>,
    memory: Arc<Memory>,
    /// Told when the body ends.
    receiving: Option<Receiving>,
    bytes: usize,
    /// From the first time that nothing was there.
    waiting: Option<Waiting>,
}

/// A body that does not come in one piece.
#[derive(Debug)]
struct Waiting {
    lease: Lease,
    since: Instant,
    progress: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<B> Intake<B> {
    pub(super) fn new(
        inner: B,
        bounds: Arc<Bounds>,
        memory: Arc<Memory>,
        receiving: Receiving,
    ) -> Self {
        Self {
            inner,
            bounds,
            memory,
            receiving: Some(receiving),
            bytes: 0,
            waiting: None,
        }
    }

    fn got(&mut self, frame: &Frame<Bytes>) {
        let more = frame.data_ref().map_or(0, Buf::remaining);
        // What is larger is read and forgotten.
        self.bytes = self.bytes.saturating_add(more).min(REQUEST_MAX);
        if let Some(waiting) = &mut self.waiting
            && more > 0
        {
            waiting.progress = Instant::now();
            waiting.lease.hold(self.bytes);
        }
    }

    /// Whether it has waited too long, or must go for others.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Cut> {
        let Self {
            waiting,
            bounds,
            memory,
            bytes,
            ..
        } = self;
        let waiting = waiting.get_or_insert_with(|| {
            let now = Instant::now();
            let lease = memory.lease(None);
            lease.hold(*bytes);
            Waiting {
                lease,
                since: now,
                progress: now,
                timer: Box::pin(sleep_until(now + bounds.body_pause.min(bounds.body_total))),
            }
        });
        if waiting.lease.is_evicted(context.waker()) {
            return Poll::Ready(Cut::Evicted);
        }
        while waiting.timer.as_mut().poll(context).is_ready() {
            let pause = waiting.progress + bounds.body_pause;
            let end = pause.min(waiting.since + bounds.body_total);
            if end <= Instant::now() {
                return Poll::Ready(Cut::Stalled);
            }
            // It got on since the timer was set.
            waiting.timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl<B> http_body::Body for Intake<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let cut = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.got(&frame);
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(error))) => Some(error.into()),
            Poll::Ready(None) => None,
            Poll::Pending => match this.wait(context) {
                Poll::Ready(cut) => Some(cut.into()),
                Poll::Pending => return Poll::Pending,
            },
        };
        (this.receiving, this.waiting) = (None, None);
        Poll::Ready(cut.map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use http_body_util::channel::{Channel, Sender};

    use super::super::pulse::Pulse;
    use super::*;

    type Slow = Intake<Channel<Bytes, std::io::Error>>;

    fn slow(memory: &Arc<Memory>) -> (Sender<Bytes, std::io::Error>, Slow) {
        let (sender, body) = Channel::new(1);
        let (_, receiving) = Arc::new(Pulse::new(Instant::now())).begin();
        let memory = Arc::clone(memory);
        (sender, Intake::new(body, Arc::default(), memory, receiving))
    }

    fn cut(end: Option<Result<Frame<Bytes>, BoxError>>) -> Cut {
        *end.unwrap().unwrap_err().downcast::<Cut>().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_cut() {
        let (mut sender, mut body) = slow(&Memory::new(100));
        let start = Instant::now();
        sender.send_data(Bytes::from("a")).await.unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(cut(body.frame().await), Cut::Stalled);
        assert_eq!(start.elapsed(), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_may_go_on_but_not_for_ever() {
        let (mut sender, mut body) = slow(&Memory::new(1 << 20));
        let start = Instant::now();
        let trickle = tokio::spawn(async move {
            while sender.send_data(Bytes::from("a")).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(15)).await;
            }
        });
        let mut got = 0;
        let end = loop {
            match body.frame().await {
                Some(Ok(_)) => got += 1,
                end => break cut(end),
            }
        };
        assert_eq!((end, got), (Cut::Stalled, 20));
        assert_eq!(start.elapsed(), Duration::from_secs(300));
        drop(body);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_body_goes_when_memory_runs_out() {
        let memory = Memory::new(10);
        let (mut old_sender, mut old) = slow(&memory);
        let (mut new_sender, mut new) = slow(&memory);
        let old = tokio::spawn(async move {
            assert!(old.frame().await.unwrap().is_ok());
            cut(old.frame().await)
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        old_sender.send_data(Bytes::from("12345678")).await.unwrap();
        let new = tokio::spawn(async move {
            for _ in 0..2 {
                assert!(new.frame().await.unwrap().is_ok());
            }
            new.frame().await.is_none()
        });
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            new_sender.send_data(Bytes::from("1234")).await.unwrap();
        }
        drop(new_sender);
        assert_eq!(old.await.unwrap(), Cut::Evicted);
        assert!(new.await.unwrap(), "the younger one came to its end");
    }
}
