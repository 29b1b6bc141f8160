//! Which metrics are kept for each shard of a stream. Pure; the metrics themselves are kept elsewhere.

/// The names, in the order of the service's model.
pub(crate) const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
];

/// A set of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Monitored(u8);

impl Monitored {
    /// The set of some names; `ALL` stands for every one of them, a name that is none for nothing.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let bit = |name: &str| match METRICS.iter().position(|metric| *metric == name) {
            Some(place) => 1 << place,
            None if name == "ALL" => (1 << METRICS.len()) - 1,
            None => 0,
        };
        Self(names.map(bit).fold(0, |set, bit| set | bit))
    }

    pub(crate) fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    pub(crate) fn without(self, fewer: Self) -> Self {
        Self(self.0 & !fewer.0)
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a metric is in it.
    pub(crate) fn has(self, name: &str) -> bool {
        self.0 & Self::of(std::iter::once(name)).0 != 0
    }

    /// The names in it.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let is_in = |place: usize| self.0 & 1 << place != 0;
        let metrics = METRICS.iter().enumerate();
        let names = metrics.filter(|(place, _)| is_in(*place));
        names.map(|(_, name)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_made_joined_and_parted() {
        let two = Monitored::of(["OutgoingBytes", "IncomingBytes", "?"].into_iter());
        assert_eq!(two.names(), ["IncomingBytes", "OutgoingBytes"]);
        assert!(two.has("OutgoingBytes") && !two.has("OutgoingRecords") && !two.has("?"));
        assert!(!two.is_empty() && Monitored::default().is_empty());
        let all = Monitored::of(["ALL"].into_iter());
        assert_eq!(all.names(), METRICS);
        assert_eq!(all.without(two).with(two), all);
        assert_eq!(two.without(all), Monitored::default());
    }
}
