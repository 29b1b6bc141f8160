//! Who looks at the whole table, and when the others have to.
//!
//! One worker keeps the watch: it reads all rows every interval, and rings when there is something new to
//! see. The others read two rows, that of the watch and that of the worker who keeps it, and look for
//! themselves only when it rang. Nothing rests on the watch but how soon something is noticed: if nobody
//! keeps it, or keeps it badly, whoever sees that claims it.

use kcl_core::planted;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

use super::view::View;
use crate::row::{WatchRow, WorkerKey, WorkerRow};

/// What this worker knows of the watch.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    /// The row as last seen, and since when its keeper's counter and its looks stand as they do.
    seen: Option<Sighting>,
    /// The bell up to which this worker has looked.
    heard: Option<u64>,
    /// Who watches or not, as the keeper of the watch last saw it.
    news: Option<u64>,
}

#[derive(Clone, Debug)]
struct Sighting {
    row: WatchRow,
    counter: u64,
    counter_since: Instant,
    looks_since: Instant,
}

/// What to do about the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It is ours.
    Keep,
    /// Nobody keeps it as it should be. With the row as seen.
    Claim(Option<WatchRow>),
    /// It rang since this worker has looked.
    Look,
    /// Nothing until then, at the latest.
    Rest(Instant),
}

impl Watching {
    /// Takes in what was read: the row of the watch and that of its keeper. `now` is a moment after.
    /// `patience` is how long the watch may be kept without a look.
    pub(crate) fn judge(
        &mut self,
        row: Option<WatchRow>,
        keeper: Option<&WorkerRow>,
        me: &WorkerKey,
        now: Instant,
        patience: Duration,
    ) -> Duty {
        let Some(row) = row else {
            self.seen = None;
            return Duty::Claim(None);
        };
        if row.owner == *me {
            return Duty::Keep;
        }
        let Some(keeper) = keeper.filter(|keeper| !keeper.leaving) else {
            if planted!(NeverClaimsWatch) {
                return Duty::Rest(now + Duration::from_secs(1));
            }
            return Duty::Claim(Some(row));
        };
        let before = self.seen.take().filter(|seen| seen.row.term == row.term);
        let since = |is_same: fn(&Sighting, &WatchRow, &WorkerRow) -> bool,
                     at: fn(&Sighting) -> Instant| {
            let same = before.as_ref().filter(|seen| is_same(seen, &row, keeper));
            same.map_or(now, at)
        };
        let seen = Sighting {
            counter: keeper.counter,
            counter_since: since(
                |seen, _, keeper| seen.counter == keeper.counter,
                |seen| seen.counter_since,
            ),
            looks_since: since(
                |seen, row, _| seen.row.looks == row.looks,
                |seen| seen.looks_since,
            ),
            row: row.clone(),
        };
        let dead_at = seen.counter_since + keeper.lease_time;
        let idle_at = seen.looks_since + patience;
        self.seen = Some(seen);
        if planted!(NeverClaimsWatch) {
            return Duty::Rest(now + Duration::from_secs(1));
        }
        if now >= dead_at.min(idle_at) {
            return Duty::Claim(Some(row));
        }
        if self.heard != Some(row.bell) {
            return Duty::Look;
        }
        Duty::Rest(dead_at.min(idle_at))
    }

    /// The keeper's counter, and since when it stands: what was seen of it counts against it.
    pub(crate) fn last_keeper(&self) -> Option<(&WorkerKey, u64, Instant)> {
        let seen = self.seen.as_ref()?;
        Some((&seen.row.owner, seen.counter, seen.counter_since))
    }

    /// This worker looked, after the bell stood there.
    pub(crate) fn heard(&mut self, bell: u64) {
        self.heard = Some(bell);
    }

    /// Whether the one who keeps the watch sees what he has not seen before, and others may have to act on.
    pub(crate) fn is_news(&mut self, view: &View) -> bool {
        let mut hasher = DefaultHasher::new();
        for (key, seen) in &view.workers {
            (key, seen.row.leaving, seen.row.leases_max).hash(&mut hasher);
            let serves = seen.row.serves.as_ref();
            // A set whose row is missing is news, because its worker has to make it again.
            (serves, serves.is_some_and(|set| view.rowless.contains(set))).hash(&mut hasher);
        }
        for (shard, seen) in &view.leases {
            let owner = seen.row.owner.as_ref();
            let owner = owner.map(|owner| (owner.worker.as_str(), owner.incarnation.as_ref()));
            (shard, owner, seen.row.is_ended()).hash(&mut hasher);
        }
        let news = hasher.finish();
        self.news.replace(news) != Some(news)
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::model::WorkerId;

    use super::*;
    use crate::row::Incarnation;

    const LEASE: Duration = Duration::from_secs(10);

    fn key(name: &str) -> WorkerKey {
        WorkerKey {
            worker: WorkerId::new(name).unwrap(),
            incarnation: Incarnation::parse("1").unwrap(),
        }
    }

    fn watch(looks: u64, bell: u64) -> WatchRow {
        WatchRow {
            owner: key("keeper"),
            term: 1,
            looks,
            bell,
            mark: None,
        }
    }

    fn keeper(counter: u64) -> WorkerRow {
        WorkerRow {
            key: key("keeper"),
            counter,
            leaving: false,
            lease_time: LEASE,
            leases_max: None,
            capacity: None,
            load: None,
            serves: None,
        }
    }

    /// Judges at so many seconds.
    fn judge(
        watching: &mut Watching,
        start: Instant,
        seconds: u64,
        row: Option<WatchRow>,
        keeper: Option<&WorkerRow>,
    ) -> Duty {
        let now = start + Duration::from_secs(seconds);
        watching.judge(row, keeper, &key("me"), now, LEASE * 2)
    }

    #[tokio::test]
    async fn a_watch_that_nobody_keeps_is_claimed() {
        let (mut watching, start) = (Watching::default(), Instant::now());
        let row = watch(0, 0);
        assert_eq!(
            judge(&mut watching, start, 0, None, None),
            Duty::Claim(None)
        );
        let gone = judge(&mut watching, start, 1, Some(row.clone()), None);
        assert_eq!(gone, Duty::Claim(Some(row.clone())));
        let leaving = WorkerRow {
            leaving: true,
            ..keeper(3)
        };
        let left = judge(&mut watching, start, 2, Some(row.clone()), Some(&leaving));
        assert_eq!(left, Duty::Claim(Some(row)));
        let mine = WatchRow {
            owner: key("me"),
            ..watch(0, 0)
        };
        assert_eq!(judge(&mut watching, start, 3, Some(mine), None), Duty::Keep);
    }

    #[tokio::test]
    async fn a_keeper_that_stands_still_for_its_lease_time_has_lost_the_watch() {
        let (mut watching, start) = (Watching::default(), Instant::now());
        watching.heard(0);
        let rest = |seconds| Duty::Rest(start + Duration::from_secs(seconds));
        let mut at = |seconds, looks, counter| {
            let row = Some(watch(looks, 0));
            judge(&mut watching, start, seconds, row, Some(&keeper(counter)))
        };
        assert_eq!(at(0, 1, 1), rest(10));
        assert_eq!(at(3, 2, 2), rest(13));
        assert_eq!(at(12, 3, 2), rest(13));
        assert_eq!(at(13, 3, 2), Duty::Claim(Some(watch(3, 0))));
    }

    #[tokio::test]
    async fn a_keeper_that_lives_and_does_not_look_has_lost_the_watch() {
        let (mut watching, start) = (Watching::default(), Instant::now());
        watching.heard(0);
        for seconds in 0..20 {
            let duty = judge(
                &mut watching,
                start,
                seconds,
                Some(watch(7, 0)),
                Some(&keeper(seconds)),
            );
            assert!(matches!(duty, Duty::Rest(_)), "{seconds}: {duty:?}");
        }
        let duty = judge(
            &mut watching,
            start,
            20,
            Some(watch(7, 0)),
            Some(&keeper(20)),
        );
        assert_eq!(duty, Duty::Claim(Some(watch(7, 0))));
    }

    #[tokio::test]
    async fn each_ring_is_a_reason_to_look_until_it_was_heard() {
        let (mut watching, start) = (Watching::default(), Instant::now());
        let at = |watching: &mut Watching, seconds, bell| {
            judge(
                watching,
                start,
                seconds,
                Some(watch(seconds, bell)),
                Some(&keeper(seconds)),
            )
        };
        assert_eq!(at(&mut watching, 0, 4), Duty::Look);
        assert_eq!(at(&mut watching, 1, 4), Duty::Look, "it has not looked yet");
        watching.heard(4);
        assert!(matches!(at(&mut watching, 2, 4), Duty::Rest(_)));
        assert_eq!(at(&mut watching, 3, 5), Duty::Look);
    }
}
