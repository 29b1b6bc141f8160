//! Where a feed stands, and with what it gets back there when its iterator is gone.
//!
//! Pure. INVARIANT: once something was read, or the start was fixed, getting back never depends on
//! when it happens: `LATEST` is asked for once at most, and is a point in time from then on.

use std::time::SystemTime;

use crate::model::{Position, SequenceNumber};

#[derive(Clone, Debug)]
pub(super) struct Cursor {
    start: Position,
    last: Option<SequenceNumber>,
}

impl Cursor {
    pub(super) const fn new(start: Position) -> Self {
        Self { start, last: None }
    }

    /// Where the next iterator has to start.
    pub(super) fn position(&self) -> Position {
        match &self.last {
            Some(_) if planted!(ReopensAtStart) => self.start.clone(),
            Some(_) if planted!(ReopensAtLatest) => Position::Latest,
            Some(last) => Position::AfterSequence(last.clone()),
            None => self.start.clone(),
        }
    }

    /// The last record that was read.
    pub(super) const fn last(&self) -> Option<&SequenceNumber> {
        self.last.as_ref()
    }

    /// Everything up to this record was read.
    pub(super) fn read(&mut self, last: SequenceNumber) {
        self.last = Some(last);
    }

    /// An iterator was made for `position` by a request that left at `wall_now`.
    pub(super) fn opened(&mut self, wall_now: SystemTime) {
        if self.last.is_some() {
            return;
        }
        match &self.start {
            Position::Latest => self.start = Position::AtTimestamp(wall_now),
            Position::AtTimestamp(_)
            | Position::TrimHorizon
            | Position::AtSequence(_)
            | Position::AfterSequence(_) => {}
        }
    }

    /// The service says that the time to start at is yet to come: a clock is ahead of its own. The
    /// newest record of now is before that time, so starting behind it skips nothing.
    pub(super) fn time_is_ahead(&mut self) -> bool {
        match (&self.last, &self.start) {
            (None, Position::AtTimestamp(_)) => {
                self.start = Position::Latest;
                true
            }
            (
                None | Some(_),
                Position::AtTimestamp(_)
                | Position::Latest
                | Position::TrimHorizon
                | Position::AtSequence(_)
                | Position::AfterSequence(_),
            ) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn latest_is_asked_for_once() {
        let mut cursor = Cursor::new(Position::Latest);
        assert_eq!(cursor.position(), Position::Latest);
        cursor.opened(NOON);
        cursor.opened(NOON + Duration::from_secs(60));
        assert_eq!(cursor.position(), Position::AtTimestamp(NOON));
    }

    #[test]
    fn what_was_read_decides_wherever_it_started() {
        let number = SequenceNumber::new("7").unwrap();
        for start in [
            Position::TrimHorizon,
            Position::Latest,
            Position::AtTimestamp(NOON),
        ] {
            let mut cursor = Cursor::new(start);
            cursor.read(number.clone());
            cursor.opened(NOON);
            assert!(!cursor.time_is_ahead());
            assert_eq!(cursor.position(), Position::AfterSequence(number.clone()));
        }
    }

    #[test]
    fn a_time_that_is_ahead_becomes_now() {
        let mut cursor = Cursor::new(Position::AtTimestamp(NOON));
        assert!(cursor.time_is_ahead());
        assert_eq!(cursor.position(), Position::Latest);
        assert!(
            !cursor.time_is_ahead(),
            "a refusal of LATEST is about something else"
        );
    }
}
