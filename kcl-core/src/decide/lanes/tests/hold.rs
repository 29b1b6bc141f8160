//! What is settled and held, and what weighs more than a call takes.

use super::table::{Bench, divert_after, with_lanes};
use super::*;
use crate::port::Hold;

impl Bench {
    /// The handler holds this record and all behind, until so long from now; or nothing.
    fn held(&mut self, id: CallId, from: Option<Number>) {
        let hold = from.map(|from| Hold {
            from: record(from, "", "").sequence_number,
            wakes_at: self.now + 10 * SECOND,
        });
        self.lanes.held(id, hold);
    }
}

#[test]
fn what_is_held_is_settled_but_not_committed() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    bench.take("abc");
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1, 2]"]);
    bench.held(0, Some(1));
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "1", "before the first that is held");
    assert_eq!(
        (
            bench.lanes.load(bench.now).span,
            bench.lanes.load(bench.now).bytes
        ),
        (0, 0),
        "no memory is held"
    );

    bench.take("de");
    assert_eq!(bench.start(), ["1 in 0, try 1: [3, 4]"]);
    bench.held(1, Some(1));
    bench.returned(1, Outcome::Done);
    assert_eq!(bench.settled(), "1");
    bench.take("f");
    assert_eq!(bench.start(), ["2 in 0, try 1: [5]"]);
    bench.held(2, Some(5));
    bench.returned(2, Outcome::Done);
    assert_eq!(
        bench.settled(),
        "5",
        "something else is held from the first of a call on"
    );
}

#[test]
fn who_holds_something_is_called_without_records_in_time_and_at_the_end() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    bench.take("a");
    bench.start();
    bench.held(0, Some(0));
    bench.returned(0, Outcome::Done);
    assert!(bench.start().is_empty() && !bench.lanes.is_empty());
    assert_eq!(
        bench.lanes.next_deadline(bench.now),
        Some(bench.now + 10 * SECOND)
    );
    bench.later(10 * SECOND);
    assert_eq!(bench.start(), ["1 in 0, try 1: []"]);
    bench.held(1, None);
    bench.returned(1, Outcome::Done);
    assert_eq!(bench.settled(), "1");
    assert!(bench.start().is_empty() && bench.lanes.is_empty());

    bench.take("b");
    bench.start();
    bench.held(2, Some(1));
    bench.returned(2, Outcome::Done);
    assert_eq!(
        bench.start_as(true),
        ["3 in 0, try 1: []"],
        "nothing comes any more"
    );
    // It fails, and comes again after a pause.
    bench.held(3, Some(1));
    bench.notes();
    bench.returned(3, Outcome::NotTried(0, failed()));
    assert_eq!(bench.notes(), ["failed 0 at 2 after 0, again: true"]);
    assert!(bench.start_as(true).is_empty());
    bench.later(SECOND);
    assert_eq!(bench.start_as(true), ["3 in 0, try 1: []"]);
}

#[test]
fn a_call_without_records_does_not_come_again_for_what_another_call_has_ended() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    bench.take("a");
    bench.start();
    bench.held(0, Some(0));
    bench.returned(0, Outcome::Done);
    bench.later(10 * SECOND);
    assert_eq!(bench.start(), ["1 in 0, try 1: []"]);
    bench.returned(1, Outcome::NotTried(0, failed()));
    // While it waits, a record of the next window comes: its call ends the first one.
    bench.take("b");
    assert_eq!(bench.start(), ["2 in 0, try 1: [1]"]);
    bench.held(2, Some(1));
    bench.returned(2, Outcome::Done);
    bench.later(SECOND);
    assert!(bench.start().is_empty(), "the second has its time");
    bench.later(9 * SECOND);
    assert_eq!(bench.start(), ["3 in 0, try 1: []"]);
}

#[test]
fn a_call_without_records_has_nothing_to_give_up_however_it_fails() {
    let mut bench = Bench::new(with_lanes(1), divert_after(1));
    bench.take("a");
    bench.start();
    bench.held(0, Some(0));
    bench.returned(0, Outcome::Done);
    bench.later(10 * SECOND);
    assert_eq!(bench.start(), ["1 in 0, try 1: []"]);
    bench.held(1, Some(0));
    bench.notes();
    bench.returned(1, Outcome::FailedFrom(0, failed()));
    assert_eq!(bench.notes(), ["failed 0 at 1 after 1, again: true"]);
    bench.later(SECOND);
    assert_eq!(bench.start(), ["1 in 0, try 2: []"]);
}

/// The newest records were behind the tip, so others may come that belong to what is held.
#[test]
fn a_shard_that_is_behind_its_tip_has_more_time() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    let behind = Some(5 * SECOND);
    bench
        .lanes
        .take(vec![record(0, "a", "")], behind, bench.now);
    bench.start();
    bench.held(0, Some(0));
    bench.returned(0, Outcome::Done);
    assert_eq!(
        bench.lanes.next_deadline(bench.now),
        Some(bench.now + 15 * SECOND)
    );
    bench.later(14 * SECOND);
    assert!(bench.start().is_empty());
}

#[test]
fn a_shard_that_is_left_commits_nothing_of_what_is_held_and_begins_nothing() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    bench.take("ab");
    bench.start();
    bench.held(0, Some(0));
    bench.returned(0, Outcome::Done);
    bench.take("c");
    bench.lanes.leave();
    assert!(bench.start().is_empty());
    assert!(bench.lanes.is_left());
    assert_eq!(bench.settled(), "TRIM_HORIZON");
}

#[test]
fn what_weighs_more_than_a_call_takes_is_given_up_in_its_turn() {
    let now = Instant::now();
    let start = LanesStart {
        is_by_record: false,
        keep: None,
        weigh: Some(Arc::new(|record| match record.partition_key.as_str() {
            "x" => 101,
            "m" => 100,
            _ => 40,
        })),
        wall: SystemTime::UNIX_EPOCH,
    };
    let handler = HandlerSettings {
        batch_bytes_max: 100,
        ..with_lanes(1)
    };
    let lanes = Lanes::new(
        start,
        Checkpoint::TrimHorizon,
        settings(handler.clone(), divert_after(3)),
        now,
    );
    let mut bench = Bench::new(handler, divert_after(3));
    bench.lanes = lanes;
    bench.take("aaaxm");
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1]"], "two weigh 80");
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.start(), ["1 in 0, try 1: [2]"]);
    bench.returned(1, Outcome::Done);
    bench.notes();
    assert_eq!(bench.start(), ["2 in 0, divert after 0: [3]"]);
    assert_eq!(bench.notes(), ["given up 4-4: Some(RecordTooLarge)"]);
    bench.returned(2, Outcome::Done);
    assert_eq!(
        bench.start(),
        ["3 in 0, try 1: [4]"],
        "as much as a call takes"
    );
    bench.returned(3, Outcome::Done);
    assert_eq!(bench.settled(), "5");
}
