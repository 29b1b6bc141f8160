//! Runs seeds of the full-stack simulation.
//!
//! `sim --seeds 300` runs seeds 1 to 300 of ten virtual minutes each; a violation names its seed and
//! ends with exit code 1. `sim --seed 17 --verbose` prints the events of one seed. `--hash` prints
//! one line `seed hash` for each.

#[path = "../../sim/entropy.rs"]
mod entropy;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use tests::sim::coverage::{MUST_SEE, must_strike};
use tests::sim::processor::PANIC;
use tests::sim::scenario::{Plan, Sabotage};
use tests::sim::{Outcome, run_plan, warm_up};
use tokio::time::Instant;

/// So many seeds of the usual length must reach every critical state.
const ALL_IS_SEEN_IN: u64 = 200;

/// So many must also have seen what only few runs have.
const RARE_IS_SEEN_IN: u64 = 2_000;

/// The full-stack simulation.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Only this one.
    #[arg(long, conflicts_with_all = ["seeds", "start"])]
    seed: Option<u64>,
    /// How many virtual minutes each takes; at least 4.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(4..=600))]
    minutes: u64,
    /// How many run at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Print every event.
    #[arg(long)]
    verbose: bool,
    /// Make the services break their word, to see the rules notice.
    #[arg(long, value_parser = sabotage)]
    sabotage: Option<Sabotage>,
    /// Print one line `seed hash` for each, and nothing else.
    #[arg(long)]
    hash: bool,
}

/// A seventh of a run is memory; this takes half as long over it as the system's.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quiet_simulated_panics();
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .without_time()
            .init();
    }
    let arguments = Arguments::parse();
    let length = Duration::from_secs(arguments.minutes * 60);
    warm_up();
    let (start, seeds) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.start, arguments.seeds),
    };
    let show = arguments.verbose.then_some(print_line as fn(&str));
    let began = Instant::now();
    let campaign = Campaign::default();
    let next = AtomicU64::new(start);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= start + seeds {
                        return;
                    }
                    let mut plan = Plan::new(seed, length);
                    plan.sabotage = arguments.sabotage;
                    let outcome = run_plan(plan, show);
                    campaign.add(&outcome, &arguments);
                }
            });
        }
    });
    campaign.close(&arguments, seeds, length, began.elapsed())
}

fn sabotage(name: &str) -> Result<Sabotage, String> {
    match name {
        "conditions-ignored" => Ok(Sabotage::ConditionsIgnored),
        "renewals-forged" => Ok(Sabotage::RenewalsForged),
        "records-skipped" => Ok(Sabotage::RecordsSkipped),
        "rows-hidden" => Ok(Sabotage::RowsHidden),
        _ => Err("conditions-ignored, renewals-forged, records-skipped or rows-hidden".into()),
    }
}

fn print_line(line: &str) {
    println!("{line}");
}

fn quiet_simulated_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str();
        if said != Some(PANIC) {
            usual(panic);
        }
    }));
}

/// What all seeds together came to.
#[derive(Default)]
struct Campaign {
    totals: Mutex<Totals>,
}

#[derive(Default)]
struct Totals {
    done: u64,
    exchanges: u64,
    events: u64,
    bad: Vec<u64>,
    kinds: BTreeMap<String, u64>,
    seen: BTreeMap<String, u64>,
    hashes: BTreeMap<u64, u64>,
}

impl Campaign {
    fn add(&self, outcome: &Outcome, arguments: &Arguments) {
        let mut totals = self
            .totals
            .lock()
            .expect("nothing panics while it holds this");
        let seed = outcome.plan.seed;
        totals.done += 1;
        totals.exchanges += outcome.exchanges;
        totals.events += outcome.lines;
        totals.hashes.insert(seed, outcome.hash);
        *totals
            .kinds
            .entry(format!("{:?}", outcome.kind()))
            .or_default() += 1;
        for (what, count) in &outcome.seen {
            *totals.seen.entry(what.clone()).or_default() += count;
        }
        if !outcome.is_good() {
            totals.bad.push(seed);
            report(outcome, arguments);
        }
        if !arguments.hash && totals.done.is_multiple_of(25) {
            eprintln!("{} seeds done, {} bad", totals.done, totals.bad.len());
        }
    }

    fn close(
        self,
        arguments: &Arguments,
        seeds: u64,
        length: Duration,
        took: Duration,
    ) -> ExitCode {
        let totals = self
            .totals
            .into_inner()
            .expect("nothing panics while it holds this");
        if arguments.hash {
            for (seed, hash) in &totals.hashes {
                println!("{seed} {hash:016x}");
            }
        } else {
            for (what, count) in totals.kinds.iter().chain(&totals.seen) {
                println!("{count:>10}  {what}");
            }
            let virtual_hours = length.as_secs_f64() * seeds as f64 / 3600.0;
            println!(
                "{seeds} seeds, {virtual_hours:.1} virtual hours, {} calls, {} events, {:.1} s: {} bad {:?}",
                totals.exchanges,
                totals.events,
                took.as_secs_f64(),
                totals.bad.len(),
                totals.bad
            );
        }
        // A few seeds cannot see everything; many that miss something prove nothing about it.
        let wanted = MUST_SEE.iter().map(|what| (*what).to_owned());
        let unseen: Vec<_> = wanted
            .chain(must_strike(seeds >= RARE_IS_SEEN_IN))
            .filter(|what| seeds >= ALL_IS_SEEN_IN && !totals.seen.contains_key(what))
            .collect();
        if !unseen.is_empty() {
            eprintln!("never seen: {unseen:?}");
        }
        if totals.bad.is_empty() && unseen.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn report(outcome: &Outcome, arguments: &Arguments) {
    let seed = outcome.plan.seed;
    eprintln!("seed {seed} ({:?}) fails", outcome.kind());
    for violation in &outcome.violations {
        eprintln!("  {violation}");
    }
    if let Some(broken) = &outcome.broken {
        eprintln!("  the run itself failed: {broken}");
    }
    eprintln!(
        "  replay: sim --seed {seed} --minutes {} --verbose",
        arguments.minutes
    );
}
