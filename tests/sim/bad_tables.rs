//! Each rule about the lease table fails on a history made to break it; a good history breaks none.

use std::time::{Duration, UNIX_EPOCH};

use kcl_core::model::Checkpoint;
use tests::sim::checkers::Rule;
use tests::sim::history::{Call, Ending, Event};
use tests::sim::ledger::Start;

use crate::hand::*;

#[test]
fn a_good_history_with_a_split_a_merge_and_a_takeover_breaks_nothing() {
    let mut hand = Hand::new(false);
    hand.shard("a", &[]);
    hand.starts(P);
    hand.starts(Q);
    hand.put("a", 7);
    hand.put("a", 7);
    let held = hand.grant(P, "a");
    hand.processed(P, 0, "a", &[0]);
    let committed = row(Some(P), 1, at(0));
    hand.write(P, "a", Some(&held), &committed);
    hand.call(P, 0, "a", 1, Call::Process(vec![1]));
    hand.dies(P, Q);
    let taken = row(Some(Q), 2, at(0));
    hand.write(Q, "a", Some(&committed), &taken);
    hand.called(Q, 1, "a", 2, Call::Initialize);
    hand.called(Q, 1, "a", 2, Call::Process(vec![1]));
    hand.shard("b", &["a"]);
    hand.shard("c", &["a"]);
    hand.closed("a");
    hand.put("b", 7);
    hand.called(Q, 1, "a", 2, Call::ShardEnded);
    let fresh = row(None, 0, Checkpoint::TrimHorizon);
    hand.write(Q, "b", None, &fresh);
    hand.write(Q, "c", None, &fresh);
    hand.write(Q, "a", Some(&taken), &row(None, 3, Checkpoint::ShardEnd));
    for (instance, shard) in [(2, "b"), (3, "c")] {
        let held = row(Some(Q), 1, Checkpoint::TrimHorizon);
        hand.write(Q, shard, Some(&fresh), &held);
        hand.called(Q, instance, shard, 1, Call::Initialize);
    }
    hand.called(Q, 2, "b", 1, Call::Process(vec![2]));
    let held = row(Some(Q), 1, Checkpoint::TrimHorizon);
    hand.write(Q, "b", Some(&held), &row(Some(Q), 1, at(2)));
    hand.after(100);
    hand.add(Event::Finished);
    assert_eq!(hand.oracle.violations(), []);
}

#[test]
fn a_checkpoint_over_a_record_that_is_not_processed_breaks_s1() {
    let (mut hand, held) = small(false);
    hand.put("a", 7);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(3)));
    hand.breaks(Rule::S1);
}

#[test]
fn a_checkpoint_over_a_failed_call_breaks_s1() {
    let (mut hand, held) = small(false);
    hand.put("a", 7);
    hand.call(P, 0, "a", 1, Call::Process(vec![3]));
    hand.add(Event::Returned {
        instance: 0,
        ending: Ending::Failed,
    });
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(3)));
    hand.breaks(Rule::S1);
}

#[test]
fn a_checkpoint_that_goes_back_breaks_s2() {
    let (mut hand, held) = small(false);
    let later = row(Some(P), 1, at(2));
    hand.write(P, "a", Some(&held), &later);
    hand.write(P, "a", Some(&later), &row(Some(P), 1, at(1)));
    hand.breaks(Rule::S2);
}

#[test]
fn a_release_that_removes_the_lease_breaks_s2() {
    let (mut hand, held) = small(false);
    let sent = hand.number;
    hand.write_sent(P, sent, "a", Some(&held), None);
    assert_eq!(hand.broken(), [Rule::S2, Rule::S8]);
}

#[test]
fn a_checkpoint_of_a_former_owner_breaks_s3() {
    let (mut hand, held) = small(false);
    hand.starts(Q);
    hand.dies(P, Q);
    let taken = row(Some(Q), 2, Checkpoint::TrimHorizon);
    hand.write(Q, "a", Some(&held), &taken);
    hand.write(P, "a", Some(&taken), &row(Some(Q), 2, at(1)));
    hand.breaks(Rule::S3);
}

#[test]
fn a_checkpoint_sent_in_an_earlier_grant_of_the_same_process_breaks_s3() {
    let (mut hand, held) = small(false);
    let sent = hand.number;
    let released = row(None, 2, Checkpoint::TrimHorizon);
    hand.write(P, "a", Some(&held), &released);
    let again = row(Some(P), 3, Checkpoint::TrimHorizon);
    hand.write(P, "a", Some(&released), &again);
    hand.write_sent(P, sent, "a", Some(&again), Some(&row(Some(P), 3, at(1))));
    hand.breaks(Rule::S3);
}

#[test]
fn a_lease_taken_from_a_living_worker_breaks_s3() {
    let (mut hand, held) = small(false);
    hand.starts(Q);
    hand.write(
        Q,
        "a",
        Some(&held),
        &row(Some(Q), 2, Checkpoint::TrimHorizon),
    );
    hand.breaks(Rule::S3);
}

#[test]
fn the_end_of_an_open_shard_breaks_s7() {
    let (mut hand, held) = small(false);
    hand.called(P, 0, "a", 1, Call::ShardEnded);
    hand.write(P, "a", Some(&held), &row(None, 2, Checkpoint::ShardEnd));
    hand.breaks(Rule::S7);
}

#[test]
fn the_end_of_a_shard_without_the_processor_breaks_s7() {
    let (mut hand, held) = small(false);
    hand.closed("a");
    hand.write(P, "a", Some(&held), &row(None, 2, Checkpoint::ShardEnd));
    hand.breaks(Rule::S7);
}

#[test]
fn the_end_of_a_shard_before_its_child_has_a_lease_breaks_s7() {
    let (mut hand, held) = small(false);
    hand.shard("b", &["a"]);
    hand.closed("a");
    hand.called(P, 0, "a", 1, Call::ShardEnded);
    hand.write(P, "a", Some(&held), &row(None, 2, Checkpoint::ShardEnd));
    hand.breaks(Rule::S7);
}

/// The lease of shard `a` is finished, and removed by a request that was sent at this number.
fn removed() -> (Hand, u64) {
    let (mut hand, held) = small(false);
    hand.closed("a");
    hand.called(P, 0, "a", 1, Call::ShardEnded);
    let ended = row(None, 2, Checkpoint::ShardEnd);
    hand.write(P, "a", Some(&held), &ended);
    hand.add(Event::DayPassed {
        by: Duration::from_secs(25 * 60 * 60),
    });
    let sent = hand.number;
    hand.write_sent(P, sent, "a", Some(&ended), None);
    assert_eq!(hand.broken(), []);
    (hand, sent)
}

#[test]
fn a_finished_lease_that_is_made_again_breaks_s8() {
    let (mut hand, _) = removed();
    hand.write(P, "a", None, &row(None, 0, Checkpoint::TrimHorizon));
    hand.breaks(Rule::S8);
}

#[test]
fn a_row_that_was_asked_for_before_it_was_removed_may_come_after() {
    let (mut hand, sent) = removed();
    let anew = row(None, 0, Checkpoint::TrimHorizon);
    hand.write_sent(P, sent - 1, "a", None, Some(&anew));
    assert_eq!(hand.broken(), []);
}

#[test]
fn a_child_that_starts_at_the_initial_position_breaks_s9() {
    let mut hand = Hand::starting(Start::Latest, false);
    hand.shard("a", &[]);
    hand.starts(P);
    let start = Checkpoint::AtTimestamp(UNIX_EPOCH + hand.now);
    let (fresh, held) = (row(None, 0, start.clone()), row(Some(P), 1, start));
    hand.write(P, "a", None, &fresh);
    hand.write(P, "a", Some(&fresh), &held);
    hand.after(1);
    hand.put("a", 7);
    hand.processed(P, 0, "a", &[0]);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(0)));
    hand.after(61);
    hand.shard("b", &["a"]);
    hand.closed("a");
    assert_eq!(hand.broken(), []);
    hand.write(P, "b", None, &fresh);
    hand.breaks(Rule::S9);
}

#[test]
fn a_child_of_a_shard_that_was_closed_before_the_start_may_begin_there() {
    let mut hand = split(Start::Latest);
    hand.after(1);
    let start = Checkpoint::AtTimestamp(UNIX_EPOCH + hand.now);
    hand.write(P, "a", None, &row(None, 0, start.clone()));
    hand.write(P, "b", None, &row(None, 0, start));
    assert_eq!(hand.broken(), []);
}

#[test]
fn latest_that_is_not_fixed_to_a_time_breaks_s9() {
    let mut hand = split(Start::Latest);
    hand.write(P, "a", None, &row(None, 0, Checkpoint::Latest));
    hand.breaks(Rule::S9);
}

#[test]
fn latest_that_is_another_time_for_each_shard_breaks_s9() {
    let mut hand = Hand::starting(Start::Latest, false);
    hand.shard("a", &[]);
    hand.shard("b", &[]);
    hand.starts(P);
    let now = |hand: &Hand| Checkpoint::AtTimestamp(UNIX_EPOCH + hand.now);
    let first = now(&hand);
    hand.write(P, "a", None, &row(None, 0, first));
    hand.after(1);
    let second = now(&hand);
    hand.write(P, "b", None, &row(None, 0, second));
    hand.breaks(Rule::S9);
}

#[test]
fn a_checkpoint_that_is_told_and_not_made_breaks_s11() {
    let (mut hand, held) = small(false);
    let told = |upto| Event::Acknowledged {
        instance: 0,
        upto: Some(upto),
        ok: true,
    };
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(1)));
    hand.add(told(1));
    assert_eq!(hand.broken(), []);
    hand.add(told(2));
    hand.breaks(Rule::S11);
}
