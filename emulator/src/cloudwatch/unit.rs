//! The units that data come in.

/// One of [`UNITS`]; ordered by name, as the service lists several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit(&'static str);

/// All of them, in the order of the service's model.
pub(super) const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

impl Unit {
    /// That of data that come without one.
    pub(super) const NONE: Self = Self("None");

    pub(super) fn parse(name: &str) -> Option<Self> {
        let found = UNITS.iter().find(|unit| **unit == name);
        found.map(|unit| Self(unit))
    }

    pub(super) fn name(self) -> &'static str {
        self.0
    }
}
