//! The figures as Markdown, and which goals they miss.

use std::fmt;

use crate::cases::Case;
use crate::figures::Figures;
use crate::servers::Kind;

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    weights: Vec<String>,
    rates: Vec<String>,
    goals: Vec<String>,
    pub(crate) missed: Vec<String>,
}

impl Table {
    pub(crate) fn weigh(&mut self, kind: Kind, start: Figures, installed: f64, resident: f64) {
        let name = kind.name();
        self.weights.push(format!(
            "| {name} | {start} | {installed:.1} | {resident:.1} |"
        ));
        if kind == Kind::Emulator {
            for (what, value, limit) in [
                ("start to first answer, ms", start.median, 50.0),
                ("binary, MB", installed, 15.0),
                ("idle memory, MB", resident, 20.0),
            ] {
                self.goal(
                    what,
                    &format!("{value:.1}"),
                    &format!("under {limit}"),
                    value < limit,
                );
            }
        }
    }

    /// Takes the rates of a case; the servers' are in requests per second, or why there are none.
    pub(crate) fn compare(
        &mut self,
        case: Case,
        floor: &[f64],
        rates: Vec<(Kind, Result<Vec<f64>, String>)>,
    ) {
        let name = case.name();
        let (share, multiple) = case.goals();
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
        self.goal(
            &format!("{name}, share of bare hyper"),
            &format!("{:.3}", against.median),
            &format!("at least {share}"),
            against.median >= share,
        );
        for (kind, rates) in rates {
            match rates {
                Ok(rates) => {
                    let against = ratio(&rates);
                    self.rates.push(format!(
                        "| {name} | {} | {} | {against} |",
                        kind.name(),
                        Figures::of(rates)
                    ));
                    if let (Kind::Ferrokinesis, Some(multiple)) = (kind, multiple) {
                        self.goal(
                            &format!("{name}, multiple of ferrokinesis"),
                            &format!("{:.1}", against.median),
                            &format!("at least {multiple}"),
                            against.median >= multiple,
                        );
                    }
                }
                Err(why) => {
                    let why = why.lines().next().unwrap_or_default().replace('|', "/");
                    self.rates
                        .push(format!("| {name} | {} | cannot: {why} | |", kind.name()));
                }
            }
        }
    }

    fn goal(&mut self, what: &str, value: &str, wanted: &str, is_reached: bool) {
        let outcome = if is_reached { "reached" } else { "MISSED" };
        let goal = format!("{what}: {value}, wanted {wanted}");
        self.goals
            .push(format!("| {what} | {value} | {wanted} | {outcome} |"));
        if !is_reached {
            self.missed.push(goal);
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
        writeln!(
            f,
            "\n| server | start to first answer, ms | installed, MB | idle memory, MB |"
        )?;
        writeln!(f, "|---|---:|---:|---:|")?;
        self.weights
            .iter()
            .try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(f, "\n| goal | measured | wanted | |")?;
        writeln!(f, "|---|---:|---:|---|")?;
        self.goals.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}
