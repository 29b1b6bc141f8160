//! The figures as Markdown, and which goals they miss.

use std::fmt;

use crate::cases::Case;
use crate::figures::Figures;
use crate::servers::Kind;

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rates: Vec<String>,
    goals: Vec<String>,
    pub(crate) missed: Vec<String>,
}

impl Table {
    /// Takes the rates of a case; the servers' are in requests per second, or why there are none.
    pub(crate) fn compare(
        &mut self,
        case: Case,
        floor: &[f64],
        rates: Vec<(Kind, Result<Vec<f64>, String>)>,
    ) {
        let name = case.name();
        let own = match rates.first() {
            Some((Kind::Emulator, Ok(own))) => own.clone(),
            _ => Vec::new(),
        };
        let ratio = |others: &[f64]| {
            let pairs = own.iter().zip(others).map(|(own, other)| own / other);
            Figures::of(pairs.collect())
        };
        let against = ratio(floor);
        self.rates.push(format!(
            "| {name} | bare hyper | {} | {:.3} ({:.3}–{:.3}) |",
            Figures::of(floor.to_vec()),
            against.median,
            against.least,
            against.most
        ));
        for (kind, rates) in rates {
            let against = match rates {
                Ok(rates) => {
                    let against = ratio(&rates);
                    let rates = Figures::of(rates);
                    let row = format!("| {name} | {} | {rates} | {against} |", kind.name());
                    self.rates.push(row);
                    against.median
                }
                Err(why) => {
                    let why = why.lines().next().unwrap_or_default().replace('|', "/");
                    self.rates
                        .push(format!("| {name} | {} | cannot: {why} | |", kind.name()));
                    f64::NAN
                }
            };
            if let (Kind::Dynalite, Some(goal)) = (kind, case.goal()) {
                self.goal(name, against, goal);
            }
        }
    }

    fn goal(&mut self, name: &str, ratio: f64, goal: f64) {
        let is_reached = ratio >= goal;
        let outcome = if is_reached { "reached" } else { "MISSED" };
        self.goals.push(format!(
            "| {name}, multiple of dynalite | {ratio:.1} | at least {goal} | {outcome} |"
        ));
        if !is_reached {
            self.missed
                .push(format!("{name}: {ratio:.1} times dynalite, wanted {goal}"));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| request | server | per second | ratio: this emulator to it |"
        )?;
        writeln!(f, "|---|---|---:|---:|")?;
        self.rates.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(f, "\n| goal | measured | wanted | |")?;
        writeln!(f, "|---|---:|---:|---|")?;
        self.goals.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}
