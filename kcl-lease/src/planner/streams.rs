//! What the planner does about the streams of a worker of several: it sees to it that the table says which.

use kcl_core::error::{Error, ErrorKind};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Planner, UNUSED_LEASE_TIMES};
use crate::plan::view::View;
use crate::row::StreamSet;
use crate::store::{LeaseStore, Outcome, StoreError};

/// Resolves after a change of the streams; never if there is one for good.
pub(super) async fn changed(changes: Option<&Notify>) {
    match changes {
        Some(changes) => changes.notified().await,
        None => std::future::pending().await,
    }
}

/// Makes the row of a set of streams, unless there is one.
pub(crate) async fn add_streams<S: LeaseStore>(
    store: &S,
    set: &StreamSet,
) -> Result<(), StoreError> {
    match store.add_streams(set).await? {
        Outcome::Applied(()) => Ok(()),
        Outcome::Refused(Some(there)) if there == *set => Ok(()),
        Outcome::Refused(there) => {
            let message = format!(
                "row {:?} of the lease table is {there:?}",
                set.key().row_key()
            );
            Err(StoreError::Fatal(
                Error::new(ErrorKind::Data, message).with_hint(
                    "it should name the streams of this worker: delete it while no worker runs",
                ),
            ))
        }
    }
}

impl<S: LeaseStore> Planner<S> {
    /// Makes the row of the streams that this worker reads now, if they have changed, and lets the keeper
    /// refer to it.
    ///
    /// ORDER: the row before the reference, so that whoever sees the one finds the other.
    pub(super) async fn declare_streams(&self) -> Result<(), StoreError> {
        let Some(set) = self.holdings.streams() else {
            return Ok(());
        };
        if self.holdings.declared().as_ref() != Some(set.key()) {
            add_streams(self.store.as_ref(), &set).await?;
            self.holdings.declare(&set);
        }
        Ok(())
    }

    /// Makes the row of this worker's streams again if it is missing, and, if this worker keeps the watch, removes
    /// those that nobody has referred to for long. An old read makes it do so for nothing, and no more.
    pub(super) async fn see_to_streams(&self, view: &View) -> Result<(), StoreError> {
        let declared = self.holdings.declared();
        if let Some(set) = self.holdings.streams()
            && declared.as_ref() == Some(set.key())
            && view.rowless.contains(set.key())
        {
            add_streams(self.store.as_ref(), &set).await?;
        }
        if self.term.is_some() {
            let patience = self.settings.duration * UNUSED_LEASE_TIMES;
            for key in self.observer.unused_streams(Instant::now(), patience) {
                if declared.as_ref() != Some(&key) {
                    self.store.remove_streams(&key).await?;
                }
            }
        }
        Ok(())
    }
}
