//! Histories of leases that moved for their load, or should have: the rules tell the good from the bad.

use kcl_core::model::Checkpoint;
use tests::sim::history::{Event, LeaseRow, Process};
use tests::sim::scenario::Heavy;

use crate::hand::{Hand, P, Q, at, name, row};

/// A record of key 0 has a hundred kilobytes, one of key 9 a tenth of that.
const HEAVY: Heavy = Heavy {
    heaviest: 100_000,
    capacities: [100; 4],
};

fn given(mut row: LeaseRow, to: Process) -> LeaseRow {
    row.given_to = Some(name(to));
    row
}

/// The first gives a lease to the second, which gives it back after so long. Answers what is wrong.
fn there_and_back(seconds: u64, back_to: Option<Process>) -> String {
    // Loads may change for long after: leases may move.
    let mut hand = Hand::heavy(HEAVY).producing_until(300);
    hand.shard("a", &[]);
    hand.starts(P);
    hand.starts(Q);
    let start = Checkpoint::TrimHorizon;
    let mut before = hand.grant(P, "a");
    let free = given(row(None, 2, start.clone()), Q);
    let taken = given(row(Some(Q), 3, start.clone()), Q);
    for (by, after) in [(P, free), (Q, taken)] {
        hand.write(by, "a", Some(&before), &after);
        before = after;
    }
    hand.after(seconds);
    let mut back = row(None, 4, start);
    back.given_to = back_to.map(name);
    hand.write(Q, "a", Some(&before), &back);
    wrong(&hand)
}

fn wrong(hand: &Hand) -> String {
    let violations = hand.oracle.violations().iter();
    violations.map(ToString::to_string).collect()
}

#[test]
fn a_lease_that_was_given_must_rest_before_it_is_given_on() {
    assert!(there_and_back(74, Some(P)).contains("is given on"));
    assert_eq!(there_and_back(76, Some(P)), "");
    assert_eq!(there_and_back(10, None), "", "to nobody in particular");
}

/// Two workers with these keys in their shards, one key in each. Answers what is wrong at the end.
fn at_the_end(first: &[u32], second: &[u32], capacities: [u32; 4]) -> String {
    let mut hand = Hand::heavy(Heavy {
        capacities,
        ..HEAVY
    });
    hand.starts(P);
    hand.starts(Q);
    let shards: Vec<(String, u32, Process)> = [(first, P), (second, Q)]
        .iter()
        .flat_map(|(keys, process)| keys.iter().map(|key| (*key, *process)))
        .enumerate()
        .map(|(n, (key, process))| (format!("s-{n}"), key, process))
        .collect();
    let mut rows = Vec::new();
    for (shard, _, process) in &shards {
        hand.shard(shard, &[]);
        rows.push(hand.grant(*process, shard));
    }
    let mut last = Vec::new();
    for _ in 0..120 {
        last.clear();
        for (shard, key, _) in &shards {
            last.push(hand.put(shard, *key));
        }
        hand.after(1);
    }
    // So that nothing else is wrong at the end.
    for (((shard, _, process), row), last) in shards.iter().zip(&rows).zip(&last) {
        let done = LeaseRow {
            checkpoint: at(*last),
            ..row.clone()
        };
        hand.write(*process, shard, Some(row), &done);
    }
    hand.after(120);
    hand.add(Event::Finished);
    wrong(&hand)
}

#[test]
fn a_lease_that_should_have_moved_is_noticed() {
    let equal = [100; 4];
    assert!(at_the_end(&[0, 0, 0, 0], &[9], equal).contains("should have moved"));
    assert!(!at_the_end(&[0, 0, 0], &[0, 0, 0], equal).contains("should have moved"));
    assert!(
        !at_the_end(&[0, 0, 0], &[0, 0], equal).contains("should have moved"),
        "as even as can be"
    );
    // What is uneven for two that are alike is fair where one can do three times as much.
    let unequal = [300, 100, 100, 100];
    assert!(!at_the_end(&[0, 0, 0], &[0], unequal).contains("should have moved"));
    assert!(at_the_end(&[0, 0], &[0, 0], unequal).contains("should have moved"));
}
