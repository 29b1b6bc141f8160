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
//! there are finitely many. How often things that would count up for ever may happen is bounded. The
//! situations that matter are counted ([`Met`]), and a zero fails the test. That the rules see what
//! they should is tried with [`Bug`]s, one at a time.
//!
//! Not told here: reads of the table that are old, clocks that run at different rates, user code that is
//! running when its lease ends, the service forgetting shards. The simulation of the whole stack has
//! those.

mod actions;
mod explore;
mod state;
mod table;

use self::explore::explore;
use self::state::{Bounds, Bug, Lineage, Met};

const LINEAGES: [Lineage; 2] = [Lineage::Split, Lineage::Merge];

/// Goes through all states within `bounds`; every situation in `due` must have come up.
fn check(bounds: Bounds, due: &[Met]) {
    let mut met = [0; Met::ALL.len()];
    for lineage in LINEAGES {
        let explored = explore(lineage, bounds, None);
        let broken = explored.broken.unwrap_or_default();
        assert!(broken.is_empty(), "{lineage:?}: {broken}");
        assert!(!explored.gave_up, "{lineage:?}: too many states");
        for (sum, more) in met.iter_mut().zip(explored.met) {
            *sum += more;
        }
        eprintln!(
            "{lineage:?}: {} states, {} steps",
            explored.states, explored.steps
        );
    }
    for (situation, count) in Met::ALL.into_iter().zip(met) {
        eprintln!("{count:>10} {situation:?}");
        assert!(
            count > 0 || !due.contains(&situation),
            "never met: {situation:?}"
        );
    }
}

#[test]
fn no_stall_breaks_a_rule() {
    check(Bounds::STALLS, &Met::BY_STALLS);
}

#[test]
#[ignore = "millions of states: cargo test --release -p kcl-lease --lib model -- --ignored"]
fn no_fate_of_a_write_breaks_a_rule() {
    check(Bounds::FAULTS, &[]);
}

#[test]
fn bugs_break_rules() {
    let bugs = Bug::ALL.into_iter();
    for bug in bugs.filter(|bug| !bug.needs_more_than_stalls()) {
        let caught = LINEAGES.into_iter().find_map(|lineage| {
            let explored = explore(lineage, Bounds::STALLS, Some(bug));
            let broken = explored.broken?;
            let rule = broken.lines().next().unwrap_or_default().to_owned();
            Some((rule, explored.states, lineage))
        });
        eprintln!("{bug:?}: {caught:?}");
        assert!(caught.is_some(), "{bug:?} breaks no rule");
    }
}
