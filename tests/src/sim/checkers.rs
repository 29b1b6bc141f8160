//! The promises, as rules over a history: each reads what is known before an event and judges it.
//!
//! The rules are numbered as in the invariants they check: S1 to S14, L7 and L8, and besides L for
//! what must hold at the end, C for the order of calls into one processor, P for what a handler fails at,
//! K for what a dead process must not do. The same rules judge hand-made histories in the tests of this package.

mod budget;
mod delivery;
mod gap;
mod handling;
mod leftover;
mod load;
mod pace;
mod rest;
mod service;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::coverage::Coverage;
use super::history::Event;
use super::ledger::{Expectations, Ledger};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// No record is skipped: what a checkpoint covers is processed, and all is processed at the end.
    S1,
    /// Checkpoints never go back, and the end of a shard is final.
    S2,
    /// Only the holder of the current epoch writes a checkpoint.
    S3,
    /// No call starts for an epoch that is over.
    S4,
    /// Records come in order: by shard without gaps, by key across shards.
    S5,
    /// Parents are finished before children are delivered.
    S6,
    /// A shard is finished only when it is closed and all of it is processed.
    S7,
    /// Every reachable shard has a lease or is done, and a finished one is never made again.
    S8,
    /// The initial position applies only to shards nobody ever read.
    S9,
    /// Duplicates are bounded, and absent when nothing fails.
    S10,
    /// What user code is told to be durable is durable.
    S11,
    /// Records come from the shard they are in.
    S12,
    /// What is lost is told, and nothing starts anew in silence.
    S13,
    /// The services keep their word, on which all else rests.
    S14,
    /// Only what cannot be processed is given up, and all of it.
    P,
    /// The calls into one processor keep their order.
    C,
    /// A dead process does nothing.
    K,
    /// In the end everything converges.
    L,
    /// Of what has ended nothing is left.
    L7,
    /// The services are not asked too much.
    L8,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When.
    pub at: Duration,
    /// The number of the event.
    pub number: u64,
    /// What happened.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} violated at {:.6} s (event {}): {}",
            self.rule,
            self.at.as_secs_f64(),
            self.number,
            self.detail
        )
    }
}

/// What a rule says to an event: nothing, or what is wrong.
type Verdict = Result<(), String>;

/// A rule: reads what is known before the event, and judges the event.
type Check = fn(&Ledger, &Event) -> Verdict;

const RULES: &[(Rule, Check)] = &[
    (Rule::C, delivery::calls_keep_their_order),
    (Rule::K, delivery::the_dead_do_nothing),
    (Rule::S12, delivery::records_come_from_their_shard),
    (Rule::S4, delivery::no_call_for_an_epoch_that_is_over),
    (Rule::S5, delivery::records_come_in_order_without_gaps),
    (Rule::S5, delivery::keys_keep_their_order),
    (Rule::S6, delivery::parents_are_finished_first),
    (Rule::S10, delivery::nothing_twice_when_nothing_fails),
    (Rule::S5, handling::records_are_handed_over_in_order),
    (Rule::S5, handling::no_key_is_in_two_calls),
    (Rule::S5, handling::keys_keep_their_lane),
    (Rule::S5, handling::windows_follow_each_other),
    (Rule::S10, handling::what_is_settled_does_not_come_again),
    (Rule::P, handling::nothing_is_tried_too_often),
    (Rule::P, handling::only_poison_is_given_up),
    (Rule::P, handling::poison_reaches_the_destination),
    (Rule::P, handling::who_gives_up_stops),
    (Rule::S1, handling::checkpoints_wait_for_windows),
    (Rule::S11, table::what_is_told_to_be_durable_is),
    (Rule::S1, table::what_a_checkpoint_covers_is_processed),
    (Rule::S2, table::checkpoints_never_go_back),
    (Rule::S3, table::only_the_holder_writes),
    (Rule::S3, table::nothing_is_taken_from_the_living),
    (Rule::S7, table::the_end_is_true),
    (Rule::S8, table::the_finished_are_not_made_again),
    (Rule::S8, table::leases_go_in_order),
    (Rule::S9, table::leases_start_where_they_should),
    (Rule::S1, rest::everything_is_processed),
    (Rule::S8, rest::every_shard_has_its_lease),
    (Rule::S8, rest::nothing_is_left_over),
    (Rule::S13, gap::what_is_told_to_be_lost_is),
    (Rule::S13, gap::a_lost_table_is_not_made_again),
    (Rule::S13, gap::what_was_deleted_is_told),
    (Rule::S14, service::what_was_put_is_there),
    (Rule::S14, service::conditions_are_judged_by_what_stands),
    (Rule::S14, service::reads_show_what_stands),
    (Rule::L, rest::everything_is_durable),
    (Rule::L, rest::leases_stand_still),
    (Rule::L, rest::shares_are_even),
    (Rule::L, load::what_was_given_stays_for_a_while),
    (Rule::L, load::loads_are_as_even_as_one_move_can_make_them),
    (Rule::L, rest::exits_are_clean),
    (Rule::L, pace::nothing_lies_idle_for_long),
    (Rule::L, pace::nothing_waits_for_long),
    (Rule::L7, leftover::nothing_is_left_of_the_dead),
    (Rule::L8, budget::no_shard_is_read_too_often),
    (Rule::L8, budget::no_worker_asks_too_much),
    (Rule::L8, budget::shards_are_not_listed_too_often),
    (Rule::L8, budget::subscriptions_keep_their_pauses),
    (Rule::L7, leftover::no_subscription_outlives_its_lease),
];

/// Judges a history as it grows.
#[derive(Debug)]
pub struct Oracle {
    ledger: Ledger,
    violations: Vec<Violation>,
    coverage: Coverage,
}

impl Oracle {
    /// An oracle that knows nothing yet.
    #[must_use]
    pub fn new(expect: Expectations) -> Self {
        Self {
            ledger: Ledger::new(expect),
            violations: Vec::new(),
            coverage: Coverage::default(),
        }
    }

    /// Judges an event, then adds it to what is known.
    pub fn observe(&mut self, at: Duration, number: u64, event: &Event) {
        self.ledger.now = at;
        self.ledger.number = number;
        for (rule, check) in RULES {
            if let Err(detail) = check(&self.ledger, event)
                && !self.violations.iter().any(|known| known.rule == *rule)
            {
                self.violations.push(Violation {
                    rule: *rule,
                    at,
                    number,
                    detail,
                });
            }
        }
        self.coverage.count(&self.ledger, event);
        self.ledger.add(event);
    }

    /// The first violation of each rule.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What is known.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often faults struck and critical states were reached.
    #[must_use]
    pub const fn seen(&self) -> &BTreeMap<String, u64> {
        self.coverage.seen()
    }
}
