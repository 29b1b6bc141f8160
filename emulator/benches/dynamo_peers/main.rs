//! The emulator's DynamoDB against a bare hyper server, dynalite and moto: the same requests from the same
//! client on the same machine, in rounds that take turns. Prints a table in Markdown.
//!
//! `emulator/benches/dynamo_peers/run` installs the others and starts this. By itself, with those that
//! are there: `cargo bench -p kinesis-emulator --bench dynamo_peers -- --dynalite DIR --moto PROGRAM
//! --rounds 5 --seconds 1.5`. Ends with 1 if a goal is missed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its figures"
)]

#[path = "../peers/bare.rs"]
mod bare;
mod cases;
mod client;
#[path = "../peers/connection.rs"]
mod connection;
#[path = "../peers/figures.rs"]
mod figures;
mod report;
mod servers;
mod turns;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use self::bare::{Bare, runtime};
use self::cases::Case;
use self::connection::Error;
use self::report::Table;
use self::servers::{Kind, Program};

/// How long a round may take beside what is measured.
const PATIENCE: Duration = Duration::from_secs(20);

struct Options {
    programs: Vec<Program>,
    rounds: usize,
    time: Duration,
}

fn main() -> Result<(), Error> {
    let Some(options) = options()? else {
        return Ok(());
    };
    let bare = Bare::start()?;
    let mut table = Table::default();
    runtime()?.block_on(async {
        for case in Case::ALL {
            compare(case, &bare, &options, &mut table).await?;
        }
        Ok::<_, Error>(())
    })?;
    print!("{table}");
    if table.missed.is_empty() {
        Ok(())
    } else {
        Err(format!("missed: {}", table.missed.join("; ")).into())
    }
}

/// The arguments; none if this is only built and tried.
fn options() -> Result<Option<Options>, Error> {
    let emulator = PathBuf::from(env!("CARGO_BIN_EXE_kinesis-emulator"));
    let mut options = Options {
        programs: vec![Program {
            kind: Kind::Emulator,
            path: emulator,
        }],
        rounds: 5,
        time: Duration::from_millis(1500),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let kind = match name.as_str() {
            "--test" => return Ok(None),
            "--bench" => continue,
            "--dynalite" => Some(Kind::Dynalite),
            "--moto" => Some(Kind::Moto),
            _ => None,
        };
        let value = arguments.next().ok_or(format!("{name} wants a value"))?;
        match (kind, name.as_str()) {
            (Some(kind), _) => {
                let path = value.into();
                options.programs.push(Program { kind, path });
            }
            (None, "--rounds") => options.rounds = value.parse()?,
            (None, "--seconds") => options.time = Duration::try_from_secs_f64(value.parse()?)?,
            (None, _) => return Err(format!("{name} is not known").into()),
        }
    }
    Ok(Some(options))
}

/// One case against all, in rounds that take turns. The first round only warms up.
async fn compare(
    case: Case,
    bare: &Bare,
    options: &Options,
    table: &mut Table,
) -> Result<(), Error> {
    let mut running = Vec::new();
    for program in &options.programs {
        running.push((program.kind, program.start().await?, Ok(Vec::new())));
    }
    let mut floor = Vec::new();
    for round in 0..=options.rounds {
        for (kind, server, rates) in &mut running {
            let Ok(known) = rates else { continue };
            let measured = case.round(&server.address, options.time);
            let measured = timeout(options.time + PATIENCE, measured).await;
            match measured.unwrap_or_else(|_| Err("no answer".into())) {
                Ok((rate, answer)) => {
                    eprintln!("{}: {}: {rate:.0}/s", case.name(), kind.name());
                    if round > 0 {
                        known.push(rate);
                    }
                    if *kind == Kind::Emulator {
                        // What the bare server is to send: as many bytes as this emulator sends.
                        *bare.answer.lock() = answer.into();
                    }
                }
                Err(error) => {
                    eprintln!("{}: {} cannot: {error}", case.name(), kind.name());
                    *rates = Err(error.to_string());
                }
            }
        }
        let (requests, took) = case.measure(&bare.address, options.time)?;
        if round > 0 {
            floor.push(requests as f64 / took.as_secs_f64());
        }
    }
    let rates = running.into_iter().map(|(kind, _, rates)| (kind, rates));
    table.compare(case, &floor, rates.collect());
    Ok(())
}
