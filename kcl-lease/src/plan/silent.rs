//! Readers that get no answer: when that is told, and when another worker should try.
//!
//! A worker that reads its other shards well, and one not at all, gives that one up. When the service answers
//! nobody, everything is silent and nobody gives anything up: another worker would do no better.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl_core::event::HandOverReason;
use kcl_core::model::ShardId;
use tokio::time::Instant;

use super::Me;
use super::balance::Load;
use super::classes::{Readers, Shares};
use super::moved::Moving;
use crate::row::{Moved, WorkerKey};

/// How long each reader has been asking without an answer; nothing if it has one or asks nothing.
pub(crate) type Silence = BTreeMap<ShardId, Option<Duration>>;

/// A reader is told of after this part of the time after which it gives up.
const TOLD_AFTER: u32 = 2;
/// A reader that had an answer within this part of it reads well.
const WELL_WITHIN: u32 = 4;

/// Remembers who was told of.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeSet<ShardId>);

impl Told {
    /// The readers that fell silent since the last call, and for how long.
    pub(crate) fn news(
        &mut self,
        silence: &Silence,
        silence_max: Duration,
    ) -> Vec<(ShardId, Duration)> {
        let silent = silence.iter().filter_map(|(shard, silent)| {
            let silent = (*silent)?;
            (silent >= silence_max / TOLD_AFTER).then(|| (shard.clone(), silent))
        });
        let silent: Vec<_> = silent.collect();
        let before = std::mem::replace(
            &mut self.0,
            silent.iter().map(|(shard, _)| shard.clone()).collect(),
        );
        let is_new = |(shard, _): &(ShardId, Duration)| !before.contains(shard);
        silent.into_iter().filter(is_new).collect()
    }
}

/// The shards to give up: their readers are silent, and at least as many others of this worker read well.
pub(crate) fn hopeless(silence: &Silence, silence_max: Duration) -> BTreeSet<ShardId> {
    let is_well =
        |silent: &Option<Duration>| silent.is_none_or(|silent| silent < silence_max / WELL_WITHIN);
    let well = silence.values().filter(|silent| is_well(silent)).count();
    let silent = silence
        .iter()
        .filter(|(_, silent)| silent.is_some_and(|silent| silent >= silence_max));
    let hopeless: BTreeSet<_> = silent.map(|(shard, _)| shard.clone()).collect();
    if hopeless.len() <= well {
        hopeless
    } else {
        BTreeSet::new()
    }
}

/// Since when each asks, as how long.
pub(crate) fn silence(
    asking: impl IntoIterator<Item = (ShardId, Option<Instant>)>,
    now: Instant,
) -> Silence {
    let silent = |since: Instant| now.saturating_duration_since(since);
    asking
        .into_iter()
        .map(|(shard, since)| (shard, since.map(silent)))
        .collect()
}

/// Gives each to the worker that has least for its capacity, of those that read its stream. Nothing where there is
/// no other.
pub(crate) fn give_away(me: &Me, readers: &Readers<'_>, shares: &Shares) -> Vec<Moving> {
    if !shares.is_modern {
        return Vec::new();
    }
    let mut loads = shares.loads.clone();
    loads.remove(&me.key);
    let staying = |shard: &&ShardId| me.held.get(*shard) == Some(&false);
    let mut moving = Vec::new();
    for shard in me.silent.iter().filter(staying) {
        let can = |(key, load): &(&WorkerKey, &mut Load)| {
            load.spare() > 0 && readers.reads(key, shard.stream())
        };
        let others = loads.iter_mut().filter(can);
        let Some((to, load)) = others.min_by_key(|(key, load)| (load.level_of_all(), *key)) else {
            continue;
        };
        load.all += 1;
        let mut homes = shares
            .classes
            .iter()
            .map(|of| of.homes.home(shard, &me.key));
        let home = homes.find(|home| **home != me.key).unwrap_or(&me.key);
        moving.push(Moving {
            shard: shard.clone(),
            moved: Moved {
                from: home.clone(),
                to: to.clone(),
                in_return: None,
            },
            why: HandOverReason::ReaderSilent {
                to: to.worker.clone(),
            },
        });
    }
    moving
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(300);

    fn silence_of(seconds: &[Option<u64>]) -> Silence {
        let named = seconds.iter().enumerate();
        named
            .map(|(n, silent)| {
                (
                    ShardId::new(format!("s-{n}")),
                    silent.map(Duration::from_secs),
                )
            })
            .collect()
    }

    fn given_up(seconds: &[Option<u64>]) -> usize {
        hopeless(&silence_of(seconds), MAX).len()
    }

    #[test]
    fn one_that_is_silent_among_others_that_read_is_given_up() {
        assert_eq!(given_up(&[Some(299), None, Some(1)]), 0, "not yet");
        assert_eq!(given_up(&[Some(300), None, Some(1)]), 1);
        assert_eq!(given_up(&[Some(300), Some(900), None, None]), 2);
    }

    #[test]
    fn nothing_is_given_up_when_the_service_answers_nobody_or_hardly_anybody() {
        assert_eq!(given_up(&[Some(300); 4]), 0);
        assert_eq!(given_up(&[Some(300), Some(300), None]), 0);
        assert_eq!(
            given_up(&[Some(300), Some(290), Some(280)]),
            0,
            "they follow"
        );
        assert_eq!(
            given_up(&[Some(300)]),
            0,
            "there is nothing to compare with"
        );
    }

    #[test]
    fn each_silence_is_told_once() {
        let mut told = Told::default();
        let mut at = |silent| told.news(&silence_of(&[silent, None]), MAX).len();
        assert_eq!(at(Some(149)), 0);
        assert_eq!(at(Some(150)), 1);
        assert_eq!(at(Some(200)), 0);
        assert_eq!(at(None), 0);
        assert_eq!(at(Some(150)), 1, "another one");
    }
}
