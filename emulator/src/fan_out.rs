//! The body of an answer to SubscribeToShard: asks the subscription what to tell, and waits in
//! between for the shard's bell or the clock. Chooses nothing itself.
//!
//! A frame is made when the body is polled and not before, so that HTTP's flow control is the only
//! buffer; whoever drops the body ends the subscription. Made by [`crate::ops`], carried by
//! [`crate::wire::body::Body`].

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::Clock;
use crate::clock::Moment;
use crate::engine::Entry;
use crate::engine::audience::Seat;
use crate::engine::subscription::{Event, Step, Subscription};
use crate::faults::{EventFault, Faults};
use crate::wire::codec::Wire;
use crate::wire::events;

/// See the module.
pub(crate) struct EventBody {
    clock: Clock,
    wire: Wire,
    /// None once everything is told.
    subscription: Option<Subscription>,
    faults: Option<Faults>,
    is_opened: bool,
    wait: Option<Wait>,
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl EventBody {
    pub(crate) fn new(clock: Clock, wire: Wire, subscription: Subscription) -> Self {
        Self {
            clock,
            wire,
            subscription: Some(subscription),
            faults: None,
            is_opened: false,
            wait: None,
        }
    }

    /// Lets its events meet faults.
    pub(crate) fn with_faults(self, faults: Faults) -> Self {
        Self {
            faults: Some(faults),
            ..self
        }
    }

    /// The next frame; none at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if !self.is_opened {
                self.is_opened = true;
                return Poll::Ready(Some(events::initial_response(self.wire)));
            }
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(context));
                self.wait = None;
            }
            let Some(subscription) = &mut self.subscription else {
                return Poll::Ready(None);
            };
            match subscription.step(self.clock.moment()) {
                Step::Emit(event) => {
                    if let Some(frame) = self.tell(&event) {
                        return Poll::Ready(Some(frame));
                    }
                }
                Step::Wait(until) => {
                    let seat = Arc::clone(subscription.seat());
                    self.wait = Some(Box::pin(wait(seat, self.clock.clone(), until)));
                }
                Step::Over => self.subscription = None,
            }
        }
    }

    /// The frame of an event; none if a fault leaves it out.
    fn tell(&mut self, event: &Event) -> Option<Bytes> {
        let subscription = self.subscription.as_ref()?;
        let (consumer, shard) = (subscription.consumer(), subscription.shard());
        let faults = self.faults.as_ref();
        let fault = faults.and_then(|faults| {
            faults.strike_event(&subscription.stream().name, &consumer.name, shard.index)
        });
        let frame = match fault {
            Some(EventFault::Drop) => None,
            Some(EventFault::Truncate) => {
                let frame = events::event(self.wire, shard, event);
                Some(frame.slice(..frame.len() / 2))
            }
            Some(EventFault::Exception(kind)) => {
                let text = "A fault ends this subscription.";
                Some(events::exception(self.wire, kind.name(), Some(text)))
            }
            None => {
                count(self.clock.moment(), subscription, event);
                Some(events::event(self.wire, shard, event))
            }
        };
        let is_last = matches!(event, Event::Ended { .. } | Event::Refused(_));
        let is_cut = !matches!(fault, None | Some(EventFault::Drop));
        if is_last || is_cut {
            self.subscription = None;
        }
        frame
    }

    pub(crate) fn is_over(&self) -> bool {
        self.subscription.is_none()
    }
}

impl fmt::Debug for EventBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody")
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}

/// Counts an event for the metrics.
fn count(now: Moment, subscription: &Subscription, event: &Event) {
    if let Event::Records {
        entries,
        millis_behind,
        ..
    } = event
    {
        let size = entries.iter().map(Entry::size).sum();
        let (stream, consumer) = (subscription.stream(), subscription.consumer());
        consumer.metrics.event(entries.len(), size, *millis_behind);
        let (ledger, amount) = (&stream.metrics.ledger, (entries.len(), size));
        ledger.event(now, &consumer.name, amount, *millis_behind);
        let shard = (stream.state(now).monitored, subscription.shard().index);
        ledger.shard_event(now, shard, amount);
    }
}

async fn wait(seat: Arc<Seat>, clock: Clock, until: Moment) {
    tokio::select! {
        biased; // ORDER: news before time; both only lead to another look
        () = seat.rung() => {}
        () = clock.sleep_until(until) => {}
    }
}
