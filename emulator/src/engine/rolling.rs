//! What may happen so many times in any 24 hours. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// When something happened in the last 24 hours; never more instants than its limit.
#[derive(Debug, Default)]
pub(crate) struct Rolling(VecDeque<Moment>);

impl Rolling {
    /// Notes that it happens at `now`, if it may happen once more; whether it may.
    pub(crate) fn spend(&mut self, now: Moment, limit: usize) -> bool {
        while self.0.front().is_some_and(|first| first.after(DAY) <= now) {
            self.0.pop_front();
        }
        let has_room = self.0.len() < limit;
        if has_room {
            self.0.push_back(now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_a_day_after_each_use() {
        let mut rolling = Rolling::default();
        for at in [0, 1000] {
            assert!(rolling.spend(Moment(at), 2));
        }
        assert!(!rolling.spend(Moment(86_399_999), 2));
        assert!(rolling.spend(Moment(86_400_000), 2));
        assert!(!rolling.spend(Moment(86_400_999), 2));
        assert!(rolling.spend(Moment(86_401_000), 2));
    }
}
