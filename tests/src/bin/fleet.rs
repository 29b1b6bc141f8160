//! Experiments with real processes on real sockets, with their figures.
//!
//! `fleet start|kill|stop|all [--rounds N]` starts the emulator's binary and `record-printer`
//! processes, and ends with 1 if anything is lost, a promised time is exceeded, or a graceful stop
//! repeats a record.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tests::fleet::binaries;
use tests::fleet::experiment::{Findings, cold_start, kills, stops};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Cold start: to the first record in under 1.0 s.
    Start,
    /// kill -9 of one of two: its shards flow again within 13 s, nothing lost.
    Kill,
    /// SIGTERM of one of two: nothing lost, nothing repeated, no shard silent for 2 s.
    Stop,
    /// All three.
    All,
}

#[derive(Debug, Parser)]
#[command(about = "Experiments with real processes: cold start, kills, graceful stops")]
struct Arguments {
    /// The experiment.
    #[arg(value_enum)]
    which: Which,
    /// How often each is repeated.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let folder = binaries().await?;
    let wanted = |which| arguments.which == which || arguments.which == Which::All;
    let mut good = true;
    if wanted(Which::Start) {
        let found = cold_start(folder.clone(), arguments.rounds).await?;
        good &= report("cold start", &found, Duration::from_secs(1), true);
    }
    if wanted(Which::Kill) {
        let found = kills(folder.clone(), arguments.rounds).await?;
        good &= report("kill -9", &found, Duration::from_secs(13), false);
    }
    if wanted(Which::Stop) {
        let found = stops(folder, arguments.rounds).await?;
        good &= report("SIGTERM", &found, Duration::from_secs(2), true);
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
