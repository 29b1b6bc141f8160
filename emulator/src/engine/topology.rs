//! The shards of one stream and how they become others: split, merge, expiry. Pure: no lock of its
//! own, no clock.
//!
//! INVARIANT: the open shards cover the hash space once, in order; a child's numbers are above every
//! number of its parents, also when many reshards fall into one second or time stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;

use super::hash::HashRange;
use super::resize::Step;
use super::shard::{Closed, Shard};

/// See the module. Guarded by the stream's lock.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    /// All that are listed: open, or closed and not yet expired.
    shards: BTreeMap<u32, Arc<Shard>>,
    /// The open ones, by their place in the hash space.
    open: Vec<Arc<Shard>>,
    next_index: u32,
}

impl Topology {
    /// `count` shards of one width, open since `opened`, with `second` in their numbers.
    pub(crate) fn uniform(count: u32, opened: Moment, second: u64) -> Self {
        let mut topology = Self::default();
        for range in HashRange::uniform(count) {
            let shard = Shard::new(topology.next_index, range, second, opened);
            topology.next_index += 1;
            let shard = Arc::new(shard);
            topology.shards.insert(shard.index, Arc::clone(&shard));
            topology.open.push(shard);
        }
        topology
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Arc<Shard>> {
        self.shards.get(&index)
    }

    /// Listed shards above `after`, by id.
    pub(crate) fn listed(&self, after: Option<u32>) -> impl Iterator<Item = &Arc<Shard>> {
        let first = after.map_or(0, |after| after.saturating_add(1));
        self.shards.range(first..).map(|(_, shard)| shard)
    }

    /// When a shard was last split or merged into another.
    pub(crate) fn latest_reshard(&self) -> Option<Moment> {
        let children = self.shards.values().filter(|shard| shard.parent.is_some());
        children.map(|shard| shard.opened).max()
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The open shard a hash falls into; none only while the stream has no shards yet.
    pub(crate) fn route(&self, hash: u128) -> Option<&Arc<Shard>> {
        self.open
            .get(self.open.partition_point(|shard| shard.range.end < hash))
    }

    /// Closes `parent` and opens two children that meet at `key`.
    pub(crate) fn split(&mut self, parent: &Arc<Shard>, key: u128, at: Moment) {
        let HashRange { start, end } = parent.range;
        let ranges = [
            HashRange {
                start,
                end: key - 1,
            },
            HashRange { start: key, end },
        ];
        self.replace(&[parent], &ranges, at);
    }

    /// Closes the two and opens one child over both.
    pub(crate) fn merge(&mut self, lower: &Arc<Shard>, upper: &Arc<Shard>, at: Moment) {
        let range = HashRange {
            start: lower.range.start,
            end: upper.range.end,
        };
        self.replace(&[lower, upper], &[range], at);
    }

    /// The open shards' ranges, in order.
    pub(crate) fn open_ranges(&self) -> Vec<HashRange> {
        self.open.iter().map(|shard| shard.range).collect()
    }

    /// The open shards, in the order of their ranges.
    pub(crate) fn open(&self) -> &[Arc<Shard>] {
        &self.open
    }

    /// Carries out planned steps, all at one instant.
    pub(crate) fn carry_out(&mut self, steps: &[Step], at: Moment) {
        for step in steps {
            match *step {
                Step::Split { place, key } => {
                    let parent = Arc::clone(&self.open[place]);
                    self.split(&parent, key, at);
                }
                Step::Merge { place } => {
                    let (lower, upper) = (&self.open[place], &self.open[place + 1]);
                    let (lower, upper) = (Arc::clone(lower), Arc::clone(upper));
                    self.merge(&lower, &upper, at);
                }
            }
        }
    }

    fn replace(&mut self, parents: &[&Arc<Shard>], ranges: &[HashRange], at: Moment) {
        // A put that was stamped after the caller read the clock may already be in: the end comes
        // after every record, and the ending second never before the starting one.
        let at = parents
            .iter()
            .map(|p| p.log.lock().last_arrival())
            .fold(at, Moment::max);
        let second = parents
            .iter()
            .map(|p| p.created)
            .fold(at.seconds(), u64::max);
        let children: Vec<_> = ranges
            .iter()
            .map(|range| {
                let mut child = Shard::new(self.next_index, *range, second + 1, at);
                self.next_index += 1;
                child.parent = parents.first().map(|parent| parent.index);
                child.adjacent_parent = parents.get(1).map(|parent| parent.index);
                Arc::new(child)
            })
            .collect();
        for parent in parents {
            let closed = Closed {
                at,
                second,
                children: children.clone(),
            };
            let is_first = parent.closed.set(closed).is_ok();
            debug_assert!(
                is_first,
                "the callers have checked under the lock that it is open"
            );
        }
        let first = self
            .open
            .partition_point(|shard| shard.range.end < ranges[0].start);
        self.open
            .splice(first..first + parents.len(), children.iter().cloned());
        self.shards
            .extend(children.into_iter().map(|child| (child.index, child)));
    }

    /// Forgets closed shards whose last possible record is past `retention`.
    pub(crate) fn expire(&mut self, now: Moment, retention: Duration) {
        self.shards.retain(|_, shard| {
            shard
                .closed
                .get()
                .is_none_or(|closed| closed.at.after(retention) >= now)
        });
    }

    /// When [`Self::expire`] has something to do next.
    pub(crate) fn next_expiry(&self, retention: Duration) -> Moment {
        let ends = self.shards.values().filter_map(|shard| shard.closed.get());
        let first = ends.map(|closed| closed.at.after(retention)).min();
        first.map_or(Moment::NEVER, |last| last.after(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_merge_after_a_split_in_one_instant_keeps_the_numbers_rising() {
        let at = Moment(1_700_000_000_500);
        let mut topology = Topology::uniform(1, at, at.seconds());
        let first = Arc::clone(topology.get(0).unwrap());
        topology.split(&first, 1 << 127, at);
        let (lower, upper) = (
            topology.get(1).unwrap().clone(),
            topology.get(2).unwrap().clone(),
        );
        topology.merge(&lower, &upper, at);
        let merged = topology.get(3).unwrap();
        assert_eq!((merged.parent, merged.adjacent_parent), (Some(1), Some(2)));
        assert_eq!(lower.created, 1_700_000_001);
        assert_eq!(merged.created, 1_700_000_002);
        assert!(first.ending_sequence().unwrap() < lower.starting_sequence());
        assert!(upper.ending_sequence().unwrap() < merged.starting_sequence());
        assert_eq!(merged.opened, at);
    }

    #[test]
    fn closed_shards_are_forgotten_when_their_last_record_would_be() {
        let hour = Duration::from_secs(3600);
        let mut topology = Topology::uniform(1, Moment(0), 0);
        let first = Arc::clone(topology.get(0).unwrap());
        assert_eq!(topology.next_expiry(hour), Moment::NEVER);
        topology.split(&first, 1 << 127, Moment(1000));
        topology.expire(Moment(3_601_000), hour);
        assert!(topology.get(0).is_some());
        assert_eq!(topology.next_expiry(hour), Moment(3_601_001));
        topology.expire(Moment(3_601_001), hour);
        assert!(topology.get(0).is_none());
        assert_eq!(topology.listed(None).count(), 2);
    }

    proptest! {
        #[test]
        fn whatever_is_split_and_merged_the_open_shards_cover_the_space_once(
            initial in 1..6_u32,
            steps in proptest::collection::vec((any::<bool>(), any::<u16>(), any::<u128>()), 0..40),
            hash in any::<u128>(),
        ) {
            let mut topology = Topology::uniform(initial, Moment(5_000), 5);
            for (is_split, place, key) in steps {
                let place = usize::from(place) % topology.open.len();
                let shard = Arc::clone(&topology.open[place]);
                if is_split {
                    if shard.range.start < key && key <= shard.range.end {
                        topology.split(&shard, key, Moment(5_000));
                    }
                } else if let Some(upper) = topology.open.get(place + 1).cloned() {
                    topology.merge(&shard, &upper, Moment(5_000));
                }
                prop_assert_eq!(topology.open[0].range.start, 0);
                prop_assert_eq!(topology.open[topology.open.len() - 1].range.end, u128::MAX);
                for pair in topology.open.windows(2) {
                    prop_assert_eq!(pair[0].range.end + 1, pair[1].range.start);
                }
                prop_assert!(topology.route(hash).unwrap().range.contains(hash));
                for shard in topology.listed(None) {
                    for child in shard.closed.get().iter().flat_map(|closed| &closed.children) {
                        prop_assert!(shard.ending_sequence().unwrap() < child.starting_sequence());
                    }
                }
            }
        }
    }
}
