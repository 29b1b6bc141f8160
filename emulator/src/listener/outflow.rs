//! An answer's body on its way out: keeps its request in flight until its end, and goes in slices, so
//! that what waits for a slow reader is known and can be given up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::memory::{Lease, Memory};
use super::pulse::InFlight;

/// What is handed on at once. Smaller bodies go as they are.
const SLICE: usize = 512 << 10;

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Outflow<B> {
    inner: B,
    memory: Arc<Memory>,
    in_flight: Option<InFlight>,
    /// Of the last frame, what is not yet handed on.
    rest: Bytes,
    lease: Option<Lease>,
}

impl<B> Outflow<B> {
    pub(super) fn new(inner: B, memory: Arc<Memory>, in_flight: InFlight) -> Self {
        Self {
            inner,
            memory,
            in_flight: Some(in_flight),
            rest: Bytes::new(),
            lease: None,
        }
    }

    fn slice(&mut self, mut data: Bytes) -> Bytes {
        if data.len() <= SLICE {
            (self.rest, self.lease) = (Bytes::new(), None);
            return data;
        }
        let slice = data.split_to(SLICE);
        let Self {
            memory, in_flight, ..
        } = self;
        let lease = self.lease.get_or_insert_with(|| {
            let connection = in_flight.as_ref().map(InFlight::pulse).cloned();
            memory.lease(connection)
        });
        lease.hold(data.len());
        self.rest = data;
        slice
    }
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Outflow<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready(Some(Ok(Frame::data(this.slice(rest)))));
        }
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = match frame.into_data() {
                    Ok(data) => Frame::data(this.slice(data)),
                    Err(other) => other,
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_)) | None) => {
                this.in_flight = None;
                polled
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let hint = self.inner.size_hint();
        let mut all = SizeHint::new();
        all.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            all.set_upper(upper.saturating_add(rest));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body;
    use http_body_util::{BodyExt, Full};
    use tokio::time::Instant;

    use super::super::pulse::Pulse;
    use super::*;

    fn outflow(bytes: &Bytes, memory: &Arc<Memory>) -> (Outflow<Full<Bytes>>, Arc<Pulse>) {
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let (in_flight, _) = pulse.begin();
        let memory = Arc::clone(memory);
        (
            Outflow::new(Full::new(bytes.clone()), memory, in_flight),
            pulse,
        )
    }

    #[tokio::test]
    async fn large_answers_go_in_slices_and_arrive_whole() {
        let bytes: Bytes = (0..SLICE * 2 + 7).map(|place| place as u8).collect();
        let (mut body, _pulse) = outflow(&bytes, &Memory::new(1 << 30));
        let mut got = Vec::new();
        while !body.is_end_stream() {
            let expected = u64::try_from(bytes.len() - got.len()).unwrap();
            assert_eq!(body.size_hint().exact(), Some(expected));
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(data.len() <= SLICE);
            got.extend_from_slice(&data);
        }
        assert!(got == bytes);
    }

    #[tokio::test]
    async fn the_connection_of_the_oldest_answer_goes_when_memory_runs_out() {
        let bytes = Bytes::from(vec![0; SLICE * 4]);
        let memory = Memory::new(SLICE * 5);
        let (mut old, old_pulse) = outflow(&bytes, &memory);
        let (mut new, new_pulse) = outflow(&bytes, &memory);
        old.frame().await.unwrap().unwrap();
        assert!(!old_pulse.is_given_up());
        new.frame().await.unwrap().unwrap();
        assert!(old_pulse.is_given_up() && !new_pulse.is_given_up());
    }
}
