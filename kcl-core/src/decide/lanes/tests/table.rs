//! Single steps: what comes in, what is called, what is told.

use super::*;

pub(super) struct Bench {
    pub(super) lanes: Lanes,
    pub(super) now: Instant,
    rng: fastrand::Rng,
    next: Number,
}

impl Bench {
    pub(super) fn new(handler: HandlerSettings, failure: FailureSettings) -> Self {
        Self::of(false, handler, failure)
    }

    fn of(is_by_record: bool, handler: HandlerSettings, failure: FailureSettings) -> Self {
        let now = Instant::now();
        Self {
            lanes: lanes(is_by_record, settings(handler, failure), now),
            now,
            rng: fastrand::Rng::with_seed(1),
            next: 0,
        }
    }

    /// Takes in a record for each letter, which is its key.
    pub(super) fn take(&mut self, keys: &str) {
        let mut records = Vec::new();
        for key in keys.chars() {
            records.push(record(self.next, &key.to_string(), ""));
            self.next += 1;
        }
        self.lanes.take(records, None, self.now);
    }

    /// All calls that start now: which call, in which lane, at which attempt, with which records.
    pub(super) fn start(&mut self) -> Vec<String> {
        self.start_as(false)
    }

    pub(super) fn start_as(&mut self, ends: bool) -> Vec<String> {
        let mut calls = Vec::new();
        while let Some(call) = self.lanes.start(ends, self.now) {
            let numbers: Vec<_> = call.records.iter().map(number_of).collect();
            let what = match call.errand {
                Errand::Handle => format!("try {}", call.attempt),
                Errand::Divert(given_up) => format!("divert after {}", given_up.attempts),
            };
            calls.push(format!("{} in {}, {what}: {numbers:?}", call.id, call.lane));
        }
        calls
    }

    pub(super) fn returned(&mut self, id: CallId, outcome: Outcome) -> Option<Error> {
        let Self {
            lanes, now, rng, ..
        } = self;
        lanes.returned(id, outcome, *now, rng)
    }

    pub(super) fn later(&mut self, time: Duration) {
        self.now += time;
    }

    /// Lets the pause before the next attempt pass.
    fn pause(&mut self) {
        self.now = self.lanes.next_deadline(self.now).expect("a pause");
    }

    pub(super) fn settled(&self) -> String {
        self.lanes.settled_to().to_string()
    }

    pub(super) fn notes(&mut self) -> Vec<String> {
        let line = |note| match note {
            Note::Processed { records, .. } => format!("processed {records}"),
            Note::Filtered { records } => format!("filtered {records}"),
            Note::Failed {
                first,
                records,
                attempts,
                retry_in,
                ..
            } => {
                let again = retry_in.is_some();
                format!("failed {records} at {first} after {attempts}, again: {again}")
            }
            Note::GivenUp {
                first,
                last,
                reason,
                ..
            } => format!("given up {first}-{last}: {reason:?}"),
            Note::Diverted { first, records, .. } => format!("diverted {records} at {first}"),
            Note::DestinationFailed {
                first, retry_in, ..
            } => format!("not diverted at {first}, again: {}", retry_in.is_some()),
            Note::RunsLong { running, first, .. } => format!("{first} runs for {running:?}"),
        };
        self.lanes.take_notes().into_iter().map(line).collect()
    }
}

pub(super) fn with_lanes(lanes: usize) -> HandlerSettings {
    HandlerSettings {
        lanes,
        ..HandlerSettings::default()
    }
}

pub(super) fn divert_after(attempts: u32) -> FailureSettings {
    FailureSettings {
        policy: FailurePolicy::Divert,
        attempts_max: Some(attempts),
        ..FailureSettings::default()
    }
}

#[test]
fn records_that_are_done_leave_their_room_to_the_next_unless_somebody_has_them() {
    let handler = HandlerSettings {
        batch_records_max: 2,
        ..HandlerSettings::default()
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("aaaaaaaa");
    let next = |bench: &mut Bench| bench.lanes.start(false, bench.now).unwrap().records;
    let first = next(&mut bench).as_ptr();
    bench.returned(0, Outcome::Done);
    let second = next(&mut bench);
    assert_eq!(second.as_ptr(), first);
    bench.returned(1, Outcome::Done);
    let third = next(&mut bench);
    assert_eq!(second.iter().map(number_of).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(third.iter().map(number_of).collect::<Vec<_>>(), [4, 5]);
    assert_ne!(third.as_ptr(), second.as_ptr());
}

#[test]
fn whole_pages_are_committed_until_the_shard_is_left() {
    let handler = HandlerSettings {
        batch_records_max: 1,
        lane_commit: LaneCommit::Page,
        ..with_lanes(3)
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("ab");
    bench.take("cde");
    assert_eq!(bench.start().len(), 3);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "TRIM_HORIZON");
    bench.returned(1, Outcome::Done);
    assert_eq!(bench.settled(), "2");
    bench.returned(2, Outcome::Done);
    assert_eq!(bench.settled(), "2", "of the second page one is done");
    bench.lanes.leave();
    assert_eq!(bench.settled(), "3");
}

#[test]
fn with_one_lane_what_is_done_is_committed_whatever_pages_are() {
    let handler = HandlerSettings {
        batch_records_max: 1,
        lane_commit: LaneCommit::Page,
        ..HandlerSettings::default()
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("ab");
    bench.start();
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "1");
}

#[test]
fn one_lane_keeps_the_order_of_the_shard() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    bench.take("abc");
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1, 2]"]);
    bench.take("de");
    assert!(bench.start().is_empty(), "the lane is busy");
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "3");
    assert_eq!(bench.start(), ["1 in 0, try 1: [3, 4]"]);
}

#[test]
fn a_key_is_in_one_call_at_a_time_and_others_pass_it() {
    let handler = HandlerSettings {
        batch_records_max: 2,
        ..with_lanes(3)
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("aaabbc");
    let calls = [
        "0 in 0, try 1: [0, 1]",
        "1 in 1, try 1: [3, 4]",
        "2 in 2, try 1: [5]",
    ];
    assert_eq!(bench.start(), calls);
    bench.returned(1, Outcome::Done);
    assert!(
        bench.start().is_empty(),
        "the third `a` waits for the others"
    );
    assert_eq!(bench.settled(), "TRIM_HORIZON");
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "2");
    assert_eq!(bench.start(), ["3 in 0, try 1: [2]"]);
    bench.returned(3, Outcome::Done);
    assert_eq!(bench.settled(), "5");
    bench.returned(2, Outcome::Done);
    assert_eq!(bench.settled(), "6");
    assert!(bench.lanes.is_empty());
}

#[test]
fn a_key_can_have_its_lane_where_others_of_it_wait() {
    let handler = HandlerSettings {
        lane_choice: LaneChoice::ByKey,
        batch_records_max: 2,
        batch_window: SECOND,
        ..with_lanes(2)
    };
    let mut bench = Bench::new(handler, divert_after(1));
    // `lane 0` and `lane 1`, by the hash.
    let lane = |key: &str| bench.lanes.hash(&record(0, key, ""));
    let of_lane = |wanted| ('a'..='z').filter(move |key| lane(&key.to_string()) == wanted);
    let (zeros, ones): (Vec<_>, Vec<_>) = (of_lane(0).collect(), of_lane(1).collect());
    let text = String::from_iter([zeros[0], ones[0], ones[1], zeros[1], ones[2]]);
    bench.take(&text);
    let calls = ["0 in 0, try 1: [0, 3]", "1 in 1, try 1: [1, 2]"];
    assert_eq!(bench.start(), calls, "both are full");
    bench.take(&zeros[2].to_string());
    bench.later(SECOND);
    assert!(bench.start().is_empty(), "both lanes are busy");
    bench.returned(1, Outcome::Done);
    assert_eq!(bench.start(), ["2 in 1, try 1: [4]"]);
    bench.returned(2, Outcome::Done);
    assert!(
        bench.start().is_empty(),
        "lane 1 is free, and not for these"
    );
    bench.returned(0, Outcome::FailedFrom(1, failed()));
    assert_eq!(bench.start(), ["0 in 0, divert after 1: [3]"]);
    assert_eq!(bench.settled(), "3");
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.start(), ["3 in 0, try 1: [5]"]);
    bench.returned(3, Outcome::Done);
    assert_eq!(bench.settled(), "6");
}

#[test]
fn records_that_the_user_sees_one_by_one_are_spread_over_the_lanes() {
    let mut bench = Bench::of(true, with_lanes(4), FailureSettings::default());
    bench.take("abcdefgh");
    let calls = bench.start();
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert_eq!(calls[0], "0 in 0, try 1: [0, 1]");
    bench.returned(0, Outcome::Stopped(1, None));
    assert_eq!(bench.settled(), "1");
    assert_eq!(
        bench.start(),
        ["4 in 0, try 1: [1]"],
        "what was not begun comes back"
    );
}

#[test]
fn a_slow_record_gives_back_what_waits_behind_it() {
    let mut bench = Bench::of(true, with_lanes(2), FailureSettings::default());
    bench.take("abcacd");
    assert_eq!(
        bench.start(),
        ["0 in 0, try 1: [0, 1, 3]", "1 in 1, try 1: [2, 4, 5]"]
    );
    bench.returned(1, Outcome::Done);
    bench.lanes.given_back(0, 1);
    assert_eq!(bench.settled(), "1", "what is done counts already");
    assert_eq!(bench.start(), ["2 in 1, try 1: [3]"]);
    bench.returned(2, Outcome::Done);
    bench.returned(0, Outcome::Stopped(0, Some(failed())));
    assert_eq!(bench.settled(), "1");
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 2: [1]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "6");
}

#[test]
fn a_batch_waits_for_its_window_unless_it_is_full_or_cannot_grow() {
    let handler = HandlerSettings {
        batch_records_max: 3,
        batch_window: 2 * SECOND,
        unsettled_records_max: 5,
        ..with_lanes(1)
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("a");
    assert!(bench.start().is_empty());
    bench.later(SECOND);
    bench.take("b");
    assert_eq!(
        bench.lanes.next_deadline(bench.now),
        Some(bench.now + SECOND)
    );
    bench.later(SECOND);
    assert_eq!(
        bench.start(),
        ["0 in 0, try 1: [0, 1]"],
        "the window is over"
    );
    bench.returned(0, Outcome::Done);
    bench.take("cde");
    assert_eq!(bench.start(), ["1 in 0, try 1: [2, 3, 4]"], "it is full");
    bench.take("fg");
    bench.returned(1, Outcome::Done);
    assert!(bench.start().is_empty());
    assert_eq!(
        bench.start_as(true),
        ["2 in 0, try 1: [5, 6]"],
        "nothing more comes"
    );
    bench.take("hij");
    assert!(!bench.lanes.has_room(), "five are not settled");
}

#[test]
fn batches_are_bounded_in_bytes_and_a_large_record_goes_alone() {
    let handler = HandlerSettings {
        batch_bytes_max: 10,
        ..with_lanes(1)
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    let records = [4, 4, 40, 1].into_iter().enumerate();
    let records = records.map(|(at, len)| record(at as Number, "k", &"x".repeat(len)));
    bench.lanes.take(records.collect(), None, bench.now);
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.start(), ["1 in 0, try 1: [2]"]);
    bench.returned(1, Outcome::Done);
    assert_eq!(bench.start(), ["2 in 0, try 1: [3]"]);
    assert_eq!(bench.lanes.load(bench.now).bytes, 2);
}

#[test]
fn what_a_filter_drops_is_settled_at_once_and_fills_no_batch() {
    let now = Instant::now();
    let start = LanesStart {
        is_by_record: false,
        keep: Some(Arc::new(|record| record.partition_key != "x")),
        weigh: None,
        wall: SystemTime::UNIX_EPOCH,
    };
    let settings = settings(with_lanes(1), FailureSettings::default());
    let lanes = Lanes::new(start, Checkpoint::TrimHorizon, settings, now);
    let mut bench = Bench {
        lanes,
        ..Bench::new(with_lanes(1), FailureSettings::default())
    };
    bench.take("xxaxb");
    assert_eq!(bench.settled(), "2");
    assert_eq!(bench.notes(), ["filtered 3"]);
    assert_eq!(bench.start(), ["0 in 0, try 1: [2, 4]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "5");
    bench.take("xx");
    assert_eq!(bench.settled(), "7", "without any call");
    assert!(bench.lanes.is_empty());
}

#[test]
fn a_failed_batch_comes_again_as_a_whole_after_a_pause() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    bench.take("abc");
    bench.start();
    bench.take("d");
    assert!(
        bench
            .returned(0, Outcome::FailedFrom(0, failed()))
            .is_none()
    );
    assert_eq!(bench.notes(), ["failed 3 at 1 after 1, again: true"]);
    assert!(bench.start().is_empty(), "the order of the shard holds");
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 2: [0, 1, 2]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "3");
}

#[test]
fn a_failed_batch_holds_up_its_own_keys_alone() {
    let handler = HandlerSettings {
        batch_records_max: 2,
        ..with_lanes(2)
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("ab");
    bench.start();
    bench.returned(0, Outcome::FailedFrom(0, failed()));
    bench.take("acbd");
    assert_eq!(bench.start(), ["1 in 0, try 1: [3, 5]"]);
    assert_eq!(bench.settled(), "TRIM_HORIZON");
}

#[test]
fn a_partial_failure_settles_what_it_says_and_its_count_goes_on() {
    let mut bench = Bench::new(with_lanes(1), divert_after(4));
    bench.take("abc");
    bench.start();
    bench.returned(0, Outcome::FailedFrom(2, failed()));
    assert_eq!(bench.settled(), "2");
    for attempt in 2..=4 {
        bench.pause();
        assert_eq!(bench.start(), [format!("0 in 0, try {attempt}: [2]")]);
        bench.returned(0, Outcome::FailedFrom(0, failed()));
    }
    assert_eq!(bench.start(), ["0 in 0, divert after 4: [2]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "3");
    let notes = bench.notes();
    let last = [
        "failed 1 at 3 after 4, again: false",
        "given up 3-3: Some(AttemptsExhausted)",
        "diverted 1 at 3",
    ];
    assert_eq!(notes[notes.len() - 3..], last);
}

#[test]
fn records_that_are_named_fail_and_the_others_are_settled() {
    let mut bench = Bench::new(with_lanes(1), divert_after(1));
    bench.take("abcd");
    bench.start();
    bench.returned(0, Outcome::FailedAt(vec![1, 3], failed()));
    assert_eq!(bench.settled(), "1");
    assert_eq!(bench.start(), ["0 in 0, divert after 1: [1, 3]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "4");
}

#[test]
fn halving_finds_the_one_and_does_not_count() {
    let failure = FailureSettings {
        bisect: true,
        ..divert_after(2)
    };
    let mut bench = Bench::new(with_lanes(1), failure);
    bench.take("abcd");
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1, 2, 3]"]);
    bench.returned(0, Outcome::FailedFrom(0, failed()));
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(
        bench.start(),
        ["0 in 0, try 1: [2, 3]"],
        "the other half, at once"
    );
    bench.returned(0, Outcome::FailedFrom(0, failed()));
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 1: [2]"]);
    bench.returned(0, Outcome::FailedFrom(0, failed()));
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 2: [2]"]);
    bench.returned(0, Outcome::FailedFrom(0, failed()));
    assert_eq!(bench.start(), ["0 in 0, divert after 2: [2]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "3");
    assert_eq!(bench.start(), ["1 in 0, try 1: [3]"]);
}

#[test]
fn a_half_that_fails_with_nothing_behind_it_leaves_the_other_half_alone() {
    let failure = FailureSettings {
        bisect: true,
        ..divert_after(2)
    };
    let mut bench = Bench::new(with_lanes(1), failure);
    bench.take("abcd");
    bench.start();
    bench.returned(0, Outcome::FailedWithin(0..4, failed()));
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1]"]);
    bench.returned(0, Outcome::FailedWithin(0..2, failed()));
    bench.pause();
    for half in ["[0]", "[1]", "[2, 3]"] {
        assert_eq!(bench.start(), [format!("0 in 0, try 1: {half}")]);
        bench.returned(0, Outcome::Done);
    }
    assert_eq!(bench.settled(), "4");
}

#[test]
fn what_was_not_begun_behind_records_that_failed_is_no_part_of_their_failure() {
    let mut bench = Bench::new(with_lanes(1), divert_after(1));
    bench.take("abcd");
    assert_eq!(bench.start(), ["0 in 0, try 1: [0, 1, 2, 3]"]);
    bench.returned(0, Outcome::FailedWithin(1..3, failed()));
    assert_eq!(bench.settled(), "1");
    assert_eq!(bench.start(), ["0 in 0, divert after 1: [1, 2]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "3");
    assert_eq!(bench.start(), ["1 in 0, try 1: [3]"]);
}

#[test]
fn a_single_record_that_fails_lets_the_others_of_its_batch_go() {
    let mut bench = Bench::of(true, with_lanes(2), FailureSettings::default());
    bench.take("abac");
    let calls = bench.start();
    assert_eq!(calls[0], "0 in 0, try 1: [0, 2]");
    bench.returned(0, Outcome::Stopped(0, Some(failed())));
    assert_eq!(bench.notes(), ["failed 1 at 1 after 1, again: true"]);
    bench.returned(1, Outcome::Done);
    assert!(
        bench.lanes.keys.oldest_ready().is_none(),
        "the second `a` waits"
    );
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 2: [0]"]);
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.start(), ["2 in 0, try 1: [2]"]);
}

#[test]
fn what_was_not_tried_does_not_count() {
    let mut bench = Bench::new(with_lanes(1), divert_after(1));
    bench.take("ab");
    bench.start();
    bench.returned(0, Outcome::NotTried(1, failed()));
    assert_eq!(bench.settled(), "1");
    bench.pause();
    assert_eq!(bench.start(), ["0 in 0, try 1: [1]"]);
}

#[test]
fn records_that_are_too_old_are_given_up_tried_or_not() {
    let failure = FailureSettings {
        policy: FailurePolicy::Divert,
        age_max: Some(10 * SECOND),
        ..FailureSettings::default()
    };
    let mut bench = Bench::new(with_lanes(2), failure);
    bench.later(11 * SECOND);
    // They arrived at 0 s, 1 s, ... by the clock that stands at 11 s.
    bench.take("abc");
    assert_eq!(
        bench.start(),
        ["0 in 0, divert after 0: [0]", "1 in 1, try 1: [1, 2]"]
    );
    bench.later(SECOND / 2);
    bench.returned(1, Outcome::FailedFrom(0, failed()));
    assert_eq!(
        bench.start(),
        ["1 in 1, divert after 1: [1]"],
        "it is 10.5 s old by now"
    );
    bench.returned(0, Outcome::Done);
    bench.returned(1, Outcome::Done);
    assert_eq!(bench.settled(), "2");
    bench.pause();
    assert_eq!(bench.start(), ["2 in 0, try 2: [2]"]);
}

#[test]
fn a_destination_that_fails_settles_nothing_and_is_tried_again() {
    let mut bench = Bench::new(with_lanes(1), divert_after(1));
    bench.take("a");
    bench.start();
    bench.returned(0, Outcome::FailedFrom(0, failed()));
    for _ in 0..5 {
        assert_eq!(bench.start(), ["0 in 0, divert after 1: [0]"]);
        bench.returned(0, Outcome::FailedFrom(0, failed()));
        assert_eq!(bench.settled(), "TRIM_HORIZON");
        assert_eq!(
            bench.notes().last().unwrap(),
            "not diverted at 1, again: true"
        );
        bench.pause();
    }
    bench.start();
    bench.returned(0, Outcome::Done);
    assert_eq!(bench.settled(), "1");
}

#[test]
fn the_policy_to_stop_halts_at_the_first_failure_or_at_the_limit() {
    for (attempts_max, attempts) in [(None, 1), (Some(3), 3)] {
        let failure = FailureSettings {
            policy: FailurePolicy::StopWorker,
            attempts_max,
            ..FailureSettings::default()
        };
        let mut bench = Bench::new(with_lanes(1), failure);
        bench.take("a");
        for attempt in 1..=attempts {
            assert_eq!(bench.start(), [format!("0 in 0, try {attempt}: [0]")]);
            let halt = bench.returned(0, Outcome::FailedFrom(0, failed()));
            assert_eq!(halt.is_some(), attempt == attempts);
            if halt.is_none() {
                bench.pause();
            }
        }
        assert_eq!(bench.settled(), "TRIM_HORIZON");
    }
}

#[test]
fn what_fails_after_the_shard_was_lost_is_neither_given_up_nor_a_reason_to_stop() {
    let stop = FailureSettings {
        policy: FailurePolicy::StopWorker,
        ..FailureSettings::default()
    };
    for failure in [stop, divert_after(1)] {
        let mut bench = Bench::new(with_lanes(1), failure);
        bench.take("ab");
        bench.start();
        bench.lanes.lose();
        let halt = bench.returned(0, Outcome::FailedFrom(1, failed()));
        assert!(halt.is_none());
        assert_eq!(
            bench.notes(),
            ["processed 1", "failed 1 at 2 after 1, again: false"]
        );
        assert!(bench.start().is_empty() && bench.lanes.is_left());
    }
}

#[test]
fn a_shard_that_is_left_fills_its_holes_and_begins_nothing_beyond() {
    let handler = HandlerSettings {
        batch_records_max: 1,
        ..with_lanes(2)
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("aabbc");
    assert_eq!(bench.start(), ["0 in 0, try 1: [0]", "1 in 1, try 1: [2]"]);
    bench.lanes.leave();
    assert!(bench.start().is_empty() && !bench.lanes.is_left());
    bench.returned(1, Outcome::Done);
    assert!(bench.start().is_empty(), "not before all are back");
    bench.returned(0, Outcome::Done);
    assert_eq!(
        bench.start(),
        ["2 in 0, try 1: [1]"],
        "or the third would come twice"
    );
    assert!(!bench.lanes.is_left());
    bench.returned(2, Outcome::Done);
    assert_eq!(bench.settled(), "3");
    assert!(bench.lanes.is_left(), "nobody has seen the others");
}

#[test]
fn what_fails_while_a_shard_is_left_is_left() {
    let handler = HandlerSettings {
        batch_records_max: 1,
        ..with_lanes(3)
    };
    let mut bench = Bench::new(handler, FailureSettings::default());
    bench.take("abac");
    bench.start();
    bench.lanes.leave();
    bench.returned(0, Outcome::FailedFrom(0, failed()));
    bench.returned(1, Outcome::Done);
    bench.returned(2, Outcome::Done);
    assert_eq!(bench.notes()[0], "failed 1 at 1 after 1, again: false");
    assert!(
        bench.start().is_empty(),
        "behind a hole nothing can be committed"
    );
    assert!(bench.lanes.is_left());
    assert_eq!(bench.settled(), "TRIM_HORIZON");
}

#[test]
fn a_call_that_does_not_come_back_is_told_each_minute() {
    let mut bench = Bench::new(with_lanes(1), FailureSettings::default());
    bench.take("a");
    bench.start();
    for minute in 1..4 {
        bench.pause();
        bench.lanes.note_long_calls(bench.now);
        assert_eq!(
            bench.notes(),
            [format!("1 runs for {:?}", minute * 60 * SECOND)]
        );
    }
    let load = bench.lanes.load(bench.now);
    assert_eq!((load.busy, load.span), (1, 1));
    assert_eq!(load.oldest, Some(180 * SECOND));
}
