//! Runs seeds: each on a fresh thread, in a runtime of its own with paused time.
//!
//! The thread is fresh because the keys of std's hash maps are drawn once for each thread and then
//! counted up, and the SDK's jitter comes from a generator of the thread.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checkers::Violation;
use super::scenario::{Kind, Plan};
use super::world::World;

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plan it came from.
    pub plan: Plan,
    /// The hash of its trace.
    pub hash: u64,
    /// The length of its trace.
    pub lines: u64,
    /// How many requests the workers sent.
    pub exchanges: u64,
    /// The first violation of each rule.
    pub violations: Vec<Violation>,
    /// How often faults struck and critical states were reached.
    pub seen: BTreeMap<String, u64>,
    /// Why the run itself failed, if it did.
    pub broken: Option<String>,
}

impl Outcome {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.broken.is_none()
    }

    /// What it was for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.plan.kind
    }
}

/// What a library does once in a process must not fall into the first seed: a short run of no
/// interest does it first.
pub fn warm_up() {
    drop(run_seed(0, Duration::from_secs(160), None));
}

/// Runs one seed. `show` gets every line of the trace.
#[must_use]
pub fn run_seed(seed: u64, length: Duration, show: Option<fn(&str)>) -> Outcome {
    let plan = Plan::new(seed, length);
    run_plan(plan, show)
}

/// Runs one plan.
#[must_use]
pub fn run_plan(plan: Plan, show: Option<fn(&str)>) -> Outcome {
    run_prepared(plan, show, || {})
}

/// Runs one plan on a thread that was prepared for it.
#[must_use]
pub fn run_prepared(
    plan: Plan,
    show: Option<fn(&str)>,
    prepare: impl FnOnce() + Send + 'static,
) -> Outcome {
    let copy = plan.clone();
    let thread = std::thread::Builder::new()
        .name(format!("seed {}", plan.seed))
        .stack_size(8 << 20)
        .spawn(move || {
            prepare();
            on_this_thread(plan, show)
        })
        .expect("the machine has room for a thread");
    thread.join().unwrap_or_else(|_| Outcome {
        plan: copy,
        hash: 0,
        lines: 0,
        exchanges: 0,
        violations: Vec::new(),
        seen: BTreeMap::new(),
        broken: Some("the run panicked".into()),
    })
}

fn on_this_thread(plan: Plan, show: Option<fn(&str)>) -> Outcome {
    fastrand::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs nothing");
    let mut outcome = Outcome {
        plan: plan.clone(),
        hash: 0,
        lines: 0,
        exchanges: 0,
        violations: Vec::new(),
        seen: BTreeMap::new(),
        broken: None,
    };
    let ran = runtime.block_on(async {
        let world = World::new(plan, show);
        let history = world.history().clone();
        (world.run().await, history)
    });
    let (result, history) = ran;
    match result {
        Ok(exchanges) => outcome.exchanges = exchanges,
        Err(error) => outcome.broken = Some(error),
    }
    (outcome.hash, outcome.lines) = history.hash();
    outcome.violations = history.violations();
    outcome.seen = history.read(|oracle| oracle.seen().clone());
    outcome
}
