//! When to look whether the stream has dropped records that were about to be read.
//!
//! A reader that falls behind by the retention period is set forward without a word: its iterator
//! then stands at the oldest record there is. So is one whose machine slept for that long. What tells is
//! whether a record that it has read is still there: records go in order, so while it is, none behind it is
//! gone. Asking costs two calls, so it is done only where it can be otherwise, and not with every page.
//!
//! Pure. Called by `poll::feed`.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::SequenceNumber;

/// No stream keeps records for less than a day. An hour before, it begins to matter.
const NEAR: Duration = Duration::from_secs(23 * 60 * 60);

/// How often a reader that is so far behind looks.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Horizon {
    /// A record that was read, up to which nothing is in question.
    anchor: Option<SequenceNumber>,
    /// Whether what was read since may lie behind a gap.
    is_open: bool,
    /// Whether the last question has had no answer yet.
    is_asked: bool,
    asked: Option<Instant>,
    /// How far behind the last page was, and when it came.
    last: Option<(Duration, Instant)>,
}

impl Horizon {
    /// A page came, up to this record if it has any, and lies so far behind; the shard may end with it. The record to
    /// look for, if that is due; if the service says where it stands, [`Horizon::settled`] is next.
    pub(crate) fn read(
        &mut self,
        last: Option<&SequenceNumber>,
        ends: bool,
        lag: Option<Duration>,
        now: Instant,
    ) -> Option<SequenceNumber> {
        let lag = lag.unwrap_or_default();
        let before = self.last.replace((lag, now));
        let age = before.map_or(lag, |(lag, at)| lag + now.duration_since(at));
        self.is_open |= age.max(lag) >= NEAR && self.anchor.is_some();
        // A page without records moves on only in time, but nothing comes behind the end.
        if last.is_none() && !ends {
            return None;
        }
        if !self.is_open {
            self.anchor = last.cloned();
            return None;
        }
        // What left the horizon behind may have done so by a gap: it is not to wait.
        let leaves = lag < NEAR && !self.is_asked;
        let is_time = |asked| now.duration_since(asked) >= EVERY;
        if !ends && !leaves && !self.asked.is_none_or(is_time) {
            return None;
        }
        (self.is_asked, self.asked) = (true, Some(now));
        self.anchor.clone()
    }

    /// The iterator was made anew. Whatever it expired over took minutes at least, and may have taken a day that no
    /// clock of this machine counted, because it slept.
    pub(crate) fn reopened(&mut self) {
        self.is_open |= self.anchor.is_some();
    }

    /// Everything up to `last` was there to be read, or is known not to have been.
    pub(crate) fn settled(&mut self, last: SequenceNumber) {
        self.anchor = Some(last);
        (self.is_open, self.is_asked) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn number(at: u64) -> SequenceNumber {
        SequenceNumber::new(at.to_string()).unwrap()
    }

    /// Reads pages, each with its last record, its lag and the pause before it.
    fn looks(pages: &[(u64, Duration, Duration)]) -> Vec<(u64, u64)> {
        let (mut horizon, mut now) = (Horizon::default(), Instant::now());
        let mut looks = Vec::new();
        for (last, lag, pause) in pages {
            now += *pause;
            if let Some(anchor) = horizon.read(Some(&number(*last)), false, Some(*lag), now) {
                looks.push((*last, anchor.as_str().parse().unwrap()));
                horizon.settled(number(*last));
            }
        }
        looks
    }

    #[test]
    fn a_reader_that_keeps_up_never_looks() {
        let page = |last| (last, HOUR * 22, Duration::from_secs(1));
        let pages: Vec<_> = (1..1000).map(page).collect();
        assert_eq!(looks(&pages), []);
        assert_eq!(looks(&[(1, HOUR, HOUR), (2, HOUR, HOUR * 21)]), []);
    }

    #[test]
    fn a_reader_at_the_horizon_looks_once_a_minute_for_what_it_had_read_by_then() {
        let page = |last| (last, HOUR * 23, Duration::from_secs(1));
        let pages: Vec<_> = (1..=130).map(page).collect();
        assert_eq!(looks(&pages), [(2, 1), (62, 2), (122, 62)]);
    }

    #[test]
    fn a_reader_that_stood_still_for_a_day_looks_at_once() {
        let second = Duration::from_secs(1);
        let pages = [
            (1, Duration::ZERO, second),
            (2, Duration::ZERO, second),
            (3, Duration::ZERO, HOUR * 25),
            (4, Duration::ZERO, second),
        ];
        assert_eq!(looks(&pages), [(3, 2)]);
    }

    #[test]
    fn a_reader_that_is_set_forward_looks_at_once() {
        let second = Duration::from_secs(1);
        let pages = [
            (1, HOUR * 24, second),
            (2, HOUR * 24, second),
            (3, Duration::ZERO, second),
            (4, Duration::ZERO, second),
        ];
        assert_eq!(looks(&pages), [(2, 1), (3, 2)]);
    }

    #[test]
    fn a_reader_whose_iterator_expired_looks_at_once() {
        let (mut horizon, now) = (Horizon::default(), Instant::now());
        let read = |horizon: &mut Horizon, last| {
            horizon.read(Some(&number(last)), false, Some(Duration::ZERO), now)
        };
        horizon.reopened();
        assert_eq!(read(&mut horizon, 1), None, "nothing was read before");
        horizon.reopened();
        assert_eq!(read(&mut horizon, 2), Some(number(1)));
        horizon.settled(number(2));
        assert_eq!(read(&mut horizon, 3), None);
    }

    #[test]
    fn a_shard_that_ends_behind_a_possible_gap_is_looked_at_whatever_was_asked_before() {
        let (mut horizon, now) = (Horizon::default(), Instant::now());
        let zero = Some(Duration::ZERO);
        horizon.read(Some(&number(1)), false, zero, now);
        let mut still = Horizon::default();
        still.read(Some(&number(1)), false, zero, now);
        assert_eq!(
            still.read(None, true, zero, now),
            None,
            "nothing is in question"
        );
        horizon.reopened();
        assert_eq!(horizon.read(None, false, zero, now), None);
        let looked = horizon.read(Some(&number(2)), false, zero, now);
        assert_eq!(looked, Some(number(1)));
        assert_eq!(
            horizon.read(Some(&number(3)), false, zero, now),
            None,
            "asked just now"
        );
        assert_eq!(horizon.read(None, true, zero, now), Some(number(1)));
    }

    #[test]
    fn a_reader_that_is_set_forward_to_where_nothing_is_looks_at_the_next_record() {
        let (mut horizon, now) = (Horizon::default(), Instant::now());
        horizon.read(Some(&number(1)), false, Some(HOUR * 22), now);
        horizon.read(None, false, Some(HOUR * 24), now);
        horizon.read(None, false, Some(Duration::ZERO), now);
        let looked = horizon.read(Some(&number(9)), false, Some(Duration::ZERO), now);
        assert_eq!(looked, Some(number(1)));
    }

    #[test]
    fn without_an_answer_it_looks_for_the_same_record_again_in_a_minute() {
        for lag in [HOUR * 24, Duration::ZERO] {
            let (mut horizon, mut now) = (Horizon::default(), Instant::now());
            let mut looked = Vec::new();
            horizon.read(Some(&number(1)), false, Some(HOUR * 24), now);
            for last in 2..=70 {
                now += Duration::from_secs(1);
                let anchor = horizon.read(Some(&number(last)), false, Some(lag), now);
                looked.extend(anchor.map(|anchor| (last, anchor.to_string())));
            }
            assert_eq!(looked, [(2, "1".to_owned()), (62, "1".to_owned())]);
        }
    }
}
