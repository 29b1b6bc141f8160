//! One thing that many tasks want, each for a moment.
//!
//! A `tokio::sync::Mutex` is handed over in the order of asking. Whoever is next may stand in the queue of a thread that is
//! busy with something long: then all others wait for it as well, and once one has waited, nearly all do. Here it goes to
//! whoever comes first, and who waits is woken to try again.

use std::ops::{Deref, DerefMut};
use std::pin::pin;

use tokio::sync::{Mutex, MutexGuard, Notify};

/// The thing, and those who wait for it.
pub(super) struct Turns<T> {
    /// Nobody waits for this lock, so it is never handed over.
    thing: Mutex<T>,
    back: Notify,
}

impl<T> Turns<T> {
    pub(super) fn new(thing: T) -> Self {
        Self {
            thing: Mutex::new(thing),
            back: Notify::new(),
        }
    }

    /// Waits until it is there, and takes it. Cancel-safe.
    pub(super) async fn take(&self) -> Turn<'_, T> {
        if let Some(turn) = self.try_take() {
            return turn;
        }
        loop {
            let mut back = pin!(self.back.notified());
            // ORDER: listens before it looks, or the thing could come back unheard in between.
            back.as_mut().enable();
            if let Some(turn) = self.try_take() {
                return turn;
            }
            back.await;
        }
    }

    fn try_take(&self) -> Option<Turn<'_, T>> {
        Some(Turn {
            thing: self.thing.try_lock().ok()?,
            _back: Back(&self.back),
        })
    }
}

/// The thing, until this is dropped.
pub(super) struct Turn<'a, T> {
    // ORDER: dropped in this order, so that who is woken finds it there.
    thing: MutexGuard<'a, T>,
    _back: Back<'a>,
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.thing
    }
}

/// Wakes one of those who wait when it is dropped.
struct Back<'a>(&'a Notify);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::{JoinSet, yield_now};
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn it_goes_to_whoever_comes_first_and_then_to_who_waits() {
        let turns = Arc::new(Turns::new(0));
        let turn = turns.take().await;
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { *turns.take().await += 1 }
        });
        yield_now().await;
        drop(turn);
        // It was woken, and has not come yet.
        let mut turn = turns.try_take().unwrap();
        yield_now().await;
        *turn += 1;
        drop(turn);
        waiting.await.unwrap();
        assert_eq!(*turns.take().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_when_it_was_woken_wakes_the_next() {
        let turns = Arc::new(Turns::new(()));
        let turn = turns.take().await;
        let mut first = Box::pin(turns.take());
        let mut second = Box::pin(turns.take());
        assert!(timeout(Duration::ZERO, &mut first).await.is_err());
        assert!(timeout(Duration::ZERO, &mut second).await.is_err());
        drop(turn);
        drop(first);
        let waits = timeout(Duration::from_secs(1), second).await;
        assert!(waits.is_ok(), "nobody woke it");
    }

    #[tokio::test(start_paused = true)]
    async fn one_has_it_at_a_time_and_all_get_it() {
        let turns = Arc::new(Turns::new(0));
        let mut tasks = JoinSet::new();
        for task in 0..20_u64 {
            let turns = turns.clone();
            tasks.spawn(async move {
                for round in 0..50 {
                    let mut turn = turns.take().await;
                    let before = *turn;
                    sleep(Duration::from_micros((task * 7 + round * 3) % 5)).await;
                    *turn = before + 1;
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(*turns.take().await, 1_000);
    }
}
