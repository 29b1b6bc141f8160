//! The handle with which a program says how records are to come. Owned by the source, watched by its
//! feeds, each of which changes at its own cursor.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::Retrieval;
use tokio::sync::Notify;

/// Changes how the shards of a worker are read, while it runs. Clones are the same switch.
///
/// Every shard goes on exactly where it was: no record is left out and none comes twice. From fan-out to
/// polling takes a moment. Back it may take up to five seconds, if a subscription of the shard was
/// accepted just before.
///
/// The registered consumer is not touched: it costs money while it is registered, subscribed to or not.
/// See [`FanOut::deregister`](crate::FanOut::deregister).
#[derive(Clone)]
pub struct Switch(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct State {
    wanted: Retrieval,
    has_fallback: bool,
}

impl Switch {
    pub(crate) fn new() -> Self {
        let state = State {
            wanted: Retrieval::FanOut,
            has_fallback: false,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// From now on, records are to come this way.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for polling, if the source was given no fallback to poll with.
    pub fn to(&self, wanted: Retrieval) -> Result<(), Error> {
        let mut state = self.state();
        match wanted {
            Retrieval::Polling if !state.has_fallback => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "this source cannot poll: it has no fallback",
                )
                .with_hint("give it one by FanOut::with_fallback(Polling::new(..))"));
            }
            Retrieval::Polling | Retrieval::FanOut => state.wanted = wanted,
        }
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// How records are to come. A shard may still be polled because fan-out fails for it: that is the
    /// event `RetrievalChanged`.
    #[must_use]
    pub fn wanted(&self) -> Retrieval {
        self.state().wanted
    }

    pub(crate) fn has_fallback(&self) -> bool {
        self.state().has_fallback
    }

    pub(crate) fn allow_polling(&self) {
        self.state().has_fallback = true;
    }

    /// Waits until something else is wanted.
    pub(crate) async fn differs_from(&self, wanted: Retrieval) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if self.wanted() != wanted {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Switch").field(&self.wanted()).finish()
    }
}
