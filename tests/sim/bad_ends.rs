//! Each rule about the end of a run fails on a history made to break it.

use kcl_core::model::Checkpoint;
use tests::sim::checkers::Rule;
use tests::sim::history::{Event, Step};
use tests::sim::subject::Subject;

use crate::hand::*;

#[test]
fn a_record_that_is_never_processed_breaks_s1_at_the_end() {
    let (mut hand, held) = small(false);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(2)));
    hand.put("a", 7);
    hand.after(100);
    hand.add(Event::Finished);
    assert_eq!(
        hand.broken(),
        [Rule::S1, Rule::L],
        "lost, and so not durable either"
    );
}

#[test]
fn a_shard_that_nobody_holds_at_the_end_breaks_s8() {
    let (mut hand, held) = small(false);
    let done = row(Some(P), 1, at(2));
    hand.write(P, "a", Some(&held), &done);
    hand.write(P, "a", Some(&done), &row(None, 2, at(2)));
    hand.after(100);
    hand.add(Event::Finished);
    hand.breaks(Rule::S8);
}

#[test]
fn a_checkpoint_that_stays_behind_breaks_l() {
    let (mut hand, held) = small(false);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(1)));
    hand.after(100);
    hand.add(Event::Finished);
    hand.breaks(Rule::L);
}

#[test]
fn a_lease_that_moves_while_nothing_happens_breaks_l() {
    let (mut hand, held) = small(true);
    hand.after(100);
    hand.write(P, "a", Some(&held), &row(None, 2, Checkpoint::TrimHorizon));
    hand.breaks(Rule::L);
}

#[test]
fn a_lease_that_still_moves_at_the_end_breaks_l() {
    let (mut hand, held) = small(false);
    let done = row(Some(P), 1, at(2));
    hand.write(P, "a", Some(&held), &done);
    hand.after(100);
    hand.write(P, "a", Some(&done), &row(Some(P), 2, at(2)));
    hand.after(10);
    hand.add(Event::Finished);
    hand.breaks(Rule::L);
}

#[test]
fn a_share_of_three_against_none_breaks_l() {
    let mut hand = Hand::new(false);
    hand.starts(P);
    hand.starts(Q);
    for shard in ["a", "b", "c"] {
        hand.shard(shard, &[]);
        hand.grant(P, shard);
    }
    hand.after(100);
    hand.add(Event::Finished);
    hand.breaks(Rule::L);
}

#[test]
fn a_worker_that_fails_although_nothing_did_breaks_l() {
    let (mut hand, _) = small(true);
    hand.life(P, Step::Exited(Err("no reason".into())));
    hand.breaks(Rule::L);
}

#[test]
fn a_stop_that_leaves_a_lease_behind_breaks_l() {
    let (mut hand, _) = small(true);
    hand.life(P, Step::StopAsked);
    hand.add(Event::WorkerRow {
        by: P,
        incarnation: name(P),
        counter: None,
    });
    hand.life(P, Step::Exited(Ok(())));
    hand.breaks(Rule::L);
}

/// The history is healed long ago, and a second process runs that could take what lies free.
fn settled(hand: &mut Hand) {
    hand.starts(Q);
    hand.add(Event::Healed);
    hand.after(60);
}

#[test]
fn a_lease_that_lies_free_breaks_l() {
    let (mut hand, held) = small(false);
    settled(&mut hand);
    let done = row(Some(P), 1, at(2));
    hand.write(P, "a", Some(&held), &done);
    hand.write(P, "a", Some(&done), &row(None, 2, at(2)));
    hand.after(6);
    hand.sent(Q, Subject::Renew);
    assert_eq!(hand.broken(), [], "it may take a moment");
    hand.after(2);
    hand.sent(Q, Subject::Renew);
    hand.breaks(Rule::L);
}

#[test]
fn a_lease_of_the_dead_that_nobody_takes_breaks_l() {
    let (mut hand, held) = small(false);
    settled(&mut hand);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(2)));
    hand.life(P, Step::Killed);
    hand.after(16);
    hand.sent(Q, Subject::Renew);
    assert_eq!(hand.broken(), [], "its lease time is not over for long");
    hand.after(2);
    hand.sent(Q, Subject::Renew);
    hand.breaks(Rule::L);
}

#[test]
fn records_that_nobody_delivers_break_l() {
    let (mut hand, held) = small(false);
    settled(&mut hand);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(2)));
    hand.put("a", 7);
    hand.after(14);
    hand.sent(P, Subject::Renew);
    assert_eq!(hand.broken(), [], "it may be polled slowly");
    hand.after(2);
    hand.sent(P, Subject::Renew);
    hand.breaks(Rule::L);
}
