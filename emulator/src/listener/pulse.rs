//! What one connection is at: silent, in a request's head, busy, or idle between requests. Decides
//! by when it has to get on, and how cheaply it can be given up for another.
//!
//! Told by the connection's stream and its requests; asked by its task and by the register of all
//! connections. Does no I/O.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::bounds::Bounds;

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI";

/// One connection. Shared between its stream, its requests and the register.
#[derive(Debug)]
pub(super) struct Pulse {
    state: Mutex<State>,
    given_up: Notify,
}

#[derive(Debug)]
struct State {
    opened: Instant,
    /// Of the first bytes, as many as tell the protocol.
    start: Vec<u8>,
    requests: u64,
    /// Requests without the end of their answers.
    in_flight: usize,
    /// Those of them whose bodies are still coming.
    receiving: usize,
    /// Since when nothing is in flight.
    quiet_since: Instant,
    /// When a request's head began; HTTP/1 only, as HTTP/2 talks between requests.
    head_since: Option<Instant>,
    is_given_up: bool,
}

/// How dear a connection is, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// It has never asked anything.
    Unproven,
    /// It waits for its next request.
    Idle,
    /// It is sending a body.
    Receiving,
    /// It is being answered.
    Answering,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        let state = State {
            opened: now,
            start: Vec::new(),
            requests: 0,
            in_flight: 0,
            receiving: 0,
            quiet_since: now,
            head_since: None,
            is_given_up: false,
        };
        Self {
            state: Mutex::new(state),
            given_up: Notify::new(),
        }
    }

    /// Bytes came in.
    pub(super) fn read(&self, bytes: &[u8], now: Instant) {
        let mut state = self.state.lock();
        let missing = PREFACE.len().saturating_sub(state.start.len());
        if missing > 0 {
            state.start.extend(bytes.iter().take(missing));
        }
        if state.in_flight == 0 && state.head_since.is_none() {
            state.head_since = Some(now);
        }
    }

    /// By when something has to have changed; nothing while a request is in flight, which has its own
    /// deadlines.
    pub(super) fn deadline(&self, bounds: &Bounds) -> Option<Instant> {
        let state = self.state.lock();
        let is_h2 = PREFACE == state.start;
        match state.head_since {
            _ if state.in_flight > 0 => None,
            Some(since) if !is_h2 => Some(since + bounds.head),
            None if state.requests == 0 => Some(state.opened + bounds.first_byte),
            Some(_) | None => Some(state.quiet_since + bounds.idle),
        }
    }

    /// How dear it is, and since when.
    pub(super) fn worth(&self) -> (Worth, Instant) {
        let state = self.state.lock();
        if state.in_flight > state.receiving {
            (Worth::Answering, state.opened)
        } else if state.in_flight > 0 {
            (Worth::Receiving, state.opened)
        } else if state.requests > 0 {
            (Worth::Idle, state.quiet_since)
        } else {
            (Worth::Unproven, state.opened)
        }
    }

    /// Ends the connection as soon as its task looks. Says whether it was not yet ending.
    pub(super) fn give_up(&self) -> bool {
        let was = std::mem::replace(&mut self.state.lock().is_given_up, true);
        self.given_up.notify_one();
        !was
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.state.lock().is_given_up
    }

    /// Waits until it is given up.
    pub(super) async fn until_given_up(&self) {
        self.given_up.notified().await;
    }

    /// A request's head has come, and its body is coming.
    pub(super) fn begin(self: &Arc<Self>) -> (InFlight, Receiving) {
        let mut state = self.state.lock();
        state.requests += 1;
        state.in_flight += 1;
        state.receiving += 1;
        state.head_since = None;
        drop(state);
        (InFlight(Arc::clone(self)), Receiving(Arc::clone(self)))
    }
}

/// A request that is not yet answered to the end.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Pulse>);

impl InFlight {
    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.0.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 {
            state.quiet_since = now;
            state.head_since = None;
        }
    }
}

/// A request whose body has not ended.
#[derive(Debug)]
pub(super) struct Receiving(Arc<Pulse>);

impl Drop for Receiving {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.receiving = state.receiving.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(pulse: &Pulse, start: Instant) -> Option<u64> {
        let deadline = pulse.deadline(&Bounds::default());
        deadline.map(|deadline| deadline.duration_since(start).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn each_state_has_its_deadline_and_its_worth() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let pulse = Arc::new(Pulse::new(start));
        assert_eq!(at(&pulse, start), Some(60));
        assert_eq!(pulse.worth().0, Worth::Unproven);
        pulse.read(b"P", start + second);
        pulse.read(b"OST", start + second * 2);
        assert_eq!(
            at(&pulse, start),
            Some(11),
            "the head began with its first byte"
        );
        let (in_flight, receiving) = pulse.begin();
        assert_eq!(at(&pulse, start), None);
        assert_eq!(pulse.worth().0, Worth::Receiving);
        drop(receiving);
        assert_eq!(pulse.worth().0, Worth::Answering);
        tokio::time::advance(second * 100).await;
        pulse.read(b"more", Instant::now());
        drop(in_flight);
        assert_eq!(at(&pulse, start), Some(220), "idle since the answer's end");
        assert_eq!(pulse.worth(), (Worth::Idle, start + second * 100));
        pulse.read(b"P", start + second * 101);
        assert_eq!(at(&pulse, start), Some(111));
    }

    #[tokio::test(start_paused = true)]
    async fn http_2_may_talk_between_its_requests() {
        let start = Instant::now();
        let pulse = Arc::new(Pulse::new(start));
        pulse.read(b"PR", start);
        pulse.read(b"I * HTTP/2.0", start);
        assert_eq!(at(&pulse, start), Some(120));
        drop(pulse.begin());
        pulse.read(b"ping", start + Duration::from_secs(50));
        assert_eq!(at(&pulse, start), Some(120));
    }

    #[tokio::test]
    async fn giving_up_is_told_once_and_not_missed() {
        let pulse = Pulse::new(Instant::now());
        assert!(pulse.give_up());
        assert!(!pulse.give_up());
        pulse.until_given_up().await;
        assert!(pulse.is_given_up());
    }
}
