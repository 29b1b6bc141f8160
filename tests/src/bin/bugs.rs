//! Plants mistakes in the library, one at a time, and counts the seeds until the simulation finds each.
//!
//! `bugs` tries each with the seed that last found it, and with the seeds from 1 on if that one does not any
//! more; `bugs --from-one` with the seeds from 1 on. A mistake that none of the seeds finds ends it with exit
//! code 1: then "no violation" says little. To be built with `--features planted-bugs`.

#[path = "../../sim/entropy.rs"]
mod entropy;
#[path = "bugs/found.rs"]
mod found;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use kcl_core::planted::{Bug, plant};
use tests::sim::processor::PANIC;
use tests::sim::scenario::Plan;
use tests::sim::{run_prepared, warm_up};
use tokio::time::Instant;

use found::FOUND;

/// Mistakes against the simulation.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many seeds each mistake may need.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// Only mistakes whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Count from seed 1, whatever is known.
    #[arg(long)]
    from_one: bool,
    /// How many virtual minutes a seed takes.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// How many are tried at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

/// How one mistake was found.
struct Catch {
    bug: Bug,
    tried: u64,
    /// The seed, and what was violated.
    seed: Option<(u64, String)>,
}

/// A seventh of a run is memory; this takes half as long over it as the system's.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quiet_panics();
    let arguments = Arguments::parse();
    warm_up();
    let began = Instant::now();
    let bugs: Vec<Bug> = Bug::ALL
        .iter()
        .copied()
        .filter(|bug| format!("{bug:?}").contains(&arguments.only))
        .collect();
    let next = AtomicUsize::new(0);
    let caught = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let catch = hunt(*bug, &arguments);
                    print(&catch);
                    caught.lock().expect("nobody panics").push(catch);
                }
            });
        }
    });
    let caught = caught.into_inner().expect("nobody panics");
    close(&caught, began.elapsed())
}

fn hunt(bug: Bug, arguments: &Arguments) -> Catch {
    let known = FOUND.iter().find(|(known, _)| *known == bug);
    let known = known.map(|(_, seed)| *seed).filter(|_| !arguments.from_one);
    let mut tried = 0;
    for seed in known.into_iter().chain(1..=arguments.seeds) {
        tried += 1;
        let plan = Plan::new(seed, Duration::from_secs(arguments.minutes * 60));
        let outcome = run_prepared(plan, None, move || plant(Some(bug)));
        if !outcome.is_good() {
            let first = outcome.violations.first().map(ToString::to_string);
            let what = first.or(outcome.broken).unwrap_or_default();
            let seed = Some((seed, what));
            return Catch { bug, tried, seed };
        }
    }
    Catch {
        bug,
        tried,
        seed: None,
    }
}

fn print(catch: &Catch) {
    let Catch { bug, tried, seed } = catch;
    match seed {
        Some((seed, what)) => println!("{bug:?} found by seed {seed} after {tried}: {what}"),
        None => println!("{bug:?} NOT FOUND by {tried} seeds"),
    }
}

fn close(caught: &[Catch], took: Duration) -> ExitCode {
    let mut tried: Vec<u64> = caught
        .iter()
        .filter(|it| it.seed.is_some())
        .map(|it| it.tried)
        .collect();
    tried.sort_unstable();
    let (median, most) = (tried.get(tried.len() / 2), tried.last());
    println!(
        "{} of {} mistakes found in {:.0} s; seeds needed: median {}, most {}",
        tried.len(),
        caught.len(),
        took.as_secs_f64(),
        median.copied().unwrap_or_default(),
        most.copied().unwrap_or_default(),
    );
    if tried.len() == caught.len() && !caught.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Simulated processors panic, and so may a library with a mistake in it: that is a find.
fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_ours = std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("seed "));
        if !is_ours && panic.payload_as_str() != Some(PANIC) {
            usual(panic);
        }
    }));
}
