//! The text format of Prometheus: families of samples, each with its help and type said once.

use std::fmt::{Display, Write};

/// What a family's samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// Samples of `_sum` and `_count`.
    Summary,
}

/// A family: its name, its type and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// The text so far. Samples may come in any order; those of one family end up together, and the
/// families in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Text {
    families: Vec<(Family, String)>,
}

impl Text {
    /// Adds a sample.
    pub(super) fn sample(&mut self, family: Family, labels: &[(&str, &str)], value: impl Display) {
        self.add(family, "", labels, value);
    }

    /// Adds a summary's two samples.
    pub(super) fn summary(
        &mut self,
        family: Family,
        labels: &[(&str, &str)],
        (sum, count): (impl Display, u64),
    ) {
        self.add(family, "_sum", labels, sum);
        self.add(family, "_count", labels, count);
    }

    fn add(&mut self, family: Family, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let known = self
            .families
            .iter()
            .position(|(known, _)| known.name == family.name);
        let place = known.unwrap_or_else(|| {
            self.families.push((family, String::new()));
            self.families.len() - 1
        });
        let out = &mut self.families[place].1;
        out.push_str(family.name);
        out.push_str(suffix);
        for (place, (name, value)) in labels.iter().enumerate() {
            out.push(if place == 0 { '{' } else { ',' });
            out.push_str(name);
            out.push_str("=\"");
            escape(out, value);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        writeln!(out, " {value}").expect("writing to memory does not fail");
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        let mut out = String::new();
        for (family, samples) in self.families {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Summary => "summary",
            };
            let (name, help) = (family.name, family.help);
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
                .expect("writing to memory does not fail");
            out.push_str(&samples);
        }
        out
    }
}

/// A label's value as it stands between its quotes.
fn escape(out: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stay_together_and_labels_are_escaped() {
        let family = |name, kind| Family {
            name,
            kind,
            help: "What it is.",
        };
        let (first, second) = (family("a_total", Kind::Counter), family("b", Kind::Summary));
        let mut text = Text::default();
        text.sample(first, &[("x", "1")], 5);
        text.summary(second, &[], (1.5, 2));
        text.sample(first, &[("x", "a\"b\\c\nd"), ("y", "é")], 6);
        let expected = "# HELP a_total What it is.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n\
                        a_total{x=\"a\\\"b\\\\c\\nd\",y=\"é\"} 6\n\
                        # HELP b What it is.\n# TYPE b summary\nb_sum 1.5\nb_count 2\n";
        assert_eq!(text.finish(), expected);
    }
}
