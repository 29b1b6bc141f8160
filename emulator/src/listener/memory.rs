//! How many bytes wait in bodies that have not wholly come or gone, and whose go when they are too
//! many: those of the oldest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use super::pulse::Pulse;

/// The account of one kind of bodies.
#[derive(Debug)]
pub(super) struct Memory {
    max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    next: u64,
    /// By age.
    leases: BTreeMap<u64, (usize, Arc<Slot>)>,
}

/// How a body learns that it has lost its memory.
#[derive(Debug, Default)]
struct Slot {
    is_evicted: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// Ended with it; for answers, which nobody polls while their reader does not read.
    connection: Option<Arc<Pulse>>,
}

/// What one body holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    memory: Arc<Memory>,
    number: u64,
    slot: Arc<Slot>,
}

impl Memory {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            held: Mutex::default(),
        })
    }

    /// A lease of nothing yet.
    pub(super) fn lease(self: &Arc<Self>, connection: Option<Arc<Pulse>>) -> Lease {
        let slot = Arc::new(Slot {
            connection,
            ..Slot::default()
        });
        let mut held = self.held.lock();
        let number = held.next;
        held.next += 1;
        held.leases.insert(number, (0, Arc::clone(&slot)));
        drop(held);
        Lease {
            memory: Arc::clone(self),
            number,
            slot,
        }
    }

    #[cfg(test)]
    fn total(&self) -> usize {
        self.held.lock().total
    }
}

impl Held {
    fn set(&mut self, number: u64, bytes: usize) {
        if let Some((before, _)) = self.leases.get_mut(&number) {
            self.total = self.total + bytes - *before;
            *before = bytes;
        }
    }
}

impl Lease {
    /// Holds so many bytes from now on. The oldest holders go if they do not fit.
    pub(super) fn hold(&self, bytes: usize) {
        let mut gone = Vec::new();
        let mut held = self.memory.held.lock();
        held.set(self.number, bytes);
        while held.total > self.memory.max {
            let Some((_, (bytes, slot))) = held.leases.pop_first() else {
                break;
            };
            held.total -= bytes;
            gone.push(slot);
        }
        drop(held);
        for slot in gone {
            slot.is_evicted.store(true, Ordering::Release);
            if let Some(waker) = slot.waker.lock().take() {
                waker.wake();
            }
            if let Some(connection) = &slot.connection {
                connection.give_up();
            }
        }
    }

    /// Whether it was taken away; if not, `waker` is woken when it is.
    pub(super) fn is_evicted(&self, waker: &Waker) -> bool {
        let mut place = self.slot.waker.lock();
        if !place.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *place = Some(waker.clone());
        }
        drop(place);
        self.slot.is_evicted.load(Ordering::Acquire)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.memory.held.lock();
        held.set(self.number, 0);
        held.leases.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_memory_runs_out() {
        let memory = Memory::new(100);
        let [first, second, third] = std::array::from_fn(|_| memory.lease(None));
        first.hold(40);
        second.hold(30);
        second.hold(50);
        assert_eq!(memory.total(), 90);
        third.hold(30);
        let is_evicted = |lease: &Lease| lease.is_evicted(Waker::noop());
        assert!(is_evicted(&first) && !is_evicted(&second) && !is_evicted(&third));
        assert_eq!(memory.total(), 80);
        first.hold(1000);
        assert_eq!(memory.total(), 80, "what is gone counts no more");
        third.hold(1000);
        assert!(is_evicted(&second) && is_evicted(&third), "nobody fits");
        drop((first, second, third));
        assert_eq!(memory.total(), 0);
    }
}
