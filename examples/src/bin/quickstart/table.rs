//! The last thing the user sees: what went in, what came out, and whether that is the same.

use std::fmt;

use crate::check::Verdict;
use crate::fleet::LEASE;
use crate::input::Input;
use crate::ledger::{Failover, Ledger};
use crate::story::Outcome;

pub(crate) struct Table<'a> {
    pub(crate) input: &'a Input,
    pub(crate) ledger: &'a Ledger,
    pub(crate) outcome: &'a Outcome,
    pub(crate) verdict: &'a Verdict,
}

/// What, how much, and what to know about it.
struct Row(&'static str, String, String);

impl Table<'_> {
    fn rows(&self) -> Vec<Row> {
        let Self {
            input,
            ledger,
            outcome,
            verdict,
        } = self;
        let seconds = outcome.flow.as_secs_f64();
        let average = ledger.distinct() as f64 / seconds.max(0.001);
        let best = grouped(outcome.best_rate as u64);
        let origin = match verdict.cut {
            0 => input.origin.clone(),
            cut => format!(
                "{}; {cut} over 1 MiB, each counted as several",
                input.origin
            ),
        };
        let plain = |name, number| Row(name, grouped(number), String::new());
        let mut rows = vec![
            Row("lines in", grouped(verdict.records), origin),
            Row(
                "delivered",
                grouped(ledger.distinct()),
                "each counted once".to_owned(),
            ),
            Row(
                "duplicates",
                grouped(ledger.duplicates()),
                "again after the kill".to_owned(),
            ),
            plain("lost", verdict.lost),
            plain("order violations", verdict.out_of_order),
            failover(&outcome.failover),
            Row(
                "records/s",
                grouped(average as u64),
                format!("slowed down to be watched; best second {best}"),
            ),
            Row("seconds", format!("{seconds:.1}"), String::new()),
        ];
        if verdict.foreign > 0 {
            rows.push(plain("not in the input", verdict.foreign));
        }
        if !verdict.changed.is_empty() {
            let changed = verdict.changed.len() as u64;
            rows.push(Row(
                "files changed",
                grouped(changed),
                verdict.changed.join(", "),
            ));
        }
        rows
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for Row(name, value, note) in self.rows() {
            let line = format!("  {name:<18}{value:>10}   {note}");
            writeln!(f, "{}", line.trim_end())?;
        }
        let judgement = if self.verdict.is_good() {
            "Every line arrived, in order: compared with a second reading of the input."
        } else if self.verdict.changed.is_empty() {
            "FAILED: what arrived is not what a second reading of the input finds."
        } else {
            "FAILED: files changed while they were read, so nothing is proven: run it again."
        };
        writeln!(f, "\n  {judgement}")
    }
}

fn failover(failover: &Failover) -> Row {
    let held = failover.held_after();
    let shards = match failover.shards() {
        1 => "1 shard".to_owned(),
        many => format!("{many} shards"),
    };
    let flows = match failover.flows_after() {
        Some(time) => format!("records again after {:.1} s", time.as_secs_f64()),
        None => "no records were left in them".to_owned(),
    };
    Row(
        "failover seconds",
        held.map_or_else(
            || "-".to_owned(),
            |time| format!("{:.1}", time.as_secs_f64()),
        ),
        format!("{shards}, lease of {} s; {flows}", LEASE.as_secs()),
    )
}

/// 1234567 is 1,234,567 here.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
