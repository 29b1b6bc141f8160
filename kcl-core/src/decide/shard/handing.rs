//! How a shard consumer lives whose records go to a handler: the lanes know what may be called, the life of the
//! shard says whether anything may.

use tokio::time::Instant;

use super::{Action, Actions, Reason, ShardMachine, State, Told};
use crate::decide::lanes::{CallId, Lanes, Load};
use crate::error::Error;
use crate::port::{Hold, Outcome};

impl ShardMachine {
    /// A call of the handler, or of the failure destination, is over.
    pub(super) fn on_called(
        &mut self,
        id: CallId,
        outcome: Outcome,
        hold: Option<Hold>,
        now: Instant,
        out: &mut Actions,
    ) {
        let Some(lanes) = &mut self.lanes else {
            debug_assert!(false, "a call came back that nobody made");
            return;
        };
        lanes.held(id, hold);
        let halt = lanes.returned(id, outcome, now, &mut self.rng);
        let is_busy = lanes.is_busy();
        // ORDER: before the end of the shard, after which nothing is told.
        self.tell_notes(out);
        if !self.is_lost() {
            if let Some(error) = halt {
                self.halt(error, now, out);
            }
        } else if !is_busy
            && let State::Losing { .. } | State::Joining { .. } = self.state
            && let State::Losing { end, .. } | State::Joining { end } =
                std::mem::replace(&mut self.state, State::Closed)
        {
            self.part(end, now, out);
        }
    }

    fn halt(&mut self, error: Error, now: Instant, out: &mut Actions) {
        match &mut self.leaving {
            Some(leaving) => leaving.reason = Reason::Failed(error),
            None => self.on_leave(Reason::Failed(error), now, out),
        }
    }

    /// Starts what may start, and closes the shard when nothing is left to do. Runs after every step, so
    /// that no path forgets it.
    pub(super) fn hand_out(&mut self, now: Instant, out: &mut Actions) {
        self.tell_notes(out);
        let Some(lanes) = &mut self.lanes else { return };
        let (is_reading, is_leaving) = match &self.state {
            State::Reading => (true, false),
            State::Finishing => (true, true),
            State::Cancelling => (false, true),
            State::Waiting(_)
            | State::Starting
            | State::Delivering
            | State::Ending
            | State::Pausing { .. }
            | State::Draining
            | State::Closing
            | State::Losing { .. }
            | State::Joining { .. }
            | State::Parting { .. }
            | State::Closed => return,
        };
        self.progress.settle(lanes.settled_to(), now);
        let ends = self.children.is_some();
        if is_reading && now < self.proven_until {
            while let Some(call) = lanes.start(ends, now) {
                out.push(Action::Handle(call));
            }
        }
        let (is_left, is_empty) = (lanes.is_left(), lanes.is_empty());
        self.tell_notes(out);
        if is_leaving && is_left {
            self.close(out);
        } else if !is_leaving && ends && is_empty {
            self.progress.end(now);
            self.close(out);
        }
    }

    fn tell_notes(&mut self, out: &mut Actions) {
        let notes = self.lanes.as_mut().map(Lanes::take_notes);
        let notes = notes.into_iter().flatten();
        out.extend(notes.map(|note| Action::Tell(Told::Lane(note))));
    }

    /// The calls in hand come to their end, and are followed by no more than need be.
    pub(super) fn finish_calls(&mut self, out: &mut Actions) -> bool {
        let Some(lanes) = &mut self.lanes else {
            return false;
        };
        lanes.leave();
        out.push(Action::StopCalls);
        self.state = State::Finishing;
        true
    }

    /// The calls in hand are cut off. They are over when they have come back.
    pub(super) fn cancel_calls(&mut self, next: State, out: &mut Actions) {
        if let Some(lanes) = &mut self.lanes {
            lanes.cut();
        }
        out.push(Action::CancelCalls);
        self.state = next;
    }

    /// How full the lanes are, if there are any.
    pub(crate) fn load(&self, now: Instant) -> Option<Load> {
        self.lanes.as_ref().map(|lanes| lanes.load(now))
    }
}
