//! The log of events, one line each: microseconds since 1970, who, what, and fields.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Writes to standard output. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<str>);

impl Journal {
    pub(crate) fn new(by: &str) -> Self {
        Self(by.into())
    }

    /// One event.
    pub(crate) fn note(&self, name: &str, fields: &[(&str, &dyn Display)]) {
        self.write(&self.line(name, fields));
    }

    /// The line of an event, with the time as it is.
    #[expect(
        clippy::disallowed_methods,
        reason = "all processes of the suite are on one machine and share its clock"
    )]
    pub(crate) fn line(&self, name: &str, fields: &[(&str, &dyn Display)]) -> String {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = since.unwrap_or(Duration::ZERO).as_micros();
        let mut line = format!("{micros} {} {name}", self.0);
        for (field, value) in fields {
            let value = value
                .to_string()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join("_");
            write!(line, " {field}={value}").expect("a text can always be written to");
        }
        line.push('\n');
        line
    }

    /// One write to the operating system, so that nothing of it is in this process when it dies.
    pub(crate) fn write(&self, lines: &str) {
        let mut out = std::io::stdout().lock();
        // Without its log this process is of no use, and a closed pipe means that the suite is over.
        out.write_all(lines.as_bytes())
            .and_then(|()| out.flush())
            .expect("the log of events can be written");
    }
}
