//! How a shard with lanes is left: first all calls come back, then what has holes is filled, so that
//! nothing comes twice.

use super::job::Piece;
use super::{Lanes, Leaving};

impl Lanes {
    /// The shard is to be given back. Calls that run come to their end, nothing new is begun but what has to
    /// be so that nothing comes twice, and nothing is tried again.
    pub(crate) fn leave(&mut self) {
        self.leaving = Some(Leaving::Returning);
        if self.hold.is_some() {
            // Nothing behind what is held can be committed, so nothing need be filled.
            self.cut = 0;
        }
        for (_, id) in std::mem::take(&mut self.due) {
            if let Some(job) = self.jobs.remove(&id) {
                self.give_up_on(job.pieces.front());
            }
        }
        self.fill_when_returned();
    }

    /// Nothing is called any more. What runs comes back, or was cut off.
    pub(crate) fn cut(&mut self) {
        self.stop(Leaving::Cut);
    }

    /// The shard is lost: as [`cut`](Self::cut), and what comes back is of no consequence.
    pub(crate) fn lose(&mut self) {
        self.stop(Leaving::Lost);
    }

    fn stop(&mut self, how: Leaving) {
        self.leaving = Some(how);
        for (_, id) in std::mem::take(&mut self.due) {
            self.jobs.remove(&id);
        }
        self.forget_beyond();
    }

    /// These records stay unsettled when the shard is left.
    pub(super) fn give_up_on(&mut self, piece: Option<&Piece>) {
        if let Some(first) = piece.and_then(|piece| piece.numbers.first()) {
            self.cut = self.cut.min(*first);
        }
        if let Some(Leaving::Filling { below }) = &mut self.leaving {
            *below = self.cut.min(*below);
        }
        self.forget_beyond();
    }

    /// Forgets what waits and will not be called any more.
    pub(super) fn forget_beyond(&mut self) {
        let from = match self.leaving {
            Some(Leaving::Filling { below }) => below,
            Some(Leaving::Cut | Leaving::Lost) => 0,
            None | Some(Leaving::Returning) => return,
        };
        self.keys.forget_from(from);
        self.pages.forget_from(from);
    }

    /// When all calls are back it is known what was seen, and so what has to be filled.
    pub(super) fn fill_when_returned(&mut self) {
        if let Some(Leaving::Returning) = self.leaving
            && self.jobs.is_empty()
        {
            let below = self.seen.min(self.cut);
            self.leaving = Some(Leaving::Filling { below });
            self.forget_beyond();
        }
    }

    /// Whether the shard can be given back: nothing runs, and nothing more is to be begun.
    pub(crate) fn is_left(&self) -> bool {
        match self.leaving {
            None | Some(Leaving::Returning) => false,
            Some(Leaving::Filling { .. }) => self.is_idle(),
            Some(Leaving::Cut | Leaving::Lost) => !self.is_busy(),
        }
    }
}
