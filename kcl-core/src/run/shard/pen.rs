//! The pen of one grant: it writes one thing at a time, and stays awake meanwhile.

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::decide::shard::Write;
use crate::port::{CommitError, Right};

/// The pen of the grant: the right, or the write that has it.
#[derive(Default)]
pub(super) struct Pen {
    pub(super) right: Option<Box<dyn Right>>,
    pub(super) writing: Option<(Writing, BoxFuture<'static, Written>)>,
}

/// A write that runs, and since when.
#[derive(Clone)]
pub(super) struct Writing {
    pub(super) write: Write,
    pub(super) since: Instant,
}

/// The right comes back with the outcome.
pub(super) type Written = (Box<dyn Right>, Result<(), CommitError>);

impl Pen {
    pub(super) const fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    pub(super) fn start(&mut self, write: Write) {
        let Some(mut right) = self.right.take() else {
            debug_assert!(
                false,
                "two writes at once, or one after the right was dropped"
            );
            return;
        };
        let writing = Writing {
            write: write.clone(),
            since: Instant::now(),
        };
        let run = Box::pin(async move {
            let result = match &write {
                Write::Commit(checkpoint) => right.commit(checkpoint).await,
                Write::Prepare(pending) => right.prepare(pending).await,
                Write::Finish(children) => right.finish(children).await,
                Write::Release => right.release().await,
            };
            (right, result)
        });
        self.writing = Some((writing, run));
    }

    /// The outcome of the write that runs. Cancel-safe; pending for ever if none runs.
    pub(super) async fn written(&mut self) -> (Writing, Result<(), CommitError>) {
        let Some((writing, run)) = &mut self.writing else {
            return std::future::pending().await;
        };
        let (right, result) = run.await;
        let writing = writing.clone();
        *self = Self {
            right: Some(right),
            writing: None,
        };
        (writing, result)
    }
}
