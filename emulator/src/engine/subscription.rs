//! The life of one subscription: what it tells its reader at an instant, and when it wants to look
//! again. Waits for nothing itself: [`crate::fan_out`] asks, sends and sleeps.
//!
//! ```text
//! open ──▶ (records | heartbeat)* ──▶ end of shard | refused | five minutes over
//! ```
//! It holds a place in the log and nothing else, so that a reader who does not read costs no memory.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::refusal::{Kind, Refusal};

use super::audience::{Occupied, Seat};
use super::consumer::{self, Consumer};
use super::log::{Entry, Page};
use super::sequence::{INDEX_END, Sequence};
use super::shard::Shard;
use super::stream::{READ_COUNT, Status, Stream};

/// How long a subscription lives.
pub(crate) const LIFE: Duration = Duration::from_secs(300);
/// The first event comes so soon, even if there is nothing to tell.
const FIRST: Duration = Duration::from_millis(500);
/// An idle subscription says so this often: clients expect it within five seconds.
const HEARTBEAT: Duration = Duration::from_millis(4_500);
/// Records of one event in bytes, unless a single one is larger.
const BATCH_BYTES: usize = 2 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Subscription {
    stream: Arc<Stream>,
    consumer: Arc<Consumer>,
    shard: Arc<Shard>,
    seat: Arc<Seat>,
    /// The lowest counter it still wants.
    from: u64,
    rhythm: Rhythm,
    /// Whether it gets no more than the service sends in a second.
    is_paced: bool,
}

/// What the shard has for it.
#[derive(Debug)]
struct Look {
    page: Page,
    /// The lowest counter that is still to be told: nothing between it and the wanted one is there.
    next: u64,
    /// When the last record arrived that it has been told, if it is still there.
    told_last: Option<Moment>,
    is_closed: bool,
    /// When the stream changes by itself.
    due: Moment,
}

/// How a subscription is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long the seat is kept from another one of the same consumer.
    pub(crate) hold: Duration,
    /// Whether it gets no more than the service sends in a second.
    pub(crate) is_paced: bool,
}

/// What to do now.
#[derive(Debug)]
pub(crate) enum Step {
    Emit(Event),
    /// Nothing before this instant, unless the seat is rung.
    Wait(Moment),
    /// Nothing any more.
    Over,
}

/// What the reader is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// Records, or none if it is a heartbeat.
    Records {
        entries: Vec<Entry>,
        continuation: Sequence,
        millis_behind: u64,
    },
    /// All of a closed shard has been told; its children come next.
    Ended { children: Vec<Arc<Shard>> },
    /// It ends here, for this reason.
    Refused(Refusal),
}

/// When what is due. Pure.
#[derive(Debug)]
struct Rhythm {
    /// The next event, if nothing happens before.
    beat: Moment,
    end: Moment,
    is_over: bool,
}

impl Rhythm {
    fn new(now: Moment) -> Self {
        Self {
            beat: now.after(FIRST),
            end: now.after(LIFE),
            is_over: false,
        }
    }

    /// Ends by itself.
    fn is_over(&mut self, now: Moment) -> bool {
        self.is_over |= self.end <= now;
        self.is_over
    }

    fn is_beat_due(&self, now: Moment) -> bool {
        self.beat <= now
    }

    fn told(&mut self, now: Moment) {
        self.beat = now.after(HEARTBEAT);
    }

    /// When to look again, if `due` is when the stream changes by itself. Always after `now`.
    fn next(&self, now: Moment, due: Moment) -> Moment {
        let next = self.beat.min(self.end).min(due);
        next.max(now.after(Duration::from_millis(1)))
    }
}

impl Subscription {
    /// Seats `consumer` at `shard`, wanting the counters from `from` on. Refuses if its
    /// last accepted call is too short a time ago.
    pub(crate) fn open(
        (now, terms): (Moment, Terms),
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        (shard, from): (&Arc<Shard>, u64),
    ) -> Result<Self, Refusal> {
        // Before the log is read, so that a put in between is not missed.
        stream.listeners_add();
        let seat = match shard.audience.sit(consumer.number, now, terms.hold) {
            Ok(seat) => seat,
            Err(Occupied) => {
                stream.listeners_remove();
                return Err(another_exists(stream, consumer, shard));
            }
        };
        Ok(Self {
            stream: Arc::clone(stream),
            consumer: Arc::clone(consumer),
            shard: Arc::clone(shard),
            seat,
            from,
            rhythm: Rhythm::new(now),
            is_paced: terms.is_paced,
        })
    }

    pub(crate) fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(crate) fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// What to do at `now`.
    pub(crate) fn step(&mut self, now: Moment) -> Step {
        if self.rhythm.is_over(now) {
            return Step::Over;
        }
        if let Some(refusal) = self.refusal(now) {
            return self.close(Event::Refused(refusal));
        }
        let ready = self.ready_at();
        let look = self.look(now, if ready <= now { READ_COUNT } else { 1 });
        match look.page.entries.last() {
            Some(_) if ready > now => self.pause(now, ready, &look),
            Some(last) => {
                let continuation = self.shard.sequence(last.index, last.arrival);
                let behind = now.millis_since(last.arrival);
                self.from = look.page.next;
                self.told(now, &look.page.entries);
                let outgoing = (look.page.entries.len(), look.page.size);
                self.shard.log.lock().outgoing.count(outgoing.0, outgoing.1);
                Step::Emit(Event::Records {
                    continuation,
                    millis_behind: if look.page.at_tip { 0 } else { behind },
                    entries: look.page.entries,
                })
            }
            None => match self.shard.closed.get().filter(|_| look.is_closed) {
                Some(closed) => {
                    let children = closed.children.clone();
                    self.close(Event::Ended { children })
                }
                None => self.idle(now, look.due, &look, 0),
            },
        }
    }

    /// What there is to tell, up to `count` records.
    fn look(&self, now: Moment, count: usize) -> Look {
        let state = self.stream.state(now);
        let mut log = self.shard.log.lock();
        log.trim(now.before(state.retention));
        let page = log.read(self.from, count, BATCH_BYTES);
        let next = match page.entries.first() {
            Some(first) => first.index,
            None => page.next,
        };
        let told_last = log.arrival_of(next.saturating_sub(1));
        drop(log);
        // Still under the stream's lock: between the read and this look nobody closes the shard.
        let is_closed = !self.shard.is_open();
        Look {
            page,
            next,
            told_last,
            is_closed,
            due: self.stream.due(),
        }
    }

    /// There is something, but its reader has had all that one second allows.
    fn pause(&mut self, now: Moment, ready: Moment, look: &Look) -> Step {
        let waiting = look.page.entries.first();
        let behind = waiting.map_or(0, |first| now.millis_since(first.arrival));
        self.idle(now, look.due.min(ready), look, behind)
    }

    /// A heartbeat, if it is time for one.
    fn idle(&mut self, now: Moment, due: Moment, look: &Look, millis_behind: u64) -> Step {
        if !self.rhythm.is_beat_due(now) {
            return Step::Wait(self.rhythm.next(now, due));
        }
        self.from = look.next;
        let continuation = self.idle_continuation(now, look.told_last);
        self.told(now, &[]);
        Step::Emit(Event::Records {
            entries: Vec::new(),
            continuation,
            millis_behind,
        })
    }

    /// When the next records may be told.
    fn ready_at(&self) -> Moment {
        if self.is_paced {
            self.seat.pace.lock().next()
        } else {
            Moment::default()
        }
    }

    /// Notes an event that goes out now.
    fn told(&mut self, now: Moment, entries: &[Entry]) {
        self.rhythm.told(now);
        if self.is_paced && !entries.is_empty() {
            let size: usize = entries.iter().map(Entry::size).sum();
            // A `usize` is no wider than 64 bits.
            self.seat.pace.lock().charge(now, size as u64);
        }
    }

    /// A number above all that has been told and below all that is still to come, which moves with
    /// time: the counter of the last record, with a later second.
    fn idle_continuation(&self, now: Moment, told_last: Option<Moment>) -> Sequence {
        let index = self.from.saturating_sub(1).min(INDEX_END);
        let now = self.shard.sequence(index, now);
        let second = match told_last.map(|last| self.shard.sequence(index, last)) {
            Some(last) => now.second.max(last.second + 1),
            None => now.second,
        };
        Sequence::new(now.created, now.shard, index, second)
    }

    /// Why it has to end, if it has to.
    fn refusal(&self, now: Moment) -> Option<Refusal> {
        let Stream { name, scope, .. } = &*self.stream;
        if self.seat.is_taken_over() {
            return Some(another_exists(&self.stream, &self.consumer, &self.shard));
        }
        if matches!(self.stream.state(now).status, Status::Deleting { .. }) {
            return Some(Refusal::stream_not_found(name, scope));
        }
        match self.consumer.status(now) {
            consumer::Status::Creating | consumer::Status::Active => None,
            consumer::Status::Deleting => {
                Some(Refusal::consumer_not_found(&self.consumer.name, scope))
            }
        }
    }

    fn close(&mut self, event: Event) -> Step {
        self.rhythm.is_over = true;
        Step::Emit(event)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shard.audience.leave(self.consumer.number, &self.seat);
        self.stream.listeners_remove();
    }
}

fn another_exists(stream: &Stream, consumer: &Consumer, shard: &Shard) -> Refusal {
    let (account, created) = (&stream.scope.account, stream.created.seconds());
    Refusal::new(
        Kind::ResourceInUse,
        format!(
            "Another active subscription exists for this consumer: {account}:{}:{created}:{}:{}",
            stream.name,
            consumer.name,
            shard.id()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_comes_soon_the_others_within_five_seconds_and_then_it_is_over() {
        let start = Moment(1_000_000);
        let mut rhythm = Rhythm::new(start);
        assert!(!rhythm.is_beat_due(start));
        assert_eq!(rhythm.next(start, Moment::NEVER), Moment(1_000_500));
        assert!(rhythm.is_beat_due(Moment(1_000_500)));
        rhythm.told(Moment(1_000_500));
        assert_eq!(
            rhythm.next(Moment(1_000_500), Moment::NEVER),
            Moment(1_005_000)
        );
        // What the stream has to do comes in between, and never leads to a look without a pause.
        assert_eq!(
            rhythm.next(Moment(1_000_500), Moment(1_000_700)),
            Moment(1_000_700)
        );
        assert_eq!(rhythm.next(Moment(1_000_500), Moment(5)), Moment(1_000_501));
        rhythm.told(Moment(1_299_000));
        assert_eq!(
            rhythm.next(Moment(1_299_000), Moment::NEVER),
            Moment(1_300_000)
        );
        assert!(!rhythm.is_over(Moment(1_299_999)));
        assert!(rhythm.is_over(Moment(1_300_000)));
        assert!(rhythm.is_over(Moment(0)), "what is over stays over");
    }
}
