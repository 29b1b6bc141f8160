//! The one place where user code runs. Errors and panics come out as values, one call at a time,
//! and the processor always comes back, even from a call that is cancelled.
//!
//! Called by `run::shard` only, which decides nothing either.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::{Error, ErrorKind};
use crate::event::{self, FailureCause};
use crate::model::{Batch, ShardId};
use crate::port::{BoxError, Checkpointer, Failed, ProcessorResult, RecordProcessor, ShardContext};

/// Makes a processor for a shard.
pub(crate) type Factory = Arc<dyn Fn(&ShardContext) -> Box<dyn RecordProcessor> + Send + Sync>;

/// Which callback.
#[derive(Debug)]
pub(crate) enum Callback {
    Initialize,
    Process(Batch),
    ShardEnded,
    ShutdownRequested,
    LeaseLost,
}

impl Callback {
    pub(crate) const fn kind(&self) -> event::Callback {
        match self {
            Self::Initialize => event::Callback::Initialize,
            Self::Process(_) => event::Callback::ProcessRecords,
            Self::ShardEnded => event::Callback::ShardEnded,
            Self::ShutdownRequested => event::Callback::ShutdownRequested,
            Self::LeaseLost => event::Callback::LeaseLost,
        }
    }
}

/// What a callback is handed.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    pub(crate) context: Arc<ShardContext>,
    pub(crate) checkpointer: Checkpointer,
}

/// The user's processor of one shard, and the call that runs in it.
pub(crate) struct UserCode {
    /// Nothing if there is a handler instead.
    factory: Option<Factory>,
    /// How long a call with records may take.
    call_max: Option<Duration>,
    shelf: Shelf,
    running: Option<BoxFuture<'static, Result<(), Error>>>,
}

/// Where the processor stands while no call has it.
type Shelf = Arc<Mutex<Option<Box<dyn RecordProcessor>>>>;

impl UserCode {
    pub(crate) fn new(factory: Option<Factory>, call_max: Option<Duration>) -> Self {
        Self {
            factory,
            call_max,
            shelf: Shelf::default(),
            running: None,
        }
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts a call. `Initialize` makes a new processor first.
    pub(crate) fn start(&mut self, callback: Callback, handed: Handed) {
        debug_assert!(self.running.is_none(), "two calls at once");
        let is_first = matches!(callback, Callback::Initialize);
        let factory = self.factory.clone().filter(|_| is_first);
        let is_bounded = matches!(callback, Callback::Process(_));
        let call_max = self.call_max.filter(|_| is_bounded);
        let shelf = self.shelf.clone();
        let name = callback.kind().name();
        let shard = handed.context.shard.clone();
        self.running = Some(Box::pin(async move {
            // A processor that panicked is never called again, so nobody sees what it left broken.
            let call = call(factory, shelf, callback, handed);
            let outcome = guarded(name, &shard, call_max, call).await;
            outcome.map_err(|failed| failed.error)
        }));
    }

    /// The outcome of the call that runs. Cancel-safe; pending for ever if none runs.
    pub(crate) async fn outcome(&mut self) -> Result<(), Error> {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let outcome = Pin::new(running).await;
        self.running = None;
        outcome
    }

    /// Cancels the call that runs. Its processor is kept.
    pub(crate) fn cancel(&mut self) {
        let running = self.running.take();
        drop_quietly(running);
    }

    /// Drops the processor, and the call that runs in it.
    pub(crate) fn drop_processor(&mut self) {
        self.cancel();
        let processor = self
            .shelf
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop_quietly(processor);
    }
}

impl Drop for UserCode {
    fn drop(&mut self) {
        self.drop_processor();
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCode")
            .field("running", &self.is_running())
            .finish_non_exhaustive()
    }
}

/// A processor in the hands of a call. It goes back to its shelf however the call ends.
struct Seat {
    processor: Option<Box<dyn RecordProcessor>>,
    shelf: Shelf,
}

impl Drop for Seat {
    fn drop(&mut self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = self.processor.take();
    }
}

async fn call(
    factory: Option<Factory>,
    shelf: Shelf,
    callback: Callback,
    handed: Handed,
) -> ProcessorResult {
    let Handed {
        context,
        checkpointer,
    } = &handed;
    let processor = match factory {
        Some(make) => Some(make(context)),
        None => shelf.lock().unwrap_or_else(PoisonError::into_inner).take(),
    };
    let mut seat = Seat { processor, shelf };
    let Some(processor) = &mut seat.processor else {
        return Err("there is no processor to call".into());
    };
    match &callback {
        Callback::Initialize => processor.initialize(context).await,
        Callback::Process(batch) => {
            processor
                .process_records(context, batch, checkpointer)
                .await
        }
        Callback::ShardEnded => processor.shard_ended(context, checkpointer).await,
        Callback::ShutdownRequested => processor.shutdown_requested(context, checkpointer).await,
        Callback::LeaseLost => {
            processor.lease_lost(context).await;
            Ok(())
        }
    }
}

/// Runs user code. An error, a panic and a call that takes too long come out as values.
pub(crate) async fn guarded<T>(
    name: &str,
    shard: &ShardId,
    call_max: Option<Duration>,
    call: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, Failed> {
    let call = AssertUnwindSafe(call).catch_unwind();
    let outcome = match call_max {
        Some(call_max) => match tokio::time::timeout(call_max, call).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let what = format!("did not come back within {call_max:?}, and was cancelled");
                return Err(Failed {
                    cause: FailureCause::TimedOut,
                    error: failure(name, shard, &what),
                });
            }
        },
        None => call.await,
    };
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failed {
            cause: FailureCause::Error,
            error: failure(name, shard, "failed").with_source(error),
        }),
        Err(panic) => {
            let what = format!("panicked: {}", panic_text(panic.as_ref()));
            Err(Failed {
                cause: FailureCause::Panic,
                error: failure(name, shard, &what),
            })
        }
    }
}

fn failure(callback: &str, shard: &ShardId, what: &str) -> Error {
    Error::new(
        ErrorKind::Processor,
        format!("{callback} of shard {shard} {what}"),
    )
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

/// User code may panic in its destructors as well.
fn drop_quietly<T>(value: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(value))).is_err() {
        tracing::warn!("the processor panicked while it was dropped");
    }
}
