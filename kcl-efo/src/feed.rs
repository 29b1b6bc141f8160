//! The task of one shard: reads it by subscriptions or by the fallback, and changes between the two at its
//! own cursor. One for each feed, spawned by [`crate::FanOut`]; it ends with its shard, or when nobody
//! listens any more. When it is dropped, because the lease is lost for example, the subscription is.
//!
//! * here: what both ways share, and when the way changes (`route` says so).
//! * `subscription`: by subscriptions; `failure`: what went wrong with one. * `relay`: by the fallback.
//! * `place`: where the shard stands, in the terms of both.

mod failure;
mod place;
mod relay;
mod subscription;

use std::sync::Arc;

use kcl_core::env::Env;
use kcl_core::error::{Error, ErrorKind};
use kcl_core::event::{Event, Events, Failure, ReadCall, ReadFailure, Retrieval};
use kcl_core::port::{BatchSender, Meter, OpenFeed};
use kcl_core::{Backoff, RecordSource, ShardId, StreamName};
use tokio::time::{Instant, sleep_until};

use self::failure::Failed;
use self::place::Place;
use crate::budget::Purse;
use crate::fan_out::Shared;
use crate::lines::Line;
use crate::route::{News, Route, Turn};
use crate::switch::Switch;

/// See the module.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    line: Line,
    fallback: Option<Arc<dyn RecordSource>>,
    switch: Switch,
    stream: StreamName,
    shard: ShardId,
    env: Env,
    events: Events,
    meter: Meter,
    sender: BatchSender,
    rng: fastrand::Rng,
    purse: Purse,
    place: Place,
    route: Route,
    /// What was told last of the way of reading.
    told: Retrieval,
    /// In a row.
    failures: u32,
    /// The consumer was looked for again because it was not found, and nothing came since.
    is_suspect: bool,
}

/// Whether the task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Over,
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        line: Line,
        (fallback, switch): (Option<Arc<dyn RecordSource>>, Switch),
        request: OpenFeed,
        sender: BatchSender,
    ) -> Self {
        let OpenFeed {
            stream,
            shard,
            from,
            env,
            events,
            meter,
        } = request;
        let settings = shared.settings.fallback.clone();
        let wanted = switch.wanted();
        let route = Route::new(Instant::now(), wanted, switch.has_fallback(), settings);
        Self {
            purse: shared.budget.purse(),
            rng: env.rng(),
            place: Place::new(from, env.wall()),
            told: route.retrieval(),
            route,
            shared,
            line,
            fallback,
            switch,
            stream,
            shard,
            env,
            events,
            meter,
            sender,
            failures: 0,
            is_suspect: false,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let flow = match self.route.retrieval() {
                Retrieval::FanOut => self.by_subscription().await,
                Retrieval::Polling => self.by_fallback().await,
            };
            match flow {
                Flow::On => {}
                Flow::Over => return,
            }
        }
    }

    /// Takes in what happened; says whether the task goes on, if this way of reading is over.
    async fn news(&mut self, news: News, error: Option<Error>) -> Option<Flow> {
        match self.route.on(Instant::now(), news) {
            Turn::Stay => None,
            Turn::Change => {
                // That fan-out works again is told when something comes.
                if self.route.retrieval() == Retrieval::Polling {
                    self.tell_way(Retrieval::Polling, error.as_ref());
                }
                Some(Flow::On)
            }
            Turn::GiveUp => {
                let unknown =
                    || Error::new(ErrorKind::Internal, "fan-out was given up for nothing");
                self.sender.fail(error.unwrap_or_else(unknown)).await;
                Some(Flow::Over)
            }
        }
    }

    /// Something came by subscription.
    fn heard(&mut self) {
        self.meter.answered();
        self.failures = 0;
        self.is_suspect = false;
        // From here it can only stay.
        self.route.on(Instant::now(), News::Heard);
        self.tell_way(Retrieval::FanOut, None);
    }

    fn tell_way(&mut self, to: Retrieval, error: Option<&Error>) {
        if self.told == to {
            return;
        }
        self.told = to;
        self.events.emit(&Event::RetrievalChanged {
            shard: self.shard.clone(),
            to,
            error: error.map(Failure::from),
        });
    }

    /// The ARN of the consumer; or whether the task goes on, if there is none for now.
    async fn consumer(&mut self) -> Result<Arc<str>, Flow> {
        enum Woken {
            Wanted,
            Answer(Result<Arc<str>, Arc<Error>>),
            Due,
        }
        let settings = &self.shared.settings.subscription;
        let (min, max) = (settings.retry_pause_min, settings.retry_pause_max);
        let mut backoff = Backoff::new(min, max, Instant::now());
        let mut ready_at = Instant::now();
        loop {
            let asked = Instant::now();
            self.meter.asks(asked);
            let shared = self.shared.clone();
            let answer = async {
                sleep_until(ready_at).await;
                shared.consumers.arn(&self.stream).await
            };
            let woken = tokio::select! {
                biased; // ORDER: what the user wants, then the answer, then time
                () = self.switch.differs_from(Retrieval::FanOut) => Woken::Wanted,
                answer = answer => Woken::Answer(answer),
                () = at(self.route.next_deadline()) => Woken::Due,
            };
            let (news, error) = match woken {
                Woken::Answer(Ok(arn)) => {
                    self.meter.answered();
                    return Ok(arn);
                }
                Woken::Wanted => (News::Wanted(Retrieval::Polling), None),
                Woken::Due => (News::Due, Some(self.not_ready())),
                Woken::Answer(Err(error)) => {
                    let error = copy(&error);
                    let (why, news) = if error.is_retryable() {
                        (ReadFailure::Unavailable, News::Failed)
                    } else {
                        (ReadFailure::Refused, News::Refused)
                    };
                    let failed = Failed {
                        call: ReadCall::FindConsumer,
                        why,
                        error,
                        took: asked.elapsed(),
                    };
                    // The worker tells of what ends the feed.
                    if news == News::Failed || self.switch.has_fallback() {
                        self.tell_failure(&failed);
                    }
                    let now = Instant::now();
                    ready_at = now + min.max(backoff.after_failure(now, &mut self.rng));
                    (news, Some(failed.error))
                }
            };
            if let Some(flow) = self.news(news, error).await {
                return Err(flow);
            }
        }
    }

    fn not_ready(&self) -> Error {
        let message = format!(
            "nothing came by fan-out for shard {} of stream {} for {:?}",
            self.shard.name(),
            self.stream,
            self.shared.settings.fallback.after
        );
        Error::new(ErrorKind::Unavailable, message)
    }
}

/// An error that several feeds got at once, for one of them.
fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.chain())
}

/// Waits until then, or for ever.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The earlier of two, if any.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
