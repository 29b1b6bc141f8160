//! Where a shard stands, in the terms of both ways of reading. Pure.
//!
//! A subscription goes on behind a continuation number, which may belong to no record; a poll goes on behind a
//! record. Both numbers mark the same place: no record lies between them.
//!
//! INVARIANT: getting back never depends on when it happens. `LATEST` is the time at which the feed was opened:
//! what arrives while a subscription waits for its turn is not skipped.

use std::time::SystemTime;

use kcl_core::SequenceNumber;
use kcl_core::model::Position;

#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where reading began.
    start: Position,
    /// The last record that was handed on.
    record: Option<SequenceNumber>,
    /// Where a subscription goes on.
    cursor: Position,
}

impl Place {
    /// A place that is `from` as of now.
    pub(super) fn new(from: Position, wall_now: SystemTime) -> Self {
        let from = match from {
            Position::Latest => Position::AtTimestamp(wall_now),
            kept @ (Position::TrimHorizon
            | Position::AtTimestamp(_)
            | Position::AtSequence(_)
            | Position::AfterSequence(_)) => kept,
        };
        Self {
            cursor: from.clone(),
            start: from,
            record: None,
        }
    }

    /// Where a subscription goes on.
    pub(super) const fn for_subscription(&self) -> &Position {
        &self.cursor
    }

    /// Where a poll goes on.
    pub(super) fn for_poll(&self) -> Position {
        match &self.record {
            Some(record) => Position::AfterSequence(record.clone()),
            None => self.start.clone(),
        }
    }

    /// The last record that was handed on.
    pub(super) const fn record(&self) -> Option<&SequenceNumber> {
        self.record.as_ref()
    }

    /// A subscription stands here now.
    pub(super) fn subscribed_to(&mut self, cursor: &Position) {
        self.cursor.clone_from(cursor);
    }

    /// Everything up to this record was handed on, by a subscription whose own cursor says more.
    pub(super) fn pushed(&mut self, last: &SequenceNumber) {
        self.record = Some(last.clone());
    }

    /// Everything up to this record was handed on, by a poll.
    pub(super) fn polled(&mut self, last: &SequenceNumber) {
        self.record = Some(last.clone());
        self.cursor = Position::AfterSequence(last.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: SystemTime = SystemTime::UNIX_EPOCH;

    fn number(number: u64) -> SequenceNumber {
        SequenceNumber::new(number.to_string()).unwrap()
    }

    fn after(n: u64) -> Position {
        Position::AfterSequence(number(n))
    }

    #[test]
    fn latest_is_the_time_of_opening_for_both() {
        let place = Place::new(Position::Latest, NOON);
        assert_eq!(place.for_poll(), Position::AtTimestamp(NOON));
        assert_eq!(place.for_subscription(), &Position::AtTimestamp(NOON));
    }

    #[test]
    fn a_poll_goes_on_behind_a_record_and_never_behind_a_continuation_number() {
        let mut place = Place::new(Position::TrimHorizon, NOON);
        place.subscribed_to(&after(90));
        assert_eq!(place.for_poll(), Position::TrimHorizon);
        place.pushed(&number(95));
        place.subscribed_to(&after(99));
        assert_eq!(place.for_poll(), after(95));
        assert_eq!(place.for_subscription(), &after(99));
    }

    #[test]
    fn a_subscription_goes_on_behind_what_was_polled() {
        let mut place = Place::new(Position::TrimHorizon, NOON);
        place.subscribed_to(&after(90));
        place.polled(&number(120));
        assert_eq!(place.for_subscription(), &after(120));
        assert_eq!(place.for_poll(), after(120));
    }
}
