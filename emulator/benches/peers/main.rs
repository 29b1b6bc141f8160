//! This emulator against a bare hyper server and against others of its kind: the same requests from
//! the same client on the same machine, in rounds that take turns. Prints a table in Markdown.
//!
//! `emulator/benches/peers/run` installs the others and starts this. By itself, with those that are
//! there: `cargo bench -p kinesis-emulator --bench peers -- --ferrokinesis PATH --kinesis-local DIR
//! --kinesalite DIR --rounds 5 --seconds 1.5`. Ends with 1 if a goal is missed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its figures"
)]

mod bare;
mod cases;
mod client;
mod connection;
mod figures;
mod report;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use self::bare::{Bare, runtime};
use self::cases::Case;
use self::client::Error;
use self::figures::Figures;
use self::report::Table;
use self::servers::{Kind, Program};

/// Starts of each program.
const STARTS: usize = 5;

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
    let client = runtime()?;
    let mut table = Table::default();
    client.block_on(async {
        for program in &options.programs {
            weigh(program, &mut table).await?;
        }
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
            "--ferrokinesis" => Some(Kind::Ferrokinesis),
            "--kinesis-local" => Some(Kind::KinesisLocal),
            "--kinesalite" => Some(Kind::Kinesalite),
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

/// How long a program takes to start, and what it weighs.
async fn weigh(program: &Program, table: &mut Table) -> Result<(), Error> {
    let (mut starts, mut resident) = (Vec::new(), 0.0);
    for _ in 0..STARTS {
        let running = program.start().await?;
        starts.push(running.started_in.as_secs_f64() * 1000.0);
        sleep(Duration::from_millis(500)).await;
        resident = running.resident()?;
    }
    let start = Figures::of(starts);
    eprintln!("{}: starts in {start} ms", program.kind.name());
    table.weigh(program.kind, start, program.megabytes()?, resident);
    Ok(())
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
            match case.round(&server.address, options.time).await {
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
        let body = case.bare_body();
        let (requests, took) = case.measure(&bare.address, &body, options.time).await?;
        if round > 0 {
            floor.push(requests as f64 / took.as_secs_f64());
        }
    }
    let rates = running.into_iter().map(|(kind, _, rates)| (kind, rates));
    table.compare(case, &floor, rates.collect());
    Ok(())
}
