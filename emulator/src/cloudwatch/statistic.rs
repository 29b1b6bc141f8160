//! What a query asks of a period's values.

use super::series::Bucket;

/// A statistic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Statistic {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
    /// In percent.
    Percentile(f64),
}

/// The plain statistics, in the order of the service's model.
pub(super) const PLAIN: [(&str, Statistic); 5] = [
    ("SampleCount", Statistic::SampleCount),
    ("Average", Statistic::Average),
    ("Sum", Statistic::Sum),
    ("Minimum", Statistic::Minimum),
    ("Maximum", Statistic::Maximum),
];

/// How the statistics begin that the service has and the emulator does not: trimmed means and their
/// kin, and percentile ranks.
const NOT_BUILT: [&str; 10] = ["IQM", "PR", "TC", "TM", "TS", "WM", "tc", "tm", "ts", "wm"];

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Named {
    Built(Statistic),
    /// The service knows it.
    NotBuilt,
    Nothing,
}

impl Statistic {
    /// The plain statistic of a name.
    pub(super) fn plain(name: &str) -> Option<Self> {
        let found = PLAIN.iter().find(|(plain, _)| *plain == name);
        found.map(|(_, statistic)| *statistic)
    }

    /// The extended statistic of a name.
    pub(super) fn extended(name: &str) -> Named {
        if let Some(percent) = percent(name) {
            return Named::Built(Self::Percentile(percent));
        }
        if !NOT_BUILT.iter().any(|known| name.starts_with(known)) {
            return Named::Nothing;
        }
        tracing::warn!(
            statistic = name,
            "a statistic is asked for that is not built"
        );
        Named::NotBuilt
    }

    /// What it is of a period's values; none if too little is known of them.
    pub(super) fn of(self, bucket: &Bucket) -> Option<f64> {
        let summary = &bucket.summary;
        match self {
            Self::SampleCount => Some(summary.count),
            Self::Average => Some(summary.sum / summary.count),
            Self::Sum => Some(summary.sum),
            Self::Minimum => Some(summary.min),
            Self::Maximum => Some(summary.max),
            Self::Percentile(percent) => {
                let range = (summary.min, summary.max);
                bucket.values.percentile(percent, range)
            }
        }
    }

    pub(super) fn is_percentile(self) -> bool {
        matches!(self, Self::Percentile(_))
    }
}

/// The percentage of `p0` to `p100`, with up to ten decimals.
fn percent(name: &str) -> Option<f64> {
    let number = name.strip_prefix('p')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str, length_max: usize| {
        (1..=length_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(whole, 3) || !is_number(decimals, 10) {
        return None;
    }
    let percent: f64 = number.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_statistics_are_told_apart() {
        let percentile = |percent| Named::Built(Statistic::Percentile(percent));
        assert_eq!(Statistic::plain("Sum"), Some(Statistic::Sum));
        assert_eq!(Statistic::plain("sum"), None);
        assert_eq!(Statistic::extended("p99"), percentile(99.0));
        assert_eq!(Statistic::extended("p99.9"), percentile(99.9));
        assert_eq!(Statistic::extended("p100"), percentile(100.0));
        for name in ["tm99", "TM(10%:90%)", "PR(:300)", "IQM", "wm98", "TC(1:2)"] {
            assert_eq!(Statistic::extended(name), Named::NotBuilt, "{name}");
        }
        for name in [
            "",
            "p",
            "p-1",
            "p101",
            "p1e1",
            "p.5",
            "p5.",
            "Sum",
            "p99.12345678901",
            "pÿ",
        ] {
            assert_eq!(Statistic::extended(name), Named::Nothing, "{name}");
        }
    }
}
