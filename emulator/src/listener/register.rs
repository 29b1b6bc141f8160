//! All open connections, and which of them has to go when there are too many.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::pulse::{Pulse, Worth};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Register {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    pulses: BTreeMap<u64, Arc<Pulse>>,
}

/// A place in the register; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    register: Arc<Register>,
    number: u64,
}

impl Register {
    /// Takes a connection in, if there is room or room can be made.
    pub(super) fn admit(self: &Arc<Self>, pulse: &Arc<Pulse>, max: usize) -> Option<Place> {
        let mut open = self.open.lock();
        if open.pulses.len() >= max && !open.make_room(max) {
            return None;
        }
        let number = open.next;
        open.next += 1;
        open.pulses.insert(number, Arc::clone(pulse));
        Some(Place {
            register: Arc::clone(self),
            number,
        })
    }

    /// Ends the connection that is worth least; nothing if all of them are being answered.
    pub(super) fn make_room(&self) {
        let made = self.open.lock().make_room(0);
        tracing::debug!(made, "room for another connection");
    }
}

impl Open {
    /// Whether fewer than `max` remain when all that were given up have gone.
    fn make_room(&mut self, max: usize) -> bool {
        let staying = || self.pulses.values().filter(|pulse| !pulse.is_given_up());
        if max > 0 && staying().count() < max {
            return true;
        }
        let cheapest = staying().min_by_key(|pulse| pulse.worth());
        match cheapest {
            Some(pulse) if pulse.worth().0 < Worth::Answering => pulse.give_up(),
            Some(_) | None => false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.open.lock().pulses.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn the_cheapest_goes_and_who_is_answered_stays() {
        let register = Arc::new(Register::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let _entered = runtime.as_ref().unwrap().enter();
        let pulse = || Arc::new(Pulse::new(Instant::now()));
        let (answering, idle, silent) = (pulse(), pulse(), pulse());
        let busy = answering.begin().0;
        drop(idle.begin());
        let places: Vec<_> = [&answering, &idle, &silent]
            .map(|pulse| register.admit(pulse, 3).unwrap())
            .into();
        let (fourth, fifth, sixth) = (pulse(), pulse(), pulse());
        let fourth_place = register.admit(&fourth, 3).unwrap();
        assert!(silent.is_given_up() && !idle.is_given_up());
        let fourth_busy = fourth.begin().0;
        let fifth_place = register.admit(&fifth, 3).unwrap();
        assert!(idle.is_given_up() && !fourth.is_given_up());
        let fifth_busy = fifth.begin().0;
        assert!(
            register.admit(&sixth, 3).is_none(),
            "all are being answered"
        );
        drop((busy, fourth_busy, fifth_busy));
        drop((places, fourth_place, fifth_place));
        assert!(register.open.lock().pulses.is_empty());
    }
}
