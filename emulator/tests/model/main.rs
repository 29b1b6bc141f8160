//! Random sequences of operations against a simple reference, answer by answer.
//!
//! The reference (`world`, `reads`, `changes`, `belongings`, `numbers`) is a second reading of the service's rules,
//! in vectors that are only ever looked through. `steps` makes requests from a seed: all operations,
//! sound and unsound, with iterators and tokens kept and reused, while the clock jumps by milliseconds
//! and by days and now and then to exactly where something happens. `driver` sends each request through
//! `Service::serve`, in either encoding, and compares the answer. What differs is made small by leaving out steps, and told
//! with its seed.
//!
//! `cargo test -p kinesis-emulator --test model` does 100,000 steps. `MODEL_STEPS=10000000` does more,
//! `MODEL_SEED=7` others.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the reference says what a rule is about, and nothing else"
)]
#![expect(clippy::print_stdout, reason = "the seed of a run that fails")]

mod belongings;
mod changes;
mod driver;
mod numbers;
mod reads;
mod resize;
mod steps;
mod wire;
mod world;

use fastrand::Rng;

use self::driver::{Divergence, Driver, Setup};
use self::world::Delays;

/// Steps of all tests together.
const STEPS: usize = 100_000;
/// Steps on one service, after which a fresh one begins.
const RUN: usize = 2_000;
/// How often a failing run is tried with fewer steps.
const TRIES: usize = 2_000;

// One quarter of the steps each, side by side.

#[test]
fn the_service_does_what_the_reference_does_when_changes_take_no_time() {
    campaign(0, Delays::default(), 40);
}

#[test]
fn the_service_does_what_the_reference_does_when_changes_take_seconds() {
    let delays = Delays {
        create: 500,
        delete: 1_700,
        reshard: 2_500,
        register: 900,
        deregister: 1_300,
        update: 1_900,
    };
    campaign(1, delays, 40);
}

#[test]
fn the_service_does_what_the_reference_does_when_changes_take_hours() {
    let delays = Delays {
        create: 60_000,
        delete: 3_600_000,
        reshard: 7_200_000,
        register: 240_000,
        deregister: 60_000,
        update: 5_400_000,
    };
    campaign(2, delays, 24);
}

#[test]
fn the_service_does_what_the_reference_does_with_many_shards() {
    let delays = Delays {
        reshard: 3,
        ..Delays::default()
    };
    campaign(3, delays, 400);
}

fn campaign(place: u64, delays: Delays, shard_limit: u32) {
    let setup = Setup {
        delays,
        shard_limit,
    };
    let steps = setting("MODEL_STEPS").map_or(STEPS, |steps| usize::try_from(steps).unwrap()) / 4;
    let seed = setting("MODEL_SEED").unwrap_or(1);
    let mut rng = Rng::with_seed(seed << 3 | place);
    println!("seed {seed}, {steps} steps, {setup:?}");
    let mut left = steps;
    while left > 0 {
        let count = left.min(RUN);
        left -= count;
        let seeds: Vec<u64> = (0..count).map(|_| rng.u64(..)).collect();
        if let Err((place, divergence)) = run(setup, &seeds, None) {
            let seeds = minimize(setup, &seeds[..=place]);
            let mut trace = Vec::new();
            let smallest = run(setup, &seeds, Some(&mut trace));
            let told = smallest
                .err()
                .map_or(divergence, |(_, divergence)| divergence);
            let count = seeds.len();
            panic!(
                "seed {seed} diverges, {setup:?}; {count} steps are enough:\n{}\n\n{told}",
                trace.join("\n")
            );
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Runs the steps on a fresh service; which one diverged, and how.
fn run(
    setup: Setup,
    seeds: &[u64],
    trace: Option<&mut Vec<String>>,
) -> Result<(), (usize, Divergence)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut driver = Driver::new(setup);
        driver.trace = trace.is_some().then(Vec::new);
        let mut outcome = Ok(());
        for (place, seed) in seeds.iter().enumerate() {
            if let Err(divergence) = driver.step(*seed).await {
                outcome = Err((place, divergence));
                break;
            }
        }
        if let (Some(trace), Some(lines)) = (trace, driver.trace) {
            *trace = lines;
        }
        outcome
    })
}

/// Leaves out steps, in ever smaller pieces, as long as something still diverges.
fn minimize(setup: Setup, seeds: &[u64]) -> Vec<u64> {
    let mut seeds = seeds.to_vec();
    let mut piece = seeds.len() / 2;
    let mut tries = 0;
    while piece > 0 && tries < TRIES {
        let mut start = 0;
        while start < seeds.len() && tries < TRIES {
            let mut fewer = seeds.clone();
            fewer.drain(start..(start + piece).min(seeds.len()));
            tries += 1;
            match run(setup, &fewer, None) {
                Err((place, _)) => seeds = fewer[..=place].to_vec(),
                Ok(()) => start += piece,
            }
        }
        piece /= 2;
    }
    seeds
}
