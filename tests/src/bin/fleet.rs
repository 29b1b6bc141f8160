//! Experiments with real processes on real sockets, with their figures.
//!
//! `fleet start|kill|stop|join|calm|cost|crowd|all [--rounds N]` starts the emulator's binary and
//! `record-printer` processes, and ends with 1 if anything is lost, what was promised of a time or a
//! count does not hold, or a record is repeated without a kill.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tests::fleet::binaries;
use tests::fleet::crowd::crowd;
use tests::fleet::experiment::{Findings, cold_start, joins, kills, stops};
use tests::fleet::rest::{calm, cost, writes};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Cold start: to the first record in under 1.0 s.
    Start,
    /// kill -9 of one of two: its shards flow again within 13 s, nothing lost.
    Kill,
    /// SIGTERM of one of two: nothing lost, nothing repeated, no shard silent for 2 s.
    Stop,
    /// A fourth worker joins three under load: balanced within 15 s, nothing lost, nothing repeated.
    Join,
    /// Three workers under load that nobody disturbs: no shard moves.
    Calm,
    /// Four idle workers, 16 and then 400 shards: at most 100 writes a minute, as many for both.
    Cost,
    /// Twenty workers and 1,000 shards in one process, of which five workers die.
    Crowd,
    /// All of them.
    All,
}

#[derive(Debug, Parser)]
#[command(about = "Experiments with real processes, with their figures")]
struct Arguments {
    /// The experiment.
    #[arg(value_enum)]
    which: Which,
    /// How often each is repeated.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How long calm lasts, in seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let arguments = Arguments::parse();
    let folder = binaries().await?;
    let (rounds, wanted) = (arguments.rounds, |which| {
        arguments.which == which || arguments.which == Which::All
    });
    let seconds = Duration::from_secs;
    let mut good = true;
    if wanted(Which::Start) {
        let found = cold_start(folder.clone(), rounds).await?;
        good &= report("cold start", &found, seconds(1), true);
    }
    if wanted(Which::Kill) {
        let found = kills(folder.clone(), rounds).await?;
        good &= report("kill -9", &found, seconds(13), false);
    }
    if wanted(Which::Stop) {
        let found = stops(folder.clone(), rounds).await?;
        good &= report("SIGTERM", &found, seconds(2), true);
    }
    if wanted(Which::Join) {
        let found = joins(folder.clone(), rounds).await?;
        good &= report("join", &found, seconds(15), true);
    }
    if wanted(Which::Calm) {
        let found = calm(folder.clone(), seconds(arguments.seconds)).await?;
        println!("calm for {} s: {found:?}", arguments.seconds);
        good &= held(found.moves == 0 && found.lost == 0 && found.duplicates == 0);
    }
    if wanted(Which::Cost) {
        good &= costs(folder.clone()).await?;
    }
    if wanted(Which::Crowd) {
        let found = crowd(1_000, 20, 5).await?;
        println!("crowd: {found:#?}");
        let is_fast = found.all_read < seconds(10) && found.healed < seconds(25);
        let is_even = found.spread <= 1 && found.spread_after <= 1;
        let is_thrifty = found.moves_after * 10 <= found.orphans * 11;
        good &= held(is_fast && is_even && is_thrifty);
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a minute of rest costs, with few shards and with many.
async fn costs(folder: PathBuf) -> Result<bool, Error> {
    let minute = Duration::from_secs(60);
    let few = cost(folder.clone(), 16, minute).await?;
    println!("cost of a minute, 4 workers, 16 shards: {few:?}");
    let many = cost(folder, 400, minute).await?;
    println!("cost of a minute, 4 workers, 400 shards: {many:?}");
    let (few, many) = (writes(&few), writes(&many));
    println!("  writes: {few} and {many}");
    Ok(held(few.max(many) <= 100 && few.abs_diff(many) * 10 <= few))
}

fn held(good: bool) -> bool {
    println!("  {}", if good { "held" } else { "MISSED" });
    good
}

fn report(name: &str, found: &Findings, limit: Duration, exact: bool) -> bool {
    println!("{name}, {found}");
    let good = found.max() < limit
        && found.lost == 0
        && found.broken.is_empty()
        && found.bad_exits == 0
        && !(exact && found.duplicates > 0);
    println!(
        "  limit {:.1} s: {}",
        limit.as_secs_f64(),
        if good { "held" } else { "MISSED" }
    );
    good
}
