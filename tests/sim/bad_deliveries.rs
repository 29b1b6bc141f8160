//! Each rule about deliveries fails on a history made to break it.

use kcl_core::model::Checkpoint;
use tests::sim::checkers::Rule;
use tests::sim::history::{Call, Ending, Event, Step};
use tests::sim::ledger::RIVAL;
use tests::sim::ledger::Start;
use tests::sim::subject::Subject;

use crate::hand::*;

#[test]
fn a_delivery_after_the_lease_moved_breaks_s4() {
    let (mut hand, held) = small(false);
    hand.starts(Q);
    hand.put("a", 7);
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
    hand.called(P, 0, "a", 1, Call::Process(vec![3]));
    hand.breaks(Rule::S4);
}

#[test]
fn a_gap_between_two_batches_breaks_s5() {
    let (mut hand, _) = small(false);
    hand.put("a", 7);
    hand.put("a", 8);
    hand.called(P, 0, "a", 1, Call::Process(vec![4]));
    hand.breaks(Rule::S5);
}

#[test]
fn a_new_processor_that_skips_breaks_s5() {
    let (mut hand, _) = small(false);
    hand.put("a", 7);
    hand.put("a", 8);
    hand.call(P, 0, "a", 1, Call::Process(vec![3]));
    hand.add(Event::Returned {
        instance: 0,
        ending: Ending::Failed,
    });
    hand.called(P, 1, "a", 1, Call::Initialize);
    hand.called(P, 1, "a", 1, Call::Process(vec![4]));
    hand.breaks(Rule::S5);
}

#[test]
fn a_batch_that_repeats_what_was_acknowledged_in_the_same_epoch_breaks_s5() {
    let (mut hand, _) = small(false);
    hand.put("a", 7);
    hand.call(P, 0, "a", 1, Call::Process(vec![3]));
    hand.add(Event::Returned {
        instance: 0,
        ending: Ending::Failed,
    });
    hand.called(P, 1, "a", 1, Call::Initialize);
    hand.called(P, 1, "a", 1, Call::Process(vec![2, 3]));
    hand.breaks(Rule::S5);
}

#[test]
fn a_key_that_is_delivered_from_the_child_first_breaks_s5_and_s6() {
    let mut hand = split(Start::TrimHorizon);
    // The key was seen before, so that its order is known.
    hand.grant(P, "a");
    hand.put("a", 7);
    hand.processed(P, 0, "a", &[0]);
    hand.grant(P, "b");
    hand.processed(P, 1, "b", &[1]);
    hand.breaks(Rule::S6);
    hand.put("b", 7);
    hand.called(P, 1, "b", 1, Call::Process(vec![3]));
    assert_eq!(hand.broken(), [Rule::S6, Rule::S5]);
}

#[test]
fn a_merged_shard_with_one_unfinished_parent_breaks_s6() {
    let mut hand = Hand::new(false);
    for parent in ["a", "b"] {
        hand.shard(parent, &[]);
    }
    hand.starts(P);
    hand.shard("c", &["a", "b"]);
    hand.closed("a");
    hand.closed("b");
    hand.put("c", 7);
    hand.grant(P, "c");
    for (instance, parent) in [(0, "a"), (1, "b")] {
        let held = hand.grant(P, parent);
        if parent == "a" {
            hand.called(P, instance, parent, 1, Call::Initialize);
            hand.called(P, instance, parent, 1, Call::ShardEnded);
            hand.write(P, parent, Some(&held), &row(None, 2, Checkpoint::ShardEnd));
        }
    }
    assert_eq!(hand.broken(), []);
    hand.processed(P, 2, "c", &[0]);
    hand.breaks(Rule::S6);
}

#[test]
fn a_duplicate_in_a_clean_run_breaks_s10() {
    let (mut hand, held) = small(true);
    let released = row(None, 2, Checkpoint::TrimHorizon);
    hand.write(P, "a", Some(&held), &released);
    hand.write(
        P,
        "a",
        Some(&released),
        &row(Some(P), 3, Checkpoint::TrimHorizon),
    );
    hand.called(P, 1, "a", 3, Call::Initialize);
    hand.called(P, 1, "a", 3, Call::Process(vec![0]));
    hand.breaks(Rule::S10);
}

#[test]
fn a_record_of_another_shard_breaks_s12() {
    let (mut hand, _) = small(false);
    hand.shard("b", &[]);
    hand.put("b", 9);
    hand.put("a", 9);
    hand.call(P, 0, "a", 1, Call::Process(vec![3]));
    assert!(hand.broken().contains(&Rule::S12));
}

#[test]
fn a_call_into_a_processor_that_failed_breaks_c() {
    let (mut hand, _) = small(false);
    hand.put("a", 7);
    hand.call(P, 0, "a", 1, Call::Process(vec![3]));
    hand.add(Event::Returned {
        instance: 0,
        ending: Ending::Failed,
    });
    hand.called(P, 0, "a", 1, Call::ShutdownRequested);
    hand.breaks(Rule::C);
}

#[test]
fn two_calls_at_once_break_c() {
    let (mut hand, _) = small(false);
    hand.call(P, 0, "a", 1, Call::ShutdownRequested);
    hand.call(P, 0, "a", 1, Call::LeaseLost);
    hand.breaks(Rule::C);
}

#[test]
fn a_request_of_a_dead_process_breaks_k() {
    let (mut hand, _) = small(false);
    hand.life(P, Step::Killed);
    hand.sent(P, Subject::Records);
    hand.breaks(Rule::K);
}

#[test]
fn a_request_of_a_frozen_process_breaks_k() {
    let (mut hand, _) = small(false);
    hand.life(P, Step::Frozen);
    hand.life(P, Step::Thawed);
    hand.sent(P, Subject::Records);
    assert_eq!(hand.broken(), [], "it runs on");
    hand.life(P, Step::Frozen);
    hand.sent(P, Subject::Records);
    hand.breaks(Rule::K);
}

#[test]
fn a_call_long_after_the_lease_was_stolen_breaks_s4() {
    let (mut hand, held) = small(false);
    let mut stolen = row(None, 2, held.checkpoint.clone());
    stolen.incarnation = Some("rival".to_owned());
    hand.write(RIVAL, "a", Some(&held), &stolen);
    hand.put("a", 7);
    hand.after(20);
    hand.called(P, 0, "a", 1, Call::Process(vec![3]));
    assert_eq!(hand.broken(), [], "it cannot know yet");
    hand.put("a", 7);
    hand.after(20);
    hand.called(P, 0, "a", 1, Call::Process(vec![4]));
    hand.breaks(Rule::S4);
}
