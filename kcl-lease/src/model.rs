//! Every state that a small fleet can come to: two workers, three shards, one split or one merge.
//!
//! The workers plan with the code of [`crate::plan`] and make rows with that of
//! [`crate::plan::lineage`]; what their tasks do between two writes is told here once more, in steps
//! that other steps can come between. Every worker can stop for any time between any two steps and go
//! on; where [`Bounds`] has faults, a write can also be lost, be applied while its answer is lost, or
//! arrive late, after anything else, and a worker can die. `explore` goes through all of it and holds
//! each state against the rules.
//!
//! Time is ages and rests of time, in ticks of half a lease: a state does not know how late it is, so
//! there are finitely many. How often things that would count up for ever may happen is bounded, and
//! the bounds that are together too many are tried one after the other. The situations that matter are
//! counted ([`Met`]): within each bounds exactly those come up that should. That the rules see what
//! they should is tried with [`Bug`]s, one at a time.
//!
//! Not told here: reads of the table that are old and clocks that run at different rates, against which
//! a worker's row is deleted before its leases are taken; user code that is running when its lease
//! ends; the service forgetting shards; and who keeps the watch, as here everybody may look at any time. The
//! simulation of the whole stack has those.

mod actions;
mod explore;
mod state;
mod table;

use self::explore::explore;
use self::state::{Bounds, Bug, Lineage, Met};

/// Goes through all states within `bounds`, and meets all situations but those.
fn check(lineage: Lineage, bounds: Bounds, unmet: &[&[Met]]) {
    let explored = explore(lineage, bounds, None);
    let broken = explored.broken.unwrap_or_default();
    assert!(broken.is_empty(), "{broken}");
    assert!(!explored.gave_up, "too many states");
    let (states, steps) = (explored.states, explored.steps);
    eprintln!("{lineage:?}: {states} states, {steps} steps, 0 violations; met:");
    for (situation, count) in Met::ALL.into_iter().zip(explored.met) {
        eprintln!("{count:>10} {situation:?}");
        let is_unmet = unmet.concat().contains(&situation);
        assert_eq!(count == 0, is_unmet, "{situation:?}: {count}");
    }
}

/// What a split alone cannot lead to.
const BY_MERGES: &[Met] = &[Met::MergeWaitsForOneParent];

#[test]
fn stalls_of_any_length() {
    let unmet = [Met::BY_FAULTS, Met::BY_RENEWALS];
    check(Lineage::Merge, Bounds::STALLS, &unmet);
    check(
        Lineage::Split,
        Bounds::STALLS,
        &[&unmet[..], &[BY_MERGES]].concat(),
    );
}

// What follows are millions of states: cargo test --workspace --lib model -- --ignored

#[test]
#[ignore = "see above"]
fn leases_that_are_handed_over_twice() {
    let unmet = [Met::BY_FAULTS, Met::BY_RENEWALS];
    check(Lineage::Merge, Bounds::HAND_OVERS, &unmet);
    check(
        Lineage::Split,
        Bounds::HAND_OVERS,
        &[&unmet[..], &[BY_MERGES]].concat(),
    );
}

#[test]
#[ignore = "see above"]
fn a_crash() {
    let unmet = [Met::BY_FAULTS, Met::BY_RENEWALS];
    check(Lineage::Merge, Bounds::CRASH, &unmet);
    check(
        Lineage::Split,
        Bounds::CRASH,
        &[&unmet[..], &[BY_MERGES]].concat(),
    );
}

#[test]
#[ignore = "see above"]
fn a_crash_and_a_second_life_with_a_merge() {
    check(
        Lineage::Merge,
        Bounds::LIVES,
        &[Met::BY_FAULTS, Met::BY_RENEWALS],
    );
}

#[test]
#[ignore = "see above"]
fn a_crash_and_a_second_life_with_a_split() {
    check(
        Lineage::Split,
        Bounds::LIVES,
        &[Met::BY_FAULTS, Met::BY_RENEWALS, BY_MERGES],
    );
}

#[test]
#[ignore = "see above"]
fn any_fate_of_a_write_with_a_merge() {
    check(Lineage::Merge, Bounds::FAULT, &[Met::BY_RENEWALS]);
}

#[test]
#[ignore = "see above"]
fn any_fate_of_a_write_with_a_split() {
    check(
        Lineage::Split,
        Bounds::FAULT,
        &[Met::BY_RENEWALS, BY_MERGES],
    );
}

#[test]
#[ignore = "see above"]
fn any_fate_of_a_write_with_a_renewal() {
    check(
        Lineage::Split,
        Bounds::FAULT_AND_RENEWAL,
        &[Met::BY_SECOND_HANDS, &[Met::FinishFenced], BY_MERGES],
    );
}

#[test]
#[ignore = "see above"]
fn any_fate_of_a_write_with_two_records_and_a_merge() {
    check(
        Lineage::Merge,
        Bounds::FAULT_AND_RECORDS,
        &[Met::BY_SECOND_HANDS, Met::BY_RENEWALS],
    );
}

#[test]
#[ignore = "see above"]
fn any_fate_of_a_write_with_two_records_and_a_split() {
    check(
        Lineage::Split,
        Bounds::FAULT_AND_RECORDS,
        &[
            Met::BY_SECOND_HANDS,
            &[Met::FinishFenced],
            Met::BY_RENEWALS,
            BY_MERGES,
        ],
    );
}

#[test]
fn bugs_break_rules() {
    for bug in Bug::ALL {
        let bounds = bug.shown_within();
        let caught = [Lineage::Split, Lineage::Merge]
            .into_iter()
            .find_map(|lineage| {
                let explored = explore(lineage, bounds, Some(bug));
                let broken = explored.broken?;
                let rule = broken.lines().next().unwrap_or_default().to_owned();
                Some((rule, explored.states, lineage))
            });
        eprintln!("{bug:?}: {caught:?}");
        assert!(caught.is_some(), "{bug:?} breaks no rule");
    }
}
