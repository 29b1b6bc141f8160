//! Who listens to a shard: one seat per consumer, and the bell that wakes whoever sits.
//!
//! A seat belongs to the latest subscription of its consumer; who comes later takes it over, and the
//! one before learns it from its seat. Ringing costs one look at a number while nobody listens. Called
//! by [`super::stream`] when something happens, and by [`super::subscription`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Moment;

use super::budget::Pace;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    seated: AtomicUsize,
    /// By the consumer's number.
    places: Mutex<BTreeMap<u64, Place>>,
}

/// What is known about one consumer at this shard.
#[derive(Debug)]
struct Place {
    /// Its last call that was accepted.
    called: Moment,
    seat: Option<Arc<Seat>>,
    pace: Arc<Mutex<Pace>>,
}

/// Where one subscription waits.
#[derive(Debug)]
pub(crate) struct Seat {
    bell: Notify,
    is_taken_over: AtomicBool,
    /// What the consumer may be sent from this shard, whoever of its subscriptions sits here.
    pub(crate) pace: Arc<Mutex<Pace>>,
}

/// The seat was taken too short a time ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupied;

impl Audience {
    /// Seats a subscription of `consumer`; refuses within `hold` of its last accepted call. Whoever
    /// sat there is told to go.
    pub(crate) fn sit(
        &self,
        consumer: u64,
        now: Moment,
        hold: Duration,
    ) -> Result<Arc<Seat>, Occupied> {
        let mut places = self.places.lock();
        // Consumers come and go, and their numbers are not used again.
        places.retain(|_, place| place.seat.is_some() || now < place.called.after(hold));
        let before = places.get(&consumer);
        if before.is_some_and(|before| now < before.called.after(hold)) {
            return Err(Occupied);
        }
        let pace = before.map(|before| Arc::clone(&before.pace));
        let pace = pace.unwrap_or_else(|| Arc::new(Mutex::new(Pace::new(now))));
        let seat = Arc::new(Seat {
            bell: Notify::new(),
            is_taken_over: AtomicBool::new(false),
            pace: Arc::clone(&pace),
        });
        let place = Place {
            called: now,
            seat: Some(Arc::clone(&seat)),
            pace,
        };
        match places
            .insert(consumer, place)
            .and_then(|before| before.seat)
        {
            Some(before) => {
                before.is_taken_over.store(true, Ordering::Release);
                before.bell.notify_one();
            }
            None => {
                self.seated.fetch_add(1, Ordering::AcqRel);
            }
        }
        Ok(seat)
    }

    /// Frees the seat of `consumer`, if it is still this one.
    pub(crate) fn leave(&self, consumer: u64, seat: &Arc<Seat>) {
        let mut places = self.places.lock();
        if let Some(place) = places.get_mut(&consumer)
            && place
                .seat
                .as_ref()
                .is_some_and(|mine| Arc::ptr_eq(mine, seat))
        {
            place.seat = None;
            self.seated.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// How many are listening.
    pub(crate) fn seated(&self) -> usize {
        self.seated.load(Ordering::Acquire)
    }

    /// Wakes everyone. Whoever sat down before the caller let go of the shard's log hears it.
    pub(crate) fn ring(&self) {
        if self.seated() == 0 {
            return;
        }
        for seat in self
            .places
            .lock()
            .values()
            .filter_map(|place| place.seat.as_ref())
        {
            seat.bell.notify_one();
        }
    }
}

impl Seat {
    /// Waits for a ring. One that came before anyone waited is not lost.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn is_taken_over(&self) -> bool {
        self.is_taken_over.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(5);

    #[test]
    fn a_seat_is_held_for_a_while_and_then_taken_over() {
        let audience = Audience::default();
        let first = audience.sit(1, Moment(1000), HOLD).unwrap();
        assert_eq!(audience.sit(1, Moment(5999), HOLD).unwrap_err(), Occupied);
        assert!(!first.is_taken_over());
        let second = audience.sit(1, Moment(6000), HOLD).unwrap();
        assert!(first.is_taken_over() && !second.is_taken_over());
        assert_eq!(audience.seated(), 1);
        // Who was sent away does not free the seat of the other.
        audience.leave(1, &first);
        assert_eq!(audience.seated(), 1);
        audience.leave(1, &second);
        audience.leave(1, &second);
        assert_eq!(audience.seated(), 0);
        // The last call counts even when its subscription is gone.
        assert!(audience.sit(1, Moment(10_999), HOLD).is_err());
        assert!(audience.sit(1, Moment(11_000), HOLD).is_ok());
    }

    #[test]
    fn consumers_do_not_mind_each_other_and_leave_nothing_behind() {
        let audience = Audience::default();
        for consumer in 0..100 {
            let seat = audience.sit(consumer, Moment(0), HOLD).unwrap();
            audience.leave(consumer, &seat);
        }
        assert_eq!(audience.places.lock().len(), 100);
        audience.sit(100, Moment(5000), HOLD).unwrap();
        assert_eq!((audience.places.lock().len(), audience.seated()), (1, 1));
    }

    #[tokio::test]
    async fn a_ring_before_the_wait_is_heard() {
        let audience = Audience::default();
        let seat = audience.sit(1, Moment(0), HOLD).unwrap();
        audience.ring();
        audience.ring();
        seat.rung().await;
        let again = tokio::time::timeout(Duration::from_millis(1), seat.rung()).await;
        assert!(again.is_err(), "two rings are one");
    }
}
