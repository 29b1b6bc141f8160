//! A few seeds; the same trace from the same seed, within a process and in another one; and proof
//! that the rules notice services that break their word.

use std::process::Command;
use std::time::Duration;

use tests::sim::checkers::Rule;
use tests::sim::clock::Rate;
use tests::sim::ledger::Start;
use tests::sim::processor::PANIC;
use tests::sim::scenario::{Kind, Plan, Sabotage, Temper, Weather};
use tests::sim::{run_plan, run_seed, warm_up};

const MINUTES: Duration = Duration::from_secs(240);

fn quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(PANIC) {
            usual(panic);
        }
    }));
}

#[test]
fn a_few_seeds_keep_every_promise() {
    quiet();
    for seed in 1..=2 {
        let outcome = run_seed(seed, MINUTES, None);
        assert!(
            outcome.is_good(),
            "seed {seed}: {:?} {:?}",
            outcome.violations,
            outcome.broken
        );
        assert!(
            outcome.seen["records: delivered"] > 0,
            "seed {seed} delivers nothing"
        );
    }
}

#[test]
fn a_seed_gives_the_same_trace_every_time_and_in_every_process() {
    quiet();
    let run = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["--seed", "3", "--minutes", "4", "--hash"])
        .output()
        .expect("the binary starts");
    let there = String::from_utf8(run.stdout).expect("text");
    assert!(there.starts_with("3 "), "{there}");
    warm_up();
    for _ in 0..2 {
        let here = format!("3 {:016x}\n", run_seed(3, MINUTES, None).hash);
        assert_eq!(here, there);
    }
}

/// A small run without incidents, on services that break their word.
fn rules_broken_by(sabotage: Sabotage, weather: Weather) -> Vec<Rule> {
    quiet();
    let mut plan = Plan::new(1, Duration::from_secs(170));
    plan.kind = Kind::Chaos;
    plan.starts = vec![Duration::ZERO, Duration::from_millis(700)];
    plan.shards = 2;
    plan.start = Start::TrimHorizon;
    plan.produce_every = Duration::from_millis(100);
    plan.commit_every = Duration::from_secs(1);
    plan.weather = weather;
    plan.temper = Temper::default();
    plan.incidents.clear();
    plan.aged = 0;
    plan.rates.fill(Rate(0));
    plan.heal = Duration::from_secs(100);
    plan.sabotage = Some(sabotage);
    let outcome = run_plan(plan, None);
    let violations = outcome.violations.iter();
    violations.map(|violation| violation.rule).collect()
}

#[test]
fn conditional_writes_that_are_not_conditional_are_noticed() {
    let weather = Weather {
        latency: 10,
        twice: 200,
        late_max: 10_000,
        ..Weather::default()
    };
    let broken = rules_broken_by(Sabotage::ConditionsIgnored, weather);
    assert!(broken.contains(&Rule::S2), "{broken:?}");
    assert!(broken.contains(&Rule::S14), "{broken:?}");
}

#[test]
fn renewals_that_are_not_carried_out_are_noticed() {
    let weather = Weather {
        latency: 10,
        ..Weather::default()
    };
    let broken = rules_broken_by(Sabotage::RenewalsForged, weather);
    assert!(broken.contains(&Rule::S4), "{broken:?}");
}

#[test]
fn reads_that_leave_out_a_record_are_noticed() {
    let weather = Weather {
        latency: 10,
        ..Weather::default()
    };
    let broken = rules_broken_by(Sabotage::RecordsSkipped, weather);
    assert!(broken.contains(&Rule::S5), "{broken:?}");
}

#[test]
fn reads_of_the_table_that_leave_out_a_row_are_noticed() {
    let weather = Weather {
        latency: 10,
        ..Weather::default()
    };
    let broken = rules_broken_by(Sabotage::RowsHidden, weather);
    assert!(broken.contains(&Rule::S14), "{broken:?}");
}
