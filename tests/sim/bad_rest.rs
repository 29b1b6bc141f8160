//! Each rule about losses, about the services and about what is asked of them fails on a history made to break it.

use std::time::Duration;

use kcl_core::model::Checkpoint;
use tests::sim::checkers::Rule;
use tests::sim::history::{Call, Event, Leftovers, Notice, Process, Step};
use tests::sim::subject::Subject;

use crate::hand::*;

const DAY: Event = Event::DayPassed {
    by: Duration::from_secs(25 * 60 * 60),
};

/// As `small`, and all three records are durable.
fn durable() -> Hand {
    let (mut hand, held) = small(false);
    hand.write(P, "a", Some(&held), &row(Some(P), 1, at(2)));
    hand
}

fn tells(hand: &mut Hand, process: Process, notice: Notice) {
    hand.add(Event::Told { process, notice });
}

fn trimmed(after: u32, next: u32) -> Notice {
    Notice::Trimmed {
        shard: "a".into(),
        after: number(after),
        next: Some(number(next)),
    }
}

#[test]
fn records_that_are_dropped_and_told_of_need_not_be_processed() {
    let mut hand = durable();
    hand.put("a", 7);
    hand.add(DAY);
    hand.put("a", 7);
    tells(&mut hand, P, trimmed(2, 4));
    hand.call(P, 0, "a", 1, Call::Process(vec![4]));
    hand.after(100);
    assert_eq!(hand.broken(), []);
}

#[test]
fn records_that_are_dropped_and_not_told_of_break_s1_at_the_end() {
    let mut hand = durable();
    hand.put("a", 7);
    hand.add(DAY);
    hand.put("a", 7);
    hand.called(P, 0, "a", 1, Call::Process(vec![4]));
    hand.write(
        P,
        "a",
        Some(&row(Some(P), 1, at(2))),
        &row(Some(P), 1, at(4)),
    );
    hand.after(100);
    hand.add(Event::Finished);
    hand.breaks(Rule::S1);
}

#[test]
fn a_gap_that_is_told_and_is_none_breaks_s13() {
    let mut hand = durable();
    hand.put("a", 7);
    hand.put("a", 7);
    tells(&mut hand, P, trimmed(2, 4));
    hand.breaks(Rule::S13);
}

#[test]
fn a_gap_that_is_wider_than_what_was_dropped_breaks_s13() {
    let mut hand = durable();
    hand.put("a", 7);
    hand.add(DAY);
    hand.put("a", 7);
    hand.put("a", 7);
    tells(&mut hand, P, trimmed(2, 5));
    hand.breaks(Rule::S13);
}

#[test]
fn a_shard_that_is_told_as_forgotten_and_is_there_breaks_s13() {
    let mut hand = durable();
    let (shard, checkpoint) = ("a".into(), at(2));
    tells(&mut hand, P, Notice::Forgotten { shard, checkpoint });
    hand.breaks(Rule::S13);
}

#[test]
fn a_lease_or_a_table_that_is_missed_and_was_not_deleted_breaks_s13() {
    let mut hand = durable();
    let (shard, checkpoint) = ("a".into(), at(2));
    tells(&mut hand, P, Notice::Vanished { shard, checkpoint });
    hand.breaks(Rule::S13);
    let mut hand = durable();
    tells(&mut hand, P, Notice::TableGone);
    hand.breaks(Rule::S13);
}

/// Two processes run for long, and the row of the shard is deleted.
fn robbed() -> Hand {
    let mut hand = durable();
    hand.starts(Q);
    hand.after(30);
    hand.write_by_operator("a", &row(Some(P), 1, at(2)));
    hand
}

/// The lease is made again and held, and the run ends.
fn goes_on(hand: &mut Hand) {
    let fresh = row(None, 0, Checkpoint::TrimHorizon);
    hand.write(Q, "a", None, &fresh);
    hand.write(
        Q,
        "a",
        Some(&fresh),
        &row(Some(Q), 1, Checkpoint::TrimHorizon),
    );
    hand.called(Q, 9, "a", 1, Call::Initialize);
    hand.called(Q, 9, "a", 1, Call::Process(vec![0, 1, 2]));
    hand.write(
        Q,
        "a",
        Some(&row(Some(Q), 1, Checkpoint::TrimHorizon)),
        &row(Some(Q), 1, at(2)),
    );
    hand.after(100);
    hand.add(Event::Finished);
}

#[test]
fn a_deleted_lease_that_nobody_tells_of_breaks_s13() {
    let mut hand = robbed();
    goes_on(&mut hand);
    hand.breaks(Rule::S13);
    let mut hand = robbed();
    let (shard, checkpoint) = ("a".into(), at(2));
    tells(&mut hand, Q, Notice::Vanished { shard, checkpoint });
    goes_on(&mut hand);
    assert_eq!(hand.broken(), []);
}

#[test]
fn a_worker_that_goes_on_without_its_table_breaks_s13() {
    let mut hand = durable();
    hand.after(30);
    hand.add(Event::TableDeleted);
    hand.write_by_operator("a", &row(Some(P), 1, at(2)));
    tells(&mut hand, P, Notice::TableGone);
    hand.life(P, Step::Exited(Err("NotFound".into())));
    assert_eq!(hand.broken(), []);
    let mut hand = durable();
    hand.after(30);
    hand.add(Event::TableDeleted);
    hand.write_by_operator("a", &row(Some(P), 1, at(2)));
    hand.add(Event::Finished);
    assert!(hand.broken().contains(&Rule::S13), "{:?}", hand.broken());
}

#[test]
fn a_worker_that_makes_a_lost_table_breaks_s13() {
    let mut hand = Hand::new(false);
    hand.life(P, Step::Started);
    hand.sent(P, Subject::MakeTable);
    assert_eq!(hand.broken(), [], "it starts");
    let mut hand = durable();
    hand.sent(P, Subject::MakeTable);
    hand.breaks(Rule::S13);
}

#[test]
fn a_finished_lease_that_goes_while_the_stream_has_its_shard_breaks_s8() {
    let mut hand = Hand::new(false);
    hand.shard("a", &[]);
    hand.starts(P);
    let held = hand.grant(P, "a");
    hand.closed("a");
    hand.called(P, 0, "a", 1, Call::Initialize);
    hand.called(P, 0, "a", 1, Call::ShardEnded);
    let ended = row(None, 2, Checkpoint::ShardEnd);
    hand.write(P, "a", Some(&held), &ended);
    let sent = hand.number;
    hand.write_sent(P, sent, "a", Some(&ended), None);
    hand.breaks(Rule::S8);
}

/// A parent is finished and forgotten, and its child has a lease.
fn forgotten(child: Checkpoint) -> Hand {
    let mut hand = Hand::new(false);
    hand.shard("a", &[]);
    hand.starts(P);
    let held = hand.grant(P, "a");
    hand.shard("b", &["a"]);
    hand.closed("a");
    hand.put("b", 7);
    hand.called(P, 0, "a", 1, Call::Initialize);
    hand.called(P, 0, "a", 1, Call::ShardEnded);
    let started = hand.grant(P, "b");
    hand.write(P, "a", Some(&held), &row(None, 2, Checkpoint::ShardEnd));
    hand.processed(P, 1, "b", &[0]);
    if child != started.checkpoint {
        hand.write(P, "b", Some(&started), &row(Some(P), 1, child));
    }
    hand.add(DAY);
    hand
}

#[test]
fn a_finished_lease_that_goes_before_its_child_is_read_breaks_s8() {
    let ended = row(None, 2, Checkpoint::ShardEnd);
    let mut hand = forgotten(at(0));
    let sent = hand.number;
    hand.write_sent(P, sent, "a", Some(&ended), None);
    assert_eq!(hand.broken(), []);
    let mut hand = forgotten(Checkpoint::TrimHorizon);
    let sent = hand.number;
    hand.write_sent(P, sent, "a", Some(&ended), None);
    hand.breaks(Rule::S8);
}

#[test]
fn a_finished_lease_that_nobody_needs_and_that_stays_breaks_s8() {
    let mut hand = forgotten(at(0));
    hand.after(200);
    hand.add(Event::Finished);
    hand.breaks(Rule::S8);
}

fn reread(records: &[(u32, u32)]) -> Event {
    let records = records.iter().map(|(id, at)| (*id, number(*at)));
    Event::Reread {
        shard: "a".into(),
        records: records.collect(),
    }
}

#[test]
fn a_record_that_was_put_and_is_missing_changed_or_out_of_order_at_the_end_breaks_s14() {
    for records in [
        &[(0, 0), (1, 1)][..],
        &[(0, 0), (2, 2), (1, 1)],
        &[(0, 0), (1, 2), (2, 1)],
        &[(0, 0), (1, 1), (2, 7)],
        &[(0, 0), (1, 1), (2, 2), (2, 2)],
    ] {
        let mut hand = durable();
        hand.add(reread(records));
        hand.breaks(Rule::S14);
    }
    let mut hand = durable();
    hand.add(reread(&[(0, 0), (1, 1), (2, 2)]));
    assert_eq!(hand.broken(), []);
    hand.add(DAY);
    hand.add(reread(&[]));
    assert_eq!(
        hand.broken(),
        [],
        "they are older than the stream keeps them"
    );
}

#[test]
fn a_write_against_its_condition_breaks_s14() {
    for (holds, applied) in [(true, false), (false, true)] {
        let mut hand = durable();
        let judged = |holds, applied| Event::Judged {
            by: P,
            key: "a".into(),
            holds,
            applied,
        };
        hand.add(judged(true, true));
        hand.add(judged(false, false));
        assert_eq!(hand.broken(), []);
        hand.add(judged(holds, applied));
        hand.breaks(Rule::S14);
    }
}

#[test]
fn an_old_row_breaks_s14_unless_a_fault_shows_it_to_who_does_not_mind() {
    for (consistent, at_fault) in [(false, false), (true, false), (true, true)] {
        let mut hand = durable();
        let read = |consistent, at_fault| Event::ReadOld {
            by: P,
            key: "a".into(),
            consistent,
            at_fault,
        };
        hand.add(read(false, true));
        assert_eq!(hand.broken(), []);
        hand.add(read(consistent, at_fault));
        hand.breaks(Rule::S14);
    }
}

#[test]
fn whatever_a_process_leaves_breaks_l7() {
    let none = Leftovers::default();
    let task = Leftovers { tasks: 1, ..none };
    let request = Leftovers {
        requests: 1,
        ..none
    };
    let processor = Leftovers {
        processors: 1,
        ..none
    };
    for leftovers in [task, request, processor] {
        let mut hand = durable();
        hand.life(P, Step::Killed);
        let process = P;
        hand.add(Event::Left {
            process,
            leftovers: none,
        });
        assert_eq!(hand.broken(), []);
        hand.add(Event::Left { process, leftovers });
        hand.breaks(Rule::L7);
    }
}

#[test]
fn a_shard_that_is_read_more_often_than_the_service_answers_breaks_l8() {
    let mut hand = durable();
    hand.starts(Q);
    for _ in 0..6 {
        hand.reads(P, "a");
    }
    hand.reads(Q, "a");
    assert_eq!(
        hand.broken(),
        [],
        "another one is at the start of its second"
    );
    hand.now += Duration::from_millis(200);
    hand.reads(P, "a");
    assert_eq!(hand.broken(), []);
    hand.reads(P, "a");
    hand.breaks(Rule::L8);
}

#[test]
fn a_storm_of_requests_breaks_l8() {
    let mut hand = durable();
    let step = Duration::from_millis(10);
    for _ in 0..250 {
        hand.now += step;
        hand.sent(P, Subject::Renew);
    }
    assert_eq!(hand.broken(), []);
    for _ in 0..250 {
        hand.now += step;
        hand.sent(P, Subject::Renew);
    }
    hand.breaks(Rule::L8);
}

#[test]
fn shards_that_are_listed_over_and_over_break_l8() {
    let mut hand = durable();
    for _ in 0..200 {
        hand.now += Duration::from_millis(250);
        hand.sent(P, Subject::Shards);
    }
    hand.breaks(Rule::L8);
}
