//! A few seeds, and the same trace from the same seed: within a process, and in another one.

use std::process::Command;
use std::time::Duration;

use tests::sim::processor::PANIC;
use tests::sim::run_seed;

const FIVE_MINUTES: Duration = Duration::from_secs(300);

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
    for seed in 1..=6 {
        let outcome = run_seed(seed, FIVE_MINUTES, None);
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
    let other_process = || {
        let run = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["--seeds", "4", "--start", "1", "--minutes", "5", "--hash"])
            .output()
            .expect("the binary starts");
        String::from_utf8(run.stdout).expect("text")
    };
    let first = other_process();
    assert_eq!(first, other_process(), "two processes");
    assert_eq!(first.lines().count(), 4, "{first}");
    // What a library does once in a process must not fall into the first seed.
    drop(run_seed(0, FIVE_MINUTES, None));
    for _ in 0..2 {
        let here: String = (1..=4)
            .map(|seed| format!("{seed} {:016x}\n", run_seed(seed, FIVE_MINUTES, None).hash))
            .collect();
        assert_eq!(here, first, "this process");
    }
}
