//! When a failure of a background task is one to wait out, and when it ends the worker.

use std::time::Duration;

use kcl_core::error::{Error, ErrorKind};
use tokio::time::Instant;

use crate::store::StoreError;

/// Weighs the failures of one task.
///
/// An outage is waited out. What is gone, or makes no sense, ends the worker at once: going on
/// would mean to read the stream anew or to skip records. A refusal ends it when it lasts, because
/// permissions may be missing for a moment while credentials change.
#[derive(Debug)]
pub(crate) struct Trouble {
    patience: Duration,
    refused_since: Option<Instant>,
}

impl Trouble {
    /// Refusals end the worker after `patience`.
    pub(crate) const fn new(patience: Duration) -> Self {
        Self {
            patience,
            refused_since: None,
        }
    }

    /// It works again.
    pub(crate) const fn over(&mut self) {
        self.refused_since = None;
    }

    /// Logs what can be waited out; hands back what cannot.
    pub(crate) fn weigh(&mut self, what: &'static str, failure: StoreError) -> Result<(), Error> {
        match failure {
            StoreError::Unavailable(error) => {
                tracing::warn!(%error, "{what} for the moment");
                Ok(())
            }
            StoreError::Fatal(error) => {
                let now = Instant::now();
                let since = *self.refused_since.get_or_insert(now);
                let may_pass = matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid);
                if may_pass && now.duration_since(since) < self.patience {
                    tracing::error!(%error, "{what}");
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }
}
