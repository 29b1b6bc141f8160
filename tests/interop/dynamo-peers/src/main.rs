//! Random requests to the emulator's DynamoDB, to dynalite and to moto, from a seed. Every answer is
//! compared in status, error type, text and body, and after every write the rows it touched. A
//! difference must be known (docs/dynamodb-differences.md), or one of the two must answer as the
//! emulator does; any other ends the run with 1 and is printed with what it takes to see it again.
//!
//! `tests/interop/dynamo-peers/run` installs and starts the servers and runs this.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its findings"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of JSON and of the types of values, a few matter at a time"
)]

mod canonical;
mod compare;
mod dice;
mod differences;
mod features;
mod generate;
mod report;
mod rows;
mod sequence;
mod servers;
mod wire;

use self::dice::Dice;
use self::features::Features;
use self::generate::tables::Shape;
use self::report::Report;
use self::rows::Rows;
use self::sequence::Sequence;
use self::servers::Servers;
use self::wire::Server;

pub(crate) type Error = Box<dyn std::error::Error>;

/// What the command line says.
#[derive(Debug, Default)]
struct Options {
    emulator: String,
    dynalite: String,
    moto: String,
    seed: u64,
    requests: u64,
    sequences: u64,
    features: Features,
    verbose: bool,
    patterns: bool,
}

fn main() -> Result<(), Error> {
    let options = options()?;
    let mut servers = Servers {
        ours: Server::new(&options.emulator),
        peers: [Server::new(&options.dynalite), Server::new(&options.moto)],
    };
    let mut report = Report::default();
    let mut seed = options.seed;
    let wanted = |report: &Report, seed: u64| {
        report.requests < options.requests && seed - options.seed < options.sequences
    };
    while wanted(&report, seed) {
        let mut dice = Dice::new(seed);
        let shape = Shape::random(&mut dice, format!("table-{seed}"), options.features.indexes);
        Sequence {
            servers: &mut servers,
            report: &mut report,
            dice,
            seed,
            features: options.features,
            shape,
            rows: Rows::default(),
            step: 0,
            verbose: options.verbose,
            ends: false,
        }
        .run()?;
        seed += 1;
    }
    println!("seeds {}..{seed}\n{report}", options.seed);
    if options.patterns {
        println!("{}", report.patterns());
    }
    if report.is_clean() {
        Ok(())
    } else {
        Err("there are differences that nobody explained".into())
    }
}

fn options() -> Result<Options, Error> {
    let mut options = Options {
        seed: 1,
        requests: 20_000,
        sequences: u64::MAX,
        ..Options::default()
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--verbose" => options.verbose = true,
            "--patterns" => options.patterns = true,
            _ => {
                let value = arguments.next().ok_or(format!("{name} wants a value"))?;
                match name.as_str() {
                    "--emulator" => options.emulator = value,
                    "--dynalite" => options.dynalite = value,
                    "--moto" => options.moto = value,
                    "--seed" => options.seed = value.parse()?,
                    "--requests" => options.requests = value.parse()?,
                    "--sequences" => options.sequences = value.parse()?,
                    "--without" => options.features.leave_out(&value)?,
                    _ => return Err(format!("{name} is not known").into()),
                }
            }
        }
    }
    Ok(options)
}
