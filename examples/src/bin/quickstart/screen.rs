//! What the user sees while it runs: on a terminal a bar and a line with the holders of the shards,
//! elsewhere one plain line a second. It goes to standard error; the table goes to standard output.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::fleet::{Fleet, WORKERS, name};
use crate::ledger::Ledger;
use crate::rate::Rate;

pub(crate) struct Screen {
    bars: Option<Bars>,
    started: Instant,
    last_line: Instant,
    rate: Rate,
    lines: u64,
}

struct Bars {
    all: MultiProgress,
    records: ProgressBar,
    holders: ProgressBar,
}

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(1);

impl Screen {
    pub(crate) fn new(lines: u64) -> Result<Self, indicatif::style::TemplateError> {
        let terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
        let bars = if terminal {
            Some(Bars::new(lines)?)
        } else {
            None
        };
        let now = Instant::now();
        Ok(Self {
            bars,
            started: now,
            last_line: now,
            rate: Rate::new(now),
            lines,
        })
    }

    /// One sentence of the story.
    pub(crate) fn say(&self, sentence: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let line = format!("{seconds:5.1} s  {sentence}");
        match &self.bars {
            Some(bars) => bars.records.println(line),
            None => plain(&line),
        }
    }

    /// Shows how things stand. Called ten times a second.
    pub(crate) fn show(&mut self, ledger: &Ledger, fleet: &Fleet) {
        let now = Instant::now();
        let delivered = ledger.distinct();
        self.rate.note(now, delivered);
        let (current, lines) = (self.rate.current(), self.lines);
        let plain_is_due = self.bars.is_none() && now >= self.last_line + LINE_EVERY;
        match &self.bars {
            Some(bars) => {
                bars.records.set_position(delivered);
                bars.records.set_message(format!("{current:.0} records/s"));
                bars.holders.set_message(holders(ledger, fleet));
            }
            None if plain_is_due => {
                self.last_line = now;
                self.say(&format!(
                    "{delivered} of {lines} delivered, {current:.0} records/s, {}",
                    holders(ledger, fleet)
                ));
            }
            None => {}
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the bar away. Answers the records of the best second.
    pub(crate) fn finish(self) -> f64 {
        if let Some(bars) = self.bars {
            bars.records.finish_and_clear();
            bars.holders.finish_and_clear();
            drop(bars.all);
        }
        self.rate.best()
    }
}

impl Bars {
    fn new(lines: u64) -> Result<Self, indicatif::style::TemplateError> {
        let all = MultiProgress::new();
        let records = all.add(ProgressBar::new(lines));
        records.set_style(ProgressStyle::with_template(
            "{bar:40.cyan/blue} {pos}/{len} records  {msg}",
        )?);
        let holders = all.add(ProgressBar::new_spinner());
        holders.set_style(ProgressStyle::with_template("{msg}")?);
        Ok(Self {
            all,
            records,
            holders,
        })
    }
}

/// `w1: 0 4   w2: killed   w3: 1 5 6`: workers and the numbers of their shards.
fn holders(ledger: &Ledger, fleet: &Fleet) -> String {
    let of = |number| {
        if !fleet.is_alive(number) {
            return format!("{}: killed", name(number));
        }
        let held = ledger.held_by(number);
        let shards: Vec<_> = held.iter().map(|shard| short(shard.name())).collect();
        format!(
            "{}: {}",
            name(number),
            if shards.is_empty() {
                "-".into()
            } else {
                shards.join(" ")
            }
        )
    };
    (0..WORKERS).map(of).collect::<Vec<_>>().join("   ")
}

/// `shardId-000000000004` is `4` here.
pub(crate) fn short(shard: &str) -> String {
    let digits = shard.trim_start_matches("shardId-").trim_start_matches('0');
    if digits.is_empty() {
        "0".to_owned()
    } else {
        digits.to_owned()
    }
}

/// A closed terminal is no reason to stop the demo.
fn plain(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
