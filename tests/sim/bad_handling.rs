//! Each rule about handlers fails on a history made to break it.

use std::time::Duration;

use kcl_core::model::Checkpoint;
use kcl_core::{LaneChoice, LaneCommit};
use tests::sim::checkers::Rule;
use tests::sim::history::{
    Call, CallNumber, Ending, Errand, Event, HandlerCall, LeaseRow, Mood, RecordId, Step,
};
use tests::sim::scenario::{Door, Handling, Policy};

use crate::hand::*;

/// Two lanes, batches that are cut, two attempts; records 3, 7, 11 and so on are poison.
const HANDLING: Handling = Handling {
    door: Door::Batch,
    lanes: 2,
    lane_choice: LaneChoice::Free,
    lane_commit: LaneCommit::Record,
    batch: 10,
    wait: Duration::ZERO,
    span: 500,
    policy: Policy::GiveUp { attempts: 2 },
    bisect: true,
    call_max: None,
    window: None,
    pace: Duration::from_millis(2),
    poison_every: Some(4),
    trouble_every: None,
    refuses: 0,
    salt: 0,
};

/// Windows of ten seconds.
const WINDOWS: Handling = Handling {
    door: Door::Windows,
    lanes: 1,
    window: Some(Duration::from_secs(10)),
    ..HANDLING
};

/// Each key has its lane.
const BY_KEY: Handling = Handling {
    lane_choice: LaneChoice::ByKey,
    ..HANDLING
};

const HALTING: Handling = Handling {
    policy: Policy::Halt { attempts: Some(2) },
    ..HANDLING
};

/// One process, one shard, eight records: of key 7, and every second one of key 8.
fn shard(handling: Handling, clean: bool) -> (Hand, LeaseRow) {
    let mut hand = Hand::handled(handling, clean);
    hand.shard("a", &[]);
    hand.starts(P);
    for record in 0..8 {
        hand.put("a", 7 + record % 2);
    }
    let held = hand.grant(P, "a");
    (hand, held)
}

impl Hand {
    fn starts_call(&mut self, number: CallNumber, errand: Errand, ids: &[RecordId], state: u64) {
        self.add(Event::HandlerCalled(HandlerCall {
            process: P,
            number,
            shard: "a".into(),
            epoch: 1,
            lane: None,
            errand,
            ids: ids.to_vec(),
            state: Some(state),
            mood: Mood::Well,
        }));
    }

    /// A call whose handler is told its lane.
    fn hands_in_lane(&mut self, lane: usize, number: CallNumber, ids: &[RecordId]) {
        self.add(Event::HandlerCalled(HandlerCall {
            process: P,
            number,
            shard: "a".into(),
            epoch: 1,
            lane: Some(lane),
            errand: Errand::Handle,
            ids: ids.to_vec(),
            state: None,
            mood: Mood::Well,
        }));
    }

    fn hands(&mut self, number: CallNumber, ids: &[RecordId]) {
        self.starts_call(number, Errand::Handle, ids, 0);
    }

    fn returns(&mut self, call: CallNumber, ending: Ending, done: &[RecordId]) {
        let done = done.to_vec();
        self.add(Event::HandlerReturned { call, ending, done });
    }

    /// A call that goes well.
    fn handles(&mut self, number: CallNumber, ids: &[RecordId]) {
        self.hands(number, ids);
        self.returns(number, Ending::Well, ids);
    }

    /// A call that fails as a whole.
    fn fails(&mut self, number: CallNumber, ids: &[RecordId]) {
        self.hands(number, ids);
        self.returns(number, Ending::Failed, &[]);
    }

    fn gives_up(&mut self, number: CallNumber, ids: &[RecordId]) {
        self.starts_call(number, Errand::GiveUp, ids, 0);
        self.returns(number, Ending::Well, ids);
    }

    fn says_it_gives_up(&mut self, record: RecordId) {
        self.add(Event::GaveUp {
            process: P,
            shard: "a".into(),
            first: number(record),
        });
    }

    fn ends(&mut self, outcome: Result<(), String>) {
        self.life(P, Step::Exited(outcome));
    }
}

#[test]
fn what_a_handler_is_handed_in_order_breaks_nothing() {
    let (mut hand, held) = shard(HANDLING, false);
    hand.hands(0, &[0, 2]);
    hand.handles(1, &[1]);
    hand.fails(2, &[3, 5]);
    hand.returns(0, Ending::Well, &[0, 2]);
    for call in 3..5 {
        hand.fails(call, &[3]);
    }
    hand.gives_up(5, &[3]);
    hand.handles(6, &[4, 5, 6]);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(6)));
    assert_eq!(hand.broken(), []);
}

#[test]
fn two_calls_in_one_lane_break_s5() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.hands_in_lane(1, 0, &[0]);
    hand.hands_in_lane(1, 1, &[1]);
    hand.breaks(Rule::S5);
}

#[test]
fn a_lane_too_many_breaks_s5() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.hands_in_lane(2, 0, &[0]);
    hand.breaks(Rule::S5);
}

#[test]
fn a_key_in_another_lane_than_before_breaks_s5_where_each_has_its_own() {
    for (handling, is_broken) in [(BY_KEY, true), (HANDLING, false)] {
        let (mut hand, _) = shard(handling, false);
        hand.hands_in_lane(1, 0, &[0]);
        hand.returns(0, Ending::Well, &[0]);
        hand.hands_in_lane(0, 1, &[1]);
        assert_eq!(hand.broken(), []);
        hand.returns(1, Ending::Well, &[1]);
        hand.hands_in_lane(0, 2, &[2]);
        if is_broken {
            hand.breaks(Rule::S5);
        } else {
            assert_eq!(hand.broken(), []);
        }
    }
}

#[test]
fn a_record_of_a_key_that_is_passed_over_breaks_s5() {
    let (mut hand, _) = shard(HANDLING, false);
    // Delivered before, so that only this grant's order is broken.
    hand.fails(0, &[0, 2, 4]);
    hand.handles(1, &[2]);
    hand.breaks(Rule::S5);
}

#[test]
fn a_gap_in_the_first_call_of_a_grant_breaks_s5() {
    let (mut hand, held) = shard(HANDLING, false);
    hand.fails(0, &[0, 2, 4]);
    let released = row(None, 2, Checkpoint::TrimHorizon);
    hand.write(P, "a", Some(&held), &released);
    hand.write(
        P,
        "a",
        Some(&released),
        &row(Some(P), 3, Checkpoint::TrimHorizon),
    );
    hand.add(Event::HandlerCalled(HandlerCall {
        process: P,
        number: 1,
        shard: "a".into(),
        epoch: 3,
        lane: None,
        errand: Errand::Handle,
        ids: vec![2],
        state: None,
        mood: Mood::Well,
    }));
    hand.breaks(Rule::S5);
}

#[test]
fn with_one_lane_another_key_breaks_s5_as_well() {
    let handling = Handling {
        lanes: 1,
        ..HANDLING
    };
    let (mut hand, _) = shard(handling, false);
    hand.fails(0, &[0, 1]);
    hand.handles(1, &[1]);
    hand.breaks(Rule::S5);
}

#[test]
fn records_out_of_order_in_a_call_break_s5() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.handles(0, &[1, 0]);
    hand.breaks(Rule::S5);
}

#[test]
fn two_calls_with_one_key_break_s5() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.fails(0, &[0, 1, 2, 3]);
    hand.handles(1, &[0, 1, 2]);
    hand.fails(2, &[3]);
    hand.starts_call(3, Errand::GiveUp, &[3], 0);
    hand.starts_call(4, Errand::GiveUp, &[3], 0);
    hand.breaks(Rule::S5);
}

#[test]
fn more_calls_than_lanes_break_s5() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.put("a", 9);
    hand.hands(0, &[0]);
    hand.hands(1, &[1]);
    assert_eq!(hand.broken(), []);
    hand.hands(2, &[8]);
    hand.breaks(Rule::S5);
}

#[test]
fn a_settled_record_that_comes_again_breaks_s10() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.handles(0, &[0, 2]);
    hand.hands(1, &[2]);
    hand.breaks(Rule::S10);
}

#[test]
fn a_duplicate_where_nothing_fails_breaks_s10() {
    let (mut hand, _) = shard(HANDLING, true);
    hand.fails(0, &[0]);
    hand.handles(1, &[0]);
    hand.breaks(Rule::S10);
}

#[test]
fn a_checkpoint_over_a_call_that_failed_breaks_s1() {
    let (mut hand, held) = shard(HANDLING, false);
    hand.handles(0, &[0, 2]);
    hand.fails(1, &[1]);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(2)));
    hand.breaks(Rule::S1);
}

#[test]
fn a_checkpoint_over_what_the_destination_did_not_take_breaks_s1() {
    let (mut hand, held) = shard(HANDLING, false);
    hand.handles(0, &[0, 1, 2]);
    hand.fails(1, &[3]);
    hand.fails(2, &[3]);
    hand.starts_call(3, Errand::GiveUp, &[3], 0);
    hand.returns(3, Ending::Failed, &[]);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(3)));
    hand.breaks(Rule::S1);
}

#[test]
fn a_call_of_a_handler_after_the_lease_moved_breaks_s4() {
    for errand in [Errand::Handle, Errand::GiveUp] {
        let (mut hand, held) = shard(HANDLING, false);
        hand.fails(0, &[0, 1, 2, 3]);
        hand.handles(1, &[0, 1, 2]);
        hand.fails(2, &[3]);
        hand.starts(Q);
        hand.add(Event::WorkerRow {
            by: Q,
            incarnation: name(P),
            counter: None,
        });
        hand.write(
            Q,
            "a",
            Some(&held),
            &row(Some(Q), 2, Checkpoint::TrimHorizon),
        );
        hand.starts_call(3, errand, &[3], 0);
        hand.breaks(Rule::S4);
    }
}

#[test]
fn a_call_of_a_handler_of_a_dead_process_breaks_k() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.life(P, Step::Killed);
    hand.hands(0, &[0]);
    hand.breaks(Rule::K);
}

#[test]
fn a_handler_that_is_handed_a_record_of_another_shard_breaks_s12() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.shard("b", &[]);
    hand.put("b", 9);
    hand.put("a", 9);
    hand.hands(0, &[8]);
    assert!(hand.broken().contains(&Rule::S12));
}

#[test]
fn an_innocent_record_that_is_given_up_breaks_p() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.fails(0, &[0]);
    hand.fails(1, &[0]);
    hand.gives_up(2, &[0]);
    hand.breaks(Rule::P);
}

#[test]
fn what_shares_a_batch_with_poison_is_given_up_only_where_batches_are_not_cut() {
    for bisect in [false, true] {
        let handling = Handling { bisect, ..HANDLING };
        let (mut hand, _) = shard(handling, false);
        hand.handles(0, &[0, 1]);
        hand.fails(1, &[2, 3]);
        hand.fails(2, &[2, 3]);
        hand.gives_up(3, &[2, 3]);
        let broken: &[_] = if bisect { &[Rule::P] } else { &[] };
        assert_eq!(hand.broken(), broken);
    }
}

#[test]
fn poison_that_is_given_up_early_breaks_p() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.handles(0, &[0, 1, 2]);
    hand.fails(1, &[3]);
    hand.gives_up(2, &[3]);
    hand.breaks(Rule::P);
}

#[test]
fn a_record_that_is_tried_too_often_breaks_p() {
    let handling = Handling {
        bisect: false,
        ..HANDLING
    };
    let (mut hand, _) = shard(handling, false);
    hand.fails(0, &[0]);
    hand.fails(1, &[0]);
    assert_eq!(hand.broken(), []);
    hand.hands(2, &[0]);
    hand.breaks(Rule::P);
}

#[test]
fn poison_that_is_not_given_up_at_the_end_breaks_p() {
    let (mut hand, _) = shard(HANDLING, false);
    hand.handles(0, &[0, 1, 2, 3]);
    hand.add(Event::Finished);
    assert!(hand.broken().contains(&Rule::P), "{:?}", hand.broken());
}

#[test]
fn a_worker_that_gives_up_where_it_has_to_stop_breaks_p() {
    let (mut hand, _) = shard(HALTING, false);
    hand.handles(0, &[0, 1, 2]);
    hand.fails(1, &[3]);
    hand.fails(2, &[3]);
    hand.starts_call(3, Errand::GiveUp, &[3], 0);
    hand.breaks(Rule::P);
}

#[test]
fn a_worker_that_stops_for_a_record_names_it_or_breaks_p() {
    let outcomes = [
        (Err(format!("Processor: at record {}", number(3))), true),
        (Err("Processor: something".to_owned()), false),
        (Ok(()), false),
    ];
    for (outcome, is_fine) in outcomes {
        let (mut hand, _) = shard(HALTING, false);
        hand.says_it_gives_up(3);
        hand.ends(outcome);
        let broken: &[_] = if is_fine { &[] } else { &[Rule::P] };
        assert_eq!(hand.broken(), broken);
    }
}

#[test]
fn a_worker_that_goes_on_where_it_has_to_stop_breaks_p() {
    let (mut hand, _) = shard(HALTING, false);
    hand.says_it_gives_up(3);
    hand.after(61);
    hand.add(Event::Finished);
    assert!(hand.broken().contains(&Rule::P), "{:?}", hand.broken());
}

#[test]
fn windows_in_order_break_nothing() {
    let (mut hand, held) = shard(WINDOWS, false);
    hand.after(10);
    hand.put("a", 7);
    hand.handles(0, &[0, 1, 2]);
    hand.starts_call(1, Errand::Handle, &[3, 4, 5, 6, 7], 3);
    hand.returns(1, Ending::Well, &[3, 4, 5, 6, 7]);
    hand.starts_call(2, Errand::Close, &[], 8);
    hand.returns(2, Ending::Failed, &[]);
    hand.starts_call(3, Errand::Close, &[], 8);
    hand.returns(3, Ending::Well, &[]);
    hand.handles(4, &[8]);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(7)));
    assert_eq!(hand.broken(), []);
}

#[test]
fn a_window_that_is_closed_before_its_records_are_settled_breaks_s5() {
    let (mut hand, _) = shard(WINDOWS, false);
    hand.fails(0, &[0, 1]);
    hand.starts_call(1, Errand::Close, &[], 0);
    hand.breaks(Rule::S5);
}

#[test]
fn a_window_that_is_closed_twice_breaks_s5() {
    let (mut hand, _) = shard(WINDOWS, false);
    hand.handles(0, &[0]);
    for call in 1..3 {
        hand.starts_call(call, Errand::Close, &[], 2 - u64::from(call));
        hand.returns(call, Ending::Well, &[]);
    }
    hand.breaks(Rule::S5);
}

#[test]
fn a_state_that_is_lost_breaks_s5() {
    let (mut hand, _) = shard(WINDOWS, false);
    hand.handles(0, &[0, 1]);
    hand.hands(1, &[2]);
    hand.breaks(Rule::S5);
}

#[test]
fn a_record_of_the_next_window_breaks_s5_while_the_last_is_open() {
    let (mut hand, _) = shard(WINDOWS, false);
    hand.after(10);
    hand.put("a", 7);
    hand.starts_call(0, Errand::Handle, &[0, 1, 2, 3, 4, 5, 6, 7], 0);
    hand.returns(0, Ending::Well, &[0, 1, 2, 3, 4, 5, 6, 7]);
    hand.starts_call(1, Errand::Handle, &[8], 8);
    hand.breaks(Rule::S5);
}

#[test]
fn a_checkpoint_over_an_open_window_breaks_s1() {
    let (mut hand, held) = shard(WINDOWS, false);
    hand.handles(0, &[0, 1, 2]);
    hand.starts_call(1, Errand::Close, &[], 3);
    hand.returns(1, Ending::Cancelled, &[]);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(0)));
    hand.breaks(Rule::S1);
}

#[test]
fn rules_about_the_end_of_a_shard_do_not_ask_a_handler_but_its_records() {
    for is_handled in [true, false] {
        let mut hand = Hand::handled(HANDLING, false);
        hand.shard("a", &[]);
        hand.starts(P);
        hand.put("a", 7);
        hand.closed("a");
        let held = hand.grant(P, "a");
        if is_handled {
            hand.handles(0, &[0]);
        }
        hand.write(P, "a", Some(&held), &row(None, 2, Checkpoint::ShardEnd));
        let broken: &[_] = if is_handled { &[] } else { &[Rule::S1] };
        assert_eq!(hand.broken(), broken);
    }
}

#[test]
fn a_processor_may_still_not_be_called_twice_at_once() {
    let (mut hand, _) = small(false);
    hand.call(P, 0, "a", 1, Call::ShutdownRequested);
    hand.call(P, 0, "a", 1, Call::ShutdownRequested);
    hand.breaks(Rule::C);
}
