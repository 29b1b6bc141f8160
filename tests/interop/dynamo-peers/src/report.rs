//! What the run adds up to: requests by operation and outcome, differences by class, and every
//! difference that nobody explained, with what it takes to see it again.

use std::collections::BTreeMap;
use std::fmt;

use crate::compare::{Aspect, Difference, Peer, Verdict};

/// Reproducers that are printed; the others are counted.
const REPRODUCERS_MAX: usize = 60;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    operations: BTreeMap<&'static str, BTreeMap<String, u64>>,
    broken: u64,
    known: BTreeMap<&'static str, u64>,
    alone: BTreeMap<(Peer, Aspect), u64>,
    patterns: BTreeMap<String, (u64, String)>,
    unexplained: BTreeMap<String, (u64, String)>,
    both_agree: u64,
    one_agrees: u64,
}

impl Report {
    pub(crate) fn request(&mut self, operation: &'static str, outcome: &str, broken: bool) {
        self.requests += 1;
        self.broken += u64::from(broken);
        let outcomes = self.operations.entry(operation).or_default();
        let outcome = if outcome.is_empty() {
            "success"
        } else {
            outcome
        };
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    pub(crate) fn agreement(&mut self, peers: usize) {
        self.both_agree += u64::from(peers == 2);
        self.one_agrees += u64::from(peers == 1);
    }

    pub(crate) fn difference(
        &mut self,
        found: &Difference<'_>,
        verdict: Verdict,
        reproducer: &str,
    ) {
        let pattern = pattern(found);
        match verdict {
            Verdict::Known(id) => *self.known.entry(id).or_default() += 1,
            Verdict::Alone => {
                *self.alone.entry((found.peer, found.aspect)).or_default() += 1;
                let seen = self.patterns.entry(pattern);
                seen.or_insert_with(|| (0, reproducer.to_owned())).0 += 1;
            }
            Verdict::Unexplained => {
                let seen = self.unexplained.entry(pattern);
                seen.or_insert_with(|| (0, reproducer.to_owned())).0 += 1;
            }
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.unexplained.is_empty()
    }

    /// The differences of a peer that stands alone, the most frequent first.
    pub(crate) fn patterns(&self) -> String {
        ranked(&self.patterns)
            .map(|(what, (count, example))| format!("{count:6}  {what}\n{example}\n"))
            .collect()
    }
}

fn ranked(
    all: &BTreeMap<String, (u64, String)>,
) -> impl Iterator<Item = (&String, &(u64, String))> {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    all.into_iter()
}

/// What differences of one kind have in common: the texts without what is quoted or named in them.
fn pattern(found: &Difference<'_>) -> String {
    let side = |answer: &crate::canonical::Canonical| {
        let mut words: String = answer.message.chars().take(150).collect();
        if let Some((before, _)) = words
            .split_once("; ")
            .filter(|_| answer.message.starts_with("Invalid "))
        {
            words = before.to_owned();
        }
        let words: String = words
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        format!("{} {} {words}", answer.status, answer.kind)
    };
    format!(
        "{} {} {}: ours <{}> theirs <{}>",
        found.peer.name(),
        found.step.operation,
        found.aspect,
        side(found.ours),
        side(found.theirs)
    )
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "requests: {}, of these broken on purpose: {}",
            self.requests, self.broken
        )?;
        writeln!(
            out,
            "both peers agree: {}, one does: {}",
            self.both_agree, self.one_agrees
        )?;
        writeln!(out, "\nby operation and outcome of the emulator:")?;
        for (operation, outcomes) in &self.operations {
            let all: u64 = outcomes.values().sum();
            let outcomes: Vec<_> = outcomes
                .iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            writeln!(out, "{all:7}  {operation}: {}", outcomes.join(", "))?;
        }
        writeln!(out, "\nknown differences (docs/dynamodb-differences.md):")?;
        for (id, count) in &self.known {
            writeln!(out, "{count:7}  {id}")?;
        }
        writeln!(
            out,
            "\none peer alone, the other answers as the emulator does:"
        )?;
        for ((peer, aspect), count) in &self.alone {
            writeln!(out, "{count:7}  {} in {aspect}", peer.name())?;
        }
        let count: u64 = self.unexplained.values().map(|(count, _)| count).sum();
        writeln!(
            out,
            "\nunexplained: {count} of {} kinds",
            self.unexplained.len()
        )?;
        let mut shown = std::collections::BTreeSet::new();
        for (pattern, (count, reproducer)) in ranked(&self.unexplained).take(REPRODUCERS_MAX) {
            writeln!(out, "{count:7}  {pattern}")?;
            if shown.insert(reproducer) {
                writeln!(out, "{reproducer}")?;
            }
        }
        Ok(())
    }
}
