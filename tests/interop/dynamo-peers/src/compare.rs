//! Where a peer's answer differs from the emulator's, and whether that is known and meant.

use std::fmt;

use crate::canonical::{self, Canonical};
use crate::differences;
use crate::generate::requests::Step;

/// The two implementations that are asked beside the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Dynalite,
    Moto,
}

impl Peer {
    pub(crate) const ALL: [Self; 2] = [Self::Dynalite, Self::Moto];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dynalite => "dynalite",
            Self::Moto => "moto",
        }
    }
}

/// The first thing in which two answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aspect {
    /// One succeeds, the other does not; or other statuses.
    Outcome,
    /// Errors of other types.
    Kind,
    /// Errors of one type with other texts.
    Message,
    /// What else is in the answer.
    Body,
    /// Only how numbers are written.
    Numbers,
    Capacity,
    /// The rows after the request, where the answers were equal.
    State,
}

impl fmt::Display for Aspect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Outcome => "outcome",
            Self::Kind => "error type",
            Self::Message => "message",
            Self::Body => "body",
            Self::Numbers => "numbers as text",
            Self::Capacity => "capacity",
            Self::State => "stored row",
        })
    }
}

/// The first aspect in which `theirs` is not `ours`.
pub(crate) fn aspect(ours: &Canonical, theirs: &Canonical) -> Option<Aspect> {
    if ours.status != theirs.status {
        return Some(Aspect::Outcome);
    }
    if ours.kind != theirs.kind {
        return Some(Aspect::Kind);
    }
    if ours.message != theirs.message {
        return Some(Aspect::Message);
    }
    if ours.body != theirs.body {
        let equal = canonical::numbers(&ours.body) == canonical::numbers(&theirs.body);
        return Some(if equal { Aspect::Numbers } else { Aspect::Body });
    }
    (ours.capacity != theirs.capacity).then_some(Aspect::Capacity)
}

/// One answer, or one row, that differs.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    pub(crate) peer: Peer,
    pub(crate) aspect: Aspect,
    pub(crate) step: &'a Step,
    pub(crate) ours: &'a Canonical,
    pub(crate) theirs: &'a Canonical,
    /// Whether the table has indexes.
    pub(crate) indexed: bool,
}

/// What is to be thought of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Listed in docs/dynamodb-differences.md under this name.
    Known(&'static str),
    /// The other peer answers as the emulator does.
    Alone,
    Unexplained,
}

impl Difference<'_> {
    pub(crate) fn verdict(&self, other_agrees: bool) -> Verdict {
        match differences::find(self) {
            Some(class) => Verdict::Known(class.id),
            None if other_agrees => Verdict::Alone,
            None => Verdict::Unexplained,
        }
    }
}
