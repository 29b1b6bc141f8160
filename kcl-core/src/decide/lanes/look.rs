//! What the lanes look like: how full they are, when there is something to do, which calls run long.

use std::time::Duration;

use tokio::time::Instant;

use super::{Lanes, Load, Note};

/// How often it is told that a call runs long.
const RUNS_LONG: Duration = Duration::from_secs(60);

impl Lanes {
    /// Notes which calls run long.
    pub(crate) fn note_long_calls(&mut self, now: Instant) {
        for (id, running) in &mut self.running {
            if running.told + RUNS_LONG <= now
                && let Some(piece) = self.jobs.get(id).and_then(|job| job.pieces.front())
                && let Some(first) = piece.first()
            {
                running.told = now;
                self.notes.push(Note::RunsLong {
                    running: now - running.since,
                    records: piece.len(),
                    first: first.clone(),
                });
            }
        }
    }

    /// When there is something to do after `now` that no event brings.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let running = self.running.values();
        let long = running.map(|running| running.told + RUNS_LONG).min();
        let is_free = !self.free.is_empty();
        let mut due = self.due.iter().map(|(at, _)| *at).filter(|_| is_free);
        let due = due.find(|at| *at > now);
        let oldest = self.keys.oldest_ready().filter(|_| is_free);
        let window = oldest.and_then(|oldest| self.pages.came(oldest));
        let window = window.map(|came| came + self.settings.handler.batch_window);
        let held = self.wakes_at().filter(|_| is_free);
        let all = [long, due, window, held].into_iter().flatten();
        // What is over was looked at in the last step, and waits for a lane or for the grant.
        all.filter(|at| *at > now).min()
    }

    pub(crate) fn load(&self, now: Instant) -> Load {
        let is_open = self.settlement.span() > 0;
        let oldest = self
            .pages
            .came(self.settlement.settled())
            .filter(|_| is_open);
        Load {
            busy: self.running.len(),
            span: self.settlement.span(),
            bytes: self.bytes,
            oldest: oldest.map(|came| now.saturating_duration_since(came)),
        }
    }
}
