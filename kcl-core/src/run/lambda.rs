//! The door to functions written for Lambda: batches become invocations, and what a function says becomes the
//! engine's words. One for each shard.
//!
//! * here: one invocation for one batch, whatever the function is.
//! * `windows`: invocations with tumbling windows.
//! * `service`: functions in this process; `turns`: who of all shards and lanes may call one now; `rooms`: where their
//!   events are put. `process`: functions in processes of their own.

mod process;
mod rooms;
mod service;
mod turns;
mod windows;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

pub(crate) use self::process::Processes;
pub(crate) use self::service::InProcess;
use self::windows::Windowed;
use super::door::{Handler, Terms};
use super::guard::guarded;
use crate::decide::lanes::Weigh;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::event::FailureCause;
use crate::lambda::event::{EncodedLen, uuid};
use crate::lambda::mapping::{Mapping, TooLargeRecord};
use crate::lambda::response::{Verdict, judge};
use crate::model::{Record, ShardId};
use crate::port::{BoxError, Failed, HandlerBatch, HandlerContext, Hold, Outcome};

/// A function, however it is run.
pub(crate) trait Function: Send + Sync {
    /// Invokes it. Dropping the future cuts it off.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Said, BoxError>>;

    /// How long [`invoke`](Self::invoke) may take; nothing if it sees to that by itself.
    fn timeout(&self) -> Option<Duration>;
}

/// Records for a function.
pub(crate) struct Invocation {
    request_id: String,
    /// When it will be cut off, by the wall clock.
    deadline: SystemTime,
    lane: usize,
    shard: ShardId,
    event: Event,
}

/// What a function is invoked with.
pub(crate) enum Event {
    /// Records, to be put into whatever form is wanted.
    Records(Arc<Vec<Record>>),
    /// An event as it is sent.
    Json(Bytes),
}

/// What came of an invocation.
pub(crate) enum Said {
    /// The function succeeded, and this is its response. Empty if nobody reads it.
    Response(Bytes),
    /// The function failed.
    Failed(FailureCause, BoxError),
    /// The function was not reached.
    NotInvoked(BoxError),
}

/// Why there is no response.
enum Failing {
    Failed(Failed),
    NotInvoked(Failed),
}

/// The function of a mapping, for one shard.
pub(crate) struct LambdaDoor(Arc<ShardFunction>);

struct ShardFunction {
    mapping: Arc<Mapping>,
    function: Arc<dyn Function>,
    windowed: Option<Windowed>,
    env: Env,
    ids: Mutex<fastrand::Rng>,
}

impl LambdaDoor {
    pub(crate) fn new(mapping: Arc<Mapping>, function: Arc<dyn Function>, env: &Env) -> Self {
        Self(Arc::new(ShardFunction {
            windowed: Windowed::new(&mapping.settings),
            mapping,
            function,
            env: env.clone(),
            ids: Mutex::new(env.rng()),
        }))
    }
}

impl Handler for LambdaDoor {
    fn call(&self, batch: HandlerBatch, _: Terms) -> BoxFuture<'static, Outcome> {
        let function = self.0.clone();
        async move {
            match &function.windowed {
                Some(windowed) => function.handle_windows(windowed, batch).await,
                None => function.handle(batch).await,
            }
        }
        .boxed()
    }

    fn is_by_record(&self) -> bool {
        false
    }

    fn brings_back(&self) -> bool {
        false
    }

    fn hold(&self) -> Option<Hold> {
        self.0.windowed.as_ref().and_then(Windowed::hold)
    }

    fn weigh(&self, shard: &ShardId) -> Option<Weigh> {
        let mapping = &self.0.mapping;
        let len = EncodedLen::new(&mapping.source, shard);
        let heaviest = match mapping.settings.too_large_record {
            TooLargeRecord::GiveUp => usize::MAX,
            // It fills a batch, and so comes alone.
            TooLargeRecord::Invoke => mapping.records_bytes_max(),
        };
        Some(Arc::new(move |record| len.of(record).min(heaviest)))
    }
}

impl ShardFunction {
    /// One invocation for a batch.
    async fn handle(&self, batch: HandlerBatch) -> Outcome {
        let event = Event::Records(batch.records.clone());
        match self.invoke(&batch.context, event).await {
            Ok(body) if self.mapping.reads_response() => {
                let verdict = judge(&body, &batch.records);
                reported(verdict, 0, batch.context.shard.shard())
            }
            Ok(_) => Outcome::Done,
            Err(Failing::Failed(failed)) => Outcome::FailedFrom(0, failed),
            Err(Failing::NotInvoked(failed)) => Outcome::NotTried(0, failed),
        }
    }

    async fn invoke(&self, context: &HandlerContext, event: Event) -> Result<Bytes, Failing> {
        let shard = context.shard.shard();
        let invocation = Invocation {
            request_id: uuid(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner)),
            deadline: self.env.wall() + self.mapping.function.timeout,
            lane: context.lane,
            shard: shard.clone(),
            event,
        };
        // Inside of the guard from the first step on: the user's service may panic before it has made a future.
        let call = async { self.function.invoke(invocation).await };
        match guarded("the function", shard, self.function.timeout(), call).await {
            Ok(Said::Response(body)) => Ok(body),
            Ok(Said::Failed(cause, source)) => {
                let error = failure(shard, "failed").with_source(source);
                Err(Failing::Failed(Failed { cause, error }))
            }
            Ok(Said::NotInvoked(source)) => {
                let error = failure(shard, "could not be invoked").with_source(source);
                let cause = FailureCause::NotTried;
                Err(Failing::NotInvoked(Failed { cause, error }))
            }
            Err(failed) => Err(Failing::Failed(failed)),
        }
    }
}

/// What a report means to the engine, about the records behind so many that are done.
fn reported(verdict: Verdict, done: usize, shard: &ShardId) -> Outcome {
    let (from, what) = match verdict {
        Verdict::Done => return Outcome::Done,
        Verdict::RetryFrom(from) => (from, "reported failed records"),
        Verdict::RetryAll => (
            0,
            "reported records that are not of its batch, so all of it counts as failed",
        ),
    };
    let failed = Failed {
        cause: FailureCause::Reported,
        error: failure(shard, what),
    };
    Outcome::FailedFrom(done + from, failed)
}

fn failure(shard: &ShardId, what: &str) -> Error {
    Error::new(
        ErrorKind::Processor,
        format!("the function of shard {shard} {what}"),
    )
}
