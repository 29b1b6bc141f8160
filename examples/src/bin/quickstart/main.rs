//! The whole system in one command: an emulator, a producer and three workers in this process. A
//! shard is split, two are merged, a worker is killed without warning, and in the end every line
//! is accounted for against a second reading of the same files.
//!
//! `story.rs` is the play, `ledger.rs` what the workers did, `check.rs` the judge.

mod check;
mod fleet;
mod input;
mod ledger;
mod lines;
mod producer;
mod rate;
mod screen;
mod story;
mod stream;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::check::Verdict;
use crate::input::{Error, Input};
use crate::ledger::Ledger;
use crate::table::Table;

/// Reads text files through a stream with three workers, a reshard and a crash, and proves that
/// every line arrived, in order.
#[derive(Debug, Parser)]
struct Arguments {
    /// Files or folders to read, one record per line; `-` is standard input. Default: the text
    /// files of this checkout.
    files: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A worker that finds another one dead warns about it; here that is part of the play.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let ended = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err("stopped by the user".into()),
        ended = run(&arguments) => ended,
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let message = format!("error: {}\n", kcl_core::error::chain(&*error));
            drop(io::stderr().write_all(message.as_bytes()));
            ExitCode::FAILURE
        }
    }
}

/// Whether every line arrived, in order.
async fn run(arguments: &Arguments) -> Result<bool, Error> {
    let input = Input::open(&arguments.files)?;
    let ledger = Ledger::default();
    let outcome = Box::pin(story::play(&input, &ledger)).await?;
    let verdict = Verdict::of(&input.texts, &ledger.take_delivered())?;
    let table = Table {
        input: &input,
        ledger: &ledger,
        outcome: &outcome,
        verdict: &verdict,
    };
    io::stdout().write_all(table.to_string().as_bytes())?;
    Ok(verdict.is_good())
}
