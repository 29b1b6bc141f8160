//! The trace of a run: one line for each event, with its virtual time, folded into a hash.
//!
//! Two runs of one seed must give the same hash, in one process or in two. Called by
//! [`History`](super::History) only.

use std::fmt::{self, Write};
use std::hash::Hasher;
use std::time::Duration;

/// Folds lines into a hash, and prints them when asked to.
pub struct Trace {
    hash: Fold,
    lines: u64,
    show: Option<fn(&str)>,
}

impl Trace {
    /// An empty trace. `show` gets every line.
    #[must_use]
    pub fn new(show: Option<fn(&str)>) -> Self {
        Self {
            hash: Fold(std::hash::DefaultHasher::new()),
            lines: 0,
            show,
        }
    }

    /// Adds one line.
    pub fn add(&mut self, at: Duration, line: &impl fmt::Display) {
        self.lines += 1;
        if let Some(show) = self.show {
            show(&format!("{:>11.6} {line}", at.as_secs_f64()));
        }
        writeln!(self.hash, "{} {line}", at.as_nanos()).expect("a hash takes any text");
    }

    /// The hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.0.finish()
    }

    /// How many lines there are.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// `DefaultHasher::new` has fixed keys, unlike a `HashMap`'s.
struct Fold(std::hash::DefaultHasher);

impl Write for Fold {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_the_lines_their_order_and_their_times() {
        let hash = |lines: &[(u64, &str)]| {
            let mut trace = Trace::new(None);
            for (at, line) in lines {
                trace.add(Duration::from_millis(*at), line);
            }
            trace.hash()
        };
        let one = hash(&[(1, "a"), (2, "b")]);
        assert_eq!(one, hash(&[(1, "a"), (2, "b")]));
        assert_ne!(one, hash(&[(1, "b"), (2, "a")]));
        assert_ne!(one, hash(&[(1, "a"), (3, "b")]));
    }
}
