//! What rows were before they changed, for as long as a fault may have a reader see it.
//!
//! Nothing is kept while no fault wants stale reads. Used by [`super::rows::Rows`] alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::rows::When;
use super::schema::Key;
use super::value::Item;

/// Most changes remembered for one table. Beyond that the oldest is forgotten, and a read that asks
/// for a time before it is less stale than it was to be.
const CHANGES_MAX: usize = 100_000;

/// The latest changes of a table, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<Was>);

/// What a row was until it changed.
#[derive(Clone, Debug)]
struct Was {
    until: SystemTime,
    key: Key,
    item: Option<Arc<Item>>,
}

impl History {
    /// Remembers that `key` was `item` until now, and forgets what nobody may ask for any more.
    pub(super) fn note(&mut self, when: When, key: Key, item: Option<Arc<Item>>) {
        let Some(memory) = when.memory else {
            if !self.0.is_empty() {
                self.0 = VecDeque::new();
            }
            return;
        };
        let is_over = |was: &Was| {
            was.until
                .checked_add(memory)
                .is_some_and(|end| end < when.now)
        };
        while self.0.len() >= CHANGES_MAX || self.0.front().is_some_and(is_over) {
            self.0.pop_front();
        }
        let until = when.now;
        self.0.push_back(Was { until, key, item });
    }

    /// What was there before each change after `horizon`, latest first: the order in which to undo.
    pub(super) fn since(
        &self,
        horizon: SystemTime,
    ) -> impl Iterator<Item = (&Key, Option<&Arc<Item>>)> {
        let later = self.0.iter().rev();
        later
            .take_while(move |was| was.until > horizon)
            .map(|was| (&was.key, was.item.as_ref()))
    }
}
