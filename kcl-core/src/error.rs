//! The crate's error: opaque, with a kind that says what the caller should do.

use std::fmt;

use crate::model::ShardId;

/// What happened, coarse enough to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, a name or an argument is not valid. Correct it; trying again changes nothing.
    Invalid,
    /// There are no usable credentials, or they lack a permission. Correct them.
    Denied,
    /// The stream, shard or table is not there. Create it, or correct its name.
    NotFound,
    /// Nothing answers, or not for now. The library already retried within its budget.
    Unavailable,
    /// Another worker holds this shard now. Stop; do not retry.
    Fenced,
    /// The processor failed or panicked, and the policy says to stop.
    Processor,
    /// What the service or the table holds makes no sense. Report it.
    Data,
    /// A defect of this library. Report it.
    Internal,
}

/// Anything that this crate and the ones built on it can fail with.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind. The message says what was wrong, without its cause.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            source: None,
        }))
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What happened, to act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind == ErrorKind::Unavailable
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The message, the hint and every cause in one line: [`chain`] of this error.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }

    pub(crate) fn fenced(shard: &ShardId) -> Self {
        Self::new(
            ErrorKind::Fenced,
            format!("the lease of shard {shard} is no longer held by this worker"),
        )
    }
}

/// Any error and every cause of it in one line, for logs and for the last words of a program. A cause
/// that the line already says is left out, because many errors repeat their cause.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let text = cause.to_string();
        let text = text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// One thing that is wrong with the settings. `build` returns all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, as the user writes it, such as `poll.records_max`.
    pub setting: String,
    /// What is wrong and what would be right.
    pub rule: String,
}

impl Problem {
    /// A problem with one setting.
    #[must_use]
    pub fn new(setting: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_cause_once_and_on_one_line() {
        let inner = std::io::Error::other("connection refused");
        let outer = Error::new(ErrorKind::Unavailable, "nothing answers")
            .with_hint("check the endpoint")
            .with_source(inner);
        assert_eq!(
            outer.chain(),
            "nothing answers; check the endpoint: connection refused"
        );
        assert_eq!(chain(&std::io::Error::other("once")), "once");
        let lists = Error::new(ErrorKind::Denied, "no credentials")
            .with_source(std::io::Error::other("tried:\n  this\n  that"));
        assert_eq!(lists.chain(), "no credentials: tried:; this; that");
    }
}
