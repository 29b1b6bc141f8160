//! Time to live: which rows are over, and when the next one is.
//!
//! The service deletes a row "within a few days" of its time; here it goes with the first call of its
//! table after that, so that a program that must not count on either sees both. Used by
//! [`super::rows::Rows`] alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::schema::Key;
use super::value::Item;

/// A time so far back is taken for a mistake, and the row stays.
const SECONDS_BACK_MAX: u64 = 5 * 365 * 24 * 60 * 60;

/// Rows by the time they have, if the table has rows expire.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    attribute: Option<String>,
    due: BTreeSet<(u64, Key)>,
}

impl Expiry {
    /// The order of these rows by the time in this attribute.
    pub(super) fn new(attribute: Option<&str>, items: &BTreeMap<Key, Arc<Item>>) -> Self {
        let mut expiry = Self {
            attribute: attribute.map(str::to_owned),
            due: BTreeSet::new(),
        };
        for (key, item) in items {
            expiry.follow(key, None, Some(item));
        }
        expiry
    }

    /// Follows a row's change.
    pub(super) fn follow(&mut self, key: &Key, old: Option<&Item>, new: Option<&Item>) {
        let Some(attribute) = &self.attribute else {
            return;
        };
        let time = |item: Option<&Item>| item?.get(attribute.as_str())?.as_n()?.to_seconds();
        let (old, new) = (time(old), time(new));
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.due.remove(&(old, key.clone()));
        }
        if let Some(new) = new {
            self.due.insert((new, key.clone()));
        }
    }

    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.attribute.is_some() && self.next_due(now).is_some()
    }

    /// A row whose time is over.
    pub(super) fn next_due(&self, now: SystemTime) -> Option<Key> {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        let oldest = now.saturating_sub(SECONDS_BACK_MAX);
        let (time, key) = self.due.range((oldest, Key::before_hash(0))..).next()?;
        (*time < now).then(|| key.clone())
    }
}
