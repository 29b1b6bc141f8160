//! The registered consumers of one stream.
//!
//! ```text
//! CREATING ──▶ ACTIVE ──▶ DELETING ──▶ gone
//! ```
//! What state one is in follows from the instants it keeps and `now`; nothing has to be settled. Knows
//! nothing of subscriptions: whoever deregisters a consumer wakes its subscriptions afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;

use crate::clock::Moment;

use super::metrics::ConsumerMetrics;
use super::policy::Policy;
use super::tags::Tags;

/// Consumers that may be on their way to ACTIVE at once.
pub(crate) const CREATING_MAX: usize = 5;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: BTreeMap<Arc<str>, Arc<Consumer>>,
    /// How many there ever were.
    count: u64,
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// Tells it from all others of its stream, earlier and later ones of its name included.
    pub(crate) number: u64,
    pub(crate) name: Arc<str>,
    pub(crate) created: Moment,
    active_from: Moment,
    /// When it is gone, once it is on its way.
    gone_from: OnceLock<Moment>,
    pub(crate) notes: RwLock<Notes>,
    pub(crate) metrics: ConsumerMetrics,
}

/// What hangs on a consumer and changes nothing about it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) tags: Tags,
    /// What other accounts may do with it.
    pub(crate) policy: Option<Arc<Policy>>,
}

/// Where in its life a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Creating,
    Active,
    Deleting,
}

/// Why a consumer cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    Exists,
    /// More than so many.
    TooMany(usize),
    TooManyCreating,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

impl Consumer {
    pub(crate) fn status(&self, now: Moment) -> Status {
        if self.gone_from.get().is_some() {
            Status::Deleting
        } else if now < self.active_from {
            Status::Creating
        } else {
            Status::Active
        }
    }

    fn is_gone(&self, now: Moment) -> bool {
        self.gone_from.get().is_some_and(|gone| *gone <= now)
    }

    /// Its ARN, below its stream's.
    pub(crate) fn arn(&self, stream_arn: &str) -> String {
        let created = self.created.seconds();
        format!("{stream_arn}/consumer/{}:{created}", self.name)
    }
}

impl Consumers {
    /// Registers a consumer that is active after `delay`, if there are fewer than `max`.
    pub(crate) fn register(
        &self,
        (now, delay): (Moment, Duration),
        name: &str,
        tags: Tags,
        max: usize,
    ) -> Result<Arc<Consumer>, Denied> {
        let mut inner = self.inner.write();
        inner.by_name.retain(|_, consumer| !consumer.is_gone(now));
        if inner.by_name.contains_key(name) {
            return Err(Denied::Exists);
        }
        if inner.by_name.len() >= max {
            return Err(Denied::TooMany(max));
        }
        let is_creating = |consumer: &&Arc<Consumer>| consumer.status(now) == Status::Creating;
        if inner.by_name.values().filter(is_creating).count() >= CREATING_MAX {
            return Err(Denied::TooManyCreating);
        }
        inner.count += 1;
        let consumer = Arc::new(Consumer {
            number: inner.count,
            name: name.into(),
            created: now,
            active_from: now.after(delay),
            gone_from: OnceLock::new(),
            notes: RwLock::new(Notes { tags, policy: None }),
            metrics: ConsumerMetrics::default(),
        });
        let name = Arc::clone(&consumer.name);
        inner.by_name.insert(name, Arc::clone(&consumer));
        Ok(consumer)
    }

    /// The consumer of a name.
    pub(crate) fn get(&self, now: Moment, name: &str) -> Option<Arc<Consumer>> {
        let inner = self.inner.read();
        let consumer = inner.by_name.get(name)?;
        (!consumer.is_gone(now)).then(|| Arc::clone(consumer))
    }

    /// Starts the end of a consumer; a second time does nothing.
    pub(crate) fn deregister(&self, now: Moment, consumer: &Consumer, delay: Duration) {
        consumer.gone_from.get_or_init(|| now.after(delay));
        self.inner
            .write()
            .by_name
            .retain(|_, consumer| !consumer.is_gone(now));
    }

    /// Starts the end of all of them.
    pub(crate) fn deregister_all(&self, now: Moment, delay: Duration) {
        for consumer in self.inner.read().by_name.values() {
            consumer.gone_from.get_or_init(|| now.after(delay));
        }
    }

    /// All there are.
    pub(crate) fn all(&self, now: Moment) -> Vec<Arc<Consumer>> {
        let inner = self.inner.read();
        let all = inner.by_name.values();
        all.filter(|consumer| !consumer.is_gone(now))
            .map(Arc::clone)
            .collect()
    }

    /// How many there are, in whatever state.
    pub(crate) fn count(&self, now: Moment) -> usize {
        let inner = self.inner.read();
        inner
            .by_name
            .values()
            .filter(|consumer| !consumer.is_gone(now))
            .count()
    }

    /// Whether one is there that nobody has deregistered.
    pub(crate) fn has_registered(&self) -> bool {
        let inner = self.inner.read();
        inner
            .by_name
            .values()
            .any(|consumer| consumer.gone_from.get().is_none())
    }

    /// Up to `count` consumers whose names come after `after`, and whether there are more.
    pub(crate) fn list(
        &self,
        now: Moment,
        after: Option<&str>,
        count: usize,
    ) -> (Vec<Arc<Consumer>>, bool) {
        use std::ops::Bound::{Excluded, Unbounded};
        let inner = self.inner.read();
        let from = after.map_or(Unbounded, Excluded);
        let mut rest = inner
            .by_name
            .range::<str, _>((from, Unbounded))
            .map(|(_, consumer)| consumer)
            .filter(|consumer| !consumer.is_gone(now));
        let page = rest.by_ref().take(count).map(Arc::clone).collect();
        (page, rest.next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn register(
        consumers: &Consumers,
        now: u64,
        name: &str,
        max: usize,
    ) -> Result<Arc<Consumer>, Denied> {
        consumers.register((Moment(now), SECOND), name, Tags::default(), max)
    }

    #[test]
    fn a_consumer_lives_from_creating_to_gone() {
        let consumers = Consumers::default();
        let first = register(&consumers, 1_000, "c", 20).unwrap();
        assert_eq!(first.status(Moment(1_999)), Status::Creating);
        assert_eq!(first.status(Moment(2_000)), Status::Active);
        assert_eq!(first.arn("arn:s"), "arn:s/consumer/c:1");
        assert_eq!(
            register(&consumers, 2_500, "c", 20).unwrap_err(),
            Denied::Exists
        );
        assert!(consumers.has_registered());
        consumers.deregister(Moment(3_000), &first, SECOND);
        consumers.deregister(Moment(3_500), &first, SECOND);
        assert_eq!(first.status(Moment(3_500)), Status::Deleting);
        assert_eq!(
            register(&consumers, 3_999, "c", 20).unwrap_err(),
            Denied::Exists
        );
        assert_eq!(consumers.count(Moment(3_999)), 1);
        assert!(!consumers.has_registered());
        assert!(consumers.get(Moment(4_000), "c").is_none());
        let second = register(&consumers, 4_000, "c", 20).unwrap();
        assert_ne!(first.number, second.number);
    }

    #[test]
    fn there_are_so_many_and_so_many_at_once() {
        let consumers = Consumers::default();
        for name in ["a", "b", "c", "d", "e"] {
            register(&consumers, 0, name, 20).unwrap();
        }
        assert_eq!(
            register(&consumers, 999, "f", 20).unwrap_err(),
            Denied::TooManyCreating
        );
        register(&consumers, 1_000, "f", 20).unwrap();
        assert_eq!(
            register(&consumers, 9_000, "g", 6).unwrap_err(),
            Denied::TooMany(6)
        );
        let (page, has_more) = consumers.list(Moment(9_000), Some("b"), 2);
        let names: Vec<_> = page.iter().map(|consumer| &*consumer.name).collect();
        assert_eq!((names, has_more), (vec!["c", "d"], true));
        consumers.deregister_all(Moment(9_000), Duration::ZERO);
        assert_eq!(consumers.list(Moment(9_000), None, 2).0.len(), 0);
    }
}
