//! Names a user gives: application, stream, worker. Parsed once, at the edge.

use std::fmt;
use std::sync::Arc;

/// A name that the service or the lease table would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $rule:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the name and keeps it.
            ///
            /// # Errors
            /// If it is empty, too long, or has a character that is not allowed.
            pub fn new(value: impl AsRef<str>) -> Result<Self, InvalidName> {
                let value = value.as_ref();
                let allowed: fn(char) -> bool = $allowed;
                if value.is_empty() || value.chars().count() > $max || !value.chars().all(allowed) {
                    return Err(InvalidName { what: $what, value: value.to_owned(), rule: $rule });
                }
                Ok(Self(value.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                Self::new(value)
            }
        }
    };
}

name!(
    /// The name of a stream: 1 to 128 of `a-z A-Z 0-9 _ . -` (the service's own rule).
    StreamName, "stream name", 128, "it must be 1 to 128 of the characters a-z A-Z 0-9 _ . -",
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
);
name!(
    /// The name of an application: all workers of one application share its leases.
    ///
    /// It names the lease table unless another name is set, so DynamoDB's rule for table names
    /// holds but for the lower bound of three characters, which the lease store checks.
    ApplicationName, "application name", 255, "it must be 1 to 255 of the characters a-z A-Z 0-9 _ . -",
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
);
name!(
    /// The name of a worker, unique among the running workers of an application.
    WorkerId, "worker id", 256, "it must be 1 to 256 printable characters without spaces",
    |c| !c.is_control() && !c.is_whitespace()
);

/// The number of a grant. A later grant of the same shard always has a larger one.
///
/// It is the fencing token to carry into a sink of your own: a sink that remembers the largest
/// epoch it has seen for a shard and refuses smaller ones cannot be written by a worker that has
/// lost the shard without knowing it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, for example to store beside the data.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_rules_are_refused_with_the_rule() {
        for bad in ["", "a b", "ü", &"x".repeat(129)] {
            let error = StreamName::new(bad).unwrap_err().to_string();
            assert!(error.contains("1 to 128"), "{error}");
        }
        assert_eq!(
            StreamName::new("orders-1.eu_west").unwrap().as_str(),
            "orders-1.eu_west"
        );
    }
}
